"""What `ganseg evaluate` leaves in a folder: tables, one JSON document, and a page with plots and the worst cases.

``cases.csv`` has a row a case (and structure), ``slices.csv`` a row a slice where review was measured, ``summary.json``
everything. ``report.html`` holds all it shows; its pictures show patients, so it stays where the data may be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ...inference import Predictor
from ...inference.plausibility import LOWER_IS_BETTER
from ...metrics import ROW_HAUSDORFF_NOTE
from ...metrics.ranking import review_curve
from ...reports import Strip, overlay_montage, write_csv, write_json
from ...reports.page import (
    Markup,
    details,
    figures,
    heading,
    line_plot,
    page,
    paragraph,
    picture,
    section,
    strip_plot,
    table,
    write_page,
)
from ...volumes import Labelmap
from ..preset import Preset
from .evaluate import (
    CaseScore,
    Difference,
    Summary,
    amount,
    paired_difference,
    patient_means,
    segment_cases,
    summarise,
)
from .measured import Measured
from .references import case_volume, reference_view
from .review import REVIEWED, Assessment, SliceRecord
from .seen import ROLE_WORDS, Role

WORST: Final = 4
"""Cases shown as pictures."""

_PANELS: Final = 4

SCORE_WORDS: Final = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "rvd": "relative volume difference",
    "hd_mm": "HD, mm",
    "hd95_mm": "HD95, mm",
    "assd_mm": "ASSD, mm",
    "masd_mm": "MASD, mm",
    "chaos_score": "CHAOS score",
    "slice_dice": "Dice of a slice",
    "slice_iou": "IoU of a slice",
    "slice_row_hausdorff": 'row "Hausdorff" of a slice',
}

Pictures = Sequence[tuple[str, bytes]]


def write_evaluation(measured: Measured, folder: Path, pictures: Pictures = ()) -> Path:
    """Write all files into a folder, each whole or not at all; returns the page.

    Raises
    ------
    GANSegmentationError
        ``write_failed``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_csv([row for score in measured.scores for row in score.rows()], folder / "cases.csv")
    if measured.rival is not None:
        rows = [row for score in measured.rival.scores for row in score.rows()]
        write_csv(rows, folder / "cases_against.csv")
    if measured.records:
        write_csv([record.row() for record in measured.records], folder / "slices.csv")
    write_json(measured.to_dict(), folder / "summary.json")
    return write_page(folder / "report.html", report_html(measured, pictures))


def worst_cases(scores: Sequence[CaseScore], count: int = WORST) -> list[CaseScore]:
    """The cases with the lowest Dice, lowest first; of each patient only the worst one."""
    known = sorted((score for score in scores if not math.isnan(score.dice)), key=lambda each: each.dice)
    first: dict[str, CaseScore] = {}
    for score in known:
        first.setdefault(score.patient, score)
    return list(first.values())[:count]


def worst_pictures(
    measured: Measured,
    preset: Preset | None = None,
    *,
    count: int = WORST,
    device: str = "auto",
    report: Callable[[int, int, str], None] | None = None,
) -> list[tuple[str, bytes]]:
    """The worst cases as pictures (PNG) with their captions: their worst slices, mask and reference over the scan."""
    chosen = worst_cases(measured.scores, count)
    dataset, view = measured.dataset, reference_view(measured.package, measured.dataset, preset)
    predictor = Predictor(measured.package, device)
    names = [score.case for score in chosen]
    shown = []
    for score, (case, result, reference) in zip(
        chosen, segment_cases(predictor, dataset, names, view, report=report), strict=True
    ):
        volume = case_volume(dataset, case)
        truth = Labelmap(reference, volume.geometry, result.labelmap.segments)
        mask = Labelmap(result.labelmap.array, volume.geometry, result.labelmap.segments)
        png = overlay_montage(
            volume,
            mask,
            truth,
            indices=_worst_slices(result.labelmap.array, reference, _PANELS),
            views=(),
            columns=2,
            window=measured.package.card.intensity.range,  # what the model sees: lungs are black in another
            title=case.id,
            measured=case.spacing_zyx is not None,
        )
        role = ROLE_WORDS[measured.roles[case.patient]]
        shown.append((f"{case.id} (patient {case.patient}, {role}): Dice {score.dice:.4f}", png))
    return shown


