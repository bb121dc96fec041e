"""Several 70 x 70 PatchGANs that judge one picture at full, half, quarter ... resolution, with their features.

Source: seed 004 and T.-C. Wang et al., *pix2pixHD*, CVPR 2018 (arXiv 1711.11585). Every scale is the same network,
C64-C128-C256-C512 and one score, with weights of its own; between scales the *input* is averaged down. (Networks of the
same name elsewhere grow deeper instead of looking at smaller pictures.) The coarsest scale sees most or all of the
picture and keeps the whole plausible, the finest its texture.

As the source: instance normalisation without scale and shift, and biases in all convolutions, although those before a
normalisation have no effect.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from ..errors import GANSegmentationError
from .config import NetworkConfig, check
from .entry import NetworkEntry
from .layers import ConvNorm

LEAK = 0.2

Judged = tuple[tuple[Tensor, ...], ...]
"""What each scale says, fine to coarse: its features, then its raw scores ``(B, 1, h, w)``, high for real."""


@dataclass(frozen=True)
class MultiscalePatch70Config(NetworkConfig):
    """How many PatchGANs, and what each is made of.

    Parameters
    ----------
    in_channels:
        Channels of mask and picture together.
    width:
        Channels after the first convolution; doubled at each further one, up to eight times.
    halvings:
        Convolutions of stride 2: 3 gives the 70 x 70 field.
    scales:
        Number of resolutions; each halves the one before.
    norm:
        ``"instance"`` (the source) or ``"none"``; never at the first and the last layer.
    spectral:
        Divide each convolution's weight by its largest singular value (T. Miyato et al., ICLR 2018, arXiv 1802.05957).
    """

    in_channels: int = 3
    width: int = 64
    halvings: int = 3
    scales: int = 3
    norm: Literal["instance", "none"] = "instance"
    spectral: bool = False

    def __post_init__(self) -> None:
        check(
            self.in_channels >= 2, self, f"in_channels is {self.in_channels}, and a mask and a picture are at least 2"
        )
        check(self.width >= 1, self, f"width is {self.width}, and at least 1 is needed")
        check(1 <= self.halvings <= 6, self, f"halvings is {self.halvings}, and must lie in 1 to 6")
        check(1 <= self.scales <= 5, self, f"scales is {self.scales}, and must lie in 1 to 5")

    @property
    def smallest_side(self) -> int:
        """Pixels that both sides of a picture need at least, for a score to remain at the coarsest scale."""
        # Two convolutions of stride 1 take a pixel each, and a map of 2 x 2 is the least that has a variance.
        return int(3 * 2**self.halvings * 2 ** (self.scales - 1))


class MultiscalePatch70Discriminator(nn.Module):
    """Mask and picture ``(B, in_channels, H, W)`` to features and scores of every scale, see `Judged`.

    At 256 x 256 the maps are 30 x 30, 14 x 14 and 6 x 6. State dict: ``scales.<i>.<j>.conv.*``; with ``spectral`` the
    weights are named ``conv.parametrizations.weight.*``. Instance normalisation has no parameters.

    Raises
    ------
    GANSegmentationError
        ``invalid_input_size`` (from a forward pass) for pictures below `MultiscalePatch70Config.smallest_side`.
    """

    output = "features"

    def __init__(self, config: MultiscalePatch70Config) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        self.smallest_side = config.smallest_side
        self.scales = nn.ModuleList(_scale(config) for _ in range(config.scales))
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Judged:
        if min(x.shape[-2:]) < self.smallest_side:
            raise GANSegmentationError(
                "invalid_input_size",
                f"Pictures of {x.shape[-2]} x {x.shape[-1]} are too small for a discriminator of {len(self.scales)} "
                f"scales, which needs {self.smallest_side} pixels.",
                cause="The slices were made smaller than the discriminator was meant for.",
                action="Take larger slices or crops, or set the discriminator's scales lower.",
            )
        judged = []
        for number, layers in enumerate(self.scales):
            x = self.halve(x) if number else x
            judged.append(_judge(list(layers.children()), x))
        return tuple(judged)


def _scale(config: MultiscalePatch70Config) -> nn.ModuleList:
    """The layers of one scale: a convolution of stride 2 each for the halvings, then two of stride 1."""
    widths = [config.width * min(2**i, 8) for i in range(config.halvings + 1)]
    layers = nn.ModuleList([ConvNorm(nn.Conv2d(config.in_channels, widths[0], 4, 2, 1))])
    for i, (before, after) in enumerate(itertools.pairwise(widths), start=1):
        stride = 2 if i < config.halvings else 1
        norm = nn.InstanceNorm2d(after) if config.norm == "instance" else None
        layers.append(ConvNorm(nn.Conv2d(before, after, 4, stride, 1), norm))
    layers.append(ConvNorm(nn.Conv2d(widths[-1], 1, 4, 1, 1)))
    if config.spectral:
        for layer in layers:
            layer.conv = spectral_norm(layer.conv)  # type: ignore[arg-type]
    return layers


def _judge(layers: Sequence[nn.Module], x: Tensor) -> tuple[Tensor, ...]:
    found = []
    for layer in layers[:-1]:
        x = F.leaky_relu(layer(x), LEAK)
        found.append(x)
    return (*found, layers[-1](x))


ENTRIES = (
    NetworkEntry(
        "multiscale_patch70",
        "discriminator",
        MultiscalePatch70Config,
        MultiscalePatch70Discriminator,
        "seed 004; T.-C. Wang et al., CVPR 2018, arXiv 1711.11585",
        "features",
        MappingProxyType({MultiscalePatch70Config(3): 8_294_211, MultiscalePatch70Config(3, scales=1): 2_764_737}),
        sees="pair",
    ),
)
