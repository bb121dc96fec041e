"""The distance of every voxel of one set to the nearest voxel of another, exactly.

Surfaces of a mask and its reference lie close together nearly everywhere, on a lattice of few possible distances. So
the search first looks at the neighbours themselves, shell by shell in the order of their distance: a look costs some
nanoseconds, and the first hit is the nearest voxel. When the looks no longer pay, because what is left is far away, a
k-d tree answers the rest.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .overlap import BoolArray

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

# Measured costs, in looks: of a question to the tree, and of numpy being called at all.
_LOOKS_PER_QUERY = 200
_LOOKS_PER_CALL = 800
_QUERIES_WORTH_LOOKING = 500
_LOOKS_BEFORE_JUDGING = 26
_NEIGHBOURS = 1000
_LARGEST_MARGIN = 16

_LEAF_SIZE = 32
_QUERIES_PER_WORKER = 2048


def nearest_distances(
    queries: BoolArray, targets: BoolArray, spacing: Sequence[float], *, upper_bound: float = math.inf
) -> FloatArray:
    """The distance of every voxel of `queries` to the nearest voxel of `targets`, mm, in the order of `np.nonzero`.

    Parameters
    ----------
    queries, targets:
        Boolean arrays of one shape, 2-D or 3-D.
    spacing:
        Spacing in the order of the array's axes, mm.
    upper_bound:
        Distances from here on are of no interest and come out infinite, as they do where there is no target at all.
    """
    index = np.stack(np.nonzero(queries), axis=1)
    distances = np.full(len(index), np.inf)
    if not len(index) or not targets.any():
        return distances
    steps = tuple(float(step) for step in spacing)
    left = np.arange(len(index), dtype=np.intp)
    if left.size >= _QUERIES_WORTH_LOOKING:
        left = _look_around(index, targets, steps, upper_bound, distances)
    if left.size:
        distances[left] = _ask_tree(index[left], np.stack(np.nonzero(targets), axis=1), steps, upper_bound)
    return distances


def _look_around(
    index: IntArray, targets: BoolArray, spacing: tuple[float, ...], upper_bound: float, distances: FloatArray
) -> IntArray:
    """Fill in the distances of all voxels (rows of `index`) with a target near by; return the rows left to ask for."""
    margin = _margin(spacing)
    shape = [n + 2 * m for n, m in zip(targets.shape, margin, strict=True)]
    strides = np.array([math.prod(shape[axis + 1 :]) for axis in range(len(shape))], dtype=np.intp)
    # With a margin of background, a step from any voxel stays inside the array and in its own row.
    padded = np.zeros(shape, dtype=np.bool_)
    padded[tuple(slice(m, m + n) for n, m in zip(targets.shape, margin, strict=True))] = targets
    flat = padded.ravel()

    places = (index + np.array(margin)) @ strides
    left = np.arange(len(index), dtype=np.intp)
    looks = hits = 0
    for distance, offsets in _shells(spacing):
        if distance >= upper_bound:
            return left[:0]
        if not left.size:
            break
        found = flat[places + offsets[0] @ strides]
        for offset in offsets[1:]:
            found |= flat[places + offset @ strides]
        looks += len(offsets) * (left.size + _LOOKS_PER_CALL)
        newly = int(np.count_nonzero(found))
        if newly:
            hits += newly
            distances[left[found]] = distance
            missed = ~found
            left, places = left[missed], places[missed]
        if looks > _LOOKS_BEFORE_JUDGING * (left.size + hits + _LOOKS_PER_CALL):
            if hits * _LOOKS_PER_QUERY < looks:
                break
            looks = hits = 0
    return left


def _ask_tree(queries: IntArray, points: IntArray, spacing: tuple[float, ...], upper_bound: float) -> FloatArray:
    from scipy.spatial import cKDTree

    # Voxel centres lie on a lattice, where medians split badly (many equal coordinates): the sliding midpoint builds
    # several times faster and answers no slower.
    tree = cKDTree(points * np.array(spacing), leafsize=_LEAF_SIZE, balanced_tree=False, compact_nodes=False)
    distances: Any = tree.query(
        queries * np.array(spacing), workers=_workers(len(queries)), distance_upper_bound=upper_bound
    )[0]
    return np.asarray(distances, dtype=np.float64)


def _workers(queries: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, queries // _QUERIES_PER_WORKER))


def _radius(spacing: tuple[float, ...]) -> float:
    """How far the shells reach, mm: about `_NEIGHBOURS` voxels, and no margin beyond `_LARGEST_MARGIN`."""
    volume = _NEIGHBOURS * math.prod(spacing)
    radius = math.sqrt(volume / math.pi) if len(spacing) == 2 else (volume * 3 / (4 * math.pi)) ** (1 / 3)
    return min(radius, _LARGEST_MARGIN * min(spacing))


def _margin(spacing: tuple[float, ...]) -> tuple[int, ...]:
    return tuple(math.floor(_radius(spacing) / step) for step in spacing)


@lru_cache(maxsize=32)
def _shells(spacing: tuple[float, ...]) -> tuple[tuple[float, IntArray], ...]:
    """The offsets of neighbouring voxels by their distance, nearest first: ``(distance mm, offsets (n, dimensions))``.

    The first shell is the voxel itself.
    """
    axes = [np.arange(-m, m + 1) for m in _margin(spacing)]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(spacing))
    lengths = np.sqrt(((offsets * spacing) ** 2).sum(axis=1))
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] <= _radius(spacing)]
    return tuple(_groups(lengths[order], offsets[order]))


def _groups(lengths: FloatArray, offsets: IntArray) -> Iterator[tuple[float, IntArray]]:
    # Mirrored offsets have one length up to rounding.
    starts = np.flatnonzero(np.diff(lengths, prepend=-1.0) > 1e-9 * lengths[-1])
    for start, group in zip(starts, np.split(offsets, starts[1:]), strict=True):
        yield float(lengths[start]), group
