"""The report of a run: one HTML file that holds everything, to be read anywhere, rewritten after every epoch."""

from __future__ import annotations

import importlib.metadata
import math
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...datasets.dataset import Dataset
from ...datasets.integrity import Finding
from ...datasets.splits import Split
from ...reports import line_plot_svg
from ...reports.page import (
    NARROW,
    Markup,
    details,
    figures,
    heading,
    items,
    line_plot,
    page,
    paragraph,
    picture,
    section,
    side_by_side,
    table,
    write_page,
)
from ..preset import Preset
from .health import Episode, episodes, examine
from .run_log import fits_log_axis, is_of, loss_terms
from .score import DICE, Score

REPORT = "report.html"

_LIBRARIES = ("torch", "lightning-fabric", "monai", "numpy", "scipy")

Row = Mapping[str, float]


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run before its first step.

    Parameters
    ----------
    dataset, split:
        What of the prepared dataset is used, and who trains and validates.
    parameters:
        Of each network by role.
    device, precision, processes:
        Where and how it computes.
    findings, notes:
        What the checks of the data found, and what else a reader should know.
    score:
        Which score validates it.
    """

    preset: Preset
    dataset: Dataset
    split: Split
    parameters: Mapping[str, int]
    device: str
    precision: str
    processes: int = 1
    findings: Sequence[Finding] = ()
    notes: Sequence[str] = ()
    score: Score = DICE


def write_report(folder: Path, facts: RunFacts, rows: Sequence[Row]) -> Path:
    """Write ``report.html`` into a run's folder, whole or not at all, with the samples that lie there.

    Raises
    ------
    GANSegmentationError
        ``write_failed`` if the file system refuses.
    """
    return write_page(folder / REPORT, report_html(facts, rows, _pictures(folder, facts, rows)))


def report_html(facts: RunFacts, rows: Sequence[Row], pictures: Mapping[str, bytes]) -> str:
    """The report as a page that refers to nothing outside of itself.

    Parameters
    ----------
    rows:
        The log, a row an epoch.
    pictures:
        PNG files by their captions.
    """
    preset = facts.preset
    parts = [
        *_summary(facts, rows),
        section("Health", *_health(facts, rows)),
        section("Curves", *_curves(facts, rows)),
        section("Samples of the validation", *(picture(png, caption) for caption, png in pictures.items())),
        section("Data", *_data(facts)),
        section("Networks", _networks(facts)),
        section("Run", table(["", ""], _run(facts, rows), words=(0, 1))),
        section("Configuration", *_configuration(preset)),
        section("Epochs", _epochs(rows)),
    ]
    return page(preset.title, parts, subtitle=f"{preset.name} · {preset.source}")


def _pictures(folder: Path, facts: RunFacts, rows: Sequence[Row]) -> dict[str, bytes]:
    """The samples of the first, the best and the last epoch that are there."""
    wanted: dict[int, str] = {}
    for name, epoch in (("first", 1), ("best", _best(facts, rows)[0]), ("last", len(rows))):
        wanted[epoch] = f"{wanted[epoch]} and {name}" if epoch in wanted else name
    found = {}
    for epoch, name in wanted.items():
        path = folder / "samples" / f"epoch_{epoch:03d}.png"
        if path.is_file():
            found[f"Epoch {epoch} ({name})"] = path.read_bytes()
    return found


def _best(facts: RunFacts, rows: Sequence[Row]) -> tuple[int, float]:
    """The first epoch with the highest score, and the score; epoch 0 without any."""
    name = facts.score.column
    scores = [(row[name], -int(row["epoch"])) for row in rows if math.isfinite(row.get(name, math.nan))]
    score, epoch = max(scores, default=(math.nan, 0))
    return -epoch, score


def _summary(facts: RunFacts, rows: Sequence[Row]) -> Iterable[Markup]:
    epoch, score = _best(facts, rows)
    seconds = sum(row.get("seconds", 0.0) + row.get("validation_seconds", 0.0) for row in rows)
    yield figures(
        {
            f"best validation {facts.score.name}": f"{score:.4f}" if epoch else "none yet",
            "in epoch": str(epoch or "-"),
            "epochs done": f"{len(rows)} of {facts.preset.epochs}",
            "time": _duration(seconds),
        }
    )
    source = facts.preset.data.score_source
    yield paragraph(facts.score.meaning + (f" Only patients of {source} count." if source else ""), "soft")


def _health(facts: RunFacts, rows: Sequence[Row]) -> Iterable[Markup]:
    now = examine(rows, facts.score)
    for symptom in now:
        yield paragraph(symptom.advice, "warning", lead=symptom.text)
    if not now:
        yield paragraph("Nothing is wrong that the log could tell.", "fine")
    codes = {symptom.code for symptom in now}
    past = [each for each in episodes(rows, facts.score) if each.last < len(rows) or each.symptom.code not in codes]
    if past:
        yield heading("Earlier")
        yield table(["epochs", "what was seen"], [(_span(each), each.symptom.text) for each in past], words=(0, 1))
    if facts.findings:
        found = [(each.level, each.case, each.text) for each in facts.findings]
        yield heading("Found in the data")
        yield table(["", "case", "what"], found, words=(0, 1, 2))
    for note in facts.notes:
        yield paragraph(note)


def _span(episode: Episode) -> str:
    return str(episode.first) if episode.first == episode.last else f"{episode.first} to {episode.last}"


def _curves(facts: RunFacts, rows: Sequence[Row]) -> Iterable[Markup]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    epochs = [row["epoch"] for row in rows]

    def series(shown: Mapping[str, str]) -> dict[str, Any]:
        return {label: (epochs, [row.get(name, math.nan) for row in rows]) for label, name in shown.items()}

    def small(title: str, shown: Mapping[str, str], **look: Any) -> Markup:
        drawn = line_plot_svg(series(shown), title=title, x_label="epoch", width=NARROW, height=250, **look)
        return Markup(drawn if shown else "")

    def measured(what: str) -> dict[str, str]:
        return {name.partition("/")[0]: name for name in names if name.endswith(f"/{what}")}

    def those_of(shown: Mapping[str, str]) -> dict[str, str]:
        return {label: name for label, name in shown.items() if name in names}

    scores = series(_score_columns(facts, names))
    if scores:
        limits = (0.0, 1.0) if facts.score is DICE else None
        yield line_plot(scores, title=f"Validation {facts.score.name}", x_label="epoch", y_range=limits)
    losses = series({name: name for name in loss_terms(names) if not name.endswith("/gap")})
    if losses:
        yield line_plot(losses, title="Loss terms", x_label="epoch", log_y=fits_log_axis(losses))
    waiting = {"waiting for data": "loader_share", "cases missed": "missed_cases"}
    yield side_by_side(
        small("Accuracy", measured("accuracy"), y_range=(0.0, 1.0)),
        # Often a few thousandths, and still what counts.
        small("Share of the adversary in the gradient", measured("adversarial_share")),
        small("Gap", measured("gap")),
        small("Norm of the gradient", measured("gradient_norm"), log_y=True),
        small("Learning rate", those_of({"factor": "lr_factor"})),
        small("Seconds", those_of({"training": "seconds", "validation": "validation_seconds"})),
        small("Shares", those_of(waiting), y_range=(0.0, 1.0)),
    )


def _score_columns(facts: RunFacts, names: Sequence[str]) -> dict[str, str]:
    """The columns of the score by what they are of; the source that decides is not drawn twice."""
    column, source = facts.score.column, facts.preset.data.score_source
    labels = {name: name.removeprefix(f"{column}_") for name in names if is_of(name, facts.score)}
    if column in labels:
        labels[column] = f"{source} (decides)" if source else "all patients"
    return {label: name for name, label in labels.items() if name == column or label != source}


def _data(facts: RunFacts) -> Iterable[Markup]:
    split = facts.split
    rows = []
    for part, cases in (("train", split.train), ("validation", split.validation), ("test", split.test)):
        known = [facts.dataset.by_id[case] for case in cases]
        if not known:
            continue
        patients = sorted({case.patient for case in known})
        slices = sum(case.slices for case in known)
        filled = sum(sum(count > 0 for count in case.foreground) for case in known)
        sources = ", ".join(sorted({case.source for case in known}))
        rows.append((part, len(patients), len(known), slices, filled, sources, " ".join(patients)))
    yield table(["", "patients", "cases", "slices", "with foreground", "sources", "who"], rows, words=(0, 5, 6))
    prints = [("data (SHA-256)", facts.dataset.fingerprint), ("split (SHA-256)", split.sha256)]
    yield table(["fingerprint of", ""], prints, words=(0, 1))


def _networks(facts: RunFacts) -> Markup:
    optimisers = facts.preset.optimisers
    rows = [
        (role, f"{count:,}", optimisers[role].name, f"{optimisers[role].lr:g}")
        for role, count in facts.parameters.items()
    ]
    return table(["role", "parameters", "optimiser", "learning rate"], rows, words=(0, 2))


def _run(facts: RunFacts, rows: Sequence[Row]) -> list[tuple[str, str]]:
    lines = [
        ("device", facts.device),
        ("precision", facts.precision),
        ("processes", str(facts.processes)),
        ("seed", str(facts.preset.seed)),
        ("system", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"),
        ("libraries", ", ".join(_versions())),
    ]
    seconds = [row["seconds"] for row in rows if "seconds" in row]
    if seconds:
        median = statistics.median(seconds)
        steps = facts.preset.steps_per_epoch
        lines.append(("seconds an epoch", f"{median:.1f} (median), {median / steps * 1000:.0f} ms a step"))
        lines.append(("slices a second", f"{facts.preset.batch_size * steps / max(median, 1e-9):.1f}"))
    shares = [row["loader_share"] for row in rows if "loader_share" in row]
    if shares:
        lines.append(("waiting for slices", f"{statistics.median(shares):.1%} of the training time (median)"))
    return lines


def _versions() -> Iterable[str]:
    for name in _LIBRARIES:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue


def _configuration(preset: Preset) -> Iterable[Markup]:
    if preset.deviations:
        yield paragraph("Differs from its source:")
        yield items(preset.deviations)
    yield table(["setting", "value"], list(_flat(preset.to_dict(), "")), words=(0, 1))


def _flat(value: Any, name: str) -> Iterable[tuple[str, str]]:
    """Nested settings as ``a.b.c`` and their values."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{index}]")
    elif name not in ("title", "source", "deviations"):  # these are said above
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        yield name, "-" if value is None or value in ([], {}, ()) else shown


def _epochs(rows: Sequence[Row]) -> Markup:
    if not rows:
        return Markup("")
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_number(row.get(name)) for name in names] for row in rows]
    return details("The log, a row an epoch", table(names, cells, words=()))


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return str(int(value)) if float(value).is_integer() else f"{value:.4g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
