"""A reader can accept, flag, jump to a place and see what is wrong."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import slicer
import slicer.util

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.reports.colours import colour_distance
from GANSegmentationLib.volumes import Labelmap
from Testing.GANSegmentation.scene_objects import (
    LIVER,
    SHAPE,
    TUMOUR,
    add_transform,
    add_volume,
    ijk_to_ras,
    make_labelmap,
    rotation,
)

LOGIC = slicer.vtkSlicerSegmentationsModuleLogic


@pytest.fixture
def node(border):
    volume_node = add_volume()
    return border.addLabelmapToSegmentation(make_labelmap(border.geometryFromNode(volume_node)), volume_node)


def statuses(node) -> list[int]:
    segmentation = node.GetSegmentation()
    return [LOGIC.GetSegmentStatus(segmentation.GetNthSegment(i)) for i in range(segmentation.GetNumberOfSegments())]


def test_segments_are_accepted_and_flagged(border, node):
    border.acceptSegments(node)
    assert statuses(node) == [LOGIC.Completed, LOGIC.Completed]
    border.flagSegments(node, [node.GetSegmentation().GetNthSegmentID(1), "not there"])
    assert statuses(node) == [LOGIC.Completed, LOGIC.Flagged]


@pytest.mark.parametrize("case", ["removed", "no such segment", "no node", "closed"])
def test_what_is_gone_cannot_be_accepted(border, node, case):
    chosen = ["gone"] if case == "no such segment" else None
    if case == "removed":
        slicer.mrmlScene.RemoveNode(node)
    elif case == "closed":
        slicer.mrmlScene.Clear(0)
    with pytest.raises(GANSegmentationError) as caught:
        border.acceptSegments(None if case == "no node" else node, chosen)
    assert caught.value.code == "segmentation_removed"


def test_all_slice_views_jump_to_a_point(application, border):
    with application.with_main_window():
        manager = application.layoutManager()
        views = [manager.sliceWidget(name).mrmlSliceNode() for name in manager.sliceViewNames()]
        border.jumpToRas(np.array([12.5, -7.0, 33.25]))
        assert len(views) == 3
        for view in views:
            assert [view.GetSliceToRAS().GetElement(i, 3) for i in range(3)] == pytest.approx([12.5, -7.0, 33.25])


# Errors


@pytest.fixture
def pair(border, node):
    geometry = border.labelmapFromNode(node).geometry
    random = np.random.default_rng(5)
    return tuple(Labelmap(random.integers(0, 3, SHAPE).astype(np.uint8), geometry, (LIVER, TUMOUR)) for _ in range(2))


def volume_of(node):
    return node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())


@pytest.mark.parametrize("values", [[1], [1, 2]])
def test_errors_are_shown_where_they_are(border, node, pair, values):
    node.SetAndObserveTransformNodeID(add_transform(ijk_to_ras(rotation(30, 3), spacing=(1, 1, 1))).GetID())
    volume_of(node).SetAndObserveTransformNodeID(node.GetTransformNodeID())
    geometry = border.geometryFromNode(volume_of(node))
    mask, reference = (Labelmap(each.array, geometry, each.segments) for each in pair)
    shown = border.showErrors(mask, reference, values, node, "Leber 肝")
    assert "Leber 肝" in shown.GetName()
    assert shown.GetTransformNodeID() == node.GetTransformNodeID()
    for identifier, first, second in (("FalsePositive", mask, reference), ("FalseNegative", reference, mask)):
        expected = sum(((first.array == value) & (second.array != value)) for value in values) > 0
        found = slicer.util.arrayFromSegmentBinaryLabelmap(shown, identifier, volume_of(node)) != 0
        assert np.array_equal(found, expected)


def test_errors_are_no_result(border, node, pair):
    shown = border.showErrors(*pair, [1], node)
    assert shown.GetHideFromEditors()
    assert not shown.GetSaveWithScene()
    assert not shown.GetDisplayNode().GetSaveWithScene()


def test_errors_replace_each_other_and_go_without_a_trace(border, node, pair):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    size, items = slicer.mrmlScene.GetNumberOfNodes(), hierarchy.GetNumberOfItems()
    border.showErrors(*pair, [1], node)
    one = slicer.mrmlScene.GetNumberOfNodes()
    border.showErrors(*pair, [2], node)
    assert slicer.mrmlScene.GetNumberOfNodes() == one
    border.hideErrors()
    assert slicer.mrmlScene.GetNumberOfNodes() == size
    assert hierarchy.GetNumberOfItems() == items
    border.hideErrors()


def test_no_errors_are_two_empty_segments(border, node, pair):
    shown = border.showErrors(pair[0], pair[0], [1, 2], node)
    assert shown.GetSegmentation().GetNumberOfSegments() == 2


def test_errors_of_a_removed_segmentation_leave_nothing(border, node, pair):
    slicer.mrmlScene.RemoveNode(node)
    size = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(GANSegmentationError) as caught:
        border.showErrors(*pair, [1], node)
    assert caught.value.code == "segmentation_removed"
    assert slicer.mrmlScene.GetNumberOfNodes() == size


def test_everybody_tells_the_colours_apart():
    from GANSegmentationPanel.scene.review import FALSE_NEGATIVE_COLOUR, FALSE_POSITIVE_COLOUR

    colours = (FALSE_POSITIVE_COLOUR, FALSE_NEGATIVE_COLOUR, LIVER.colour)
    for first, second in itertools.combinations(colours, 2):
        assert colour_distance(first, second) > 30
