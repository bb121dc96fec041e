"""Bootstrap intervals: coverage, exactness of the correction, and cases where no interval can be known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.metrics import Interval, bootstrap_mean, bootstrap_paired_difference
from GANSegmentationLib.metrics.bootstrap import Method


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_about_95_of_100_intervals_hold_the_true_mean(method: Method) -> None:
    rng = np.random.default_rng(1)
    draws = rng.beta(9.0, 2.0, size=(400, 40))  # skewed, as Dice values are
    found = [bootstrap_mean(draw, n_resamples=600, seed=i, method=method) for i, draw in enumerate(draws)]
    held = np.mean([one.low <= 9 / 11 <= one.high for one in found])
    assert 0.90 <= held <= 0.985


def test_interval_of_a_normal_sample_is_the_textbooks() -> None:
    sample = np.random.default_rng(2).normal(0.9, 0.05, 400)
    found = bootstrap_mean(sample)
    half = 1.96 * sample.std() / math.sqrt(sample.size)
    assert found.mean == pytest.approx(sample.mean())
    assert (found.low, found.high) == pytest.approx((sample.mean() - half, sample.mean() + half), abs=0.1 * half)
    assert found.n == 400


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_scipy_gives_the_same(method: Method) -> None:
    stats = pytest.importorskip("scipy.stats")
    sample = np.random.default_rng(3).exponential(1.0, 30)
    name = {"bca": "BCa", "percentile": "percentile"}[method]
    other = stats.bootstrap((sample,), np.mean, n_resamples=40000, method=name, random_state=np.random.default_rng(0))
    found = bootstrap_mean(sample, n_resamples=40000, method=method)
    assert (found.low, found.high) == pytest.approx(tuple(other.confidence_interval), rel=0.015)


def test_the_correction_follows_the_long_tail() -> None:
    sample = np.random.default_rng(4).exponential(1.0, 25)
    bca, percentile = (bootstrap_mean(sample, method=method) for method in ("bca", "percentile"))
    assert bca.high > percentile.high + 0.01
    assert bca.low > percentile.low


def test_level_widens_the_interval() -> None:
    sample = np.random.default_rng(5).random(30)
    narrow, wide = bootstrap_mean(sample, level=0.5), bootstrap_mean(sample, level=0.99)
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


def test_the_same_seed_gives_the_same_interval() -> None:
    sample = np.random.default_rng(6).random(20)
    assert bootstrap_mean(sample, seed=3) == bootstrap_mean(list(sample), seed=3)
    assert bootstrap_mean(sample, seed=3) != bootstrap_mean(sample, seed=4)


def test_values_in_small_parts_and_at_once_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = np.random.default_rng(7).random(20)
    whole = bootstrap_mean(sample, n_resamples=1000)
    monkeypatch.setattr("GANSegmentationLib.metrics.bootstrap._INDICES_AT_ONCE", 130)
    assert bootstrap_mean(sample, n_resamples=1000) == whole


def test_nan_is_left_out_and_counted_out() -> None:
    found = bootstrap_mean([0.9, math.nan, 0.8, 0.7])
    assert found == bootstrap_mean([0.9, 0.8, 0.7])
    assert found.n == 3


@pytest.mark.parametrize(
    ("values", "mean", "n"), [([], math.nan, 0), ([0.7], 0.7, 1), ([1.0, math.inf, 2.0], math.inf, 3)]
)
def test_where_no_interval_can_be_known_there_is_none(values: list[float], mean: float, n: int) -> None:
    found = bootstrap_mean(values)
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.n == n
    assert found.to_dict()["low"] is None


def test_equal_values_have_an_interval_without_width() -> None:
    assert bootstrap_mean([0.5] * 7) == Interval(0.5, 0.5, 0.5, 7)


def test_paired_difference_is_narrower_than_the_two_alone() -> None:
    rng = np.random.default_rng(8)
    patients = rng.normal(0.9, 0.05, 30)
    ours, theirs = patients + 0.01 + rng.normal(0, 0.004, 30), patients + rng.normal(0, 0.004, 30)
    found = bootstrap_paired_difference(ours, theirs)
    assert found.low < 0.01 < found.high
    assert found.low > 0
    assert bootstrap_mean(ours).low < bootstrap_mean(theirs).high
    assert found.mean == pytest.approx(float((ours - theirs).mean()))


def test_paired_difference_takes_only_cases_that_both_have() -> None:
    found = bootstrap_paired_difference([0.9, math.nan, 0.8, math.inf, 0.7], [0.8, 0.5, math.nan, math.inf, 0.5])
    assert found.n == 2
    assert found.mean == pytest.approx(0.15)


def test_wrong_use_is_refused() -> None:
    for code, call in (
        ("shape_mismatch", lambda: bootstrap_paired_difference([1.0, 2.0], [1.0])),
        ("invalid_bootstrap", lambda: bootstrap_mean([1.0, 2.0], n_resamples=0)),
        ("invalid_bootstrap", lambda: bootstrap_mean([1.0, 2.0], level=95)),
    ):
        with pytest.raises(GANSegmentationError) as caught:
            call()
        assert caught.value.code == code
