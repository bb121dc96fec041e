"""The frames of a 4D volume are segmented one by one, and nothing is in the scene before all are done."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Labelmap
from Testing.GANSegmentation.scene_objects import LIVER, OBLIQUE, SHAPE, TUMOUR, add_transform, ijk_to_ras, rotation

TIMES = ("0", "12.5", "30")


@pytest.fixture
def sequence(border, sequences):
    """Three frames: frame i has the value 100 i everywhere, and the grid moves by i mm."""
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Herz 心")
    node.SetIndexName("trigger time")
    node.SetIndexUnit("ms")
    for number, time in enumerate(TIMES):
        matrix = OBLIQUE.copy()
        matrix[2, 3] += number
        frame = slicer.util.addVolumeFromArray(np.full(SHAPE, 100 * number, np.int16), ijkToRAS=matrix, name="Herz 心")
        node.SetDataNodeAtValue(frame, time)
        slicer.mrmlScene.RemoveNode(frame.GetDisplayNode())
        slicer.mrmlScene.RemoveNode(frame)
    browser.AddSynchronizedSequenceNode(node)
    sequences.UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(node)
    assert proxy is not None
    return border.sequenceOf(proxy)


def labels_of(volume, number: int) -> Labelmap:
    array = np.zeros(SHAPE, np.uint8)
    array[number, 1:3, 1 : 3 + number] = 1
    array[3, :, number] = 2
    return Labelmap(array, volume.geometry, (LIVER, TUMOUR))


def run(border, sequence, frames=range(3)):
    results = border.SegmentationFrames(sequence, "tiny 1.0")
    for number in frames:
        results.add(number, labels_of(border.frameVolume(sequence, number), number))
    return results


def test_an_ordinary_volume_is_no_sequence(border):
    node = slicer.util.addVolumeFromArray(np.zeros(SHAPE, np.int16))
    assert border.sequenceOf(node) is None
    assert border.sequenceOf(None) is None


def test_every_frame_is_a_volume_whichever_is_shown(border, sequence):
    assert len(sequence) == 3
    for number in range(3):
        volume = border.frameVolume(sequence, number)
        assert (volume.array == 100 * number).all()
        assert np.isclose(volume.geometry.index_to_ras[2, 3], OBLIQUE[2, 3] + number)
        assert TIMES[number] in volume.name
    assert sequence.browserNode.GetSelectedItemNumber() in (-1, 0)


def test_a_frame_lies_under_the_transform_of_the_volume_that_shows_it(border, sequence):
    matrix = ijk_to_ras(rotation(30, 3), spacing=(1, 1, 1))
    sequence.proxyNode.SetAndObserveTransformNodeID(add_transform(matrix).GetID())
    expected = OBLIQUE.copy()
    expected[2, 3] += 2
    assert np.allclose(border.frameVolume(sequence, 2).geometry.index_to_ras, matrix @ expected)


@pytest.mark.parametrize("moved", [False, True])
def test_the_results_move_with_the_frames(border, sequence, sequences, moved):
    if moved:
        transform = add_transform(ijk_to_ras(rotation(30, 3), spacing=(1, 1, 1)))
        sequence.proxyNode.SetAndObserveTransformNodeID(transform.GetID())
    node = run(border, sequence).finish()
    browser = sequence.browserNode
    target = browser.GetSequenceNode(node)
    assert [target.GetNthIndexValue(i) for i in range(target.GetNumberOfDataNodes())] == list(TIMES)
    assert (target.GetIndexName(), target.GetIndexUnit()) == ("trigger time", "ms")
    assert browser.GetMasterSequenceNode() is sequence.sequenceNode
    for number in (2, 0, 1):
        browser.SetSelectedItemNumber(number)
        sequences.UpdateProxyNodesFromSequences(browser)
        expected = labels_of(border.frameVolume(sequence, number), number)
        back = border.labelmapFromNode(node)
        assert np.array_equal(back.array, expected.array)
        assert back.geometry.corner_distance(expected.geometry) < 1e-9
        assert back.segments == expected.segments
    assert "Herz 心" in node.GetName()


def test_a_correction_in_a_frame_is_kept(border, sequence, sequences):
    node = run(border, sequence).finish()
    browser = sequence.browserNode
    browser.SetSelectedItemNumber(1)
    sequences.UpdateProxyNodesFromSequences(browser)
    node.GetSegmentation().GetNthSegment(0).SetName("corrected")
    for number in (0, 1):
        browser.SetSelectedItemNumber(number)
        sequences.UpdateProxyNodesFromSequences(browser)
    assert node.GetSegmentation().GetNthSegment(0).GetName() == "corrected"


def test_nothing_is_in_the_scene_before_the_last_frame(border, sequence):
    border.frameVolume(sequence, 0)
    size = slicer.mrmlScene.GetNumberOfNodes()
    results = run(border, sequence, range(2))
    assert slicer.mrmlScene.GetNumberOfNodes() == size
    with pytest.raises(GANSegmentationError) as caught:
        results.finish()
    assert caught.value.code == "incomplete_sequence"
    assert slicer.mrmlScene.GetNumberOfNodes() == size


def test_undo_takes_the_sequence_away(border, sequence):
    border.frameVolume(sequence, 0)
    size = slicer.mrmlScene.GetNumberOfNodes()
    results = run(border, sequence)
    assert results.obstacle()
    results.finish()
    assert results.obstacle() is None
    results.undo()
    assert results.obstacle()
    assert slicer.mrmlScene.GetNumberOfNodes() == size


def test_a_failure_at_the_end_leaves_nothing(border, sequence, monkeypatch):
    from GANSegmentationPanel.scene import sequences as room

    border.frameVolume(sequence, 0)
    size = slicer.mrmlScene.GetNumberOfNodes()
    results = run(border, sequence)

    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(room, "placeBeside", fail)
    with pytest.raises(MemoryError):
        results.finish()
    assert slicer.mrmlScene.GetNumberOfNodes() == size


@pytest.mark.parametrize("change", ["frame removed", "node removed", "scene closed", "index changed"])
def test_a_sequence_that_changed_meanwhile_gets_no_result(border, sequence, change):
    results = run(border, sequence)
    if change == "frame removed":
        sequence.sequenceNode.RemoveDataNodeAtValue("30")
    elif change == "node removed":
        slicer.mrmlScene.RemoveNode(sequence.sequenceNode)
    elif change == "index changed":
        sequence.sequenceNode.UpdateIndexValue("30", "40")
    else:
        slicer.mrmlScene.Clear(0)
    size = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(GANSegmentationError) as caught:
        results.finish()
    assert caught.value.code == "sequence_removed"
    assert slicer.mrmlScene.GetNumberOfNodes() == size
    if change != "index changed":
        with pytest.raises(GANSegmentationError):
            border.frameVolume(sequence, 2)


def test_a_result_of_another_grid_is_refused(border, sequence):
    results = border.SegmentationFrames(sequence)
    with pytest.raises(GANSegmentationError) as caught:
        results.add(1, labels_of(border.frameVolume(sequence, 0), 0))
    assert caught.value.code == "geometry_mismatch"
