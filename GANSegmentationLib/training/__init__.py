"""The one training loop, its presets, checkpoints and logs, and the way from a run to a model package."""

from .evaluation.evaluate import CaseScore, Difference, amount, compare_models, evaluate, paired_difference, summarise
from .evaluation.measured import Measured, measure, with_review
from .evaluation.report import SCORE_WORDS, worst_pictures, write_evaluation
from .evaluation.review import review_fact
from .loop import Trainer
from .options import RunOptions, RunResult
from .packing.card import discriminator_spec
from .packing.export import export_package
from .packing.release import Release, release_twins, was_held_out
from .plan import dry_run
from .preset import Preset, load_preset, preset_names

__all__ = [
    "SCORE_WORDS",
    "CaseScore",
    "Difference",
    "Measured",
    "Preset",
    "Release",
    "RunOptions",
    "RunResult",
    "Trainer",
    "amount",
    "compare_models",
    "discriminator_spec",
    "dry_run",
    "evaluate",
    "export_package",
    "load_preset",
    "measure",
    "paired_difference",
    "preset_names",
    "release_twins",
    "review_fact",
    "summarise",
    "was_held_out",
    "with_review",
    "worst_pictures",
    "write_evaluation",
]
