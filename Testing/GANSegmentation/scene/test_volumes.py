"""Volume nodes become volumes, where they are seen in the patient."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from GANSegmentationLib.errors import GANSegmentationError
from Testing.GANSegmentation.scene_objects import (
    OBLIQUE,
    SHAPE,
    SIZE,
    add_transform,
    add_volume,
    bend,
    ijk_to_ras,
    rotation,
    signed_permutations,
)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.uint16, np.float32, np.float64])
def test_a_volume_is_the_nodes_own_memory(border, dtype):
    node = add_volume(dtype=dtype)
    volume = border.volumeFromNode(node)
    assert volume.array.dtype == dtype
    assert np.shares_memory(volume.array, slicer.util.arrayFromVolume(node))
    assert not volume.array.flags.writeable
    assert volume.name == "CT"


def test_the_voxels_outlive_their_node(border):
    node = add_volume()
    expected = slicer.util.arrayFromVolume(node).copy()
    volume = border.volumeFromNode(node)
    slicer.mrmlScene.RemoveNode(node)
    del node
    assert np.array_equal(volume.array, expected)


@pytest.mark.parametrize("axes", signed_permutations(), ids=lambda axes: "".join(f"{v:+.0f}" for v in axes[axes != 0]))
def test_every_orientation_keeps_its_place(border, axes):
    matrix = ijk_to_ras(axes)
    geometry = border.volumeFromNode(add_volume(matrix)).geometry
    assert geometry.size == SIZE
    assert np.allclose(geometry.index_to_ras, matrix, atol=1e-12)


def test_an_image_that_does_not_begin_at_index_zero_keeps_its_place(border):
    node = add_volume()
    image = vtk.vtkImageData()
    image.DeepCopy(node.GetImageData())
    image.SetExtent(3, 2 + SIZE[0], -2, SIZE[1] - 3, 1, SIZE[2])
    node.SetAndObserveImageData(image)
    first = border.volumeFromNode(node).geometry.index_to_ras @ [0, 0, 0, 1]
    assert np.allclose(first, OBLIQUE @ [3, -2, 1, 1])


def test_a_volume_under_linear_transforms_is_taken_where_it_is_seen(border):
    node = add_volume()
    inner, outer = add_transform(ijk_to_ras(rotation(5, 7), spacing=(1, 1, 1))), add_transform(ijk_to_ras(np.eye(3)))
    node.SetAndObserveTransformNodeID(inner.GetID())
    inner.SetAndObserveTransformNodeID(outer.GetID())
    # Uneven scaling after a rotation shears; the same scaling alone does not.
    with pytest.raises(GANSegmentationError) as caught:
        border.volumeFromNode(node)
    assert caught.value.code == "invalid_geometry"
    outer.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(ijk_to_ras(np.eye(3), spacing=(2, 2, 2))))
    expected = ijk_to_ras(np.eye(3), spacing=(2, 2, 2)) @ ijk_to_ras(rotation(5, 7), spacing=(1, 1, 1)) @ OBLIQUE
    assert np.allclose(border.volumeFromNode(node).geometry.index_to_ras, expected)


def test_a_volume_under_a_bending_transform_is_refused(border):
    node = add_volume()
    bend(node)
    with pytest.raises(GANSegmentationError) as caught:
        border.volumeFromNode(node)
    assert caught.value.code == "nonlinear_transform"
    assert "acquisition" in caught.value.message


def test_what_is_not_a_scalar_volume_is_refused(border):
    labelmap = slicer.util.addVolumeFromArray(np.zeros(SHAPE, np.uint8), nodeClassName="vtkMRMLLabelMapVolumeNode")
    colour = slicer.util.addVolumeFromArray(np.zeros((*SHAPE, 3), np.uint8), nodeClassName="vtkMRMLVectorVolumeNode")
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    for node in (labelmap, colour, empty):
        with pytest.raises(GANSegmentationError) as caught:
            border.volumeFromNode(node)
        assert caught.value.code == "invalid_volume"


def test_the_modality_comes_from_the_subject_hierarchy_and_the_patient_stays_out(border):
    node = add_volume()
    assert border.volumeFromNode(node).modality is None
    node.SetAttribute("DICOM.Modality", "MR")  # as the proxy of a sequence, or what a script made, has it
    assert border.volumeFromNode(node).modality == "MR"
    node.RemoveAttribute("DICOM.Modality")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Doe^Jane")
    study = hierarchy.CreateStudyItem(patient, "Abdomen")
    hierarchy.SetItemUID(study, "DICOM", "1.2.3")
    hierarchy.SetItemAttribute(study, "DICOM.StudyDescription", "Abdomen, portal venous")
    item = hierarchy.GetItemByDataNode(node)
    hierarchy.SetItemParent(item, study)
    hierarchy.SetItemUID(item, "DICOM", "1.2.3.4")
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
    volume = border.volumeFromNode(node)
    assert volume.modality == "CT"
    assert dict(volume.facts) == {
        "StudyInstanceUID": "1.2.3",
        "StudyDescription": "Abdomen, portal venous",
        "SeriesInstanceUID": "1.2.3.4",
    }
