"""Overlap scores: hand-counted cases, empties, and that nothing is stretched or misread silently."""

from __future__ import annotations

import math

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.metrics import count_overlap, dice_per_slice

REFERENCE = np.zeros((2, 4, 5), dtype=bool)
REFERENCE[0, 1:3, 1:4] = True  # 6 voxels
MASK = np.zeros_like(REFERENCE)
MASK[0, 1:3, 2:5] = True
MASK[1, 0, 0] = True  # 7 voxels, 4 of them shared


def test_scores_of_a_hand_counted_pair() -> None:
    overlap = count_overlap(MASK, REFERENCE)
    assert (overlap.mask, overlap.reference, overlap.shared, overlap.total) == (7, 6, 4, 40)
    assert overlap.status == "ok"
    assert overlap.dice == pytest.approx(8 / 13)
    assert overlap.iou == pytest.approx(4 / 9)
    assert overlap.precision == pytest.approx(4 / 7)
    assert overlap.recall == pytest.approx(4 / 6)
    assert overlap.accuracy == pytest.approx(35 / 40)
    assert overlap.rvd == pytest.approx(1 / 6)


def test_relative_volume_difference_is_signed() -> None:
    assert count_overlap(REFERENCE, MASK).rvd == pytest.approx(-1 / 7)


def test_analytic_disks() -> None:
    y, x = np.mgrid[-200:200, -200:200] + 0.5
    disk, shifted = np.hypot(y, x) < 100, np.hypot(y, x - 60) < 100
    lens = 2 * 100**2 * math.acos(60 / 200) - 30 * math.sqrt(4 * 100**2 - 60**2)
    overlap = count_overlap(shifted, disk)
    assert overlap.dice == pytest.approx(lens / (math.pi * 100**2), abs=1e-3)
    assert overlap.iou == pytest.approx(lens / (2 * math.pi * 100**2 - lens), abs=1e-3)


def test_both_empty_is_nan_and_not_a_perfect_score() -> None:
    empty = count_overlap(np.zeros_like(MASK), np.zeros_like(MASK))
    assert empty.status == "both_empty"
    for name in ("dice", "iou", "precision", "recall", "accuracy", "rvd"):
        assert math.isnan(getattr(empty, name)), name


def test_one_empty_scores_zero() -> None:
    missed, invented = count_overlap(np.zeros_like(MASK), REFERENCE), count_overlap(MASK, np.zeros_like(MASK))
    assert (missed.status, invented.status) == ("mask_empty", "reference_empty")
    for overlap in (missed, invented):
        assert (overlap.dice, overlap.iou, overlap.precision, overlap.recall) == (0, 0, 0, 0)
    assert missed.rvd == -1
    assert invented.rvd == math.inf
    assert missed.accuracy == pytest.approx(34 / 40)


def test_whatever_is_not_zero_is_foreground() -> None:
    assert count_overlap(MASK.astype(np.uint8) * 2, REFERENCE.astype(np.int16) * -1) == count_overlap(MASK, REFERENCE)


def test_dice_per_slice_is_nan_where_there_is_nothing() -> None:
    stack = np.concatenate((MASK, np.zeros((1, 4, 5), bool))), np.concatenate((REFERENCE, np.zeros((1, 4, 5), bool)))
    np.testing.assert_allclose(dice_per_slice(*stack), [8 / 12, 0, np.nan])


def test_shapes_that_numpy_would_broadcast_are_refused() -> None:
    with pytest.raises(GANSegmentationError) as caught:
        count_overlap(MASK, REFERENCE[:1])
    assert caught.value.code == "shape_mismatch"
    assert "(2, 4, 5)" in str(caught.value)
    assert "(1, 4, 5)" in str(caught.value)
