"""Output: a new segmentation or an existing one, which structures, and what is refused before a run."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from Testing.GANSegmentation.panels import add_scan, choose, names_of, run_to_end, segmentations
from Testing.tiny_model import tiny_scan, write_tiny_package


def modes(widget) -> dict[str, int]:
    comboBox = widget.ui.outputModeComboBox
    return {comboBox.itemText(row): row for row in range(comboBox.count)}


def choose_mode(widget, text):
    widget.ui.outputModeComboBox.setCurrentIndex(modes(widget)[text])


def test_a_new_segmentation_is_made_for_each_run_unless_one_is_chosen(ready):
    run_to_end(ready)
    first = ready.ui.outputSegmentationSelector.currentNode()
    assert segmentations() == [first] and names_of(first) == ["Liver"]
    run_to_end(ready)
    assert len(segmentations()) == 2, "what was there is left alone"
    assert ready.ui.outputSegmentationSelector.currentNode() is not first
    assert names_of(first) == ["Liver"]


def test_the_modes_are_in_words_and_off_while_there_is_nothing_to_add_to(ready):
    assert list(modes(ready)) == [
        "Make a new segmentation",
        "Add segments to it",
        "Replace the same structures",
        "Unite with the same structures",
    ]
    assert ready.ui.outputModeComboBox.enabled is False
    assert "none is chosen" in ready.ui.outputModeComboBox.toolTip
    run_to_end(ready)
    assert ready.ui.outputModeComboBox.enabled is True


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("Add segments to it", ["mine", "Liver", "Liver 2"]),
        ("Replace the same structures", ["mine", "Liver"]),
        ("Unite with the same structures", ["mine", "Liver"]),
    ],
)
def test_each_mode_keeps_what_is_drawn(ready, border, mode, names):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    node.GetSegmentation().AddEmptySegment("mine", "mine")
    ready.ui.outputSegmentationSelector.setCurrentNode(node)
    choose_mode(ready, "Add segments to it")
    run_to_end(ready)
    choose_mode(ready, mode)
    assert ready.parameters.outputMode.label() == mode
    run_to_end(ready)
    assert segmentations() == [node]
    found = names_of(node)
    assert len(found) == len(names) and found[:2] == names[:2]
    if len(names) > 2:  # a labelmap has room for one of two that overlap
        node.GetSegmentation().RemoveSegment("Liver")
    found = border.labelmapFromNode(node, tiny_scan().geometry).array > 0
    assert np.array_equal(found, tiny_scan().array > 100)


def test_an_accepted_segment_is_never_replaced(ready):
    run_to_end(ready)
    ready.ui.acceptButton.click()
    choose_mode(ready, "Replace the same structures")
    run_to_end(ready)
    assert len(names_of(segmentations()[0])) == 2


def test_a_segmentation_of_another_grid_is_refused_before_the_run(ready, border):
    from GANSegmentationLib.volumes import Geometry

    run_to_end(ready)
    other = Geometry((16, 16, 6), (2.0, 2.0, 2.0), (0, 0, 0))
    choose(ready, add_scan("other", geometry=other))
    choose_mode(ready, "Add segments to it")
    assert ready.ui.applyButton.enabled is False
    assert "was not drawn on the grid of other" in ready.ui.applyButton.toolTip
    choose_mode(ready, "Make a new segmentation")
    assert ready.ui.applyButton.enabled is True


def test_only_the_chosen_structures_are_written(widget, tmp_path, tiny_model):
    from GANSegmentationLib.models import write_package
    from GANSegmentationLib.slicing import SliceSpec
    from GANSegmentationLib.volumes import Segment
    from Testing.inference.conftest import WINDOW, card_of, threshold_network

    config, weights = threshold_network(1, 0, (20.0, 100.0))
    card = card_of(config, id="two-parts", title="Two parts", slicing=SliceSpec("axial", 1, 16, 4, WINDOW))
    parts = (Segment(1, "Body", (200, 180, 160)), Segment(2, "Liver", (221, 130, 101)))
    write_package(tmp_path / "models" / "two.ganseg", card, weights, parts)
    widget.modelsSection.forgetModels()
    choose(widget, add_scan(), "two-parts")
    box = widget.ui.segmentsComboBox
    assert [box.itemText(row) for row in range(box.count)] == ["Body", "Liver"]
    assert box.allChecked()
    box.setCheckState(box.model().index(0, 0), 0)
    assert list(widget.parameters.excludedSegments) == ["Body"]
    run_to_end(widget)
    assert names_of(segmentations()[0]) == ["Liver"]
    assert "Body" not in widget.ui.resultLabel.text
    box.setCheckState(box.model().index(1, 0), 0)
    assert widget.ui.applyButton.enabled is False
    assert "No structure is chosen" in widget.ui.applyButton.toolTip
    choose(widget, model=tiny_model)
    assert [box.itemText(row) for row in range(box.count)] == ["Liver"]
    box.setCheckState(box.model().index(0, 0), 2)
    assert widget.ui.applyButton.enabled is True


def test_without_a_model_there_are_no_structures_to_choose(widget):
    assert widget.ui.segmentsComboBox.enabled is False
    assert widget.ui.segmentsComboBox.toolTip == "Choose a model first."


def test_the_3d_button_shows_the_segmentation(ready):
    button = ready.ui.show3DButton
    assert button.enabled is False and "no segmentation" in button.toolTip
    run_to_end(ready)
    node = ready.parameters.outputSegmentation
    assert button.enabled is True and button.segmentationNode() is node
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    button.click()
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_a_frame_of_a_volume_is_no_output(ready):
    assert ready.ui.outputSegmentationSelector.nodeTypes == ["vtkMRMLSegmentationNode"]


def test_the_same_structures_are_found_in_a_second_model(widget, tmp_path):
    write_tiny_package(tmp_path / "models" / "again.ganseg", id="again", title="Again")
    choose(widget, add_scan(), "tiny-liver")
    run_to_end(widget)
    choose(widget, model="again")
    choose_mode(widget, "Replace the same structures")
    run_to_end(widget)
    assert names_of(segmentations()[0]) == ["Liver"]
