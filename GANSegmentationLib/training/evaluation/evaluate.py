"""How good a model package is on prepared cases: the very way a user's scan goes, per patient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...datasets.dataset import Case, Dataset
from ...datasets.slices import SliceView
from ...inference import Predictor, Result
from ...metrics import (
    Interval,
    SignedRanks,
    bootstrap_by_patient,
    bootstrap_mean,
    bootstrap_paired_difference,
    score_masks,
    slicewise,
    wilcoxon_signed_rank,
)
from ...models import PostProcessing
from ...volumes import Segment
from .references import case_volumes

SCORES: Final = ("dice", "iou", "precision", "recall", "rvd", "hd_mm", "hd95_mm", "assd_mm", "masd_mm", "chaos_score")
"""Every score of a case, millimetres and the CHAOS score only where the voxel spacing is known."""

SLICE_SCORES: Final = ("dice", "iou", "row_hausdorff")
"""The seeds' scores of single slices; the last is no distance, see `metrics.legacy`."""

LOWER_IS_BETTER: Final = frozenset({"rvd", "hd_mm", "hd95_mm", "assd_mm", "masd_mm"})

Masks = npt.NDArray[np.uint8]
Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class LabelScore:
    """The scores of one structure of a case; millimetres only where the case has a voxel spacing.

    ``status`` and the meaning of the scores are those of `metrics.Scores`.
    """

    label: int
    name: str
    status: str
    dice: float
    iou: float
    precision: float
    recall: float
    rvd: float
    hd_mm: float | None = None
    hd95_mm: float | None = None
    assd_mm: float | None = None
    masd_mm: float | None = None
    chaos_score: float | None = None


@dataclass(frozen=True)
class CaseScore:
    """The scores of one case; millimetres only where the case has a voxel spacing.

    Parameters
    ----------
    slices:
        Slices of the case.
    labels:
        The structures one by one, of a model that has several; then the case's own scores are the means over those
        that are in mask or reference.
    scored_slices:
        Slices with foreground in the reference.
    slice_dice, slice_iou, slice_row_hausdorff:
        Means over these slices, the seeds' way (any structure); None without such a slice. The last is no distance.
    over:
        What `patient` counts: ``"patients"``, or ``"blocks of sections"`` of one specimen.
    """

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
    masd_mm: float | None = None
    labels: tuple[LabelScore, ...] = ()
    scored_slices: int = 0
    slice_dice: float | None = None
    slice_iou: float | None = None
    slice_row_hausdorff: float | None = None
    over: str = "patients"

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The case as rows of a table: itself, then each structure where there are several."""
        own = {key: value for key, value in self.to_dict().items() if key not in ("labels", "over")}
        yield {"case": own.pop("case"), "label": "all" if self.labels else "", **own}
        for each in self.labels:
            shared = {"case": self.case, "label": each.name, "patient": self.patient, "source": self.source}
            yield {**shared, "slices": self.slices, **{name: getattr(each, name) for name in ("status", *SCORES)}}


@dataclass(frozen=True)
class Summary:
    """The mean of one score over the patients of a source (``"all"`` for all), with its bootstrap interval.

    Parameters
    ----------
    label:
        The structure; empty for the case's own scores.
    over:
        What `Interval.n` counts.
    slices:
        The slices that they have together.
    infinite:
        Patients left out because nothing was found (or nothing was there), so that no distance exists.
    """

    source: str
    score: str
    interval: Interval
    label: str = ""
    over: str = "patients"
    slices: int = 0
    infinite: int = 0

    @property
    def amount(self) -> str:
        """What the mean is over, in words."""
        return amount(self.interval.n, self.over)

    def to_dict(self) -> dict[str, Any]:
        """Plain types; NaN is None."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "interval"}
        return {**own, **self.interval.to_dict()}


@dataclass(frozen=True)
class Difference:
    """One score of two models on the same patients, the first minus the second.

    Parameters
    ----------
    interval:
        Mean difference with its paired bootstrap interval.
    test:
        Wilcoxon's signed-rank test of the same differences.
    better, worse:
        Patients whom the first model scores better, and worse.
    """

    source: str
    score: str
    interval: Interval
    test: SignedRanks
    better: int
    worse: int
    over: str = "patients"

    def to_dict(self) -> dict[str, Any]:
        """Plain types; NaN is None."""
        return {
            "source": self.source,
            "score": self.score,
            "over": self.over,
            **self.interval.to_dict(),
            "better": self.better,
            "worse": self.worse,
            "wilcoxon": self.test.to_dict(),
        }


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    cases: Sequence[str],
    *,
    view: SliceView | None = None,
    postprocessing: PostProcessing | None = None,
    report: Report | None = None,
) -> list[CaseScore]:
    """The scores of each case at the stored resolution.

    Volumes are cleaned as the card says. Cases of single slices are not: slices that lie far apart touch in the stack
    but not in the patient, and the largest component would delete what is right.

    Parameters
    ----------
    predictor:
        The package on its device; the same one that segments a user's scan. A model with domains is told the case's
        modality.
    view:
        What the dataset's labels are to the model (`references.reference_view`); None takes them as they are. For a
        network with one logit all of them are one foreground.
    postprocessing:
        What cleans volumes instead of what the card says.
    report:
        Called as ``report(done, total, case)`` before each case.
    """
    view = view or SliceView()
    return [
        score_case(case, result.labelmap.array, reference, result.labelmap.segments)
        for case, result, reference in segment_cases(
            predictor, dataset, cases, view, postprocessing=postprocessing, report=report
        )
    ]


