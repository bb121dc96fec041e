"""GANSegmentation: segment organs in CT and MR volumes with GAN-trained networks.

The module is thin: `GANSegmentationPanel` talks to the scene and runs jobs, `GANSegmentationLib` reads, segments and
measures. Nothing of either is imported before it is needed, so that Slicer starts as fast as without the module.
"""

import importlib
import sys
from enum import Enum
from typing import Annotated

import slicer
import vtk
from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTableNode,
)
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
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
        slicer.app.connect("startupCompleted()", registerSampleData)

    def _setIcon(self):
        import qt

        self.parent.icon = qt.QIcon(self.resourcePath("Icons/GANSegmentation.png"))

    def resourcePath(self, filename):
        return resourcePath(filename)


def registerSampleData():
    """Offer the synthetic patient in the Sample Data module, once the application is up."""
    from GANSegmentationPanel import makeLibraryImportable

    makeLibraryImportable()
    from GANSegmentationPanel import scene

    scene.registerSampleData(resourcePath("Icons/SyntheticPatient.png"))


#
# GANSegmentationParameterNode
#


class OutputMode(Enum):
    """Where a result goes (`GANSegmentationPanel.scene.OutputMode` has the rules)."""

    NEW = "new"
    ADD = "add"
    REPLACE = "replace"
    MERGE = "merge"

    def label(self):
        """The text in the panel."""
        return {
            "new": _("Make a new segmentation"),
            "add": _("Add segments to it"),
            "replace": _("Replace the same structures"),
            "merge": _("Unite with the same structures"),
        }[self.value]


@parameterNodeWrapper
class GANSegmentationParameterNode:
    """What the panel shows, saved with the scene; what belongs to a computer (its devices) is in the settings."""

    inputVolume: vtkMRMLScalarVolumeNode
    inputVolume1: vtkMRMLScalarVolumeNode  # further channels, for models that need them
    inputVolume2: vtkMRMLScalarVolumeNode
    inputVolume3: vtkMRMLScalarVolumeNode
    modelId: str = ""  # empty: by the modality of the volume
    domain: str = ""  # empty: by the modality of the volume
    roi: vtkMRMLMarkupsROINode
    useSliceRange: bool = False
    firstSlice: int = 0
    lastSlice: int = -1  # -1: the last there is
    allFrames: bool = False
    force: bool = False
    outputSegmentation: vtkMRMLSegmentationNode
    outputMode: OutputMode = OutputMode.NEW
    excludedSegments: list[str]
    referenceSegmentation: vtkMRMLSegmentationNode
    referenceLabelmap: vtkMRMLLabelMapVolumeNode
    metrics: list[str]  # empty: all
    surfaceTolerance: Annotated[float, WithinRange(0, 50)] = 0.0  # mm; 0: no surface Dice
    resampleReference: bool = False
    metricsTable: vtkMRMLTableNode


#
# GANSegmentationWidget
#


class GANSegmentationWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: sections around one parameter node and one logic (`GANSegmentationPanel.sections`)."""

    def __init__(self, parent=None):
        # Set first: without a parent, the base class calls setup() from its constructor.
        self.logic = None
        self.sections = []
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._isRefreshing = False
        self._lastError = None
        self._hierarchy = None
        self._shownModality = None
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
        self._setIcons()
        self.logic = GANSegmentationLogic()
        self._makeSections()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.initializeParameterNode()

    def _makeSections(self):
        from GANSegmentationPanel.sections.advanced import AdvancedSection
        from GANSegmentationPanel.sections.batch import BatchSection
        from GANSegmentationPanel.sections.check import CheckSection
        from GANSegmentationPanel.sections.comparison import ComparisonSection
        from GANSegmentationPanel.sections.inputs import InputsSection
        from GANSegmentationPanel.sections.log import LogSection
        from GANSegmentationPanel.sections.models import ModelsSection
        from GANSegmentationPanel.sections.output import OutputSection
        from GANSegmentationPanel.sections.results import ResultsSection
        from GANSegmentationPanel.sections.run import RunSection
        from GANSegmentationPanel.sections.status import StatusSection

        self.statusSection = StatusSection(self)
        self.inputsSection = InputsSection(self)
        self.modelsSection = ModelsSection(self)
        self.checkSection = CheckSection(self)
        self.outputSection = OutputSection(self)
        self.runSection = RunSection(self)
        self.resultsSection = ResultsSection(self)
        self.comparisonSection = ComparisonSection(self)
        self.batchSection = BatchSection(self)
        self.advancedSection = AdvancedSection(self)
        self.logSection = LogSection(self)
        self.sections = [
            *(self.statusSection, self.inputsSection, self.modelsSection, self.checkSection, self.outputSection),
            *(self.runSection, self.resultsSection, self.comparisonSection, self.batchSection),
            *(self.advancedSection, self.logSection),
        ]
        for section in self.sections:
            section.setup()

    def _setIcons(self):
        """The .ui file only names them: where they lie depends on the installation."""
        import qt

        for widget in vars(self.ui).values():
            name = widget.property("iconName")
            if name:
                widget.setIcon(qt.QIcon(self.resourcePath(f"Icons/{name}.svg")))

    def cleanup(self):
        self.setParameterNode(None)
        self.removeObservers()
        for section in self.sections:
            section.cleanup()
        self.sections = []
        if self.logic:
            self.logic.close()

    def enter(self):
        self.initializeParameterNode()
        self.statusSection.enter()

    def exit(self):
        self.setParameterNode(None)

    def onReload(self):
        """Reload the module with its helpers; the base class reloads this file only."""
        self.cleanup()
        for name in list(sys.modules):
            if name.partition(".")[0] in ("GANSegmentationLib", "GANSegmentationPanel"):
                del sys.modules[name]
        importlib.invalidate_caches()
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller=None, event=None):
        self.logic.cancelOfScene()
        self.setParameterNode(None)
        for section in self.sections:
            section.onSceneClosed()
        self.refresh()

    def onSceneEndClose(self, caller=None, event=None):
        if self.parent.isEntered:
            self.enter()

    def onSceneStartImport(self, caller=None, event=None):
        """While a scene is loaded, selectors choose what comes first, and would write it over the scene's choices."""
        self.setParameterNode(None)

    def onSceneEndImport(self, caller=None, event=None):
        """Show the choices of the scene that was loaded, when the selectors have all of its nodes."""
        import qt

        qt.QTimer.singleShot(0, self._onSceneImported)

    def _onSceneImported(self):
        if self.sections and self.parent.isEntered:  # else it was closed, or left, in between
            self.initializeParameterNode()

    # Parameters

    @property
    def parameters(self):
        """The parameter node that is shown; None while there is none."""
        return self._parameterNode

    def initializeParameterNode(self):
        self._observeHierarchy()
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            firstVolume = self._firstVolume()
            if firstVolume:
                self._parameterNode.inputVolume = firstVolume

    def _observeHierarchy(self):
        """Loading DICOM says the modality of a volume after the volume is there, and was chosen."""
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        if hierarchy is self._hierarchy:
            return
        event = slicer.vtkMRMLSubjectHierarchyNode.SubjectHierarchyItemModifiedEvent
        if self._hierarchy is not None:
            self.removeObserver(self._hierarchy, event, self.onHierarchyItemModified)
        self._hierarchy = hierarchy
        if hierarchy is not None:
            self.addObserver(hierarchy, event, self.onHierarchyItemModified)

    def onHierarchyItemModified(self, caller=None, event=None):
        """Show the panel again if the modality of the volume has become known."""
        if not self._parameterNode or self._isRefreshing:
            return
        if self.logic.modalityOf(self._parameterNode.inputVolume) != self._shownModality:
            self.refresh()

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
            # Not connectGui: it binds the same widgets, but keeps the tag to itself, and nothing could be unbound.
            self._parameterNodeGuiTag = parameterNode.connectParametersToGui(self._boundWidgets())
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
            self.onParameterNodeModified()

    def _boundWidgets(self):
        """The widgets that the .ui file binds to parameters, by the names of these."""
        named = ((widget.property("SlicerParameterName"), widget) for widget in vars(self.ui).values())
        return {name: widget for name, widget in named if name}

    def onParameterNodeModified(self, caller=None, event=None):
        self.refresh()

    def refresh(self):
        """Show the parameter node and the state of the jobs in all sections."""
        if self._isRefreshing:  # a section that changes the parameter node is shown by the round that it is in
            return
        self._isRefreshing = True
        self.modelsSection.forgetChoice()
        volumeNode = self._parameterNode.inputVolume if self._parameterNode else None
        self._shownModality = self.logic.modalityOf(volumeNode)
        try:
            for section in self.sections:
                section.refresh()
        finally:
            self._isRefreshing = False

    @property
    def isRefreshing(self):
        """Whether the sections are being shown; what is chosen does not change meanwhile."""
        return self._isRefreshing

    # What sections ask of the panel

    @property
    def preferences(self):
        """The settings of this computer."""
        return self.logic.preferences

    def package(self):
        """The model that a run would use; None if there is none."""
        return self.modelsSection.package()

    def volumes(self):
        """The volume nodes for the model's inputs."""
        return self.inputsSection.volumes()

    def domain(self):
        """The domain for a model with several; None for that of the volume's modality."""
        return self.inputsSection.domain()

    def sliceRange(self):
        """First and last slice of a run; None for all."""
        return self.inputsSection.sliceRange()

    def obstacle(self):
        """The first reason why a run cannot be started, as a sentence; None if it can."""
        for find in (
            *(self.inputsSection.obstacle, self.modelsSection.obstacle, self.inputsSection.modelObstacle),
            *(self.checkSection.obstacle, self.outputSection.obstacle),
        ):
            obstacle = find()
            if obstacle:
                return obstacle
        return None

    def canRun(self):
        """Whether what a run needs is installed; offers to install it."""
        return self.statusSection.canRun()

    def devices(self):
        """What computes here, as far as it is known."""
        return self.statusSection.devices()

    def onEvent(self, event):
        """Show what a job says of itself in the run row."""
        self.runSection.onEvent(event)

    def showResult(self, segmented, warnings):
        """Show what a segmentation brought."""
        parameterNode = self._parameterNode or self.logic.getParameterNode()  # the panel may have been left meanwhile
        parameterNode.outputSegmentation = segmented.segmentationNode
        self.resultsSection.show(segmented, warnings)

    def forgetModels(self):
        """The models on the disk have changed."""
        self.modelsSection.forgetModels()

    def diagnostics(self):
        """What a bug report needs, without anything of a patient."""
        return self.logic.diagnostics(
            probe=self.statusSection.probe,
            state=self.statusSection.state().code,
            error=self._lastError,
            log=self.ui.logTextEdit.toPlainText().splitlines(),
        )

    def log(self, text):
        """Add a line to the log."""
        self.logSection.add(text)

    def say(self, text):
        """Show a sentence in the run row, and log it."""
        self.showStage(text)
        if text:
            self.log(text)

    def showStage(self, text):
        """Show in the run row what is being done, at once: the application may do nothing else for a moment."""
        self.ui.stageLabel.text = text
        self.ui.stageLabel.repaint()

    def showError(self, error):
        """Say what went wrong: in the run row, in the log, in a dialog with the details."""
        from GANSegmentationLib.errors import GANSegmentationError

        self.say(str(error))
        if isinstance(error, GANSegmentationError):
            if error.code == "cancelled":
                return
            self._lastError = error.to_dict()
            details = error.details
        else:
            import traceback

            details = "".join(traceback.format_exception(error))
            self._lastError = {"code": type(error).__name__, "message": str(error), "details": details}
        self.logSection.open()
        self.refresh()  # before the dialog, which keeps whoever has called waiting
        slicer.util.errorDisplay(str(error), detailedText=details)


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

    `process`, `compare`, `checkInput`, `exportSegmentation` and `segmentFolder` return when they are done; `start` and
    its kind return a `GANSegmentationPanel.job.Job` at once. Errors are
    `GANSegmentationLib.errors.GANSegmentationError`, with what happened and what to do; of a job, `Job.result` raises
    them.

    Parameters
    ----------
    executor:
        Runs the jobs (`GANSegmentationPanel.jobs`). None: a background process where there is a main window and the
        settings want it, else this process.
    """

    def __init__(self, executor=None):
        ScriptedLoadableModuleLogic.__init__(self)
        from GANSegmentationPanel import makeLibraryImportable

        makeLibraryImportable()
        from GANSegmentationPanel.job_queue import JobQueue
        from GANSegmentationPanel.preferences import Preferences

        self._givenExecutor = self._executor = executor
        self._queue = JobQueue()
        self._library = None
        self._undoStep = None
        self.preferences = Preferences()

    def getParameterNode(self):
        return GANSegmentationParameterNode(super().getParameterNode())

    # What runs

    @property
    def executor(self):
        """What runs the jobs."""
        if self._executor is None:
            self._executor = self._makeExecutor()
        return self._executor

    def _makeExecutor(self):
        if not self._wantsProcess():
            from GANSegmentationPanel.jobs import InlineExecutor

            return InlineExecutor()
        from GANSegmentationPanel.process_executor import ProcessExecutor

        return ProcessExecutor(idleMinutes=self.preferences.idleMinutes)

    def _wantsProcess(self) -> bool:
        options = slicer.app.commandOptions()
        return not options.noMainWindow and self.preferences.runMode == "process"

    @property
    def hasBackground(self) -> bool:
        """Whether jobs run in a process of their own, so that the panel may ask something while nobody waits."""
        return bool(self.executor.isInBackground)

    isInBackground = hasBackground

    @property
    def job(self):
        """The user's job that runs; None if there is none."""
        return self._queue.job

    @property
    def isRunning(self) -> bool:
        """Whether a job of the user runs."""
        return self._queue.isRunning

    def cancel(self) -> None:
        """Stop the job that runs, if any; the scene stays as it was."""
        self._queue.cancel()

    def cancelAll(self) -> None:
        """Stop whatever runs, also what the panel asks in the background."""
        self._queue.cancelAll()

    def cancelOfScene(self) -> None:
        """Stop what is about nodes of the scene; a batch goes on, for it goes from files to files."""
        self._queue.cancelOfScene()

    def release(self) -> None:
        """Let go of the loaded model and the memory of the GPU."""
        if self._executor is not None:
            self._executor.release()

    def restartWorker(self) -> None:
        """End what runs the jobs; the next job begins with a new one, by the settings of then."""
        executor, self._executor = self._executor, self._givenExecutor  # first: who hears of a cancel may ask again
        self.cancelAll()
        if executor is not None:
            executor.shutdown()

    def applyPreferences(self) -> None:
        """Take over settings that need no new worker."""
        if self._executor is not None and self.hasBackground:
            self._executor.idleMinutes = self.preferences.idleMinutes

    def close(self) -> None:
        """Stop everything and let go of the scene; the panel goes away."""
        self.cancelAll()
        if self._executor is not None:
            self._executor.shutdown()
        if self._undoStep is not None:
            self._undoStep.close()
            self._undoStep = None

    # Models

    @property
    def library(self):
        """The models on this computer (`GANSegmentationLib.models.ModelLibrary`)."""
        folder = self.preferences.modelFolder
        if self._library is None or self._library.user != folder:
            from GANSegmentationLib.models import ModelLibrary

            self._library = ModelLibrary(user=folder)  # remembers the packages that it has opened
        return self._library

    def models(self):
        """The models that can be used, shipped and imported: a list of `GANSegmentationLib.models.Package`."""
        return self.library.list("segmentation")

    def package(self, modelId=None, volumeNode=None, force=False):
        """The model of an ID, else the one for the modality of a volume; raises as `ModelLibrary.get` and `choose`."""
        if modelId:
            return self.library.get(modelId)
        return self.library.choose(self.modalityOf(volumeNode), any_modality=force)

    def importModel(self, path, confirmReplace=None):
        """Check a model package and copy it into the user's library.

        Parameters
        ----------
        path:
            A ``.ganseg`` file or folder.
        confirmReplace:
            Asked with a sentence if that version of the model is there with other contents; None never replaces.

        Returns
        -------
        The `GANSegmentationLib.models.Package`; None if it was not to be replaced.
        """
        from GANSegmentationPanel import model_list

        return model_list.importModel(self.library, path, confirmReplace=confirmReplace or (lambda what: False))

    def removeModel(self, modelId) -> None:
        """Remove an imported model from this computer; raises as `ModelLibrary.remove`."""
        self.library.remove(modelId)

    def modalityOf(self, volumeNode):
        """The DICOM modality of a volume node; None where it is not known."""
        from GANSegmentationPanel import scene

        from GANSegmentationLib.errors import GANSegmentationError

        if volumeNode is None:
            return None
        try:
            return scene.volumeFromNode(volumeNode).modality
        except GANSegmentationError:
            return None

    def modalityProblem(self, package, volumeNode, force=False) -> str:
        """Why a model is not for the modality of a volume, as a sentence; empty where it is, or where forced."""
        modality = self.modalityOf(volumeNode)
        if force or modality is None or modality in package.card.modalities:
            return ""
        return _("{title} was made for {modalities}; {volume} is {modality}.").format(
            title=package.card.title,
            modalities=" / ".join(package.card.modalities),
            volume=volumeNode.GetName(),
            modality=modality,
        )

    # Segmenting

    def start(
        self,
        volumeNodes,
        modelId=None,
        outputSegmentation=None,
        options=None,
        onEvent=None,
        onEnd=None,
        onStarting=None,
    ):
        """Start to segment a volume, and return the job at once.

        Parameters
        ----------
        volumeNodes:
            A scalar volume node, or a list of them on one grid for a model with several channels.
        modelId:
            The ID of a model (`models`); None to choose by the modality of the first volume.
        outputSegmentation:
            The segmentation node that the result goes into; None for a new one beside the volume.
        options:
            A `GANSegmentationPanel.options.SegmentOptions`.
        onEvent:
            Called with every event of the run (`GANSegmentationLib.protocol`): stages, progress, warnings.
        onEnd:
            Called once with the job; `Job.result` gives a `GANSegmentationPanel.steps.Segmented`, or raises.
        onStarting:
            Called without arguments when the job is accepted, before voxels are handed over.

        Raises
        ------
        GANSegmentationError
            ``no_volume``; ``job_running``; as `package`.
        """
        from GANSegmentationPanel import scene, steps
        from GANSegmentationPanel.options import SegmentOptions

        nodes, options = steps.asList(volumeNodes), options or SegmentOptions()
        steps.requireVolume(nodes)
        scene.volumeFromNode(nodes[0])  # says what is wrong with it
        package = self.package(modelId, nodes[0], options.force)

        def finish(job) -> None:
            if job.error is None:
                self.undoStep.keep(job.value.wayBack)
            if onEnd is not None:
                onEnd(job)

        return self._start(
            lambda job: steps.segment(job, package, nodes, outputSegmentation, options), onEvent, finish, onStarting
        )

    def process(self, volumeNodes, modelId=None, outputSegmentation=None, options=None, onEvent=None):
        """Segment a volume; returns the segmentation node when it is done.

        The arguments are those of `start`; raises as `start` and as the job.
        """
        job = self.start(volumeNodes, modelId, outputSegmentation, options, onEvent)
        return self._finished(job).segmentationNode

    @property
    def undoStep(self):
        """The way back from the last result (`GANSegmentationPanel.scene.UndoStep`)."""
        if self._undoStep is None:
            from GANSegmentationPanel import scene

            self._undoStep = scene.UndoStep()
        return self._undoStep

    def undo(self) -> None:
        """Take the last result out of the scene again; raises ``undo_impossible`` with the reason."""
        self.undoStep.undo()

    def checkInput(self, volumeNodes, modelId=None, options=None) -> list[dict]:
        """What is suspicious about a volume for a model, before a run.

        The arguments are those of `start`. Gives a list of dicts with ``code`` and ``message``, empty if nothing is
        suspicious; what would stop a run is raised.
        """
        return self._finished(self._start(self._checkSteps(volumeNodes, modelId, options)))

    def startCheck(self, volumeNodes, modelId=None, options=None, onEnd=None):
        """As `checkInput`, in the background: it waits for other jobs, and makes way for those of the user."""
        return self._startInBackground("check", self._checkSteps(volumeNodes, modelId, options), onEnd)

    def _checkSteps(self, volumeNodes, modelId, options):
        from GANSegmentationPanel import scene, steps
        from GANSegmentationPanel.options import SegmentOptions

        nodes, options = steps.asList(volumeNodes), options or SegmentOptions()
        steps.requireVolume(nodes)
        scene.volumeFromNode(nodes[0])  # says what is wrong with it
        package = self.package(modelId, nodes[0], options.force)
        return lambda job: steps.check(job, package, nodes, options)

    def startProbe(self, onEnd=None):
        """Ask in the background what computes; the job's result is that of `GANSegmentationLib.worker.probe`."""
        from GANSegmentationPanel import steps

        return self._startInBackground("probe", steps.probe, onEnd)

    # Comparing

    def startComparison(self, segmentationNode, referenceNode, options=None, onEvent=None, onEnd=None):
        """Start to score a segmentation against a reference; the job gives a `GANSegmentationPanel.steps.Compared`.

        Parameters
        ----------
        segmentationNode:
            The segmentation node to judge.
        referenceNode:
            A segmentation node or a labelmap volume node.
        options:
            A `GANSegmentationPanel.options.CompareOptions`.
        """
        from GANSegmentationPanel import steps
        from GANSegmentationPanel.options import CompareOptions

        options = options or CompareOptions()
        return self._start(lambda job: steps.compare(job, segmentationNode, referenceNode, options), onEvent, onEnd)

    def compare(self, segmentationNode, referenceNode, surfaceToleranceMm=None, perSlice=False, options=None):
        """Score a segmentation against a reference.

        Parameters
        ----------
        segmentationNode, referenceNode:
            As `startComparison`.
        surfaceToleranceMm:
            Also give the surface Dice with this tolerance.
        perSlice:
            Also give the Dice of every slice.
        options:
            A `GANSegmentationPanel.options.CompareOptions` in the place of these two.

        Returns
        -------
        A dict for each structure: ``name``, ``reference_name``, ``status``, ``dice``, ``iou``, ``hd_mm``, ``hd95_mm``,
        ... and ``chaos`` (`GANSegmentationLib.metrics.LabelScores`); what is undefined or infinite is None.
        """
        from GANSegmentationPanel.options import CompareOptions

        options = options or CompareOptions(surfaceToleranceMm=surfaceToleranceMm, sliceScores=perSlice)
        return self._finished(self.startComparison(segmentationNode, referenceNode, options)).scores

    def addScoresTable(self, scores, name=None):
        """A table node with the scores of `compare`, a row for each structure."""
        from GANSegmentationPanel import scene

        return scene.showScores(scores, name=name or "")

    # Files

    def startExport(self, segmentationNode, path, volumeNode=None, onEnd=None):
        """Start to write a segmentation to a file; the ending decides the format, ``.dcm`` is DICOM SEG.

        Parameters
        ----------
        volumeNode:
            The volume that was segmented: DICOM SEG refers to its files.
        """
        from GANSegmentationPanel import steps

        return self._start(lambda job: steps.export(job, segmentationNode, volumeNode, path), None, onEnd)

    def exportSegmentation(self, segmentationNode, path, volumeNode=None):
        """As `startExport`; returns the path when it is written."""
        return self._finished(self.startExport(segmentationNode, path, volumeNode))

    def startBatch(
        self,
        inputFolder,
        outputFolder,
        modelId=None,
        referenceFolder=None,
        fileFormat="seg.nrrd",
        retryFailed=False,
        device="auto",
        force=False,
        onEvent=None,
        onEnd=None,
    ):
        """Start to segment a folder of scans; nothing of it goes into the scene.

        Parameters
        ----------
        inputFolder, outputFolder, referenceFolder:
            As ``ganseg batch``: masks and ledger go to the output, in the places of the scans. What is done there is
            not done again.
        modelId:
            The ID of a model; None chooses for each scan by its modality.
        fileFormat:
            ``seg.nrrd``, ``nii.gz``, ``nrrd``, ``mha``, ``dicom-seg``.
        """
        from GANSegmentationPanel import steps

        request = {
            "input": str(inputFolder),
            "output": str(outputFolder),
            "references": "" if referenceFolder is None else str(referenceFolder),
            "package": str(self.library.get(modelId).path) if modelId else "",
            "format": fileFormat,
            "retry_failed": retryFailed,
            "device": device,
            "force": force,
        }
        return self._start(lambda job: steps.batch(job, request), onEvent, onEnd)

    def segmentFolder(self, inputFolder, outputFolder, modelId=None, referenceFolder=None, **options) -> dict:
        """As `startBatch`; returns how many are ``done``, ``failed`` and ``pending``, and the path of the table."""
        return self._finished(self.startBatch(inputFolder, outputFolder, modelId, referenceFolder, **options))

    # About

    @property
    def version(self) -> str:
        """The version of the library."""
        import GANSegmentationLib

        return GANSegmentationLib.__version__

    def diagnostics(self, probe=None, state="", error=None, log=()) -> str:
        """What a bug report needs, without anything of a patient.

        Parameters
        ----------
        probe, state, error, log:
            What is known of them, as `GANSegmentationPanel.diagnostics.report`.
        """
        from GANSegmentationPanel import diagnostics

        nodes = slicer.util.getNodesByClass("vtkMRMLStorableNode")
        return diagnostics.report(
            extension=self.version,
            application=f"{slicer.app.applicationName} {slicer.app.applicationVersion}, "
            f"revision {slicer.app.repositoryRevision}",
            probe=probe,
            library=self.library,
            settings=self.preferences.toDict(),
            state=state,
            error=error,
            log=log,
            names=[node.GetName() for node in nodes if node.GetName()],
        )

    def _start(self, makeSteps, onEvent=None, onEnd=None, onStarting=None):
        from GANSegmentationPanel.job import Job

        job = Job(self.executor, makeSteps, onEvent, onEnd)
        self._queue.start(job, onStarting)
        return job

    def _startInBackground(self, kind, makeSteps, onEnd):
        from GANSegmentationPanel.job import Job

        job = Job(self.executor, makeSteps, None, onEnd)
        self._queue.startInBackground(kind, job)
        return job

    def _finished(self, job):
        job.wait()
        return job.result()


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
