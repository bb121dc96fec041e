"""Faults for `planted_faults.py` in the module, its script and what it needs, by file: name, text, replacement, why."""

from __future__ import annotations

FAULTS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "GANSegmentation/GANSegmentation.py": (
        (
            "observer-not-removed",
            (
                "            self.removeObserver("
                "self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)\n"
            ),
            "",
            "the parameter node is observed and never let go of, so a panel that was left goes on refreshing",
        ),
        (
            "observers-outlive-panel",
            "        self.removeObservers()\n",
            "",
            "a panel that was destroyed still hears of the scene",
        ),
        (
            "import-not-observed",
            "        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self.onSceneStartImport)\n",
            "",
            "selectors write their first node over the choices of the scene that is loaded",
        ),
        (
            "left-panel-bound-again",
            "if self.sections and self.parent.isEntered:  # else",
            "if self.sections:  # else",
            "a panel that nobody looks at is bound when a scene is loaded",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/logic.py": (
        (
            "wrong-folder-of-references",
            '"references": "" if referenceFolder is None else str(referenceFolder),',
            '"references": "" if referenceFolder is None else str(inputFolder),',
            "a line copied from above and half changed",
        ),
        (
            "stale-library",
            "if self._library is None or self._library.user != folder:",
            "if self._library is None:",
            "another folder of models is chosen and not looked into",
        ),
        (
            "undo-observer-kept",
            "            self._undoStep.close()\n",
            "",
            "the way back observes the scene for ever",
        ),
        (
            "process-without-window",
            "return not options.noMainWindow and",
            "return options.noMainWindow and",
            "a missing not: the window gets the executor of scripts",
        ),
        (
            "slice-scores-not-asked",
            "CompareOptions(surfaceToleranceMm=surfaceToleranceMm, sliceScores=perSlice)",
            "CompareOptions(surfaceToleranceMm=surfaceToleranceMm)",
            "an argument that is taken and forgotten",
        ),
        (
            "names-in-diagnostics",
            "names=[node.GetName() for node in nodes if node.GetName()],",
            "names=[],",
            "names of patients stay in what is pasted into a bug report",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/parameters.py": (
        (
            "replaced-by-default",
            "outputMode: OutputMode = OutputMode.NEW",
            "outputMode: OutputMode = OutputMode.REPLACE",
            "a run overwrites what a chosen segmentation has, unasked",
        ),
        (
            "one-slice-by-default",
            "lastSlice: int = -1",
            "lastSlice: int = 0",
            "the number for 'the last there is' is forgotten, so a range ends with the first slice",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/installation/installing.py": (
        (
            "no-means-later",
            'if outcome == "declined":',
            'if outcome != "declined":',
            "after a No the same question comes with each run",
        ),
        (
            "busy-not-reset",
            "        finally:\n            self._isBusy = False\n",
            "        except ValueError:\n            raise\n        self._isBusy = False\n",
            "after a failure nothing can be installed in this session",
        ),
        (
            "pending-for-ever",
            '        self._preferences.pendingInstall = ""  # first',
            "        # first",
            "the question comes at every start",
        ),
        (
            "room-in-megabytes",
            "TORCH_BYTES = 10e9",
            "TORCH_BYTES = 10e6",
            "a wrong unit: a disk without room is found full in the middle",
        ),
        (
            "any-gpu-is-usable",
            'usable = [device for device in devices if device.get("usable")]',
            "usable = list(devices)",
            "a GPU that is too old is shown as ready",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/installation/install_failures.py": (
        (
            "case-matters",
            "re.search(pattern, text, re.IGNORECASE)",
            "re.search(pattern, text)",
            "pip writes 'No space left' and ProxyError",
        ),
        (
            "output-of-error-ignored",
            "[*lines, *_outputs(error), str(error)]",
            "[*lines, str(error)]",
            "what the failed process has written is not looked at",
        ),
        (
            "no-console",
            "        if self._stream is not None:\n            self._stream.write(text)\n",
            "        self._stream.write(text)\n",
            "an application without a console has no stdout",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/installation/slicer_services.py": (
        (
            "asked-twice",
            "        manager.interactive = False  # whoever is asked was asked already\n",
            "",
            "the Extensions Manager asks again what was answered",
        ),
        (
            "torch-declined-unnoticed",
            "return installed is not None",
            "return True",
            "a No to PyTorch counts as installed",
        ),
        (
            "module-by-class-name",
            "return hasattr(slicer.modules, name.lower())",
            "return hasattr(slicer.modules, name)",
            "slicer.modules has them in lower case",
        ),
        (
            "comments-are-packages",
            'line.partition("#")[0].strip()',
            "line.strip()",
            "pip is asked for what a comment says",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/model_list.py": (
        (
            "validation-before-test",
            'fact.split != "test"',
            'fact.split == "test"',
            "the Dice that chose the weights is shown",
        ),
        (
            "default-last",
            "not row.isDefault, row.title.casefold()",
            "row.isDefault, row.title.casefold()",
            "a missing not in the order of the list",
        ),
        (
            "card-not-escaped",
            "'<br>'.join(escape(text) for text in texts)",
            "'<br>'.join(texts)",
            "a stranger's card writes HTML into the panel",
        ),
        (
            "megabytes-of-1024",
            'f"{size / 1e6:.1f} MB" if',
            'f"{size / 2**20:.1f} MB" if',
            "a wrong unit: MiB with the name of MB",
        ),
        (
            "asks-for-the-same",
            "        if known.card == card:\n            return known\n",
            "",
            "a model that is there already is asked about",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/preferences.py": (
        (
            "settings-key-typo",
            'self._write("idleMinutes", int(value))',
            'self._write("idleMinute", int(value))',
            "written under one key and read under another",
        ),
        (
            "wrong-default-mode",
            "return text if text in RUN_MODES else RUN_MODES[0]",
            "return text if text in RUN_MODES else RUN_MODES[1]",
            "first and last swapped: the window freezes in a run",
        ),
        (
            "file-for-folder",
            "str(folder if folder.is_dir() else folder.parent)",
            "str(folder)",
            "a file is remembered as a folder, and so none",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/diagnostics.py": (
        (
            "first-lines-of-log",
            "list(log)[-LOG_LINES:]",
            "list(log)[:LOG_LINES]",
            "first and last swapped",
        ),
        (
            "home-in-settings",
            'f"  {name}: {withoutHome(value)}"',
            'f"  {name}: {value}"',
            "the name of the user is in the path of the models",
        ),
        (
            "error-not-anonymized",
            'for line in anonymized(error.get(part, ""), hidden).splitlines() if line]',
            'for line in error.get(part, "").splitlines() if line]',
            "an error's text names the volume",
        ),
        (
            "case-of-names",
            '"<name>", text, flags=re.IGNORECASE)\n',
            '"<name>", text)\n',
            "a name in capitals stays",
        ),
    ),
    "GANSegmentation/Scripts/segment_batch.py": (
        (
            "dashes-are-an-argument",
            'arguments[arguments.index("--") + 1 :]',
            'arguments[arguments.index("--") :]',
            "off by one: the mark before the script's own arguments is one of them",
        ),
        (
            "references-not-passed-on",
            '        command += ["--references", options.reference]\n',
            "        pass\n",
            "an option that is understood and forgotten",
        ),
        (
            "failed-cases-unsaid",
            "        return 1\n    return code\n",
            "        return 1\n    return 0\n",
            "with --json the exit code is 0 whatever has failed",
        ),
    ),
}
