"""The classic U-Net, with the paper's unpadded convolutions or with padded ones.

Source: O. Ronneberger, P. Fischer, T. Brox, *U-Net: Convolutional Networks for Biomedical Image Segmentation*, MICCAI
2015 (arXiv 1505.04597). Two 3 x 3 convolutions with ReLU at every level, 2 x 2 max-pooling, twice the channels at each
of four levels down; 2 x 2 transposed convolutions that halve the channels up, skips in front of them, and a 1 x 1
convolution to the classes. Without normalisation and with ``padding="valid"`` it is the paper's network; the paper's
dropout "at the end of the contracting path" is ``dropout`` (its published code has 0.5).

The generator of LGAN (J. Tan et al., arXiv 1901.03473; seed 001) is ``activation="leaky"``. Its paper leaves the slope
open, here 0.2 as its critics have it, and the kernel of the deconvolution: ``up_kernel`` 2 or 4.

Every convolution keeps its bias, also before a normalisation: the known counts have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import NetworkConfig, check
from .entry import NetworkEntry
from .layers import ConvNorm, Norm, check_input, norm_layer
from .valid_padding import LostBorder, centre, check_valid_input

LEAK = 0.2

Padding = Literal["same", "valid"]
ActivationName = Literal["relu", "leaky"]
Up = Literal["transpose", "resize"]


@dataclass(frozen=True)
class UNetConfig(NetworkConfig):
    """What the network is made of.

    Parameters
    ----------
    in_channels:
        Channels of a slice: volumes times neighbours.
    classes:
        1 for a single logit (foreground against background), n >= 2 for softmax scores with background first; the paper
        has 2.
    width:
        Channels of the first level.
    depth:
        Halvings; the channels double at each.
    norm:
        After each 3 x 3 convolution; the paper has ``"none"``.
    padding:
        ``"same"``: scores of the image's size, sides divisible by ``2 ** depth``. ``"valid"``: the paper's unpadded
        convolutions; `lost_border` says which sides fit and how many pixels are lost. With instance or group
        normalisation what such a network says of a pixel depends on how the image was cut into tiles.
    activation:
        ``"relu"`` or ``"leaky"`` (slope 0.2).
    up:
        ``"transpose"``: transposed convolution of stride 2; ``"resize"``: bilinear doubling and a 3 x 3 convolution,
        which draws no checkerboard.
    up_kernel:
        Of the transposed convolution: 2 (the paper) or 4.
    dropout:
        Probability after the two deepest levels.
    """

    in_channels: int = 1
    classes: int = 1
    width: int = 64
    depth: int = 4
    norm: Norm = "none"
    padding: Padding = "same"
    activation: ActivationName = "relu"
    up: Up = "transpose"
    up_kernel: Literal[2, 4] = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check(self.in_channels >= 1, self, f"in_channels is {self.in_channels}, and at least 1 is needed")
        check(self.classes >= 1, self, f"classes is {self.classes}, and at least 1 is needed")
        check(self.width >= 1, self, f"width is {self.width}, and at least 1 is needed")
        check(1 <= self.depth <= 8, self, f"depth is {self.depth}, and must lie in 1 to 8")
        check(0 <= self.dropout < 1, self, f"dropout is {self.dropout}, and must lie in [0, 1)")
        check(
            self.up == "transpose" or self.up_kernel == 2,
            self,
            f"up_kernel is {self.up_kernel}, and only a transposed convolution has one",
        )

    @property
    def multiple(self) -> int:
        """What both sides of an input are divisible by; an unpadded network's sides follow from `lost_border`."""
        return 1 if self.padding == "valid" else int(2**self.depth)

    @property
    def lost_border(self) -> LostBorder | None:
        if self.padding == "same":
            return None
        # Sides of image and scores for a bottleneck of one pixel; they grow by 2 ** depth with each pixel more.
        image = scores = 1
        for _ in range(self.depth):
            scores = 2 * scores - _up_loss(self) - 4
            image = 2 * (image + 4)
        image += 4
        step = 2**self.depth
        fewest = -((scores - 1) // step)  # so that at least one pixel is scored
        return LostBorder((image - scores) // 2, image + fewest * step, step)


def _up_loss(config: UNetConfig) -> int:
    """Pixels that doubling and its convolution lose of a side when nothing outside the image may be used."""
    if config.up == "resize":
        return 4  # one at either end for interpolation, one for the 3 x 3 convolution
    return 0 if config.up_kernel == 2 else 2


class TwoConvolutions(nn.Module):
    """Two 3 x 3 convolutions, each with normalisation and activation: ``first``, ``second``."""

    def __init__(
        self,
        before: int,
        middle: int,
        width: int,
        norm: Norm,
        padding: Padding = "same",
        activation: ActivationName = "relu",
    ) -> None:
        super().__init__()
        pad = 1 if padding == "same" else 0
        self.first = ConvNorm(nn.Conv2d(before, middle, 3, padding=pad), norm_layer(norm, middle))
        self.second = ConvNorm(nn.Conv2d(middle, width, 3, padding=pad), norm_layer(norm, width))
        self.activation: nn.Module = nn.ReLU() if activation == "relu" else nn.LeakyReLU(LEAK)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.activation(self.second(self.activation(self.first(x))))
        return scores


class UNet(nn.Module):
    """Slices ``(B, in_channels, H, W)``, normalised, to raw scores ``(B, classes, H, W)``.

    H and W are multiples of `multiple`; with unpadded convolutions they fit `lost_border`, and the scores are
    ``lost_border.margin`` pixels smaller on every side.

    State dict: ``encoder.<i>`` from fine to coarse and ``bottleneck``, each with ``first`` and ``second``;
    ``decoder.<i>`` from coarse to fine with ``up`` and ``convolutions.first`` and ``.second``; ``head``. Each holds
    ``conv.*`` and, but for ``up`` and ``head``, ``norm.*`` where the configuration has one.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        self.multiple = config.multiple
        self.lost_border = config.lost_border
        self.margin = self.lost_border.margin if self.lost_border else 0
        self.output = "logit" if config.classes == 1 else "softmax"
        self.dropout = config.dropout
        widths = [config.width * 2**level for level in range(config.depth + 1)]
        before = config.in_channels
        stages = []
        for width in widths:
            stages.append(TwoConvolutions(before, width, width, config.norm, config.padding, config.activation))
            before = width
        self.encoder = nn.ModuleList(stages[:-1])
        self.bottleneck = stages[-1]
        self.decoder = nn.ModuleList(_Up(width, config) for width in reversed(widths[:-1]))
        self.head = ConvNorm(nn.Conv2d(widths[0], config.classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.lost_border is None:
            check_input(x, self.in_channels, self.multiple)
        else:
            check_valid_input(x, self.in_channels, self.lost_border)
        skips: list[Tensor] = []
        for stage in self.encoder:
            skips.append(stage(x if not skips else F.max_pool2d(skips[-1], 2)))
        skips[-1] = F.dropout(skips[-1], self.dropout, self.training)
        x = F.dropout(self.bottleneck(F.max_pool2d(skips[-1], 2)), self.dropout, self.training)
        for up in self.decoder:
            x = up(x, skips.pop())
        scores: Tensor = self.head(x)
        return scores


class _Up(nn.Module):
    """Twice the resolution and half the channels, joined behind the middle of the encoder's tensor."""

    def __init__(self, width: int, config: UNetConfig) -> None:
        super().__init__()
        self.resize = config.up == "resize"
        self.valid = config.padding == "valid"
        self.up = ConvNorm(_up_convolution(width, config))
        self.convolutions = TwoConvolutions(2 * width, width, width, config.norm, config.padding, config.activation)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        if self.resize:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            if self.valid:
                x = x[..., 1:-1, 1:-1]  # the outermost pixels are extrapolated
        x = self.up(x)
        if self.valid:
            skip = centre(skip, x.shape[-2], x.shape[-1])
        joined: Tensor = self.convolutions(torch.cat((skip, x), dim=1))
        return joined


def _up_convolution(width: int, config: UNetConfig) -> nn.Module:
    valid = config.padding == "valid"
    if config.up == "resize":
        return nn.Conv2d(2 * width, width, 3, padding=0 if valid else 1)
    if config.up_kernel == 2:
        return nn.ConvTranspose2d(2 * width, width, 2, stride=2)
    # Every pixel of a 4 x 4 kernel's result has two of the input's, but for the outermost one at either end.
    return nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=2 if valid else 1)


ENTRIES = (
    NetworkEntry(
        "unet",
        "generator",
        UNetConfig,
        UNet,
        "O. Ronneberger et al., MICCAI 2015, arXiv 1505.04597; LGAN's generator (seed 001, arXiv 1901.03473)",
        "logit",
        MappingProxyType(
            {
                UNetConfig(): 31_030_593,
                UNetConfig(classes=2): 31_030_658,
                UNetConfig(classes=2, padding="valid"): 31_030_658,
                UNetConfig(norm="batch"): 31_042_369,
                UNetConfig(activation="leaky"): 31_030_593,
                UNetConfig(activation="leaky", up_kernel=4): 39_386_433,
            }
        ),
        encoder=("encoder.", "bottleneck."),
        head=("head.",),
    ),
)
