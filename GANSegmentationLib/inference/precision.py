"""Half precision where it gives the same labels as single precision, and only there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

SAMPLES: Final = 4
"""Slices compared, spread evenly through the volume: its ends alone may show nothing but air."""

_OF_FOREGROUND: Final = 0.01
_OF_ALL: Final = 1e-4


def sample_slices(n_slices: int) -> list[int]:
    """Up to `SAMPLES` slices, evenly spread, the ends left out where there are enough."""
    return sorted({(2 * i + 1) * n_slices // (2 * SAMPLES) for i in range(SAMPLES)})


def agrees(
    single: Callable[[int], Tensor], half: Callable[[int], Tensor], restore: Callable[[Tensor], Tensor], n_slices: int
) -> bool:
    """Whether two networks label sample slices alike.

    Parameters
    ----------
    single, half:
        Scores of one slice ``(1, classes, H, W)`` by its number, in either precision.
    restore:
        Scores to labels ``(1, h, w)``.
    n_slices:
        Slices there are.

    Returns
    -------
    bool
        True if all scores in half precision are finite and the labels differ in at most one per cent of the foreground
        plus one voxel in ten thousand. Rounding moves a contour by far less.
    """
    different = foreground = voxels = 0
    for number in sample_slices(n_slices):
        scores = half(number)
        if not bool(torch.isfinite(scores).all()):
            return False
        reference, labels = restore(single(number)), restore(scores)
        different += int((reference != labels).sum())
        foreground += int(((reference > 0) | (labels > 0)).sum())
        voxels += labels.numel()
    return different <= _OF_FOREGROUND * foreground + _OF_ALL * voxels
