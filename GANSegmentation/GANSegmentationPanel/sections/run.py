"""The run row: Apply and Cancel, progress, and what a run says while it goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import slicer
import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib import protocol

from ..jobs.job import IMPORT_STAGE, Job, JobState
from ..jobs.options import SegmentOptions
from .section import Section, setEnabled


class RunSection(Section):
    """Starts and cancels segmentations."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._warnings: list[str] = []
        self._request: tuple[Any, ...] = ()  # volumes, model, output and options of the run
        self._isRunning = False  # a run of its own, not a comparison, an export or a batch

    def setup(self) -> None:
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.showProgress(None)

    def refresh(self) -> None:
        job = self.logic.job
        if job is not None:
            self.ui.applyButton.text = _("Cancel")
            obstacle = _("The run is being cancelled.") if job.isCancelled else None
            if self._isRunning:
                toolTip = _("Stop after the slices in hand. Nothing is changed.")
            else:
                toolTip = _("Stop the comparison, the export or the batch that runs.")
            setEnabled(self.ui.applyButton, obstacle, toolTip)
            return
        self.ui.applyButton.text = _("Apply")
        obstacle = self.panel.obstacle()
        setEnabled(self.ui.applyButton, obstacle, _("Segment the volume with the chosen model."))

    def onSceneClosed(self) -> None:
        self._request = ()
        if not self.logic.isRunning:
            self.panel.showStage("")

    def onApply(self) -> None:
        """Start a run, or cancel the one that runs."""
        if self.logic.isRunning:
            self.panel.showStage(_("Cancelling..."))
            self.logic.cancel()
            self.panel.refresh()
        elif self.panel.canRun() and not self.panel.obstacle():  # installing takes a while, in which much can change
            self.start()

    def start(self) -> None:
        """Start a run with what the panel shows."""
        parameters = self.parameters
        options = SegmentOptions(
            device=self.panel.preferences.device,
            domain=self.panel.domain(),
            force=parameters.force,
            mode=parameters.outputMode.name,
            excludedSegments=tuple(parameters.excludedSegments),
            roi=parameters.roi,
            sliceRange=self.panel.sliceRange(),
            allFrames=parameters.allFrames,
        )
        # The model by its ID: by its modality, a volume could get another one than the panel has shown.
        self._start(self.panel.volumes(), self.panel.package().card.id, parameters.outputSegmentation, options)

    def _start(self, volumes: Any, modelId: str, output: Any, options: SegmentOptions) -> None:
        self._request = volumes, modelId, output, options
        self._isRunning = True
        self._warnings = []
        self.panel.showStage(_("Handing over the volume..."))  # the voxels are read and written next
        self.showProgress(0)
        try:
            self.logic.start(
                *(volumes, modelId, output, options),
                onEvent=self.panel.onEvent,
                onEnd=self.onEnd,
                onStarting=self.panel.refresh,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the panel goes on
            self._isRunning = False
            self.showProgress(None)
            self.panel.showError(error)
        self.panel.refresh()

    def say(self, text: str) -> None:
        """Show what happens now."""
        self.ui.stageLabel.text = text

    def onEvent(self, event: protocol.Message) -> None:
        """Show what a run says of itself."""
        job = self.logic.job
        if isinstance(event, protocol.Progress):
            self.ui.progressBar.maximum = max(event.total, 1)
            self.ui.progressBar.value = event.done
            self.say(_framed(describeProgress(event), job))
        elif isinstance(event, protocol.Stage):
            # At once: after the last of them, the application does nothing else while it writes into the scene.
            self.panel.showStage(_framed(stageTexts().get(event.name, event.name), job))
        elif isinstance(event, protocol.Warn):
            if event.message not in self._warnings:
                self._warnings.append(event.message)
            self.panel.log(event.message)
        elif isinstance(event, protocol.Device):
            self.panel.log(_("Computing on {name}").format(name=event.name))
        elif isinstance(event, protocol.Log):
            self.panel.log(event.text)
        if not self.logic.isInBackground:
            slicer.app.processEvents()  # so that Cancel can be pressed while the application computes itself

    def onEnd(self, job: Job) -> None:
        """Show how a run has ended."""
        self._isRunning = False
        self.showProgress(None)
        if job.state is JobState.DONE:
            self.panel.showStage("")
            self.panel.showResult(job.value, self._warnings)
        elif job.state is JobState.CANCELLED:
            self.panel.say(_("Cancelled. Nothing was changed."))
        elif not self._triedAgain(job):
            self.panel.showError(job.error)
        self.panel.refresh()

    def showProgress(self, value: int | None) -> None:
        """Show the progress bar at a value, or hide it."""
        self.ui.progressBar.visible = value is not None
        self.ui.progressBar.maximum = 100
        self.ui.progressBar.value = value or 0

    def _triedAgain(self, job: Job) -> bool:
        """Offer another try that may succeed, such as on the CPU after the GPU's memory ran out."""
        if not job.retry or not self._request:
            return False
        device = job.retry.get("device")
        question = _("{error}\n\nRun again on {device}?").format(error=job.error, device=(device or "").upper())
        if device is None or not slicer.util.confirmYesNoDisplay(question):
            return False
        *inputs, options = self._request
        self._start(*inputs, replace(options, device=device))
        return True


def stageTexts() -> dict[str, str]:
    """What each stage of a run is called, by the worker's word for it."""
    return {
        "read": _("Reading the volume..."),
        "load": _("Loading the model..."),
        "prepare": _("Preparing the slices..."),
        "segment": _("Segmenting..."),
        "postprocess": _("Cleaning the mask..."),
        "save": _("Handing over the mask..."),
        "compare": _("Comparing..."),
        "export": _("Writing the file..."),
        "batch": _("Working through the folder..."),
        IMPORT_STAGE: _("Writing the result into the scene..."),
    }


def describeProgress(progress: protocol.Progress) -> str:
    """``slice 83 / 124 - 0:21 left``."""
    text = _("Slice {done} / {total}").format(done=progress.done, total=progress.total)
    if progress.seconds_left is None:
        return text
    return _("{progress} - {time} left").format(progress=text, time=clock(progress.seconds_left))


def clock(seconds: float) -> str:
    """Seconds as ``m:ss``, or ``h:mm:ss``."""
    whole = max(round(seconds), 0)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _framed(text: str, job: Job | None) -> str:
    if job is None or job.parts < 2:
        return text
    return _("{part} of {parts}: {text}").format(part=job.part + 1, parts=job.parts, text=text)
