"""A mask as a body in space, seen from the front and lit from above the reader's left shoulder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ..slicing import orient
from ..volumes import Labelmap, Segment
from .colours import Colour
from .drawing import GROUND, Pixels, paint_mask, to_pixels

LETTERS: Final = ("R", "L", "S", "I")
"""The patient's sides at the left, right, upper and lower edge: of a coronal slice, and of whoever faces the reader."""

_FRONT: Final = "coronal"  # its slices run from anterior to posterior
_LIGHT: Final = np.array([-0.45, -0.55, 0.70]) / np.linalg.norm([-0.45, -0.55, 0.70])
_AMBIENT: Final = 0.34
_FAR: Final = 0.25
"""How much darker the farthest point is than the nearest."""
_SMOOTH: Final = 2.5
"""Depths are smoothed over so many pixels (standard deviation): steps of voxels are no shape."""
_THINNEST_MM: Final = 1e-6

Map = npt.NDArray[np.float32]


def relief(
    mask: Labelmap,
    segments: Sequence[Segment],
    size: tuple[int, int],
    *,
    reference: Labelmap | None = None,
    reference_colour: Colour = (255, 255, 255),
    margin: int = 22,
) -> Pixels | None:
    """The surface that is seen from the patient's front, by parallel projection in true proportions.

    What lies behind another structure is hidden. The reference is drawn as the outline of its shadow.

    Parameters
    ----------
    segments:
        What to draw, in which colours.
    size:
        Width and height of the picture, pixels.
    margin:
        Pixels that stay free around the body.

    Returns
    -------
    The picture; None where there is nothing to see: no label, or a scan of a single slice.
    """
    turn = orient(mask.geometry, _FRONT)
    if min(mask.array.shape) < 2:
        return None
    labels = turn.apply(mask.array)
    seen = _shadow(labels)
    shadow = None if reference is None else _shadow(turn.apply(reference.array))
    there = seen if shadow is None else seen | shadow
    if not there.any():
        return None
    rows, columns = (_extent(np.flatnonzero(there.sum(axis=axis))) for axis in (1, 0))
    deep, high, wide = (mask.geometry.spacing_zyx[axis] for axis in turn.axes)
    # A voxel of air around it: an outline ends where the picture does.
    extent = (rows.stop - rows.start + 2) * high, (columns.stop - columns.start + 2) * wide
    scale = min((size[1] - 2 * margin) / extent[0], (size[0] - 2 * margin) / extent[1])
    shape = max(2, round(extent[0] * scale)), max(2, round(extent[1] * scale))
    canvas = np.empty((*shape, 3), np.float32)
    canvas[:] = GROUND
    if seen.any():
        front = np.ascontiguousarray(labels[:, rows, columns])
        first = (front != 0).argmax(axis=0)
        values = np.take_along_axis(front, first[None], axis=0)[0]
        depth = first.astype(np.float32) * np.float32(deep * scale)
        _paint(canvas, np.pad(values, 1), np.pad(depth, 1), segments)
    if shadow is not None:
        paint_mask(canvas, np.pad(shadow[rows, columns], 1), reference_colour, fill=0.0, line=1.4)
    picture = np.empty((size[1], size[0], 3), np.uint8)
    picture[:] = GROUND
    top, left = (size[1] - shape[0]) // 2, (size[0] - shape[1]) // 2
    picture[top : top + shape[0], left : left + shape[1]] = to_pixels(canvas)
    return picture


def _paint(canvas: Map, values: npt.NDArray[np.unsignedinteger], depth: Map, segments: Sequence[Segment]) -> None:
    """Paint what is seen: labels ``(rows, columns)``, 0 where there is none, and how far away they are in pixels."""
    height, width = canvas.shape[:2]
    there = (values > 0).astype(np.float32)
    cover = _resized(there, height, width)
    weight = _smoothed(cover)
    deep = _smoothed(_resized(depth * there, height, width)) / np.maximum(weight, _THINNEST_MM)
    inside = cover > 0.02
    down, across = np.gradient(deep)
    # At the rim the depths of the ground leak in; a slope beyond any surface that still faces the reader is not one.
    down, across = np.clip(down, -6, 6), np.clip(across, -6, 6)
    facing = (across * _LIGHT[0] + down * _LIGHT[1] + _LIGHT[2]) / np.sqrt(across**2 + down**2 + 1)
    light = _AMBIENT + (1 - _AMBIENT) * np.clip(facing, 0, 1) / float(_LIGHT[2])
    near, far = float(deep[inside].min()), float(deep[inside].max())
    light *= 1 - _FAR * (deep - near) / max(far - near, 1.0)
    for segment in segments:
        own = _resized((values == segment.value).astype(np.float32), height, width)
        lit = np.clip(light, 0, 1.25)[:, :, None] * np.array(segment.colour, np.float32)
        canvas += np.clip(own, 0, 1)[:, :, None] * (lit - canvas)


def _resized(values: Map, height: int, width: int) -> Map:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(values)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float32)


def _smoothed(values: Map) -> Map:
    reach = round(3 * _SMOOTH)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _SMOOTH) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if each == axis else (0, 0) for each in (0, 1)]
        padded = np.pad(values, pad)
        count = values.shape[axis]
        shifted = (
            weight * np.take(padded, range(start, start + count), axis=axis) for start, weight in enumerate(kernel)
        )
        values = sum(shifted, np.zeros_like(values)).astype(np.float32)
    return values


def _shadow(labels: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.bool_]:
    """Where any of some slices has a label."""
    shadow: npt.NDArray[np.bool_] = labels.max(axis=0) > 0
    return shadow


def _extent(found: npt.NDArray[np.intp]) -> slice:
    return slice(int(found[0]), int(found[-1]) + 1)
