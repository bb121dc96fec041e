"""The one training loop, its presets, checkpoints and logs, and the way from a run to a model package."""

from .evaluation import CaseScore, evaluate, paired_difference, summarise
from .export import export_package
from .loop import RunOptions, RunResult, Trainer
from .plan import dry_run
from .preset import Preset, load_preset, preset_names
from .release import Release, release_twins, was_held_out

__all__ = [
    "CaseScore",
    "Preset",
    "Release",
    "RunOptions",
    "RunResult",
    "Trainer",
    "dry_run",
    "evaluate",
    "export_package",
    "load_preset",
    "paired_difference",
    "preset_names",
    "release_twins",
    "summarise",
    "was_held_out",
]
