"""The report of a batch: one HTML file that holds everything, for the person who looks at the masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import __version__
from ..reports.histograms import histogram_svg
from ..reports.listing import SCRIPT, Column, Row, Value, cards_begin, cards_end, listing
from ..reports.listing import STYLE as LISTING_STYLE
from ..reports.page import (
    NARROW,
    Markup,
    details,
    figures,
    items,
    page_pieces,
    paragraph,
    section,
    side_by_side,
    strip_plot,
    table,
)
from ..reports.page import write_page as write_pieces
from ..reports.strips import Strip, strip_plot_svg
from .attention import FLAG_WORDS, Attention, attention
from .distributions import MEASURES, Distribution, distributions
from .outcome import CaseOutcome
from .report_cards import CARD_STYLE, case_card
from .sheets import ModelFacts, read_sheet

if TYPE_CHECKING:
    from .summary import BatchSummary

REPORT_HTML: Final = "report.html"

_TITLE: Final = "Segmentation report"
_FIRST: Final = 25
"""So many cases are listed to look at first; the table has all."""
_DOTS: Final = 60
"""Up to so many cases each has a dot; more make a histogram."""
_FEW_STRIPS: Final = 3
"""Up to so many structures stand side by side in a small plot."""
_STYLE: Final = (
    "main{max-width:1240px}.pair{grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr))}"
    ".key td:first-child{white-space:nowrap;min-width:0}"
    "@media print{:root{--ground:#fff}main{max-width:none;padding:0}section{break-inside:auto;border:0;padding:0}"
    ".cells div,.pair svg{break-inside:avoid}h2,h3{break-after:avoid}.wide{overflow:visible}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}"
)


def write_report(summary: BatchSummary, output: Path) -> Path:
    """Write `REPORT_HTML` into the output folder of a batch, with the pictures of this run and of earlier ones.

    Raises
    ------
    GANSegmentationError
        ``write_failed``.
    """
    pieces = page_pieces(
        _TITLE,
        _parts(summary, output),
        subtitle=f"Made {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC by GANSegmentation {__version__}",
        style=_STYLE + LISTING_STYLE + CARD_STYLE,
        script=SCRIPT,
    )
    return write_pieces(output / REPORT_HTML, pieces)


def _parts(summary: BatchSummary, output: Path) -> Iterator[Markup]:
    odd = attention(summary.cases)
    spread = distributions(summary.cases)
    ids = {case.case: f"case-{number}" for number, case in enumerate(summary.cases, start=1)}
    yield paragraph(
        "For research. Not a medical device: a qualified person has to review every mask before it is used.",
        "warning",
        lead="Intended use.",
    )
    yield figures(_headline(summary, odd, spread))
    yield _first_look(odd, ids)
    yield section("All cases together", _figures_table(spread), *_plots(spread))
    yield _models_and_settings(summary, output)
    yield _all_cases(summary, odd, ids)
    yield Markup("<h2>Case by case</h2>")
    yield cards_begin()
    for case in summary.cases:
        if case.status != "pending":
            yield case_card(case, ids[case.case], odd.get(case.case), read_sheet(output, case.case))
    yield cards_end()


def _headline(summary: BatchSummary, odd: Mapping[str, Attention], spread: Sequence[Distribution]) -> dict[str, str]:
    failed, pending = len(summary.of_status("failed")), len(summary.of_status("pending"))
    facts = {
        "cases": str(len(summary.cases)),
        "done": str(len(summary.of_status("done"))),
        "failed": str(failed),
        **({"pending": str(pending)} if pending else {}),
        "to look at": str(len(odd) - failed),
    }
    for each in spread:
        if each.measure == "dice":
            facts[f"median Dice, {each.structure}"] = f"{each.median:.3f}"
    return facts


def _first_look(odd: Mapping[str, Attention], ids: Mapping[str, str]) -> Markup:
    if not odd:
        return section("Look at these first", paragraph("Nothing is odd about any case.", "fine"))
    rows = [
        [Markup(f'<a href="#{ids[name]}">{escape(name)}</a>'), each.words + _error_words(each.case)]
        for name, each in list(odd.items())[:_FIRST]
    ]
    more = len(odd) - len(rows)
    rest = [paragraph(f"and {more} more, in the table below", "soft")] if more else []
    return section("Look at these first", table(["case", "why"], rows, words=(0, 1)), *rest)


def _error_words(case: CaseOutcome) -> str:
    return f": {case.error['message']}" if case.error else ""


def _figures_table(spread: Sequence[Distribution]) -> Markup:
    columns = ["structure", "measure", "n", "mean", "95 % interval", "median", "quartiles", "range"]
    rows: list[list[object]] = []
    for each in spread:
        heading, digits = MEASURES[each.measure]

        def shown(*values: float, digits: int = digits) -> str:
            return " to ".join(f"{value:.{digits}f}" for value in values)

        count = str(len(each.values)) + (f" ({each.left_out} without)" if each.left_out else "")
        interval = "–" if each.interval is None else shown(*each.interval)
        quartiles, extremes = shown(each.lower, each.upper), shown(each.lowest, each.highest)
        rows.append(
            [each.structure, heading, count, shown(each.mean), interval, shown(each.median), quartiles, extremes]
        )
    if not rows:
        return Markup("")
    note = "Intervals of the mean: bootstrap over cases, as if each were of another patient."
    return Markup(table(columns, rows, words=(0, 1)) + paragraph(note, "soft"))


def _plots(spread: Sequence[Distribution]) -> Iterator[Markup]:
    """For every measure dots of all structures, or histograms of each where there are many cases."""
    small, broad = [], []
    for measure, (heading, _) in MEASURES.items():
        there = [each for each in spread if each.measure == measure]
        strips = [
            Strip(each.structure, each.values, each.names, each.mean, each.interval, colour)
            for colour, each in enumerate(there)
        ]
        if max((len(each.values) for each in there), default=0) > _DOTS:
            small += [
                histogram_svg(each.values, title=f"{heading}: {each.structure}", mean=each.mean, interval=each.interval)
                for each in there
            ]
        elif len(strips) > _FEW_STRIPS:
            broad.append(strip_plot(strips, title=heading, height=300))
        elif strips:
            small.append(strip_plot_svg(strips, title=heading, width=NARROW, height=250))
    yield side_by_side(*map(Markup, small))
    yield from broad


def _models_and_settings(summary: BatchSummary, output: Path) -> Markup:
    parts = []
    for model in _models(summary, output):
        lines = {
            "Model": f"{model.title} ({model.id} {model.version}, {model.date})",
            "Made for": " or ".join(model.modalities),
            "Intended use": model.intended_use,
            "Limitations": model.limitations,
            "Weights' licence": model.weights_licence,
            "Weights": f"SHA-256 {model.weights_sha256}" if model.weights_sha256 else "",
        }
        parts.append(_key_table(lines))
        if model.measured:
            parts.append(details("Measured before", items(model.measured)))
    parts.append(details("Settings of the batch", _key_table(_setting_words(summary.settings))))
    return section("Model and settings", *parts)


def _models(summary: BatchSummary, output: Path) -> list[ModelFacts]:
    """The models of the masks; a case that has a sheet tells for all of its model."""
    found: dict[str, ModelFacts] = {}
    for case in summary.of_status("done"):
        if case.model not in found:
            sheet = read_sheet(output, case.case)
            if sheet is not None:
                found[case.model] = sheet.model
    return list(found.values())


def _setting_words(settings: Mapping[str, Any]) -> dict[str, str]:
    words = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            shown = " ".join(str(part) for part in value.values())
        elif isinstance(value, bool):
            shown = "yes" if value else "no"
        else:
            shown = "not given" if value is None else str(value)
        words[name.replace("_", " ")] = shown
    return words


def _key_table(lines: Mapping[str, str]) -> Markup:
    rows = [[name, text] for name, text in lines.items() if text]
    return Markup(f'<div class="key">{table(["", ""], rows, words=(0, 1))}</div>')


def _all_cases(summary: BatchSummary, odd: Mapping[str, Attention], ids: Mapping[str, str]) -> Markup:
    structures = list(dict.fromkeys(segment.name for case in summary.cases for segment in case.segments))
    scored = {row["name"] for case in summary.cases for row in case.scores or ()}
    # Of many structures, the details are in their cards.
    wanted = list(MEASURES) if len(structures) == 1 else ["volume_ml", "dice"]
    measured = {key for case in summary.cases for row in case.scores or () for key, value in row.items() if value}
    measures = [
        (name, key)
        for name in structures
        for key in wanted
        if key == "volume_ml" or (name in scored and key in measured)
    ]
    columns = [
        Column("case"),
        Column("status"),
        Column("look at"),
        *(
            Column(MEASURES[key][0] if len(structures) == 1 else f"{name} {MEASURES[key][0]}", MEASURES[key][1])
            for name, key in measures
        ),
        Column("warnings"),
        Column("s", 1),
    ]
    rows = [_case_row(case, odd.get(case.case), measures, ids[case.case]) for case in summary.cases]
    flags = dict.fromkeys(flag for each in odd.values() for flag in each.reasons)
    choices = {"odd": "those to look at"} | {flag: words for flag, words in FLAG_WORDS.items() if flag in flags}
    if summary.of_status("pending"):
        choices["pending"] = "pending"
    return section("Every case", listing(columns, rows, choices, what="cases"))


def _case_row(case: CaseOutcome, odd: Attention | None, measures: Sequence[tuple[str, str]], card: str) -> Row:
    reasons = list(odd.reasons) if odd is not None else []
    volumes = {segment.name: segment.volume_ml for segment in case.segments}
    scores = {row["name"]: row for row in case.scores or ()}
    numbers: list[Value] = [
        volumes.get(name) if key == "volume_ml" else scores.get(name, {}).get(key) for name, key in measures
    ]
    codes = dict.fromkeys(warning["code"].replace("_", " ") for warning in case.warnings)
    error = f": {case.error['code'].replace('_', ' ')}" if case.error else ""
    flags = ", ".join(flag.replace("_", " ") for flag in reasons if flag != "failed")
    return Row(
        card=card,
        values=[
            case.case,
            case.status + error,
            flags,
            *numbers,
            ", ".join(codes),
            case.seconds if case.status == "done" else None,
        ],
        tags=[case.status, *reasons, *(["odd"] if reasons else [])],
    )
