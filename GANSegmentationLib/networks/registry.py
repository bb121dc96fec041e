"""The networks by name: what they are, where they come from, how to build them, and what their parameters number."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import GANSegmentationError
from . import (
    cyclegan,
    lgan_critics,
    multiscale_patch,
    patch_discriminators,
    pix2pix,
    pix2pix_image,
    pix2pix_modern,
    segan,
    segnet,
    sriker_critic,
    stargan,
    uagan,
    unet,
    unet_ircad,
    unet_sriker,
)
from .config import NetworkConfig
from .entry import NetworkEntry, Output, Role, Sees

_FILES = (
    pix2pix,
    pix2pix_modern,
    unet,
    unet_sriker,
    unet_ircad,
    segnet,
    pix2pix_image,
    patch_discriminators,
    multiscale_patch,
    lgan_critics,
    sriker_critic,
    segan,
    cyclegan,
    stargan,
    uagan,
)
_ENTRIES: tuple[NetworkEntry, ...] = tuple(item for file in _FILES for item in file.ENTRIES)
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

    Generators have ``multiple`` (their input's sides are divisible by it); those of unpadded convolutions have a
    ``lost_border`` too, which says the sizes that fit. Works on the meta device too.

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


def shown(sees: Sees, image: Tensor, mask: Tensor, reference: Tensor | None = None) -> tuple[Tensor, ...]:
    """The arguments of a discriminator that sees this.

    Parameters
    ----------
    image, mask:
        ``(B, C, H, W)`` as the generator gets it, and the mask to judge ``(B, K, H, W)``: probabilities, one-hot, or a
        picture of the mask in (-1, 1), as the discriminator was trained.
    reference:
        For ``"comparison"``: the mask to compare with.

    Raises
    ------
    ValueError
        A comparison without a reference.
    """
    image = image.to(mask.dtype)
    if sees == "pair":
        return (torch.cat((image, mask), dim=1),)
    if sees == "mask":
        return (mask,)
    if sees == "product":
        # Every channel of the image under every class of the mask, the first class's channels first.
        return ((image.unsqueeze(1) * mask.unsqueeze(2)).flatten(1, 2),)
    if sees == "both":
        return image, mask
    if sees == "image":
        return (image,)
    if reference is None:
        raise ValueError("A discriminator that compares masks needs a reference.")
    return mask, reference.to(mask.dtype)


def count_parameters(network: nn.Module) -> int:
    """Parameters that an optimiser sees: PyTorch's count, Keras' "trainable"."""
    return sum(parameter.numel() for parameter in network.parameters())


def keras_count(network: nn.Module) -> int:
    """What Keras calls total: the parameters and the running mean and variance of every batch normalisation."""
    running = sum(
        buffer.numel() for name, buffer in network.named_buffers() if name.endswith(("running_mean", "running_var"))
    )
    return count_parameters(network) + running
