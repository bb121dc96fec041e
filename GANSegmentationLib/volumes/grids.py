"""The same voxels on another grid: crops, flips and swapped axes, without resampling."""

from __future__ import annotations

import numpy as np

from ..errors import GANSegmentationError
from .geometry import Geometry
from .labelmap import Labelmap

TOLERANCE_VOXELS = 1e-2
"""How far the voxels of two grids may lie apart to be the same voxels; single precision headers stay well below."""


def place_on_grid(labelmap: Labelmap, geometry: Geometry) -> Labelmap:
    """The labels on exactly the given grid, if every voxel of theirs is a voxel of it.

    That holds for a labelmap that another program stored with flipped or swapped axes, or cropped to its labels, and
    for one whose header was rounded. Labels outside of the grid are not dropped: they are an error.

    Raises
    ------
    GANSegmentationError
        ``geometry_mismatch`` if voxels of the two grids do not coincide, or labels lie outside of the given grid.
    """
    own = labelmap.geometry
    if own == geometry:
        return labelmap
    to_target = np.linalg.inv(geometry.index_to_lps) @ own.index_to_lps
    exact = np.round(to_target)
    ends = np.array([(*index, 1.0) for index in np.ndindex(2, 2, 2)]) * [*np.subtract(own.size, 1), 1]
    error = np.abs(ends @ (to_target - exact).T).max()
    axes = np.abs(exact[:3, :3])
    if error > TOLERANCE_VOXELS or not (np.all(axes.sum(axis=0) == 1) and np.all(axes.sum(axis=1) == 1)):
        raise _mismatch(own, geometry, "their voxels do not coincide")

    source_axis = axes.argmax(axis=1)  # of each target axis, x, y, z
    flipped = exact[:3, :3].sum(axis=1) < 0
    moved = labelmap.array.transpose(2, 1, 0).transpose(*source_axis)
    moved = np.flip(moved, axis=tuple(np.flatnonzero(flipped).tolist()))
    start = exact[:3, 3].astype(int) - np.where(flipped, np.array(moved.shape) - 1, 0)

    inside_from = np.clip(start, 0, geometry.size)
    inside_to = np.clip(start + moved.shape, 0, geometry.size)
    kept = moved[tuple(slice(a, b) for a, b in zip(inside_from - start, inside_to - start, strict=True))]
    if np.count_nonzero(kept) != np.count_nonzero(moved):
        raise _mismatch(own, geometry, "labels lie outside of the other grid")
    placed = np.zeros(geometry.shape, labelmap.array.dtype)
    target = placed.transpose(2, 1, 0)
    target[tuple(slice(a, b) for a, b in zip(inside_from, inside_to, strict=True))] = kept
    return Labelmap(placed, geometry, labelmap.segments)


def _mismatch(own: Geometry, wanted: Geometry, why: str) -> GANSegmentationError:
    def text(grid: Geometry) -> str:
        spacing = " x ".join(f"{step:.4g}" for step in grid.spacing)
        return f"{' x '.join(str(n) for n in grid.size)} voxels of {spacing} mm"

    return GANSegmentationError(
        "geometry_mismatch",
        f"The labelmap ({text(own)}) and the scan ({text(wanted)}) are not on one grid: {why}.",
        cause="They belong to different scans or series, or one of them was resampled.",
        action="Choose the labelmap of this scan, or resample it to the scan's grid.",
        details=f"labelmap: {own}\nscan: {wanted}",
    )
