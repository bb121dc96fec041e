"""SegNet: an encoder-decoder without skips, whose decoder puts values back where max-pooling took them from.

Source: V. Badrinarayanan, A. Kendall, R. Cipolla, *SegNet*, TPAMI 2017 (arXiv 1511.00561); the rival of seed 000. The
encoder is VGG16's thirteen 3 x 3 convolutions (K. Simonyan, A. Zisserman, arXiv 1409.1556) with batch normalisation and
ReLU in five stages, each followed by 2 x 2 max-pooling that keeps its indices; the decoder mirrors it, and its last
convolution, without normalisation, gives the scores.

Deviation: the paper's encoder starts from weights of ImageNet; ours starts anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional as F

from .config import NetworkConfig, check
from .entry import NetworkEntry
from .layers import ConvNorm, check_input

VGG16 = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
"""Channels of the convolutions of each stage, in widths of the first."""


@dataclass(frozen=True)
class SegNetConfig(NetworkConfig):
    """Channels, classes (1: a single logit), and the first convolution's width; VGG16 has 64."""

    in_channels: int = 1
    classes: int = 1
    width: int = 64

    def __post_init__(self) -> None:
        check(self.in_channels >= 1, self, f"in_channels is {self.in_channels}, and at least 1 is needed")
        check(self.classes >= 1, self, f"classes is {self.classes}, and at least 1 is needed")
        check(self.width >= 1, self, f"width is {self.width}, and at least 1 is needed")


class SegNet(nn.Module):
    """Slices ``(B, in_channels, H, W)``, normalised, to raw scores ``(B, classes, H, W)``; sides multiples of 32.

    State dict: ``encoder.<stage>.<i>`` from fine to coarse, ``decoder.<stage>.<i>`` from coarse to fine, ``head``; each
    with ``conv.*`` and, but for the head, ``norm.*``.
    """

    multiple = 2 ** len(VGG16)

    def __init__(self, config: SegNetConfig) -> None:
        super().__init__()
        self.in_channels = config.in_channels
        self.output = "logit" if config.classes == 1 else "softmax"
        stages = [[config.width * times for times in stage] for stage in VGG16]
        self.encoder = nn.ModuleList()
        before = config.in_channels
        for widths in stages:
            self.encoder.append(_stage(before, widths))
            before = widths[-1]
        self.decoder = nn.ModuleList()
        for index in reversed(range(len(stages))):
            # Mirrored: the last convolution gives what the encoder's first was given; of the finest that is the head.
            widths = stages[index][1:] + (stages[index - 1][-1:] if index else [])
            self.decoder.append(_stage(before, widths))
            before = widths[-1]
        self.head = ConvNorm(nn.Conv2d(before, config.classes, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.in_channels, self.multiple)
        indices: list[Tensor] = []
        for stage in self.encoder:
            x, index = F.max_pool2d(stage(x), 2, return_indices=True)
            indices.append(index)
        for stage in self.decoder:
            x = stage(F.max_unpool2d(x, indices.pop(), (2, 2)))
        scores: Tensor = self.head(x)
        return scores


def _stage(before: int, widths: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(*(_Convolution(a, b) for a, b in itertools.pairwise((before, *widths))))


class _Convolution(ConvNorm):
    """3 x 3 convolution, batch normalisation, ReLU."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__(nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x))


ENTRIES = (
    NetworkEntry(
        "segnet",
        "generator",
        SegNetConfig,
        SegNet,
        "V. Badrinarayanan et al., TPAMI 2017, arXiv 1511.00561; seed 000's rival",
        "logit",
        MappingProxyType({SegNetConfig(): 29_442_433, SegNetConfig(3, 2): 29_444_162}),
        encoder=("encoder.",),
        head=("head.",),
    ),
)
