"""Cleaning a labelmap as a model card asks: its largest piece, no specks, no holes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..volumes import Geometry
from .run_length import Labels, find_components

if TYPE_CHECKING:
    from ..models import PostProcessing

_FEW_LABELS = 8


@dataclass(frozen=True)
class PostProcessReport:
    """What cleaning changed, by label value.

    Parameters
    ----------
    removed_ml:
        Volume of the pieces that were removed, ml.
    removed_pieces:
        How many they were.
    filled_ml:
        Volume of the holes that were filled, ml.
    """

    removed_ml: dict[int, float] = field(default_factory=dict)
    removed_pieces: dict[int, int] = field(default_factory=dict)
    filled_ml: dict[int, float] = field(default_factory=dict)


def postprocess(
    labels: Labels,
    spec: PostProcessing,
    geometry: Geometry,
    *,
    in_place: bool = False,
    cancelled: Callable[[], None] = lambda: None,
) -> tuple[Labels, PostProcessReport]:
    """Clean each label of a labelmap for itself.

    First pieces go: all but the largest where ``spec.largest_component`` (the first of equals), and those below
    ``spec.minimum_volume_ml``. Pieces hang together through voxel faces, in 3-D. Then, where ``spec.fill_holes``, the
    background that a label encloses within one of the volume's own slices (array axis 0) takes its label; a hole that
    another label fills stays that label's.

    Parameters
    ----------
    labels:
        ``(z, y, x)`` uint8 on the grid of `geometry`, 0 = background.
    spec:
        What to do, from the model card.
    geometry:
        The grid; its voxel volume turns voxels into ml.
    in_place:
        Change `labels` itself (where it is C-contiguous) instead of a copy.
    cancelled:
        Called between the steps; raises to stop.

    Returns
    -------
    labels, report
        The cleaned labels and what changed.
    """
    cleaned = np.ascontiguousarray(labels) if in_place else np.array(labels, order="C")
    report = PostProcessReport()
    ml = geometry.voxel_volume_ml
    for value in present_labels(cleaned):
        cancelled()
        if spec.largest_component or spec.minimum_volume_ml > 0:
            voxels, pieces = remove_pieces(cleaned, value, spec.largest_component, spec.minimum_volume_ml / ml)
            if pieces:
                report.removed_ml[value], report.removed_pieces[value] = voxels * ml, pieces
        if spec.fill_holes:
            cancelled()
            voxels = fill_holes(cleaned, value)
            if voxels:
                report.filled_ml[value] = voxels * ml
    return cleaned, report


def present_labels(labels: Labels) -> list[int]:
    """The label values that occur, ascending, without the background."""
    return [value for value in np.flatnonzero(voxel_counts(labels)).tolist() if value]


def voxel_counts(labels: Labels) -> npt.NDArray[np.int64]:
    """Voxels of each of the 256 possible values."""
    counts = np.zeros(256, np.int64)
    highest = int(labels.max(initial=0))
    for part in labels:
        if highest <= _FEW_LABELS:
            # Comparing runs on whole registers; bincount widens every voxel to eight bytes first.
            for value in range(1, highest + 1):
                counts[value] += np.count_nonzero(part == value)
        else:
            counts += np.bincount(part.reshape(-1), minlength=256)
    counts[0] = labels.size - int(counts[1:].sum())
    return counts


def remove_pieces(labels: Labels, value: int, only_largest: bool, minimum_voxels: float) -> tuple[int, int]:
    """Set the pieces of a label to background that are not the largest, or too small; returns voxels and pieces."""
    pieces = find_components(labels, value)
    dropped = pieces.sizes < minimum_voxels * (1 - 1e-9)  # a piece of exactly the minimum stays, whatever the rounding
    if only_largest and len(pieces.sizes):
        largest = int(pieces.sizes.argmax())
        dropped |= np.arange(len(pieces.sizes)) != largest
    if not dropped.any():
        return 0, 0
    pieces.paint(labels, dropped, 0)
    return int(pieces.sizes[dropped].sum()), int(dropped.sum())


def fill_holes(labels: Labels, value: int) -> int:
    """Fill what a label encloses within a slice, where it is background; returns the voxels filled."""
    box = bounding_box(labels, value)
    if box is None:
        return 0
    inner = labels[box]
    # One pixel of outside all around, so that in each slice all that is not enclosed hangs together at its corner.
    outside = np.pad((inner != value).view(np.uint8), ((0, 0), (1, 1), (1, 1)), constant_values=1)
    regions = find_components(outside, 1, in_plane=True)
    corners = np.arange(len(outside), dtype=np.int64) * outside[0].size
    holes = np.ones(len(regions.sizes), np.bool_)
    holes[regions.at(corners)] = False
    if not holes.any():
        return 0
    regions.paint(outside, holes, 2)
    filled = (outside[:, 1:-1, 1:-1] == 2) & (inner == 0)
    inner[filled] = value
    return int(np.count_nonzero(filled))


def bounding_box(labels: Labels, value: int) -> tuple[slice, slice, slice] | None:
    """The smallest box around a label, as slices of ``(z, y, x)``; None where it does not occur."""
    shadow = np.zeros(labels.shape[1:], np.bool_)
    occupied = np.zeros(len(labels), np.bool_)
    for z, part in enumerate(labels):
        inside = part == value
        occupied[z] = inside.any()
        if occupied[z]:
            shadow |= inside
    if not occupied.any():
        return None
    return _extent(occupied), _extent(np.any(shadow, axis=1)), _extent(np.any(shadow, axis=0))


def _extent(occupied: npt.NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(occupied)
    return slice(int(places[0]), int(places[-1]) + 1)
