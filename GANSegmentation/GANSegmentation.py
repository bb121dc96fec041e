"""GANSegmentation: segment organs in CT and MR volumes with GAN-trained networks.

The module is thin: `GANSegmentationPanel` talks to the scene and runs jobs, `GANSegmentationLib` reads, segments and
measures. Nothing of either is imported before it is needed, so that Slicer starts as fast as without the module.
"""

import importlib
import sys
import tempfile
from pathlib import Path

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


def resourcePath(filename: str) -> str:
    """The path of a file under Resources, which lies beside this file only in an installed extension."""
    from GANSegmentationPanel import makeLibraryImportable

    makeLibraryImportable()
    from GANSegmentationLib.resources import resource_path

    return str(resource_path(*filename.split("/")))


#
# GANSegmentation
#


class GANSegmentation(ScriptedLoadableModule):
    """The module as the application lists it."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("GAN Segmentation")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["GANSegmentation contributors"]
        self.parent.helpText = _(
            "Segments organs slice by slice with generators that were trained against a critic, and compares the "
            "result with a reference (Dice, IoU, Hausdorff distances). For research; not for clinical decisions."
        )
        self.parent.acknowledgementText = _(
            "The code is under the Apache License 2.0. The trained models that come with it are under CC BY-NC-SA 4.0, "
            "for research; the card of each model names its training data."
        )
        self._setIcon()

    def _setIcon(self):
        import qt

        self.parent.icon = qt.QIcon(self.resourcePath("Icons/GANSegmentation.png"))

    def resourcePath(self, filename):
        return resourcePath(filename)


#
# GANSegmentationParameterNode
#


@parameterNodeWrapper
class GANSegmentationParameterNode:
    """What the panel shows, saved with the scene."""

    inputVolume: vtkMRMLScalarVolumeNode
    outputSegmentation: vtkMRMLSegmentationNode
    modelId: str = ""  # empty: by the modality of the volume


#
# GANSegmentationWidget
#


class GANSegmentationWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: choices bound to the parameter node, one button that starts and cancels, and what came of it."""

    def __init__(self, parent=None):
        # Set first: without a parent, the base class calls setup() from its constructor.
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._warnings = []
        VTKObservationMixin.__init__(self)
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def resourcePath(self, filename):
        return resourcePath(filename)

    # Life of the panel

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/GANSegmentation.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = GANSegmentationLogic()
        self._fillModels()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.modelComboBox.connect("currentIndexChanged(int)", self.onModelChanged)
        self.initializeParameterNode()

    def cleanup(self):
        if self.logic:
            self.logic.cancel()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        self.initializeParameterNode()

    def exit(self):
        self.setParameterNode(None)

    def onReload(self):
        """Reload the module with its helpers; the base class reloads this file only."""
        for name in list(sys.modules):
            if name.partition(".")[0] in ("GANSegmentationLib", "GANSegmentationPanel"):
                del sys.modules[name]
        importlib.invalidate_caches()
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller=None, event=None):
        self.logic.cancel()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller=None, event=None):
        if self.parent.isEntered:
            self.initializeParameterNode()

    # Parameters

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            firstVolume = self._firstVolume()
            if firstVolume:
                self._parameterNode.inputVolume = firstVolume

    def _firstVolume(self):
        """The first volume that the selector offers, or None; labelmaps and colour images are volumes to the scene."""
        for volumeNode in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            if volumeNode.GetClassName() == "vtkMRMLScalarVolumeNode" and not volumeNode.GetHideFromEditors():
                return volumeNode
        return None

    def setParameterNode(self, parameterNode):
        """Bind the widgets to a parameter node, or to none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
        self._parameterNode = parameterNode
        self._parameterNodeGuiTag = None
        if parameterNode:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
            self.onParameterNodeModified()

    def onParameterNodeModified(self, caller=None, event=None):
        self._showModel()
        self._checkCanApply()

    def _fillModels(self):
        """List the models; the list is not fixed, so the combo box is bound by hand and not by the wrapper."""
        comboBox = self.ui.modelComboBox
        wasBlocked = comboBox.blockSignals(True)
        comboBox.clear()
        models = self.logic.models()
        if models:
            comboBox.addItem(_("Automatic, by modality"), "")
        for model in models:
            comboBox.addItem(model.card.title, model.card.id)
        comboBox.blockSignals(wasBlocked)

    def _showModel(self):
        """Show the parameter node's model; one that is not installed here is shown as no choice."""
        index = self.ui.modelComboBox.findData(self._parameterNode.modelId)
        if index != self.ui.modelComboBox.currentIndex:
            self.ui.modelComboBox.setCurrentIndex(index)
        chosen = [model for model in self.logic.models() if model.card.id == self._parameterNode.modelId]
        self.ui.modelDetailsLabel.text = summarizeModel(chosen[0]) if chosen else ""
        self.ui.modelDetailsLabel.toolTip = describeModel(chosen[0]) if chosen else ""

    def onModelChanged(self, index):
        if self._parameterNode and index >= 0:
            self._parameterNode.modelId = self.ui.modelComboBox.itemData(index)

    def _missing(self):
        """What is still to be chosen before a run, or None."""
        if not self._parameterNode or not self._parameterNode.inputVolume:
            return _("Choose a volume to segment.")
        if self.ui.modelComboBox.count == 0:
            return _("No model is installed. Import a model package first.")
        if self.ui.modelComboBox.currentIndex < 0:
            return _("The model {id} of this scene is not installed. Choose another one.").format(
                id=self._parameterNode.modelId
            )
        return None

    def _checkCanApply(self):
        if self.logic.isRunning:
            self.ui.applyButton.enabled = True
            self.ui.applyButton.text = _("Cancel")
            self.ui.applyButton.toolTip = _("Stop after the slices in hand. Nothing is changed.")
            return
        missing = self._missing()
        self.ui.applyButton.enabled = missing is None
        self.ui.applyButton.text = _("Apply")
        self.ui.applyButton.toolTip = missing or _("Segment the volume with the chosen model.")

    # The run

    def onApplyButton(self):
        """Start a run, or cancel the one that runs."""
        if self.logic.isRunning:
            self.logic.cancel()
            self.ui.statusLabel.text = _("Cancelling...")
            return
        from GANSegmentationLib.errors import GANSegmentationError

        parameters = self._parameterNode
        self._warnings = []
        self.ui.statusLabel.text = _("Preparing the volume...")
        self._showRunning(True)
        with slicer.util.tryWithErrorDisplay(_("The segmentation failed for a reason that was not foreseen.")):
            try:
                segmentationNode = self.logic.process(
                    parameters.inputVolume,
                    parameters.modelId or None,
                    parameters.outputSegmentation,
                    onEvent=self.onEvent,
                )
                if self._parameterNode:
                    self._parameterNode.outputSegmentation = segmentationNode
            except GANSegmentationError as error:
                self._showError(error)
            except Exception as error:
                self.ui.statusLabel.text = str(error)
                raise
            finally:
                self._showRunning(False)

    def onEvent(self, event):
        """Show what a run says of itself."""
        from GANSegmentationLib import protocol

        if isinstance(event, protocol.Progress):
            self.ui.progressBar.maximum = event.total
            self.ui.progressBar.value = event.done
            self.ui.statusLabel.text = describeProgress(event)
        elif isinstance(event, protocol.Warn):
            self._warnings.append(event.message)
        elif isinstance(event, protocol.Started):
            self._checkCanApply()  # from now on it can be cancelled
        elif isinstance(event, protocol.Result):
            self.ui.statusLabel.text = "\n".join([describeResult(event.result), *self._warnings])
        slicer.app.processEvents()

    def _showRunning(self, running):
        self.ui.inputsCollapsibleButton.enabled = not running
        self.ui.outputsCollapsibleButton.enabled = not running
        self.ui.progressBar.visible = running
        self.ui.progressBar.value = 0
        self._checkCanApply()

    def _showError(self, error):
        self.ui.statusLabel.text = str(error)
        if error.code != "cancelled":
            slicer.util.errorDisplay(str(error), detailedText=error.details)


