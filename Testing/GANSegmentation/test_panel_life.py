"""The life of the panel: opened, left, reloaded, scenes saved, loaded and closed."""

from __future__ import annotations

import sys

import pytest
import slicer
import slicer.util
import vtk

from Testing.GANSegmentation.panels import add_scan, choose, close, run_to_end, segmentations, shown
from Testing.slicer_host import application as host
from Testing.slicer_host import pythonqt
from Testing.slicer_host.dialogs import dialogs


@pytest.fixture
def filled(widget):
    """The panel with every choice another than the first."""
    first, second = add_scan("first"), add_scan("zweites ü")
    choose(widget, second, "tiny-liver")
    run_to_end(widget)
    ui = widget.ui
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    ui.roiSelector.setCurrentNode(roi)
    ui.sliceRangeCheckBox.click()
    ui.sliceRangeWidget.setValues(1, 3)
    ui.forceCheckBox.click()
    ui.outputModeComboBox.setCurrentIndex(ui.outputModeComboBox.findText("Replace the same structures"))
    ui.inputVolumeSelector1.setCurrentNode(first)
    widget.parameters.domain = "CT"
    widget.parameters.excludedSegments = ["Spleen"]
    widget.parameters.referenceSegmentation = segmentations()[0]
    widget.parameters.surfaceTolerance = 2.5
    widget.parameters.resampleReference = True
    widget.parameters.metrics = ["dice", "hd95_mm"]
    return widget


def load_scene(widget, path):
    slicer.util.loadScene(str(path))
    if widget.parent.isEntered:
        assert host.wait_until(lambda: widget.parameters is not None, 5)


def choices(widget) -> dict:
    """What is chosen, with nodes by their names; a scene gives new IDs."""
    found = {}
    for name in type(widget.parameters).allParameters:
        value = getattr(widget.parameters, name)
        found[name] = value.GetName() if isinstance(value, slicer.vtkMRMLNode) else value
    return {name: list(value) if name in ("metrics", "excludedSegments") else value for name, value in found.items()}


@pytest.mark.parametrize("ending", ["mrb", "mrml"])
def test_all_choices_survive_saving_and_loading_the_scene(filled, tmp_path, ending):
    before = choices(filled)
    assert before["inputVolume"] == "zweites ü" and before["roi"] == "box" and before["inputVolume1"] == "first"
    assert (before["firstSlice"], before["lastSlice"]) == (1, 3)
    path = tmp_path / f"scene.{ending}"
    if ending == "mrml":  # a scene without its files' names is of no use
        for node in slicer.util.getNodesByClass("vtkMRMLStorableNode"):
            if node.GetStorageNode() is None and node.GetHideFromEditors() == 0:
                node.AddDefaultStorageNode()
        for node in [*slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"), *segmentations()]:
            suffix = ".seg.nrrd" if node.IsA("vtkMRMLSegmentationNode") else ".nrrd"
            assert slicer.util.saveNode(node, str(tmp_path / f"{node.GetID()}{suffix}"))
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(0)
    assert filled.parameters.modelId == ""
    assert filled.ui.applyButton.enabled is False
    load_scene(filled, path)
    assert choices(filled) == before
    ui = filled.ui
    assert ui.inputVolumeSelector.currentNode().GetName() == "zweites ü"
    assert ui.outputModeComboBox.currentText == "Replace the same structures"
    assert ui.sliceRangeCheckBox.checked and ui.forceCheckBox.checked
    assert (ui.sliceRangeWidget.minimumValue, ui.sliceRangeWidget.maximumValue) == (1, 3)
    assert ui.modelListWidget.currentItem().text().startswith("Tiny liver")
    assert not ui.undoButton.enabled and "no result to undo" in ui.undoButton.toolTip


def test_a_new_scene_asks_for_everything_and_overwrites_nothing(widget):
    """The defaults, as scripts find them: no slice is left out, no segmentation is touched."""
    parameters = widget.logic.getParameterNode()
    assert (parameters.firstSlice, parameters.lastSlice, parameters.useSliceRange) == (0, -1, False)
    assert parameters.outputMode.name == "NEW"
    assert (parameters.modelId, parameters.domain, parameters.force, parameters.allFrames) == ("", "", False, False)
    assert list(parameters.excludedSegments) == list(parameters.metrics) == []


def test_nothing_of_this_computer_goes_into_the_scene(filled, tmp_path):
    node = filled.parameters.parameterNode
    values = " ".join(node.GetParameter(name) for name in node.GetParameterNames())
    assert str(tmp_path) not in values and "process" not in values


def test_a_scene_of_a_computer_with_other_models_says_which_is_missing(filled, tmp_path):
    path = tmp_path / "scene.mrb"
    filled.parameters.modelId = "from-elsewhere"
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(0)
    load_scene(filled, path)
    assert filled.ui.applyButton.enabled is False
    assert "from-elsewhere" in filled.ui.applyButton.toolTip
    choose(filled, model="tiny-liver")
    assert filled.ui.applyButton.enabled is True, filled.ui.applyButton.toolTip


def test_a_scene_that_is_loaded_while_the_panel_is_closed_is_shown_when_it_opens(filled, tmp_path):
    path = tmp_path / "scene.mrb"
    before = choices(filled)
    assert slicer.util.saveScene(str(path))
    filled.exit()
    filled.parent.isEntered = False
    slicer.mrmlScene.Clear(0)
    load_scene(filled, path)
    for _turn in range(3):  # what the end of the import has put off to the next turn of the event loop
        slicer.app.processEvents()
    assert filled.parameters is None
    filled.parent.isEntered = True
    filled.enter()
    assert choices(filled) == before


def test_closing_the_scene_empties_the_panel(filled):
    slicer.mrmlScene.Clear(0)
    ui = filled.ui
    assert ui.inputVolumeSelector.currentNode() is None
    assert ui.applyButton.enabled is False
    assert ui.resultsCollapsibleButton.isHidden() and ui.resultLabel.text == ""
    other = add_scan("next")
    choose(filled, other, "tiny-liver")
    assert filled.parameters.inputVolume is other
    assert ui.applyButton.enabled is True


@pytest.mark.parametrize("name", ["inputVolume", "outputSegmentation", "roi", "referenceSegmentation"])
def test_a_node_that_is_removed_is_forgotten(filled, name):
    node = getattr(filled.parameters, name)
    slicer.mrmlScene.RemoveNode(node)
    filled.refresh()
    now = getattr(filled.parameters, name)
    assert now is None or (name == "inputVolume" and now is not node)


def test_leaving_the_panel_unbinds_it(widget):
    node = widget.parameters.parameterNode
    bound = widget.parameters
    assert widget.hasObserver(bound, vtk.vtkCommand.ModifiedEvent, widget.onParameterNodeModified)
    widget.exit()
    volume_node = add_scan()
    widget.ui.inputVolumeSelector.setCurrentNode(volume_node)
    assert node.GetNodeReference("inputVolume") is None
    assert not widget.hasObserver(bound, vtk.vtkCommand.ModifiedEvent, widget.onParameterNodeModified)


def test_a_panel_that_was_closed_hears_nothing_any_more(module, scene, tiny_model):
    widget, panel = host.show_panel(module)
    pythonqt.slot_errors.clear()
    close(widget, panel)
    add_scan()
    slicer.mrmlScene.Clear(0)
    assert not widget.Observations
    assert widget.parameters is None
    assert not pythonqt.slot_errors


def test_entering_and_leaving_again_and_again_binds_once(widget):
    for _ in range(3):
        widget.exit()
        widget.enter()
    written = []
    bound = widget.parameters
    bound.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: written.append(1))
    widget.ui.forceCheckBox.click()
    assert bound.force is True
    assert len(written) == 1


