"""The report of a run: one HTML file that holds everything, to be read anywhere, rewritten after every epoch."""

from __future__ import annotations

import base64
import importlib.metadata
import math
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from ...datasets.dataset import Dataset, write_atomically
from ...datasets.integrity import Finding
from ...datasets.splits import Split
from ...reports import line_plot_svg
from ..preset import Preset
from .health import Episode, episodes, examine
from .run_log import loss_terms

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
        The column of the validation score.
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
    score: str = "dice"


def write_report(folder: Path, facts: RunFacts, rows: Sequence[Row]) -> Path:
    """Write ``report.html`` into a run's folder, whole or not at all, with the samples that lie there.

    Raises
    ------
    GANSegmentationError
        ``write_failed`` if the file system refuses.
    """
    path = folder / REPORT
    write_atomically(path, report_html(facts, rows, _pictures(folder, facts, rows)).encode())
    return path


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
        f"<h1>{escape(preset.title)}</h1>",
        f'<p class="soft">{escape(preset.name)} · {escape(preset.source)}</p>',
        _summary(facts, rows),
        _section("Health", _health(facts, rows)),
        _section("Curves", "".join(_curves(facts, rows))),
        _section("Samples of the validation", "".join(_figure(*item) for item in pictures.items())),
        _section("Data", _data(facts)),
        _section("Networks", _networks(facts)),
        _section("Run", _table(["", ""], _run(facts, rows))),
        _section("Configuration", _configuration(preset)),
        _section("Epochs", _epochs(rows)),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/><title>{escape(preset.title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"/><style>{_STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


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
    scores = [(row[facts.score], -int(row["epoch"])) for row in rows if math.isfinite(row.get(facts.score, math.nan))]
    score, epoch = max(scores, default=(math.nan, 0))
    return -epoch, score


def _summary(facts: RunFacts, rows: Sequence[Row]) -> str:
    epoch, score = _best(facts, rows)
    seconds = sum(row.get("seconds", 0.0) + row.get("validation_seconds", 0.0) for row in rows)
    cells = {
        f"best validation {facts.score}": f"{score:.4f}" if epoch else "none yet",
        "in epoch": str(epoch or "-"),
        "epochs done": f"{len(rows)} of {facts.preset.epochs}",
        "time": _duration(seconds),
    }
    return "".join(
        ['<div class="cells">']
        + [f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in cells.items()]
        + ["</div>"]
    )


def _health(facts: RunFacts, rows: Sequence[Row]) -> str:
    now = examine(rows, facts.score)
    parts = [f'<p class="warning"><b>{escape(symptom.text)}</b> {escape(symptom.advice)}</p>' for symptom in now] or [
        '<p class="fine">Nothing is wrong that the log could tell.</p>'
    ]
    codes = {symptom.code for symptom in now}
    past = [each for each in episodes(rows, facts.score) if each.last < len(rows) or each.symptom.code not in codes]
    if past:
        parts.append("<h3>Earlier</h3>")
        parts.append(_table(["epochs", "what was seen"], [(_span(each), each.symptom.text) for each in past]))
    if facts.findings:
        parts.append("<h3>Found in the data</h3>")
        parts.append(_table(["", "case", "what"], [(each.level, each.case, each.text) for each in facts.findings]))
    parts += [f"<p>{escape(note)}</p>" for note in facts.notes]
    return "".join(parts)


def _span(episode: Episode) -> str:
    return str(episode.first) if episode.first == episode.last else f"{episode.first} to {episode.last}"


def _curves(facts: RunFacts, rows: Sequence[Row]) -> Iterable[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))

    def plot(
        title: str, columns: Mapping[str, str], *, log_y: bool = False, share: bool = False, small: bool = True
    ) -> str:
        epochs = [row["epoch"] for row in rows]
        series = {label: (epochs, [row.get(name, math.nan) for row in rows]) for label, name in columns.items()}
        if not series:
            return ""
        size = (425, 250) if small else (850, 380)
        limits = (0.0, 1.0) if share else None
        return line_plot_svg(
            series, title=title, x_label="epoch", log_y=log_y, y_range=limits, width=size[0], height=size[1]
        )

    def measured(what: str) -> dict[str, str]:
        return {name.partition("/")[0]: name for name in names if name.endswith(f"/{what}")}

    scores = {name: name for name in names if name == facts.score or name.startswith(f"{facts.score}_")}
    yield plot(f"Validation {facts.score}", scores, share=facts.score == "dice", small=False)
    losses = {name: name for name in loss_terms(names) if not name.endswith("/gap")}
    yield plot("Loss terms", losses, log_y=True, small=False)
    yield '<div class="plots">'
    yield plot("Accuracy", measured("accuracy"), share=True)
    yield plot("Share of the adversary in the gradient", measured("adversarial_share"), share=True)
    yield plot("Gap", measured("gap"))
    yield plot("Norm of the gradient", measured("gradient_norm"), log_y=True)
    yield plot("Learning rate", {"factor": "lr_factor"} if "lr_factor" in names else {})
    seconds = {"training": "seconds", "validation": "validation_seconds"}
    yield plot("Seconds", {label: name for label, name in seconds.items() if name in names})
    shares = {"waiting for data": "loader_share", "cases missed": "missed_cases"}
    yield plot("Shares", {label: name for label, name in shares.items() if name in names}, share=True)
    yield "</div>"


def _figure(caption: str, png: bytes) -> str:
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f'<figure><img alt="{escape(caption)}" src="{source}"/><figcaption>{escape(caption)}</figcaption></figure>'


def _data(facts: RunFacts) -> str:
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
    table = _table(["", "patients", "cases", "slices", "with foreground", "sources", "who"], rows)
    prints = [("data (SHA-256)", facts.dataset.fingerprint), ("split (SHA-256)", split.sha256)]
    return table + _table(["fingerprint of", ""], prints)


def _networks(facts: RunFacts) -> str:
    optimisers = facts.preset.optimisers
    rows = [
        (role, f"{count:,}", optimisers[role].name, f"{optimisers[role].lr:g}")
        for role, count in facts.parameters.items()
    ]
    return _table(["role", "parameters", "optimiser", "learning rate"], rows)


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


def _configuration(preset: Preset) -> str:
    told = "".join(f"<li>{escape(text)}</li>" for text in preset.deviations)
    deviations = f"<p>Differs from its source:</p><ul>{told}</ul>" if told else ""
    return deviations + _table(["setting", "value"], list(_flat(preset.to_dict(), "")))


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


def _epochs(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_number(row.get(name)) for name in names] for row in rows]
    return f"<details><summary>The log, a row an epoch</summary>{_table(names, cells)}</details>"


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return str(int(value)) if float(value).is_integer() else f"{value:.4g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    header = f"<thead><tr>{head}</tr></thead>" if any(columns) else ""
    return f'<div class="wide"><table>{header}<tbody>{body}</tbody></table></div>'


