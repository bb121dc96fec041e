"""The five critics of LGAN: they judge a mask by itself, over, beside or apart from its image, or by its reference.

Source: J. Tan et al., *LGAN: Lung Segmentation in CT Scans Using Generative Adversarial Network*, arXiv 1901.03473,
figure 3; seed 001. All have 3 x 3 convolutions padded by 1, each with batch normalisation and LeakyReLU, then two
fully connected layers, and give one raw score a sample ``(B, 1)``.

======================  =====================  ==========================================  =======================
critic                  is shown               branches, in widths (s = stride)            trunk
======================  =====================  ==========================================  =======================
``lgan_basic``          the mask                                                           1s2 - 1s2 - 2s2 - 4s2
``lgan_product``        the image under it                                                 1s2 - 1s2 - 2s2 - 4s2
``lgan_early_fusion``   image and mask joined                                              1s2 - 1s2 - 2s2 - 4s2
``lgan_late_fusion``    image, mask            image 1s1 - 1s2; mask 1s2                   2s2 - 4s2 - 8s2
``lgan_regression``     mask, reference        for each 1s1 - 1s2 - 2s2 - 2s2              4s2 - 8s2
======================  =====================  ==========================================  =======================

The paper's first fully connected layer takes the whole last map: it holds 95 % of the parameters and fixes the size of
the input (``head="fc"``). Ours takes the map's mean over the pixels and any size (``head="gap"``).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from ..errors import GANSegmentationError
from .config import NetworkConfig, check
from .entry import NetworkEntry, Sees
from .layers import ConvNorm, check_input, norm_layer

LEAK = 0.2
HIDDEN = 16
"""Widths of the first fully connected layer: 1024 at the paper's width of 64."""

CriticNorm = Literal["batch", "instance", "layer", "group", "none"]


@dataclass(frozen=True)
class LganCriticConfig(NetworkConfig):
    """What a critic is made of.

    Parameters
    ----------
    in_channels:
        Channels of the image, for the critics that see it.
    mask_channels:
        Channels of the mask: the generator's classes.
    width:
        Channels of the first convolution; the paper's is 64.
    head:
        ``"gap"`` averages the last map over its pixels and takes any size; ``"fc"`` takes all of it, as the paper.
    size:
        Side of the input in pixels, for ``"fc"``.
    norm:
        ``"batch"`` (the paper); under a gradient penalty ``"none"``, ``"layer"``, ``"group"`` or ``"instance"``, whose
        samples do not mix. Instance normalisation cannot tell an empty mask from a full one.
    spectral:
        Divide each weight by its largest singular value (T. Miyato et al., ICLR 2018, arXiv 1802.05957).
    """

    in_channels: int = 1
    mask_channels: int = 1
    width: int = 64
    head: Literal["gap", "fc"] = "gap"
    size: int | None = None
    norm: CriticNorm = "batch"
    spectral: bool = False

    def __post_init__(self) -> None:
        for name in ("in_channels", "mask_channels", "width"):
            check(getattr(self, name) >= 1, self, f"{name} is {getattr(self, name)}, and at least 1 is needed")
        if self.head == "fc":
            check(self.size is not None and self.size >= 1, self, f'the "fc" head needs size, and it is {self.size}')
        else:
            check(self.size is None, self, f'size is {self.size}, and only the "fc" head has one')


Layers = tuple[tuple[int, int], ...]
"""Convolutions as ``(width, stride)``, in multiples of the configuration's width."""


@dataclass(frozen=True)
class CriticPlan:
    """What distinguishes the five: the channels of what they are shown, and which layers each argument passes."""

    shown: Callable[[LganCriticConfig], tuple[int, ...]]
    branches: tuple[Layers, ...]
    trunk: Layers


_ONE_INPUT: Layers = ((1, 2), (1, 2), (2, 2), (4, 2))
_COMPARED: Layers = ((1, 1), (1, 2), (2, 2), (2, 2))

BASIC = CriticPlan(lambda config: (config.mask_channels,), ((),), _ONE_INPUT)
PRODUCT = CriticPlan(lambda config: (config.in_channels * config.mask_channels,), ((),), _ONE_INPUT)
EARLY_FUSION = CriticPlan(lambda config: (config.in_channels + config.mask_channels,), ((),), _ONE_INPUT)
LATE_FUSION = CriticPlan(
    lambda config: (config.in_channels, config.mask_channels),
    (((1, 1), (1, 2)), ((1, 2),)),
    ((2, 2), (4, 2), (8, 2)),
)
REGRESSION = CriticPlan(
    lambda config: (config.mask_channels, config.mask_channels), (_COMPARED, _COMPARED), ((4, 2), (8, 2))
)


