"""How volumes and scores are spread over the cases of a batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..metrics import bootstrap_mean
from .outcome import CaseOutcome

MEASURES: Final[Mapping[str, tuple[str, int]]] = {
    "volume_ml": ("Volume, ml", 1),
    "dice": ("Dice", 3),
    "surface_dice": ("Surface Dice", 3),
    "hd95_mm": ("HD95, mm", 1),
    "assd_mm": ("ASSD, mm", 2),
}
"""What is summed up, with its heading and decimals."""


@dataclass(frozen=True)
class Distribution:
    """One measure of one structure over all cases that are done.

    Parameters
    ----------
    names, values:
        The cases, and what each has; only finite numbers.
    left_out:
        Scored cases without a number: structures that were missed have no distance.
    mean, interval:
        The mean with its 95 % bootstrap interval over cases; None for an interval of fewer than two.
    lowest, lower, median, upper, highest:
        Extremes, quartiles, median.
    """

    structure: str
    measure: str
    names: tuple[str, ...]
    values: tuple[float, ...]
    left_out: int
    mean: float
    interval: tuple[float, float] | None
    lowest: float
    lower: float
    median: float
    upper: float
    highest: float

    def to_dict(self) -> dict[str, Any]:
        """The figures without the single values, for JSON."""
        skipped = ("names", "values")
        return {"n": len(self.values), **{name: value for name, value in vars(self).items() if name not in skipped}}


def distributions(cases: Sequence[CaseOutcome]) -> list[Distribution]:
    """Every measure that there is a number of, by measure and then by structure."""
    done = [case for case in cases if case.status == "done"]
    structures = dict.fromkeys(segment.name for case in done for segment in case.segments)
    found = []
    for measure in MEASURES:
        for structure in structures:
            pairs = [(case.case, value) for case in done for value in _values(case, structure, measure)]
            finite = [(name, float(value)) for name, value in pairs if value is not None and math.isfinite(value)]
            if finite:
                found.append(_distribution(structure, measure, finite, len(pairs) - len(finite)))
    return found


def _values(case: CaseOutcome, structure: str, measure: str) -> list[float | None]:
    if measure == "volume_ml":
        return [segment.volume_ml for segment in case.segments if segment.name == structure]
    # A score that nobody asked for is not missing.
    return [row[measure] for row in case.scores or () if row["name"] == structure and measure in row]


def _distribution(structure: str, measure: str, finite: Sequence[tuple[str, float]], left_out: int) -> Distribution:
    values = tuple(value for _, value in finite)
    mean = bootstrap_mean(values)
    low, lower, median, upper, high = (float(q) for q in np.percentile(values, (0, 25, 50, 75, 100)))
    interval = (mean.low, mean.high) if math.isfinite(mean.low) else None
    names = tuple(name for name, _ in finite)
    return Distribution(
        structure, measure, names, values, left_out, mean.mean, interval, low, lower, median, upper, high
    )
