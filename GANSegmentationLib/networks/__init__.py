"""Generators and discriminators: one paper one file, and a registry that builds them from frozen configurations."""

from .config import NetworkConfig
from .entry import NetworkEntry, Output, Role, Sees
from .initialisation import Initialisation, initialise
from .layers import fold_batch_norm
from .registry import (
    build,
    count_parameters,
    entry,
    keras_count,
    names,
    read_network_config,
    scores,
    shown,
)

__all__ = [
    "Initialisation",
    "NetworkConfig",
    "NetworkEntry",
    "Output",
    "Role",
    "Sees",
    "build",
    "count_parameters",
    "entry",
    "fold_batch_norm",
    "initialise",
    "keras_count",
    "names",
    "read_network_config",
    "scores",
    "shown",
]
