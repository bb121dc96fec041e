"""Generators and discriminators: one paper one file, and a registry that builds them from frozen configurations."""

from .config import NetworkConfig
from .initialisation import Initialisation, initialise
from .layers import fold_batch_norm
from .registry import (
    NetworkEntry,
    build,
    count_parameters,
    entry,
    keras_count,
    names,
    read_network_config,
    scores,
)

__all__ = [
    "Initialisation",
    "NetworkConfig",
    "NetworkEntry",
    "build",
    "count_parameters",
    "entry",
    "fold_batch_norm",
    "initialise",
    "keras_count",
    "names",
    "read_network_config",
    "scores",
]
