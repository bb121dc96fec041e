"""Which way a volume's slices lie in the patient, and how they are turned to be shown as a radiologist sees them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Final

import numpy.typing as npt

from ..errors import GANSegmentationError
from ..volumes import Geometry

PLANES: Final = ("axial", "coronal", "sagittal", "acquisition")
"""The planes a `SliceSpec` may ask for."""

_LEFT, _POSTERIOR, _SUPERIOR = 0, 1, 2

# Patient axis (LPS) and sense of the axes (slice, row, column) of a displayed slice; -1 runs against the LPS axis.
_DISPLAY: Final[dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]] = {
    "axial": ((_SUPERIOR, 1), (_POSTERIOR, 1), (_LEFT, 1)),
    "coronal": ((_POSTERIOR, 1), (_SUPERIOR, -1), (_LEFT, 1)),
    "sagittal": ((_LEFT, 1), (_SUPERIOR, -1), (_POSTERIOR, 1)),
}
_PLANE_ACROSS: Final = {_SUPERIOR: "axial", _POSTERIOR: "coronal", _LEFT: "sagittal"}
_FLIP_AXIS: Final = {"left_right": _LEFT, "anterior_posterior": _POSTERIOR, "superior_inferior": _SUPERIOR}

FLIPS: Final = tuple(_FLIP_AXIS)
"""The names of mirrorings of the patient; which of them lie in a slice depends on its plane."""


@dataclass(frozen=True)
class SliceOrientation:
    """How an array ``(z, y, x)`` is permuted and flipped into displayed slices ``(slice, row, column)``.

    Parameters
    ----------
    plane:
        ``"axial"``, ``"coronal"`` or ``"sagittal"``: what the slices are, or are nearest to.
    axes:
        The array axes that become slice, row and column.
    flips:
        Whether slice, row and column run against their array axis.
    """

    plane: str
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view ``(slice, row, column)`` of an array ``(z, y, x)``. Writing to it writes to the array."""
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)
        view: npt.NDArray[Any] = array.transpose(self.axes)[steps]
        return view

    def invert(self, slices: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view ``(z, y, x)`` of slices ``(slice, row, column)``: the exact inverse of `apply`."""
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)
        z, y, x = (self.axes.index(axis) for axis in range(3))
        view: npt.NDArray[Any] = slices[steps].transpose(z, y, x)
        return view

    def flip_dimension(self, flip: str) -> int | None:
        """The dimension of a batch ``(n, channels, row, column)`` that a mirroring named in `FLIPS` reverses.

        None where the mirroring reverses the order of the slices instead: it cannot be done slice by slice.
        """
        display = _DISPLAY[self.plane]
        for dimension, (patient_axis, _) in ((-2, display[1]), (-1, display[2])):
            if patient_axis == _FLIP_AXIS[flip]:
                return dimension
        return None


def orient(geometry: Geometry, plane: str) -> SliceOrientation:
    """How to turn volumes on a grid into radiologically displayed slices of a plane.

    Axial: rows run to posterior, columns to the patient's left, slices to superior. Coronal: rows to inferior, columns
    to left, slices to posterior. Sagittal: rows to inferior, columns to posterior, slices to left. ``"acquisition"`` is
    the plane nearest to the volume's own slices, those across array axis 0. An oblique volume is not resampled: its
    axes are assigned to the patient axes so that the sum of the absolute cosines is largest.

    Raises
    ------
    GANSegmentationError
        ``invalid_slicing`` for a plane that is not in `PLANES`.
    """
    if plane not in PLANES:
        raise GANSegmentationError(
            "invalid_slicing", f"There is no slice plane {plane!r}.", action=f"Choose one of {', '.join(PLANES)}."
        )
    patient_axes, senses = _nearest_patient_axes(geometry)
    resolved = _PLANE_ACROSS[patient_axes[0]] if plane == "acquisition" else plane
    display = _DISPLAY[resolved]
    slice_axis, row_axis, column_axis = (patient_axes.index(patient_axis) for patient_axis, _ in display)
    axes = (slice_axis, row_axis, column_axis)
    backward = [senses[axis] != sense for axis, (_, sense) in zip(axes, display, strict=True)]
    return SliceOrientation(plane=resolved, axes=axes, flips=(backward[0], backward[1], backward[2]))


def _nearest_patient_axes(geometry: Geometry) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """For each array axis z, y, x: the patient axis (0 L, 1 P, 2 S) it is nearest to, and +1 or -1 for its sense."""
    # Columns of the direction are the index axes x, y, z; reversed they follow the array's axes.
    cosines = geometry.direction_matrix[:, ::-1]
    # Greedy choice can leave an axis nothing but its worst partner; six permutations are few enough to try them all.
    # Rounding makes ties (a rotation by exactly 45 degrees) fall to the first permutation on every machine.
    assignment = max(
        itertools.permutations(range(3)),
        key=lambda choice: round(sum(abs(float(cosines[choice[axis], axis])) for axis in range(3)), 9),
    )
    return assignment, tuple(1 if cosines[assignment[axis], axis] > 0 else -1 for axis in range(3))