class LganCritic(nn.Module):
    """What a critic is shown, one or two tensors ``(B, C, H, W)`` of equal size, to raw scores ``(B, 1)``.

    State dict: ``branches.<argument>.<i>.conv.*`` and ``.norm.*``, ``trunk.<i>.conv.*`` and ``.norm.*``,
    ``first.*`` and ``last.*`` (fully connected); with ``spectral`` the weights are named
    ``parametrizations.weight.*``.

    Raises
    ------
    GANSegmentationError
        From `forward`: ``invalid_input_channels``; ``invalid_input_size`` for another size than the ``"fc"`` head's, or
        one whose last map is a single pixel, which instance normalisation sets to 0.
    """

    output = "critic"

    def __init__(self, plan: CriticPlan, config: LganCriticConfig) -> None:
        super().__init__()
        self.config = config
        self.in_channels = plan.shown(config)
        self.branches = nn.ModuleList()
        joined = 0
        for channels, layers in zip(self.in_channels, plan.branches, strict=True):
            branch, channels = _convolutions(channels, layers, config)
            self.branches.append(branch)
            joined += channels
        self.trunk, channels = _convolutions(joined, plan.trunk, config)
        strides = [stride for _, stride in (*plan.branches[0], *plan.trunk)]
        self.reduction = math.prod(strides)
        pixels = 1
        if config.head == "fc" and config.size is not None:
            pixels = math.ceil(config.size / self.reduction) ** 2
        self.first = nn.Linear(channels * pixels, HIDDEN * config.width)
        self.last = nn.Linear(HIDDEN * config.width, 1)
        if config.spectral:
            for layer in [*self.modules()]:
                if isinstance(layer, (nn.Conv2d, nn.Linear)):
                    spectral_norm(layer)

    def forward(self, *shown: Tensor) -> Tensor:
        features = []
        for x, channels, branch in zip(shown, self.in_channels, self.branches, strict=True):
            check_input(x, channels, 1)
            self._check_size(x)
            features.append(_through(branch, x))
        x = _through(self.trunk, torch.cat(features, dim=1) if len(features) > 1 else features[0])
        x = x.flatten(1) if self.config.head == "fc" else x.mean(dim=(2, 3))
        scores: Tensor = self.last(F.leaky_relu(self.first(x), LEAK))
        return scores

    def _check_size(self, x: Tensor) -> None:
        height, width = x.shape[-2:]
        size, problem = self.config.size, ""
        if size is not None and (height, width) != (size, size):
            problem = f"The critic was built for slices of {size} x {size}, and these are {height} x {width}."
        elif self.config.norm == "instance" and max(height, width) <= self.reduction:
            problem = f"At {height} x {width} the critic's last map is a single pixel, which has no deviation."
        if problem:
            raise GANSegmentationError(
                "invalid_input_size",
                problem,
                cause="The slices of the preset have another size than its critic.",
                action='Set the critic\'s size to that of the slices, or its head to "gap" and its norm to "none".',
            )


def _through(layers: nn.Module, x: Tensor) -> Tensor:
    for layer in layers.children():
        x = F.leaky_relu(layer(x), LEAK)
    return x


def _convolutions(channels: int, layers: Layers, config: LganCriticConfig) -> tuple[nn.ModuleList, int]:
    """The layers after `channels` channels, and how many they give."""
    built = nn.ModuleList()
    for factor, stride in layers:
        width = factor * config.width
        # The published counts have biases before batch norm; before instance norm they would be idle as well.
        conv = nn.Conv2d(channels, width, 3, stride, 1, bias=config.norm != "instance")
        built.append(ConvNorm(conv, _norm(config.norm, width)))
        channels = width
    return built, channels


def _norm(kind: CriticNorm, channels: int) -> nn.Module | None:
    # Layer normalisation of a map, over channels and pixels of a sample, is that of a single group.
    return nn.GroupNorm(1, channels) if kind == "layer" else norm_layer(kind, channels)


def _entry(name: str, sees: Sees, plan: CriticPlan, gap: int, at_224: int, at_256: int) -> NetworkEntry:
    """The entry of one critic with its counts: as configured by default, and with the paper's head at two sizes."""
    counts: dict[NetworkConfig, int] = {
        LganCriticConfig(): gap,
        LganCriticConfig(head="fc", size=224): at_224,
        LganCriticConfig(head="fc", size=256): at_256,
    }
    build = functools.partial(LganCritic, plan)
    source = "J. Tan et al., arXiv 1901.03473; seed 001"
    return NetworkEntry(
        name, "discriminator", LganCriticConfig, build, source, "critic", MappingProxyType(counts), sees=sees
    )


ENTRIES = (
    _entry("lgan_basic", "mask", BASIC, 671_809, 51_789_889, 67_518_529),
    _entry("lgan_product", "product", PRODUCT, 671_809, 51_789_889, 67_518_529),
    _entry("lgan_early_fusion", "pair", EARLY_FUSION, 672_385, 51_790_465, 67_519_105),
    _entry("lgan_late_fusion", "both", LATE_FUSION, 2_189_633, 104_425_793, 135_883_073),
    _entry("lgan_regression", "comparison", REGRESSION, 2_817_665, 27_983_489, 35_847_809),
)
