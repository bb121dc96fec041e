"""A compact generator of the pix2pix family for segmentation: raw scores per class, any channels, no checkerboard.

Source: the U-Net generator of P. Isola et al., CVPR 2017 (arXiv 1611.07004), with what segmentation
asks for. Kept: 4 x 4 convolutions of stride 2 with LeakyReLU 0.2 down, concatenated skips, a decoder with ReLU up, no
normalisation at the bottleneck. Changed:

* scores per class instead of a picture of the mask; input and class counts are free;
* ``up="resize"``: bilinear doubling and a 3 x 3 convolution instead of a transposed convolution, whose uneven overlap
  draws checkerboards (A. Odena et al., *Deconvolution and Checkerboard Artifacts*, Distill 2016);
* ``refine``: one more 3 x 3 convolution after every halving and after every concatenation, each with a residual path
  (K. He et al., CVPR 2016, arXiv 1512.03385);
* ``full_resolution``: a stem at the input's own resolution whose features reach the last stage. The classic network has
  no skip above half resolution, and the contour is what bounds the accuracy of a liver mask.
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
from .layers import ConvNorm, Norm, check_input, needs_bias, norm_layer

LEAK = 0.2
DROPOUT_STAGES = 3

Up = Literal["resize", "transposed"]


@dataclass(frozen=True)
class Pix2PixModernConfig(NetworkConfig):
    """What the network is made of.

    Parameters
    ----------
    in_channels:
        Channels of a slice: volumes times neighbours.
    classes:
        1 for a single logit (foreground against background), n >= 2 for softmax scores with background first.
    channels:
        Width after each halving; as many halvings as entries, and the input's sides are multiples of 2 to that power.
    norm:
        ``"batch"`` (folds into the convolutions; wants batches of 8 or more), ``"instance"`` or ``"group"``.
    up:
        ``"resize"`` (bilinear and 3 x 3 convolution) or ``"transposed"`` (4 x 4, stride 2, as the paper).
    refine:
        One more 3 x 3 convolution after every halving and every concatenation.
    full_resolution:
        Width of the stem at full resolution; 0 leaves it out, as in the paper.
    dropout:
        Probability of dropout in the three deepest stages of the decoder; the paper has 0.5.
    """

    in_channels: int = 1
    classes: int = 1
    channels: tuple[int, ...] = (32, 64, 128, 176, 160, 160, 160)
    norm: Literal["batch", "instance", "group"] = "batch"
    up: Up = "resize"
    refine: bool = True
    full_resolution: int = 16
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check(self.in_channels >= 1, self, f"in_channels is {self.in_channels}, and at least 1 is needed")
        check(self.classes >= 1, self, f"classes is {self.classes}, and at least 1 is needed")
        check(len(self.channels) >= 2, self, f"channels has {len(self.channels)} entries, and at least 2 are needed")
        check(min(self.channels, default=0) >= 1, self, f"channels is {self.channels}, and each must be at least 1")
        check(self.full_resolution >= 0, self, f"full_resolution is {self.full_resolution}, and cannot be negative")
        check(0 <= self.dropout < 1, self, f"dropout is {self.dropout}, and must lie in [0, 1)")

    @property
    def multiple(self) -> int:
        """What both sides of an input are divisible by."""
        return int(2 ** len(self.channels))


class Pix2PixModernGenerator(nn.Module):
    """Slices ``(B, in_channels, H, W)``, normalised, to raw scores ``(B, classes, H, W)``.

    H and W are multiples of `multiple`.

    State dict: ``stem.first``, ``stem.refine`` (where ``full_resolution`` > 0); ``encoder.<i>.down`` and
    ``encoder.<i>.refine`` from fine to coarse, the last being the bottleneck; ``decoder.<i>.up`` and
    ``decoder.<i>.refine`` from coarse to fine; ``head``. Each holds ``conv.*`` and, but for bottleneck and head,
    ``norm.*``; the refine parts exist where the configuration has ``refine``.
    """

    def __init__(self, config: Pix2PixModernConfig) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        self.multiple = config.multiple
        self.output = "logit" if config.classes == 1 else "softmax"
        full = config.full_resolution
        self.stem = _Stem(config.in_channels, full, config.norm, config.refine) if full else None

        widths = (full or config.in_channels, *config.channels)
        last = len(config.channels) - 1
        self.encoder = nn.ModuleList(
            _Down(widths[i], widths[i + 1], config.norm if i < last else "none", config.refine)
            for i in range(len(config.channels))
        )
        skips = [*reversed(config.channels[:-1])] + ([full] if full else [])
        self.decoder = nn.ModuleList()
        width = config.channels[-1]
        for i, skip in enumerate(skips):
            dropout = config.dropout if i < DROPOUT_STAGES else 0.0
            stage = _Up(width, skip, config.norm, config.up, config.refine, dropout)
            self.decoder.append(stage)
            width = stage.width
        # With a stem the last stage is at full resolution already; without one the head doubles, as in the paper.
        self.doubling = not full and config.up == "resize"
        head = nn.Conv2d(width, config.classes, 1) if full else _up_convolution(width, config.classes, config.up)
        self.head = ConvNorm(head)

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.in_channels, self.multiple)
        skips: list[Tensor] = []
        if self.stem is not None:
            x = self.stem(x)
            skips.append(x)
        for down in self.encoder:
            x = down(x)
            skips.append(x)
        skips.pop()
        for up in self.decoder:
            x = up(x, skips.pop())
        if self.doubling:
            x = double(x)
        scores: Tensor = self.head(x)
        return scores


class _Stem(nn.Module):
    """Features at the input's own resolution."""

    def __init__(self, before: int, width: int, norm: Norm, refine: bool) -> None:
        super().__init__()
        self.first = _convolution(before, width, norm)
        self.refine = _convolution(width, width, norm) if refine else None

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(x), LEAK)
        return x if self.refine is None else F.leaky_relu(x + self.refine(x), LEAK)


