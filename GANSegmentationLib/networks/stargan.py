"""StarGAN: one generator that translates a picture into any of several domains, and the critic that names the domain.

Source: Y. Choi et al., *StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation*,
CVPR 2018 (arXiv 1711.09020); seed 002. The residual network is that of J. Johnson et al., ECCV 2016 (arXiv 1603.08155).

``conditioning="channels"`` is the published generator: the target domain as constant channels beside the picture, which
instance normalisation hides (see `conditional_norm`); ``running_statistics=True`` belongs to it: in use its instance
normalisations then take running statistics, and the pictures differ from those of training. By default each domain has
scales and shifts of its own, statistics are always the picture's, and pictures are doubled by resizing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import GANSegmentationError
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
HALVINGS = 2
ENDS = 7
"""Side of the first and of the last convolution."""

MakeNorm = Callable[[int], nn.Module]


@dataclass(frozen=True)
class StarganGeneratorConfig(NetworkConfig):
    """What the translator is made of.

    Parameters
    ----------
    in_channels:
        Channels of a slice, and of its translation; the paper has 3 (colour).
    domains:
        Length of the domain vector.
    conditioning:
        ``"conditional_instance_norm"``, or ``"channels"`` as published; see the module.
    up:
        ``"resize"`` (bilinear doubling and a 3 x 3 convolution), or ``"transposed"`` (4 x 4, stride 2) as published,
        which draws checkerboards.
    running_statistics:
        Take running means and variances in use, as published; with ``"channels"`` only.
    width:
        Channels at full resolution, 64 in the paper; doubled at each of the two halvings.
    blocks:
        Residual blocks at a quarter of the resolution, 6 in the paper.
    """

    in_channels: int = 1
    domains: int = 2
    conditioning: Conditioning = "conditional_instance_norm"
    up: Literal["resize", "transposed"] = "resize"
    running_statistics: bool = False
    width: int = 64
    blocks: int = 6

    def __post_init__(self) -> None:
        for name in ("in_channels", "width", "blocks"):
            value = getattr(self, name)
            check(value >= 1, self, f"{name} is {value}, and at least 1 is needed")
        check(self.domains >= 2, self, f"domains is {self.domains}, and one translates between at least 2")
        check(
            not self.running_statistics or self.conditioning == "channels",
            self,
            "running_statistics belong to the conditioning by channels, where all domains share them",
        )


class StarganGenerator(nn.Module):
    """A picture ``(B, in_channels, H, W)`` in [-1, 1] and its target domain ``(B, domains)`` to its translation.

    The translation has the picture's shape and lies in (-1, 1). H and W are multiples of 4, 8 or more. State dict:
    ``stem``; ``encoder.0``, ``encoder.1``; ``blocks.<i>.first``, ``blocks.<i>.second``; ``decoder.0``, ``decoder.1``,
    each with ``conv.*`` and ``norm.*``; ``head.conv.*``.
    """

    multiple = 2**HALVINGS
    output = "image"

    def __init__(self, config: StarganGeneratorConfig) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        self.domains = config.domains
        self.beside = config.conditioning == "channels"
        self.resize = config.up == "resize"
        norm = _norm_of(config)
        widths = tuple(config.width * 2**i for i in range(HALVINGS + 1))
        seen = config.in_channels + (config.domains if self.beside else 0)
        self.stem = DomainConvNorm(nn.Conv2d(seen, config.width, ENDS, padding=ENDS // 2, bias=False), norm(widths[0]))
        self.encoder = nn.ModuleList(
            DomainConvNorm(nn.Conv2d(before, after, 4, 2, 1, bias=False), norm(after))
            for before, after in itertools.pairwise(widths)
        )
        self.blocks = nn.ModuleList(_Residual(widths[-1], norm) for _ in range(config.blocks))
        self.decoder = nn.ModuleList(
            DomainConvNorm(_up_convolution(before, after, resize=self.resize), norm(after))
            for before, after in itertools.pairwise(reversed(widths))
        )
        self.head = ConvNorm(nn.Conv2d(config.width, config.in_channels, ENDS, padding=ENDS // 2, bias=False))

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        check_input(image, self.in_channels, self.multiple)
        check_domain(target, image, self.domains)
        x = with_domain_channels(image, target) if self.beside else image
        x = F.relu(self.stem(x, target))
        for down in self.encoder:
            x = F.relu(down(x, target))
        for block in self.blocks:
            x = block(x, target)
        for up in self.decoder:
            x = F.relu(up(double(x) if self.resize else x, target))
        return torch.tanh(self.head(x))


class _Residual(nn.Module):
    """Two 3 x 3 convolutions around which the input goes; nothing after their sum."""

    def __init__(self, width: int, norm: MakeNorm) -> None:
        super().__init__()
        self.first = DomainConvNorm(nn.Conv2d(width, width, 3, padding=1, bias=False), norm(width))
        self.second = DomainConvNorm(nn.Conv2d(width, width, 3, padding=1, bias=False), norm(width))

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        y: Tensor = self.second(F.relu(self.first(x, domain)), domain)
        return x + y


def _norm_of(config: StarganGeneratorConfig) -> MakeNorm:
    def norm(channels: int) -> nn.Module:
        if config.conditioning == "channels":
            return nn.InstanceNorm2d(channels, affine=True, track_running_stats=config.running_statistics)
        return ConditionalInstanceNorm(channels, config.domains)

    return norm


def _up_convolution(before: int, after: int, *, resize: bool) -> nn.Module:
    if resize:
        return nn.Conv2d(before, after, 3, padding=1, bias=False)
    return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)


@dataclass(frozen=True)
class StarganDiscriminatorConfig(NetworkConfig):
    """What the critic is made of.

    Parameters
    ----------
    in_channels:
        Channels of the pictures that it judges.
    domains:
        Length of its word on the domain.
    head:
        What says the domain: ``"gap"``, the mean over all patches and a 1 x 1 convolution, for pictures of any size;
        ``"conv"``, one convolution over all patches as published, for `size` alone.
    size:
        Side of the pictures for the head ``"conv"``; the paper has 128 and 256. Without effect on ``"gap"``.
    width:
        Channels after the first convolution, 64 in the paper; doubled at each further one.
    halvings:
        Convolutions of stride 2, 6 in the paper.
    """

    in_channels: int = 1
    domains: int = 2
    head: Literal["gap", "conv"] = "gap"
    size: int = 128
    width: int = 64
    halvings: int = 6

    def __post_init__(self) -> None:
        for name in ("in_channels", "width"):
            value = getattr(self, name)
            check(value >= 1, self, f"{name} is {value}, and at least 1 is needed")
        check(self.domains >= 2, self, f"domains is {self.domains}, and at least 2 can be told apart")
        check(1 <= self.halvings <= 8, self, f"halvings is {self.halvings}, and must lie in 1 to 8")
        fits = self.size >= 2**self.halvings and self.size % 2**self.halvings == 0
        check(fits or self.head == "gap", self, f"size is {self.size}, no multiple of {2**self.halvings}")


class StarganDiscriminator(nn.Module):
    """Pictures ``(B, in_channels, H, W)`` to raw scores of patches and raw scores of domains.

    The first are ``(B, 1, H / 64, W / 64)``, high for real, the second ``(B, domains)``. Without normalisation, for its
    slope is penalised. State dict: ``layers.0`` to ``layers.5``, ``source``, ``domain``, each with ``conv.*``.
    """

    output = "patch_domain"

    def __init__(self, config: StarganDiscriminatorConfig) -> None:
        super().__init__()
        self.pooled = config.head == "gap"
        self.size = None if self.pooled else config.size
        self.smallest = 2**config.halvings
        widths = (config.in_channels, *(config.width * 2**i for i in range(config.halvings)))
        self.layers = nn.ModuleList(
            ConvNorm(nn.Conv2d(before, after, 4, 2, 1)) for before, after in itertools.pairwise(widths)
        )
        self.source = ConvNorm(nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False))
        patches = 1 if self.pooled else config.size // self.smallest
        self.domain = ConvNorm(nn.Conv2d(widths[-1], config.domains, patches, bias=False))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        self._check_size(image)
        x = image
        for layer in self.layers:
            x = F.leaky_relu(layer(x), LEAK)
        whole = x.mean(dim=(2, 3), keepdim=True) if self.pooled else x
        return self.source(x), self.domain(whole).flatten(1)

    def _check_size(self, image: Tensor) -> None:
        height, width = image.shape[-2:]
        if self.size is None and min(height, width) >= self.smallest:
            return
        if (height, width) != (self.size, self.size):
            wanted = f"{self.smallest} or more" if self.size is None else f"exactly {self.size}"
            raise GANSegmentationError(
                "invalid_input_size",
                f"The critic needs pictures with sides of {wanted}, not {height} x {width}.",
                cause="Its last layer covers all patches of one size, or its halvings leave no patch.",
                action='Give the critic the slices\' size, fewer halvings, or "head": "gap".',
            )


_SOURCE = "seed 002; Y. Choi et al., CVPR 2018, arXiv 1711.09020"

ENTRIES = (
    NetworkEntry(
        "stargan_generator",
        "synthesiser",
        StarganGeneratorConfig,
        StarganGenerator,
        _SOURCE,
        "image",
        MappingProxyType(
            {
                StarganGeneratorConfig(3, 5, "channels", "transposed", True): 8_430_528,
                StarganGeneratorConfig(): 8_123_008,
            }
        ),
        takes_domain=True,
        translates=True,
        encoder=("stem.", "encoder."),
        head=("head.",),
    ),
    NetworkEntry(
        "stargan_discriminator",
        "discriminator",
        StarganDiscriminatorConfig,
        StarganDiscriminator,
        _SOURCE,
        "patch_domain",
        MappingProxyType(
            {
                StarganDiscriminatorConfig(3, 5, "conv", 128): 44_762_048,
                StarganDiscriminatorConfig(3, 5, "conv", 256): 44_884_928,
                StarganDiscriminatorConfig(1, 3, "conv", 128): 44_743_616,
                StarganDiscriminatorConfig(): 44_723_136,
            }
        ),
        sees="image",
    ),
)
