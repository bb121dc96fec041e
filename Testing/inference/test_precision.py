"""Half precision is kept where it labels slices alike, and only there."""

from __future__ import annotations

import pytest
import torch

from GANSegmentationLib.inference.precision import agrees, sample_slices


@pytest.mark.parametrize(
    ("n_slices", "expected"), [(1, [0]), (2, [0, 1]), (4, [0, 1, 2, 3]), (8, [1, 3, 5, 7]), (150, [18, 56, 93, 131])]
)
def test_samples_are_spread_through_the_volume(n_slices, expected):
    assert sample_slices(n_slices) == expected


def restore(scores):
    return (scores[:, 0] > 0).to(torch.uint8)


def disk(radius, shift=0):
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    return (radius - ((y - 64.0) ** 2 + (x - 64.0 - shift) ** 2).sqrt())[None, None]


def test_a_rounded_contour_agrees():
    assert agrees(lambda _: disk(40.0), lambda _: disk(40.05), restore, 9)


def test_a_moved_contour_does_not():
    assert not agrees(lambda _: disk(40.0), lambda _: disk(40.0, shift=2), restore, 9)


def test_a_lost_organ_does_not():
    assert not agrees(lambda _: disk(10.0), lambda _: disk(-1.0), restore, 9)


def test_one_bad_slice_of_the_samples_is_enough():
    bad = sample_slices(150)[2]
    assert not agrees(lambda _: disk(40.0), lambda k: disk(30.0 if k == bad else 40.0), restore, 150)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_never_agree(value):
    def overflowed(_):
        scores = -torch.ones(1, 1, 64, 64)
        scores[0, 0, 0, 0] = value
        return scores

    assert not agrees(lambda _: -torch.ones(1, 1, 64, 64), overflowed, restore, 5)
