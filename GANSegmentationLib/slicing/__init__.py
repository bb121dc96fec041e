"""Volumes to network-ready slices, and the labels of slices back to the volume: plane, neighbours, intensity, size."""

from .normalisation import ByModality, IntensityMap, Normalisation, Percentiles, Window, ZScore, value_range
from .orientation import FLIPS, PLANES, SliceOrientation, orient
from .resize import labels_from_scores, resize
from .stack import NEIGHBOURS, LabelAssembler, SliceAssembler, SliceSpec, SliceStack

__all__ = [
    "FLIPS",
    "NEIGHBOURS",
    "PLANES",
    "ByModality",
    "IntensityMap",
    "LabelAssembler",
    "Normalisation",
    "Percentiles",
    "SliceAssembler",
    "SliceOrientation",
    "SliceSpec",
    "SliceStack",
    "Window",
    "ZScore",
    "labels_from_scores",
    "orient",
    "resize",
    "value_range",
]
