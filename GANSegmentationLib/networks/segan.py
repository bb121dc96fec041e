"""SegAN: an encoder-decoder that segments, and a critic whose layers are compared instead of its verdict.

Source: Y. Xue et al., *SegAN: Adversarial Network with Multi-scale L1 Loss for Medical Image Segmentation*,
Neuroinformatics 2018 (arXiv 1706.01805); seed 002. The blocks are those that the paper's search chose: four down and
four up in the segmentor, three in the critic.

* Down: convolution 4 x 4 of stride 2, batch normalisation but for the first, LeakyReLU 0.2.
* Up: doubling, convolution 3 x 3, batch normalisation, ReLU, then the encoder's tensor of that resolution beside it;
  the last block doubles and gives the scores.
* Every convolution keeps its bias: 4,675,713 parameters of the segmentor and 657,600 of the critic for one channel.

Doubling is bilinear here, on half-pixel centres.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import NetworkConfig, check
from .entry import NetworkEntry
from .layers import ConvNorm, Norm, check_input, norm_layer
from .pix2pix_modern import double

LEAK = 0.2
HALVINGS = 4
WIDEST = 8
"""Channels are doubled at each halving, up to so many times the width."""


@dataclass(frozen=True)
class SeganSegmentorConfig(NetworkConfig):
    """What the segmentor is made of.

    Parameters
    ----------
    in_channels:
        Channels of a slice: volumes times neighbours.
    classes:
        1 for a single logit (foreground against background), n >= 2 for softmax scores with background first.
    width:
        Channels after the first convolution, 64 in the paper; doubled at each further one.
    norm:
        ``"batch"`` in the paper.
    """

    in_channels: int = 1
    classes: int = 1
    width: int = 64
    norm: Norm = "batch"

    def __post_init__(self) -> None:
        check(self.in_channels >= 1, self, f"in_channels is {self.in_channels}, and at least 1 is needed")
        check(self.classes >= 1, self, f"classes is {self.classes}, and at least 1 is needed")
        check(self.width >= 1, self, f"width is {self.width}, and at least 1 is needed")


class SeganSegmentor(nn.Module):
    """Slices ``(B, in_channels, H, W)``, normalised, to raw scores ``(B, classes, H, W)``; no noise goes in.

    H and W are multiples of 16. State dict: ``encoder.0`` to ``encoder.3`` from fine to coarse, ``decoder.0`` to
    ``decoder.2`` from coarse to fine, ``head``; each with ``conv.*`` and, but for ``encoder.0`` and the head,
    ``norm.*``.
    """

    multiple = 2**HALVINGS

    def __init__(self, config: SeganSegmentorConfig) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        self.output = "logit" if config.classes == 1 else "softmax"
        widths = _widths(config.width, HALVINGS)
        self.encoder = _down_blocks((config.in_channels, *widths), config.norm)
        self.decoder = nn.ModuleList()
        before = widths[-1]
        for skip in reversed(widths[:-1]):
            self.decoder.append(ConvNorm(nn.Conv2d(before, skip, 3, padding=1), norm_layer(config.norm, skip)))
            before = 2 * skip
        self.head = ConvNorm(nn.Conv2d(before, config.classes, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.in_channels, self.multiple)
        skips: list[Tensor] = []
        for down in self.encoder:
            x = F.leaky_relu(down(x), LEAK)
            skips.append(x)
        skips.pop()
        for up in self.decoder:
            x = torch.cat((F.relu(up(double(x))), skips.pop()), dim=1)
        scores: Tensor = self.head(double(x))
        return scores


@dataclass(frozen=True)
class SeganCriticConfig(NetworkConfig):
    """What the critic is made of.

    Parameters
    ----------
    in_channels:
        Channels of the image under the mask: those of the image times the masks that it is put under.
    width:
        Channels after the first convolution, 64 in the paper; doubled at each further one, up to eight times.
    blocks:
        Convolutions, each of which halves; 3 in the paper. The features are one level more.
    norm:
        ``"batch"`` in the paper; never at the first convolution. A gradient penalty wants another.
    """

    in_channels: int = 1
    width: int = 64
    blocks: int = 3
    norm: Norm = "batch"

    def __post_init__(self) -> None:
        check(self.in_channels >= 1, self, f"in_channels is {self.in_channels}, and at least 1 is needed")
        check(self.width >= 1, self, f"width is {self.width}, and at least 1 is needed")
        check(1 <= self.blocks <= 6, self, f"blocks is {self.blocks}, and must lie in 1 to 6")


class SeganCritic(nn.Module):
    """The image under a mask ``(B, in_channels, H, W)`` to its features, finest first: one tensor for each level.

    The first level is the input itself (the pixels), then follows every block's output after its activation,
    ``(B, width * 2**i, H / 2**(i + 1), W / 2**(i + 1))``. State dict: ``layers.<i>.conv.*`` and, but for the first,
    ``layers.<i>.norm.*``.
    """

    output = "features"

    def __init__(self, config: SeganCriticConfig) -> None:
        super().__init__()
        self.layers = _down_blocks((config.in_channels, *_widths(config.width, config.blocks)), config.norm)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        features = [x]
        for layer in self.layers:
            features.append(F.leaky_relu(layer(features[-1]), LEAK))
        return tuple(features)


def _widths(width: int, blocks: int) -> tuple[int, ...]:
    return tuple(width * min(2**i, WIDEST) for i in range(blocks))


def _down_blocks(channels: Sequence[int], norm: Norm) -> nn.ModuleList:
    """Halving convolutions from the first of `channels` to the last, all but the first normalised."""
    return nn.ModuleList(
        ConvNorm(nn.Conv2d(before, after, 4, 2, 1), norm_layer(norm, after) if row else None)
        for row, (before, after) in enumerate(itertools.pairwise(channels))
    )


_SOURCE = "seed 002; Y. Xue et al., Neuroinformatics 2018, arXiv 1706.01805"

ENTRIES = (
    NetworkEntry(
        "segan_segmentor",
        "generator",
        SeganSegmentorConfig,
        SeganSegmentor,
        _SOURCE,
        "logit",
        MappingProxyType({SeganSegmentorConfig(1): 4_675_713, SeganSegmentorConfig(3): 4_677_761}),
        encoder=("encoder.",),
        head=("head.",),
    ),
    NetworkEntry(
        "segan_critic",
        "discriminator",
        SeganCriticConfig,
        SeganCritic,
        _SOURCE,
        "features",
        MappingProxyType({SeganCriticConfig(1): 657_600, SeganCriticConfig(3): 659_648}),
        sees="product",
    ),
)
