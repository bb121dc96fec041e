"""Discriminators that judge overlapping patches of an image and its mask: seed 000's and the paper's 70 x 70 one.

Source: seed 000 and P. Isola et al., CVPR 2017 (arXiv 1611.07004). Both take image and mask
concatenated, ``(B, in_channels, H, W)`` with ``in_channels`` = image channels + mask channels, and give one raw score a
patch, ``(B, 1, h, w)``, high for real. The seed's final sigmoid is part of the loss (binary cross-entropy of logits).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from .config import NetworkConfig, check
from .entry import NetworkEntry
from .layers import ConvNorm, needs_bias, norm_layer
from .pix2pix import keras_batch_norm

LEAK = 0.2
KERAS_CHANNELS = (64, 128, 256, 512)


@dataclass(frozen=True)
class Patch142KerasConfig(NetworkConfig):
    """Channels of image and mask together; the seed has 3 + 3. All else is the table."""

    in_channels: int = 6

    def __post_init__(self) -> None:
        check(self.in_channels >= 2, self, f"in_channels is {self.in_channels}, and an image and a mask are at least 2")


class Patch142KerasDiscriminator(nn.Module):
    """Seed 000's discriminator: a 16 x 16 map at 256 x 256, each score seeing 142 x 142 pixels (not 70 x 70).

    Keras pads a 4 x 4 kernel of stride 1 with one pixel before and two after to keep the size; symmetric padding would
    give maps of 15 and 14. With stride 2 on even sides it pads 1 and 1. State dict: ``layers.0`` to ``layers.5``,
    ``layers.1`` to ``layers.4`` with normalisation.
    """

    output = "patch"

    def __init__(self, config: Patch142KerasConfig) -> None:
        super().__init__()
        widths = (config.in_channels, *KERAS_CHANNELS)
        self.layers = nn.ModuleList(
            ConvNorm(nn.Conv2d(before, after, 4, 2, 1), keras_batch_norm(after) if row else None)
            for row, (before, after) in enumerate(itertools.pairwise(widths))
        )
        self.layers.append(ConvNorm(nn.Conv2d(widths[-1], 512, 4), keras_batch_norm(512)))
        self.layers.append(ConvNorm(nn.Conv2d(512, 1, 4)))
        self.same = nn.ZeroPad2d((1, 2, 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[: len(KERAS_CHANNELS)]:
            x = F.leaky_relu(layer(x), LEAK)
        x = F.leaky_relu(self.layers[-2](self.same(x)), LEAK)
        scores: Tensor = self.layers[-1](self.same(x))
        return scores


@dataclass(frozen=True)
class Patch70Config(NetworkConfig):
    """The 70 x 70 PatchGAN.

    Parameters
    ----------
    in_channels:
        Channels of image and mask together.
    width:
        Channels after the first convolution; doubled at each further one, up to eight times.
    halvings:
        Convolutions of stride 2: 3 gives the 70 x 70 field, 2 gives 34, 1 gives 16.
    norm:
        ``"batch"`` (the paper), ``"instance"`` or ``"none"``; never at the first and the last layer.
    spectral:
        Divide each convolution's weight by its largest singular value (T. Miyato et al., ICLR 2018, arXiv 1802.05957).
    """

    in_channels: int = 6
    width: int = 64
    halvings: int = 3
    norm: Literal["batch", "instance", "none"] = "batch"
    spectral: bool = False

    def __post_init__(self) -> None:
        check(self.in_channels >= 2, self, f"in_channels is {self.in_channels}, and an image and a mask are at least 2")
        check(self.width >= 1, self, f"width is {self.width}, and at least 1 is needed")
        check(1 <= self.halvings <= 6, self, f"halvings is {self.halvings}, and must lie in 1 to 6")


class Patch70Discriminator(nn.Module):
    """The paper's PatchGAN: convolutions 4 x 4 padded by 1, a 30 x 30 map at 256 x 256, each score seeing 70 x 70.

    State dict: ``layers.<i>.conv.*`` and ``layers.<i>.norm.*``; with ``spectral`` the weights are named
    ``conv.parametrizations.weight.*``.
    """

    output = "patch"

    def __init__(self, config: Patch70Config) -> None:
        super().__init__()
        widths = [config.width * min(2**i, 8) for i in range(config.halvings + 1)]
        self.layers = nn.ModuleList([ConvNorm(nn.Conv2d(config.in_channels, widths[0], 4, 2, 1))])
        for i, (before, after) in enumerate(itertools.pairwise(widths), start=1):
            stride = 2 if i < config.halvings else 1
            conv = nn.Conv2d(before, after, 4, stride, 1, bias=needs_bias(config.norm))
            self.layers.append(ConvNorm(conv, norm_layer(config.norm, after)))
        self.layers.append(ConvNorm(nn.Conv2d(widths[-1], 1, 4, 1, 1)))
        if config.spectral:
            for layer in self.layers:
                layer.conv = spectral_norm(layer.conv)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), LEAK)
        scores: Tensor = self.layers[-1](x)
        return scores


ENTRIES = (
    NetworkEntry(
        "patch142_keras",
        "discriminator",
        Patch142KerasConfig,
        Patch142KerasDiscriminator,
        "seed 000",
        "patch",
        MappingProxyType({Patch142KerasConfig(6): 6_965_441, Patch142KerasConfig(2): 6_961_345}),
        sees="pair",
    ),
    NetworkEntry(
        "patch70",
        "discriminator",
        Patch70Config,
        Patch70Discriminator,
        "P. Isola et al., CVPR 2017, arXiv 1611.07004",
        "patch",
        MappingProxyType({Patch70Config(6): 2_768_705}),
        sees="pair",
    ),
)
