"""A trained network that a user can pick: its card, its package on disk, and the library of packages."""

from .card import (
    Card,
    FileFact,
    Intensity,
    MetricFact,
    NetworkSpec,
    PostProcessing,
    SpacingRange,
    TrainingData,
    TrainingFacts,
)
from .description import describe, metric_text
from .library import ModelLibrary, user_models_folder
from .package import Package, open_package, write_package

__all__ = [
    "Card",
    "FileFact",
    "Intensity",
    "MetricFact",
    "ModelLibrary",
    "NetworkSpec",
    "Package",
    "PostProcessing",
    "SpacingRange",
    "TrainingData",
    "TrainingFacts",
    "describe",
    "metric_text",
    "open_package",
    "user_models_folder",
    "write_package",
]
