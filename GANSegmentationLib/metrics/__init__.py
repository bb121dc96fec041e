"""How good a mask is: overlap, surface distances in millimetres, the CHAOS score, and intervals over cases."""

from .bootstrap import Interval, bootstrap_mean, bootstrap_paired_difference
from .chaos import ChaosScores, chaos_scores
from .comparison import LabelScores, MaskScores, Scores, SliceScores, compare_labelmaps, score_masks
from .overlap import Overlap, count_overlap, dice_per_slice
from .surface import SurfaceDistances, surface, surface_distances
from .surface_dice import surface_dice

__all__ = [
    "ChaosScores",
    "Interval",
    "LabelScores",
    "MaskScores",
    "Overlap",
    "Scores",
    "SliceScores",
    "SurfaceDistances",
    "bootstrap_mean",
    "bootstrap_paired_difference",
    "chaos_scores",
    "compare_labelmaps",
    "count_overlap",
    "dice_per_slice",
    "score_masks",
    "surface",
    "surface_dice",
    "surface_distances",
]
