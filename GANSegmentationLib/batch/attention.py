"""Which cases of a batch to look at first, and why; told from each case and from how it differs from the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .outcome import CaseOutcome

FLAG_WORDS: Final[Mapping[str, str]] = {
    "failed": "failed",
    "empty": "nothing found",
    "missed": "only the mask or only the reference has it",
    "out_of_range": "not the kind of scan the model was made for",
    "low_dice": "Dice far below that of the others",
    "islands": "several large pieces",
    "tiny": "under 1 ml",
    "unusual_volume": "volume far from that of the others",
    "border": "reaches the edge of the scan",
}
"""Every reason to look at a case, the gravest first."""

_FEW: Final = 8
"""Fewer cases say nothing of what is usual."""


@dataclass(frozen=True)
class Attention:
    """A case, and the reasons (`FLAG_WORDS`) to look at it with the structures they are about, the gravest first."""

    case: CaseOutcome
    reasons: Mapping[str, Sequence[str]]

    @property
    def words(self) -> str:
        """The reasons in words."""
        return "; ".join(
            FLAG_WORDS.get(flag, flag.replace("_", " ")) + (f" ({', '.join(names)})" if names else "")
            for flag, names in self.reasons.items()
        )


def attention(cases: Sequence[CaseOutcome]) -> dict[str, Attention]:
    """The cases that there is a reason to look at, by name, the gravest first.

    Parameters
    ----------
    cases:
        All of a batch: a Dice below the lower quartile by more than 1.5 times the interquartile range is low, a volume
        outside the quartiles by more than 3 times of it unusual (J. W. Tukey, "Exploratory Data Analysis", 1977), once
        there are eight cases to tell by.
    """
    volumes = _limits(_volumes(cases), 3.0)
    dice = _limits(_dice(cases), 1.5)
    order = {flag: place for place, flag in enumerate(FLAG_WORDS)}
    found = []
    for case in cases:
        reasons: dict[str, list[str]] = {}
        for flag, name in _reasons(case, volumes, dice):
            names = reasons.setdefault(flag, [])
            if name and name not in names:
                names.append(name)
        if reasons:
            ranked = sorted(reasons, key=lambda flag: order.get(flag, len(order)))
            found.append(Attention(case, {flag: reasons[flag] for flag in ranked}))
    found.sort(key=lambda each: [order.get(flag, len(order)) for flag in each.reasons])
    return {each.case.case: each for each in found}


def _reasons(
    case: CaseOutcome, volumes: Mapping[str, tuple[float, float]], dice: Mapping[str, tuple[float, float]]
) -> Iterator[tuple[str, str]]:
    if case.status == "failed":
        yield "failed", ""
    if case.status != "done":
        return
    for segment in case.segments:
        yield from ((flag, segment.name) for flag in segment.flags)
        low, high = volumes.get(segment.name, (-np.inf, np.inf))
        if not low <= segment.volume_ml <= high and "empty" not in segment.flags:
            yield "unusual_volume", segment.name
    yield from ((flag, "") for flag in case.flags if not any(flag in each.flags for each in case.segments))
    for row in case.scores or ():
        if row["status"] in ("mask_empty", "reference_empty"):
            yield "missed", row["name"]
        elif row.get("dice") is not None and row["dice"] < dice.get(row["name"], (-np.inf, np.inf))[0]:
            yield "low_dice", row["name"]


def _volumes(cases: Sequence[CaseOutcome]) -> Iterator[tuple[str, float]]:
    for case in cases:
        yield from ((each.name, each.volume_ml) for each in case.segments if case.status == "done")


def _dice(cases: Sequence[CaseOutcome]) -> Iterator[tuple[str, float]]:
    rows: list[Mapping[str, Any]] = [row for case in cases for row in case.scores or ()]
    yield from ((row["name"], row["dice"]) for row in rows if row.get("dice") is not None)


def _limits(pairs: Iterator[tuple[str, float]], reach: float) -> dict[str, tuple[float, float]]:
    values: dict[str, list[float]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    limits = {}
    for name, many in values.items():
        if len(many) >= _FEW:
            lower, upper = np.percentile(many, (25, 75))
            limits[name] = (float(lower - reach * (upper - lower)), float(upper + reach * (upper - lower)))
    return limits