def summarizeModel(model) -> str:
    """The few lines on a model that everybody reads before a run; the panel is narrow, the rest is the tooltip's."""
    card = model.card
    lines = [
        _("Finds {segments} in {modalities}.").format(
            segments=", ".join(segment.name for segment in model.labels), modalities=" / ".join(card.modalities)
        )
    ]
    dice = next((fact for fact in card.metrics if fact.name.lower() == "dice"), None)
    if dice:
        lines.append(
            _("Dice {mean:.3f} on {split}, n = {n}.").format(mean=dice.mean, split=dice.split, n=dice.n)
            if dice.ci95 is None
            else _("Dice {mean:.3f} ({low:.3f} to {high:.3f}) on {split}, n = {n}.").format(
                mean=dice.mean, low=dice.ci95[0], high=dice.ci95[1], split=dice.split, n=dice.n
            )
        )
    lines.append(_("Weights: {licence}. Point here for intended use and limits.").format(licence=card.weights_licence))
    return "\n".join(lines)


def describeModel(model) -> str:
    """The whole card for a tooltip: a line for each heading, escaped, for a card's words are not markup."""
    from html import escape

    from GANSegmentationLib.models import describe

    lines = [f"<b>{escape(heading)}</b>: {escape(text)}" for heading, text in describe(model)]
    return f"<p>{'<br>'.join(lines)}</p>"


