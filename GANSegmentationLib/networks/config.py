"""Frozen configurations of networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ..errors import GANSegmentationError
from ..settings import read_settings, write_settings
from .valid_padding import LostBorder

T = TypeVar("T")


class NetworkConfig:
    """Base of the frozen dataclasses that describe a network; two equal configurations build the same layers."""

    @classmethod
    def from_dict(cls: type[T], fields: Mapping[str, Any]) -> T:
        """The configuration that a JSON object describes; missing keys take the defaults.

        Raises
        ------
        GANSegmentationError
            ``invalid_network`` for an unknown key, a wrong type or a value that makes no network.
        """
        return read_settings(cls, fields, code="invalid_network")

    def to_dict(self) -> dict[str, Any]:
        """Every field with its value as plain JSON types (tuples become lists); the inverse of `from_dict`."""
        return write_settings(self)

    @property
    def lost_border(self) -> LostBorder | None:
        """What a generator of unpadded convolutions loses of its image; None where scores have the image's size."""
        return None


def check(condition: bool, config: object, problem: str, *, code: str = "invalid_network", action: str = "") -> None:
    """Raises a `GANSegmentationError` that names the configuration's class and the problem unless `condition`."""
    if not condition:
        raise GANSegmentationError(
            code, f"{type(config).__name__}: {problem}.", action=action or "Correct the value in the configuration."
        )
