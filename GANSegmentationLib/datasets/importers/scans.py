"""Scans with labelmaps on their grid, stored as axial slices in radiological display whatever way they were acquired.

One rule of orientation for all formats (`slicing.orient`): slices run to superior, rows to posterior, columns to the
patient's left. DICOM, NIfTI and MetaImage files of one anatomy so give the same slices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import GANSegmentationError
from ...slicing import SliceOrientation, orient
from ...volumes import Geometry, Labelmap, Volume, place_on_grid, read_labelmap
from .case import ImportedCase
from .mask_values import Masks
from .pictures import unreadable

OBLIQUE_DEGREES = 3.0
"""Slices that lean by more than this are said to be oblique."""


def scan_case(
    name: str,
    volume: Volume,
    masks: Masks,
    *,
    path: Path,
    patient: str,
    modality: str,
    unit: str,
    licence: str,
    notes: tuple[str, ...] = (),
    unmarked: tuple[int, ...] = (),
) -> ImportedCase:
    """A scan and the labels of its voxels, both ``(z, y, x)``, as a case of axial slices.

    Raises
    ------
    GANSegmentationError
        ``invalid_source``, naming `path`, for voxels that are no finite numbers.
    """
    orientation = orient(volume.geometry, "axial")
    spacing = volume.geometry.spacing_zyx
    images = np.ascontiguousarray(orientation.apply(_compact(volume.array)))
    lowest, highest = float(images.min()), float(images.max())
    if not math.isfinite(lowest + highest):
        raise unreadable(path, "it holds values that are not finite")
    return ImportedCase(
        id=name,
        patient=patient,
        modality=modality,
        unit=unit,
        images=images,
        masks=np.ascontiguousarray(orientation.apply(masks)),
        slice_index=tuple(range(len(images))),
        value_range=(lowest, highest),
        spacing_zyx=(spacing[orientation.axes[0]], spacing[orientation.axes[1]], spacing[orientation.axes[2]]),
        licence=licence,
        orientation=directions(orientation),
        notes=(*_notes(volume.geometry, orientation), *notes),
        unmarked=unmarked,
    )


def labels_on_grid(volume: Volume, path: Path, read: Callable[[npt.NDArray[Any], Path], Masks]) -> Masks:
    """The labels of a file on the grid of a volume, ``(z, y, x)``; `read` checks the values and makes labels of them.

    A file with flipped or swapped axes, or cropped, is brought to the grid without resampling.

    Raises
    ------
    GANSegmentationError
        ``invalid_source`` if its voxels are not the volume's; what `read_labelmap` and `read` raise.
    """
    stored = read_labelmap(path)
    labelmap = Labelmap(read(stored.array, path), stored.geometry)
    if _is_turned(stored.geometry, volume.geometry):
        raise unreadable(path, "its axes are those of its scan in another order, and its header does not say so")
    return on_grid(labelmap, volume.geometry, path)


def _is_turned(mask: Geometry, scan: Geometry) -> bool:
    """Whether a mask has the numbers of voxels of its scan, but not along the same axes in the patient."""
    if sorted(mask.shape) != sorted(scan.shape):
        return False
    own, others = (np.abs(grid.direction_matrix) @ np.multiply(grid.size, grid.spacing) for grid in (mask, scan))
    return not np.allclose(own, others, rtol=1e-3)


def on_grid(labelmap: Labelmap, geometry: Geometry, path: Path) -> Masks:
    """The labels of a labelmap from the file at `path` on exactly this grid.

    Raises
    ------
    GANSegmentationError
        ``invalid_source`` if the voxels are not the same.
    """
    try:
        return place_on_grid(labelmap, geometry).array.astype(np.uint8, copy=False)
    except GANSegmentationError as error:
        if error.code != "geometry_mismatch":
            raise
        wrong = unreadable(path, f"it does not lie on the grid of its scan. {error.message.rstrip('.')}")
        raise GANSegmentationError(
            wrong.code, wrong.message, cause=error.cause, action=wrong.action, details=error.details
        ) from error


def directions(orientation: SliceOrientation) -> str:
    """Where the index axes x, y, z of a grid run to, nearest: ``"LPS"``, ``"LAS"``, ..."""
    letters = {}
    for axis, flipped, (forward, backward) in zip(
        orientation.axes, orientation.flips, (("S", "I"), ("P", "A"), ("L", "R")), strict=True
    ):
        letters[axis] = backward if flipped else forward
    return letters[2] + letters[1] + letters[0]


def _notes(geometry: Geometry, orientation: SliceOrientation) -> tuple[str, ...]:
    notes = []
    if orientation.axes[0] != 0:
        plane = orient(geometry, "acquisition").plane
        notes.append(f"it was acquired in {plane} slices, and its axial slices run across them")
    cosines = np.abs(geometry.direction_matrix).max(axis=0)
    lean = math.degrees(math.acos(min(1.0, float(cosines.min()))))
    if lean > OBLIQUE_DEGREES:
        notes.append(f"its slices are oblique by {lean:.0f} degrees and stored as the axial ones they are nearest to")
    return tuple(notes)


def _compact(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same values in a smaller type, if one holds them exactly: HU are often stored as 64-bit floats."""
    if array.dtype.itemsize <= 2:
        return array
    lowest, highest = float(array.min()), float(array.max())
    if not math.isfinite(lowest + highest):
        return array
    whole = [kind for kind in (np.int16, np.int32) if np.iinfo(kind).min <= lowest <= highest <= np.iinfo(kind).max]
    for kind in (*whole, *([np.float32] if array.dtype.kind == "f" else [])):
        if np.dtype(kind) == array.dtype:
            break
        # Slice by slice: a whole copy in every type that is tried would be three volumes in memory.
        if all(np.array_equal(plane.astype(kind), plane) for plane in array):
            return array.astype(kind)
    return array
