"""Which part of a volume is segmented: the box of a region of interest, a range of slices.

A region limits what is written, see `writeLabelmap`. What the model is shown is wider where it helps, which the worker
decides: whole slices, and the neighbouring slices of models that look at several at once.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import LPS_TO_RAS, Geometry

from .nodes import isA, isInScene, matrixToWorld, nameOf

_TOLERANCE_VOXELS = 1e-3


@dataclass(frozen=True)
class IndexBox:
    """A box of voxels of a grid.

    Parameters
    ----------
    start, stop:
        The first index, and the one after the last, along the array axes ``(z, y, x)``.
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @classmethod
    def at(cls, start, shape) -> IndexBox:
        """The box of an array of a shape ``(z, y, x)`` whose first voxel has the index `start`."""
        return cls(tuple(start), tuple(first + size for first, size in zip(start, shape, strict=True)))

    @classmethod
    def of(cls, geometry: Geometry) -> IndexBox:
        """All voxels of a grid."""
        return cls.at((0, 0, 0), geometry.shape)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        z, y, x = (stop - start for start, stop in zip(self.start, self.stop, strict=True))
        return z, y, x

    @property
    def slices(self) -> tuple[slice, ...]:
        """The box as indices of an array on the grid."""
        return tuple(slice(start, stop) for start, stop in zip(self.start, self.stop, strict=True))

    def within(self, outer: IndexBox) -> tuple[slice, ...]:
        """The box as indices of an array of another box that holds it."""
        return tuple(
            slice(start - first, stop - first)
            for start, stop, first in zip(self.start, self.stop, outer.start, strict=True)
        )

    def intersection(self, other: IndexBox) -> IndexBox:
        """The voxels of both boxes.

        Raises
        ------
        GANSegmentationError
            ``region_outside`` if there are none.
        """
        both = self.overlap(other)
        if both is None:
            raise GANSegmentationError(
                "region_outside",
                _("The region does not contain any voxel of the volume."),
                cause=_("The region of interest was placed on another volume, or the slice range lies beyond it."),
                action=_("Move the region onto the volume, or choose none."),
            )
        return both

    def overlap(self, other: IndexBox) -> IndexBox | None:
        """The voxels of both boxes, or None if there are none."""
        start = tuple(map(max, self.start, other.start))
        stop = tuple(map(min, self.stop, other.stop))
        empty = any(last <= first for first, last in zip(start, stop, strict=True))
        return None if empty else IndexBox(start, stop)

    def union(self, other: IndexBox) -> IndexBox:
        """The smallest box around both."""
        return IndexBox(tuple(map(min, self.start, other.start)), tuple(map(max, self.stop, other.stop)))

    def geometry(self, whole: Geometry) -> Geometry:
        """The grid of the box, of a whole grid; its voxels are exactly where they were."""
        first = np.array([*reversed(self.start), 1.0])
        origin = (whole.index_to_lps @ first)[:3]
        return Geometry(tuple(reversed(self.shape)), whole.spacing, tuple(origin), whole.direction)


def boxInGrid(part: Geometry, whole: Geometry) -> IndexBox | None:
    """The box of a grid's voxels in a grid of the same lattice; None if they are not all voxels of it."""
    if part.size == whole.size and part.matches(whole):
        return IndexBox.of(whole)
    toWhole = np.linalg.inv(whole.index_to_lps) @ part.index_to_lps
    first = np.rint(toWhole[:3, 3])
    ends = np.array([(*end, 1.0) for end in itertools.product(*((0, n - 1) for n in part.size))])
    moved = (ends @ toWhole.T)[:, :3]
    if np.abs(moved - first - ends[:, :3]).max() > _TOLERANCE_VOXELS:
        return None
    box = IndexBox.at([int(index) for index in reversed(first)], part.shape)
    inside = all(start >= 0 and stop <= n for start, stop, n in zip(box.start, box.stop, whole.shape, strict=True))
    return box if inside else None


# Regions


