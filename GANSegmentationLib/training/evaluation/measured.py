"""A model, or two, measured on prepared cases: everything that `ganseg evaluate` reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...datasets.dataset import Dataset
from ...inference import Predictor
from ...models import Package, ReviewFact, write_package
from ..preset import Preset
from .evaluate import (
    SCORES,
    CaseScore,
    Difference,
    Report,
    Summary,
    compare_models,
    evaluate,
    paired_difference,
    slice_summaries,
    summarise,
)
from .references import reference_view
from .review import Assessment, SliceRecord, assess_all, evaluate_with_review
from .seen import Role, patient_roles


@dataclass(frozen=True)
class Rival:
    """A second model on the same cases, and what the first one's scores are minus its own."""

    package: Package
    roles: dict[str, Role]
    scores: list[CaseScore]
    differences: list[Difference]


@dataclass(frozen=True)
class Measured:
    """What came of measuring a model.

    Parameters
    ----------
    package, dataset, cases:
        The model, and the names of the cases of a prepared dataset.
    roles:
        What part each of their patients had in the model.
    scores:
        One a case.
    rival:
        The model it was compared with, if any.
    assessments, records:
        How well each signal sorts slices for review, the best first, and the slices; empty if nobody asked.
    device:
        What computed.
    """

    package: Package
    dataset: Dataset
    cases: tuple[str, ...]
    roles: dict[str, Role]
    scores: list[CaseScore]
    rival: Rival | None = None
    assessments: tuple[Assessment, ...] = ()
    records: tuple[SliceRecord, ...] = ()
    device: str = ""

    @property
    def summary(self) -> list[Summary]:
        """Means over patients of every score, and of every structure of a model that has several."""
        return summarise(self.scores, SCORES, by_label=True)

    @property
    def slice_summary(self) -> list[Summary]:
        """The seeds' means over slices."""
        return slice_summaries(self.scores)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain types."""
        card = self.package.card
        result: dict[str, Any] = {
            "model": card.id,
            "version": card.version,
            "dataset": self.dataset.fingerprint,
            "device": self.device,
            "patients": self.roles,
            "cases": [score.to_dict() for score in self.scores],
            "summary": [each.to_dict() for each in self.summary],
            "slice_summary": [each.to_dict() for each in self.slice_summary],
        }
        if self.rival is not None:
            theirs = self.rival.scores
            sources = [*sorted({score.source for score in self.scores}), "all"]
            result["against"] = {
                "model": self.rival.package.card.id,
                "version": self.rival.package.card.version,
                "patients": self.rival.roles,
                "cases": [score.to_dict() for score in theirs],
                "dice_difference": {
                    source: paired_difference(self.scores, theirs, None if source == "all" else source).to_dict()
                    for source in sources
                },
                "differences": [each.to_dict() for each in self.rival.differences],
            }
        if self.records:
            result["review"] = [each.to_dict() for each in self.assessments]
        return result


def measure(
    package: Package,
    dataset: Dataset,
    cases: Sequence[str],
    *,
    preset: Preset | None = None,
    against: Package | None = None,
    against_preset: Preset | None = None,
    review: bool = False,
    device: str = "auto",
    report: Report | None = None,
) -> Measured:
    """Segment the cases with a model, and a second one, and score everything.

    Parameters
    ----------
    preset, against_preset:
        What the models were trained with, where it is known: it says which labels are compared, and who trained.
    review:
        Also ask all signals that say how far each slice can be trusted, and how well they are right; takes about ten
        times as long.

    Raises
    ------
    GANSegmentationError
        ``labels_unmatched``; what `Predictor` and `Predictor.segment` raise.
    """
    view = reference_view(package, dataset, preset)
    predictor = Predictor(package, device)
    records: list[SliceRecord] = []
    if review:
        scores, records = evaluate_with_review(predictor, dataset, cases, view=view, report=report)
    else:
        scores = evaluate(predictor, dataset, cases, view=view, report=report)
    chosen = dataset.subset(cases)
    return Measured(
        package,
        dataset,
        tuple(cases),
        _of_patients(patient_roles(package, dataset, preset), chosen),
        scores,
        None if against is None else _rival(against, dataset, cases, against_preset, scores, device, report),
        tuple(assess_all(records)),
        tuple(records),
        predictor.choice.name,
    )


def with_review(package: Package, fact: ReviewFact, target: Path) -> Path:
    """Write a package anew with what sorts its slices best on its card; all else stays.

    Raises
    ------
    GANSegmentationError
        As `write_package`.
    """
    return write_package(
        target,
        replace(package.card, review=fact, files={}),
        package.weights(),
        package.labels,
        package.preview(),
        discriminator_weights=package.discriminator_weights(),
    )


def _rival(
    package: Package,
    dataset: Dataset,
    cases: Sequence[str],
    preset: Preset | None,
    scores: Sequence[CaseScore],
    device: str,
    report: Report | None,
) -> Rival:
    view = reference_view(package, dataset, preset)
    theirs = evaluate(Predictor(package, device), dataset, cases, view=view, report=report)
    roles = _of_patients(patient_roles(package, dataset, preset), dataset.subset(cases))
    return Rival(package, roles, theirs, compare_models(scores, theirs))


def _of_patients(roles: dict[str, Role], dataset: Dataset) -> dict[str, Role]:
    patients = sorted({case.patient for case in dataset.cases})
    return {patient: roles[patient] for patient in patients}
