"""The voxels of a reference on the grid of the mask that is judged."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Labelmap, place_on_grid

from .nodes import geometryOfImage, isA, matrixToWorld
from .region import IndexBox
from .segmentations import (
    BINARY_LABELMAP,
    Patch,
    foregroundBox,
    imageToWorld,
    imageVoxels,
    labelmapFromNode,
    orientedImage,
    segmentImage,
    segmentPatch,
)


class ReferenceVoxels:
    """The segments of a reference, each as a patch of a grid.

    Parameters
    ----------
    node:
        A segmentation or a labelmap volume; it is not changed.
    geometry:
        The grid that the patches are wanted on.
    resample:
        Whether a reference of another grid is brought to this one, each voxel from the nearest one.

    Raises
    ------
    GANSegmentationError
        ``geometry_mismatch`` if it is on another grid and `resample` is off, ``no_labelmap`` if its surfaces cannot be
        turned into voxels; the former also from `patch`.
    """

    def __init__(self, node, geometry: Geometry, *, resample: bool = False) -> None:
        self.notes: list[str] = []
        self._node, self._geometry, self._resample = node, geometry, resample
        self._labelmap: Labelmap | None = None
        self._segmentationNode = None
        if not isA(node, "vtkMRMLSegmentationNode"):
            self._labelmap = self._placed(labelmapFromNode(node))
        elif node.GetSegmentation().GetSourceRepresentationName() == BINARY_LABELMAP:
            self._segmentationNode = node
        else:
            self._segmentationNode = _voxelised(node, geometry)
            self._note(_("The surfaces of {name} were turned into voxels of the mask's grid."))

    def patch(self, key: str) -> Patch | None:
        """The voxels of the segment with an ID, or of the label with a value; None if it has none on the grid."""
        if self._labelmap is not None:
            return _patchOf(self._labelmap.array == int(key))
        try:
            return segmentPatch(self._segmentationNode, key, self._geometry)
        except GANSegmentationError as error:
            if error.code != "geometry_mismatch":
                raise
        image = segmentImage(self._segmentationNode, key)
        matrix = matrixToWorld(self._segmentationNode) @ imageToWorld(image)
        own = geometryOfImage(matrix, image.GetExtent())
        if not self._resample:
            raise self._mismatch(own)
        self._noteResampled(own)
        value = self._segmentationNode.GetSegmentation().GetSegment(key).GetLabelValue()
        return _patchOf(_nearest((imageVoxels(image) == value).astype(np.uint8), own, self._geometry) != 0)

    def _placed(self, labelmap: Labelmap) -> Labelmap:
        try:
            return place_on_grid(labelmap, self._geometry)
        except GANSegmentationError as error:
            if error.code != "geometry_mismatch":
                raise
        if not self._resample:
            raise self._mismatch(labelmap.geometry)
        self._noteResampled(labelmap.geometry)
        array = _nearest(labelmap.array, labelmap.geometry, self._geometry)
        return Labelmap(array, self._geometry, labelmap.segments)

    def _mismatch(self, own: Geometry) -> GANSegmentationError:
        return GANSegmentationError(
            "geometry_mismatch",
            _("The reference {name} ({own}) is not on the grid of the mask ({wanted}).").format(
                name=self._node.GetName(), own=_describe(own), wanted=_describe(self._geometry)
            ),
            cause=_("It was drawn on another series, or was resampled, or reaches beyond the mask's volume."),
            action=_("Choose the reference of this volume, or turn on resampling to the mask's grid."),
        )

    def _noteResampled(self, own: Geometry) -> None:
        self._note(
            _(
                "The reference {name} ({own}) was resampled to the grid of the mask ({wanted}), each voxel from the "
                "nearest one; what lies beyond that grid does not count."
            ),
            own=_describe(own),
            wanted=_describe(self._geometry),
        )

    def _note(self, text: str, **facts: str) -> None:
        note = text.format(name=self._node.GetName(), **facts)
        if note not in self.notes:
            self.notes.append(note)


def _patchOf(mask: np.ndarray) -> Patch | None:
    box = foregroundBox(mask)
    if box is None:
        return None
    return Patch(IndexBox.at([part.start for part in box], mask[box].shape), mask[box])


def _describe(geometry: Geometry) -> str:
    size = " x ".join(str(n) for n in geometry.size)
    spacing = " x ".join(f"{step:.4g}" for step in geometry.spacing)
    return _("{size} voxels of {spacing} mm").format(size=size, spacing=spacing)


def _nearest(labels: np.ndarray, own: Geometry, wanted: Geometry) -> np.ndarray:
    """Labels ``(z, y, x)`` on another grid, each voxel from the nearest one, 0 where there is none."""
    world = np.eye(4)
    source = orientedImage(labels, (0, 0, 0), own, world)
    target = slicer.vtkOrientedImageData()
    target.SetDimensions(*wanted.size)
    target.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(wanted.index_to_ras))
    result = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(source, target, result)
    placed = np.zeros(wanted.shape, labels.dtype)
    if not result.IsEmpty():
        extent = result.GetExtent()
        voxels = imageVoxels(result)
        placed[IndexBox.at(tuple(extent[0::2])[::-1], voxels.shape).slices] = voxels
    return placed


def _voxelised(node, geometry: Geometry):
    """A segmentation node outside of the scene with the surfaces of another one as voxels of a grid.

    Raises ``no_labelmap`` if they cannot be converted.
    """
    copy = slicer.vtkMRMLSegmentationNode()
    copy.SetName(node.GetName())
    segmentation = copy.GetSegmentation()
    segmentation.DeepCopy(node.GetSegmentation())
    matrix = np.linalg.inv(matrixToWorld(node)) @ geometry.index_to_ras
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*geometry.size)
    image.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(matrix))
    # The grid is the mask's, whatever the node is otherwise converted with.
    segmentation.SetConversionParameter("Oversampling factor", "1")
    segmentation.SetConversionParameter("Crop to reference image geometry", "0")
    converter = slicer.vtkSegmentationConverter
    segmentation.SetConversionParameter(
        converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(image)
    )
    if not segmentation.CreateRepresentation(BINARY_LABELMAP, True):
        raise GANSegmentationError(
            "no_labelmap",
            _("The segments of {name} cannot be turned into voxels.").format(name=node.GetName()),
            cause=_("They are made of {kind}, for which this installation has no conversion.").format(
                kind=segmentation.GetSourceRepresentationName()
            ),
            action=_("Create its binary labelmap in the Segmentations module."),
        )
    # The surfaces are where the node has them, and the copy, which has no transform, is in the world.
    gridToWorld = slicer.util.vtkMatrixFromArray(geometry.index_to_ras)
    for identifier in segmentation.GetSegmentIDs():
        segmentImage(copy, identifier).SetGeometryFromImageToWorldMatrix(gridToWorld)
    return copy
