"""A signal that ranks slices is measured by ranks, by what it finds, and by patients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.metrics import area_under_review_curve, bootstrap_by_patient, found_when_reviewed, spearman


def test_the_rank_correlation_is_scipy_s_with_and_without_ties() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = rng.normal(size=(2, 30))
        if rng.random() < 0.5:
            first, second = np.round(first), np.round(second)
        assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)


def test_without_any_difference_there_is_no_correlation() -> None:
    assert math.isnan(spearman(np.ones(5), np.arange(5.0)))
    assert math.isnan(spearman(np.ones(1), np.ones(1)))
    assert math.isnan(spearman(np.empty(0), np.empty(0)))


def test_a_perfect_signal_finds_all_the_worst_first() -> None:
    truth = np.linspace(0, 1, 50)
    assert found_when_reviewed(truth, truth) == pytest.approx(1.0)
    assert found_when_reviewed(truth, truth, reviewed=0.1) == pytest.approx(0.5)
    assert area_under_review_curve(truth, truth) == pytest.approx(0.9, abs=1e-12)
    assert found_when_reviewed(-truth, truth) == pytest.approx(0.0)
    assert found_when_reviewed(-truth, truth, reviewed=0.9) == pytest.approx(0.5)


def test_a_signal_that_says_nothing_finds_what_chance_finds() -> None:
    truth = np.linspace(0, 1, 50)
    assert found_when_reviewed(np.zeros(50), truth) == pytest.approx(0.2)
    assert area_under_review_curve(np.zeros(50), truth) == pytest.approx(0.5)


def test_equal_slices_at_the_limit_share_the_room() -> None:
    truth = np.array([0.0, 0.5, 0.5, 0.5, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9])  # the worst two: the first and a part of four
    signal = np.arange(10.0)
    assert found_when_reviewed(signal, truth, reviewed=0.1) == pytest.approx(0.5)
    assert found_when_reviewed(signal, truth, reviewed=0.2) == pytest.approx(0.5 + 0.125)
    assert found_when_reviewed(signal, truth, reviewed=0.5) == pytest.approx(1.0)


def test_the_interval_is_over_patients_and_wider_than_over_slices() -> None:
    rng = np.random.default_rng(1)
    patients = [f"p{n}" for n in range(8) for _ in range(40)]
    # What varies is the patient: the slices of one are nearly the same.
    level = np.repeat(rng.normal(size=(2, 8)), 40, axis=1)
    signal, truth = level + 0.05 * rng.normal(size=(2, 320))
    by_patient = bootstrap_by_patient(spearman, signal, truth, patients, n_resamples=400)
    by_slice = bootstrap_by_patient(spearman, signal, truth, [str(n) for n in range(320)], n_resamples=400)
    assert by_patient.n == 8 and by_slice.n == 320
    assert by_patient.mean == by_slice.mean == spearman(signal, truth)
    assert by_patient.high - by_patient.low > 2 * (by_slice.high - by_slice.low)
    assert by_patient.low < by_patient.mean < by_patient.high
    again = bootstrap_by_patient(spearman, signal, truth, patients, n_resamples=400)
    assert again == by_patient


def test_one_patient_has_no_interval() -> None:
    found = bootstrap_by_patient(spearman, [1.0, 2.0, 3.0], [1.0, 3.0, 2.0], ["a", "a", "a"])
    assert found.n == 1 and found.mean == pytest.approx(0.5) and math.isnan(found.low)
    nobody = bootstrap_by_patient(spearman, [], [], [])
    assert nobody.n == 0 and math.isnan(nobody.mean)


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(GANSegmentationError) as caught:
        bootstrap_by_patient(spearman, [1.0], [1.0, 2.0], ["a", "b"])
    assert caught.value.code == "shape_mismatch"