def boxOfRoi(roiNode, geometry: Geometry) -> IndexBox:
    """The smallest box of a grid that encloses a region of interest, clipped to the grid.

    The region may be turned against the grid and lie under linear transforms; the box is then larger than it.

    Raises
    ------
    GANSegmentationError
        ``invalid_region`` if the node is no region of interest in the scene, has no size, or means what is outside of
        it; ``nonlinear_transform`` if it lies under a transform that bends; ``region_outside`` if it does not meet the
        grid.
    """
    if not isA(roiNode, "vtkMRMLMarkupsROINode") or not isInScene(roiNode):
        raise _invalidRegion(
            _("{name} is not a region of interest in the scene.").format(name=nameOf(roiNode)),
            _("Choose a region of interest, or none."),
        )
    matrixToWorld(roiNode)  # refuses a transform that bends
    size = np.array(roiNode.GetSize())
    if roiNode.GetNumberOfControlPoints() == 0 or not np.all(size > 0):
        raise _invalidRegion(
            _("The region of interest {name} has no size.").format(name=roiNode.GetName()),
            _("Place it in a slice view, or choose none."),
        )
    if roiNode.GetInsideOut():
        raise _invalidRegion(
            _("The region of interest {name} means what is outside of it.").format(name=roiNode.GetName()),
            _("Turn off Inside out in the Markups module, or choose another region."),
        )
    corners = np.array([(*corner, 1.0) for corner in itertools.product(*((-n / 2, n / 2) for n in size))])
    objectToWorld = matrixToWorld(roiNode) @ slicer.util.arrayFromVTKMatrix(roiNode.GetObjectToNodeMatrix())
    index = (corners @ (np.linalg.inv(geometry.index_to_ras) @ objectToWorld).T)[:, :3]
    lowest, highest = index.min(axis=0), index.max(axis=0)
    # Voxel i covers i - 0.5 to i + 0.5. A region fitted to voxel faces takes no further voxel for its rounding errors.
    start = [math.floor(value + 0.5 + _TOLERANCE_VOXELS) for value in reversed(lowest)]
    stop = [math.ceil(value + 0.5 - _TOLERANCE_VOXELS) for value in reversed(highest)]
    stop = [max(last, first + 1) for first, last in zip(start, stop, strict=True)]
    return IndexBox(tuple(start), tuple(stop)).intersection(IndexBox.of(geometry))


def _invalidRegion(what: str, action: str) -> GANSegmentationError:
    return GANSegmentationError("invalid_region", what, action=action)


def sliceAxis(geometry: Geometry, plane: str) -> int:
    """The array axis (0 to 2 for z, y, x) that runs across the slices of a model's plane.

    An oblique volume's axes are assigned to the patient's so that the sum of the absolute cosines is largest, as the
    library does when it cuts the slices.

    Parameters
    ----------
    plane:
        ``"axial"``, ``"coronal"``, ``"sagittal"``, or ``"acquisition"`` for the volume's own slices.
    """
    if plane == "acquisition":
        return 0
    cosines = np.abs(geometry.direction_matrix[:, ::-1])  # columns: array axes z, y, x; rows: L, P, S
    assignment = max(
        itertools.permutations(range(3)),
        key=lambda choice: round(sum(float(cosines[choice[axis], axis]) for axis in range(3)), 9),
    )
    return assignment.index({"sagittal": 0, "coronal": 1, "axial": 2}[plane])


def boxOfSlices(geometry: Geometry, plane: str, first: int, last: int) -> IndexBox:
    """The slices `first` to `last`, both included, across a model's plane; indices count from 0 as the Data Probe's.

    Raises
    ------
    GANSegmentationError
        ``invalid_region`` if the first comes after the last, ``region_outside`` if none of them exists.
    """
    if first > last:
        raise _invalidRegion(
            _("The slice range goes from {first} to {last}.").format(first=first, last=last),
            _("Choose a last slice that is not before the first one."),
        )
    axis = sliceAxis(geometry, plane)
    start, stop = [0, 0, 0], list(geometry.shape)
    start[axis], stop[axis] = first, last + 1
    return IndexBox(tuple(start), tuple(stop)).intersection(IndexBox.of(geometry))


def regionBox(geometry: Geometry, *, roiNode=None, plane: str = "axial", sliceRange=None) -> IndexBox | None:
    """What a result is limited to: a region of interest, a range of slices ``(first, last)``, or both; None for all.

    Raises as `boxOfRoi` and `boxOfSlices`.
    """
    box = None if roiNode is None else boxOfRoi(roiNode, geometry)
    if sliceRange is not None:
        slices = boxOfSlices(geometry, plane, *sliceRange)
        box = slices if box is None else box.intersection(slices)
    return None if box == IndexBox.of(geometry) else box


def indexToRas(geometry: Geometry, index) -> tuple[float, float, float]:
    """The centre of a voxel with an index ``(z, y, x)``, which may be fractional, RAS mm."""
    point = LPS_TO_RAS @ geometry.index_to_lps @ np.array([*reversed(tuple(index)), 1.0])
    return float(point[0]), float(point[1]), float(point[2])
