"""From a finished run to a model package: best weights, post-processing chosen on validation, and a complete card.

A package may carry the discriminator of its run. Then the card also says which signal sorts the slices of the model's
masks best for review, measured on the validation patients.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets.dataset import Dataset
from ...datasets.slices import SliceView
from ...datasets.splits import Split
from ...errors import GANSegmentationError
from ...inference import Predictor
from ...metrics import Interval
from ...models import (
    MetricFact,
    PostProcessing,
    ReviewFact,
    open_package,
    write_package,
)
from ...objectives import build as build_objective
from ...reports import preview_picture
from ...volumes import Labelmap, Segment
from ..evaluation.evaluate import CaseScore, Summary, evaluate, patient_means, summarise
from ..evaluation.references import case_volumes
from ..evaluation.review import assess_all, evaluate_with_review, review_fact
from ..preset import Preset
from .card import discriminator_spec
from .finished import Weights, finished_run, shipped_weights

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
    with_discriminator: bool | None = None,
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
    with_discriminator:
        Whether the package carries the network that judged the masks; None does what the preset says.

    Raises
    ------
    GANSegmentationError
        ``run_not_found`` without best weights; ``dataset_changed`` if the run has learnt on other data;
        ``no_discriminator`` if one is asked for and the objective has none that judges masks; what writing and opening
        a package raise.
    """
    if build_objective(preset.objective.name, preset.objective.config).task == "synthesis":
        from .export_synthesis import export_synthesis

        return export_synthesis(run, preset, dataset, target, device=device, date=date, say=say)
    found = finished_run(run, preset, dataset, date)
    dataset, split, labels, card = found.dataset, found.split, found.labels, found.card
    judge: Weights | None = None
    if preset.model.with_discriminator if with_discriminator is None else with_discriminator:
        spec = discriminator_spec(preset)
        judge = shipped_weights(_reviewer_state(found.state))
        card = replace(card, discriminator=spec)
        say(
            f"the package carries its discriminator, {spec.name}: {sum(each.nbytes for each in judge.values()):,} bytes"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = write_package(Path(folder) / "trial.ganseg", card, found.weights, labels, discriminator_weights=judge)
        predictor = Predictor(open_package(path), device)
        view = preset.data.view
        chosen, scores = _choose_cleaning(predictor, dataset, split, view, preset.data.score_source, say)
        review = None
        if judge is not None:
            final = replace(predictor.card, postprocessing=chosen)
            review = _measured_review(
                Predictor(replace(predictor.package, card=final), device), dataset, split, view, say
            )
        preview = _preview(predictor, labels, dataset, split, view)
    final = replace(card, postprocessing=chosen, metrics=metric_facts(summarise(scores)), review=review)
    return write_package(target, final, found.weights, labels, preview, discriminator_weights=judge)


def _reviewer_state(state: Mapping[str, Any]) -> Mapping[str, Any]:
    if "reviewer" not in state:
        raise GANSegmentationError(
            "no_discriminator",
            "The run's best checkpoint does not hold its discriminator.",
            cause="It was written by an earlier version.",
            action="Train again, or leave out the discriminator.",
        )
    found: Mapping[str, Any] = state["reviewer"]
    return found


def _choose_cleaning(
    predictor: Predictor,
    dataset: Dataset,
    split: Split,
    view: SliceView,
    source: str | None,
    say: Callable[[str], None],
) -> tuple[PostProcessing, list[CaseScore]]:
    """What of `CANDIDATES` the validation patients prefer, and their scores with it."""
    trials: list[tuple[PostProcessing, list[CaseScore]]] = []
    for candidate in CANDIDATES:
        scores = evaluate(predictor, dataset, split.validation, view=view, postprocessing=candidate)
        trials.append((candidate, scores))
        say(f"{_words(candidate)}: Dice {_mean(scores, source):.4f}")
    chosen, scores = choose(trials, source)
    say(f"chosen on validation: {_words(chosen)}")
    return chosen, scores


def _measured_review(
    predictor: Predictor, dataset: Dataset, split: Split, view: SliceView, say: Callable[[str], None]
) -> ReviewFact | None:
    """Which signal sorts the validation patients' slices best."""
    _, records = evaluate_with_review(predictor, dataset, split.validation, view=view)
    assessments = assess_all(records)
    for each in assessments:
        say(f"{each.signal}: rank correlation with the slices' Dice {each.correlation.mean:.2f}")
    sources = sorted({dataset.by_id[name].source for name in split.validation})
    return review_fact(assessments, f"{', '.join(sources)}, validation, where it was chosen")


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


def _preview(predictor: Predictor, labels: Sequence[Segment], dataset: Dataset, split: Split, view: SliceView) -> bytes:
    """A picture of the model's own mask on a validation slice of an MSD patient, which may be shown; else of any."""
    cases = [dataset.by_id[name] for name in split.validation]
    allowed = [case for case in cases if case.source == "msd_slices"] or cases
    case = max(allowed, key=lambda case: max(case.foreground, default=0))
    volumes = case_volumes(dataset, case, view)
    domain = case.modality if predictor.card.domains else None
    result = predictor.segment(volumes, domain=domain, force=True, postprocessing=PostProcessing())
    return preview_picture(volumes[0], Labelmap(result.labelmap.array, volumes[0].geometry, labels))