class _Down(nn.Module):
    """Half the resolution: 4 x 4 convolution of stride 2, and a residual 3 x 3 convolution where asked for."""

    def __init__(self, before: int, width: int, norm: Norm, refine: bool) -> None:
        super().__init__()
        self.down = ConvNorm(
            nn.Conv2d(before, width, 4, stride=2, padding=1, bias=needs_bias(norm)), norm_layer(norm, width)
        )
        self.refine = _convolution(width, width, norm) if refine else None

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.down(x), LEAK)
        return x if self.refine is None else F.leaky_relu(x + self.refine(x), LEAK)


class _Up(nn.Module):
    """Twice the resolution, joined with the encoder's tensor of that resolution; gives `width` channels."""

    def __init__(self, before: int, skip: int, norm: Norm, up: Up, refine: bool, dropout: float) -> None:
        super().__init__()
        self.resize = up == "resize"
        self.up = ConvNorm(_up_convolution(before, skip, up, bias=needs_bias(norm)), norm_layer(norm, skip))
        self.refine = _convolution(2 * skip, skip, norm) if refine else None
        self.dropout = dropout
        self.width = skip if refine else 2 * skip

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.relu(self.up(double(x) if self.resize else x))
        if self.dropout:
            x = F.dropout(x, self.dropout, self.training)
        joined = torch.cat((x, skip), dim=1)
        return joined if self.refine is None else F.relu(x + self.refine(joined))


def double(x: Tensor) -> Tensor:
    """``x (B, C, H, W)`` at twice the resolution, bilinear on half-pixel centres."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _convolution(before: int, width: int, norm: Norm) -> ConvNorm:
    return ConvNorm(nn.Conv2d(before, width, 3, padding=1, bias=needs_bias(norm)), norm_layer(norm, width))


def _up_convolution(before: int, width: int, up: Up, *, bias: bool = True) -> nn.Module:
    if up == "resize":
        return nn.Conv2d(before, width, 3, padding=1, bias=bias)
    return nn.ConvTranspose2d(before, width, 4, stride=2, padding=1, bias=bias)


ENTRIES = (
    NetworkEntry(
        "pix2pix_modern",
        "generator",
        Pix2PixModernConfig,
        Pix2PixModernGenerator,
        "the pix2pix family (P. Isola et al., CVPR 2017, arXiv 1611.07004) for segmentation",
        "logit",
        MappingProxyType(
            {
                Pix2PixModernConfig(): 5_859_041,
                Pix2PixModernConfig(in_channels=3): 5_859_329,
                Pix2PixModernConfig(classes=5): 5_859_109,
            }
        ),
        encoder=("stem.", "encoder."),
        head=("head.",),
    ),
)
