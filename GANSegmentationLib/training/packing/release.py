"""Twin models become releases: measured against each other on the same patients, the better one the default."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...datasets.dataset import Dataset
from ...datasets.splits import Split
from ...errors import GANSegmentationError
from ...inference import Predictor
from ...metrics import Interval
from ...models import Card, MetricFact, Package, write_package
from ..evaluation.evaluate import CaseScore, evaluate, paired_difference, summarise
from ..evaluation.references import reference_view
from ..preset import Preset
from ..starting.preflight import dataset_of
from .export import fact_of, metric_facts


@dataclass(frozen=True)
class Release:
    """What came of it: the packages that were written, the default one first, and by how much it is better.

    ``difference`` is the mean paired difference of Dice over the score source's validation cases, default minus other.
    """

    default: Path
    other: Path
    difference: Interval


def release_twins(
    packages: tuple[Package, Package],
    dataset: Dataset,
    validation: Sequence[str],
    folder: Path,
    *,
    source: str | None,
    preset: Preset | None = None,
    test: Dataset | None = None,
    device: str = "auto",
    report: Callable[[int, int, str], None] | None = None,
) -> Release:
    """Write both packages into `folder` with what was measured on their cards.

    The package with the higher mean Dice over the validation cases of `source` becomes the default for its modalities;
    test cases never decide. Each card gets its own figures, its difference to its twin on every source with a 95 %
    bootstrap interval, and, with `test`, the figures of each test case.

    Parameters
    ----------
    packages:
        Two models of one generator and one split.
    validation:
        The names of the validation cases in `dataset`.
    preset:
        What both were trained with as to data, where that is known: which labels are compared, which cases were held
        out.
    test:
        Cases that neither model has seen.

    Raises
    ------
    GANSegmentationError
        ``not_twins`` if the packages have one id, or their splits are not that of `dataset` and `validation`;
        ``patient_leakage`` if a test case belongs to a patient whom the models know; ``no_cases`` if no validation case
        of `source` can decide; what the predictor and `write_package` raise.
    """
    _require_twins(packages, dataset, validation, preset)
    if test is not None:
        _require_unseen(packages[0], dataset, validation, test)

    def scores_on(package: Package, data: Dataset, names: Sequence[str]) -> list[CaseScore]:
        view = reference_view(package, data, preset)
        return evaluate(Predictor(package, device), data, names, view=view, report=report)

    scores = [scores_on(package, dataset, validation) for package in packages]
    tests: list[list[CaseScore]] = [[], []]
    if test is not None:
        tests = [scores_on(package, test, [case.id for case in test.cases]) for package in packages]
    decisive = paired_difference(scores[0], scores[1], source)
    if decisive.n == 0:
        raise GANSegmentationError(
            "no_cases",
            f"No validation case{f' of the source {source}' if source else ''} can tell which model is better.",
            action="Choose validation cases of the source that the preset scores by.",
        )
    first = decisive.mean >= 0
    default, other = (0, 1) if first else (1, 0)
    paths = {}
    for index in (default, other):
        package, twin = packages[index], packages[1 - index]
        facts = (
            *metric_facts(summarise(scores[index])),
            *_differences(scores[index], scores[1 - index], twin.card.id),
            *(fact for score in tests[index] for fact in _test_facts(score)),
        )
        card = replace(
            package.card, metrics=facts, default_for=package.card.modalities if index == default else (), files={}
        )
        # Written and not copied: the card's checksums are those of the new package.
        paths[index] = write_package(
            folder / f"{card.id}.ganseg",
            card,
            package.weights(),
            package.labels,
            package.preview(),
            discriminator_weights=package.discriminator_weights(),
        )
    difference = paired_difference(scores[default], scores[other], source)
    return Release(paths[default], paths[other], difference)


def _require_twins(
    packages: tuple[Package, Package], dataset: Dataset, validation: Sequence[str], preset: Preset | None
) -> None:
    """Two models, both trained on all cases of their sources but the validation cases: what the cards' hash says."""
    first, second = (package.card for package in packages)
    if first.id == second.id:
        raise GANSegmentationError(
            "not_twins",
            f"Both models are called {first.id}.",
            cause="The same model was given twice.",
            action="Give two models.",
        )
    for card in (first, second):
        if not was_held_out(card, dataset, validation, preset):
            raise GANSegmentationError(
                "not_twins",
                f"{card.id} was not trained with these validation cases held out.",
                cause="The cases were chosen by hand, the dataset was prepared differently, or the models have "
                "different splits: a figure on their cards would come from patients who have trained.",
                action="Give the dataset that both were trained on and leave the choice of patients to the preset.",
            )


def was_held_out(card: Card, dataset: Dataset, validation: Sequence[str], preset: Preset | None = None) -> bool:
    """Whether the model was trained with exactly these cases held out: whether the split's hash says so.

    On all other cases of its sources; or, with the `preset` it was trained with, on those that the preset takes.
    """
    sources, held_out = {data.name for data in card.training.data}, set(validation)
    train = tuple(case.id for case in dataset.cases if case.source in sources and case.id not in held_out)
    candidates = [Split(train, tuple(validation))]
    if preset is not None:
        used = {case.id for case in dataset_of(preset, dataset).cases}
        candidates.append(Split(tuple(used - held_out), tuple(validation)))
    return any(split.sha256 == card.training.split_sha256 for split in candidates)


def _require_unseen(package: Package, dataset: Dataset, validation: Sequence[str], test: Dataset) -> None:
    """No test case is of a patient, or holds the very slices, of a training or validation case."""
    sources = {data.name for data in package.card.training.data}
    known = [case for case in dataset.cases if case.source in sources or case.id in set(validation)]
    patients, fingerprints = {case.patient for case in known}, {case.fingerprint for case in known}
    for case in test.cases:
        if case.patient in patients or case.fingerprint in fingerprints:
            raise GANSegmentationError(
                "patient_leakage",
                f"The test case {case.id} is of a patient who has trained or validated.",
                cause="The test dataset was prepared from the training data.",
                action="Give a dataset of patients whom the models have never seen.",
            )


def _differences(ours: Sequence[CaseScore], theirs: Sequence[CaseScore], twin: str) -> list[MetricFact]:
    comment = f"Dice minus that of {twin} on the same cases, paired, 95 % bootstrap interval"
    differences = {
        source: paired_difference(ours, theirs, source) for source in sorted({score.source for score in ours})
    }
    return [
        fact_of("dice_difference", source, "validation", difference, comment)
        for source, difference in differences.items()
        if difference.n
    ]


def _test_facts(score: CaseScore) -> list[MetricFact]:
    """The figures of one unseen case; no interval, for one patient has none."""
    comment = f"one patient ({score.case}), never used in training or validation"
    values = {
        "dice": (score.dice, "1"),
        "iou": (score.iou, "1"),
        "hd_mm": (score.hd_mm, "mm"),
        "hd95_mm": (score.hd95_mm, "mm"),
        "assd_mm": (score.assd_mm, "mm"),
        "masd_mm": (score.masd_mm, "mm"),
        "chaos_score": (score.chaos_score, "1"),
    }
    return [
        MetricFact(name, score.source, "test", 1, round(value, 4), None, unit, comment)
        for name, (value, unit) in values.items()
        if value is not None and math.isfinite(value)
    ]
