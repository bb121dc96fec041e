"""The pix2pix generators the other way round: from a mask, with or without noise, to a picture of the scan.

Source: P. Isola et al., CVPR 2017 (arXiv 1611.07004), and seed 004, whose generator is the paper's U-Net with instance
normalisation and dropout. The layers are those of `pix2pix` and `pix2pix_modern`; the output is one grey picture in
(-1, 1) a slice, and what goes in are the mask's classes as channels, 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .config import NetworkConfig
from .entry import NetworkEntry
from .pix2pix import Pix2PixSeedConfig, Pix2PixSeedGenerator
from .pix2pix_modern import Pix2PixModernConfig, Pix2PixModernGenerator, Up


def mask_channels(mask: Tensor, classes: int) -> Tensor:
    """``mask (B, H, W)`` int64 as its classes without background, ``(B, classes, H, W) float32`` of 0 and 1.

    Of one class it is the foreground, any label above 0.
    """
    if classes == 1:
        return (mask > 0).unsqueeze(1).float()
    return F.one_hot(mask, classes + 1)[..., 1:].permute(0, 3, 1, 2).float()


@dataclass(frozen=True)
class Pix2PixSeedImageConfig(NetworkConfig):
    """Seed 004's generator: two mask channels to one picture, instance normalisation, ``width`` channels at first."""

    in_channels: int = 2
    out_channels: int = 1
    width: int = 64

    def __post_init__(self) -> None:
        self.layers()  # refuses what makes no network

    def layers(self) -> Pix2PixSeedConfig:
        """The configuration of the segmenting network with the same layers."""
        return Pix2PixSeedConfig(self.in_channels, self.out_channels, width=self.width, norm="instance")


class Pix2PixSeedImageGenerator(Pix2PixSeedGenerator):
    """Mask channels ``(B, in_channels, H, W)`` to pictures ``(B, out_channels, H, W)`` in (-1, 1).

    H and W are multiples of 256; the state dict is that of `Pix2PixSeedGenerator`.
    """

    output = "image"

    def __init__(self, config: Pix2PixSeedImageConfig) -> None:
        super().__init__(config.layers())


@dataclass(frozen=True)
class Pix2PixModernImageConfig(NetworkConfig):
    """As `Pix2PixModernConfig`, with ``out_channels`` pictures instead of classes.

    The defaults draw: instance normalisation (a picture's own contrast must not depend on the batch it is in), widths
    that rise to 256, and the paper's dropout.
    """

    in_channels: int = 1
    out_channels: int = 1
    channels: tuple[int, ...] = (64, 128, 256, 256, 256, 256, 256)
    norm: Literal["batch", "instance", "group"] = "instance"
    up: Up = "resize"
    refine: bool = True
    full_resolution: int = 32
    dropout: float = 0.5

    def __post_init__(self) -> None:
        self.layers()  # refuses what makes no network

    def layers(self) -> Pix2PixModernConfig:
        """The configuration of the segmenting network with the same layers."""
        return Pix2PixModernConfig(
            in_channels=self.in_channels,
            classes=self.out_channels,
            channels=self.channels,
            norm=self.norm,
            up=self.up,
            refine=self.refine,
            full_resolution=self.full_resolution,
            dropout=self.dropout,
        )


class Pix2PixModernImageGenerator(Pix2PixModernGenerator):
    """Mask channels ``(B, in_channels, H, W)`` to pictures ``(B, out_channels, H, W)`` in (-1, 1).

    H and W are multiples of `multiple`; the state dict is that of `Pix2PixModernGenerator`.
    """

    def __init__(self, config: Pix2PixModernImageConfig) -> None:
        super().__init__(config.layers())
        self.output = "image"

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(super().forward(x))


ENTRIES = (
    NetworkEntry(
        "pix2pix_seed_image",
        "synthesiser",
        Pix2PixSeedImageConfig,
        Pix2PixSeedImageGenerator,
        "seed 004; P. Isola et al., CVPR 2017, arXiv 1611.07004",
        "image",
        MappingProxyType({Pix2PixSeedImageConfig(): 54_404_481}),
        encoder=("encoder.", "bottleneck."),
        head=("head.",),
    ),
    NetworkEntry(
        "pix2pix_modern_image",
        "synthesiser",
        Pix2PixModernImageConfig,
        Pix2PixModernImageGenerator,
        "the pix2pix family (P. Isola et al., CVPR 2017, arXiv 1611.07004) for pictures; seed 004",
        "image",
        MappingProxyType({Pix2PixModernImageConfig(): 15_887_937, Pix2PixModernImageConfig(in_channels=3): 15_888_513}),
        encoder=("stem.", "encoder."),
        head=("head.",),
    ),
)