def segment_cases(
    predictor: Predictor,
    dataset: Dataset,
    cases: Sequence[str],
    view: SliceView,
    *,
    postprocessing: PostProcessing | None = None,
    signals: Sequence[str] = (),
    report: Report | None = None,
) -> Iterator[tuple[Case, Result, Masks]]:
    """Segment cases one after the other, as `evaluate` does: each with what was found and its reference.

    The reference ``(z, y, x)`` holds the model's label values. `signals` are passed on to `Predictor.segment`.
    """
    several = len(predictor.package.labels) > 1
    for done, name in enumerate(cases):
        if report is not None:
            report(done, len(cases), name)
        case = dataset.by_id[name]
        # The unit of a prepared case is known, so a modality check would only repeat what the preset said.
        result = predictor.segment(
            case_volumes(dataset, case, view),
            domain=case.modality if predictor.card.domains else None,
            force=True,
            postprocessing=postprocessing if case.is_volume else PostProcessing(),
            signals=signals,
        )
        reference = view.remap(np.asarray(dataset.masks(case)))
        yield case, result, reference if several else (reference > 0).astype(np.uint8)


def score_case(case: Case, mask: Masks, reference: Masks, segments: Sequence[Segment]) -> CaseScore:
    """The scores of a mask ``(z, y, x)`` of label values against its reference of the same values."""
    labels = tuple(_score_label(case, mask, reference, segment) for segment in segments)
    slices = slicewise(mask > 0, reference > 0)
    means: dict[str, Any] = {
        f"slice_{name}": float(values.mean()) if len(values) else None
        for name, values in slices.items()
        if name in SLICE_SCORES
    }
    return CaseScore(
        case=case.id,
        patient=case.patient,
        source=case.source,
        slices=case.slices,
        labels=labels if len(labels) > 1 else (),
        scored_slices=len(slices["dice"]),
        over=unit_of(case),
        **{name: _mean([getattr(label, name) for label in labels]) for name in SCORES},
        **means,
    )


def unit_of(case: Case) -> str:
    """What the case's `patient` is one of: electron micrographs have blocks of sections of one specimen instead."""
    return "blocks of sections" if case.source.startswith("em_") else "patients"


def amount(n: int, over: str) -> str:
    """``7 patients``, ``1 patient``, ``1 block of sections``."""
    return f"{n} {over}" if n != 1 else f"1 {over.replace('patients', 'patient').replace('blocks', 'block')}"


def summarise(
    scores: Sequence[CaseScore], names: Sequence[str] = ("dice", "iou"), *, by_label: bool = False
) -> list[Summary]:
    """Mean and 95 % bootstrap interval of each score, for each source and for all patients together.

    One value a patient: the mean over the patient's cases. Cases whose score is not a number (nothing there and nothing
    found) are left out; so are, counted, patients with an infinite one.

    Parameters
    ----------
    names:
        Which of `SCORES`.
    by_label:
        Also for each structure of a model that has several.
    """
    summaries = []
    for source, members in _groups(scores).items():
        for label in ("", *(_label_names(members) if by_label else ())):
            for name in names:
                summary = _summary(members, source, name, label)
                if summary is not None:
                    summaries.append(summary)
    return summaries


def slice_summaries(scores: Sequence[CaseScore]) -> list[Summary]:
    """The seeds' slice-wise scores: the mean over all slices with foreground in the reference, of each source.

    A slice without reference counts for nothing, whatever was found there; one with reference where nothing was found
    has the overlap 0. Every slice weighs the same, so that patients with many weigh more; the interval comes from
    samples of patients all the same, and `Interval.n` counts those.
    """
    summaries = []
    for source, members in _groups(scores).items():
        counted = [score for score in members if score.scored_slices]
        weights = np.array([score.scored_slices for score in counted], dtype=np.float64)
        patients = [score.patient for score in counted]
        for name in SLICE_SCORES:
            values = np.array([getattr(score, f"slice_{name}") for score in counted], dtype=np.float64)
            interval = bootstrap_by_patient(_weighted_mean, values * weights, weights, patients)
            if counted:
                over, slices = _over(counted), int(weights.sum())
                summaries.append(Summary(source, f"slice_{name}", interval, over=over, slices=slices))
    return summaries


