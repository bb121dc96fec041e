"""The networks by name: what they are, where they come from, how to build them, and what their parameters number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from torch import Tensor, nn

from ..errors import GANSegmentationError
from .config import NetworkConfig
from .patch_discriminators import (
    Patch70Config,
    Patch70Discriminator,
    Patch142KerasConfig,
    Patch142KerasDiscriminator,
)
from .pix2pix import Pix2PixSeedConfig, Pix2PixSeedGenerator
from .pix2pix_modern import Pix2PixModernConfig, Pix2PixModernGenerator

Role = Literal["generator", "discriminator"]
Output = Literal["logit", "softmax", "tanh", "patch"]


@dataclass(frozen=True)
class NetworkEntry:
    """A network that can be asked for by name.

    Parameters
    ----------
    name, role:
        As configurations write it; ``"generator"`` segments, ``"discriminator"`` judges.
    config_class, build:
        The frozen configuration, and what makes a module of it.
    source:
        The paper or seed it comes from.
    output:
        What it gives: ``"logit"`` (one raw score; raw softmax scores where the configuration has several classes),
        ``"softmax"``, ``"tanh"`` (a picture of the mask in (-1, 1)) or ``"patch"`` (raw scores of patches).
    expected_params:
        PyTorch parameters (running statistics not counted) of known configurations.
    takes_domain:
        Whether the network's second argument is a one-hot vector of the domain ``(B, domains)``.
    """

    name: str
    role: Role
    config_class: type[NetworkConfig]
    build: Callable[[Any], nn.Module]
    source: str
    output: Output
    expected_params: Mapping[NetworkConfig, int] = field(default_factory=dict, hash=False)
    takes_domain: bool = False


_ENTRIES = (
    NetworkEntry(
        "pix2pix_seed",
        "generator",
        Pix2PixSeedConfig,
        Pix2PixSeedGenerator,
        "seed 000; P. Isola et al., CVPR 2017, arXiv 1611.07004",
        "tanh",
        MappingProxyType(
            {
                Pix2PixSeedConfig(3, 3): 54_419_459,
                Pix2PixSeedConfig(1, 1): 54_413_313,
                Pix2PixSeedConfig(3, 1): 54_415_361,
                Pix2PixSeedConfig(3, 2): 54_417_410,
            }
        ),
    ),
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
    ),
    NetworkEntry(
        "patch142_keras",
        "discriminator",
        Patch142KerasConfig,
        Patch142KerasDiscriminator,
        "seed 000",
        "patch",
        MappingProxyType({Patch142KerasConfig(6): 6_965_441, Patch142KerasConfig(2): 6_961_345}),
    ),
    NetworkEntry(
        "patch70",
        "discriminator",
        Patch70Config,
        Patch70Discriminator,
        "P. Isola et al., CVPR 2017, arXiv 1611.07004",
        "patch",
        MappingProxyType({Patch70Config(6): 2_768_705}),
    ),
)
_BY_NAME: Mapping[str, NetworkEntry] = MappingProxyType({item.name: item for item in _ENTRIES})


def names(role: Role | None = None) -> tuple[str, ...]:
    """The registered names, of one role or of all."""
    return tuple(item.name for item in _ENTRIES if role is None or item.role == role)


def entry(name: str) -> NetworkEntry:
    """What is known of the network `name`.

    Raises
    ------
    GANSegmentationError
        ``unknown_network``.
    """
    if name not in _BY_NAME:
        raise GANSegmentationError(
            "unknown_network",
            f"There is no network named {name!r}.",
            cause="The name is misspelt, or the configuration was written by a newer version.",
            action=f"The known networks are {', '.join(_BY_NAME)}.",
        )
    return _BY_NAME[name]


def read_network_config(name: str, config: Mapping[str, Any]) -> NetworkConfig:
    """The checked configuration of the network `name`; ``invalid_network`` where it is not one."""
    return entry(name).config_class.from_dict(config)


def build(name: str, config: Mapping[str, Any] | NetworkConfig) -> nn.Module:
    """A new network with PyTorch's own first weights, in training mode.

    Generators have ``multiple`` (their input's sides are divisible by it). Works on the meta device too.

    Raises
    ------
    GANSegmentationError
        ``unknown_network``; ``invalid_network`` where the configuration has an unknown key, a wrong type or value.
    """
    found = entry(name)
    if isinstance(config, NetworkConfig):
        config = config.to_dict()
    return found.build(found.config_class.from_dict(config))


def scores(kind: NetworkEntry | Output, output: Tensor) -> Tensor:
    """What a generator gives ``(B, channels, H, W)`` as scores ``(B, classes, H, W)`` for labels.

    One class: the label is 1 where the score is above 0. Several: the label is the highest. The pictures of a tanh
    network (channels that repeat the mask in (-1, 1)) become one score, their mean; raw scores stay as they are.

    Raises
    ------
    GANSegmentationError
        ``not_a_generator`` for a network that gives patch scores.
    """
    kind = kind.output if isinstance(kind, NetworkEntry) else kind
    if kind == "tanh":
        return output.mean(dim=1, keepdim=True)
    if kind in ("logit", "softmax"):
        return output
    raise GANSegmentationError("not_a_generator", f"A network with {kind} output gives no mask.")


def count_parameters(network: nn.Module) -> int:
    """Parameters that an optimiser sees: PyTorch's count, Keras' "trainable"."""
    return sum(parameter.numel() for parameter in network.parameters())


def keras_count(network: nn.Module) -> int:
    """What Keras calls total: the parameters and the running mean and variance of every batch normalisation."""
    running = sum(
        buffer.numel() for name, buffer in network.named_buffers() if name.endswith(("running_mean", "running_var"))
    )
    return count_parameters(network) + running
