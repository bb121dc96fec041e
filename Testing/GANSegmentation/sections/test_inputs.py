"""Inputs: volumes, channels, domain, region, slices and frames, and the reasons why Apply is off."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util

from GANSegmentationLib.volumes import Geometry
from Testing.GANSegmentation.panels import add_scan, add_sequence, at, choose, run_to_end, segmentations, shown
from Testing.tiny_model import LIVER, tiny_scan, write_tiny_package

GRID = tiny_scan().geometry


@pytest.fixture
def folder(tiny_model, tmp_path):
    return tmp_path / "models"


def found_in(border, widget) -> np.ndarray:
    return border.labelmapFromNode(widget.parameters.outputSegmentation, GRID).array


def test_an_empty_scene_says_what_is_missing(widget):
    assert widget.ui.applyButton.enabled is False
    assert widget.ui.applyButton.toolTip == "Choose a volume to segment."
    assert widget.ui.sliceRangeWidget.toolTip == "Choose a volume and a model first."


def test_a_volume_makes_apply_possible(widget):
    volume_node = add_scan()
    choose(widget, volume_node)
    assert widget.parameters.inputVolume is volume_node
    assert widget.ui.applyButton.enabled is True, widget.ui.applyButton.toolTip
    slicer.mrmlScene.RemoveNode(volume_node)
    assert widget.ui.applyButton.enabled is False


def test_labelmaps_are_not_offered_as_input(widget):
    slicer.util.addVolumeFromArray(np.zeros((3, 4, 5), np.uint8), nodeClassName="vtkMRMLLabelMapVolumeNode")
    assert widget.ui.inputVolumeSelector.nodeCount() == 0


def test_a_panel_opened_late_takes_the_first_volume_that_it_offers(module, scene, tiny_model):
    slicer.util.addVolumeFromArray(np.zeros((3, 4, 5), np.uint8), nodeClassName="vtkMRMLLabelMapVolumeNode")
    add_scan().SetHideFromEditors(True)
    volume_node = add_scan()
    with shown(module) as widget:
        assert widget.ui.inputVolumeSelector.currentNode() is volume_node
        assert widget.ui.applyButton.enabled is True, widget.ui.applyButton.toolTip


# Channels


def test_a_model_of_several_channels_asks_for_their_volumes(widget, border, folder):
    write_tiny_package(
        folder / "two.ganseg",
        id="two",
        title="Two",
        channels=2,
        channel_names=["T1 in phase", "T1 out of phase"],
    )
    first, second = add_scan("in"), add_scan("out")
    widget.modelsSection.forgetModels()
    choose(widget, first, "two")
    ui = widget.ui
    assert not ui.inputVolumeSelector1.isHidden() and ui.inputVolumeSelector2.isHidden()
    assert (ui.inputVolumeLabel.text, ui.inputVolumeLabel1.text) == ("T1 in phase:", "T1 out of phase:")
    assert ui.applyButton.toolTip == "This model needs 2 volumes. Choose all of them."
    ui.inputVolumeSelector1.setCurrentNode(first)
    assert ui.applyButton.toolTip.startswith("A volume is chosen twice.")
    ui.inputVolumeSelector1.setCurrentNode(second)
    assert widget.volumes() == [first, second]
    run_to_end(widget)
    assert np.array_equal(found_in(border, widget), tiny_scan().array > 100)
    choose(widget, model="tiny-liver")
    assert ui.inputVolumeSelector1.isHidden() and ui.inputVolumeLabel.text == "Volume:"
    assert widget.volumes() == [first]


# Domains


def test_a_model_of_several_domains_takes_the_volumes_or_asks(widget, folder):
    write_tiny_package(folder / "both.ganseg", id="both", title="Both", modalities=["CT", "MR"], domains=["CT", "MR"])
    widget.modelsSection.forgetModels()
    choose(widget, add_scan(modality=None), "both")
    ui = widget.ui
    assert not ui.domainComboBox.isHidden()
    assert [ui.domainComboBox.itemText(row) for row in range(3)] == ["By the volume's modality", "CT", "MR"]
    assert ui.applyButton.toolTip == "Choose the domain of the volume."
    ui.domainComboBox.setCurrentIndex(2)
    assert widget.parameters.domain == "MR" and ui.applyButton.enabled
    choose(widget, model="tiny-liver")
    assert ui.domainComboBox.isHidden()
    assert widget.domain() is None, "the domain of another model means nothing to this one"


def test_the_modality_of_the_volume_answers_for_the_domain(widget, folder):
    write_tiny_package(folder / "both.ganseg", id="both", title="Both", modalities=["CT", "MR"], domains=["CT", "MR"])
    widget.modelsSection.forgetModels()
    choose(widget, add_scan(modality="MR"), "both")
    assert widget.ui.applyButton.enabled and widget.domain() is None


# Region, slices, frames


def test_a_region_of_interest_limits_the_result(widget, border):
    choose(widget, add_scan(), "tiny-liver")
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    inside = np.array([6.0, 4.0, 2.0, 1.0])
    roi.SetCenter(*(GRID.index_to_ras @ inside)[:3])
    roi.SetSize(1.5 * 5, 1.5 * 3, 5.0 * 3)
    widget.ui.roiSelector.setCurrentNode(roi)
    assert widget.parameters.roi is roi
    run_to_end(widget)
    found = found_in(border, widget) > 0
    whole = tiny_scan().array > 100
    assert 0 < found.sum() < whole.sum()
    assert not found[~whole].any()


def test_the_slice_range_follows_the_volume_and_limits_the_result(widget, border):
    choose(widget, add_scan(), "tiny-liver")
    ranges = widget.ui.sliceRangeWidget
    assert (ranges.minimum, ranges.maximum) == (0, 5)
    assert not ranges.enabled and "Check the box" in ranges.toolTip
    widget.ui.sliceRangeCheckBox.click()
    assert ranges.enabled and widget.parameters.useSliceRange
    ranges.setValues(2, 3)
    assert (widget.parameters.firstSlice, widget.parameters.lastSlice) == (2, 3)
    run_to_end(widget)
    expected = tiny_scan().array > 100
    expected[:2] = expected[4:] = False
    assert np.array_equal(found_in(border, widget), expected)
    widget.ui.sliceRangeCheckBox.click()
    assert widget.sliceRange() is None


@pytest.mark.parametrize(
    ("chosen", "left"),
    [((1, 4), (1, 2)), ((2, 5), (2, 2)), ((4, 5), (0, 2))],
    ids=["partly beyond", "one slice left", "wholly beyond"],
)
def test_a_shorter_volume_brings_the_slice_range_inside_or_takes_all_of_it(widget, chosen, left):
    choose(widget, add_scan(), "tiny-liver")
    widget.ui.sliceRangeCheckBox.click()
    widget.ui.sliceRangeWidget.setValues(*chosen)
    short = slicer.util.addVolumeFromArray(np.full((3, 16, 16), 50, np.int16))
    choose(widget, short, "tiny-liver")
    assert widget.sliceRange() == left
    assert widget.ui.sliceRangeWidget.maximum == 2


def test_the_frames_of_a_sequence_are_segmented_all_or_one(widget, border, sequences):
    volume_node = add_sequence(2)
    choose(widget, volume_node, "tiny-liver")
    box = widget.ui.sequenceModeCheckBox
    assert not box.isHidden() and box.text == "All 2 frames of the sequence"
    run_to_end(widget)
    assert len(segmentations()) == 1 and border.sequenceOf(segmentations()[0]) is None
    box.click()
    assert widget.parameters.allFrames
    run_to_end(widget)
    assert widget.ui.applyButton.text == "Apply"
    proxy = widget.parameters.outputSegmentation
    browser = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")[0]
    assert browser.GetSequenceNode(proxy).GetNumberOfDataNodes() == 2
    assert "Liver" in widget.ui.resultLabel.text
    choose(widget, add_scan(), "tiny-liver")
    assert box.isHidden()


# Locks


def test_a_running_panel_locks_its_inputs_with_the_reason_and_gives_the_tooltips_back(widget, monkeypatch):
    choose(widget, add_scan(), "tiny-liver")
    ui = widget.ui
    names = ("inputVolumeSelector", "modelListWidget", "roiSelector", "importModelButton", "outputModeComboBox")
    before = {name: getattr(ui, name).toolTip for name in names}
    seen = {}

    def look():
        for name in names:
            seen[name] = (getattr(ui, name).isEnabled(), getattr(ui, name).toolTip)

    assert at(widget, monkeypatch, look) == []
    ui.applyButton.click()
    assert seen == dict.fromkeys(names, (False, "Wait until the run has ended."))
    after = {name: getattr(ui, name).toolTip for name in names}
    assert {**after, "outputModeComboBox": ""} == {**before, "outputModeComboBox": ""}
    assert ui.inputsCollapsibleButton.enabled is True


@pytest.mark.parametrize("name", ["Lebér ✓ 肝 d'été", "a/b\\c:*?"])
def test_names_that_are_not_ascii(widget, name):
    choose(widget, add_scan(name), "tiny-liver")
    run_to_end(widget)
    assert widget.parameters.outputSegmentation.GetName() == f"{name} segmentation"
    assert widget.ui.resultLabel.text.startswith(f"{LIVER.name}: ")


def test_an_oblique_volume_is_segmented_where_it_lies(widget, border):
    tilt = np.deg2rad(14)
    oblique = Geometry(
        GRID.size, (0.9, 1.1, 3.3), (1, 2, 3), (1, 0, 0, 0, np.cos(tilt), -np.sin(tilt), 0, np.sin(tilt), np.cos(tilt))
    )
    choose(widget, add_scan(geometry=oblique), "tiny-liver")
    run_to_end(widget)
    found = border.labelmapFromNode(widget.parameters.outputSegmentation)
    assert found.geometry.corner_distance(oblique) < 1e-4


def test_a_name_with_markup_is_shown_as_it_is():
    from GANSegmentationPanel.sections.section import plain

    assert plain("CT a & b") == "CT a & b"
    assert plain('<img src="//host/x">\nb') == "<p>&lt;img src=&quot;//host/x&quot;&gt;<br>b</p>"


@pytest.fixture
def rising(border, sequences):
    """The proxy of a sequence of two frames, the second 10 mm higher; the liver is 5 to 15 mm above the first slice."""
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "rising")
    for number in range(2):
        frame = add_scan("tiny", geometry=Geometry((16, 16, 6), (1.5, 1.5, 5.0), (-10.0, 20.0, 30.0 + 10 * number)))
        sequence.SetDataNodeAtValue(frame, str(number))
        slicer.mrmlScene.RemoveNode(frame)
    browser.AddSynchronizedSequenceNode(sequence)
    sequences.UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(sequence)
    proxy.SetAttribute("DICOM.Modality", "CT")
    yield (
        proxy,
        lambda number: (browser.SetSelectedItemNumber(number), sequences.UpdateProxyNodesFromSequences(browser)),
    )


@pytest.mark.parametrize(("centre", "expected"), [(37.5, [[35, 40], []]), (47.5, [[45], [45, 50]])])
def test_a_region_is_where_it_is_in_every_frame(widget, border, rising, centre, expected):
    from GANSegmentationPanel.jobs.options import SegmentOptions

    proxy, show = rising
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "roi")
    roi.SetCenter(0, -30, centre)
    roi.SetSize(200, 200, 10)
    node = widget.logic.process(proxy, "tiny-liver", None, SegmentOptions(device="cpu", roi=roi, allFrames=True))
    found = []
    for number in range(2):
        show(number)
        geometry = border.geometryFromNode(proxy)
        slices = np.flatnonzero(border.labelmapFromNode(node, geometry).array.any(axis=(1, 2)))
        found.append([round(float((geometry.index_to_ras @ [0, 0, index, 1])[2])) for index in slices])
    assert found == expected


def test_the_seconds_of_a_sequence_are_those_of_all_frames(widget, border, sequences):
    from GANSegmentationPanel.jobs.options import SegmentOptions

    volume_node, seconds = add_sequence(3), []
    job = widget.logic.start(
        volume_node,
        "tiny-liver",
        options=SegmentOptions(allFrames=True),
        onEvent=lambda event: seconds.append(event.result["seconds"]) if hasattr(event, "result") else None,
    )
    job.wait()
    assert len(seconds) == 3 and min(seconds) > 0
    assert job.result().result["seconds"] == pytest.approx(sum(seconds))
