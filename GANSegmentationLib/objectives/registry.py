"""The objectives by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ..errors import GANSegmentationError
from .base import Objective
from .conditional import Conditional, ConditionalConfig
from .cycle import Cycle, CycleConfig
from .domain import Domain, DomainConfig
from .multiscale_l1 import MultiscaleL1, MultiscaleL1Config
from .supervised import Supervised, SupervisedConfig
from .synthesis import Synthesis, SynthesisConfig
from .wasserstein import Wasserstein, WassersteinConfig

_BUILDERS: Mapping[str, Callable[[Mapping[str, Any]], Objective]] = MappingProxyType(
    {
        "supervised": lambda config: Supervised(SupervisedConfig.from_dict(config)),
        "conditional": lambda config: Conditional(ConditionalConfig.from_dict(config)),
        "multiscale_l1": lambda config: MultiscaleL1(MultiscaleL1Config.from_dict(config)),
        "cycle": lambda config: Cycle(CycleConfig.from_dict(config)),
        "wasserstein": lambda config: Wasserstein(WassersteinConfig.from_dict(config)),
        "synthesis": lambda config: Synthesis(SynthesisConfig.from_dict(config)),
        "domain": lambda config: Domain(DomainConfig.from_dict(config)),
    }
)


def names() -> tuple[str, ...]:
    """The registered names."""
    return tuple(_BUILDERS)


def build(name: str, config: Mapping[str, Any]) -> Objective:
    """The objective `name` with the configuration a preset holds; networks are checked here and built later.

    Raises
    ------
    GANSegmentationError
        ``unknown_objective``; ``invalid_objective``, ``unknown_network`` or ``invalid_network`` for a configuration
        that describes none.
    """
    if name not in _BUILDERS:
        raise GANSegmentationError(
            "unknown_objective",
            f"There is no objective named {name!r}.",
            cause="The name is misspelt, or the preset was written for a newer version.",
            action=f"The known objectives are {', '.join(_BUILDERS)}.",
        )
    return _BUILDERS[name](config)
