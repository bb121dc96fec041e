"""How well a signal ranks slices by how good they are, when somebody has to look at the worst ones first.

Slices of one patient are alike, so intervals come from resampling whole patients (C. A. Field and A. H. Welsh 2007,
"Bootstrapping clustered data").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .bootstrap import Interval

FloatArray = npt.NDArray[np.float64]

Statistic = Callable[[FloatArray, FloatArray], float]


def mid_ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: FloatArray = (last - (counts - 1) / 2.0)[inverse.ravel()]
    return ranks


def spearman(signal: FloatArray, truth: FloatArray) -> float:
    """Spearman's rank correlation: Pearson's of the mid-ranks; NaN where one of the two has only one value."""
    if len(signal) < 2:
        return math.nan
    first, second = mid_ranks(signal), mid_ranks(truth)
    first, second = first - first.mean(), second - second.mean()
    scale = math.sqrt(float((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / scale if scale > 0 else math.nan


def found_when_reviewed(signal: FloatArray, truth: FloatArray, reviewed: float = 0.2, worst: float = 0.2) -> float:
    """The part of the worst slices that is found by looking at a part of all slices, those of the lowest signal first.

    Looking at random finds as large a part as is looked at; looking in the true order finds all of a fifth in the first
    fifth. Slices of one signal are taken in random order (the mean of all orders), and of equal slices at the limit of
    the worst each counts as a part.

    Parameters
    ----------
    signal, truth:
        One value a slice; a higher signal means "better" and `truth` is how good the slice is (its Dice).
    reviewed, worst:
        Parts of all slices, 0 to 1.
    """
    shares, found = review_curve(signal, truth, worst)
    return float(np.interp(reviewed, shares, found))


def area_under_review_curve(signal: FloatArray, truth: FloatArray, worst: float = 0.2) -> float:
    """The mean of `found_when_reviewed` over all parts that could be looked at: 0.5 at random, ``1 - worst / 2`` at
    best."""
    shares, found = review_curve(signal, truth, worst)
    return float(((found[1:] + found[:-1]) / 2 * np.diff(shares)).sum())


def review_curve(signal: FloatArray, truth: FloatArray, worst: float = 0.2) -> tuple[FloatArray, FloatArray]:
    """The part of slices looked at (ascending from 0 to 1) and the part of the worst slices found by then."""
    weights = _worst_weights(truth, worst)
    _, inverse = np.unique(signal, return_inverse=True)
    sizes = np.bincount(inverse.ravel())
    hits = np.bincount(inverse.ravel(), weights=weights)
    shares = np.concatenate(([0.0], np.cumsum(sizes) / len(signal)))
    found = np.concatenate(([0.0], np.cumsum(hits) / weights.sum()))
    return shares, found


def bootstrap_by_patient(
    statistic: Statistic,
    signal: Sequence[float] | FloatArray,
    truth: Sequence[float] | FloatArray,
    patients: Sequence[str],
    *,
    n_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """A statistic of all slices with its percentile interval from samples of patients, drawn with all their slices.

    `Interval.n` counts patients. The ends are NaN for fewer than two patients, and resamples where the statistic is NaN
    (every slice alike) are left out.

    Raises
    ------
    GANSegmentationError
        ``shape_mismatch`` if the three do not belong together.
    """
    first, second = np.asarray(signal, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if not len(first) == len(second) == len(patients):
        raise GANSegmentationError(
            "shape_mismatch",
            f"There are {len(first)} values of the signal, {len(second)} true ones and {len(patients)} patients.",
            action="Give one of each for every slice.",
        )
    _, owners = np.unique(np.asarray(patients), return_inverse=True)
    members = [np.flatnonzero(owners.ravel() == owner) for owner in range(len(set(patients)))]
    value = statistic(first, second) if len(first) else math.nan
    if len(members) < 2 or math.isnan(value):
        return Interval(value, math.nan, math.nan, len(members))
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(n_resamples):
        chosen = np.concatenate([members[index] for index in rng.integers(0, len(members), len(members))])
        drawn.append(statistic(first[chosen], second[chosen]))
    known = np.array([each for each in drawn if not math.isnan(each)])
    if not known.size:
        return Interval(value, math.nan, math.nan, len(members))
    low, high = np.quantile(known, ((1 - level) / 2, (1 + level) / 2))
    return Interval(value, float(low), float(high), len(members))


def _worst_weights(truth: FloatArray, worst: float) -> FloatArray:
    """1 for each of the worst slices, a part for those at the limit if more of them are equal than there is room."""
    room = max(1.0, worst * len(truth))
    limit = np.sort(truth)[math.ceil(room) - 1]
    below, equal = truth < limit, truth == limit
    weights: FloatArray = below.astype(np.float64)
    weights[equal] = (room - below.sum()) / equal.sum()
    return weights
