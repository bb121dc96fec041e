"""Segments of the scene as voxels on a grid, and voxels on a grid as images of segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
import vtk
import vtk.util.numpy_support
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Labelmap

from .nodes import geometryOfImage, isA, matrixToWorld, nameOf
from .region import IndexBox
from .terminology import segmentFromNode, segmentOfColour
from .volumes import geometryFromNode, noVoxels

BINARY_LABELMAP = "Binary labelmap"

_LATTICE_TOLERANCE_VOXELS = 1e-3


@dataclass(frozen=True, eq=False)
class Patch:
    """The voxels of one segment within a box of a grid.

    Parameters
    ----------
    box:
        Where the voxels lie on the grid.
    mask:
        Bool ``(z, y, x)``, of the size of the box.
    """

    box: IndexBox
    mask: np.ndarray


# Nodes to labelmaps


def labelmapFromNode(node, geometry: Geometry | None = None) -> Labelmap:
    """The labels of a segmentation node or a labelmap volume node, in the world.

    Parameters
    ----------
    node:
        A vtkMRMLSegmentationNode or a vtkMRMLLabelMapVolumeNode.
    geometry:
        The grid for a segmentation that knows no reference geometry of its own.

    Raises
    ------
    GANSegmentationError
        ``invalid_labelmap`` if the node is neither, or a labelmap volume holds other than whole numbers of zero or
        more; ``no_geometry`` if no grid is known, ``geometry_mismatch`` if a segment is drawn on another grid or
        reaches beyond it, ``overlapping_segments`` if a voxel belongs to two segments, ``no_labelmap`` if a segment is
        only a surface.
    """
    if isA(node, "vtkMRMLSegmentationNode"):
        return _labelmapFromSegmentation(node, geometry)
    array = _labelsOfVolume(node)
    return Labelmap(array, geometryFromNode(node), _segmentsOfVolume(node, array))


def _labelsOfVolume(node) -> np.ndarray:
    if not isA(node, "vtkMRMLLabelMapVolumeNode"):
        raise GANSegmentationError(
            "invalid_labelmap",
            _("{name} is neither a segmentation nor a labelmap volume.").format(name=nameOf(node)),
            cause=_("A mask that is loaded as a plain volume does not say that its numbers are labels."),
            action=_("Choose a segmentation, or convert the volume to a labelmap (Volumes module)."),
        )
    if node.GetImageData() is None or node.GetImageData().GetNumberOfPoints() == 0:
        raise noVoxels(node, "invalid_labelmap")
    array = slicer.util.arrayFromVolume(node)
    if array.dtype.kind == "i" and array.min(initial=0) >= 0:
        array = array.astype(np.uint16 if array.max(initial=0) < 2**16 else np.uint32)
    return array


def _segmentsOfVolume(node, array: np.ndarray) -> list:
    """Names and colours by the labelmap's colour table; none by a default one, which names no structure of this map."""
    displayNode = node.GetDisplayNode()
    table = displayNode.GetColorNode() if displayNode else None
    if not isA(table, "vtkMRMLColorTableNode") or table.GetSingletonTag() or array.dtype.kind != "u":
        return []
    segments = (segmentOfColour(table, value) for value in labelValues(array))
    return [segment for segment in segments if segment is not None]


def labelValues(array: np.ndarray) -> list[int]:
    """The labels that voxels of an unsigned array ``(z, y, x)`` have, ascending, without the background's 0."""
    if array.max(initial=0) >= 2**16:
        return [int(value) for value in np.unique(array) if value]
    counts = np.zeros(2**16, np.int64)
    for part in array:  # slice by slice: bincount makes eight bytes of every voxel
        found = np.bincount(part.ravel())
        counts[: len(found)] += found
    return [int(value) for value in np.flatnonzero(counts) if value]


def _labelmapFromSegmentation(node, geometry: Geometry | None) -> Labelmap:
    segmentation = node.GetSegmentation()
    geometry = referenceGeometry(node) or geometry
    if geometry is None:
        raise GANSegmentationError(
            "no_geometry",
            _("{name} does not say on which grid it was drawn.").format(name=node.GetName()),
            cause=_("It was imported without its volume."),
            action=_("Set its source geometry in the Segment Editor."),
        )
    count = segmentation.GetNumberOfSegments()
    labels = np.zeros(geometry.shape, np.uint8 if count < 256 else np.uint16)
    segments = []
    for value, identifier in enumerate(segmentation.GetSegmentIDs(), start=1):
        patch = segmentPatch(node, identifier, geometry)
        if patch is not None and not paint(labels, patch, value):
            raise GANSegmentationError(
                "overlapping_segments",
                _("Segment {segment} of {name} overlaps with another one.").format(
                    segment=segmentation.GetSegment(identifier).GetName(), name=node.GetName()
                ),
                cause=_("A voxel can have only one label here."),
                action=_("Export the overlapping structures one at a time, from segmentations of their own."),
            )
        segments.append(segmentFromNode(segmentation.GetSegment(identifier), value))
    return Labelmap(labels, geometry, segments)


def paint(labels: np.ndarray, patch: Patch, value: int) -> bool:
    """Give the voxels of a patch a value in labels ``(z, y, x)``; False, and nothing changed, if one has a label."""
    view = labels[patch.box.slices]
    if np.any(view[patch.mask]):
        return False
    view[patch.mask] = value
    return True


