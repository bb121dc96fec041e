"""Results: what a run found, and what can be done with it: undo, review, statistics, export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from slicer.i18n import tr as _

from .. import scene
from ..jobs.job import Job
from ..jobs.steps import Segmented
from .section import Section, setEnabled

_FORMATS = (".seg.nrrd", ".nii.gz", ".nrrd", ".mha")


class ResultsSection(Section):
    """Shows the last result; its buttons act on the segmentation that is chosen as output."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._last: Segmented | None = None
        self._dicomSegAction: Any = None

    def setup(self) -> None:
        import qt

        ui = self.ui
        ui.undoButton.connect("clicked(bool)", self.onUndo)
        ui.editSegmentsButton.connect("clicked(bool)", self.onEdit)
        ui.acceptButton.connect("clicked(bool)", self.onAccept)
        ui.flagButton.connect("clicked(bool)", self.onFlag)
        ui.statisticsButton.connect("clicked(bool)", self.onStatistics)
        menu = qt.QMenu(ui.exportButton)
        action = menu.addAction(_("Segmentation or labelmap file..."))
        action.connect("triggered(bool)", self.onExportFile)
        self._dicomSegAction = menu.addAction(_("DICOM SEG..."))
        self._dicomSegAction.connect("triggered(bool)", self.onExportDicomSeg)
        menu.setToolTipsVisible(True)
        menu.connect("aboutToShow()", self._onMenu)
        ui.exportButton.setMenu(menu)
        ui.exportButton.setPopupMode(qt.QToolButton.InstantPopup)

    def show(self, segmented: Segmented, warnings: Sequence[str]) -> None:
        """Show what a run brought."""
        self._last = segmented
        lines = [*describeResult(segmented.result), *warnings]
        self.ui.resultLabel.text = "\n".join(lines)
        self.ui.resultsCollapsibleButton.visible = True
        self.ui.resultsCollapsibleButton.collapsed = False
        self.panel.log("; ".join(lines))

    def refresh(self) -> None:
        node = None if self.parameters is None else self.parameters.outputSegmentation
        if self._last is not None and self._last.segmentationNode.GetScene() is None:  # its figures are of nothing now
            self._forget()
        self.ui.resultsCollapsibleButton.visible = node is not None or self._last is not None
        busy = _("Wait until the run has ended.") if self.logic.isRunning else None
        without = busy or (_("There is no segmentation.") if node is None else None)
        setEnabled(self.ui.undoButton, busy or self.logic.undoStep.obstacle(), _("Go back to before the last run."))
        setEnabled(self.ui.editSegmentsButton, without, _("Correct the segmentation in the Segment Editor."))
        setEnabled(
            self.ui.acceptButton, without, _("Mark the segments as completed: later runs leave them as they are.")
        )
        setEnabled(self.ui.flagButton, without, _("Mark the segments as flagged, for somebody else to look at."))
        noStatistics = None if scene.hasStatistics() else _("This application has no module Segment Statistics.")
        setEnabled(self.ui.statisticsButton, without or noStatistics, _("Volumes and intensities in a table."))
        setEnabled(self.ui.exportButton, without, _("Write the segmentation to a file."))

    def onSceneClosed(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._last = None
        self.ui.resultLabel.text = ""

    # What a user does

    def onUndo(self) -> None:
        """Go back to before the last run."""
        with self.errorsShown():
            self.logic.undo()
            self._last = None
            self.ui.resultLabel.text = _("The last run was undone.")
            self.panel.log(self.ui.resultLabel.text)
        self.panel.refresh()

    def onEdit(self) -> None:
        """Open the Segment Editor with the segmentation and its volume."""
        node, volume = self.parameters.outputSegmentation, self.parameters.inputVolume
        slicer.util.selectModule("SegmentEditor")
        widget = getattr(slicer.modules, "SegmentEditorWidget", None)
        if widget is not None:
            widget.editor.setSegmentationNode(node)
            widget.editor.setSourceVolumeNode(volume)

    def onAccept(self) -> None:
        """Mark the segments of the last run, or all, as completed."""
        self._mark(scene.acceptSegments, _("Accepted: {names}."))

    def onFlag(self) -> None:
        """Mark the segments of the last run, or all, as flagged."""
        self._mark(scene.flagSegments, _("Flagged: {names}."))

    def onStatistics(self) -> None:
        """Slicer's own statistics, in a table."""
        with self.errorsShown():
            self.panel.showStage(_("Computing the statistics..."))
            scene.showStatistics(self.parameters.outputSegmentation, self.parameters.inputVolume)
            self.panel.showStage("")

    def onExportFile(self) -> None:
        """Ask for a file and write the segmentation to it."""
        filters = ";;".join(f"*{suffix}" for suffix in _FORMATS)
        path = self._askForFile(_("Export the segmentation"), ".seg.nrrd", filters)
        if path:
            self.exportTo(path)

    def onExportDicomSeg(self) -> None:
        """Ask for a file and write the segmentation as DICOM SEG."""
        path = self._askForFile(_("Export as DICOM SEG"), ".dcm", "*.dcm")
        if path:
            self.exportTo(path)

    def exportTo(self, path: str) -> None:
        """Write the segmentation to a file; the ending of its name decides the format."""
        node, volume = self.parameters.outputSegmentation, self.parameters.inputVolume
        self.panel.preferences.rememberFolder("export", path)
        self.panel.showStage(_("Writing the file..."))
        with self.errorsShown():
            self.logic.startExport(node, path, volume, onEnd=self._onExported)
        self.panel.refresh()

    def _onExported(self, job: Job) -> None:
        if job.error is None:
            self.panel.say(_("Written to {path}").format(path=job.value))
        elif job.isCancelled:
            self.panel.say(_("Cancelled. Nothing was written."))
        else:
            self.panel.showError(job.error)
        self.panel.refresh()

    def _askForFile(self, title: str, suffix: str, filters: str) -> str:
        import qt

        name = self.parameters.outputSegmentation.GetName()
        start = str(Path(self.panel.preferences.lastFolder("export") or Path.home()) / f"{_plain(name)}{suffix}")
        path = qt.QFileDialog.getSaveFileName(None, title, start, filters)
        if path and not path.lower().endswith((*_FORMATS, ".dcm")):
            path += suffix
        return path

    def _mark(self, mark: Any, text: str) -> None:
        node = self.parameters.outputSegmentation
        last = self._last if self._last is not None and self._last.segmentationNode is node else None
        identifiers = None if last is None else list(last.segmentIds)
        with self.errorsShown():
            mark(node, identifiers)
            segmentation = node.GetSegmentation()
            marked = [segmentation.GetSegment(each) for each in identifiers or segmentation.GetSegmentIDs()]
            self.panel.say(text.format(names=", ".join(segment.GetName() for segment in marked if segment)))
        self.panel.refresh()

    def _onMenu(self) -> None:
        reason = scene.whyNoDicomSeg(None if self.parameters is None else self.parameters.inputVolume)
        self._dicomSegAction.enabled = reason is None
        self._dicomSegAction.toolTip = reason or _("A DICOM object that refers to the scan, for a PACS.")


def describeResult(result: dict[str, Any]) -> list[str]:
    """A line for each segment, and one for the run.

    ``Liver: 1512.3 ml in 96 of 124 slices; 2 islands removed (0.4 ml)``, ``31.0 s on cpu``.
    """
    segments = [_segmentText(segment, result.get("slices")) for segment in result["segments"]]
    return [*segments, _("{seconds:.1f} s on {device}").format(seconds=result["seconds"], device=result["device"])]


def _segmentText(segment: dict[str, Any], slices: int | None) -> str:
    if not segment["volume_ml"]:
        text = _("{name}: 0 voxels").format(name=segment["name"])
    else:
        text = _("{name}: {volume:.1f} ml in {found} of {slices} slices").format(
            name=segment["name"], volume=segment["volume_ml"], found=segment["slices"], slices=slices
        )
    if segment["removed_pieces"]:
        text = _("{text}; {count} islands removed ({volume:.1f} ml)").format(
            text=text, count=segment["removed_pieces"], volume=segment["removed_ml"]
        )
    if segment["filled_ml"]:
        text = _("{text}; holes filled ({volume:.1f} ml)").format(text=text, volume=segment["filled_ml"])
    return text


def _plain(name: str) -> str:
    """A name as a file's: without what a file system refuses."""
    return "".join("_" if character in '\\/:*?"<>|' else character for character in name).strip() or "segmentation"
