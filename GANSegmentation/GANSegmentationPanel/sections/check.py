"""What is suspicious about the volume for the model, said before a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError

from ..jobs.job import Job
from ..jobs.options import SegmentOptions
from .section import Section

_DELAY_MS = 400
"""Nothing is looked at while somebody still chooses."""

_REFUSALS = ("modality_mismatch", "domain_needed", "unknown_domain", "channel_count", "geometry_mismatch")
"""Answers of the worker that a run would give, too."""


class CheckSection(Section):
    """Says at once what the card says, and has the voxels looked at in the background; late answers are dropped."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._checkedFor: tuple[Any, ...] | None = None
        self._warnings: list[str] = []
        self._refusal = ""
        self._timer: Any = None

    def setup(self) -> None:
        import qt

        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.connect("timeout()", self._start)

    def obstacle(self) -> str | None:
        """Why the model refuses the volume; None if it does not, or is forced."""
        return self._refusal or None

    def refresh(self) -> None:
        if self.parameters is None or self.logic.isRunning:
            return
        package, volumes = self.panel.package(), self.panel.volumes()
        wanted = (
            None if package is None else (package.card.id, package.card.version),
            tuple(_signature(volume) for volume in volumes),
            self.parameters.domain,
            self.parameters.force,
        )
        if wanted != self._checkedFor:
            self._forget()
            self._checkedFor = wanted
            ready = package is not None and all(volume is not None for volume in volumes)
            if ready:
                self._refusal = self.logic.modalityProblem(package, volumes[0], force=self.parameters.force)
            if ready and not self._refusal and self.logic.hasBackground:
                self._timer.start()
        self._show()

    def onSceneClosed(self) -> None:
        self._forget()
        self._show()

    def cleanup(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._timer.stop()
        self._checkedFor, self._warnings, self._refusal = None, [], ""

    def _start(self) -> None:
        if self.parameters is None or self.logic.isRunning:
            self._checkedFor = None  # asked again when the run has ended
            return
        wanted = self._checkedFor
        options = SegmentOptions(domain=self.panel.domain(), force=self.parameters.force)

        def onEnd(job: Job) -> None:
            if wanted != self._checkedFor:
                return
            if job.isCancelled:
                self._checkedFor = None  # a run came first: asked again when it has ended
            elif isinstance(job.error, GANSegmentationError) and job.error.code in _REFUSALS:
                self._refusal = str(job.error)
            elif job.error is not None:
                self.panel.log(_("The volume could not be checked: {error}").format(error=job.error))
            else:
                self._warnings = [warning["message"] for warning in job.value]
            self.panel.refresh()

        try:
            self.logic.startCheck(self.panel.volumes(), self.panel.package().card.id, options, onEnd=onEnd)
        except GANSegmentationError as error:  # no voxels, under a transform that bends
            self._refusal = str(error)
            self.panel.refresh()

    def _show(self) -> None:
        lines: Sequence[str] = [self._refusal] if self._refusal else self._warnings
        self.ui.inputCheckLabel.text = "\n".join(lines)
        self.ui.inputCheckLabel.visible = bool(lines)


def _signature(volumeNode: Any) -> tuple[Any, ...] | None:
    """What changes when a volume becomes another one."""
    if volumeNode is None:
        return None
    image = volumeNode.GetImageData()
    return volumeNode.GetID(), volumeNode.GetMTime(), 0 if image is None else image.GetMTime()
