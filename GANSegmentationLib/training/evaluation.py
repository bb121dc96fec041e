"""How good a model package is on prepared cases: the very way a user's scan goes, per patient."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..datasets.dataset import Case, Dataset
from ..inference import Predictor
from ..metrics import Interval, bootstrap_mean, bootstrap_paired_difference, chaos_scores, score_masks
from ..models import PostProcessing
from ..volumes import Geometry, Volume


@dataclass(frozen=True)
class CaseScore:
    """The scores of one case; millimetres only where the case has a voxel spacing."""

    case: str
    patient: str
    source: str
    slices: int
    dice: float
    iou: float
    precision: float
    recall: float
    rvd: float
    hd_mm: float | None = None
    hd95_mm: float | None = None
    assd_mm: float | None = None
    chaos_score: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)


@dataclass(frozen=True)
class Summary:
    """The mean of one score over the patients of a source (``"all"`` for all), with its bootstrap interval."""

    source: str
    score: str
    interval: Interval


def case_volume(dataset: Dataset, case: Case) -> Volume:
    """A prepared case as a scan, values in the case's unit; pixels of 1 mm where the spacing is unknown."""
    values = dataset.images(case).astype(np.float32) * np.float32(case.slope) + np.float32(case.intercept)
    spacing = case.spacing_zyx or (1.0, 1.0, 1.0)
    geometry = Geometry(size=(case.shape[1], case.shape[0], case.slices), spacing=(spacing[2], spacing[1], spacing[0]))
    return Volume(values, geometry, case.modality, case.id)


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    cases: Sequence[str],
    *,
    postprocessing: PostProcessing | None = None,
    report: Callable[[int, int, str], None] | None = None,
) -> list[CaseScore]:
    """The scores of each case, all foreground labels as one, at the stored resolution.

    Volumes are cleaned as the card says. Cases of single slices are not: slices that lie far apart touch in the stack
    but not in the patient, and the largest component would delete what is right.

    Parameters
    ----------
    predictor:
        The package on its device; the same one that segments a user's scan.
    postprocessing:
        What cleans volumes instead of what the card says.
    report:
        Called as ``report(done, total, case)`` before each case.
    """
    scores = []
    for done, name in enumerate(cases):
        if report is not None:
            report(done, len(cases), name)
        case = dataset.by_id[name]
        # The unit of a prepared case is known, so a modality check would only repeat what the preset said.
        cleaning = postprocessing if case.is_volume else PostProcessing()
        result = predictor.segment([case_volume(dataset, case)], force=True, postprocessing=cleaning)
        scores.append(_score(case, result.labelmap.array > 0, np.asarray(dataset.masks(case)) > 0))
    return scores


def _score(case: Case, mask: np.ndarray[Any, Any], reference: np.ndarray[Any, Any]) -> CaseScore:
    both = score_masks(mask, reference, case.spacing_zyx or (1.0, 1.0, 1.0))
    known = case.spacing_zyx is not None
    chaos = chaos_scores(mask, reference, case.spacing_zyx) if case.spacing_zyx is not None else None
    return CaseScore(
        case=case.id,
        patient=case.patient,
        source=case.source,
        slices=case.slices,
        dice=both.dice,
        iou=both.iou,
        precision=both.precision,
        recall=both.recall,
        rvd=both.rvd,
        hd_mm=both.hd_mm if known else None,
        hd95_mm=both.hd95_mm if known else None,
        assd_mm=both.assd_mm if known else None,
        chaos_score=None if chaos is None else chaos.score,
    )


def summarise(scores: Sequence[CaseScore], names: Sequence[str] = ("dice", "iou")) -> list[Summary]:
    """Mean and 95 % bootstrap interval of each score, for each source and for all patients together.

    One value a patient: the mean over the patient's cases. Cases whose score is not a number (nothing there and nothing
    found) are left out.
    """
    groups = {source: [score for score in scores if score.source == source] for source in _sources(scores)}
    if len(groups) > 1:
        groups["all"] = list(scores)
    summaries = []
    for source, members in groups.items():
        for name in names:
            means = patient_means(members, name)
            if means:
                summaries.append(Summary(source, name, bootstrap_mean(list(means.values()))))
    return summaries


def patient_means(scores: Sequence[CaseScore], name: str) -> dict[str, float]:
    """One value a patient: the mean of a score over the patient's cases, without those where it is not a number."""
    values: dict[str, list[float]] = {}
    for score in scores:
        value = getattr(score, name)
        if value is not None and not math.isnan(value):
            values.setdefault(score.patient, []).append(value)
    return {patient: float(np.mean(each)) for patient, each in values.items()}


def _sources(scores: Sequence[CaseScore]) -> list[str]:
    return sorted({score.source for score in scores})


def paired_difference(ours: Sequence[CaseScore], theirs: Sequence[CaseScore], source: str | None = None) -> Interval:
    """The mean difference of Dice, ours minus theirs, over the patients of the same cases, with its 95 % interval.

    Cases that only one side has, or where either Dice is not a number, are left out of both; n = 0 and NaN where that
    leaves nobody.
    """
    known = {score.case for score in theirs if not math.isnan(score.dice)}
    first = [
        score for score in ours if score.case in known and source in (None, score.source) and not math.isnan(score.dice)
    ]
    cases = {score.case for score in first}
    one = patient_means(first, "dice")
    two = patient_means([score for score in theirs if score.case in cases], "dice")
    return bootstrap_paired_difference(list(one.values()), [two[patient] for patient in one])
