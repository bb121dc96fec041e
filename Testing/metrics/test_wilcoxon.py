"""Signed ranks: exact where few patients were compared, with ties and zeros said."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.metrics import wilcoxon_signed_rank


def by_hand(differences: list[float]) -> float:
    """Every way to give the ranks signs, counted one by one."""
    ranks = stats.rankdata(np.abs(differences))
    observed = min(sum(r for r, d in zip(ranks, differences, strict=True) if d > 0), ranks.sum() / 2)
    observed = min(observed, ranks.sum() - sum(r for r, d in zip(ranks, differences, strict=True) if d > 0))
    sums = [
        sum(r for r, s in zip(ranks, signs, strict=True) if s) for signs in itertools.product((0, 1), repeat=len(ranks))
    ]
    return min(1.0, 2 * sum(each <= observed + 1e-9 for each in sums) / len(sums))


@pytest.mark.parametrize(
    "differences",
    [[0.3], [0.1, 0.2, 0.3, 0.4, 0.5], [0.1, -0.2, 0.3, 0.4, -0.5, 0.6], [-1, -2, -3, -4], [1, -2, 3, -4, 5, -6, 7, 8]],
)
def test_few_patients_are_counted_exactly(differences: list[float]) -> None:
    found = wilcoxon_signed_rank(differences, np.zeros(len(differences)))
    assert found.p_value == pytest.approx(by_hand(differences), abs=1e-12)
    assert (found.method, found.ties, found.zeros, found.n) == ("exact", False, 0, len(differences))


@pytest.mark.parametrize(
    "differences", [[0.1, 0.1, 0.1, -0.1], [1, 1, 2, 2, -2, 3, -3, 4], [0.5, -0.5], [2, 2, 2, 2, 2, 2, 2]]
)
def test_ties_are_counted_exactly_too_and_said(differences: list[float]) -> None:
    found = wilcoxon_signed_rank(differences, np.zeros(len(differences)))
    assert found.p_value == pytest.approx(by_hand(differences), abs=1e-12)
    assert found.ties and found.method == "exact"


def test_zeros_are_left_out_and_said() -> None:
    found = wilcoxon_signed_rank([0.9, 0.8, 0.7, 0.6, 0.5], [0.9, 0.7, 0.6, 0.4, 0.5])
    assert (found.n, found.zeros) == (5, 2)
    assert found.p_value == pytest.approx(by_hand([0.1, 0.1, 0.2]))


def test_the_same_figures_are_no_difference() -> None:
    same = wilcoxon_signed_rank([0.9, 0.8], [0.9, 0.8])
    assert (same.p_value, same.zeros, same.n) == (1.0, 2, 2)
    nobody = wilcoxon_signed_rank([math.nan], [0.5])
    assert math.isnan(nobody.p_value) and nobody.n == 0
    assert nobody.to_dict()["p_value"] is None


def test_what_rounding_made_of_equal_differences_is_a_tie() -> None:
    found = wilcoxon_signed_rank([0.3, 0.1 + 0.2, 0.7], [0.2, 0.2, 0.6])
    assert found.ties


def test_five_patients_can_never_be_significant() -> None:
    found = wilcoxon_signed_rank([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5)
    assert found.p_value == found.smallest_p == 0.0625


def test_many_patients_are_approximated_as_scipy_does() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.9, 0.05, 80), rng.normal(0.89, 0.05, 80)
    found = wilcoxon_signed_rank(a, b)
    assert found.method == "normal"
    expected = stats.wilcoxon(a, b, correction=True, method="approx")
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    assert found.statistic == pytest.approx(expected.statistic)


def test_sides_may_be_swapped() -> None:
    a, b = [0.9, 0.7, 0.65, 0.4], [0.8, 0.75, 0.6, 0.1]
    assert wilcoxon_signed_rank(a, b).p_value == wilcoxon_signed_rank(b, a).p_value


def test_sides_of_other_lengths_are_refused() -> None:
    with pytest.raises(GANSegmentationError) as caught:
        wilcoxon_signed_rank([1.0], [1.0, 2.0])
    assert caught.value.code == "shape_mismatch"
