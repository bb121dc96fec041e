"""Whether two models differ on the same patients, by the signed ranks of the differences (F. Wilcoxon 1945)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .plain import plain
from .ranking import mid_ranks

FloatArray = npt.NDArray[np.float64]

_EXACT_UP_TO: Final = 50
_DIGITS: Final = 12
"""Differences are compared to so many decimals: what rounding made of two equal ones is a tie all the same."""


@dataclass(frozen=True)
class SignedRanks:
    """Wilcoxon's signed-rank test of paired differences, two-sided.

    Parameters
    ----------
    n, zeros:
        Pairs there are, and those of them without a difference. Zeros are left out, as Wilcoxon did: they speak for
        neither side.
    statistic:
        The smaller of the sums of positive and of negative ranks.
    p_value:
        Probability of such a statistic or a smaller one if neither is better; NaN without a pair, 1 where no pair
        differs.
    method:
        ``"exact"``: every way to give the ranks signs is counted, ties included; ``"normal"``: the normal
        approximation with correction for continuity and ties (more than 50 differences).
    ties:
        Whether differences have one size; they share the mean of their ranks.
    """

    n: int
    zeros: int
    statistic: float
    p_value: float
    method: str
    ties: bool

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that so many differences could have had: with five it never falls below 0.05."""
        return min(1.0, 2.0 ** (1 - (self.n - self.zeros))) if self.method == "exact" else 0.0

    def to_dict(self) -> dict[str, float | int | str | bool | None]:
        """Ready for JSON: NaN is None."""
        return {
            "n": self.n,
            "zeros": self.zeros,
            "statistic": plain(self.statistic),
            "p_value": plain(self.p_value),
            "method": self.method,
            "ties": self.ties,
        }


def wilcoxon_signed_rank(a: Sequence[float] | FloatArray, b: Sequence[float] | FloatArray) -> SignedRanks:
    """The test of ``a - b`` over the same patients in the same order.

    Pairs where either is NaN, or both are the same infinity, are left out.

    Raises
    ------
    GANSegmentationError
        ``shape_mismatch`` if there are not as many values of `a` as of `b`.
    """
    first, second = np.asarray(a, dtype=np.float64).ravel(), np.asarray(b, dtype=np.float64).ravel()
    if first.size != second.size:
        raise GANSegmentationError(
            "shape_mismatch",
            f"A paired test needs the same cases on both sides; there are {first.size} and {second.size}.",
            action="Give one value a case on either side, in the same order.",
        )
    with np.errstate(invalid="ignore"):
        differences = np.round(first - second, _DIGITS)
    differences = differences[~np.isnan(differences)]
    nonzero = differences[differences != 0]
    n, zeros = int(differences.size), int(differences.size - nonzero.size)
    if not nonzero.size:
        return SignedRanks(n, zeros, 0.0, 1.0 if n else math.nan, "exact", ties=False)
    ties = len(np.unique(np.abs(nonzero))) < nonzero.size
    ranks = mid_ranks(np.abs(nonzero))
    positive = float(ranks[nonzero > 0].sum())
    statistic = min(positive, float(ranks.sum()) - positive)
    if nonzero.size > _EXACT_UP_TO:
        return SignedRanks(n, zeros, statistic, _approximate(nonzero), "normal", ties)
    return SignedRanks(n, zeros, statistic, _exact(nonzero, ranks, statistic, ties), "exact", ties)


def _exact(differences: FloatArray, ranks: FloatArray, statistic: float, ties: bool) -> float:
    from scipy import stats

    if not ties:
        return float(stats.wilcoxon(differences, method="exact").pvalue)
    # scipy's exact table knows no ties: it gives whole ranks. Shared ranks are halves at worst, so twice the ranks are
    # whole numbers, and the sums of all subsets can be counted one rank after the other.
    doubled = np.rint(2 * ranks).astype(int)
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled:
        ways[rank:] += ways[:-rank].copy()
    return min(1.0, float(2 * ways[: round(2 * statistic) + 1].sum() / ways.sum()))


def _approximate(differences: FloatArray) -> float:
    from scipy import stats

    # "approx" is understood by every version of scipy; newer ones call it "asymptotic" as well.
    return float(stats.wilcoxon(differences, correction=True, method="approx").pvalue)
