"""The U-Net that seed 001 trains as its baseline and as both generators: batch normalisation, bilinear doubling.

Source: seed 001 (the form of the public implementation known as "milesial", described here from its layer table, no
code of it used). It differs from the classic U-Net: padded convolutions with batch normalisation, biases kept before
it; the deepest level has as many channels as the one above it, for bilinear doubling brings no convolution that would
halve them; the first of the two convolutions after a skip halves instead, and the second gives what the next level
takes. Doubling aligns the corner pixels, as published. ``up="transpose"`` is the variant with learned doubling, whose
deepest level has twice the channels.

Deviation: sides are multiples of 16; the public code pads odd sides within the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import NetworkConfig, check
from .entry import NetworkEntry
from .layers import ConvNorm, check_input
from .unet import TwoConvolutions, Up

LEVELS = 4


@dataclass(frozen=True)
class UNetSrikerConfig(NetworkConfig):
    """Channels, width of the first level, and how the decoder doubles; the seed has 1, 1, 64 and ``"resize"``."""

    in_channels: int = 1
    classes: int = 1
    width: int = 64
    up: Up = "resize"

    def __post_init__(self) -> None:
        check(self.in_channels >= 1, self, f"in_channels is {self.in_channels}, and at least 1 is needed")
        check(self.classes >= 1, self, f"classes is {self.classes}, and at least 1 is needed")
        check(self.width >= 1, self, f"width is {self.width}, and at least 1 is needed")


class UNetSriker(nn.Module):
    """Slices ``(B, in_channels, H, W)``, normalised, to raw scores ``(B, classes, H, W)``; sides multiples of 16.

    State dict: ``encoder.0`` to ``encoder.4`` from fine to coarse, each with ``first`` and ``second``; ``decoder.0`` to
    ``decoder.3`` from coarse to fine with ``convolutions.first`` and ``.second`` and, where doubling is learned,
    ``up``; ``head``.
    """

    multiple = 2**LEVELS

    def __init__(self, config: UNetSrikerConfig) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        self.output = "logit" if config.classes == 1 else "softmax"
        learned = config.up == "transpose"
        widths = [config.width * 2**level for level in range(LEVELS)]
        widths.append(2 * widths[-1] if learned else widths[-1])
        self.encoder = nn.ModuleList()
        before = config.in_channels
        for width in widths:
            self.encoder.append(TwoConvolutions(before, width, width, "batch"))
            before = width
        self.decoder = nn.ModuleList()
        for level in reversed(range(LEVELS)):
            # Bilinear doubling keeps the channels, so that this level hands on those of the next finer one.
            after = widths[level] if learned or level == 0 else widths[level - 1]
            self.decoder.append(_Up(before, widths[level], after, learned))
            before = after
        self.head = ConvNorm(nn.Conv2d(before, config.classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.in_channels, self.multiple)
        skips: list[Tensor] = []
        for level, stage in enumerate(self.encoder):
            x = stage(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for up in self.decoder:
            x = up(x, skips.pop())
        scores: Tensor = self.head(x)
        return scores


class _Up(nn.Module):
    """Twice the resolution, joined behind the encoder's tensor of `skip` channels; gives `width` channels."""

    def __init__(self, before: int, skip: int, width: int, learned: bool) -> None:
        super().__init__()
        self.up = ConvNorm(nn.ConvTranspose2d(before, skip, 2, stride=2)) if learned else None
        self.convolutions = TwoConvolutions(2 * skip, width if learned else skip, width, "batch")

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        if self.up is None:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        else:
            x = self.up(x)
        joined: Tensor = self.convolutions(torch.cat((skip, x), dim=1))
        return joined


ENTRIES = (
    NetworkEntry(
        "unet_sriker",
        "generator",
        UNetSrikerConfig,
        UNetSriker,
        "seed 001; after O. Ronneberger et al., MICCAI 2015, arXiv 1505.04597",
        "logit",
        MappingProxyType({UNetSrikerConfig(): 17_266_241, UNetSrikerConfig(up="transpose"): 31_042_369}),
        encoder=("encoder.",),
        head=("head.",),
    ),
)
