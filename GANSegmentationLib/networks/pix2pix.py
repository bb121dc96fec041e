"""The pix2pix generator exactly as seed 000 tabulates it.

Source: seed 000, the U-Net generator of P. Isola et al., *Image-to-Image Translation with
Conditional Adversarial Networks*, CVPR 2017 (arXiv 1611.07004), as a Keras model. What "exactly" includes:

* Keras ``padding="same"`` for a 4 x 4 kernel with stride 2 on an even side pads one pixel before and one after, which
  is PyTorch's ``padding=1``, for the convolution and the transposed one alike.
* Every convolution keeps its bias, also before a normalisation (the tables count it).
* A skip is concatenated after normalisation and dropout and *before* the ReLU; what is skipped is the encoder's tensor
  after its LeakyReLU. The bottleneck has no normalisation and a ReLU.
* Keras' batch normalisation: epsilon 1e-3, running statistics with momentum 0.99 (PyTorch counts the other way: 0.01).

Seed 004 has the same network with instance normalisation (``norm="instance"``, D. Ulyanov et al., 2016, arXiv
1607.08022), from two channels (two masks) to one. Its count is met with normalisation in the same places, without an
affine part, and every convolution's bias kept.

Deviation: batch normalisation and dropout follow ``train()`` and ``eval()``; the seed's recipe leaves them on in use,
which gives another mask at every run.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import NetworkConfig, check
from .entry import NetworkEntry
from .layers import ConvNorm, check_input

KERAS_NORM_EPSILON = 1e-3
KERAS_NORM_MOMENTUM = 0.01
"""Keras' 0.99 is the share that stays, PyTorch's momentum the share that is new."""

ENCODER_WIDTHS = (1, 2, 4, 8, 8, 8, 8)
BOTTLENECK_WIDTHS = 8
"""Channels in widths of the first row; the seed's width is 64."""

DROPOUT_STAGES = 3
DROPOUT = 0.5
LEAK = 0.2


def keras_batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with the constants of Keras' default layer."""
    return nn.BatchNorm2d(channels, eps=KERAS_NORM_EPSILON, momentum=KERAS_NORM_MOMENTUM)


@dataclass(frozen=True)
class Pix2PixSeedConfig(NetworkConfig):
    """Seed 000's table, or seed 004's variant of it.

    Parameters
    ----------
    in_channels, out_channels:
        Seed 000 has 3 and 3: slices and masks as RGB pictures. Seed 004 has 2 and 1.
    width:
        Channels of the first row, 64 in the tables; all others are multiples of it.
    norm:
        ``"keras_batch"`` (seed 000) or ``"instance"`` without affine part (seed 004).
    """

    in_channels: int = 3
    out_channels: int = 3
    width: int = 64
    norm: Literal["keras_batch", "instance"] = "keras_batch"

    def __post_init__(self) -> None:
        check(self.in_channels >= 1, self, f"in_channels is {self.in_channels}, and at least 1 is needed")
        check(self.out_channels >= 1, self, f"out_channels is {self.out_channels}, and at least 1 is needed")
        check(self.width >= 1, self, f"width is {self.width}, and at least 1 is needed")


class Pix2PixSeedGenerator(nn.Module):
    """Image ``(B, in_channels, H, W)`` in [-1, 1] to a picture of the mask ``(B, out_channels, H, W)`` in (-1, 1).

    H and W are multiples of 256. An image of one channel is given to all input channels, as the seed's grey pictures
    stored as RGB are. State dict: ``encoder.0`` to ``encoder.6`` (rows e1 to e7), ``bottleneck`` (b),
    ``decoder.0`` to ``decoder.6`` (d1 to d7), ``head`` (out), each with ``.conv.*`` and, but for e1, b and the head,
    ``.norm.*``.
    """

    multiple = 256
    output = "tanh"

    def __init__(self, config: Pix2PixSeedConfig) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        normalise = keras_batch_norm if config.norm == "keras_batch" else nn.InstanceNorm2d
        channels = [config.width * times for times in ENCODER_WIDTHS]
        self.encoder = nn.ModuleList(
            ConvNorm(nn.Conv2d(before, after, 4, 2, 1), normalise(after) if row else None)
            for row, (before, after) in enumerate(itertools.pairwise((config.in_channels, *channels)))
        )
        before = config.width * BOTTLENECK_WIDTHS
        self.bottleneck = ConvNorm(nn.Conv2d(channels[-1], before, 4, 2, 1))
        self.decoder = nn.ModuleList()
        for width in reversed(channels):
            self.decoder.append(ConvNorm(nn.ConvTranspose2d(before, width, 4, 2, 1), normalise(width)))
            before = 2 * width
        self.head = ConvNorm(nn.ConvTranspose2d(before, config.out_channels, 4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] == 1 and self.in_channels > 1:
            x = x.expand(-1, self.in_channels, -1, -1)
        check_input(x, self.in_channels, self.multiple)
        skips: list[Tensor] = []
        for stage in self.encoder:
            x = F.leaky_relu(stage(x), LEAK)
            skips.append(x)
        x = F.relu(self.bottleneck(x))
        for row, (stage, skip) in enumerate(zip(self.decoder, reversed(skips), strict=True)):
            x = stage(x)
            if row < DROPOUT_STAGES:
                x = F.dropout(x, DROPOUT, self.training)
            x = F.relu(torch.cat((x, skip), dim=1))
        return torch.tanh(self.head(x))


ENTRIES = (
    NetworkEntry(
        "pix2pix_seed",
        "generator",
        Pix2PixSeedConfig,
        Pix2PixSeedGenerator,
        "seeds 000 and 004; P. Isola et al., CVPR 2017, arXiv 1611.07004",
        "tanh",
        MappingProxyType(
            {
                Pix2PixSeedConfig(3, 3): 54_419_459,
                Pix2PixSeedConfig(1, 1): 54_413_313,
                Pix2PixSeedConfig(3, 1): 54_415_361,
                Pix2PixSeedConfig(3, 2): 54_417_410,
                Pix2PixSeedConfig(2, 1, norm="instance"): 54_404_481,
            }
        ),
        encoder=("encoder.", "bottleneck."),
        head=("head.",),
    ),
)
