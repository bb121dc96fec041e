"""Resampling of slices and of scores, aligned to half a pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 8
"""Slices resampled at a time: a few fit the processor's cache, and all at once cost several times more."""


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resampling of ``(n, channels, h, w)`` float images to ``(n, channels, *size)``.

    The field of view is kept: outer pixel edges fall on outer pixel edges (pixel centres lie at half numbers), so
    nothing shifts or stretches. At exactly 2:1 this is the mean of 2 x 2 pixels; beyond, the filter is widened
    (anti-aliasing) so that no pixel is skipped. Images of the wanted size are returned as they are.
    """
    import torch
    import torch.nn.functional as F

    height, width = images.shape[-2:]
    if (height, width) == tuple(size):
        return images
    antialias = height > 2 * size[0] or width > 2 * size[1]
    parts = [
        F.interpolate(part, size=size, mode="bilinear", align_corners=False, antialias=antialias)
        for part in (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def labels_from_scores(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores ``(n, classes, H, W)`` resampled to `size` and decided: labels ``(n, *size)`` uint8.

    One class: label 1 where the score is above 0. Two: where the second score is above the first (resampling is linear,
    so resampling the difference is the same as resampling both, at half the work). More: the label of the largest
    score, the first of equals. Works through chunks of slices; the resampled scores of a whole volume never exist.
    """
    import torch

    labels = torch.empty((len(scores), *size), dtype=torch.uint8, device=scores.device)
    for start in range(0, len(scores), CHUNK):
        part = scores[start : start + CHUNK].float()
        if part.shape[1] == 2:
            part = part[:, 1:] - part[:, :1]
        part = resize(part, size)
        # max(dim)[1] and not argmax(dim): the same result, several times faster on processors.
        labels[start : start + CHUNK] = part[:, 0] > 0 if part.shape[1] == 1 else part.max(dim=1)[1]
    return labels