def describeProgress(progress) -> str:
    """Slice i of n, and how long it will take."""
    text = _("{done} of {total} slices").format(done=progress.done, total=progress.total)
    if progress.seconds_left is None:
        return text
    return _("{progress}, {seconds} s left").format(progress=text, seconds=round(progress.seconds_left))


def describeResult(result) -> str:
    """What a run found, where and how fast."""
    volumes = ", ".join(f"{segment['name']}: {segment['volume_ml']:.1f} ml" for segment in result["segments"])
    return _("{volumes} ({seconds:.1f} s on {device})").format(
        volumes=volumes, seconds=result["seconds"], device=result["device"]
    )


#
# GANSegmentationLogic
#


class GANSegmentationLogic(ScriptedLoadableModuleLogic):
    """Segment and compare nodes of the scene, from the panel, the Python console or a script.

    Example::

        logic = slicer.util.getModuleLogic("GANSegmentation")
        segmentationNode = logic.process(slicer.util.getNode("CT"))
        for scores in logic.compare(segmentationNode, slicer.util.getNode("reference")):
            print(scores["name"], scores["dice"], scores["hd95_mm"])

    Every method raises `GANSegmentationLib.errors.GANSegmentationError` with what happened and what to do. `executor`
    runs the jobs (`GANSegmentationPanel.jobs`); None runs them in the application's own process.
    """

    def __init__(self, executor=None):
        ScriptedLoadableModuleLogic.__init__(self)
        from GANSegmentationPanel import makeLibraryImportable

        makeLibraryImportable()
        self._executor = executor
        self._library = None
        self._runs = 0

    def getParameterNode(self):
        return GANSegmentationParameterNode(super().getParameterNode())

    @property
    def executor(self):
        """What runs the jobs."""
        if self._executor is None:
            from GANSegmentationPanel.jobs import InlineExecutor

            self._executor = InlineExecutor()
        return self._executor

    @property
    def isRunning(self) -> bool:
        """Whether a job runs."""
        return self._executor is not None and self._executor.isRunning

    def cancel(self) -> None:
        """Stop the job that runs, if any; its `process` raises ``cancelled`` and the scene stays as it was."""
        if self.isRunning:
            self._executor.cancel()

    def models(self):
        """The models that can be used, shipped and imported: a list of `GANSegmentationLib.models.Package`."""
        if self._library is None:
            from GANSegmentationLib.models import ModelLibrary

            self._library = ModelLibrary()  # remembers the packages that it has opened
        return self._library.list("segmentation")

    def checkInput(self, volumeNodes, modelId=None, options=None) -> list[dict]:
        """What is suspicious about a volume for a model, before a run.

        The arguments are those of `process`. Gives a list of dicts with ``code`` and ``message``, empty if nothing is
        suspicious; what would stop a run is raised.
        """
        from GANSegmentationPanel.options import SegmentOptions

        from GANSegmentationLib import protocol

        options = options or SegmentOptions()
        with tempfile.TemporaryDirectory(prefix="ganseg-") as folder:
            request = protocol.RunCheck(
                id=self._nextRun(),
                folder=folder,
                volumes=_saveVolumes(volumeNodes, folder),
                model=modelId or "",
                domain=options.domain,
                force=options.force,
            )
            return list(self._run(request).result["warnings"])

    def process(self, volumeNodes, modelId=None, outputSegmentation=None, options=None, onEvent=None):
        """Segment a volume; returns when it is done.

        Parameters
        ----------
        volumeNodes:
            A scalar volume node, or a list of them on one grid for a model with several channels.
        modelId:
            The id of a model (`models`); None to choose by the modality of the first volume.
        outputSegmentation:
            The segmentation node to add the segments to; None for a new one beside the volume.
        options:
            A `GANSegmentationPanel.options.SegmentOptions`.
        onEvent:
            Called with every event of the run (`GANSegmentationLib.protocol`): progress, warnings, and at the end the
            result with times and volumes.

        Returns
        -------
        The segmentation node.
        """
        from GANSegmentationPanel import scene
        from GANSegmentationPanel.options import SegmentOptions

        from GANSegmentationLib import protocol
        from GANSegmentationLib.volumes.exchange import load_labelmap

        options = options or SegmentOptions()
        scene.checkOutput(outputSegmentation)
        with tempfile.TemporaryDirectory(prefix="ganseg-") as folder:
            request = protocol.RunSegment(
                id=self._nextRun(),
                folder=folder,
                volumes=_saveVolumes(volumeNodes, folder),
                model=modelId or "",
                device=options.device,
                domain=options.domain,
                force=options.force,
            )
            result = self._run(request, onEvent).result
            labelmap = load_labelmap(result["labelmap"], Path(folder))
        model = result["model"]
        algorithmName = f"{model['title']} {model['version']}"
        return scene.addLabelmapToSegmentation(
            labelmap, _asList(volumeNodes)[0], outputSegmentation, algorithmName=algorithmName
        )

    def compare(self, segmentationNode, referenceNode, surfaceToleranceMm=None, perSlice=False) -> list[dict]:
        """Score a segmentation against a reference on the same grid.

        Parameters
        ----------
        segmentationNode:
            The segmentation node to judge.
        referenceNode:
            A segmentation node or a labelmap volume node.
        surfaceToleranceMm:
            Also give the surface Dice with this tolerance.
        perSlice:
            Also give the scores of every slice.

        Returns
        -------
        A dict for each structure: ``name``, ``status``, ``dice``, ``iou``, ``hd_mm``, ``hd95_mm``, ... and ``chaos``
        (`GANSegmentationLib.metrics.LabelScores`); what is undefined or infinite is None.
        """
        from GANSegmentationPanel import scene

        from GANSegmentationLib import protocol
        from GANSegmentationLib.volumes.exchange import save_labelmap

        mask = scene.labelmapFromNode(segmentationNode)
        reference = scene.labelmapFromNode(referenceNode, mask.geometry)
        with tempfile.TemporaryDirectory(prefix="ganseg-") as folder:
            request = protocol.RunCompare(
                id=self._nextRun(),
                folder=folder,
                mask=save_labelmap(mask, Path(folder), "mask"),
                reference=save_labelmap(reference, Path(folder), "reference"),
                surface_tolerance_mm=surfaceToleranceMm,
                per_slice=perSlice,
            )
            return list(self._run(request).result["labels"])

    def addScoresTable(self, scores, name=None):
        """A table node with the scores of `compare`, a row for each structure; undefined scores are empty cells."""
        columns = [key for key, value in scores[0].items() if not isinstance(value, (dict, list))] if scores else []
        tableNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name or _("Comparison"))
        with slicer.util.NodeModify(tableNode):
            for column in columns:
                values = vtk.vtkStringArray()
                values.SetName(column)
                for row in scores:
                    values.InsertNextValue("" if row[column] is None else str(row[column]))
                tableNode.AddColumn(values)
        return tableNode

    def _nextRun(self) -> str:
        self._runs += 1
        return str(self._runs)

    def _run(self, request, onEvent=None):
        from GANSegmentationPanel import jobs

        return jobs.run(self.executor, request, onEvent)


