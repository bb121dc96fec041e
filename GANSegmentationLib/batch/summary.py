"""All cases of a batch together: counts, volumes, flags, scores; as table and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..reports import write_csv, write_json
from .distributions import distributions
from .outcome import CaseOutcome, SegmentOutcome, Status
from .report import write_report

SUMMARY_CSV = "summary.csv"
SUMMARY_JSON = "summary.json"

SCORES = ("dice", "iou", "hd_mm", "hd95_mm", "assd_mm", "surface_dice")
"""Of `metrics.LabelScores`, those that the table has a column for; the JSON has all."""

COLUMNS = (
    *("case", "status", "structure", "volume_ml", "reference_volume_ml", *SCORES),
    *("flags", "warnings", "seconds", "model", "output", "error", "message"),
)


@dataclass(frozen=True)
class StructureSummary:
    """One structure over all cases that are done.

    Parameters
    ----------
    n:
        Cases whose mask has it or could have it.
    mean_volume_ml:
        Over these.
    scored:
        Cases with a reference.
    means:
        The mean of each of `SCORES` over the cases where it is a finite number; None where there is none. A missed or
        an invented structure has an overlap of 0, but no distance: `missed` says how many these are.
    missed:
        Scored cases where mask or reference alone is empty.
    """

    name: str
    n: int
    mean_volume_ml: float
    scored: int
    means: Mapping[str, float | None]
    missed: int


@dataclass(frozen=True)
class BatchSummary:
    """A batch as it stands.

    Parameters
    ----------
    settings:
        What the masks have in common (`options.BatchOptions.settings`).
    cases:
        Every case of the input in the order of names, those of earlier runs too.
    seconds:
        Wall time of this run.
    """

    settings: Mapping[str, Any]
    cases: tuple[CaseOutcome, ...]
    seconds: float

    def of_status(self, status: Status) -> list[CaseOutcome]:
        """The cases that are done, have failed, or are pending."""
        return [case for case in self.cases if case.status == status]

    def structures(self) -> list[StructureSummary]:
        """Every structure, in the order in which they first appear."""
        done = self.of_status("done")
        names = dict.fromkeys(
            [segment.name for case in done for segment in case.segments]
            + [row["name"] for case in done for row in case.scores or ()]
        )
        return [_structure(name, done) for name in names]

    def flagged(self) -> dict[str, list[str]]:
        """The cases with each flag."""
        found: dict[str, list[str]] = {}
        for case in self.of_status("done"):
            for flag in case.flags:
                found.setdefault(flag, []).append(case.case)
        return found

    def rows(self) -> list[dict[str, Any]]:
        """A row for every structure of every case, with the keys `COLUMNS`; one for a case without any."""
        return [row for case in self.cases for row in _rows(case)]

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        statuses: tuple[Status, ...] = ("done", "failed", "pending")
        return {
            "settings": dict(self.settings),
            "seconds": round(self.seconds, 3),
            "counts": {"cases": len(self.cases), **{each: len(self.of_status(each)) for each in statuses}},
            "structures": [vars(structure) for structure in self.structures()],
            "distributions": [each.to_dict() for each in distributions(self.cases)],
            "flags": self.flagged(),
            "cases": [case.to_dict() for case in self.cases],
        }

    def write(self, folder: Path) -> None:
        """Write `SUMMARY_CSV`, `SUMMARY_JSON` and the report (`report.REPORT_HTML`); raises ``write_failed``."""
        write_csv(self.rows(), folder / SUMMARY_CSV, columns=COLUMNS)
        write_json(self.to_dict(), folder / SUMMARY_JSON)
        write_report(self, folder)


def _structure(name: str, done: Sequence[CaseOutcome]) -> StructureSummary:
    volumes = [segment.volume_ml for case in done for segment in case.segments if segment.name == name]
    scores = [row for case in done for row in case.scores or () if row["name"] == name]
    return StructureSummary(
        name=name,
        n=len(volumes),
        mean_volume_ml=sum(volumes) / len(volumes) if volumes else 0.0,
        scored=len(scores),
        means={score: _mean([row.get(score) for row in scores]) for score in SCORES},
        missed=sum(row["status"] in ("mask_empty", "reference_empty") for row in scores),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def _rows(case: CaseOutcome) -> list[dict[str, Any]]:
    scores = {row["name"]: row for row in case.scores or ()}
    segments = {segment.name: segment for segment in case.segments}
    common = {
        "case": case.case,
        "status": case.status,
        "warnings": " ".join(dict.fromkeys(warning["code"] for warning in case.warnings)),
        "seconds": case.seconds if case.status != "pending" else None,
        "model": case.model,
        "output": case.output,
        "error": case.error["code"] if case.error else "",
        "message": case.error["message"] if case.error else "",
    }
    names = [*segments, *(name for name in scores if name not in segments)]
    if not names:
        return [{**common, "flags": " ".join(case.flags)}]
    return [{**common, **_measured(name, segments.get(name), scores.get(name), case)} for name in names]


def _measured(
    name: str, segment: SegmentOutcome | None, scores: Mapping[str, Any] | None, case: CaseOutcome
) -> dict[str, Any]:
    own = segment.flags if segment is not None else ()
    of_case = [flag for flag in case.flags if not any(flag in each.flags for each in case.segments)]
    return {
        "structure": name,
        "volume_ml": segment.volume_ml if segment is not None else None,
        "flags": " ".join([*of_case, *own]),
        **{key: scores.get(key) for key in ("reference_volume_ml", *SCORES) if scores is not None},
    }
