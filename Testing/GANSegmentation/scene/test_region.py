"""A region of the panel is exactly these voxels of the volume, whichever way the volume lies."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import slicer
import slicer.util

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.slicing import PLANES, orient
from GANSegmentationLib.volumes import Geometry, Labelmap
from Testing.GANSegmentation.scene_objects import (
    LIVER,
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

GRIDS = [ijk_to_ras(axes) for axes in (*signed_permutations()[::7], rotation(20, 11), rotation(-70, 35))]


def add_roi(center=(0, 0, 0), size=(10, 10, 10), axes=None):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "ROI 区")
    node.SetROIType(node.ROITypeBox)
    node.SetCenter(center)
    node.SetSize(size)
    if axes is not None:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = axes, center
        node.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(matrix))
    return node


def touched(geometry: Geometry, inside) -> tuple[tuple, tuple]:
    """The box around all voxels with a point in a region, found by asking for many points of each."""
    fine = 8
    offsets = (np.arange(fine) + 0.5) / fine - 0.5
    found = []
    for index in np.ndindex(geometry.shape):
        points = np.array([(*(np.array(index[::-1]) + o), 1.0) for o in itertools.product(offsets, repeat=3)])
        if inside((points @ geometry.index_to_ras.T)[:, :3]).any():
            found.append(index)
    return tuple(np.min(found, axis=0)), tuple(np.max(found, axis=0) + 1)


# Region of interest


@pytest.mark.parametrize("matrix", GRIDS)
def test_a_region_along_the_grid_takes_the_voxels_it_meets(border, matrix):
    geometry = Geometry.from_index_to_ras(matrix, SIZE)
    axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    if np.linalg.det(axes) < 0:
        axes = axes * [1, 1, -1]
    middle = matrix @ [2.7, 1.8, 1.6, 1]
    size = np.array([3.2, 1.9, 1.1]) * geometry.spacing  # indices 1.1 to 4.3, 0.85 to 2.75, 1.05 to 2.15
    box = border.boxOfRoi(add_roi(middle[:3], size, axes), geometry)
    assert (box.start, box.stop) == ((1, 1, 1), (3, 4, 5))


def test_an_oblique_region_is_enclosed_and_no_voxel_more(border):
    geometry = Geometry.from_index_to_ras(ijk_to_ras(np.eye(3), (1, 1, 2), (0, 0, 0)), (12, 11, 8))
    axes, center, size = rotation(30, 25), np.array([5.1, 4.9, 7.2]), np.array([6.0, 3.0, 5.0])
    start, stop = touched(geometry, lambda points: (np.abs((points - center) @ axes) <= size / 2).all(axis=1))
    box = border.boxOfRoi(add_roi(center, size, axes), geometry)
    # The points asked for are an eighth of a voxel apart, so the exact box may begin or end one voxel outside of them.
    assert all(a in (b, b - 1) for a, b in zip(box.start, start, strict=True))
    assert all(a in (b, b + 1) for a, b in zip(box.stop, stop, strict=True))
    corners = np.array([center + axes @ (size / 2 * signs) for signs in itertools.product((-1, 1), repeat=3)])
    index = (corners / (1, 1, 2))[:, ::-1]
    assert np.all(index.min(axis=0) > np.array(box.start) - 0.5 - 1e-9)
    assert np.all(index.min(axis=0) < np.array(box.start) + 0.5)
    assert np.all(index.max(axis=0) < np.array(box.stop) - 0.5 + 1e-9)
    assert np.all(index.max(axis=0) > np.array(box.stop) - 1.5)


def test_a_region_under_transforms_is_where_it_is_seen(border):
    geometry = Geometry.from_index_to_ras(OBLIQUE, SIZE)
    roi = add_roi((0, 0, 0), np.array(geometry.spacing) * [2, 2, 2])
    roi.SetAndObserveTransformNodeID(add_transform(np.eye(4)).GetID())
    transform = roi.GetParentTransformNode()
    rigid = OBLIQUE.copy()
    rigid[:3, :3] = OBLIQUE[:3, :3] / np.linalg.norm(OBLIQUE[:3, :3], axis=0)
    rigid[:3, 3] = (OBLIQUE @ [2.5, 2.5, 1.5, 1])[:3]
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(rigid))
    box = border.boxOfRoi(roi, geometry)  # it fits two voxels each way exactly, and takes no third one
    assert (box.start, box.stop) == ((1, 2, 2), (3, 4, 4))


def test_a_region_larger_than_the_volume_is_the_volume(border):
    geometry = Geometry.from_index_to_ras(OBLIQUE, SIZE)
    middle = (OBLIQUE @ [3, 2, 1.5, 1])[:3]
    roi = add_roi(middle, (500, 500, 500))
    assert border.boxOfRoi(roi, geometry) == border.IndexBox.of(geometry)
    assert border.regionBox(geometry, roiNode=roi) is None


def test_a_thin_region_is_one_slice(border):
    geometry = Geometry.from_index_to_ras(ijk_to_ras(np.eye(3), (1, 1, 2), (0, 0, 0)), (12, 11, 8))
    box = border.boxOfRoi(add_roi((5.0, 5.0, 6.1), (4, 4, 0.01)), geometry)
    assert (box.start[0], box.stop[0]) == (3, 4)


@pytest.mark.parametrize("kind", ["outside", "no size", "inside out", "removed", "no node", "bent"])
def test_a_region_that_cannot_be_meant_is_refused(border, kind):
    geometry = Geometry.from_index_to_ras(OBLIQUE, SIZE)
    roi = add_roi((OBLIQUE @ [3, 2, 1, 1])[:3])
    if kind == "outside":
        roi.SetCenter(900, 0, 0)
    elif kind == "no size":
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    elif kind == "inside out":
        roi.SetInsideOut(True)
    elif kind == "removed":
        slicer.mrmlScene.RemoveNode(roi)
    elif kind == "no node":
        roi = add_volume()
    else:
        bend(roi)
    with pytest.raises(GANSegmentationError) as caught:
        border.boxOfRoi(roi, geometry)
    expected = {"outside": "region_outside", "bent": "nonlinear_transform"}.get(kind, "invalid_region")
    assert caught.value.code == expected


# Slices


@pytest.mark.parametrize("axes", [*signed_permutations(), rotation(20, 11), rotation(44, 40), rotation(-70, 80)])
def test_slices_are_counted_along_the_axis_that_the_library_cuts(border, axes):
    geometry = Geometry.from_index_to_ras(ijk_to_ras(axes), SIZE)
    for plane in PLANES:
        axis = orient(geometry, plane).axes[0]
        assert border.sliceAxis(geometry, plane) == axis
        box = border.boxOfSlices(geometry, plane, 1, 2)
        assert [box.shape[a] for a in range(3)] == [2 if a == axis else SHAPE[a] for a in range(3)]
        assert box.start[axis] == 1


def test_a_range_is_clipped_and_an_impossible_one_refused(border):
    geometry = Geometry.from_index_to_ras(OBLIQUE, SIZE)
    assert border.boxOfSlices(geometry, "axial", -3, 99) == border.IndexBox.of(geometry)
    for first, last, code in ((2, 1, "invalid_region"), (4, 9, "region_outside"), (-5, -1, "region_outside")):
        with pytest.raises(GANSegmentationError) as caught:
            border.boxOfSlices(geometry, "axial", first, last)
        assert caught.value.code == code


def test_region_and_range_limit_each_other(border):
    geometry = Geometry.from_index_to_ras(ijk_to_ras(np.eye(3), (1, 1, 2), (0, 0, 0)), (12, 11, 8))
    roi = add_roi((5.0, 5.0, 6.0), (4, 4, 8))
    box = border.regionBox(geometry, roiNode=roi, plane="axial", sliceRange=(3, 7))
    assert (box.start, box.stop) == ((3, 3, 3), (6, 8, 8))
    with pytest.raises(GANSegmentationError):
        border.regionBox(geometry, roiNode=roi, plane="axial", sliceRange=(7, 7))


# Voxels


@pytest.mark.parametrize("matrix", GRIDS)
def test_the_labels_of_a_part_are_written_where_it_lies(border, matrix):
    volume_node = add_volume(matrix)
    volume = border.volumeFromNode(volume_node)
    box = border.IndexBox((1, 0, 2), (3, 4, 6))
    part = box.geometry(volume.geometry)
    whole, corner = volume.geometry.index_to_lps, np.array([2, 0, 1, 1.0])
    assert np.array_equal(part.index_to_lps[:3, :3], whole[:3, :3])
    assert np.array_equal(part.index_to_lps @ [0, 0, 0, 1], whole @ corner)
    labelmap = Labelmap((volume.array[box.slices] % 3).astype(np.uint8), part, (LIVER,))
    expected = np.zeros(SHAPE, np.uint8)
    expected[box.slices] = labelmap.array
    node = border.writeLabelmap(labelmap, volume_node).segmentationNode
    assert np.array_equal(border.labelmapFromNode(node).array, expected == 1)
