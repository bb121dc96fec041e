"""Which signal sorts the slices that a person should look at first, measured where there is a reference.

For every slice with foreground in the reference or in the mask the signals of `inference.plausibility` stand beside the
slice's true Dice. A signal is good if its ranks are those of the Dice (Spearman), and if looking at the fifth of slices
that it trusts least finds more than a fifth of the worst ones. Slices of one patient are alike: intervals come from
samples of patients.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...datasets.dataset import Case, Dataset
from ...datasets.slices import SliceView
from ...inference import Predictor, Result
from ...inference.plausibility import DISCRIMINATOR_SIGNALS, LOWER_IS_BETTER, SIGNALS
from ...metrics import Interval, area_under_review_curve, bootstrap_by_patient, count_overlap, spearman
from ...metrics import found_when_reviewed as found_share
from ...models import Card, ReviewFact
from .evaluate import CaseScore, Report, score_case, segment_cases, unit_of

REVIEWED: Final = 0.2
"""The part of slices that is looked at, and the part of them that counts as the worst."""

_RESAMPLES: Final = 1000

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SliceRecord:
    """One slice: how good it truly is, and what the signals say of it.

    ``index`` counts along the axis that the model's slices are cut across; ``over`` is what `patient` is one of.
    """

    case: str
    patient: str
    index: int
    dice: float
    signals: dict[str, float]
    over: str = "patients"

    def row(self) -> dict[str, Any]:
        """As the row of a table."""
        fixed = {"case": self.case, "patient": self.patient, "slice": self.index, "dice": self.dice}
        return {**fixed, **self.signals}


@dataclass(frozen=True)
class Assessment:
    """How well a signal ranks slices by their true Dice; every interval is over patients.

    Parameters
    ----------
    correlation:
        Spearman's correlation of trust and Dice, positive for a useful signal whichever way the signal itself points.
    found:
        The part of the worst fifth that is found in the fifth of slices that the signal trusts least; chance finds 0.2.
    area:
        The mean part found over all numbers of slices looked at: 0.5 by chance, 0.9 at best.
    slices, over:
        Slices there were, and what `Interval.n` counts.
    """

    signal: str
    correlation: Interval
    found: Interval
    area: float
    slices: int
    over: str = "patients"

    def to_dict(self) -> dict[str, Any]:
        """Plain types; NaN is None."""
        return {
            "signal": self.signal,
            "slices": self.slices,
            "over": self.over,
            "spearman": self.correlation.to_dict(),
            "found_in_first_fifth": self.found.to_dict(),
            "area_under_review_curve": None if math.isnan(self.area) else self.area,
        }


def signals_for(card: Card) -> tuple[str, ...]:
    """All signals that this model can give."""
    return SIGNALS if card.discriminator is not None else tuple(n for n in SIGNALS if n not in DISCRIMINATOR_SIGNALS)


def evaluate_with_review(
    predictor: Predictor,
    dataset: Dataset,
    cases: Sequence[str],
    *,
    view: SliceView | None = None,
    signals: Sequence[str] | None = None,
    report: Report | None = None,
) -> tuple[list[CaseScore], list[SliceRecord]]:
    """As `evaluation.evaluate`, and a record of every slice with foreground in mask or reference.

    Parameters
    ----------
    signals:
        Which; None takes all that the model can give.
    """
    names = signals_for(predictor.card) if signals is None else tuple(signals)
    scores: list[CaseScore] = []
    records: list[SliceRecord] = []
    for case, result, reference in segment_cases(
        predictor, dataset, cases, view or SliceView(), signals=names, report=report
    ):
        scores.append(score_case(case, result.labelmap.array, reference, result.labelmap.segments))
        records += slice_records(case, result, reference)
    return scores, records


def slice_records(case: Case, result: Result, reference: Labels) -> Iterable[SliceRecord]:
    """The slices of a segmented case with foreground in mask or reference ``(z, y, x)``, with their signals."""
    masks = np.moveaxis(result.labelmap.array, result.slice_axis, 0)
    truths = np.moveaxis(reference, result.slice_axis, 0)
    values = [segment.value for segment in result.labelmap.segments]
    for index, (mask, truth) in enumerate(zip(masks, truths, strict=True)):
        dice = _slice_dice(mask, truth, values)
        if not math.isnan(dice):
            signals = {name: each[index] for name, each in result.signals.items()}
            yield SliceRecord(case.id, case.patient, index, dice, signals, unit_of(case))


def assess(records: Sequence[SliceRecord], signal: str, *, n_resamples: int = _RESAMPLES) -> Assessment:
    """How well a signal ranks the slices; NaN where there is nothing to rank."""
    sign = -1.0 if signal in LOWER_IS_BETTER else 1.0
    trust = np.array([sign * record.signals[signal] for record in records], dtype=np.float64)
    dice = np.array([record.dice for record in records], dtype=np.float64)
    patients = [record.patient for record in records]

    def found(one: npt.NDArray[np.float64], two: npt.NDArray[np.float64]) -> float:
        return found_share(one, two, REVIEWED, REVIEWED)

    return Assessment(
        signal,
        bootstrap_by_patient(spearman, trust, dice, patients, n_resamples=n_resamples),
        bootstrap_by_patient(found, trust, dice, patients, n_resamples=n_resamples),
        area_under_review_curve(trust, dice) if len(trust) else math.nan,
        len(records),
        " and ".join(sorted({record.over for record in records})) or "patients",
    )


def assess_all(records: Sequence[SliceRecord], *, n_resamples: int = _RESAMPLES) -> list[Assessment]:
    """Every signal of the records, the best first."""
    names = list(dict.fromkeys(name for record in records for name in record.signals))
    assessed = [assess(records, name, n_resamples=n_resamples) for name in names]
    return sorted(assessed, key=lambda each: -_rank(each))


def review_fact(assessments: Sequence[Assessment], dataset: str) -> ReviewFact | None:
    """What a card may say: the best signal and how good it is; None if none is known to be better than chance.

    The best of several on the same slices looks better than it is; `dataset` says where it was chosen.
    """
    best = max(assessments, key=_rank, default=None)
    if best is None or not _rank(best) > 0:
        return None
    low, high = best.correlation.low, best.correlation.high
    return ReviewFact(
        signal=best.signal,
        spearman=round(best.correlation.mean, 4),
        ci95=None if math.isnan(low) else (round(low, 4), round(high, 4)),
        n=best.correlation.n,
        dataset=dataset,
    )


def _rank(assessment: Assessment) -> float:
    value = assessment.correlation.mean
    return -1.0 if math.isnan(value) else value


def _slice_dice(mask: Labels, truth: Labels, values: Sequence[int]) -> float:
    """The mean Dice of the structures that are in mask or reference of a slice; NaN where none is."""
    each = [count_overlap(mask == value, truth == value).dice for value in values]
    known = [dice for dice in each if not math.isnan(dice)]
    return float(np.mean(known)) if known else math.nan
