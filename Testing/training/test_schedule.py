"""The learning rate over a run."""

from __future__ import annotations

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.training.schedule import Schedule


def test_constant_is_one() -> None:
    assert {Schedule().factor(step, 10) for step in range(10)} == {1.0}


def test_warm_up_rises_to_one_and_cosine_falls_to_the_floor() -> None:
    schedule = Schedule("cosine", warmup=0.1, floor=0.2)
    factors = [schedule.factor(step, 1000) for step in range(1000)]
    assert factors[0] == pytest.approx(0.01) and factors[99] == pytest.approx(1.0, abs=0.01)
    assert factors[:100] == sorted(factors[:100]) and factors[100:] == sorted(factors[100:], reverse=True)
    assert factors[549] == pytest.approx(0.6, abs=0.01) and factors[-1] == pytest.approx(0.2)


def test_pix2pix_is_flat_for_half_and_then_falls_in_a_line() -> None:
    schedule = Schedule("linear", flat=0.5)
    assert schedule.factor(499, 1000) == 1.0
    assert schedule.factor(749, 1000) == pytest.approx(0.5)
    assert schedule.factor(999, 1000) == 0.0


def test_polynomial_has_the_power_nine_tenths() -> None:
    assert Schedule("polynomial").factor(499, 1000) == pytest.approx(0.5**0.9)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(GANSegmentationError, match="cosine"):
        Schedule("square").factor(0, 10)
