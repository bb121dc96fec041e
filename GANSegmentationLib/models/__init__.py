"""A trained network that a user can pick: its card, its package on disk, and the library of packages."""

from .card import (
    SEES,
    Card,
    DiscriminatorSpec,
    FileFact,
    Intensity,
    MetricFact,
    NetworkSpec,
    PostProcessing,
    ReviewFact,
    SpacingRange,
    StartedFrom,
    Task,
    TrainingData,
    TrainingFacts,
)
from .description import describe, metric_text
from .folder import user_models_folder
from .library import ModelLibrary
from .package import Package, open_package, write_package

__all__ = [
    "SEES",
    "Card",
    "DiscriminatorSpec",
    "FileFact",
    "Intensity",
    "MetricFact",
    "ModelLibrary",
    "NetworkSpec",
    "Package",
    "PostProcessing",
    "ReviewFact",
    "SpacingRange",
    "StartedFrom",
    "Task",
    "TrainingData",
    "TrainingFacts",
    "describe",
    "metric_text",
    "open_package",
    "user_models_folder",
    "write_package",
]
