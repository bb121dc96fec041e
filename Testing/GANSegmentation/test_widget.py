"""The panel: what can be chosen, what is missing, and what a run says."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from Testing.tiny_model import tiny_scan


@pytest.fixture
def border(scene):
    from GANSegmentationPanel import scene as border

    return border


def choose(widget, volume_node=None, model=None):
    if volume_node is not None:
        widget.ui.inputVolumeSelector.setCurrentNode(volume_node)
    if model is not None:
        widget.ui.modelComboBox.setCurrentIndex(widget.ui.modelComboBox.findData(model))


def test_an_empty_scene_says_what_is_missing(widget):
    assert widget.ui.applyButton.enabled is False
    assert widget.ui.applyButton.toolTip == "Choose a volume to segment."


def test_a_volume_makes_apply_possible(widget, border):
    volume_node = border.addVolumeNode(tiny_scan())
    choose(widget, volume_node)
    assert widget._parameterNode.inputVolume is volume_node
    assert widget.ui.applyButton.enabled is True
    slicer.mrmlScene.RemoveNode(volume_node)
    assert widget.ui.applyButton.enabled is False


def test_labelmaps_are_not_offered_as_input(widget, border):
    slicer.util.addVolumeFromArray(np.zeros((3, 4, 5), np.uint8), nodeClassName="vtkMRMLLabelMapVolumeNode")
    assert widget.ui.inputVolumeSelector.nodeCount() == 0


def test_a_panel_opened_late_takes_the_first_volume(module, scene, border, tiny_model):
    from Testing.slicer_host import application

    volume_node = border.addVolumeNode(tiny_scan())
    widget, panel = application.show_panel(module)
    assert widget.ui.inputVolumeSelector.currentNode() is volume_node
    widget.cleanup()
    panel.deleteLater()


def test_a_panel_opened_late_passes_over_labelmaps_and_hidden_volumes(module, scene, border, tiny_model):
    from Testing.slicer_host import application

    slicer.util.addVolumeFromArray(np.zeros((3, 4, 5), np.uint8), nodeClassName="vtkMRMLLabelMapVolumeNode")
    border.addVolumeNode(tiny_scan()).SetHideFromEditors(True)
    volume_node = border.addVolumeNode(tiny_scan())
    widget, panel = application.show_panel(module)
    assert widget._parameterNode.inputVolume is volume_node
    assert widget.ui.applyButton.enabled is True
    widget.cleanup()
    panel.deleteLater()


def test_the_models_are_listed_with_a_choice_by_modality_first(widget):
    combo_box = widget.ui.modelComboBox
    assert combo_box.itemData(0) == ""
    assert "Tiny liver" in [combo_box.itemText(i) for i in range(combo_box.count)]
    assert combo_box.currentIndex == 0


def test_a_chosen_model_is_described_and_kept_in_the_scene(widget, tiny_model):
    choose(widget, model=tiny_model)
    assert widget._parameterNode.modelId == tiny_model
    label = widget.ui.modelDetailsLabel
    assert "Liver" in label.text and "CC" in label.text
    assert label.text.count("\n") <= 3, "a narrow panel has no room for the whole card"
    assert "Not for use." in label.toolTip and "Not for use." not in label.text
    widget.exit()
    widget.enter()
    assert widget.ui.modelComboBox.currentData == tiny_model


def test_a_model_of_the_scene_that_is_not_installed_is_named(widget, border):
    choose(widget, border.addVolumeNode(tiny_scan()))
    widget._parameterNode.modelId = "from-elsewhere"
    assert widget.ui.applyButton.enabled is False
    assert "from-elsewhere" in widget.ui.applyButton.toolTip


def test_without_any_model_the_panel_says_so(module, scene, border, tmp_path, monkeypatch):
    from Testing.slicer_host import application

    monkeypatch.setenv("GANSEG_MODELS", str(tmp_path))
    monkeypatch.setattr(module.GANSegmentationLogic, "models", lambda self: [])
    border.addVolumeNode(tiny_scan())
    widget, panel = application.show_panel(module)
    assert widget.ui.applyButton.enabled is False
    assert "No model is installed" in widget.ui.applyButton.toolTip
    widget.cleanup()
    panel.deleteLater()


def test_apply_segments_and_selects_the_result(widget, border, tiny_model):
    choose(widget, border.addVolumeNode(tiny_scan()), tiny_model)
    widget.ui.applyButton.click()
    node = widget.ui.outputSegmentationSelector.currentNode()
    assert np.array_equal(border.labelmapFromNode(node).array, tiny_scan().array > 100)
    assert widget.ui.statusLabel.text.startswith("Liver: 0.5 ml (")
    assert widget.ui.applyButton.text == "Apply"
    assert widget.ui.applyButton.enabled is True
    assert widget.ui.inputsCollapsibleButton.enabled is True


def test_a_running_panel_is_locked_and_can_be_cancelled(widget, border, tiny_model, monkeypatch):
    choose(widget, border.addVolumeNode(tiny_scan()), tiny_model)
    seen = []
    shown = widget.onEvent

    def look_and_cancel(event):
        shown(event)
        if not seen:
            ui = widget.ui
            seen.append((ui.applyButton.text, ui.applyButton.enabled, ui.inputsCollapsibleButton.enabled))
            ui.applyButton.click()

    monkeypatch.setattr(widget, "onEvent", look_and_cancel)
    widget.ui.applyButton.click()
    assert seen == [("Cancel", True, False)]
    assert "cancelled" in widget.ui.statusLabel.text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert widget.ui.applyButton.text == "Apply"
    assert widget.ui.inputsCollapsibleButton.enabled is True


def test_progress_is_shown_in_slices(widget):
    from GANSegmentationLib import protocol

    widget.onEvent(protocol.Progress("1", "segment", 83, 124, 20.6))
    assert (widget.ui.progressBar.value, widget.ui.progressBar.maximum) == (83, 124)
    assert widget.ui.statusLabel.text == "83 of 124 slices, 21 s left"


def test_a_wrong_modality_is_explained_in_the_panel(widget, border, tiny_model):
    choose(widget, border.addVolumeNode(tiny_scan("MR")), tiny_model)
    widget.ui.applyButton.click()
    text = widget.ui.statusLabel.text
    assert "MR" in text
    assert "CT" in text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_warnings_of_a_run_are_shown(widget, border, tiny_model):
    choose(widget, border.addVolumeNode(tiny_scan(None)), tiny_model)
    widget.ui.applyButton.click()
    result, warning = widget.ui.statusLabel.text.split("\n", 1)
    assert result.startswith("Liver:")
    assert "modality" in warning


def test_a_failure_that_nobody_foresaw_is_shown_and_leaves_the_panel_usable(widget, border, tiny_model, monkeypatch):
    from Testing.slicer_host import pythonqt

    choose(widget, border.addVolumeNode(tiny_scan()), tiny_model)

    def fail(*_arguments, **_options):
        raise RuntimeError("the roof fell in")

    monkeypatch.setattr(widget.logic, "process", fail)
    widget.ui.applyButton.click()
    assert [str(error) for error in pythonqt.slot_errors] == ["the roof fell in"]
    pythonqt.slot_errors.clear()
    assert widget.ui.statusLabel.text == "the roof fell in"
    assert widget.ui.applyButton.enabled is True
    assert widget.ui.inputsCollapsibleButton.enabled is True


def test_texts_of_models_and_files_are_not_taken_for_html(widget):
    import qt

    for label in (widget.ui.statusLabel, widget.ui.modelDetailsLabel):
        assert label.textFormat == qt.Qt.PlainText


def test_closing_the_scene_empties_the_panel(widget, border):
    choose(widget, border.addVolumeNode(tiny_scan()))
    slicer.mrmlScene.Clear(0)
    assert widget.ui.inputVolumeSelector.currentNode() is None
    assert widget.ui.applyButton.enabled is False
    assert widget._parameterNode is not None


def test_the_volume_of_a_closed_scene_is_not_remembered(widget, border):
    choose(widget, border.addVolumeNode(tiny_scan()))
    slicer.mrmlScene.Clear(0)
    other = border.addVolumeNode(tiny_scan())
    choose(widget, other)
    assert widget._parameterNode.inputVolume is other
    assert widget.ui.applyButton.enabled is True


def test_leaving_the_panel_unbinds_it(widget, border):
    node = widget._parameterNode.parameterNode
    bound = widget._parameterNode
    assert widget.hasObserver(bound, vtk.vtkCommand.ModifiedEvent, widget.onParameterNodeModified)
    widget.exit()
    volume_node = border.addVolumeNode(tiny_scan())
    widget.ui.inputVolumeSelector.setCurrentNode(volume_node)
    assert node.GetNodeReference("inputVolume") is None
    assert not widget.hasObserver(bound, vtk.vtkCommand.ModifiedEvent, widget.onParameterNodeModified)


def test_closing_the_scene_cancels_the_run(widget, border, tiny_model, monkeypatch):
    choose(widget, border.addVolumeNode(tiny_scan()), tiny_model)
    closed = []
    shown = widget.onEvent

    def look_and_close(event):
        shown(event)
        if not closed:
            closed.append(event)
            slicer.mrmlScene.Clear(0)

    monkeypatch.setattr(widget, "onEvent", look_and_close)
    widget.ui.applyButton.click()
    assert len(closed) == 1
    assert "cancelled" in widget.ui.statusLabel.text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert widget.ui.applyButton.enabled is False


def test_reload_forgets_the_helpers_and_the_library(widget):
    import sys

    kept = {name: module for name, module in sys.modules.items() if name.startswith("GANSegmentation")}
    try:
        widget.onReload()
        left = [n for n in sys.modules if n.partition(".")[0] in ("GANSegmentationLib", "GANSegmentationPanel")]
        assert left == []
    finally:
        sys.modules.update(kept)


def test_the_module_describes_itself(module):
    import qt

    description = slicer.modules.gansegmentation
    assert description.title == "GAN Segmentation"
    assert description.categories == ["Segmentation"]
    assert "CC BY-NC-SA 4.0" in description.acknowledgementText
    assert not qt.QIcon(description.icon).isNull()
    assert qt.QIcon(description.icon).pixmap(128, 128).width() == 128
