"""Volumes, segmentations and transforms for the tests of the border to the scene."""

from __future__ import annotations

import itertools

import numpy as np
import slicer
import slicer.util
import vtk

from GANSegmentationLib.volumes import Code, Geometry, Labelmap, Segment

LIVER = Segment(
    1,
    "Liver",
    (221, 130, 101),
    category=Code("SCT", "123037004", "Anatomical Structure"),
    type=Code("SCT", "10200004", "Liver"),
)
TUMOUR = Segment(
    2,
    "Liver tumor",
    (144, 238, 144),
    category=Code("SCT", "49755003", "Morphologically Altered Structure"),
    type=Code("SCT", "4147007", "Mass"),
    type_modifier=Code("SCT", "24028007", "Right"),
    region=Code("SCT", "10200004", "Liver"),
    region_modifier=Code("SCT", "7771000", "Left"),
)
SIZE = (7, 5, 4)
SHAPE = SIZE[::-1]


def signed_permutations() -> list[np.ndarray]:
    """The 48 ways to put the index axes along the patient's axes."""
    matrices = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            matrices.append(matrix)
    return matrices


def rotation(degrees_z: float, degrees_x: float) -> np.ndarray:
    z, x = np.deg2rad(degrees_z), np.deg2rad(degrees_x)
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    return about_z @ about_x


def ijk_to_ras(axes: np.ndarray, spacing=(0.7, 1 / 3, 2.5), origin=(-101.1, 1 / 7, 33.3)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = axes * np.array(spacing)
    matrix[:3, 3] = origin
    return matrix


OBLIQUE = ijk_to_ras(rotation(20, 11) @ np.diag([-1, -1, 1]))


def add_volume(matrix=OBLIQUE, name="CT", dtype=np.int16):
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(dtype)
    return slicer.util.addVolumeFromArray(array, ijkToRAS=matrix, name=name)


def add_transform(matrix) -> object:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def make_labelmap(geometry: Geometry, segments=(LIVER, TUMOUR), dtype=np.uint8) -> Labelmap:
    labels = np.random.default_rng(0).integers(0, len(segments) + 1, geometry.shape).astype(dtype)
    return Labelmap(labels, geometry, segments)


def add_labelmap_node(array, matrix=OBLIQUE):
    return slicer.util.addVolumeFromArray(array, ijkToRAS=matrix, nodeClassName="vtkMRMLLabelMapVolumeNode")


def imported_segmentation(array, matrix=OBLIQUE):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "reference")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(add_labelmap_node(array, matrix), node)
    return node


def read_tag(segment, name: str) -> str:
    value = vtk.reference("")
    segment.GetTag(name, value)
    return str(value)


def bend(node) -> object:
    """A transform that does not keep straight lines straight, over a node."""
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "acquisition")
    spline = vtk.vtkThinPlateSplineTransform()
    points = vtk.vtkPoints()
    for corner in itertools.product((0, 100), repeat=3):
        points.InsertNextPoint(corner)
    moved = vtk.vtkPoints()
    moved.DeepCopy(points)
    moved.SetPoint(0, 7, 3, 1)
    spline.SetSourceLandmarks(points)
    spline.SetTargetLandmarks(moved)
    spline.SetBasisToR()
    transform.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform
