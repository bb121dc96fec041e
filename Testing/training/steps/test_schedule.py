"""The learning rate over a run."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.training.steps.schedule import Schedule


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


def test_polynomial_has_the_power_it_is_given() -> None:
    assert Schedule("polynomial").factor(499, 1000) == pytest.approx(0.5**0.9)
    assert Schedule("polynomial", power=2.0).factor(499, 1000) == pytest.approx(0.25)


@pytest.mark.parametrize("patience", [0, 2, 3])
def test_a_plateau_lowers_the_rate_as_torch_does(patience: int) -> None:
    scores = [0.1, 0.5, 0.4, 0.5, 0.3, 0.2, 0.5, 0.5, 0.5, 0.6, math.nan, 0.6, 0.6, 0.6, 0.59, 0.1, 0.7]
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, mode="max", factor=0.5, patience=patience, threshold=0.0, threshold_mode="abs", min_lr=0.0625, eps=0
    )
    schedule = Schedule("plateau", patience=patience, decay=0.5, floor=0.0625)
    for epoch, score in enumerate(scores, start=1):
        peer.step(score)
        expected = optimiser.param_groups[0]["lr"]
        assert schedule.factor(epoch, 1000, scores[:epoch]) == pytest.approx(expected), epoch
    assert expected < 0.5, "the rate has fallen at all"


def test_a_plateau_warms_up_and_begins_at_one() -> None:
    schedule = Schedule("plateau", warmup=0.5, patience=1)
    assert schedule.factor(0, 10) == pytest.approx(0.2)
    assert schedule.factor(6, 10) == 1.0 and schedule.factor(6, 10, [0.3]) == 1.0


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "square"},
        {"warmup": -0.1},
        {"flat": 1.5},
        {"floor": 2.0},
        {"power": 0.0},
        {"patience": -1},
        {"decay": 1.0},
        {"decay": 0.0},
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(GANSegmentationError, match=rf"schedule\.{next(iter(settings))}") as caught:
        Schedule(**settings)
    assert caught.value.code == "invalid_preset"