def _asList(volumeNodes) -> list:
    return list(volumeNodes) if isinstance(volumeNodes, (list, tuple)) else [volumeNodes]


def _saveVolumes(volumeNodes, folder) -> tuple:
    from GANSegmentationPanel import scene

    from GANSegmentationLib.errors import GANSegmentationError
    from GANSegmentationLib.volumes.exchange import save_volume

    nodes = _asList(volumeNodes)
    if not nodes or any(node is None for node in nodes):
        raise GANSegmentationError("no_volume", _("There is no volume to segment."), action=_("Choose a volume."))
    return tuple(
        save_volume(scene.volumeFromNode(node), Path(folder), f"volume{channel}") for channel, node in enumerate(nodes)
    )


#
# GANSegmentationTest
#


class GANSegmentationTest(ScriptedLoadableModuleTest):
    """Runs the whole way in the application, with a model that comes with the extension and no download."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_SegmentSyntheticPatient()
        self.setUp()
        self.test_MissingVolume()

    def test_SegmentSyntheticPatient(self):
        """The default CT model finds the liver of a drawn patient, where it lies."""
        logic = GANSegmentationLogic()
        from GANSegmentationPanel import scene

        from GANSegmentationLib.datasets import synthetic_patient

        self.delayDisplay("Drawing the synthetic patient")
        volume, reference = synthetic_patient.make(seed=0)
        volumeNode = scene.addVolumeNode(volume)
        self.delayDisplay("Segmenting")
        segmentationNode = logic.process(volumeNode)
        found = scene.labelmapFromNode(segmentationNode)
        self.assertLess(found.geometry.corner_distance(volume.geometry), 1e-4)

        self.delayDisplay("Comparing")
        referenceNode = scene.addLabelmapToSegmentation(reference, volumeNode)
        scores = {row["name"]: row for row in logic.compare(segmentationNode, referenceNode)}
        self.assertGreaterEqual(scores["Liver"]["dice"], 0.90)
        self.delayDisplay("Dice of the liver: {:.3f}".format(scores["Liver"]["dice"]))

    def test_MissingVolume(self):
        """A run without a volume says what is missing."""
        logic = GANSegmentationLogic()
        from GANSegmentationLib.errors import GANSegmentationError

        with self.assertRaises(GANSegmentationError) as caught:
            logic.process(None)
        self.assertEqual(caught.exception.code, "no_volume")
