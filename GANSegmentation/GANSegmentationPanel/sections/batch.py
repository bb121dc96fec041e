"""Batch: a folder of scans, case by case, into a folder of masks, without touching the scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError

from ..jobs.job import Job
from .run import clock
from .section import Section, plain, setEnabled

_FORMATS = (
    ("seg.nrrd", "3D Slicer segmentation (.seg.nrrd)"),
    ("nii.gz", "NIfTI (.nii.gz)"),
    ("nrrd", "NRRD (.nrrd)"),
    ("mha", "MetaImage (.mha)"),
    ("dicom-seg", "DICOM SEG (.dcm)"),
)

_REPORTS = ("report.html", "summary.csv")
_STEPS = 100
"""Of the progress bar for each case."""


class BatchSection(Section):
    """Starts `ganseg batch` in the worker; a cancelled batch goes on when it is started again."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._isRunning = False
        self._output: Path | None = None
        self._rows: dict[str, int] = {}
        self._cases: protocol.Progress | None = None
        self._slices: protocol.Progress | None = None

    def setup(self) -> None:
        ui, preferences = self.ui, self.panel.preferences
        ui.batchFormatComboBox.clear()
        for name, title in _FORMATS:
            ui.batchFormatComboBox.addItem(title, name)
        for widget, kind in self._folders():
            widget.currentPath = preferences.lastFolder(kind)
            widget.connect("currentPathChanged(QString)", self._onFolder)
        ui.startBatchButton.connect("clicked(bool)", self.onStart)
        ui.openBatchReportButton.connect("clicked(bool)", self.onOpenReport)
        ui.batchProgressBar.visible = False
        self._clearTable()

    def refresh(self) -> None:
        busy = self.logic.isRunning and not self._isRunning
        button = self.ui.startBatchButton
        if self._isRunning:
            button.text = _("Cancel batch")
            job = self.logic.job
            isCancelled = job is not None and job.isCancelled
            setEnabled(
                button,
                _("The batch is being cancelled.") if isCancelled else None,
                _("Stop. What is done stays done; a new start goes on with the rest."),
            )
        else:
            button.text = _("Start batch")
            obstacle = _("Wait until the run has ended.") if busy else self._obstacle()
            setEnabled(button, obstacle, _("Segment every scan of the folder with the model that is chosen above."))
        for widget, _kind in self._folders():
            widget.enabled = not self._isRunning
        self.ui.batchFormatComboBox.enabled = self.ui.batchRetryCheckBox.enabled = not self._isRunning
        without = None if self._report() is not None else _("There is no report in the output folder yet.")
        setEnabled(self.ui.openBatchReportButton, without, _("Open the report, or the table of the cases."))

    def _folders(self) -> tuple[tuple[Any, str], ...]:
        return (
            (self.ui.batchInputEdit, "batchInput"),
            (self.ui.batchReferenceEdit, "batchReference"),
            (self.ui.batchOutputEdit, "batchOutput"),
        )

    def _obstacle(self) -> str | None:
        folder = self.ui.batchInputEdit.currentPath
        if not folder or not Path(folder).is_dir():
            return _("Choose the folder with the scans.")
        output = self.ui.batchOutputEdit.currentPath
        if not output:
            return _("Choose a folder for the masks.")
        if Path(output).exists() and Path(output).samefile(folder):
            return _("Choose another folder for the masks: in that of the scans they would be taken for scans.")
        references = self.ui.batchReferenceEdit.currentPath
        if references and not Path(references).is_dir():
            return _("The folder of the references is not there. Choose it, or leave it empty.")
        return None

    def _report(self) -> Path | None:
        """The report in the output folder, the table where there is none, None where there is neither."""
        folder = self._output or (self.ui.batchOutputEdit.currentPath and Path(self.ui.batchOutputEdit.currentPath))
        found = [folder / name for name in _REPORTS if (folder / name).is_file()] if folder else []
        return found[0] if found else None

    def _onFolder(self, path: str) -> None:
        self._output = None
        self.refresh()

    def onStart(self) -> None:
        """Start a batch, or cancel the one that runs."""
        if self._isRunning:
            self.logic.cancel()
            self.panel.refresh()
            return
        if not self.panel.canRun():
            return
        for widget, kind in self._folders():
            if widget.currentPath:
                self.panel.preferences.rememberFolder(kind, widget.currentPath)
                widget.addCurrentPathToHistory()
        parameters = self.parameters
        self._clearTable()
        self._isRunning, self._cases, self._slices = True, None, None
        self._output = Path(self.ui.batchOutputEdit.currentPath)
        self.ui.batchProgressBar.maximum = 0  # busy, until the cases are counted
        self.ui.batchProgressBar.setFormat(_("Looking for scans..."))
        self.ui.batchProgressBar.visible = True
        try:
            self.logic.startBatch(
                self.ui.batchInputEdit.currentPath,
                self._output,
                modelId=(parameters.modelId or None) if parameters is not None else None,
                referenceFolder=self.ui.batchReferenceEdit.currentPath or None,
                fileFormat=self.ui.batchFormatComboBox.itemData(self.ui.batchFormatComboBox.currentIndex),
                retryFailed=self.ui.batchRetryCheckBox.checked,
                device=self.panel.preferences.device,
                force=parameters.force if parameters is not None else False,
                onEvent=self.onEvent,
                onEnd=self.onEnd,
            )
        except GANSegmentationError as error:
            self._isRunning = False
            self.ui.batchProgressBar.visible = False
            self.panel.showError(error)
        self.panel.refresh()

    def onEvent(self, event: protocol.Message) -> None:
        """Show what the batch says of itself."""
        if isinstance(event, protocol.CaseDone):
            self._addCase(event.outcome)
        elif isinstance(event, protocol.Progress):
            if event.stage == "batch":
                self._cases, self._slices = event, None
            else:
                self._slices = event
            self._showProgress()
        elif isinstance(event, protocol.Warn):
            self.panel.log(event.message)
        if not self.logic.isInBackground:
            slicer.app.processEvents()

    def _showProgress(self) -> None:
        """The bar is at what is done of all cases, with the part of the case in hand."""
        cases, slices, bar = self._cases, self._slices, self.ui.batchProgressBar
        if cases is None:
            return
        part = slices.done / slices.total if slices is not None and slices.total else 0.0
        bar.maximum = max(cases.total, 1) * _STEPS
        bar.value = round(min(cases.done + part, cases.total) * _STEPS)
        text = _("Case {number} / {total}").format(number=min(cases.done + 1, cases.total), total=cases.total)
        if slices is not None:
            text = _("{case}, slice {done} / {total}").format(case=text, done=slices.done, total=slices.total)
        if cases.seconds_left is not None:
            text = _("{progress} - {time} left").format(progress=text, time=clock(cases.seconds_left))
        bar.setFormat(text)

    def onEnd(self, job: Job) -> None:
        """Show how the batch has ended."""
        self._isRunning = False
        self.ui.batchProgressBar.visible = False
        if job.error is None:
            counts = job.value
            self.panel.say(
                _("Batch: {done} done, {failed} failed. Results in {folder}").format(
                    done=counts["done"], failed=counts["failed"], folder=self._output
                )
            )
        elif job.isCancelled:
            self.panel.say(_("Batch cancelled. What is done stays; start it again to go on."))
        else:
            self.panel.showError(job.error)
        self.panel.refresh()

    def onOpenReport(self) -> None:
        """Open the report, or the table."""
        import qt

        report = self._report()
        if report is None:
            self.panel.refresh()
        elif not qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(report))):
            slicer.util.infoDisplay(_("The report is {path}").format(path=report))

    def _clearTable(self) -> None:
        table = self.ui.batchTable
        table.clearContents()
        table.setRowCount(0)
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Case"), _("Status"), _("Found")])
        table.visible = False
        self._rows = {}

    def _addCase(self, outcome: dict[str, Any]) -> None:
        import qt

        table = self.ui.batchTable
        table.visible = True
        row = self._rows.setdefault(outcome["case"], len(self._rows))
        table.setRowCount(len(self._rows))
        found = ", ".join(f"{each['name']} {each['volume_ml']:.0f} ml" for each in outcome.get("segments") or ())
        error = outcome.get("error") or {}
        texts = [outcome["case"], _statusText(outcome["status"]), found or str(error.get("message", ""))]
        told = (error.get("message"), error.get("cause"), error.get("action"))
        notes = [str(each["message"]) for each in outcome.get("warnings") or ()]
        toolTip = "\n".join([*(str(part) for part in told if part), *notes])
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
            item.setToolTip(plain(toolTip or text))
            table.setItem(row, column, item)
        table.scrollToBottom()


def _statusText(status: str) -> str:
    return {"done": _("done"), "failed": _("failed"), "pending": _("waiting")}.get(status, status)