def report_html(measured: Measured, pictures: Pictures = ()) -> str:
    """The page; it refers to nothing outside of itself."""
    card, rival = measured.package.card, measured.rival
    title = f"{card.title} {card.version}" + (f" against {rival.package.card.title}" if rival else "")
    parts = [
        _headline(measured),
        section("Who was measured", *_who(measured)),
        section("Scores", *_scores(measured)),
        section("Every patient", *_every_patient(measured)),
        section("Difference of the two models", *_difference(measured)),
        section("Slices to review", *_review(measured)),
        section("Worst cases", *_worst(pictures)),
        section("Slice by slice, as the seeds did it", *_slicewise(measured)),
        section("Every case", _cases(measured)),
        section("How to read this", *_READING),
    ]
    slices = sum(score.slices for score in measured.scores)
    subtitle = f"{card.id}, {len(measured.scores)} cases, {slices} slices, dataset {measured.dataset.fingerprint[:16]}"
    return page(title, parts, subtitle=subtitle)


def _headline(measured: Measured) -> Markup:
    facts = {}
    for each in measured.summary:
        if each.score == "dice" and not each.label:
            facts[f"Dice, {each.source}, mean over {each.amount}"] = f"{each.interval.mean:.4f}"
    return figures(facts)


def _who(measured: Measured) -> Iterable[str]:
    yield from _roles(measured.package.card.title, measured.roles)
    if measured.rival is not None:
        yield from _roles(measured.rival.package.card.title, measured.rival.roles)
    sources = sorted({score.source for score in measured.scores})
    rows = []
    for source in sources:
        members = [score for score in measured.scores if score.source == source]
        patients = {score.patient for score in members}
        over = members[0].over
        slices = sum(score.slices for score in members)
        rows.append((source, amount(len(patients), over), len(members), slices))
    yield table(["source", "n", "cases", "slices"], rows)


def _roles(title: str, roles: dict[str, Role]) -> Iterable[str]:
    """How many had which part, and a warning where a figure would be too good."""
    groups: dict[Role, list[str]] = {}
    for patient, role in roles.items():
        groups.setdefault(role, []).append(patient)
    if "trained" in groups:
        text = f"{title}: {len(groups['trained'])} of {len(roles)} were trained on; their scores measure memory."
        yield paragraph(text, "warning")
    if "unknown" in groups:
        text = f"{title}: nobody can tell which of {len(groups['unknown'])} took part in training."
        yield paragraph(f"{text} Every score may be too good.", "warning")
    if "validated" in groups:
        yield paragraph(
            f"{title}: {len(groups['validated'])} of {len(roles)} are validation patients; weights and post-processing "
            "were chosen by such, so that their scores may be a little too good."
        )
    if "other source" in groups:
        yield paragraph(
            f"{title}: {len(groups['other source'])} of {len(roles)} are of sources that the card does not name among "
            "its training data."
        )
    if set(groups) == {"not seen"}:
        yield paragraph(f"{title}: none of the {len(roles)} took part in training.", "fine")


def _scores(measured: Measured) -> Iterable[str]:
    own = [each for each in measured.summary if not each.label]
    by_label = [each for each in measured.summary if each.label]
    yield _summary_table(own)
    if by_label:
        yield heading("Structure by structure")
        yield _summary_table(by_label, labels=True)


def _summary_table(summaries: Sequence[Summary], *, labels: bool = False) -> Markup:
    columns = ["source", *(["structure"] if labels else []), "score", "mean", "95 % interval", "n", "left out"]
    rows = [
        (
            each.source,
            *([each.label] if labels else []),
            SCORE_WORDS[each.score],
            each.interval.mean,
            interval_words(each.interval.low, each.interval.high),
            each.amount,
            f"{each.infinite} without a finite value" if each.infinite else "",
        )
        for each in summaries
    ]
    return table(columns, rows, words=(0, 1, 2, 6) if labels else (0, 1, 5), digits=4)


