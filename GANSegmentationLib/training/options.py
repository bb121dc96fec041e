"""What a run is asked for beside its preset, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..datasets.integrity import Finding


@dataclass(frozen=True)
class RunOptions:
    """Where and how a preset runs; nothing here changes what is learnt (but for rounding).

    Parameters
    ----------
    accelerator:
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``, as `choose_device` takes it.
    devices:
        How many of them on this machine, each with a process of its own that computes a part of every batch. Under
        torchrun or SLURM the processes that these have started count.
    precision:
        Overrides the preset's in a new run; a resumed one keeps what it began with, and refuses another.
    workers:
        Processes that load slices, for each device; 0 loads in the process itself.
    resume:
        Go on from the run folder's last checkpoint where there is one.
    stop_after:
        Stop, resumable, when this many epochs are done.
    progress:
        Called as ``progress(epoch, step, steps, terms)`` after every step, in the first process.
    say:
        Called with a line of text for people, in the first process.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: str | None = None
    workers: int = 0
    resume: bool = False
    stop_after: int | None = None
    progress: Callable[[int, int, int, Mapping[str, float]], None] | None = None
    say: Callable[[str], None] = lambda text: None


@dataclass
class RunResult:
    """What a run came to.

    Parameters
    ----------
    folder:
        With its files.
    epochs:
        How many are done; `finished` says whether that is all.
    best_epoch, best_score:
        The epoch whose weights are kept, and its validation score; 0 and -inf before there is one.
    score:
        Which score that is: ``"Dice"`` of a segmentation; other tasks have others (`watching.score`).
    findings:
        What the checks of the data found.
    """

    folder: Path
    epochs: int
    best_epoch: int
    best_score: float
    score: str
    finished: bool
    findings: list[Finding] = field(default_factory=list)
