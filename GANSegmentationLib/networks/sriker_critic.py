"""The critic that Sriker's LGAN code builds: convolutions without padding over the mask, for one size of slice.

Source: seed 001 (the class ``DisBasic`` of its published code). It differs from the paper's basic critic
(`lgan_critics`) in that its convolutions have no padding and no bias.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import GANSegmentationError
from .config import NetworkConfig, check
from .entry import NetworkEntry
from .layers import ConvNorm, check_input

LEAK = 0.2
HALVINGS = 4


@dataclass(frozen=True)
class SrikerCriticConfig(NetworkConfig):
    """What the critic is made of.

    Parameters
    ----------
    in_channels:
        Channels of the mask, which is all it sees.
    width:
        Channels of the first convolution; the seed's is 64.
    size:
        Side of the input in pixels; the seed's is 256.
    """

    in_channels: int = 1
    width: int = 64
    size: int = 256

    def __post_init__(self) -> None:
        check(self.in_channels >= 1, self, f"in_channels is {self.in_channels}, and at least 1 is needed")
        check(self.width >= 1, self, f"width is {self.width}, and at least 1 is needed")
        check(self.last_side >= 1, self, f"size is {self.size}, and nothing is left of less than 31 pixels")

    @property
    def last_side(self) -> int:
        """Side of the last map: 15 of 256."""
        side = self.size
        for _ in range(HALVINGS):
            side = (side - 3) // 2 + 1
        return side


class SrikerCritic(nn.Module):
    """Masks ``(B, in_channels, size, size)`` to raw scores ``(B, 1)``.

    State dict: ``layers.0`` to ``layers.3`` with ``conv.weight`` and ``norm.*``; ``first.*`` and ``last.*`` (fully
    connected).

    Raises
    ------
    GANSegmentationError
        From `forward`: ``invalid_input_channels``, ``invalid_input_size``.
    """

    output = "critic"

    def __init__(self, config: SrikerCriticConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.in_channels, *(factor * config.width for factor in (1, 1, 2, 4))]
        self.layers = nn.ModuleList(
            ConvNorm(nn.Conv2d(before, after, 3, 2, bias=False), nn.BatchNorm2d(after))
            for before, after in itertools.pairwise(widths)
        )
        self.first = nn.Linear(widths[-1] * config.last_side**2, 16 * config.width)
        self.last = nn.Linear(16 * config.width, 1)

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.config.in_channels, 1)
        height, width = x.shape[-2:]
        if (height, width) != (self.config.size, self.config.size):
            raise GANSegmentationError(
                "invalid_input_size",
                f"The critic was built for {self.config.size} x {self.config.size}, not {height} x {width}.",
                cause="The slices of the preset have another size than its critic.",
                action="Set the critic's size to that of the slices.",
            )
        for layer in self.layers:
            x = F.leaky_relu(layer(x), LEAK)
        scores: Tensor = self.last(F.leaky_relu(self.first(x.flatten(1)), LEAK))
        return scores


ENTRIES = (
    NetworkEntry(
        "sriker_critic",
        "discriminator",
        SrikerCriticConfig,
        SrikerCritic,
        "seed 001",
        "critic",
        MappingProxyType({SrikerCriticConfig(): 59_391_553}),
        sees="mask",
    ),
)