def _every_patient(measured: Measured) -> Iterable[str]:
    strips = []
    models = [(measured.package.card.id, measured.scores)]
    if measured.rival is not None:
        models.append((measured.rival.package.card.id, measured.rival.scores))
    for source in sorted({score.source for score in measured.scores}):
        for colour, (name, scores) in enumerate(models):
            means = patient_means([score for score in scores if score.source == source], "dice")
            summary = next((each for each in summarise(scores, ["dice"]) if each.source == source), None)
            interval = None if summary is None else (summary.interval.low, summary.interval.high)
            mean = None if summary is None else summary.interval.mean
            below = name if len(models) > 1 else ""
            strips.append(Strip(source, list(means.values()), list(means), mean, interval, colour, below))
    over = measured.scores[0].over if measured.scores else "patients"
    yield strip_plot(strips, title=f"Dice, one dot for each of the {over}", y_label="Dice")


def _difference(measured: Measured) -> Iterable[str]:
    rival = measured.rival
    if rival is None:
        return
    first, second = measured.package.card, rival.package.card
    yield paragraph(f"{first.title} ({first.id}) minus {second.title} ({second.id}), over the same patients.")
    rows = [_difference_row(each) for each in rival.differences]
    columns = ["source", "score", "mean", "95 % interval", "n", "better", "worse", "Wilcoxon p", "remarks"]
    yield table(columns, rows, words=(0, 1, 8), digits=4)
    yield paragraph(
        "An interval that holds 0 shows no difference. Many scores were compared: of twenty without any difference, "
        "one falls below p = 0.05 by chance.",
        "soft",
    )
    strips = []
    for source in sorted({score.source for score in measured.scores}):
        one = patient_means([score for score in measured.scores if score.source == source], "dice")
        two = patient_means([score for score in rival.scores if score.source == source], "dice")
        values = {patient: one[patient] - two[patient] for patient in one if patient in two}
        found = paired_difference(measured.scores, rival.scores, source)
        strips.append(Strip(source, list(values.values()), list(values), found.mean, (found.low, found.high)))
    title = f"Dice of {first.id} minus {second.id}"
    yield strip_plot(strips, title=title, y_label="difference of Dice", zero=True, height=320)


def _difference_row(each: Difference) -> tuple[object, ...]:
    test = each.test
    remarks = [] if test.method == "exact" else ["normal approximation"]
    if test.zeros:
        remarks.append(f"{test.zeros} without difference left out")
    if test.ties:
        remarks.append("ties share ranks")
    if test.smallest_p > 0.05:
        remarks.append(f"never below {test.smallest_p:.3g} with so few")
    return (
        each.source,
        SCORE_WORDS[each.score],
        each.interval.mean,
        interval_words(each.interval.low, each.interval.high),
        amount(each.interval.n, each.over),
        each.better,
        each.worse,
        f"{test.p_value:.3g}",
        "; ".join(remarks),
    )


def _review(measured: Measured) -> Iterable[str]:
    if not measured.assessments:
        return
    best = measured.assessments[0]
    yield paragraph(
        f"{best.slices} slices with foreground in mask or reference, of {amount(best.correlation.n, best.over)}. For "
        "each signal: how well its order is that of the slices' true Dice, and how many of the worst fifth are found "
        f"by looking at the fifth that it trusts least (chance: {REVIEWED:g}). Intervals are over {best.over}."
    )
    yield table(
        ["signal", "Spearman", "95 % interval", "found in the first fifth", "95 % interval", "area under the curve"],
        [_review_row(each) for each in measured.assessments],
        digits=3,
    )
    yield paragraph("The best of several on the same slices looks better than it is.", "soft")
    curves = {each.signal: _curve(measured.records, each) for each in measured.assessments}
    curves["chance"] = ([0.0, 1.0], [0.0, 1.0])
    yield line_plot(
        curves,
        title="Worst fifth of the slices that is found",
        x_label="part of the slices looked at",
        y_label="part found",
        y_range=(0.0, 1.0),
        height=400,
    )


def _review_row(each: Assessment) -> tuple[object, ...]:
    return (
        each.signal,
        each.correlation.mean,
        interval_words(each.correlation.low, each.correlation.high, 3),
        each.found.mean,
        interval_words(each.found.low, each.found.high, 3),
        each.area,
    )


