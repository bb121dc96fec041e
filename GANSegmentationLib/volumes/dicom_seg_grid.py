"""The regular grid that the frames of a DICOM SEG lie on, with slices left out or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .dicom_frames import Frame
from .dicom_grid import ORIENTATION_TOLERANCE, STEP_TOLERANCE, STEP_TOLERANCE_MM, TILT_TOLERANCE, UNIT_TOLERANCE
from .geometry import Geometry

Matrix = npt.NDArray[np.float64]

MOST_SLICES = 10_000
"""A step that would make more slices of the frames is a damaged value."""

_PARALLEL = 1e-4


@dataclass(frozen=True)
class FrameGrid:
    """The grid from the first to the last slice that has a frame, and the slice on it of every frame."""

    geometry: Geometry
    slices: tuple[int, ...]


def grid_of_frames(
    frames: Sequence[Frame],
    rows: int,
    columns: int,
    *,
    thickness: float | None,
    scan: Geometry | None,
    path: Path,
) -> FrameGrid:
    """The grid of the frames of a segmentation.

    Slices that are not there are empty. The distance of neighbouring slices is what the scan says, if it is given;
    else Spacing Between Slices; else the smallest distance of two frames. Slices ascend along the normal.

    Parameters
    ----------
    frames:
        What the functional groups say of each frame.
    thickness:
        Slice Thickness, mm, for a file with a single slice that says nothing better.
    scan:
        The grid of the scan, if known.
    path:
        The file, for errors.

    Raises
    ------
    GANSegmentationError
        ``no_position``, ``no_pixel_spacing``, ``mixed_orientations``, ``mixed_sizes``, ``gantry_tilt``,
        ``uneven_slices`` or ``single_slice``.
    """
    axes, spacing = _plane(frames, path)
    points = np.array([frame.position for frame in frames], dtype=np.float64)
    heights = points @ axes[:, 2]
    order = np.argsort(heights, kind="stable")
    first, last = order[0], order[-1]
    _check_straight(points - points[first], axes, spacing, path)
    gaps = np.diff(heights[order])
    steps = gaps[gaps > STEP_TOLERANCE_MM]
    step = next(
        (one for one in _candidates(frames, axes, steps, thickness, scan) if _counts(steps, one) is not None), None
    )
    if step is None and not steps.size:
        raise _error(
            "single_slice",
            f"{path} has a single slice and does not say how thick it is.",
            "Give the scan together with it (geometry in Python, --scan on the command line).",
        )
    if step is None:
        raise _error(
            "uneven_slices",
            f"The slices of {path} are not evenly spaced: the distances of neighbours go from {steps.min():.3f} to "
            f"{steps.max():.3f} mm and are no multiples of one step.",
            "Resample the segmentation to the scan's grid, in 3D Slicer for example.",
        )
    counts = _counts(steps, step)
    assert counts is not None
    total = int(counts.sum())
    if total:
        step = float((heights[last] - heights[first]) / total)
    indices = np.rint((heights - heights[first]) / step).astype(int)
    geometry = Geometry(
        size=(columns, rows, total + 1),
        spacing=(spacing[1], spacing[0], step),
        origin=(points[first, 0], points[first, 1], points[first, 2]),
        direction=tuple(axes.ravel().tolist()),
    )
    return FrameGrid(geometry, tuple(indices.tolist()))


def _plane(frames: Sequence[Frame], path: Path) -> tuple[Matrix, tuple[float, float]]:
    """The axes, column by column along x, y and the normal, and the distance of rows and of columns, mm."""
    if any(frame.position is None or frame.orientation is None for frame in frames):
        raise _error(
            "no_position",
            f"{path} does not say where its frames lie in the patient.",
            "Export the segmentation again with its geometry.",
        )
    if any(frame.pixel_spacing is None for frame in frames):
        raise _error(
            "no_pixel_spacing",
            f"{path} does not say how large a pixel is.",
            "Export the segmentation again with its geometry.",
        )
    orientations = np.array([frame.orientation for frame in frames], dtype=np.float64)
    spacings = np.array([frame.pixel_spacing for frame in frames], dtype=np.float64)
    if np.abs(orientations - orientations[0]).max() > ORIENTATION_TOLERANCE:
        raise _error(
            "mixed_orientations",
            f"The frames of {path} do not lie parallel.",
            "Split the segmentation by orientation, in 3D Slicer for example.",
        )
    if not np.allclose(spacings, spacings[0], rtol=1e-5, atol=0):
        raise _error(
            "mixed_sizes", f"The frames of {path} have different pixel spacings.", "Split it by pixel spacing."
        )
    row, column = orientations[0, :3], orientations[0, 3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > UNIT_TOLERANCE or abs(row @ column) > UNIT_TOLERANCE:
        raise _error(
            "no_position",
            f"The orientation of the frames of {path} is not a pair of orthogonal unit vectors.",
            "Export the segmentation again.",
        )
    row = row / lengths[0]
    normal = np.cross(row, column)
    normal = normal / np.linalg.norm(normal)
    axes: Matrix = np.stack([row, np.cross(normal, row), normal], axis=1) + 0.0  # no negative zeros
    return axes, (float(spacings[0, 0]), float(spacings[0, 1]))


def _check_straight(offsets: Matrix, axes: Matrix, spacing: tuple[float, float], path: Path) -> None:
    sideways = np.linalg.norm(offsets @ axes[:, :2], axis=1).max()
    if sideways > TILT_TOLERANCE * min(spacing):
        raise _error(
            "gantry_tilt",
            f"The frames of {path} are not stacked along their normal: they are shifted sideways by up to "
            f"{sideways:.2f} mm.",
            "It belongs to a CT with a tilted gantry: resample it to a regular grid, in 3D Slicer for example.",
        )


def _candidates(
    frames: Sequence[Frame], axes: Matrix, steps: Matrix, thickness: float | None, scan: Geometry | None
) -> list[float]:
    """What the distance of neighbouring slices could be, the most trusted first."""
    found: list[float | None] = []
    if scan is not None:
        along = np.abs(scan.direction_matrix.T @ axes[:, 2])
        if along.max() > 1 - _PARALLEL:
            found.append(scan.spacing[int(along.argmax())])
    found += [frames[0].slice_spacing, float(steps.min()) if steps.size else thickness]
    return [one for one in found if one is not None and one > 0]


def _counts(gaps: Matrix, step: float) -> npt.NDArray[np.int64] | None:
    """How many steps each gap is; None if one is no multiple of the step."""
    counts = np.rint(gaps / step)
    if (counts < 1).any() or counts.sum() >= MOST_SLICES:
        return None
    mean = float(gaps.sum() / counts.sum()) if gaps.size else step
    off = np.abs(np.cumsum(gaps) - mean * np.cumsum(counts))
    tolerance = min(max(STEP_TOLERANCE * step, STEP_TOLERANCE_MM), step / 4)
    if (off > tolerance).any() or abs(mean - step) > STEP_TOLERANCE * step:
        return None
    return counts.astype(np.int64)


def _error(code: str, message: str, action: str) -> GANSegmentationError:
    return GANSegmentationError(
        code, message, cause="Its frames do not make one regular grid, which a labelmap needs.", action=action
    )
