"""From a finished run to a model package: best weights, post-processing chosen on validation, and a complete card."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..datasets.dataset import Dataset
from ..datasets.splits import Split, patient_split
from ..errors import GANSegmentationError
from ..inference import Predictor
from ..metrics import Interval
from ..models import (
    MetricFact,
    PostProcessing,
    open_package,
    write_package,
)
from ..reports import preview_picture
from ..volumes import Labelmap, Segment
from .card import labels_of, model_card
from .checkpoint import load_checkpoint
from .evaluation import CaseScore, Summary, case_volume, evaluate, patient_means, summarise
from .preflight import dataset_of, require_same_data
from .preset import Preset

CANDIDATES: tuple[PostProcessing, ...] = (
    PostProcessing(),
    PostProcessing(fill_holes=True),
    PostProcessing(largest_component=True),
    PostProcessing(largest_component=True, fill_holes=True),
)
"""What the validation patients choose from: as it is, filled, the largest component, both."""

_MARGIN = 1e-4
"""A step of post-processing has to earn at least this mean Dice: below, the simpler one is taken."""


def export_package(
    run: Path,
    preset: Preset,
    dataset: Dataset,
    target: Path,
    *,
    device: str = "auto",
    date: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write the best weights of a run as a model package, in half precision, with a complete card.

    The post-processing that the card prescribes is the one of `CANDIDATES` with the best mean Dice over the validation
    patients of the preset's score source; the card's figures are measured with it, through the predictor that users
    have, with the half-precision weights that are shipped.

    Parameters
    ----------
    run, preset, dataset:
        The run's folder, its preset, and the prepared dataset it was trained on.
    target:
        ``*.ganseg`` for one file, any other name for a folder.
    date:
        ``YYYY-MM-DD``; today where None.

    Raises
    ------
    GANSegmentationError
        ``run_not_found`` without best weights; ``dataset_changed`` if the run has learnt on other data; what writing
        and opening a package raise.
    """
    best = run / "best.ckpt"
    if not best.is_file():
        raise GANSegmentationError(
            "run_not_found",
            f"{run} holds no best weights ({best.name} is missing).",
            cause="The run has not finished its first epoch, or the folder is another one.",
            action="Train first, or give the run's folder.",
        )
    state = load_checkpoint(best, needs=("average", "epoch"))
    weights = {name: _half(tensor.numpy()) for name, tensor in state["average"].items()}
    dataset = dataset_of(preset, dataset)
    split = patient_split(dataset, validation=preset.data.validation_patients)
    require_same_data(run, dataset, split)
    labels = labels_of(preset)
    card = model_card(preset, dataset, split, int(state["epoch"]), date or datetime.date.today().isoformat())
    trials: list[tuple[PostProcessing, list[CaseScore]]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_package(Path(folder) / "trial.ganseg", card, weights, labels, None)
        predictor = Predictor(open_package(path), device)
    for candidate in CANDIDATES:
        trials.append((candidate, evaluate(predictor, dataset, split.validation, postprocessing=candidate)))
        say(f"{_words(candidate)}: Dice {_mean(trials[-1][1], preset.data.score_source):.4f}")
    chosen, scores = choose(trials, preset.data.score_source)
    say(f"chosen on validation: {_words(chosen)}")
    final = replace(card, postprocessing=chosen, metrics=metric_facts(summarise(scores)))
    preview = _preview(predictor, labels, dataset, split)
    return write_package(target, final, weights, labels, preview)


def metric_facts(summaries: Sequence[Summary], split: str = "validation") -> tuple[MetricFact, ...]:
    """Summaries as a card holds them."""
    comment = "mean over patients, all stored slices of each, 95 % bootstrap interval"
    return tuple(fact_of(each.score, each.source, split, each.interval, comment) for each in summaries)


def fact_of(name: str, source: str, split: str, interval: Interval, comment: str) -> MetricFact:
    """An interval as a card holds it, rounded to four places; without bounds where there is one patient."""
    bounds = (round(interval.low, 4), round(interval.high, 4)) if interval.n > 1 else None
    mean = round(interval.mean, 4)
    return MetricFact(name, source, split, interval.n, mean, bounds, unit="1", comment=comment)


def choose(
    trials: Sequence[tuple[PostProcessing, list[CaseScore]]], source: str | None
) -> tuple[PostProcessing, list[CaseScore]]:
    """The best trial, by the mean over patients; a later (more eager) one only where it is better by the margin."""
    best = trials[0]
    for trial in trials[1:]:
        if _mean(trial[1], source) > _mean(best[1], source) + _MARGIN:
            best = trial
    return best


def _mean(scores: Sequence[CaseScore], source: str | None) -> float:
    means = patient_means([score for score in scores if source in (None, score.source)], "dice")
    return float(np.mean(list(means.values())))


def _words(candidate: PostProcessing) -> str:
    parts = ["largest component"] * candidate.largest_component + ["holes filled"] * candidate.fill_holes
    return ", ".join(parts) or "no post-processing"


def _half(array: np.ndarray) -> np.ndarray:
    """Floating point weights in half precision; counters as they are, and what half precision cannot reach."""
    if array.dtype.kind != "f" or float(np.abs(array).max(initial=0.0)) > float(np.finfo(np.float16).max):
        return array
    return array.astype(np.float16)


def _preview(predictor: Predictor, labels: Sequence[Segment], dataset: Dataset, split: Split) -> bytes:
    """A picture of the model's own mask on a validation slice of an MSD patient, which may be shown; else of any."""
    cases = [dataset.by_id[name] for name in split.validation]
    allowed = [case for case in cases if case.source == "msd_slices"] or cases
    case = max(allowed, key=lambda case: max(case.foreground, default=0))
    volume = case_volume(dataset, case)
    result = predictor.segment([volume], force=True, postprocessing=PostProcessing())
    return preview_picture(volume, Labelmap(result.labelmap.array, volume.geometry, labels))
