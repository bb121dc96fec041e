"""Faults for `planted_faults.py` in the sections of the panel, by file: name, text, what replaces it, why."""

from __future__ import annotations

FAULTS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "GANSegmentation/GANSegmentationPanel/sections/section.py": (
        (
            "tooltips-not-restored",
            (
                "            for each, toolTip in zip(self._inside, self._toolTips, strict=True):\n"
                "                each.toolTip = toolTip\n"
            ),
            "",
            "after a run every control says to wait",
        ),
        (
            "reason-lost",
            "widget.toolTip = toolTip if obstacle is None else plain(obstacle)",
            "widget.toolTip = toolTip",
            "a disabled control does not say why",
        ),
        (
            "filling-is-choosing",
            "    wasBlocked = comboBox.blockSignals(True)\n    comboBox.clear()\n",
            "    wasBlocked = comboBox.blockSignals(False)\n    comboBox.clear()\n",
            "filling a list overwrites what was chosen in it",
        ),
        (
            "error-swallowed",
            "            self.panel.showError(error)\n",
            "            self.panel.log(str(error))\n",
            "what went wrong stands in a log that is folded in",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/advanced.py": (
        (
            "run-mode-not-applied",
            "            self.logic.restartWorker()\n",
            "",
            "another run mode is chosen and nothing changes",
        ),
        (
            "broken-devices-offered",
            'for each in self.panel.devices() if each["usable"]]',
            "for each in self.panel.devices()]",
            "a GPU that does not compute can be chosen",
        ),
        (
            "models-not-listed-again",
            "        self.panel.forgetModels()\n\n    def onCopyDiagnostics",
            "\n    def onCopyDiagnostics",
            "a forgotten refresh: removed models stay in the list",
        ),
        (
            "cancelled-choice-of-a-folder-taken",
            "        if not chosen:\n            return\n        with self.errorsShown():\n            self.panel.pref",
            "        with self.errorsShown():\n            self.panel.pref",
            "Cancel in the dialog gives an empty text, which becomes the folder",
        ),
        (
            "idle-not-applied",
            "        self.logic.applyPreferences()\n",
            "",
            "the time counts from the next start of the application",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/batch.py": (
        (
            "report-of-other-folder",
            "    def _onFolder(self, path: str) -> None:\n        self._output = None\n",
            "    def _onFolder(self, path: str) -> None:\n",
            "the button opens the report of the batch before",
        ),
        (
            "batch-state-not-reset",
            "        except GANSegmentationError as error:\n            self._isRunning = False\n",
            "        except GANSegmentationError as error:\n",
            "after a refused start the button cancels for ever",
        ),
        (
            "stale-slices",
            "self._cases, self._slices = event, None\n            else",
            "self._cases = event\n            else",
            "the next case begins with the slices of the last one",
        ),
        (
            "retry-box-ignored",
            "retryFailed=self.ui.batchRetryCheckBox.checked,",
            "retryFailed=False,",
            "a box that does nothing",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/check.py": (
        (
            "late-warnings",
            "            if wanted != self._checkedFor:\n                return\n",
            "",
            "the warnings of the volume before are shown for this one",
        ),
        (
            "wrong-timer-signal",
            'self._timer.connect("timeout()", self._start)',
            'self._timer.connect("timeout", self._start)',
            "a wrong signal signature: nothing is ever checked",
        ),
        (
            "not-asked-again",
            "                self._checkedFor = None  # a run came first: asked again when it has ended\n",
            "                pass  # a run came first: asked again when it has ended\n",
            "a check that made way for a run is forgotten",
        ),
        (
            "edits-not-noticed",
            "return volumeNode.GetID(), volumeNode.GetMTime(), 0 if image is None else image.GetMTime()",
            "return volumeNode.GetID(), volumeNode.GetName(), image is None",
            "voxels that were changed are not looked at again",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/comparison.py": (
        (
            "stale-scores",
            (
                "        if self._compared is not None and self._state() != self._comparedState:\n"
                "            self._forget()\n"
            ),
            "",
            "worst slices of voxels that were edited since",
        ),
        (
            "reference-kept",
            "self.parameters.referenceSegmentation = node if isSegmentation else None",
            "self.parameters.referenceSegmentation = node if isSegmentation else self.parameters.referenceSegmentation",
            "a labelmap is chosen and the segmentation before is compared with",
        ),
        (
            "wrong-list-signal",
            '"itemDoubleClicked(QListWidgetItem*)"',
            '"itemDoubleClicked(int)"',
            "a wrong signal signature: a double click does nothing",
        ),
        (
            "errors-left-behind",
            "        scene.hideErrors()\n        self._compared = None\n",
            "        self._compared = None\n",
            "the overlay stays in the scene when the panel goes",
        ),
        (
            "best-slices-first",
            "key=lambda pair: (pair[1].dice,",
            "key=lambda pair: (-pair[1].dice,",
            "the order swapped",
        ),
        (
            "late-scores",
            "if job.error is None and (self.parameters is None or self._state() != asked):",
            "if job.error is None and self.parameters is None:",
            "scores of a mask that was edited meanwhile are shown",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/drop.py": (
        (
            "drop-holds-other-program",
            "qt.QTimer.singleShot(0, lambda: onDropped(urls))",
            "onDropped(urls)",
            "the program that the file comes from hangs until the model is imported",
        ),
        (
            "drag-move-not-accepted",
            "if event.type() in (qt.QEvent.DragEnter, qt.QEvent.DragMove):",
            "if event.type() == qt.QEvent.DragEnter:",
            "the list itself refuses what moves over it",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/inputs.py": (
        (
            "slice-range-swapped",
            "self.parameters.firstSlice, self.parameters.lastSlice = round(first), round(last)",
            "self.parameters.lastSlice, self.parameters.firstSlice = round(first), round(last)",
            "first and last swapped",
        ),
        (
            "one-channel-too-many",
            "label.visible = selector.visible = channel < count",
            "label.visible = selector.visible = channel <= count",
            "off by one: a selector that nobody reads",
        ),
        (
            "range-without-reason",
            'rangeWidget.toolTip = _("Check the box to segment only some of the slices.")',
            "pass",
            "the tooltip of another state stays on a disabled control",
        ),
        (
            "wrong-range-signal",
            '"valuesChanged(double,double)"',
            '"valuesChanged(int,int)"',
            "a wrong signal signature: the range is never read",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/log.py": (
        (
            "log-folds-in",
            "self.ui.logCollapsibleButton.collapsed = False",
            "self.ui.logCollapsibleButton.collapsed = True",
            "the log folds in when something went wrong",
        ),
        (
            "log-folder-not-made",
            "        folder.mkdir(parents=True, exist_ok=True)\n",
            "",
            "before the first run there is no folder to open",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/models.py": (
        (
            "removed-model-chosen",
            "            if self.parameters.modelId == modelId:\n                self.parameters.modelId = AUTOMATIC\n",
            "",
            "a model that is gone stays chosen",
        ),
        (
            "filter-not-kept",
            "        self._dropFilter = acceptDroppedFiles(",
            "        acceptDroppedFiles(",
            "the event filter is collected, and drops do nothing",
        ),
        (
            "filling-chooses-model",
            "if self._isFilling or self.parameters is None or row < 0:",
            "if self.parameters is None or row < 0:",
            "a search changes the choice",
        ),
        (
            "modality-not-said",
            (
                "    volumeNode.SetAttribute("
                'slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName(), "CT")\n'
            ),
            "",
            "the CT of the sample data has no modality, and no model",
        ),
        (
            "stale-thumbnails",
            "        self._thumbnails.clear()\n",
            "",
            "a replaced model keeps the picture of the old one",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/output.py": (
        (
            "nothing-chosen-unnoticed",
            "                parameters.excludedSegments,\n            )\n",
            "            )\n",
            "a run without any structure can be started",
        ),
        (
            "3d-of-no-node",
            "        self.ui.show3DButton.setSegmentationNode(node)\n",
            "",
            "the button has no segmentation to show",
        ),
        (
            "output-open-in-run",
            "        self._lock.set(busy)\n",
            "",
            "the output can be changed while the run goes on",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/pairs.py": (
        (
            "partner-by-name",
            'comboBox.setCurrentIndex(comboBox.findData(pair.referenceKey or ""))',
            "comboBox.setCurrentIndex(max(comboBox.findText(pair.maskName), 0))",
            "pairs by terminology are not preselected",
        ),
        (
            "choices-pile-up",
            "        self._choices = []\n        for row",
            "        for row",
            "the rows of the nodes before are compared, too",
        ),
        (
            "choices-forgotten",
            "        if key == self._key:\n            return\n",
            "",
            "what a user paired by hand is gone at the next refresh",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/results.py": (
        (
            "stale-result-after-undo",
            '            self._last = None\n            self.ui.resultLabel.text = _("The last run',
            '            self.ui.resultLabel.text = _("The last run',
            "segments that were taken back are marked",
        ),
        (
            "editor-without-volume",
            "            widget.editor.setSourceVolumeNode(volume)\n",
            "",
            "the Segment Editor opens with another volume",
        ),
        (
            "menu-without-reason",
            "        menu.setToolTipsVisible(True)\n",
            "",
            "nobody sees why there is no DICOM SEG",
        ),
        (
            "all-segments-marked",
            "identifiers = None if last is None else list(last.segmentIds)",
            "identifiers = None",
            "segments that the run did not touch are accepted, too",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/run.py": (
        (
            "region-forgotten",
            "            roi=parameters.roi,\n",
            "",
            "a region is chosen and the whole volume segmented",
        ),
        (
            "stale-warnings",
            "        self._warnings = []\n        self.panel.showStage",
            "        self.panel.showStage",
            "the warnings of the last run stand under this one",
        ),
        (
            "seconds-without-zero",
            'else f"{minutes}:{rest:02d}"',
            'else f"{minutes}:{rest}"',
            "1:5 for a minute and five seconds",
        ),
        (
            "no-cancel-inline",
            "if not self.logic.isInBackground:",
            "if self.logic.isInBackground:",
            "a missing not: Cancel cannot be pressed where the application computes itself",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sections/status.py": (
        (
            "looking-for-ever",
            "    def _onProbed(self, job: Job) -> None:\n        self._isProbing = False\n",
            "    def _onProbed(self, job: Job) -> None:\n",
            "the button of the status line is never enabled again",
        ),
        (
            "old-worker-kept",
            "        self.probe = None\n        self.logic.restartWorker()\n",
            "        self.probe = None\n",
            "the worker does not see what was just installed",
        ),
        (
            "probe-forgotten",
            "self._wantsProbe = job.isCancelled and self.logic.isRunning",
            "self._wantsProbe = False",
            "a probe that made way for a run never comes back",
        ),
        (
            "resumed-when-closed",
            "        if not self._isClosed:\n            self._show(self.installer.resumePending)\n",
            "        self._show(self.installer.resumePending)\n",
            "a panel that is gone asks whether to install",
        ),
    ),
}