_STYLE = (
    ":root{color-scheme:light dark;--ground:#f4f6f8;--card:#fff;--ink:#1d232c;--soft:#5a6472;--line:#e3e7ec;"
    "--warn:#fff4e0;--warn-line:#d98200;--fine:#e8f6ee;--fine-line:#2b8a57}"
    "@media(prefers-color-scheme:dark){:root{--ground:#0e1013;--card:#14171c;--ink:#e6eaf0;--soft:#a3adba;"
    "--line:#2b313a;--warn:#33270f;--warn-line:#e0a030;--fine:#12291d;--fine-line:#4bb07f}}"
    "body{margin:0;background:var(--ground);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
    "main{max-width:900px;margin:0 auto;padding:24px 16px}"
    "h1{font-size:25px;margin:0}h2{font-size:18px;margin:0 0 10px}h3{font-size:15px;margin:14px 0 6px}"
    ".soft{color:var(--soft);margin:4px 0 16px}"
    "section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:16px;margin:16px 0}"
    ".cells{display:flex;flex-wrap:wrap;gap:12px}"
    ".cells div{flex:1 1 150px;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 14px}"
    ".cells b{display:block;font-size:21px}.cells span{color:var(--soft);font-size:13px}"
    ".warning,.fine{border-left:4px solid var(--warn-line);background:var(--warn);padding:8px 12px;margin:8px 0}"
    ".fine{border-color:var(--fine-line);background:var(--fine)}"
    ".wide{overflow-x:auto}"
    "table{border-collapse:collapse;font-size:13px;margin:4px 0;font-variant-numeric:tabular-nums}"
    "th,td{text-align:left;vertical-align:top;padding:4px 12px 4px 0;border-bottom:1px solid var(--line);"
    "overflow-wrap:break-word}th{color:var(--soft);font-weight:600;white-space:nowrap}td:first-child{min-width:8ch}"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:12px}"
    "figure{margin:0 0 14px}figure img{max-width:100%;height:auto;display:block;border-radius:4px}"
    "figcaption{color:var(--soft);font-size:13px}svg{display:block;margin:0 0 8px}summary{cursor:pointer}"
)
