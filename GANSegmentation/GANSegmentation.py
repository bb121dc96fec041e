"""GANSegmentation: segment organs in CT and MR volumes with GAN-trained networks.

The module is thin: `GANSegmentationPanel` talks to the scene and runs jobs (`GANSegmentationPanel.logic` is what
scripts use), `GANSegmentationLib` reads, segments and measures. Of the library nothing is imported before it is
needed, so that Slicer starts as fast as without the module.
"""

import importlib
import sys

import slicer
import vtk
from GANSegmentationPanel.logic import GANSegmentationLogic
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
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
    from GANSegmentationPanel import sample_data

    sample_data.registerSampleData(resourcePath("Icons/SyntheticPatient.png"))


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
