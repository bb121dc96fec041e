"""What is known of a network that can be asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from .config import NetworkConfig

Role = Literal["generator", "discriminator", "synthesiser"]
Output = Literal["logit", "softmax", "tanh", "patch", "patch_domain", "critic", "features", "image"]
Sees = Literal["pair", "mask", "product", "both", "comparison", "image"]
"""What a discriminator is shown: ``pair`` = image and mask stacked as channels, ``mask`` alone, ``product`` = the image
under the mask, ``both`` as two arguments ``(image, mask)``, ``comparison`` = ``(mask, reference)``, ``image`` alone."""


@dataclass(frozen=True)
class NetworkEntry:
    """A network that can be asked for by name.

    Parameters
    ----------
    name, role:
        As configurations write it; ``"generator"`` segments, ``"discriminator"`` (or critic) judges, ``"synthesiser"``
        makes images.
    config_class, build:
        The frozen configuration, and what makes a module of it.
    source:
        The paper or seed it comes from.
    output:
        What it gives: ``"logit"`` (one raw score; raw softmax scores where the configuration has several classes),
        ``"softmax"``, ``"tanh"`` (a picture of the mask in (-1, 1)), ``"patch"`` (raw scores of patches),
        ``"patch_domain"`` (those, and raw scores of domains ``(B, domains)``), ``"critic"`` (one raw score a sample,
        ``(B, 1)``), ``"features"`` (several tensors that a loss compares) or ``"image"`` (a picture of a scan).
    expected_params:
        PyTorch parameters (running statistics not counted) of known configurations.
    takes_domain:
        Whether the network's second argument is a one-hot vector of the domain ``(B, domains)``.
    translates:
        Whether it can give a slice as it would look in another domain: a generator with ``target=`` a further one-hot
        vector, then beside its scores; a synthesiser with the target as its domain.
    encoder, head:
        Of a generator: prefixes of the names of the parameters that see the image first, and of the last layer, whose
        shape follows from the classes. Transfer learning freezes the one and replaces the other.
    sees:
        Of a discriminator, what it is shown.
    """

    name: str
    role: Role
    config_class: type[NetworkConfig]
    build: Callable[[Any], nn.Module]
    source: str
    output: Output
    expected_params: Mapping[NetworkConfig, int] = field(default_factory=dict, hash=False)
    takes_domain: bool = False
    translates: bool = False
    encoder: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    sees: Sees | None = None
