"""Frozen configurations of objectives, and the networks they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn

from .. import networks
from ..errors import GANSegmentationError
from ..networks.config import NetworkConfig, check
from ..settings import read_settings, write_settings

T = TypeVar("T", bound="ObjectiveConfig")


class ObjectiveConfig:
    """Base of the frozen dataclasses that describe an objective."""

    @classmethod
    def from_dict(cls: type[T], fields: Mapping[str, Any]) -> T:
        """The configuration that a JSON object describes, over the defaults of the setting that it names (`settings`).

        Raises
        ------
        GANSegmentationError
            ``invalid_objective`` for an unknown key or a wrong type.
        """
        if isinstance(fields, Mapping):
            setting = fields.get("setting", getattr(cls, "setting", None))
            fields = {**(cls.settings().get(setting, {}) if isinstance(setting, str) else {}), **fields}
        return read_settings(cls, fields, code="invalid_objective")

    @classmethod
    def settings(cls) -> Mapping[str, Mapping[str, Any]]:
        """What differs from the class's own defaults by the field ``setting``; nothing where there is no such field."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Every field as plain JSON types."""
        return write_settings(self)


@dataclass(frozen=True)
class NetworkSpec:
    """A network by name with its complete, checked configuration."""

    name: str
    config: NetworkConfig

    def build(self, initialisation: networks.Initialisation) -> nn.Module:
        """A new network with its first weights drawn."""
        return networks.initialise(networks.build(self.name, self.config), initialisation)


def network_spec(
    fields: Mapping[str, Any],
    role: str,
    defaults: Mapping[str, Any] | None = None,
    *,
    may_lose_border: bool = False,
    may_take_domain: bool = False,
) -> NetworkSpec:
    """The network that ``{"name": ..., "config": {...}}`` describes, checked to be of the role.

    Parameters
    ----------
    defaults:
        Settings of the network that the objective knows, where `fields` does not give them.
    may_lose_border:
        Take networks of unpadded convolutions, whose scores are smaller than the image.
    may_take_domain:
        Take networks that are told the domain of every slice.

    Raises
    ------
    GANSegmentationError
        ``invalid_objective`` for another shape or role, a lost border, or a network that asks for a domain; what
        `networks.read_network_config` raises.
    """
    unknown = set(fields) - {"name", "config"}
    if unknown or not isinstance(fields.get("name"), str):
        raise GANSegmentationError(
            "invalid_objective",
            f"The {role} is described by {dict(fields)!r}.",
            action='Write {"name": "...", "config": {...}}.',
        )
    name, config = fields["name"], fields.get("config", {})
    found = networks.entry(name)
    if found.role != role:
        raise GANSegmentationError(
            "invalid_objective",
            f"{name} is a {found.role}, and a {role} is needed.",
            action=f"Choose one of {', '.join(networks.names(role))}.",  # type: ignore[arg-type]
        )
    if found.takes_domain and not may_take_domain:
        raise GANSegmentationError(
            "invalid_objective",
            f"{name} asks for the domain of every slice, which this objective does not know.",
            action="Train this network with the objective domain.",
        )
    if isinstance(config, Mapping) and defaults:
        config = {**defaults, **config}
    checked = networks.read_network_config(name, config)
    if checked.lost_border is not None and not may_lose_border:
        raise GANSegmentationError(
            "invalid_objective",
            f"The {role} {name} has unpadded convolutions, and this objective needs masks of the image's size.",
            action='Give it "padding": "same", or train it with the objective supervised.',
        )
    return NetworkSpec(name, checked)


def check_objective(condition: bool, config: object, problem: str, *, action: str = "") -> None:
    """Raises ``invalid_objective`` naming the configuration's class and the problem unless `condition`."""
    check(condition, config, problem, code="invalid_objective", action=action)
