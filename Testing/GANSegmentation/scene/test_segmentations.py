"""Voxels, places and meanings cross the border to the MRML scene unchanged."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment, read_labelmap, write_labelmap
from Testing.GANSegmentation.scene_objects import (
    LIVER,
    OBLIQUE,
    SHAPE,
    SIZE,
    TUMOUR,
    add_labelmap_node,
    add_transform,
    add_volume,
    ijk_to_ras,
    imported_segmentation,
    make_labelmap,
    read_tag,
    rotation,
    signed_permutations,
)


@pytest.mark.parametrize("axes", [*signed_permutations()[::5], rotation(20, 11), rotation(-40, 35)])
def test_a_labelmap_comes_back_from_a_segmentation_voxel_for_voxel(border, axes):
    volume_node = add_volume(ijk_to_ras(axes))
    labelmap = make_labelmap(border.volumeFromNode(volume_node).geometry)
    node = border.addLabelmapToSegmentation(labelmap, volume_node)
    back = border.labelmapFromNode(node)
    assert np.array_equal(back.array, labelmap.array)
    assert back.geometry.corner_distance(labelmap.geometry) < 1e-9
    assert back.segments == labelmap.segments


@pytest.mark.parametrize("axes", [np.eye(3), rotation(20, 11)])
def test_slicers_own_export_agrees(border, axes):
    volume_node = add_volume(ijk_to_ras(axes))
    labelmap = make_labelmap(border.volumeFromNode(volume_node).geometry)
    node = border.addLabelmapToSegmentation(labelmap, volume_node)
    for segment in labelmap.segments:
        exported = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment.name, volume_node)
        assert np.array_equal(exported != 0, labelmap.array == segment.value)


def test_a_segmentation_follows_the_transform_of_its_volume(border):
    volume_node = add_volume()
    transform = add_transform(ijk_to_ras(rotation(30, 3), spacing=(1, 1, 1)))
    volume_node.SetAndObserveTransformNodeID(transform.GetID())
    labelmap = make_labelmap(border.volumeFromNode(volume_node).geometry)
    node = border.addLabelmapToSegmentation(labelmap, volume_node)
    assert node.GetTransformNodeID() == transform.GetID()
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.eye(4)))
    back = border.labelmapFromNode(node)
    assert np.array_equal(back.array, labelmap.array)
    assert back.geometry.corner_distance(border.volumeFromNode(volume_node).geometry) < 1e-9


def test_an_output_under_another_transform_shows_the_labels_at_the_same_place(border):
    volume_node = add_volume()
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "output")
    output.SetAndObserveTransformNodeID(add_transform(ijk_to_ras(rotation(30, 3), spacing=(1, 1, 1))).GetID())
    labelmap = make_labelmap(border.volumeFromNode(volume_node).geometry)
    border.addLabelmapToSegmentation(labelmap, volume_node, output)
    back = border.labelmapFromNode(output)
    assert np.array_equal(back.array, labelmap.array)
    assert back.geometry.corner_distance(labelmap.geometry) < 1e-9


def test_segments_carry_name_colour_terminology_and_algorithm(border):
    volume_node = add_volume()
    labelmap = make_labelmap(border.volumeFromNode(volume_node).geometry)
    node = border.addLabelmapToSegmentation(labelmap, volume_node, algorithmName="GANSegmentation " + "x" * 80)
    segment = node.GetSegmentation().GetSegment("Liver tumor")
    assert np.allclose(segment.GetColor(), np.array(TUMOUR.colour) / 255)
    assert read_tag(segment, slicer.vtkSegment.GetTerminologyEntryTagName()) == (
        "Segmentation category and type - 3D Slicer General Anatomy list"
        "~SCT^49755003^Morphologically Altered Structure~SCT^4147007^Mass~SCT^24028007^Right"
        "~Anatomic codes - DICOM master list~SCT^10200004^Liver~SCT^7771000^Left"
    )
    assert read_tag(segment, "DICOM.SegmentAlgorithmType") == "AUTOMATIC"
    name = read_tag(segment, "DICOM.SegmentAlgorithmName")
    assert name.startswith("GANSegmentation x")
    assert len(name) == 64


def test_everything_survives_a_seg_nrrd_file(border, tmp_path):
    volume_node = add_volume()
    labelmap = make_labelmap(border.volumeFromNode(volume_node).geometry)
    node = border.addLabelmapToSegmentation(labelmap, volume_node, algorithmName="tiny 1.0")
    file = str(tmp_path / "out.seg.nrrd")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(file)
    assert storage.WriteData(node)
    read = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(read)
    back = border.labelmapFromNode(read)
    assert back.geometry.corner_distance(labelmap.geometry) < 1e-4
    assert np.array_equal(back.array, labelmap.array)
    assert back.segments == labelmap.segments
    assert read_tag(read.GetSegmentation().GetSegment("Liver"), "DICOM.SegmentAlgorithmType") == "AUTOMATIC"
    assert read_tag(read.GetSegmentation().GetSegment("Liver"), "DICOM.SegmentAlgorithmName") == "tiny 1.0"


def test_slicer_reads_the_file_that_the_library_writes(border, tmp_path):
    labelmap = make_labelmap(Geometry.from_index_to_ras(OBLIQUE, SIZE))
    file = write_labelmap(labelmap, tmp_path / "out.seg.nrrd")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(file))
    read = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(read)
    back = border.labelmapFromNode(read, labelmap.geometry)
    assert np.array_equal(back.array, labelmap.array)
    assert back.geometry.corner_distance(labelmap.geometry) < 1e-4
    assert back.segments == labelmap.segments


def test_the_library_reads_the_file_that_slicer_writes(border, tmp_path):
    volume_node = add_volume()
    labelmap = make_labelmap(border.volumeFromNode(volume_node).geometry)
    node = border.addLabelmapToSegmentation(labelmap, volume_node)
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "out.seg.nrrd"))
    assert storage.WriteData(node)
    back = read_labelmap(tmp_path / "out.seg.nrrd", geometry=labelmap.geometry)
    assert back.geometry.corner_distance(labelmap.geometry) < 1e-4
    names = {segment.name: segment for segment in back.segments}
    for segment in labelmap.segments:
        assert np.array_equal(back.array == names[segment.name].value, labelmap.array == segment.value)
        assert names[segment.name].type == segment.type


@pytest.mark.parametrize("segment", [LIVER, TUMOUR], ids=lambda segment: segment.name)
def test_the_terminology_is_written_as_slicer_writes_it(border, segment):
    volume_node = add_volume()
    labelmap = Labelmap(np.zeros(SHAPE, np.uint8), border.volumeFromNode(volume_node).geometry, (segment,))
    node = border.addLabelmapToSegmentation(labelmap, volume_node).GetSegmentation().GetNthSegment(0)
    codes = (segment.category, segment.type, segment.type_modifier, segment.region, segment.region_modifier)
    category, kind, modifier, region, region_modifier = (
        (code.value, code.scheme, code.meaning) if code is not None else ("", "", "") for code in codes
    )
    slicers = slicer.vtkSlicerTerminologiesModuleLogic.SerializeTerminologyEntry(
        *("Segmentation category and type - 3D Slicer General Anatomy list", *category, *kind, *modifier),
        *("Anatomic codes - DICOM master list", *region, *region_modifier),
    )
    assert read_tag(node, slicer.vtkSegment.GetTerminologyEntryTagName()) == slicers


def test_a_segment_without_codes_keeps_slicers_default(border):
    volume_node = add_volume()
    geometry = border.volumeFromNode(volume_node).geometry
    labelmap = Labelmap(np.zeros(SHAPE, np.uint8), geometry, (Segment(1, "Something", (1, 2, 3)),))
    node = border.addLabelmapToSegmentation(labelmap, volume_node).GetSegmentation().GetNthSegment(0)
    assert "SCT^85756007^Tissue" in read_tag(node, slicer.vtkSegment.GetTerminologyEntryTagName())


def test_the_volume_is_the_reference_and_the_neighbour(border):
    volume_node = add_volume()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Abdomen")
    hierarchy.CreateItem(study, volume_node)
    node = border.addLabelmapToSegmentation(make_labelmap(border.volumeFromNode(volume_node).geometry), volume_node)
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReferenceID(role) == volume_node.GetID()
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
    assert node.GetDisplayNode() is not None


def test_a_second_result_leaves_the_first_as_it_is(border):
    volume_node = add_volume()
    geometry = border.volumeFromNode(volume_node).geometry
    first = Labelmap(np.ones(SHAPE, np.uint8), geometry, (LIVER,))
    second = Labelmap(np.zeros(SHAPE, np.uint8), geometry, (LIVER,))
    node = border.addLabelmapToSegmentation(first, volume_node)
    assert border.addLabelmapToSegmentation(second, volume_node, node) is node
    names = [node.GetSegmentation().GetNthSegment(i).GetName() for i in range(2)]
    assert names[0] == "Liver"
    assert len(set(names)) == 2
    assert slicer.util.arrayFromSegmentBinaryLabelmap(node, "Liver", volume_node).all()


def test_a_labelmap_of_another_grid_is_refused(border):
    volume_node = add_volume()
    other = Geometry.from_index_to_ras(ijk_to_ras(np.eye(3)), SIZE)
    with pytest.raises(GANSegmentationError) as caught:
        border.addLabelmapToSegmentation(make_labelmap(other), volume_node)
    assert caught.value.code == "geometry_mismatch"
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_a_surface_is_not_written_into(border):
    volume_node = add_volume()
    labelmap = make_labelmap(border.volumeFromNode(volume_node).geometry)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    node.SetSourceRepresentationToClosedSurface()
    node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "ball")
    with pytest.raises(GANSegmentationError) as caught:
        border.addLabelmapToSegmentation(labelmap, volume_node, node)
    assert caught.value.code == "unsuitable_output"
    assert node.GetSegmentation().GetNumberOfSegments() == 1


# Labelmaps of other origin


def test_a_labelmap_volume_of_signed_type_is_read(border):
    array = (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 3).astype(np.int16)
    labelmap = border.labelmapFromNode(add_labelmap_node(array))
    assert labelmap.array.dtype.kind == "u"
    assert np.array_equal(labelmap.array, array)
    assert np.allclose(labelmap.geometry.index_to_ras, OBLIQUE)


def test_a_labelmap_volume_with_negative_values_is_refused(border):
    with pytest.raises(GANSegmentationError) as caught:
        border.labelmapFromNode(add_labelmap_node(np.full(SHAPE, -1, np.int16)))
    assert caught.value.code == "invalid_labelmap"


def test_a_segmentation_without_its_volume_needs_a_grid(border):
    array = np.zeros(SHAPE, np.uint8)
    array[1:3, 1:4, 2:5] = 1
    node = imported_segmentation(array)
    with pytest.raises(GANSegmentationError) as caught:
        border.labelmapFromNode(node)
    assert caught.value.code == "no_geometry"
    labelmap = border.labelmapFromNode(node, Geometry.from_index_to_ras(OBLIQUE, SIZE))
    assert np.array_equal(labelmap.array, array)


@pytest.mark.parametrize(
    "matrix",
    [
        ijk_to_ras(np.eye(3)),
        OBLIQUE @ np.diag([1.01, 1, 1, 1]),
        OBLIQUE @ ijk_to_ras(np.eye(3), (1, 1, 1), (0.3, 0, 0)),
        OBLIQUE @ ijk_to_ras(np.eye(3), (1, 1, 1), (5, 0, 0)),
        OBLIQUE @ np.eye(4)[:, [1, 0, 2, 3]],
    ],
    ids=["turned", "scaled", "between", "beyond", "axes exchanged"],
)
def test_a_segment_of_another_lattice_is_refused_not_resampled(border, matrix):
    node = imported_segmentation(np.ones(SHAPE, np.uint8), matrix)
    with pytest.raises(GANSegmentationError) as caught:
        border.labelmapFromNode(node, Geometry.from_index_to_ras(OBLIQUE, SIZE))
    assert caught.value.code == "geometry_mismatch"


def test_a_segment_shifted_by_whole_voxels_lands_where_it_is(border):
    array = np.zeros(SHAPE, np.uint8)
    array[2, 3, 4] = 1
    node = imported_segmentation(array, OBLIQUE @ ijk_to_ras(np.eye(3), (1, 1, 1), (2, -1, 1)))
    labelmap = border.labelmapFromNode(node, Geometry.from_index_to_ras(OBLIQUE, SIZE))
    assert np.argwhere(labelmap.array).tolist() == [[3, 2, 6]]


def test_overlapping_segments_are_refused(border):
    volume_node = add_volume()
    geometry = border.volumeFromNode(volume_node).geometry
    node = border.addLabelmapToSegmentation(Labelmap(np.ones(SHAPE, np.uint8), geometry, (LIVER,)), volume_node)
    border.addLabelmapToSegmentation(Labelmap(np.ones(SHAPE, np.uint8), geometry, (LIVER,)), volume_node, node)
    with pytest.raises(GANSegmentationError) as caught:
        border.labelmapFromNode(node)
    assert caught.value.code == "overlapping_segments"


def test_an_empty_segment_stays_empty(border):
    volume_node = add_volume()
    geometry = border.volumeFromNode(volume_node).geometry
    node = border.addLabelmapToSegmentation(Labelmap(np.zeros(SHAPE, np.uint8), geometry, (LIVER,)), volume_node)
    back = border.labelmapFromNode(node)
    assert not back.array.any()
    assert back.segments == (LIVER,)


# What is not what it should be


def nodes_of_other_kinds() -> list:
    add = slicer.mrmlScene.AddNewNodeByClass
    return [add("vtkMRMLModelNode"), add("vtkMRMLSegmentationNode"), None, "CT"]


def test_only_a_volume_is_a_volume(border):
    for thing in nodes_of_other_kinds():
        with pytest.raises(GANSegmentationError) as caught:
            border.volumeFromNode(thing)
        assert caught.value.code == "invalid_volume"


def test_only_segmentations_and_labelmaps_are_labels(border):
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    for thing in (slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode"), None, empty, add_volume(dtype=np.uint8)):
        with pytest.raises(GANSegmentationError) as caught:
            border.labelmapFromNode(thing)
        assert caught.value.code == "invalid_labelmap"


def test_only_a_segmentation_of_voxels_is_an_output(border):
    model, segmentation, nothing, text = nodes_of_other_kinds()
    border.checkOutput(segmentation)
    border.checkOutput(nothing)
    for thing in (model, text, add_volume()):
        with pytest.raises(GANSegmentationError) as caught:
            border.checkOutput(thing)
        assert caught.value.code == "unsuitable_output"


def labels_on(border, volume_node) -> Labelmap:
    return Labelmap(np.ones(SHAPE, np.uint8), border.geometryFromNode(volume_node), (LIVER,))


def test_a_volume_that_was_removed_gets_no_segmentation(border):
    volume_node = add_volume()
    labelmap = labels_on(border, volume_node)
    slicer.mrmlScene.RemoveNode(volume_node)
    with pytest.raises(GANSegmentationError) as caught:
        border.addLabelmapToSegmentation(labelmap, volume_node)
    assert caught.value.code == "volume_removed"
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_a_segmentation_that_was_removed_is_replaced_by_a_new_one(border):
    volume_node = add_volume()
    removed = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    slicer.mrmlScene.RemoveNode(removed)
    node = border.addLabelmapToSegmentation(labels_on(border, volume_node), volume_node, removed)
    assert node is not removed
    assert slicer.mrmlScene.GetNodeByID(node.GetID()) is node
    assert node.GetSegmentation().GetNumberOfSegments() == 1