def test_the_module_is_reloaded_with_its_helpers_and_works(widget, module, tiny_model):
    """Complaint: Reload is broken."""
    ours = ("GANSegmentationLib", "GANSegmentationPanel")
    kept = {name: found for name, found in sys.modules.items() if name.partition(".")[0] in (*ours, "GANSegmentation")}
    choose(widget, add_scan(), tiny_model)
    try:
        widget.onReload()
        assert [name for name in sys.modules if name.partition(".")[0] in ours] == []
        del sys.modules["GANSegmentation"]
        fresh = host.load_module(host.Path(module.__file__))
        assert fresh is not module
        with shown(fresh) as again:
            assert again.parameters.modelId == tiny_model, "the scene keeps the choices"
            run_to_end(again)
            assert len(segmentations()) == 1
    finally:
        for name in [each for each in sys.modules if each.partition(".")[0] in (*ours, "GANSegmentation")]:
            del sys.modules[name]
        sys.modules.update(kept)
        host.load_module(host.Path(module.__file__))


def test_the_panel_can_be_made_without_a_parent(module, scene, tiny_model):
    """As Slicer's generic tests do."""
    pythonqt.slot_errors.clear()
    widget = module.GANSegmentationWidget()
    assert widget.ui.applyButton.text == "Apply"
    widget.cleanup()
    widget.parent.deleteLater()
    assert not pythonqt.slot_errors


def test_nothing_pops_up_when_the_panel_opens(module, scene, tiny_model, application, monkeypatch):
    monkeypatch.setattr(application, "_testing", False)
    dialogs.clear()
    with shown(module):
        slicer.app.processEvents()
        assert dialogs.shown == []


def test_the_module_describes_itself(module):
    import qt

    description = slicer.modules.gansegmentation
    assert description.title == "GAN Segmentation"
    assert description.categories == ["Segmentation"]
    assert "CC BY-NC-SA 4.0" in description.acknowledgementText
    assert not qt.QIcon(description.icon).isNull()
    assert qt.QIcon(description.icon).pixmap(128, 128).width() == 128


def test_the_start_of_the_application_lists_the_sample_once(module, application, monkeypatch):
    from Testing.slicer_host.services import SampleDataLogic

    monkeypatch.setattr(SampleDataLogic, "categories", {})
    monkeypatch.setattr(SampleDataLogic, "titles", {})
    pythonqt.slot_errors.clear()
    application.startupCompleted.emit()
    application.startupCompleted.emit()
    assert pythonqt.slot_errors == []
    (source,) = SampleDataLogic.sampleDataSourcesByCategory("GANSegmentation")
    assert source.sampleName == "GANSegmentationSyntheticPatient"
    assert source.thumbnailFileName.endswith("SyntheticPatient.png")


def test_the_sample_is_registered_when_the_application_is_up(module, application, monkeypatch):
    from GANSegmentationPanel import sample_data

    registered = []
    monkeypatch.setattr(sample_data, "registerSampleData", registered.append)
    module.registerSampleData()
    assert registered[0].endswith("SyntheticPatient.png")
