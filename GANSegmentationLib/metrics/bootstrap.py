"""Confidence intervals of a mean over cases, by the bootstrap (Efron and Tibshirani 1993)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .plain import plain

Method = Literal["bca", "percentile"]
FloatArray = npt.NDArray[np.float64]

_INDICES_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A mean, its confidence interval, and the number of values it is the mean of.

    The ends are NaN where no interval can be known: fewer than two values, or an infinite one among them.
    """

    mean: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Ready for JSON: NaN and infinity are None."""
        return {"mean": plain(self.mean), "low": plain(self.low), "high": plain(self.high), "n": self.n}


def bootstrap_mean(
    values: Sequence[float] | FloatArray,
    *,
    n_resamples: int = 10000,
    seed: int = 0,
    level: float = 0.95,
    method: Method = "bca",
) -> Interval:
    """The mean of independent values with its confidence interval.

    Independent means one value a patient: slices of one patient are not.

    Parameters
    ----------
    values:
        One number a case. NaN (there was nothing to compare) is left out; `Interval.n` counts the rest.
    n_resamples, seed:
        How many samples are drawn with replacement, and the seed of the generator: the same seed, the same interval.
    level:
        The part of intervals, made in this way, that hold the true mean: between 0 and 1.
    method:
        ``bca`` corrects for bias and skewness (Efron 1987), ``percentile`` takes the quantiles as they are.

    Raises
    ------
    GANSegmentationError
        ``invalid_bootstrap`` if there are no resamples, or the level is not between 0 and 1.
    """
    if n_resamples < 1 or not 0.0 < level < 1.0:
        raise GANSegmentationError(
            "invalid_bootstrap",
            f"A bootstrap of {n_resamples} resamples at the level {level} was asked for.",
            action="Take at least one resample (10000 are usual) and a level between 0 and 1 (0.95 is usual).",
        )
    sample = np.asarray(values, dtype=np.float64).ravel()
    sample = sample[~np.isnan(sample)]
    mean = float(sample.mean()) if sample.size else math.nan
    if sample.size < 2 or not np.isfinite(sample).all():
        return Interval(mean, math.nan, math.nan, int(sample.size))
    means = _resampled_means(sample, n_resamples, seed)
    tails = ((1.0 - level) / 2.0, (1.0 + level) / 2.0)
    if method == "bca":
        tails = _corrected_tails(sample, means, tails)
    low, high = np.quantile(means, tails)
    return Interval(mean, float(low), float(high), int(sample.size))


def bootstrap_paired_difference(
    a: Sequence[float] | FloatArray,
    b: Sequence[float] | FloatArray,
    *,
    n_resamples: int = 10000,
    seed: int = 0,
    level: float = 0.95,
    method: Method = "bca",
) -> Interval:
    """The mean of ``a - b`` over the same cases in the same order, with its confidence interval.

    Cases where either is NaN are left out. An interval that does not hold 0 means that the two differ.

    Raises
    ------
    GANSegmentationError
        ``shape_mismatch`` if there are not as many values of `a` as of `b`; as `bootstrap_mean`.
    """
    first, second = np.asarray(a, dtype=np.float64).ravel(), np.asarray(b, dtype=np.float64).ravel()
    if first.size != second.size:
        raise GANSegmentationError(
            "shape_mismatch",
            f"A paired difference needs the same cases on both sides; there are {first.size} and {second.size}.",
            action="Give one value a case on either side, in the same order.",
        )
    with np.errstate(invalid="ignore"):  # inf - inf: neither found the structure, NaN says there is no difference known
        differences = first - second
    return bootstrap_mean(differences, n_resamples=n_resamples, seed=seed, level=level, method=method)


def _resampled_means(sample: FloatArray, n_resamples: int, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    means = np.empty(n_resamples)
    rows = max(1, _INDICES_AT_ONCE // sample.size)
    for start in range(0, n_resamples, rows):
        part = means[start : start + rows]
        part[:] = sample[rng.integers(0, sample.size, (part.size, sample.size))].mean(axis=1)
    return means


def _corrected_tails(sample: FloatArray, means: FloatArray, tails: tuple[float, float]) -> tuple[float, float]:
    """The quantiles to take instead of `tails`: bias-corrected and accelerated (BCa)."""
    deviations = sample - sample.mean()
    squares = float((deviations**2).sum())
    if squares <= 0.0 or np.ptp(means) == 0.0:
        return tails
    # Ties count half, so that few distinct values do not look like a bias.
    mean = sample.mean()
    below = (np.count_nonzero(means < mean) + 0.5 * np.count_nonzero(means == mean)) / means.size
    if not 0.0 < below < 1.0:
        return tails
    normal = NormalDist()
    bias = normal.inv_cdf(below)
    # The jackknife means of a mean deviate from it by -deviation / (n - 1): the acceleration has a closed form.
    acceleration = float((deviations**3).sum()) / (6.0 * squares**1.5)

    def corrected(tail: float) -> float:
        shifted = bias + normal.inv_cdf(tail)
        return normal.cdf(bias + shifted / (1.0 - acceleration * shifted))

    return corrected(tails[0]), corrected(tails[1])
