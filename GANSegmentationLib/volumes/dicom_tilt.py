"""Slices of a tilted gantry, sheared back to a regular grid.

A CT that moves its table along z while its gantry leans takes parallel, evenly spaced slices, each shifted sideways
within its own plane against the one before. Along the normal they already lie where slices of a regular grid would, so
each slice needs a shift in its plane and nothing else: values are mixed between neighbouring pixels of one slice only,
never between slices. The grid is widened so that no pixel is lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .geometry import Geometry

Array: TypeAlias = npt.NDArray[Any]

TILT_FACT = "TiltCorrection"
"""The key of `Volume.facts` that says that a volume was corrected for the tilt of its gantry, and by how much."""


@dataclass(frozen=True)
class Tilt:
    """How the slices of a stack lie sideways of the first one.

    Parameters
    ----------
    degrees:
        The angle between the normal of the slices and the line along which they are stacked.
    shifts:
        For each slice, how far it lies along the columns index and along the rows index, ``(x, y)`` pixels.
    """

    degrees: float
    shifts: tuple[tuple[float, float], ...]

    def grid(self, stack: Geometry) -> Geometry:
        """The regular grid that holds all slices; `stack` is that of the first slice, repeated along the normal."""
        (left, top), (wide, high) = self._margins()
        origin = stack.index_to_lps @ np.array([left, top, 0.0, 1.0])
        return Geometry(
            size=(stack.size[0] + wide, stack.size[1] + high, stack.size[2]),
            spacing=stack.spacing,
            origin=(origin[0], origin[1], origin[2]),
            direction=stack.direction,
        )

    def straighten(self, array: Array) -> Array:
        """The slices ``(z, y, x)`` resampled to `grid`: linear within each slice, the lowest value around it.

        Whole numbers stay whole numbers, rounded.
        """
        (left, top), (wide, high) = self._margins()
        slices, rows, columns = array.shape
        straight: Array = np.empty((slices, rows + high, columns + wide), array.dtype)
        lowest = array.min()
        canvas = np.empty(straight.shape[1:], np.float64)
        for plane, out, (x, y) in zip(array, straight, self.shifts, strict=True):
            column, row = math.floor(x - left), math.floor(y - top)
            canvas.fill(lowest)
            canvas[row : row + rows, column : column + columns] = plane
            _move(canvas, y - top - row, 0, lowest)
            _move(canvas, x - left - column, 1, lowest)
            out[...] = np.rint(canvas) if array.dtype.kind in "iu" else canvas
        return straight

    @property
    def description(self) -> str:
        """What was done, for `TILT_FACT`."""
        return f"gantry tilt of {self.degrees:.2f} degrees corrected: slices shifted to a regular grid by resampling"

    def _margins(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The first column and row of the grid, in pixels of the first slice; columns and rows it has more."""
        shifts = np.array(self.shifts)
        low, high = np.floor(shifts.min(axis=0)), np.ceil(shifts.max(axis=0))
        return (int(low[0]), int(low[1])), (int(high[0] - low[0]), int(high[1] - low[1]))


def tilt_of(points: npt.NDArray[np.float64], stack: Geometry) -> Tilt:
    """The tilt of slices with the positions `points` ``(n, 3)``, LPS mm, sorted along the normal of `stack`."""
    along = (points - points[0]) @ stack.direction_matrix  # mm along x, y and the normal
    shifts = along[:, :2] / np.array(stack.spacing[:2])
    shifts = np.where(np.abs(shifts - np.rint(shifts)) < 1e-6, np.rint(shifts), shifts)
    degrees = math.degrees(math.atan2(float(np.linalg.norm(along[-1, :2])), float(along[-1, 2])))
    return Tilt(degrees, tuple((float(x), float(y)) for x, y in shifts))


def _move(canvas: Array, fraction: float, axis: int, outside: float) -> None:
    """Moves an image by a fraction of a pixel towards higher indices, in place."""
    if not fraction:
        return
    lines = canvas if axis == 0 else canvas.T
    moved = (1 - fraction) * lines
    moved[1:] += fraction * lines[:-1]
    moved[0] += fraction * outside
    lines[...] = moved
