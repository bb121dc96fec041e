"""How good a mask is: overlap, surface distances in millimetres, the CHAOS score, and intervals over cases."""

from .bootstrap import Interval, bootstrap_mean, bootstrap_paired_difference
from .chaos import ChaosScores, chaos_scores
from .comparison import LabelScores, MaskScores, Scores, SliceScores, compare_labelmaps, score_masks
from .legacy import ROW_HAUSDORFF_NOTE, row_hausdorff, slicewise
from .overlap import Overlap, count_overlap, dice_per_slice
from .ranking import area_under_review_curve, bootstrap_by_patient, found_when_reviewed, spearman
from .surface import SurfaceDistances, surface, surface_distances
from .surface_dice import surface_dice
from .wilcoxon import SignedRanks, wilcoxon_signed_rank

__all__ = [
    "ROW_HAUSDORFF_NOTE",
    "ChaosScores",
    "Interval",
    "LabelScores",
    "MaskScores",
    "Overlap",
    "Scores",
    "SignedRanks",
    "SliceScores",
    "SurfaceDistances",
    "area_under_review_curve",
    "bootstrap_by_patient",
    "bootstrap_mean",
    "bootstrap_paired_difference",
    "chaos_scores",
    "compare_labelmaps",
    "count_overlap",
    "dice_per_slice",
    "found_when_reviewed",
    "row_hausdorff",
    "score_masks",
    "slicewise",
    "spearman",
    "surface",
    "surface_dice",
    "surface_distances",
    "wilcoxon_signed_rank",
]
