"""Volumes and a model to a labelmap: device, network, checks, the streaming predictor, and cleaning."""

from .checks import Warning_, check_input, resolve_domain
from .crf import CrfSettings
from .device import DeviceChoice, choose_device
from .network import load_network
from .plausibility import SIGNALS, SliceReviewer, signals_of
from .postprocess import PostProcessReport, postprocess
from .predictor import Predictor, Result
from .progress import Progress
from .tiles import whole_scores
from .translate import Translation, Translator

__all__ = [
    "SIGNALS",
    "CrfSettings",
    "DeviceChoice",
    "PostProcessReport",
    "Predictor",
    "Progress",
    "Result",
    "SliceReviewer",
    "Translation",
    "Translator",
    "Warning_",
    "check_input",
    "choose_device",
    "load_network",
    "postprocess",
    "resolve_domain",
    "signals_of",
    "whole_scores",
]