def _curve(records: Sequence[SliceRecord], assessment: Assessment) -> tuple[list[float], list[float]]:
    """The part found over the part looked at, in steps that an eye can see."""
    sign = -1.0 if assessment.signal in LOWER_IS_BETTER else 1.0
    trust = np.array([sign * record.signals[assessment.signal] for record in records])
    shares, found = review_curve(trust, np.array([record.dice for record in records]), REVIEWED)
    steps = np.linspace(0, 1, 101)
    return steps.tolist(), np.interp(steps, shares, found).tolist()


def _worst(pictures: Pictures) -> Iterable[str]:
    if pictures:
        yield paragraph("The worst case of each of the worst patients; their worst slices.")
    for caption, png in pictures:
        yield picture(png, caption)


def _slicewise(measured: Measured) -> Iterable[str]:
    summaries = measured.slice_summary
    if not summaries:
        return
    rows = [
        (
            each.source,
            SCORE_WORDS[each.score],
            each.interval.mean,
            interval_words(each.interval.low, each.interval.high),
            each.slices,
            each.amount,
        )
        for each in summaries
    ]
    columns = ["source", "score", "mean over slices", "95 % interval", "slices", "n"]
    yield table(columns, rows, words=(0, 1), digits=4)
    yield paragraph(
        "Means over all slices with foreground in the reference; slices without are left out, whatever was found "
        "there, and where nothing was found the overlap is 0. The interval comes from samples of patients."
    )
    yield paragraph(f'The row "Hausdorff" is {ROW_HAUSDORFF_NOTE}.', "warning")


def _cases(measured: Measured) -> Markup:
    names = [name for name in SCORE_WORDS if not name.startswith("slice_")]
    names = [name for name in names if any(getattr(score, name) is not None for score in measured.scores)]
    rows = [
        (
            score.case,
            score.patient,
            score.source,
            measured.roles[score.patient],
            score.slices,
            *(getattr(score, name) for name in names),
        )
        for score in sorted(measured.scores, key=lambda each: (math.isnan(each.dice), each.dice))
    ]
    columns = ["case", "patient", "source", "part in training", "slices", *(SCORE_WORDS[name] for name in names)]
    return details(f"{len(rows)} cases, the worst first", table(columns, rows, words=range(4)))


def _worst_slices(mask: Any, reference: Any, count: int) -> list[int]:
    """The slices with the most wrong voxels, from head to foot; the one with the largest area where none is wrong."""
    wrong = np.count_nonzero(mask != reference, axis=(1, 2))
    if not wrong.any():
        return [int(np.argmax(np.count_nonzero(reference, axis=(1, 2))))]
    order = [int(index) for index in np.argsort(-wrong, kind="stable")[:count] if wrong[index]]
    return sorted(order, reverse=True)


def interval_words(low: float, high: float, digits: int = 4) -> str:
    """``0.9012 to 0.9450``; a dash where there is no interval."""
    return "–" if math.isnan(low) or math.isnan(high) else f"{low:.{digits}f} to {high:.{digits}f}"


_MEANS: Final = (
    "Means are over patients, one value each: the mean over the patient's cases. n says over how many, and over what; "
    "slices of one patient are never counted as independent. Intervals are 95 % bootstrap intervals (BCa, 10,000 "
    "samples). A case where both mask and reference are empty has no score and is left out; where one of them is, the "
    "overlap is 0 and there is no distance."
)
_DISTANCES: Final = (
    "Surface distances are in millimetres and given only where the voxel spacing is known. HD95 is the larger of the "
    "two directed 95th percentiles, ASSD pools both surfaces, MASD is the mean of the two directed means; the CHAOS "
    "score follows the challenge's own code."
)
_TWO_MODELS: Final = (
    "Two models: the bootstrap resamples the patients' differences; Wilcoxon's test ranks them, exactly for up to 50 "
    "differences. Patients without a difference are left out of the test and counted."
)
_READING: Final = (_MEANS, _DISTANCES, _TWO_MODELS)
