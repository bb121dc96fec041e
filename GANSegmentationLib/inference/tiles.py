"""Scores of every pixel, also from a network of unpadded convolutions: overlapping tiles of the mirrored image.

Source: the overlap-tile strategy of O. Ronneberger et al., *U-Net*, MICCAI 2015 (arXiv 1505.04597, figure 2): the image
is extended by mirroring, tiles overlap by what the network loses, and only pixels with their full context are scored.
Tiles lie in whole steps of the network's pooling, so that each pixel's score is the one that the network would give on
the whole extended image at once. (Not with instance or group normalisation, which look at the tile as a whole.)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..networks.valid_padding import LostBorder, mirror

LARGEST_TILE = 388
"""Pixels scored along a side of a tile; the paper's 388 need an image of 572."""


def whole_scores(network: nn.Module, images: Tensor, *conditions: Tensor, largest: int = LARGEST_TILE) -> Tensor:
    """What a network gives for images, one score for every pixel: ``(B, classes, H, W)``.

    For a network that pads its convolutions this is ``network(images, *conditions)``, and nothing else. One that has a
    ``lost_border`` is run on tiles, as many at once as there are images, so that memory follows the batch.

    Parameters
    ----------
    network:
        A generator.
    images:
        ``(B, C, H, W)``; for unpadded networks of any size.
    conditions:
        Further arguments of the network, ``(B, ...)``, such as the one-hot domain; each tile gets its image's.
    largest:
        Bound of the pixels scored along a tile's side, for memory; raised to the smallest tile there is.
    """
    border: LostBorder | None = getattr(network, "lost_border", None)
    if border is None:
        scores: Tensor = network(images, *conditions)
        return scores
    height, width = images.shape[-2:]
    rows, columns = _Cover.of(height, border, largest), _Cover.of(width, border, largest)
    extended = mirror(images, rows.beyond(height, border), columns.beyond(width, border))
    whole = images.new_empty(0)
    for top, left in itertools.product(rows.starts, columns.starts):
        tiles = extended[..., top : top + rows.side, left : left + columns.side]
        part = network(tiles.contiguous(memory_format=torch.channels_last), *conditions)
        if not whole.numel():
            whole = part.new_empty((*part.shape[:2], rows.scored, columns.scored))
        # Where tiles overlap they agree, so it does not matter which of them is written last.
        whole[..., top : top + part.shape[-2], left : left + part.shape[-1]] = part
    return whole[..., :height, :width]


@dataclass(frozen=True)
class _Cover:
    """Tiles of equal size that score one side of the images.

    Parameters
    ----------
    starts:
        Where each begins in the extended image; its scores begin at the same number in the image's scores.
    side:
        The tiles' side in the extended image.
    scored:
        Pixels that they score together, at least the side to cover.
    """

    starts: tuple[int, ...]
    side: int
    scored: int

    @classmethod
    def of(cls, length: int, border: LostBorder, largest: int) -> _Cover:
        """The fewest tiles that score `length` pixels, `largest` each at most, and as small as that many can be."""
        least = border.scored(border.smallest)
        # Beyond the first `least` pixels every tile adds whole steps, and overlaps the one before in `least` pixels.
        steps = -(-max(0, length - least) // border.step)
        most = max(1, (largest - least) // border.step)
        tiles = max(1, -(-steps // most))
        stride = -(-steps // tiles) * border.step
        return cls(tuple(number * stride for number in range(tiles)), border.smallest + stride, tiles * stride + least)

    def beyond(self, length: int, border: LostBorder) -> tuple[int, int]:
        """How far the tiles reach beyond the images, before and after."""
        return border.margin, self.scored + border.margin - length
