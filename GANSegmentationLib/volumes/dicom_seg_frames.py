"""Which slices of a mask get a frame in a DICOM SEG.

Those with a segment, and the first two and the last of the scan, empty or not: from these every reader knows the scan's
whole extent and the distance of its slices. highdicom leaves out every frame that is empty, so these three are marked
with one pixel before it, and the mark is taken out of the packed pixels after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .geometry import Geometry

Array: TypeAlias = npt.NDArray[Any]


def with_anchors(pixels: Array) -> tuple[Array, list[int]]:
    """The pixels with a mark in the first two and the last slice where these are empty, so that they get a frame."""
    empty = [index for index in sorted({0, min(1, len(pixels) - 1), len(pixels) - 1}) if not pixels[index].any()]
    if not empty:
        return pixels, []
    marked = pixels.copy()
    marked[(empty, 0, 0) if pixels.ndim == 3 else (empty, 0, 0, 0)] = 1  # of the first segment
    return marked, empty


def clear_anchors(dataset: Any, indices: Sequence[int], marks: Sequence[int]) -> None:
    """Takes the marks of `with_anchors` out again: the first pixel of the frame that a marked slice has."""
    if not marks:
        return
    bits = int(dataset.BitsAllocated)
    size = int(dataset.Rows) * int(dataset.Columns) * bits
    stored = bytearray(dataset.PixelData)
    for mark in marks:
        start = indices.index(mark) * size
        stored[start // 8] &= 0 if bits == 8 else ~(1 << start % 8) & 0xFF
    dataset.PixelData = bytes(stored)


def slice_origins(geometry: Geometry) -> Array:
    """The centre of the first pixel of every slice, ``(n, 3)``, LPS mm."""
    index = np.zeros((geometry.size[2], 4))
    index[:, 2], index[:, 3] = np.arange(geometry.size[2]), 1
    origins: Array = (index @ geometry.index_to_lps.T)[:, :3]
    return origins


def slices_of_frames(dataset: Any, geometry: Geometry) -> list[int]:
    """The slice of the grid that each frame lies on."""
    normal = geometry.direction_matrix[:, 2]
    points = np.array(
        [group.PlanePositionSequence[0].ImagePositionPatient for group in dataset.PerFrameFunctionalGroupsSequence],
        dtype=np.float64,
    )
    heights = (points - np.array(geometry.origin)) @ normal
    return [int(index) for index in np.rint(heights / geometry.spacing[2])]
