"""The pix2pix generator exactly as seed 000 tabulates it.

Source: seed 000, the U-Net generator of P. Isola et al., *Image-to-Image Translation with
Conditional Adversarial Networks*, CVPR 2017 (arXiv 1611.07004), as a Keras model. What "exactly" includes:

* Keras ``padding="same"`` for a 4 x 4 kernel with stride 2 on an even side pads one pixel before and one after, which
  is PyTorch's ``padding=1``, for the convolution and the transposed one alike.
* Every convolution keeps its bias, also before a normalisation (the tables count it).
* A skip is concatenated after normalisation and dropout and *before* the ReLU; what is skipped is the encoder's tensor
  after its LeakyReLU. The bottleneck has no normalisation and a ReLU.
* Keras' batch normalisation: epsilon 1e-3, running statistics with momentum 0.99 (PyTorch counts the other way: 0.01).

Deviation: batch normalisation and dropout follow ``train()`` and ``eval()``; the seed's recipe leaves them on in use,
which gives another mask at every run.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import NetworkConfig, check
from .layers import ConvNorm, check_input

KERAS_NORM_EPSILON = 1e-3
KERAS_NORM_MOMENTUM = 0.01
"""Keras' 0.99 is the share that stays, PyTorch's momentum the share that is new."""

ENCODER_CHANNELS = (64, 128, 256, 512, 512, 512, 512)
BOTTLENECK_CHANNELS = 512
DROPOUT_STAGES = 3
DROPOUT = 0.5
LEAK = 0.2


def keras_batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with the constants of Keras' default layer."""
    return nn.BatchNorm2d(channels, eps=KERAS_NORM_EPSILON, momentum=KERAS_NORM_MOMENTUM)


@dataclass(frozen=True)
class Pix2PixSeedConfig(NetworkConfig):
    """Input and output channels; all else is the table. The seed has 3 and 3: slices and masks as RGB pictures."""

    in_channels: int = 3
    out_channels: int = 3

    def __post_init__(self) -> None:
        check(self.in_channels >= 1, self, f"in_channels is {self.in_channels}, and at least 1 is needed")
        check(self.out_channels >= 1, self, f"out_channels is {self.out_channels}, and at least 1 is needed")


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
        widths = (config.in_channels, *ENCODER_CHANNELS)
        self.encoder = nn.ModuleList(
            ConvNorm(nn.Conv2d(before, after, 4, 2, 1), keras_batch_norm(after) if row else None)
            for row, (before, after) in enumerate(itertools.pairwise(widths))
        )
        self.bottleneck = ConvNorm(nn.Conv2d(ENCODER_CHANNELS[-1], BOTTLENECK_CHANNELS, 4, 2, 1))
        self.decoder = nn.ModuleList()
        before = BOTTLENECK_CHANNELS
        for width in reversed(ENCODER_CHANNELS):
            self.decoder.append(ConvNorm(nn.ConvTranspose2d(before, width, 4, 2, 1), keras_batch_norm(width)))
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
