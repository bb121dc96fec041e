"""Compare with a reference: pairs of segments, scores, the slices that agree least, what is wrong where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError

from .. import scene
from ..jobs.job import Job
from ..jobs.options import CompareOptions
from ..jobs.steps import Compared
from .pairs import PairsTable
from .section import Section, fillCheckable, setEnabled, uncheckedOf

_WORST = 20


class ComparisonSection(Section):
    """The segmentation that is chosen as output, against a segmentation or labelmap of the scene.

    What is shown always belongs to the nodes and pairs that are chosen: scores of others, or of voxels that have
    changed since, are not shown.
    """

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._pairs = PairsTable(self.ui.pairsTable, self.onPair)
        self._job: Job | None = None
        self._compared: Compared | None = None
        self._comparedState: Any = None
        self._tableState: Any = None
        self._worst: list[tuple[Any, ...]] = []
        self._shownMetrics: frozenset[str] | None = None
        self._wantsErrors = False

    def setup(self) -> None:
        ui = self.ui
        ui.referenceSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onReference)
        ui.metricsComboBox.connect("checkedIndexesChanged()", self.onMetrics)
        ui.compareButton.connect("clicked(bool)", self.onCompare)
        ui.worstSlicesList.connect("itemDoubleClicked(QListWidgetItem*)", self.onWorstSlice)
        ui.worstSlicesList.connect("itemActivated(QListWidgetItem*)", self.onWorstSlice)
        ui.errorOverlayCheckBox.connect("toggled(bool)", self.onErrorOverlay)
        ui.exportCsvButton.connect("clicked(bool)", self.onExportCsv)

    def reference(self) -> Any:
        """The chosen reference: a segmentation or a labelmap volume; None if there is none."""
        parameters = self.parameters
        if parameters is None:
            return None
        return parameters.referenceSegmentation or parameters.referenceLabelmap

    def refresh(self) -> None:
        parameters = self.parameters
        if parameters is None:
            return
        if self.ui.referenceSelector.currentNode() is not self.reference():
            self.ui.referenceSelector.setCurrentNode(self.reference())
        self._showMetrics()
        self._showPairs()
        if self._compared is not None and self._state() != self._comparedState:
            self._forget()
        self._showTable()
        self._showButtons()

    def onSceneClosed(self) -> None:
        self._forget()
        self._tableState, self._wantsErrors = None, False
        self.ui.metricsTableView.setMRMLTableNode(None)

    def cleanup(self) -> None:
        scene.hideErrors()
        self._compared = None

    # What is chosen

    def _state(self) -> Any:
        """What scores depend on: nodes, voxels and pairs; None while there is nothing to compare."""
        mask, reference = self.parameters.outputSegmentation, self.reference()
        if mask is None or reference is None:
            return None
        return scene.contentStamp(mask), scene.contentStamp(reference), tuple(self._pairs.chosen())

    def _obstacle(self) -> str | None:
        if self.parameters.outputSegmentation is None:
            return _("There is no segmentation to compare. Choose it under Output.")
        if self.reference() is None:
            return _("Choose a reference.")
        if self.reference() is self.parameters.outputSegmentation:
            return _("The reference is the segmentation itself. Choose another one.")
        if not any(pair.isComplete for pair in self._pairs.chosen()):
            return _("No structure is chosen on both sides. Choose in the table which belong together.")
        return None

    def _metrics(self) -> list[str]:
        """The chosen metrics, all if none is."""
        left = set(uncheckedOf(self.ui.metricsComboBox))
        return [metric for metric in scene.metricTitles() if metric not in left] or list(scene.metricTitles())

    # What a user does

    def onReference(self, node: Any) -> None:
        """Another reference."""
        if self.parameters is None or node is self.reference():
            return
        isSegmentation = node is not None and node.IsA("vtkMRMLSegmentationNode")
        with slicer.util.NodeModify(self.parameters.parameterNode):
            self.parameters.referenceSegmentation = node if isSegmentation else None
            self.parameters.referenceLabelmap = None if isSegmentation else node

    def onMetrics(self) -> None:
        """Metrics were checked or unchecked."""
        if self.parameters is None:
            return
        chosen = self._metrics()
        isNone = len(uncheckedOf(self.ui.metricsComboBox)) == self.ui.metricsComboBox.count
        self._shownMetrics = None if isNone else frozenset(chosen)  # None: all are checked again, for all are shown
        self.parameters.metrics = chosen
        if self._compared is not None:
            self._writeTable()
        self.panel.refresh()

    def onPair(self) -> None:
        """Another partner for a segment."""
        self.panel.refresh()

    def onCompare(self) -> None:
        """Compute the scores in the worker, or cancel that."""
        if self._job is not None:
            self.logic.cancel()
            self.panel.refresh()
            return
        parameters = self.parameters
        tolerance = parameters.surfaceTolerance
        options = CompareOptions(
            pairs=self._pairs.chosen(),
            metrics=(*scene.metricTitles(), "surface_tolerance_mm"),
            surfaceToleranceMm=tolerance if tolerance > 0 else None,
            resample=parameters.resampleReference,
        )
        asked = self._state()
        self._forget()
        self.ui.stageLabel.text = _("Handing over the segments...")
        self.ui.stageLabel.repaint()  # their voxels are read and written next
        try:
            job = self.logic.startComparison(
                parameters.outputSegmentation,
                self.reference(),
                options,
                onEvent=self.panel.onEvent,
                onEnd=lambda job: self._onEnd(job, asked),
            )
            self._job = None if job.hasEnded else job
        except GANSegmentationError as error:
            self.panel.showError(error)
        self.panel.refresh()

    def _onEnd(self, job: Job, asked: Any) -> None:
        self._job = None
        if job.error is None and (self.parameters is None or self._state() != asked):
            self.panel.say(_("What was compared has changed meanwhile, so the scores are not shown. Compare again."))
        elif job.error is None:
            self._compared, self._comparedState = job.value, asked
            self._writeTable()
            self._showWorst()
            self.panel.say("\n".join(job.value.comparison.notes))
            self.ui.errorOverlayCheckBox.checked = self._wantsErrors
        elif job.isCancelled:
            self.panel.say(_("Cancelled. Nothing was changed."))
        else:
            self.panel.showError(job.error)
        self.panel.refresh()

    def onWorstSlice(self, item: Any) -> None:
        """Show the slice in the views."""
        row = self.ui.worstSlicesList.row(item)
        if 0 <= row < len(self._worst):
            scene.jumpToRas(self._worst[row][1].ras)

    def onErrorOverlay(self, checked: bool) -> None:
        """Show or hide the errors."""
        if not checked or self._compared is None:
            self._wantsErrors = False
            scene.hideErrors()
            return
        self._wantsErrors = True
        try:
            self._showErrors()
        except GANSegmentationError as error:
            self.panel.showError(error)

    def onExportCsv(self) -> None:
        """Ask for a file and write the scores to it."""
        import qt

        start = str(Path(self.panel.preferences.lastFolder("export") or Path.home()) / "comparison.csv")
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Export the scores"), start, "*.csv")
        if path:
            self.exportCsv(path if Path(path).suffix else f"{path}.csv")

    def exportCsv(self, path: str) -> None:
        """Write the scores to a CSV file."""
        try:
            written = scene.writeScores(self._compared.scores, path, self._metrics())
        except GANSegmentationError as error:
            self.panel.showError(error)
            return
        self.panel.preferences.rememberFolder("export", path)
        self.panel.say(_("Written to {path}").format(path=written))

    # What is shown

    def _forget(self) -> None:
        """Scores of other nodes, pairs or voxels are shown no more; errors come back with the next scores."""
        self._compared, self._comparedState, self._worst = None, None, []
        self.ui.worstSlicesList.clear()
        wanted = self._wantsErrors
        self.ui.errorOverlayCheckBox.checked = False
        self._wantsErrors = wanted

    def _showMetrics(self) -> None:
        titles = scene.metricTitles()
        chosen = set(self.parameters.metrics) & titles.keys() or set(titles)
        if frozenset(chosen) != self._shownMetrics:
            self._shownMetrics = frozenset(chosen)
            fillCheckable(
                self.ui.metricsComboBox, [(title, metric) for metric, title in titles.items()], titles.keys() - chosen
            )

    def _showPairs(self) -> None:
        try:
            self._pairs.show(self.parameters.outputSegmentation, self.reference())
        except GANSegmentationError as error:
            self.panel.log(str(error))

    def _showButtons(self) -> None:
        button = self.ui.compareButton
        if self._job is not None:
            button.text = _("Cancel")
            obstacle = _("The comparison is being cancelled.") if self._job.isCancelled else None
            setEnabled(button, obstacle, _("Stop the comparison. Nothing is changed."))
        else:
            button.text = _("Compare")
            busy = _("Wait until the run has ended.") if self.logic.isRunning else None
            setEnabled(button, busy or self._obstacle(), _("Compute the scores; this takes a few seconds."))
        without = None if self._compared is not None else _("Compare first.")
        setEnabled(self.ui.exportCsvButton, without, _("Write the scores to a CSV file."))
        setEnabled(self.ui.errorOverlayCheckBox, without, _("Show false positives and false negatives in the views."))

    def _writeTable(self) -> None:
        mask, reference, table = self.parameters.outputSegmentation, self.reference(), self.parameters.metricsTable
        name = _("{name} comparison").format(name=mask.GetName())
        isOfOthers = table is not None and not scene.areScoresOf(table, mask, reference)
        table = scene.showScores(self._compared.scores, table, self._metrics(), name)
        if isOfOthers:
            table.SetName(slicer.mrmlScene.GenerateUniqueName(name))
        table.SetDescription("\n".join(self._compared.comparison.notes))
        scene.bindScores(table, mask, reference)
        self._tableState = table.GetID(), self._comparedState
        self.parameters.metricsTable = table

    def _showTable(self) -> None:
        """The table, if it has the scores of what is chosen; one that came with a scene says so itself."""
        table = self.parameters.metricsTable
        isCurrent = scene.areScoresOf(table, self.parameters.outputSegmentation, self.reference())
        if isCurrent and self._tableState is not None and self._tableState[0] == table.GetID():
            isCurrent = self._state() == self._tableState[1]
        shown = table if isCurrent else None
        self.ui.metricsTableView.visible = isCurrent
        if self.ui.metricsTableView.mrmlTableNode() is not shown:
            self.ui.metricsTableView.setMRMLTableNode(shown)

    def _showWorst(self) -> None:
        """The slices of all structures that agree least, worst first."""
        found: list[tuple[Any, ...]] = []
        for row in self._compared.scores:
            job = self._compared.comparison.jobs[row["job"]]
            worst = scene.worstSlices(row, job.mask, job.reference, row["value"], count=_WORST)
            found.extend((row, each) for each in worst)
        found.sort(key=lambda pair: (pair[1].dice, -pair[1].errorAreaMm2))
        self._worst = found[:_WORST]
        self.ui.worstSlicesList.clear()
        for row, each in self._worst:
            self.ui.worstSlicesList.addItem(
                _("{name}, slice {index}: Dice {dice:.3f}, {area:.0f} mm² wrong").format(
                    name=row["name"], index=each.index, dice=each.dice, area=each.errorAreaMm2
                )
            )

    def _showErrors(self) -> None:
        """The errors of all structures; those that overlap lie in labelmaps of their own."""
        scores, jobs = self._compared.scores, self._compared.comparison.jobs
        first, *others = (
            (job.mask, job.reference, [row["value"] for row in scores if row["job"] == number])
            for number, job in enumerate(jobs)
        )
        scene.showErrors(*first, self.parameters.outputSegmentation, others=others)