def patient_means(scores: Sequence[CaseScore], name: str, label: str = "") -> dict[str, float]:
    """One value a patient: the mean of a score over the patient's cases, without those where it is not a number."""
    values: dict[str, list[float]] = {}
    for score in scores:
        for holder in _holders(score, label):
            value = getattr(holder, name)
            if value is not None and not math.isnan(value):
                values.setdefault(score.patient, []).append(value)
    return {patient: float(np.mean(each)) for patient, each in values.items()}


def paired_difference(
    ours: Sequence[CaseScore], theirs: Sequence[CaseScore], source: str | None = None, name: str = "dice"
) -> Interval:
    """The mean difference of a score, ours minus theirs, over the patients of the same cases, with its 95 % interval.

    Cases that only one side has, or where either score is not a number, are left out of both; n = 0 and NaN where that
    leaves nobody.
    """
    return bootstrap_paired_difference(*_paired(ours, theirs, source, name))


def compare_models(
    ours: Sequence[CaseScore], theirs: Sequence[CaseScore], names: Sequence[str] = SCORES
) -> list[Difference]:
    """Every score of two models on the same patients: paired bootstrap interval and Wilcoxon's signed-rank test.

    Patients for whom either model has no finite score are left out of both.
    """
    differences = []
    for source, members in _groups(ours).items():
        for name in names:
            one, two = (np.array(values) for values in _paired(members, theirs, None, name))
            finite = np.isfinite(one) & np.isfinite(two)
            one, two = one[finite], two[finite]
            if not len(one):
                continue
            gains = _better(one, two, name)
            differences.append(
                Difference(
                    source,
                    name,
                    bootstrap_paired_difference(one, two),
                    wilcoxon_signed_rank(one, two),
                    better=int((gains > 0).sum()),
                    worse=int((gains < 0).sum()),
                    over=_over(members),
                )
            )
    return differences


def _better(one: npt.NDArray[np.float64], two: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.float64]:
    """By how much the first is better; a volume difference is better the nearer it is to 0."""
    if name == "rvd":
        one, two = np.abs(one), np.abs(two)
    return np.asarray(two - one if name in LOWER_IS_BETTER else one - two)


def _paired(
    ours: Sequence[CaseScore], theirs: Sequence[CaseScore], source: str | None, name: str
) -> tuple[list[float], list[float]]:
    """A score of both models, one value a patient, in the same order."""
    known = {score.case for score in theirs if _is_number(getattr(score, name))}
    first = [
        score
        for score in ours
        if score.case in known and source in (None, score.source) and _is_number(getattr(score, name))
    ]
    cases = {score.case for score in first}
    one = patient_means(first, name)
    two = patient_means([score for score in theirs if score.case in cases], name)
    return list(one.values()), [two[patient] for patient in one]


def _score_label(case: Case, mask: Masks, reference: Masks, segment: Segment) -> LabelScore:
    known = case.spacing_zyx is not None
    both = score_masks(
        mask == segment.value, reference == segment.value, case.spacing_zyx or (1.0, 1.0, 1.0), chaos=known
    )
    return LabelScore(
        label=segment.value,
        name=segment.name,
        status=both.status,
        dice=both.dice,
        iou=both.iou,
        precision=both.precision,
        recall=both.recall,
        rvd=both.rvd,
        hd_mm=both.hd_mm if known else None,
        hd95_mm=both.hd95_mm if known else None,
        assd_mm=both.assd_mm if known else None,
        masd_mm=both.masd_mm if known else None,
        chaos_score=None if both.chaos is None else both.chaos.score,
    )


def _mean(values: Sequence[float | None]) -> Any:
    """The mean over the structures that have the score; None where none of them can, NaN where nothing is there."""
    known = [value for value in values if value is not None]
    numbers = [value for value in known if not math.isnan(value)]
    if not known:
        return None
    return float(np.mean(numbers)) if numbers else math.nan


def _summary(members: Sequence[CaseScore], source: str, name: str, label: str) -> Summary | None:
    means = patient_means(members, name, label)
    finite = [value for value in means.values() if math.isfinite(value)]
    if not means:
        return None
    slices = sum(score.slices for score in members if score.patient in means)
    return Summary(
        source, name, bootstrap_mean(finite), label, _over(members), slices, infinite=len(means) - len(finite)
    )


def _groups(scores: Sequence[CaseScore]) -> Mapping[str, list[CaseScore]]:
    """The cases of each source, and of all where there are several."""
    sources = sorted({score.source for score in scores})
    groups = {source: [score for score in scores if score.source == source] for source in sources}
    if len(groups) > 1:
        groups["all"] = list(scores)
    return groups


def _label_names(scores: Sequence[CaseScore]) -> list[str]:
    return list(dict.fromkeys(label.name for score in scores for label in score.labels))


def _holders(score: CaseScore, label: str) -> Sequence[CaseScore | LabelScore]:
    return [each for each in score.labels if each.name == label] if label else [score]


def _over(scores: Sequence[CaseScore]) -> str:
    return " and ".join(sorted({score.over for score in scores}))


def _weighted_mean(sums: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    return float(sums.sum() / weights.sum()) if len(weights) else math.nan


def _is_number(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