def referenceGeometry(node) -> Geometry | None:
    """The grid that a segmentation says it was drawn on, in the world; None if it does not say."""
    parameter = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    text = node.GetSegmentation().GetConversionParameter(parameter)
    image = slicer.vtkOrientedImageData()
    if not text or not slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, image, False):
        return None
    return geometryOfImage(matrixToWorld(node) @ imageToWorld(image), image.GetExtent())


def segmentPatch(node, identifier: str, geometry: Geometry, *, beyond: bool = False) -> Patch | None:
    """The voxels of one segment on a grid; None if it has none.

    They are copied voxel by voxel, so the lattices must be one. They may lie beyond the grid if `beyond` says so; the
    box then has indices outside of it.

    Raises
    ------
    GANSegmentationError
        ``no_labelmap`` if the segment is only a surface, ``geometry_mismatch`` if it lies on another lattice or reaches
        beyond the grid.
    """
    segment = node.GetSegmentation().GetSegment(identifier)
    image = segmentImage(node, identifier)
    if image.IsEmpty():
        return None
    mask = imageVoxels(image) == segment.GetLabelValue()
    box = foregroundBox(mask)
    if box is None:
        return None
    start = latticeStart(image, matrixToWorld(node), geometry)
    if start is not None:
        place = IndexBox.at([part.start + s for part, s in zip(box, start, strict=True)], mask[box].shape)
        if beyond or place.overlap(IndexBox.of(geometry)) == place:
            return Patch(place, mask[box])
    raise GANSegmentationError(
        "geometry_mismatch",
        _("Segment {segment} of {name} does not lie on the grid.").format(
            segment=segment.GetName(), name=node.GetName()
        ),
        cause=_("It was drawn on another volume, or reaches beyond this one."),
        action=_("Resample it to the volume's geometry first (Segment Editor, source geometry)."),
    )


def segmentImage(node, identifier: str):
    """The vtkOrientedImageData of a segment, perhaps shared with others, each of which has its own label value.

    Raises ``no_labelmap`` if the segment is only a surface.
    """
    segment = node.GetSegmentation().GetSegment(identifier)
    image = segment.GetRepresentation(BINARY_LABELMAP)
    if image is None:
        raise GANSegmentationError(
            "no_labelmap",
            _("Segment {segment} of {name} has no voxels, only a surface.").format(
                segment=segment.GetName(), name=node.GetName()
            ),
            action=_("Create its binary labelmap in the Segmentations module."),
        )
    return image


def imageVoxels(image) -> np.ndarray:
    """The voxels of an image, ``(z, y, x)``, its own memory."""
    extent = image.GetExtent()
    shape = tuple(extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in (2, 1, 0))
    return vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)


def latticeStart(image, toWorld: np.ndarray, geometry: Geometry) -> tuple[int, int, int] | None:
    """The index ``(z, y, x)`` on a grid of the first voxel of an image whose voxels are voxels of the grid's lattice.

    None if they are not. The voxels may lie beyond the grid. `toWorld` takes the image's coordinates to the world.
    """
    toIndex = np.linalg.inv(geometry.index_to_ras) @ toWorld @ imageToWorld(image)
    extent = np.array(image.GetExtent()).reshape(3, 2)
    first = toIndex[:3, :3] @ extent[:, 0] + toIndex[:3, 3]
    start = np.rint(first)
    # How far the voxel farthest from the first one is off the lattice, added to how far the first one is.
    size = extent[:, 1] - extent[:, 0] + 1
    off = np.abs(first - start).max() + (np.abs(toIndex[:3, :3] - np.eye(3)) @ size).max()
    if off > _LATTICE_TOLERANCE_VOXELS:
        return None
    x, y, z = (int(s) for s in start)
    return z, y, x


def imageToWorld(image) -> np.ndarray:
    """The 4 x 4 matrix from an index of a vtkOrientedImageData to its coordinates, RAS mm."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def foregroundBox(array: np.ndarray) -> tuple[slice, ...] | None:
    """The smallest box around what is not zero, for an array ``(z, y, x)`` or ``(y, x)``; None if nothing is."""
    if array.ndim == 3:
        # A maximum over whole slices is what numpy does fastest, of unsigned numbers and of truth values seen as such.
        numbers = array.view(np.uint8) if array.dtype == bool else array
        used = np.flatnonzero(numbers.reshape(len(numbers), -1).max(axis=1, initial=0))
        if not used.size:
            return None
        part = slice(int(used[0]), int(used[-1]) + 1)
        plane = foregroundBox(numbers[part].max(axis=0))
        return None if plane is None else (part, *plane)
    box = []
    for axis in (1, 0):
        used = np.flatnonzero(array.any(axis=axis))
        if not used.size:
            return None
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)


# Voxels to images


def orientedImage(array: np.ndarray, start: tuple[int, ...], geometry: Geometry, worldToNode: np.ndarray):
    """Voxels as a vtkOrientedImageData in the coordinates of a segmentation node, copied.

    Parameters
    ----------
    array:
        Labels ``(z, y, x)``, unsigned integer: a part of an array on the grid.
    start:
        The index ``(z, y, x)`` of its first voxel.
    geometry:
        The grid, in the world.
    worldToNode:
        4 x 4 matrix from the world to the node's coordinates, RAS.
    """
    image = slicer.vtkOrientedImageData()
    extent: list[int] = []
    for first, size in zip(reversed(start), reversed(array.shape), strict=True):
        extent += [first, first + size - 1]
    image.SetExtent(extent)
    image.AllocateScalars(vtk.util.numpy_support.get_vtk_array_type(array.dtype), 1)
    imageVoxels(image)[:] = array
    image.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(worldToNode @ geometry.index_to_ras))
    return image
