"""What is said of progress is true and in order."""

from __future__ import annotations

import time

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference.progress import Countdown


def test_time_left_comes_from_the_batches_after_the_first():
    said = []
    countdown = Countdown(40, said.append, None)
    countdown.enter("segment")
    time.sleep(0.2)  # a slow start
    countdown.advance(10)
    time.sleep(0.02)
    countdown.advance(20)
    countdown.advance(40)
    assert [progress.done for progress in said] == [0, 10, 20, 40]
    assert said[0].seconds_left is said[1].seconds_left is None
    assert 0.03 < said[2].seconds_left < 0.15
    assert said[3].seconds_left == 0


def test_a_run_of_one_batch_ends_at_zero():
    said = []
    Countdown(3, said.append, None).advance(3)
    assert said[-1].seconds_left == 0


def test_nobody_has_to_listen():
    Countdown(3, None, None).advance(1)


def test_cancel_is_an_error_with_its_own_code():
    with pytest.raises(GANSegmentationError) as caught:
        Countdown(3, None, lambda: True).enter("segment")
    assert caught.value.code == "cancelled"
