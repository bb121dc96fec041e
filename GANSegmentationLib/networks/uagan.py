"""UAGAN: one generator that segments a slice of any domain and translates it into another, with attention between both.

Source: W. Yuan et al., *Unified Attentional Generative Adversarial Network for Brain Tumor Segmentation from Multimodal
Unpaired Images*, MICCAI 2019 (arXiv 1907.03548); seed 002. Two U-Nets, one that segments and one that translates, share
their bottleneck. At every level a decoder takes its own encoder's features and adds the other's, convolved and weighted
by a sigmoid attention; what changes between domains and what does not thus reaches both.

``conditioning="channels"`` with ``up="transposed"`` is the published wiring, 60,442,755 parameters for three domains:
the domain enters as constant channels of the translating encoder, and the instance normalisation behind its first
convolution hides it (see `conditional_norm`). By default every normalisation has scales and shifts for each domain
instead: those of the segmenting stream follow the slice's own domain, those of the translating stream the target's.

One deviation from the published wiring: translations end in tanh, so that they stay in the range of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conditional_norm import (
    ConditionalInstanceNorm,
    Conditioning,
    DomainConvNorm,
    check_domain,
    with_domain_channels,
)
from .config import NetworkConfig, check
from .entry import NetworkEntry
from .layers import ConvNorm, check_input
from .pix2pix_modern import double

LEAK = 0.01


@dataclass(frozen=True)
class UaganGeneratorConfig(NetworkConfig):
    """What the network is made of.

    Parameters
    ----------
    in_channels:
        Channels of a slice, and of its translation.
    classes:
        1 for a single logit (foreground against background), n >= 2 for softmax scores with background first.
    domains:
        Length of the domain vector.
    conditioning:
        ``"conditional_instance_norm"``, or ``"channels"`` as published; see the module.
    up:
        ``"resize"`` (bilinear doubling and a 3 x 3 convolution), or ``"transposed"`` (2 x 2, stride 2) as published,
        which draws dots into translations.
    width:
        Channels at full resolution, 64 in the paper; doubled at each halving.
    levels:
        Halvings, 4 in the paper.
    dropout:
        Probability of dropout on the deepest skip of both encoders, 0.5 in the paper.
    """

    in_channels: int = 1
    classes: int = 1
    domains: int = 2
    conditioning: Conditioning = "conditional_instance_norm"
    up: Literal["resize", "transposed"] = "resize"
    width: int = 64
    levels: int = 4
    dropout: float = 0.5

    def __post_init__(self) -> None:
        for name in ("in_channels", "classes", "width"):
            value = getattr(self, name)
            check(value >= 1, self, f"{name} is {value}, and at least 1 is needed")
        check(self.domains >= 2, self, f"domains is {self.domains}, and one translates between at least 2")
        check(1 <= self.levels <= 8, self, f"levels is {self.levels}, and must lie in 1 to 8")
        check(0 <= self.dropout < 1, self, f"dropout is {self.dropout}, and must lie in [0, 1)")


class UaganGenerator(nn.Module):
    """Slices ``(B, in_channels, H, W)`` in [-1, 1] and their domain ``(B, domains)``, one-hot, to scores or to both.

    Without a target it gives the raw scores ``(B, classes, H, W)`` alone; with a target ``(B, domains)`` the scores and
    the translation ``(B, in_channels, H, W)`` in (-1, 1). Without a target the translating encoder, which the
    segmentation attends to, is told the slice's own domain. The published wiring has no use for the own domain where
    there is a target.

    H and W are multiples of 2 to the number of levels, and at least twice that. State dict: ``segmentation_encoder``
    and ``translation_encoder`` ``.<i>.first``, ``.<i>.second`` from fine to coarse; ``bottleneck.first``,
    ``bottleneck.second``; ``segmentation_decoder`` and ``translation_decoder`` ``.<i>.attention``, ``.other``, ``.up``,
    ``.first``, ``.second`` from coarse to fine; ``segmentation_head``, ``translation_head``.
    """

    def __init__(self, config: UaganGeneratorConfig) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        self.domains = config.domains
        self.multiple = 2**config.levels
        self.output = "logit" if config.classes == 1 else "softmax"
        self.beside = config.conditioning == "channels"
        self.dropout = config.dropout
        told = config.in_channels + (config.domains if self.beside else 0)
        widths = [config.width * 2**i for i in range(config.levels)]
        self.segmentation_encoder = _encoder(config, config.in_channels, widths)
        self.translation_encoder = _encoder(config, told, widths)
        self.bottleneck = _Pair(config, widths[-1], 2 * widths[-1])
        self.segmentation_decoder = nn.ModuleList(_Up(config, width) for width in reversed(widths))
        self.translation_decoder = nn.ModuleList(_Up(config, width) for width in reversed(widths))
        self.segmentation_head = ConvNorm(nn.Conv2d(config.width, config.classes, 1))
        self.translation_head = ConvNorm(nn.Conv2d(config.width, config.in_channels, 1))

    def forward(self, image: Tensor, domain: Tensor, target: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        check_input(image, self.in_channels, self.multiple)
        check_domain(domain, image, self.domains)
        aim = domain if target is None else target
        check_domain(aim, image, self.domains)
        told = with_domain_channels(image, aim) if self.beside else image
        own, deep = self._encode(self.segmentation_encoder, image, domain)
        other, other_deep = self._encode(self.translation_encoder, told, aim)

        x = self.bottleneck(deep, domain)
        for up, skip, beside in zip(self.segmentation_decoder, own, other, strict=True):
            x = up(x, skip, beside, domain)
        scores: Tensor = self.segmentation_head(x)
        if target is None:
            return scores
        x = self.bottleneck(other_deep, aim)
        for up, skip, beside in zip(self.translation_decoder, other, own, strict=True):
            x = up(x, skip, beside, aim)
        return scores, torch.tanh(self.translation_head(x))

    def _encode(self, encoder: nn.ModuleList, x: Tensor, domain: Tensor) -> tuple[list[Tensor], Tensor]:
        """The skips from coarse to fine, and what goes on to the bottleneck."""
        skips: list[Tensor] = []
        for pair in encoder:
            x = pair(x, domain)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        skips[-1] = F.dropout(skips[-1], self.dropout, self.training)
        return skips[::-1], x


class _Unit(DomainConvNorm):
    """3 x 3 convolution, instance normalisation, LeakyReLU. The published convolutions have a bias that the
    normalisation subtracts again; it is kept there for the count."""

    def __init__(self, config: UaganGeneratorConfig, before: int, after: int) -> None:
        plain = config.conditioning == "channels"
        norm = nn.InstanceNorm2d(after) if plain else ConditionalInstanceNorm(after, config.domains)
        super().__init__(nn.Conv2d(before, after, 3, padding=1, bias=plain), norm)

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(x, domain), LEAK)


class _Pair(nn.Module):
    """Two units, one after the other."""

    def __init__(self, config: UaganGeneratorConfig, before: int, after: int) -> None:
        super().__init__()
        self.first = _Unit(config, before, after)
        self.second = _Unit(config, after, after)

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x, domain), domain)
        return y


class _Up(_Pair):
    """From twice the width and half the resolution to the width, with the features of both encoders."""

    def __init__(self, config: UaganGeneratorConfig, width: int) -> None:
        super().__init__(config, 2 * width, width)
        self.attention = ConvNorm(nn.Conv2d(width, width, 3, padding=1))
        self.other = _Unit(config, width, width)
        self.resize = config.up == "resize"
        up = nn.Conv2d(2 * width, width, 3, padding=1) if self.resize else nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.up = ConvNorm(up)

    def forward(self, x: Tensor, skip: Tensor, beside: Tensor, domain: Tensor) -> Tensor:  # type: ignore[override]
        attended = self.other(beside, domain) * torch.sigmoid(self.attention(beside))
        doubled = self.up(double(x) if self.resize else x)
        return super().forward(torch.cat((skip + attended, doubled), dim=1), domain)


def _encoder(config: UaganGeneratorConfig, channels: int, widths: Sequence[int]) -> nn.ModuleList:
    return nn.ModuleList(
        _Pair(config, before, after) for before, after in zip((channels, *widths[:-1]), widths, strict=True)
    )


ENTRIES = (
    NetworkEntry(
        "uagan_generator",
        "generator",
        UaganGeneratorConfig,
        UaganGenerator,
        "seed 002; W. Yuan et al., MICCAI 2019, arXiv 1907.03548",
        "logit",
        MappingProxyType(
            {
                UaganGeneratorConfig(1, 2, 3, "channels", "transposed"): 60_442_755,
                UaganGeneratorConfig(): 67_439_106,
            }
        ),
        takes_domain=True,
        translates=True,
        encoder=("segmentation_encoder.", "translation_encoder."),
        head=("segmentation_head.",),
    ),
)
