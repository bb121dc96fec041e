"""The U-Net of seed 003, known by its ten named convolutions conv1 ... conv10.

Source: seed 003, the Keras network of 32-64-128-256-512-256-128-64-32 channels: 3 x 3 ``same`` convolutions with ReLU
and without normalisation, 2 x 2 max-pooling, 2 x 2 transposed convolutions and a 1 x 1 convolution with sigmoid; after
O. Ronneberger et al., MICCAI 2015 (arXiv 1505.04597). That is the classic U-Net with padding at half the width, and it
is built as such. "conv1" to "conv9" are pairs of convolutions, one pair a level, "conv10" the 1 x 1.

The sigmoid is part of the losses, which take raw scores. Deviation: Keras puts a transposed convolution's channels in
front of the skip's; in a network that is trained anew the order means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from .config import NetworkConfig, check
from .entry import NetworkEntry
from .unet import UNet, UNetConfig


@dataclass(frozen=True)
class UNetIrcadConfig(NetworkConfig):
    """Channels and the width of the first level; the seed has 1, 1 and 32."""

    in_channels: int = 1
    classes: int = 1
    width: int = 32

    def __post_init__(self) -> None:
        check(self.in_channels >= 1, self, f"in_channels is {self.in_channels}, and at least 1 is needed")
        check(self.classes >= 1, self, f"classes is {self.classes}, and at least 1 is needed")
        check(self.width >= 1, self, f"width is {self.width}, and at least 1 is needed")


def unet_ircad(config: UNetIrcadConfig) -> nn.Module:
    """Slices ``(B, in_channels, H, W)``, normalised, to raw scores ``(B, classes, H, W)``; sides multiples of 16."""
    return UNet(UNetConfig(config.in_channels, config.classes, config.width))


ENTRIES = (
    NetworkEntry(
        "unet_ircad",
        "generator",
        UNetIrcadConfig,
        unet_ircad,
        "seed 003; after O. Ronneberger et al., MICCAI 2015, arXiv 1505.04597",
        "logit",
        MappingProxyType({UNetIrcadConfig(): 7_759_521}),
        encoder=("encoder.", "bottleneck."),
        head=("head.",),
    ),
)
