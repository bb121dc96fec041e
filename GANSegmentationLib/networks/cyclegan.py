"""CycleGAN: a residual generator, to segment or to paint images of masks, and seed 001's discriminator.

Source: J.-Y. Zhu et al., *Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks*, ICCV 2017
(arXiv 1703.10593), with residual blocks of J. Johnson et al., ECCV 2016 (arXiv 1603.08155); seed 001.

`CycleGANResnet` is one network under two names. ``cyclegan_resnet`` gives raw scores for masks;
``cyclegan_resnet_image`` ends in tanh and paints an image of a mask, whose channels may be followed by noise: many
images have the same mask, and without noise the painter can only hide in the mask which one it means.

``unet_sriker_image`` is seed 001's painter: its U-Net, here with a tanh at the end, as images have bounds.

`CycleGANDiscriminator` is seed 001's. It judges images alone or masks alone, under one name each. It normalises *after*
the activation, where the field does it before: kept as published.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import GANSegmentationError
from .config import NetworkConfig, check
from .entry import NetworkEntry, Sees
from .layers import ConvNorm, check_input, norm_layer
from .pix2pix_modern import double
from .unet import Up as UNetUp
from .unet_sriker import UNetSriker, UNetSrikerConfig

LEAK = 0.2
ENDS = 7
"""Side of the first and of the last convolution."""

ResnetNorm = Literal["instance", "batch", "group"]
ResnetUp = Literal["transposed", "resize"]


@dataclass(frozen=True)
class _ResnetConfig(NetworkConfig):
    """What both names share; see `CycleGANResnetConfig`."""

    in_channels: int = 1
    width: int = 64
    blocks: int = 9
    norm: ResnetNorm = "instance"
    up: ResnetUp = "transposed"

    def __post_init__(self) -> None:
        for name in ("in_channels", "width", "blocks"):
            value = getattr(self, name)
            check(value >= 1, self, f"{name} is {value}, and at least 1 is needed")


@dataclass(frozen=True)
class CycleGANResnetConfig(_ResnetConfig):
    """The residual network that segments.

    Parameters
    ----------
    in_channels:
        Channels of a slice: volumes times neighbours.
    width:
        Channels at full resolution, 64 in the paper; doubled at each of the two halvings.
    blocks:
        Residual blocks at a quarter of the resolution; the paper has 9 for 256 x 256 and more, 6 for 128 x 128.
    norm:
        ``"instance"`` as in the paper, without scale and shift of its own; ``"batch"`` or ``"group"``.
    up:
        ``"transposed"`` (3 x 3, stride 2) as in the paper, or ``"resize"``: bilinear doubling and a 3 x 3 convolution,
        which draws no checkerboard.
    classes:
        1 for a single logit (foreground against background), n >= 2 for softmax scores with background first.
    """

    classes: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.classes >= 1, self, f"classes is {self.classes}, and at least 1 is needed")


@dataclass(frozen=True)
class CycleGANResnetImageConfig(_ResnetConfig):
    """The residual network that paints: ``in_channels`` are those of the mask and of the noise after it,
    ``out_channels`` those of the image; all else as in `CycleGANResnetConfig`."""

    out_channels: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.out_channels >= 1, self, f"out_channels is {self.out_channels}, and at least 1 is needed")


class CycleGANResnet(nn.Module):
    """``(B, in_channels, H, W)`` to ``(B, channels, H, W)``: raw scores, or a picture in (-1, 1).

    H and W are multiples of 4, 8 or more. Borders are reflected. State dict: ``stem``; ``encoder.0``, ``encoder.1``;
    ``blocks.<i>.first``, ``blocks.<i>.second``; ``decoder.0``, ``decoder.1``; ``head``; each with ``conv.*`` and, but
    for the head, ``norm.*`` where the norm has parameters.

    Parameters
    ----------
    config:
        Its description, without the outputs.
    channels:
        Outputs.
    picture:
        Whether they pass a tanh.
    """

    multiple = 4

    def __init__(self, config: _ResnetConfig, channels: int, *, picture: bool) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        self.picture = picture
        self.output = "image" if picture else ("logit" if channels == 1 else "softmax")
        self.resize = config.up == "resize"
        widths = tuple(config.width * 2**i for i in range(3))
        self.border = nn.ReflectionPad2d(ENDS // 2)
        self.stem = ConvNorm(nn.Conv2d(config.in_channels, config.width, ENDS), _norm(config.norm, config.width))
        self.encoder = nn.ModuleList(
            ConvNorm(nn.Conv2d(before, after, 3, 2, 1), _norm(config.norm, after))
            for before, after in itertools.pairwise(widths)
        )
        self.blocks = nn.ModuleList(_Residual(widths[-1], config.norm) for _ in range(config.blocks))
        self.decoder = nn.ModuleList(
            ConvNorm(_up_convolution(before, after, config.up), _norm(config.norm, after))
            for before, after in itertools.pairwise(reversed(widths))
        )
        self.head = ConvNorm(nn.Conv2d(config.width, channels, ENDS))

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.in_channels, self.multiple)
        x = F.relu(self.stem(self.border(x)))
        for down in self.encoder:
            x = F.relu(down(x))
        for block in self.blocks:
            x = block(x)
        for up in self.decoder:
            x = F.relu(up(double(x) if self.resize else x))
        y: Tensor = self.head(self.border(x))
        return y.tanh() if self.picture else y


class _Residual(nn.Module):
    """Two reflected 3 x 3 convolutions around which the input goes; nothing after their sum."""

    def __init__(self, width: int, norm: ResnetNorm) -> None:
        super().__init__()
        self.border = nn.ReflectionPad2d(1)
        self.first = ConvNorm(nn.Conv2d(width, width, 3), _norm(norm, width))
        self.second = ConvNorm(nn.Conv2d(width, width, 3), _norm(norm, width))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.border(F.relu(self.first(self.border(x)))))
        return x + y


def _norm(kind: ResnetNorm, channels: int) -> nn.Module | None:
    return nn.InstanceNorm2d(channels) if kind == "instance" else norm_layer(kind, channels)


def _up_convolution(before: int, after: int, up: ResnetUp) -> nn.Module:
    if up == "resize":
        return nn.Conv2d(before, after, 3, padding=1)
    return nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1)


def _segmentor(config: CycleGANResnetConfig) -> CycleGANResnet:
    return CycleGANResnet(config, config.classes, picture=False)


def _painter(config: CycleGANResnetImageConfig) -> CycleGANResnet:
    return CycleGANResnet(config, config.out_channels, picture=True)


@dataclass(frozen=True)
class UNetSrikerImageConfig(NetworkConfig):
    """As `UNetSrikerConfig`, with ``out_channels`` of the image instead of classes."""

    in_channels: int = 1
    out_channels: int = 1
    width: int = 64
    up: UNetUp = "resize"

    def __post_init__(self) -> None:
        check(self.out_channels >= 1, self, f"out_channels is {self.out_channels}, and at least 1 is needed")
        self.layers()  # refuses what else makes no network

    def layers(self) -> UNetSrikerConfig:
        """The configuration of the segmenting network with the same layers."""
        return UNetSrikerConfig(self.in_channels, self.out_channels, self.width, self.up)


class UNetSrikerImage(UNetSriker):
    """Masks, and noise after them, ``(B, in_channels, H, W)`` to pictures ``(B, out_channels, H, W)`` in (-1, 1).

    H and W are multiples of 16; the state dict is that of `UNetSriker`.
    """

    def __init__(self, config: UNetSrikerImageConfig) -> None:
        super().__init__(config.layers())
        self.output = "image"

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(super().forward(x))


@dataclass(frozen=True)
class CycleGANDiscriminatorConfig(NetworkConfig):
    """Seed 001's discriminator.

    Parameters
    ----------
    in_channels:
        Channels of the images, or of the masks, that it judges.
    width:
        Channels after the first convolution, 64 in the seed; doubled at each further one, up to eight times.
    halvings:
        Convolutions of stride 2; 4 in the seed (a field of 78 x 78), 3 give 38 x 38.
    """

    in_channels: int = 1
    width: int = 64
    halvings: int = 4

    def __post_init__(self) -> None:
        check(self.in_channels >= 1, self, f"in_channels is {self.in_channels}, and at least 1 is needed")
        check(self.width >= 1, self, f"width is {self.width}, and at least 1 is needed")
        check(1 <= self.halvings <= 6, self, f"halvings is {self.halvings}, and must lie in 1 to 6")


class CycleGANDiscriminator(nn.Module):
    """Images or masks ``(B, in_channels, H, W)`` to raw scores of patches ``(B, 1, H / 16, W / 16)``, high for real.

    Each score sees 78 x 78 pixels. The last convolution has no padding; the *scores* are reflected instead, so that
    the outermost ones repeat those two further in. Sides are 64 or more (four scores after the halvings).

    State dict: ``layers.0`` to ``layers.4``; the instance normalisations have no parameters.
    """

    output = "patch"

    def __init__(self, config: CycleGANDiscriminatorConfig) -> None:
        super().__init__()
        self.smallest = 4 * 2**config.halvings
        widths = [config.width * min(2**i, 8) for i in range(config.halvings)]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 4, 2, 1) for before, after in itertools.pairwise((config.in_channels, *widths))
        )
        self.norms = nn.ModuleList(
            nn.InstanceNorm2d(width) if row else nn.Identity() for row, width in enumerate(widths)
        )
        self.layers.append(nn.Conv2d(widths[-1], 1, 3))
        self.border = nn.ReflectionPad2d(1)

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[-2:]) < self.smallest:
            raise GANSegmentationError(
                "invalid_input_size",
                f"The discriminator needs sides of {self.smallest} or more, not {x.shape[-2]} x {x.shape[-1]}.",
                cause="After its halvings too few scores are left to be reflected at the border.",
                action="Train on larger slices, or give the discriminator fewer halvings.",
            )
        for layer, norm in zip(self.layers, self.norms, strict=False):
            x = norm(F.leaky_relu(layer(x), LEAK))
        scores: Tensor = self.border(self.layers[-1](x))
        return scores


_SOURCE = "J.-Y. Zhu et al., ICCV 2017, arXiv 1703.10593"


def _judge(name: str, sees: Sees) -> NetworkEntry:
    return NetworkEntry(
        name,
        "discriminator",
        CycleGANDiscriminatorConfig,
        CycleGANDiscriminator,
        "seed 001",
        "patch",
        MappingProxyType({CycleGANDiscriminatorConfig(): 2_759_105}),
        sees=sees,
    )


ENTRIES = (
    NetworkEntry(
        "cyclegan_resnet",
        "generator",
        CycleGANResnetConfig,
        _segmentor,
        _SOURCE,
        "logit",
        MappingProxyType(
            {CycleGANResnetConfig(): 11_365_633, CycleGANResnetConfig(in_channels=3, classes=3): 11_378_179}
        ),
        encoder=("stem.", "encoder."),
        head=("head.",),
    ),
    NetworkEntry(
        "cyclegan_resnet_image",
        "synthesiser",
        CycleGANResnetImageConfig,
        _painter,
        _SOURCE,
        "image",
        MappingProxyType(
            {CycleGANResnetImageConfig(): 11_365_633, CycleGANResnetImageConfig(in_channels=2): 11_368_769}
        ),
        encoder=("stem.", "encoder."),
        head=("head.",),
    ),
    NetworkEntry(
        "unet_sriker_image",
        "synthesiser",
        UNetSrikerImageConfig,
        UNetSrikerImage,
        "seed 001",
        "image",
        MappingProxyType({UNetSrikerImageConfig(): 17_266_241}),
        encoder=("encoder.",),
        head=("head.",),
    ),
    _judge("cyclegan_discriminator", "mask"),
    _judge("cyclegan_image_discriminator", "image"),
)
