"""Faults for `planted_faults.py` in what runs the jobs of the panel, by file: name, text, what replaces it, why."""

from __future__ import annotations

FAULTS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "GANSegmentation/GANSegmentationPanel/jobs/job.py": (
        (
            "generator-not-closed",
            "        except Exception as error:  # noqa: BLE001 - as in `_taken`\n            self._steps.close()\n",
            "        except Exception as error:  # noqa: BLE001 - as in `_taken`\n",
            "the private folder stays as long as somebody holds the job",
        ),
        (
            "cancel-not-passed-on",
            "if not self._isDriving or self._executor.isRunning:",
            "if not self._isDriving:",
            "the executor of a script computes to the end after a cancel",
        ),
        (
            "retry-lost",
            "            self.retry = dict(answer.retry)\n",
            "            pass\n",
            "nobody is offered another try on the CPU",
        ),
        (
            "end-told-too-early",
            "self._endObservers.insert(0, observer)",
            "self._endObservers.append(observer)",
            "the queue is still taken when the next job is asked for",
        ),
        (
            "cancel-at-import-ignored",
            "if self.state is JobState.IMPORTING:  # it was not cancelled just then",
            "if True:  # it was not cancelled just then",
            "a cancelled result is written all the same",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/jobs/job_queue.py": (
        (
            "waiting-jobs-kept",
            "        self._next = job\n        self._cancelWaiting()\n",
            "        self._next = job\n",
            "what the panel asks in the background comes between",
        ),
        (
            "replaced-job-not-ended",
            "        if old is not None:\n            old.cancel()\n",
            "",
            "a background job that is replaced never says that it ended",
        ),
        (
            "scene-close-cancels-batch",
            "if self._current is None or self._current.usesScene:",
            "if self._current is None or not self._current.usesScene:",
            "a not too many",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/jobs/steps.py": (
        (
            "region-axes-swapped",
            "return x0, x1, y0, y1, z0, z1",
            "return z0, z1, y0, y1, x0, x1",
            "array order where the protocol wants x first",
        ),
        (
            "excluded-are-wanted",
            "if segment.name not in excluded)",
            "if segment.name in excluded)",
            "a missing not",
        ),
        (
            "seconds-of-last-frame",
            'seconds += answer.result["seconds"]',
            'seconds = answer.result["seconds"]',
            "a sum that forgets",
        ),
        (
            "batch-ends-with-scene",
            "    job.usesScene = False\n",
            "",
            "closing the scene stops a batch of the night",
        ),
        (
            "check-without-domain",
            "            domain=options.domain,\n            force=options.force,\n        )\n    return",
            "            force=options.force,\n        )\n    return",
            "the check is of another domain than the run",
        ),
        (
            "output-checked-too-late",
            "    scene.planOutput(package.labels, nodes[0], output, mode, options.excludedSegments)\n",
            "",
            "an output that cannot be written is refused after the run",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/jobs/executor.py": (
        (
            "result-after-cancel",
            (
                "            if self._state is State.CANCELLING:\n"
                "                last = [protocol.Cancelled(request.id)]\n"
            ),
            "",
            "a result comes although somebody has cancelled",
        ),
        (
            "state-not-reset",
            "        finally:\n            self._state = State.IDLE\n",
            "        except ValueError:\n            raise\n        self._state = State.IDLE\n",
            "after an exception nothing can be run any more",
        ),
        (
            "missing-voxels-unnoticed",
            "        if isinstance(value, Mapping):\n            yield from _files(value, folder)\n        elif key",
            "        if key",
            "a result whose file is not there is believed",
        ),
        (
            "worker-not-kept",
            "self._worker = self._worker or worker.Worker()",
            "self._worker = worker.Worker()",
            "the model is loaded anew for each run",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/process/process_executor.py": (
        (
            "idle-in-seconds",
            "        if self._worker is not None:\n            self._after(round(self.idleMinutes * 60_000)",
            "        if self._worker is not None:\n            self._after(round(self.idleMinutes * 1000)",
            "a wrong unit: seconds for minutes",
        ),
        (
            "stale-result",
            'if job is None or not job.isSubmitted or getattr(event, "id", None) != job.request.id:',
            "if job is None or not job.isSubmitted:",
            "what an earlier job says is taken for this one",
        ),
        (
            "names-in-log",
            "        self.log.hide(_words(request))\n",
            "",
            "names of volumes come into the log file",
        ),
        (
            "wrong-quit-signal",
            'change("aboutToQuit()", self.shutdown)',
            'change("aboutToQuit(bool)", self.shutdown)',
            "a wrong signal signature: the worker outlives the application",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/process/worker_process.py": (
        (
            "working-folder-left-to-chance",
            "        process.setWorkingDirectory(str(libraryParent()))\n",
            "",
            "Python looks for modules wherever the application was started",
        ),
        (
            "launcher-only-killed",
            "        killTree(self.pid)\n",
            "",
            "the launcher dies and the worker behind it computes on",
        ),
        (
            "last-words-lost",
            "        if self._errors.rest:\n            self._log.said(self._errors.rest)\n",
            "",
            "what a process said without a newline before it died",
        ),
        (
            "wrong-finished-signal",
            '("finished(int,QProcess::ExitStatus)", self._finished),',
            '("finished(QProcess::ExitStatus)", self._finished),',
            "a wrong signal signature: PythonQt says so on a console, and the end is never heard of",
        ),
        (
            "signal-taken-for-code",
            "self._ended(Ending(-code if crashed and code > 0 else code))",
            "self._ended(Ending(code))",
            "a killed process looks as if it had ended by itself",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/process/launching.py": (
        (
            "user-packages-seen",
            "if not site.ENABLE_USER_SITE:",
            "if site.ENABLE_USER_SITE:",
            "a missing not: the worker sees other packages than the application",
        ),
        (
            "group-not-killed",
            "if os.getpgid(pid) == pid != os.getpgrp():",
            "if os.getpgid(pid) == pid == os.getpgrp():",
            "what the worker has started lives on",
        ),
        (
            "signal-without-minus",
            "return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status",
            "return found.si_status",
            "a signal looks like an exit code",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/jobs/run_folder.py": (
        (
            "host-not-in-name",
            'prefix=f"{PREFIX}{_host()}-{os.getpid()}-"',
            'prefix=f"{PREFIX}{os.getpid()}-"',
            "what dead panels have left is not known for theirs",
        ),
        (
            "living-folders-swept",
            "return not _isAlive(int(pid))",
            "return _isAlive(int(pid))",
            "a missing not: the folder of another run goes, and the rest stays",
        ),
        (
            "old-in-minutes",
            "OLD_S = 3 * 24 * 3600",
            "OLD_S = 3 * 24 * 60",
            "a wrong unit: folders of other computers go after an hour",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/process/worker_log.py": (
        (
            "newest-logs-removed",
            "key=lambda path: path.stat().st_mtime, reverse=True)",
            "key=lambda path: path.stat().st_mtime)",
            "first and last swapped",
        ),
        (
            "words-of-earlier-process",
            "        self._last.clear()\n",
            "",
            "a crash is explained with what another process said",
        ),
        (
            "said-not-anonymized",
            "        line = anonymized(line, self._words)\n",
            "",
            "paths and names in the details of an error",
        ),
    ),
}
