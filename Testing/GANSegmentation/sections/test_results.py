"""Results: what was found and removed, undo, review, statistics, export."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import slicer.util

from GANSegmentationLib.volumes import Volume
from Testing.GANSegmentation.panels import add_scan, choose, names_of, run_to_end, segmentations
from Testing.slicer_host.dialogs import dialogs
from Testing.tiny_model import tiny_scan, write_tiny_package


@pytest.fixture
def segmented(widget):
    """The panel after a run of the tiny model."""
    choose(widget, add_scan("Bauch ü"), "tiny-liver")
    run_to_end(widget)
    dialogs.clear()
    return widget


def status_of(node, identifier="Liver") -> int:
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    return logic.GetSegmentStatus(node.GetSegmentation().GetSegment(identifier))


# What is said


def test_nothing_is_said_before_a_run(widget):
    assert widget.ui.resultsCollapsibleButton.isHidden()


def test_volume_slices_and_seconds_are_said(segmented):
    ui = segmented.ui
    assert not ui.resultsCollapsibleButton.isHidden() and not ui.resultsCollapsibleButton.collapsed
    lines = ui.resultLabel.text.split("\n")
    assert lines[0] == "Liver: 0.5 ml in 3 of 6 slices"
    assert " s on " in lines[1]
    assert "Liver: 0.5 ml" in ui.logTextEdit.toPlainText()


def test_a_result_that_was_removed_is_no_longer_told(segmented):
    (node,) = segmentations()
    slicer.mrmlScene.RemoveNode(node)
    assert segmented.ui.resultLabel.text == ""
    assert segmented.ui.resultsCollapsibleButton.isHidden()


def test_what_post_processing_removed_is_said(widget, tmp_path):
    cleaning = {"largest_component": True, "fill_holes": True, "minimum_volume_ml": 0.0, "crf": None}
    write_tiny_package(tmp_path / "models" / "clean.ganseg", id="clean", title="Clean", postprocessing=cleaning)
    array = tiny_scan().array.copy()
    array[5, 12, 12] = array[0, 2, 2] = 150
    array[2, 4, 5] = 50
    from GANSegmentationPanel import scene

    widget.modelsSection.forgetModels()
    choose(widget, scene.addVolumeNode(Volume(array, tiny_scan().geometry, "CT", "specks")), "clean")
    run_to_end(widget)
    line = widget.ui.resultLabel.text.split("\n")[0]
    assert line == "Liver: 0.5 ml in 3 of 6 slices; 2 islands removed (0.0 ml); holes filled (0.0 ml)"


def test_an_empty_result_is_said_and_not_silent(widget):
    """Complaint: the wrong scan gives an empty mask and nobody says so."""
    from GANSegmentationPanel import scene

    empty = Volume(np.full((6, 16, 16), -1000, np.int16), tiny_scan().geometry, "CT", "air")
    choose(widget, scene.addVolumeNode(empty), "tiny-liver")
    run_to_end(widget)
    lines = widget.ui.resultLabel.text.split("\n")
    assert lines[0] == "Liver: 0 voxels"
    assert any("found nothing in this scan" in line for line in lines)
    assert names_of(segmentations()[0]) == ["Liver"]


def test_warnings_of_a_run_are_said_once(widget):
    choose(widget, add_scan(modality=None), "tiny-liver")
    run_to_end(widget)
    lines = widget.ui.resultLabel.text.split("\n")
    assert lines[0].startswith("Liver:")
    assert len([line for line in lines if "modality" in line]) == 1
    choose(widget, add_scan("another"))
    run_to_end(widget)
    assert "modality" not in widget.ui.resultLabel.text, "a run says its own warnings only"


# Undo


def test_undo_takes_a_new_segmentation_away_again(segmented):
    ui = segmented.ui
    assert ui.undoButton.enabled
    ui.undoButton.click()
    assert segmentations() == []
    assert segmented.parameters.outputSegmentation is None
    assert not ui.undoButton.enabled and ui.undoButton.toolTip == "There is no result to undo."
    assert ui.resultsCollapsibleButton.isHidden()


def test_undo_brings_back_what_was_replaced(segmented, border):
    node = segmented.parameters.outputSegmentation
    before = border.labelmapFromNode(node).array.copy()
    other = tiny_scan().array.copy()
    other[0] = 150
    from GANSegmentationPanel import scene

    choose(segmented, scene.addVolumeNode(Volume(other, tiny_scan().geometry, "CT", "other")))
    box = segmented.ui.outputModeComboBox
    box.setCurrentIndex([box.itemText(row) for row in range(box.count)].index("Replace the same structures"))
    run_to_end(segmented)
    assert segmentations() == [node]
    assert not np.array_equal(border.labelmapFromNode(node).array, before)
    segmented.ui.undoButton.click()
    assert np.array_equal(border.labelmapFromNode(node).array, before)
    assert segmented.ui.resultLabel.text == "The last run was undone."
    assert segmented.parameters.outputSegmentation is node
    # There is no run any more whose segments alone would be meant.
    node.GetSegmentation().AddEmptySegment("mine", "mine")
    segmented.ui.acceptButton.click()
    assert status_of(node, "mine") == slicer.vtkSlicerSegmentationsModuleLogic.Completed


def test_what_was_edited_is_not_thrown_away_by_undo(segmented, border):
    node = segmented.parameters.outputSegmentation
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node, "Liver", segmented.parameters.inputVolume).copy()
    array[0, 0, 0] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, "Liver", segmented.parameters.inputVolume)
    segmented.ui.undoButton.click()
    assert "Liver was edited" in dialogs.texts("error")[0]
    assert segmentations() == [node]
    assert not segmented.ui.undoButton.enabled and "was edited" in segmented.ui.undoButton.toolTip


def test_undo_is_off_when_the_segmentation_was_removed(segmented):
    slicer.mrmlScene.RemoveNode(segmented.parameters.outputSegmentation)
    segmented.refresh()
    assert not segmented.ui.undoButton.enabled
    assert "removed from the scene" in segmented.ui.undoButton.toolTip
    assert not segmented.ui.exportButton.enabled and segmented.ui.exportButton.toolTip == "There is no segmentation."


# Review


def test_accept_and_flag_set_the_status_of_the_runs_segments(segmented):
    node = segmented.parameters.outputSegmentation
    node.GetSegmentation().AddEmptySegment("mine", "mine")
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    segmented.ui.acceptButton.click()
    assert status_of(node) == logic.Completed and status_of(node, "mine") == logic.NotStarted
    assert segmented.ui.stageLabel.text == "Accepted: Liver."
    segmented.ui.flagButton.click()
    assert status_of(node) == logic.Flagged
    assert segmented.ui.stageLabel.text == "Flagged: Liver."


def test_a_segmentation_that_was_loaded_is_accepted_as_a_whole(widget):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "loaded")
    for name in ("a", "b"):
        node.GetSegmentation().AddEmptySegment(name, name)
    widget.ui.outputSegmentationSelector.setCurrentNode(node)
    assert not widget.ui.resultsCollapsibleButton.isHidden()
    widget.ui.acceptButton.click()
    assert {status_of(node, name) for name in "ab"} == {slicer.vtkSlicerSegmentationsModuleLogic.Completed}


def test_segments_that_are_gone_cannot_be_accepted(segmented):
    segmented.parameters.outputSegmentation.GetSegmentation().RemoveAllSegments()
    segmented.ui.acceptButton.click()
    assert "not in the scene any more" in dialogs.texts("error")[0]


def test_the_segment_editor_opens_with_segmentation_and_volume(segmented, monkeypatch):
    given, selected = {}, []

    class Editor:
        def setSegmentationNode(self, node):
            given["segmentation"] = node

        def setSourceVolumeNode(self, node):
            given["volume"] = node

    widget = SimpleNamespace(editor=Editor())
    monkeypatch.setattr(slicer.modules, "SegmentEditorWidget", widget, raising=False)
    monkeypatch.setattr(slicer.util, "selectModule", selected.append)
    segmented.ui.editSegmentsButton.click()
    assert selected == ["SegmentEditor"]
    parameters = segmented.parameters
    assert given == {"segmentation": parameters.outputSegmentation, "volume": parameters.inputVolume}


# Statistics


def test_without_the_statistics_module_the_button_says_so(segmented):
    assert segmented.ui.statisticsButton.enabled is False
    assert "Segment Statistics" in segmented.ui.statisticsButton.toolTip


def test_statistics_are_made_of_segmentation_and_volume(segmented, monkeypatch):
    from GANSegmentationPanel.sections import results

    asked = []
    monkeypatch.setattr(results.scene, "hasStatistics", lambda: True)
    monkeypatch.setattr(results.scene, "showStatistics", lambda *nodes: asked.append(nodes))
    segmented.refresh()
    segmented.ui.statisticsButton.click()
    assert asked == [(segmented.parameters.outputSegmentation, segmented.parameters.inputVolume)]

    def fail(*_nodes):
        raise RuntimeError("no table")

    monkeypatch.setattr(results.scene, "showStatistics", fail)
    segmented.ui.statisticsButton.click()
    assert dialogs.texts("error") == ["no table"]


# Export


def export_actions(widget):
    menu = widget.ui.exportButton.menu()
    menu.aboutToShow.emit()
    return menu.actions()


@pytest.mark.parametrize("name", ["Bäuch 肝.seg.nrrd", "mask.nii.gz", "mask.nrrd", "mask.mha", "mask"])
def test_the_segmentation_is_written_in_the_format_of_the_ending(asked, segmented, tmp_path, name):
    asked.answers["saveFile"] = [tmp_path / name]
    export_actions(segmented)[0].trigger()
    written = tmp_path / (name if "." in name else f"{name}.seg.nrrd")
    assert written.is_file() and written.stat().st_size > 100
    assert segmented.ui.stageLabel.text == f"Written to {written}"
    suggested = Path(asked.shown[0].options["directory"])
    assert suggested.name == "Bauch ü segmentation.seg.nrrd"


def test_the_export_goes_on_where_the_last_one_was_and_may_be_left(asked, segmented, tmp_path):
    asked.answers["saveFile"] = [tmp_path / "a.nii.gz", ""]
    export_actions(segmented)[0].trigger()
    export_actions(segmented)[0].trigger()
    assert Path(asked.shown[-1].options["directory"]).parent == tmp_path
    assert [path.name for path in tmp_path.glob("*.nii.gz")] == ["a.nii.gz"]


def test_a_folder_that_refuses_is_explained_and_nothing_is_half_written(asked, segmented, tmp_path):
    asked.answers["saveFile"] = [tmp_path / "missing" / "a.nii.gz"]
    export_actions(segmented)[0].trigger()
    assert "a.nii.gz" in asked.texts("error")[0] or "missing" in asked.texts("error")[0]
    assert not (tmp_path / "missing").exists()
    assert segmented.ui.applyButton.enabled


def test_dicom_seg_is_off_with_the_reason(segmented):
    action = export_actions(segmented)[1]
    assert action.enabled is False
    assert "DICOM" in action.toolTip and len(action.toolTip) > 20
    assert segmented.ui.exportButton.menu().toolTipsVisible is True


def test_names_become_file_names():
    from GANSegmentationPanel.sections.results import _plain

    assert _plain('a/b\\c:*?"<>| ü') == "a_b_c_______ ü"
    assert _plain("  ") == "segmentation"
