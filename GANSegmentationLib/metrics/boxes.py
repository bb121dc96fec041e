"""Bounding boxes of masks and labels, each found in one pass over the voxels.

Everything that a metric needs lies in the box around both masks. Two passes over the whole volume (one a mask) find it;
all further work, label by label, happens inside the boxes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Box = tuple[slice, ...]
"""One slice an array axis, ends given: ``array[box]`` is the crop."""

_LARGEST_LISTED_VALUE = 65535


def foreground_box(array: npt.NDArray[Any]) -> Box | None:
    """The smallest box that holds every voxel other than 0, or None if there is none; any number of dimensions."""
    if not array.size:
        return None
    box: list[slice] = []
    rest = array
    for _ in range(array.ndim):
        # The maximum is the fastest reduction that numpy has for bytes, and for booleans it is "any". Axis after axis,
        # the array shrinks: first the slices without foreground fall away, then one slice remains of all.
        profile = rest.max(axis=tuple(range(1, rest.ndim))) if rest.ndim > 1 else rest
        found = np.flatnonzero(profile)
        if not found.size:
            return None
        extent = slice(int(found[0]), int(found[-1]) + 1)
        box.append(extent)
        rest = rest[extent].max(axis=0) if rest.ndim > 1 else rest
    return tuple(box)


def label_boxes(labels: npt.NDArray[np.unsignedinteger]) -> dict[int, Box]:
    """The bounding box of every value other than 0 in an unsigned integer array, values ascending."""
    outer = foreground_box(labels)
    if outer is None:
        return {}
    crop = labels[outer]
    largest = int(crop.max())
    if largest == 1:
        return {1: outer}
    values, crop = _listed(crop, largest)
    from scipy.ndimage import find_objects

    boxes: dict[int, Box] = {}
    for index, inner in enumerate(find_objects(crop, max_label=len(values))):
        if inner is not None:
            boxes[values[index]] = tuple(
                slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True)
            )
    return boxes


def union_box(first: Box | None, second: Box | None) -> Box | None:
    """The smallest box that holds both; None stands for a box of nothing."""
    if first is None or second is None:
        return second if first is None else first
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))


def box_shape(box: Box) -> tuple[int, ...]:
    """The shape of the crop that the box cuts out."""
    return tuple(extent.stop - extent.start for extent in box)


def touches_border(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether the box reaches a face of an array of this shape."""
    return any(extent.start == 0 or extent.stop == n for extent, n in zip(box, shape, strict=True))


def _listed(
    labels: npt.NDArray[np.unsignedinteger], largest: int
) -> tuple[list[int] | range, npt.NDArray[np.unsignedinteger]]:
    """What the labels 1, 2, 3... stand for, and the labels so numbered: `find_objects` lists every value up to the
    largest, which hashes or database numbers as labels would turn into gigabytes."""
    if largest <= _LARGEST_LISTED_VALUE:
        # find_objects takes 32-bit integers at most in the platform's own type; small labels never need more.
        return range(1, largest + 1), labels.astype(np.uint16) if labels.dtype.itemsize > 4 else labels
    values, inverse = np.unique(labels, return_inverse=True)
    numbered = inverse.reshape(labels.shape).astype(np.uint32)
    if values[0] != 0:
        return [int(value) for value in values], numbered + np.uint32(1)
    return [int(value) for value in values[1:]], numbered
