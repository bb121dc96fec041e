"""A result goes where it should in the scene, changes nothing else, and can be taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Labelmap, Segment, read_labelmap
from Testing.GANSegmentation.scene_objects import (
    LIVER,
    OBLIQUE,
    SHAPE,
    TUMOUR,
    add_transform,
    add_volume,
    ijk_to_ras,
    imported_segmentation,
    make_labelmap,
    read_tag,
    rotation,
)

LOGIC = slicer.vtkSlicerSegmentationsModuleLogic
SPLEEN = Segment(3, "Milz — 脾臓", (10, 20, 30))


@pytest.fixture
def volume_node(border):
    return add_volume(name="CT Ärztin 肝")


def labels_of(border, volume_node, boxes, segments=(LIVER, TUMOUR, SPLEEN)) -> Labelmap:
    """Labels that are boxes ``{value: (z, y, x slices)}``."""
    array = np.zeros(SHAPE, np.uint8)
    for value, box in boxes.items():
        array[box] = value
    return Labelmap(array, border.geometryFromNode(volume_node), [s for s in segments if s.value in boxes])


FIRST = {1: np.s_[0:2, 0:3, 0:4], 2: np.s_[2:4, 0:2, 0:3], 3: np.s_[2:4, 3:5, 3:7]}


def first_result(border, volume_node):
    return border.writeLabelmap(labels_of(border, volume_node, FIRST), volume_node, algorithmName="first 1.0")


def voxels(node, identifier, volume_node) -> np.ndarray:
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, identifier, volume_node) != 0


def names(node) -> list[str]:
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(i).GetName() for i in range(segmentation.GetNumberOfSegments())]


def state(node, volume_node) -> list:
    """All that belongs to the segments of a node, in their order."""
    segmentation = node.GetSegmentation()
    found = []
    for identifier in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(identifier)
        tags = [
            read_tag(segment, key)
            for key in (
                "TerminologyEntry",
                "DICOM.SegmentAlgorithmType",
                "DICOM.SegmentAlgorithmName",
                "Segmentation.Status",
                "mine",
            )
        ]
        display = node.GetDisplayNode()
        shown = (display.GetSegmentVisibility(identifier), display.GetSegmentOpacity2DFill(identifier))
        packed = voxels(node, identifier, volume_node).tobytes()
        found.append((identifier, segment.GetName(), segment.GetColor(), tags, shown, packed))
    return found


def scene_size() -> int:
    return slicer.mrmlScene.GetNumberOfNodes()


# New


def test_a_new_segmentation_lies_beside_the_volume_and_waits_for_review(border, volume_node):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Ordner")
    hierarchy.CreateItem(folder, volume_node)
    existing = first_result(border, volume_node).segmentationNode
    before = state(existing, volume_node)
    written = border.writeLabelmap(labels_of(border, volume_node, FIRST), volume_node, existing, mode="NEW")
    node = written.segmentationNode
    assert node is not existing
    assert node.GetName() != existing.GetName()
    assert "Ärztin 肝" in node.GetName()
    assert state(existing, volume_node) == before
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == folder
    for identifier, value in zip(written.segmentIds, (1, 2, 3), strict=True):
        expected = np.zeros(SHAPE, bool)
        expected[FIRST[value]] = True
        assert np.array_equal(voxels(node, identifier, volume_node), expected)
        assert LOGIC.GetSegmentStatus(node.GetSegmentation().GetSegment(identifier)) == LOGIC.InProgress


def test_added_segments_leave_those_that_are_there(border, volume_node):
    existing = first_result(border, volume_node).segmentationNode
    before = names(existing)
    masks = [voxels(existing, each, volume_node).copy() for each in existing.GetSegmentation().GetSegmentIDs()]
    written = border.writeLabelmap(labels_of(border, volume_node, FIRST), volume_node, existing, mode="ADD")
    assert written.segmentationNode is existing
    assert names(existing)[: len(before)] == before
    assert len(names(existing)) == len(set(names(existing))) == 2 * len(before)  # each with a name of its own
    for identifier, mask in zip(existing.GetSegmentation().GetSegmentIDs(), masks, strict=False):
        assert np.array_equal(voxels(existing, identifier, volume_node), mask)
    written.snapshot.undo()
    assert names(existing) == before


def test_segments_are_not_added_on_another_grid(border, volume_node):
    existing = first_result(border, volume_node).segmentationNode
    spacing = volume_node.GetSpacing()
    volume_node.SetSpacing(2 * spacing[0], spacing[1], spacing[2])
    with pytest.raises(GANSegmentationError) as caught:
        border.planOutput(labels_of(border, volume_node, FIRST).segments, volume_node, existing, mode="ADD")
    assert caught.value.code == "geometry_mismatch"


def test_only_the_chosen_segments_are_written(border, volume_node):
    labelmap = labels_of(border, volume_node, FIRST)
    node = border.writeLabelmap(labelmap, volume_node, excluded=["Liver", SPLEEN.name]).segmentationNode
    assert names(node) == ["Liver tumor"]
    image = node.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    scalars = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    assert set(scalars) == {TUMOUR.value}  # no voxel of the others is left in the image
    with pytest.raises(GANSegmentationError) as caught:
        border.planOutput(labelmap.segments, volume_node, excluded=[segment.name for segment in labelmap.segments])
    assert caught.value.code == "no_segments"


def test_the_image_of_a_result_is_no_larger_than_its_labels(border, volume_node):
    labelmap = labels_of(border, volume_node, {1: np.s_[1:3, 2:4, 5:6]})
    node = border.writeLabelmap(labelmap, volume_node).segmentationNode
    image = node.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    assert image.GetExtent() == (5, 5, 2, 3, 1, 2)


@pytest.mark.parametrize("mode", ["NEW", "REPLACE", "MERGE"])
def test_a_result_without_voxels_is_an_empty_segment(border, volume_node, mode):
    node = first_result(border, volume_node).segmentationNode
    empty = Labelmap(np.zeros(SHAPE, np.uint8), border.geometryFromNode(volume_node), [LIVER])
    written = border.writeLabelmap(empty, volume_node, node, mode=mode)
    found = voxels(written.segmentationNode, written.segmentIds[0], volume_node)
    assert found.any() == (mode == "MERGE")


# Replace


def test_replacing_keeps_what_the_user_made_of_a_segment(border, volume_node):
    node = first_result(border, volume_node).segmentationNode
    segmentation = node.GetSegmentation()
    identifier = segmentation.GetNthSegmentID(0)
    segment = segmentation.GetSegment(identifier)
    segment.SetName("Leber")
    segment.SetColor(0.1, 0.2, 0.3)
    segment.SetTag("mine", "kept")
    border.flagSegments(node, [identifier])
    node.GetDisplayNode().SetSegmentVisibility(identifier, False)
    node.GetDisplayNode().SetSegmentOpacity2DFill(identifier, 0.125)
    others = state(node, volume_node)[1:]
    new = labels_of(border, volume_node, {1: np.s_[1:4, 1:5, 2:6]})  # over its neighbours' voxels
    written = border.writeLabelmap(new, volume_node, node, mode="REPLACE", algorithmName="second 2.0")
    assert written.segmentationNode is node
    assert written.segmentIds == (identifier,)
    assert np.array_equal(voxels(node, identifier, volume_node), new.array == 1)
    found = state(node, volume_node)
    assert found[1:] == others
    assert found[0][:3] == (identifier, "Leber", (0.1, 0.2, 0.3))
    assert found[0][3][1:] == ["AUTOMATIC", "second 2.0", "inprogress", "kept"]
    assert found[0][4] == (False, 0.125)


def test_a_structure_that_is_not_there_yet_is_added_with_a_name_of_its_own(border, volume_node):
    node = border.writeLabelmap(labels_of(border, volume_node, {1: FIRST[1]}), volume_node).segmentationNode
    node.GetSegmentation().GetNthSegment(0).SetName("Liver tumor")  # by its codes it is the liver
    written = border.writeLabelmap(labels_of(border, volume_node, FIRST), volume_node, node, mode="REPLACE")
    assert [each.segmentId is None for each in written.plan] == [False, True, True]
    assert names(node) == ["Liver tumor", "Liver tumor_1", SPLEEN.name]
    assert len(set(node.GetSegmentation().GetSegmentIDs())) == 3


def test_a_segment_without_codes_is_known_by_its_name(border, volume_node):
    node = imported_segmentation(np.ones(SHAPE, np.uint8), OBLIQUE)
    segment = node.GetSegmentation().GetNthSegment(0)
    segment.SetName("  LIVER ")
    written = border.writeLabelmap(labels_of(border, volume_node, {1: FIRST[1]}), volume_node, node, mode="REPLACE")
    assert written.segmentIds == (node.GetSegmentation().GetNthSegmentID(0),)
    assert "SCT^10200004^Liver" in read_tag(segment, "TerminologyEntry")
    assert voxels(node, written.segmentIds[0], volume_node).sum() == 24


def test_an_accepted_segment_is_never_changed(border, volume_node):
    node = first_result(border, volume_node).segmentationNode
    border.acceptSegments(node, [node.GetSegmentation().GetNthSegmentID(0)])
    before = state(node, volume_node)
    for mode in ("REPLACE", "MERGE"):
        written = border.writeLabelmap(
            labels_of(border, volume_node, {1: np.s_[3:4, 0:1, 0:1]}), volume_node, node, mode=mode
        )
        assert written.plan[0].acceptedName == "Liver"
        assert state(node, volume_node)[:3] == before
        written.snapshot.undo()
    assert state(node, volume_node) == before


@pytest.mark.parametrize("mode", ["REPLACE", "MERGE"])
def test_a_result_of_some_slices_changes_those_slices_only(border, volume_node, mode):
    node = first_result(border, volume_node).segmentationNode
    identifier = node.GetSegmentation().GetNthSegmentID(0)
    old = voxels(node, identifier, volume_node)
    box = border.boxOfSlices(border.geometryFromNode(volume_node), "axial", 1, 2)
    whole = labels_of(border, volume_node, {1: np.s_[:, 2:5, 3:7]})
    part = Labelmap(whole.array[1:3], box.geometry(whole.geometry), whole.segments)
    expected = old.copy()
    if mode == "REPLACE":
        expected[1:3] = False
    expected[1:3] |= whole.array[1:3] == 1
    for labelmap, region in ((part, None), (whole, box)):
        written = border.writeLabelmap(labelmap, volume_node, node, mode=mode, region=region)
        assert np.array_equal(voxels(node, identifier, volume_node), expected)
        written.snapshot.undo()
        assert np.array_equal(voxels(node, identifier, volume_node), old)


def test_a_segment_that_a_person_drew_in_part_is_semiautomatic(border, volume_node):
    node = imported_segmentation(np.ones(SHAPE, np.uint8), OBLIQUE)
    segment = node.GetSegmentation().GetNthSegment(0)
    segment.SetName("Liver")
    border.writeLabelmap(labels_of(border, volume_node, {1: FIRST[1]}), volume_node, node, mode="MERGE")
    assert read_tag(segment, "DICOM.SegmentAlgorithmType") == "SEMIAUTOMATIC"


# Merge


def test_merging_adds_and_erases_nothing(border, volume_node):
    node = first_result(border, volume_node).segmentationNode
    before = {
        identifier: voxels(node, identifier, volume_node) for identifier in node.GetSegmentation().GetSegmentIDs()
    }
    new = labels_of(border, volume_node, {1: np.s_[1:4, 1:4, 1:5], 2: np.s_[0:1, 0:1, 0:1]})
    written = border.writeLabelmap(new, volume_node, node, mode="MERGE")
    first, second, third = before
    assert written.segmentIds == (first, second)
    assert np.array_equal(voxels(node, first, volume_node), before[first] | (new.array == 1))
    assert np.array_equal(voxels(node, second, volume_node), before[second] | (new.array == 2))
    assert np.array_equal(voxels(node, third, volume_node), before[third])


def test_random_results_come_out_as_sets_of_voxels_would(border, volume_node):
    random = np.random.default_rng(1)
    node = first_result(border, volume_node).segmentationNode
    sets = [voxels(node, identifier, volume_node) for identifier in node.GetSegmentation().GetSegmentIDs()]
    geometry = border.geometryFromNode(volume_node)
    for turn in range(12):
        mode = ("REPLACE", "MERGE")[turn % 2]
        array = random.integers(0, 4, SHAPE).astype(np.uint8)
        written = border.writeLabelmap(Labelmap(array, geometry, (LIVER, TUMOUR, SPLEEN)), volume_node, node, mode=mode)
        for i, identifier in enumerate(written.segmentIds):
            sets[i] = (array == i + 1) | (sets[i] if mode == "MERGE" else False)
            assert np.array_equal(voxels(node, identifier, volume_node), sets[i])
    assert node.GetSegmentation().GetNumberOfSegments() == 3


def test_surfaces_that_are_shown_follow(border, volume_node):
    node = first_result(border, volume_node).segmentationNode
    node.CreateClosedSurfaceRepresentation()
    segmentation = node.GetSegmentation()
    surfaces = [segmentation.GetNthSegment(i).GetRepresentation("Closed surface").GetBounds() for i in range(3)]
    border.writeLabelmap(labels_of(border, volume_node, {1: np.s_[0:4, 0:5, 0:7]}), volume_node, node, mode="REPLACE")
    after = [segmentation.GetNthSegment(i).GetRepresentation("Closed surface").GetBounds() for i in range(3)]
    assert after[0] != surfaces[0]
    assert after[1:] == surfaces[1:]


def test_a_replaced_result_still_makes_a_file_that_the_library_reads(border, volume_node, tmp_path):
    node = first_result(border, volume_node).segmentationNode
    new = labels_of(border, volume_node, {1: np.s_[0:2, 0:2, 0:4]})
    border.writeLabelmap(new, volume_node, node, mode="REPLACE")
    back = read_labelmap(border.exportSegmentation(node, tmp_path / "Maß.seg.nrrd"))
    assert np.array_equal(back.array == 1, new.array == 1)
    assert [segment.name for segment in back.segments] == names(node)


# Places


def test_under_transforms_the_voxels_are_where_they_are_seen(border, volume_node):
    node = first_result(border, volume_node).segmentationNode
    moved = add_transform(ijk_to_ras(rotation(30, 3), spacing=(1, 1, 1)))
    for each in (volume_node, node):
        each.SetAndObserveTransformNodeID(moved.GetID())
    new = labels_of(border, volume_node, {1: np.s_[1:4, 1:4, 1:5]})
    border.writeLabelmap(new, volume_node, node, mode="REPLACE")
    assert np.array_equal(voxels(node, "Liver", volume_node), new.array == 1)


def test_the_reference_of_a_segmentation_on_the_same_grid_is_kept(border, volume_node):
    node = first_result(border, volume_node).segmentationNode
    phase = add_volume(name="late phase")
    border.writeLabelmap(labels_of(border, phase, {1: FIRST[1]}), phase, node, mode="MERGE")
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is volume_node


@pytest.mark.parametrize(
    "matrix",
    [
        OBLIQUE @ np.diag([1.01, 1, 1, 1]),
        OBLIQUE @ ijk_to_ras(np.eye(3), (1, 1, 1), (0.3, 0, 0)),
        ijk_to_ras(np.eye(3)),
    ],
    ids=["scaled", "between", "turned"],
)
@pytest.mark.parametrize("mode", ["REPLACE", "MERGE"])
def test_a_segmentation_of_another_grid_is_refused_before_the_run(border, volume_node, mode, matrix):
    node = first_result(border, add_volume(matrix, name="other")).segmentationNode
    before = scene_size()
    with pytest.raises(GANSegmentationError) as caught:
        border.checkOutput(node, volume_node, mode)
    assert caught.value.code == "geometry_mismatch"
    with pytest.raises(GANSegmentationError):
        border.writeLabelmap(labels_of(border, volume_node, FIRST), volume_node, node, mode=mode)
    assert scene_size() == before
    border.checkOutput(node, volume_node, "NEW")


@pytest.mark.parametrize("mode", ["ADD", "REPLACE", "MERGE"])
def test_what_was_moved_for_good_since_is_not_undone(border, volume_node, mode):
    node = first_result(border, volume_node).segmentationNode
    written = border.writeLabelmap(labels_of(border, volume_node, FIRST), volume_node, node, mode=mode)
    assert written.snapshot.obstacle() is None
    node.SetAndObserveTransformNodeID(add_transform(ijk_to_ras(rotation(20, 5), (1, 1, 1), (10, 20, 30))).GetID())
    assert written.snapshot.obstacle() is None  # the transform can be taken away again
    node.HardenTransform()
    assert "edited" in written.snapshot.obstacle()


def test_what_reaches_beyond_the_volume_is_united_and_stays(border, volume_node):
    """A segment drawn on a larger scan of the same lattice, such as by the Segment Editor with another source."""
    larger = add_volume(OBLIQUE @ ijk_to_ras(np.eye(3), (1, 1, 1), (-1, 0, -2)), name="larger")
    drawn = Labelmap(np.ones(SHAPE, np.uint8), border.geometryFromNode(larger), (LIVER,))
    node = border.addLabelmapToSegmentation(drawn, larger)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    new = labels_of(border, volume_node, {1: np.s_[0:1, 4:5, 6:7]})
    border.writeLabelmap(new, volume_node, node, mode="MERGE")
    assert voxels(node, "Liver", larger).all()  # those before the volume's first voxel, too
    expected = np.zeros(SHAPE, bool)
    expected[:2, :, :6] = True
    expected[0, 4, 6] = True
    assert np.array_equal(voxels(node, "Liver", volume_node), expected)


def test_an_empty_segmentation_of_another_volume_is_given_the_grid(border, volume_node):
    other = add_volume(ijk_to_ras(np.eye(3)), name="other")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "empty")
    node.SetReferenceImageGeometryParameterFromVolumeNode(other)
    border.checkOutput(node, volume_node, "ADD")
    labelmap = make_labelmap(border.geometryFromNode(volume_node))
    border.writeLabelmap(labelmap, volume_node, node, mode="ADD")
    assert np.array_equal(border.labelmapFromNode(node).array, labelmap.array)


def test_an_empty_segment_of_another_grid_is_of_that_grid_too(border, volume_node):
    other = add_volume(OBLIQUE @ np.diag([1.01, 1, 1, 1]), name="other")
    empty = Labelmap(np.zeros(SHAPE, np.uint8), border.geometryFromNode(other), (LIVER,))
    node = border.addLabelmapToSegmentation(empty, other)
    node.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap").Initialize()
    with pytest.raises(GANSegmentationError) as caught:
        border.checkOutput(node, volume_node, "REPLACE")
    assert caught.value.code == "geometry_mismatch"


def test_a_frame_of_a_sequence_that_keeps_no_changes_is_refused(border, volume_node):
    node = first_result(border, volume_node).segmentationNode
    sequences = slicer.vtkSlicerSequencesLogic()
    sequences.SetMRMLScene(slicer.mrmlScene)  # makes the scene know the nodes of sequences
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode")
    sequence.SetDataNodeAtValue(node, "0")
    browser.AddSynchronizedSequenceNode(sequence)
    browser.AddProxyNode(node, sequence, False)
    with pytest.raises(GANSegmentationError) as caught:
        border.checkOutput(node, volume_node, "MERGE")
    assert caught.value.code == "unsuitable_output"
    browser.SetSaveChanges(sequence, True)
    border.checkOutput(node, volume_node, "MERGE")


@pytest.mark.parametrize("mode", ["NEW", "REPLACE", "MERGE"])
def test_a_failure_leaves_the_scene_as_it_was(border, volume_node, mode, monkeypatch):
    node = first_result(border, volume_node).segmentationNode
    before, size = state(node, volume_node), scene_size()
    from GANSegmentationPanel.scene import writing

    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(writing, "_setReference", fail)
    new = labels_of(border, volume_node, {1: np.s_[1:4, 1:4, 1:5], 3: FIRST[3]}, (LIVER, replace(SPLEEN, name="new")))
    with pytest.raises(MemoryError):
        border.writeLabelmap(new, volume_node, node, mode=mode)
    assert state(node, volume_node) == before
    assert scene_size() == size


def test_a_mode_may_be_another_enumerations_member():
    import enum

    from GANSegmentationPanel.scene import OutputMode, outputMode

    saved = enum.Enum("saved", ["NEW", "ADD", "REPLACE", "MERGE"])
    assert [outputMode(member) for member in saved] == list(OutputMode)


# Undo


@pytest.mark.parametrize("mode", ["REPLACE", "MERGE"])
def test_undo_brings_everything_back(border, volume_node, mode):
    node = first_result(border, volume_node).segmentationNode
    node.GetSegmentation().GetNthSegment(0).SetTag("mine", "Ähre")
    node.GetSegmentation().GetNthSegment(0).RemoveTag("Segmentation.Status")
    before, size = state(node, volume_node), scene_size()
    other = replace(SPLEEN, name="Magen")
    labelmap = labels_of(
        border, volume_node, {1: np.s_[1:4, 1:4, 1:5], 2: FIRST[2], 3: FIRST[3]}, (LIVER, TUMOUR, other)
    )
    written = border.writeLabelmap(labelmap, volume_node, node, mode=mode, algorithmName="second")
    assert state(node, volume_node) != before
    assert written.snapshot.obstacle() is None
    written.snapshot.undo()
    assert state(node, volume_node) == before
    assert scene_size() == size


def test_undo_brings_back_a_segment_that_shared_its_image(border, volume_node):
    node = first_result(border, volume_node).segmentationNode
    before = state(node, volume_node)
    over = labels_of(border, volume_node, {2: np.s_[0:4, 0:5, 0:7]})  # the second label, over the others' voxels
    written = border.writeLabelmap(over, volume_node, node, mode="REPLACE")
    assert voxels(node, written.segmentIds[0], volume_node).all()
    written.snapshot.undo()
    assert state(node, volume_node) == before


def test_undo_takes_back_the_reference_that_a_segmentation_did_not_have(border, volume_node):
    node = imported_segmentation(np.ones(SHAPE, np.uint8), OBLIQUE)
    role = node.GetReferenceImageGeometryReferenceRole()
    parameter = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    before = node.GetSegmentation().GetConversionParameter(parameter)
    written = border.writeLabelmap(labels_of(border, volume_node, FIRST), volume_node, node, mode="MERGE")
    assert node.GetNodeReference(role) is volume_node
    assert node.GetSegmentation().GetConversionParameter(parameter) != before
    written.snapshot.undo()
    assert node.GetNodeReference(role) is None
    assert node.GetSegmentation().GetConversionParameter(parameter) == before


def test_undo_removes_a_new_segmentation_with_all_that_belongs_to_it(border, volume_node):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume_node)
    size = scene_size()
    items = hierarchy.GetNumberOfItems()
    written = first_result(border, volume_node)
    border.acceptSegments(written.segmentationNode)  # a status is no edit
    written.segmentationNode.CreateClosedSurfaceRepresentation()
    written.snapshot.undo()
    assert scene_size() == size
    assert hierarchy.GetNumberOfItems() == items


def edit(node, identifier):
    image = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(identifier, image)
    scalars = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    scalars[np.flatnonzero(scalars)[0]] = 0
    LOGIC.SetBinaryLabelmapToSegment(image, node, identifier, LOGIC.MODE_REPLACE)


@pytest.mark.parametrize(
    "change",
    [
        lambda node: edit(node, node.GetSegmentation().GetNthSegmentID(0)),
        lambda node: node.GetSegmentation().RemoveSegment(node.GetSegmentation().GetNthSegmentID(1)),
        lambda node: node.GetSegmentation().GetNthSegment(0).SetName("renamed"),
        lambda node: node.GetSegmentation().AddEmptySegment(),
        lambda node: slicer.mrmlScene.RemoveNode(node),
        lambda node: slicer.mrmlScene.Clear(0),
    ],
    ids=["edited", "segment removed", "renamed", "segment added", "node removed", "scene closed"],
)
def test_what_was_done_since_is_not_thrown_away(border, volume_node, change):
    written = first_result(border, volume_node)
    change(written.segmentationNode)
    assert written.snapshot.obstacle()
    size = scene_size()
    with pytest.raises(GANSegmentationError) as caught:
        written.snapshot.undo()
    assert caught.value.code == "undo_impossible"
    assert scene_size() == size


def test_an_edit_of_another_segment_does_not_hinder(border, volume_node):
    node = first_result(border, volume_node).segmentationNode
    written = border.writeLabelmap(
        labels_of(border, volume_node, {1: np.s_[1:4, 1:4, 1:5]}), volume_node, node, mode="REPLACE"
    )
    edit(node, "Liver tumor")
    edited = voxels(node, "Liver tumor", volume_node)
    written.snapshot.undo()
    assert np.array_equal(voxels(node, "Liver tumor", volume_node), edited)
    assert voxels(node, "Liver", volume_node).sum() == 24


def test_there_is_one_step_back_and_none_after_the_scene_is_closed(border, volume_node):
    step = border.UndoStep()
    assert step.obstacle()
    step.keep(first_result(border, volume_node).snapshot)
    assert step.obstacle() is None
    step.undo()
    assert step.obstacle() == "There is no result to undo."
    with pytest.raises(GANSegmentationError):
        step.undo()
    step.keep(first_result(border, volume_node).snapshot)
    slicer.mrmlScene.Clear(0)
    assert step._snapshot is None
    tag = step._tag
    assert slicer.mrmlScene.GetCommand(tag) is not None
    step.close()
    assert slicer.mrmlScene.GetCommand(tag) is None
    step.close()


def test_a_node_that_is_removed_takes_with_it_what_was_made_for_it(border, volume_node):
    first_result(border, volume_node)  # makes what the scene has once
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    before = scene_size(), hierarchy.GetNumberOfItems()
    node = first_result(border, volume_node).segmentationNode
    node.AddDefaultStorageNode()
    assert node.GetDisplayNode() and node.GetStorageNode()
    border.removeNode(node)
    assert (scene_size(), hierarchy.GetNumberOfItems()) == before


# Older ways


def test_adding_a_labelmap_never_uses_a_name_twice(border, volume_node):
    labelmap = make_labelmap(border.geometryFromNode(volume_node))
    node = border.addLabelmapToSegmentation(labelmap, volume_node)
    node.GetSegmentation().GetNthSegment(0).SetName("x")
    node.GetSegmentation().GetNthSegment(1).SetName("Liver_1")
    border.addLabelmapToSegmentation(labelmap, volume_node, node)
    border.addLabelmapToSegmentation(labelmap, volume_node, node)
    assert len(set(names(node))) == 6
