"""Elastic deformation: smooth, of the stated strength, the same for image and mask, and by the slice's seed alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from GANSegmentationLib.datasets.augmentation import Augmentation, Augmenter
from GANSegmentationLib.datasets.elastic import RandElasticd, deform, displacement_field, draw_offsets

SIZE = (64, 80)


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """An image that is 1 where the mask is 2, 0 where it is 0, in [-1, 1]."""
    mask = torch.zeros(SIZE, dtype=torch.int64)
    mask[16:40, 20:55] = 2
    return (mask[None] - 1).float(), mask


def test_image_and_mask_move_with_one_field():
    image, mask = pair()
    changed, moved = Augmenter(Augmentation(elastic=1.0, elastic_sigma=0.05), SIZE)(image, mask, 3)
    assert (moved != mask).float().mean() > 0.01, "something moved"
    assert set(moved.unique().tolist()) == {0, 2}, "labels stay what they were"
    inside, clear = moved > 0, changed[0].abs() > 0.9
    torch.testing.assert_close((changed[0] > 0)[clear], inside[clear])
    assert clear.float().mean() > 0.9


def test_the_seed_decides_alone_and_other_seeds_differ():
    image, mask = pair()
    one, two = (Augmenter(Augmentation(elastic=1.0), SIZE) for _ in range(2))
    two(image, mask, 99)  # what came before plays no part
    first, again, other = one(image, mask, 5), two(image, mask, 5), two(image, mask, 6)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_the_probability_is_obeyed():
    image, mask = pair()
    augmenter = Augmenter(Augmentation(elastic=0.3, elastic_sigma=0.05), SIZE)
    moved = sum(not torch.equal(augmenter(image, mask, seed)[1], mask) for seed in range(200))
    assert 40 < moved < 80


def test_displacements_have_the_stated_deviation_and_no_direction():
    generator = np.random.default_rng(0)
    drawn = torch.stack([draw_offsets(generator, sigma=0.02, points=4) for _ in range(500)])
    assert drawn.std().item() == pytest.approx(0.02, rel=0.03)
    assert drawn.mean().abs() < 0.0006


def test_the_field_meets_its_points_and_is_smooth_between_them():
    offsets = draw_offsets(np.random.default_rng(1), sigma=0.02, points=3).float()
    field = displacement_field(offsets, (65, 65))
    torch.testing.assert_close(field[:, ::32, ::32], offsets, rtol=1e-4, atol=1e-6)
    step = torch.maximum(field.diff(dim=1).abs().max(), field.diff(dim=2).abs().max())
    assert step * 64 < 0.5, "no two neighbours change places"


def test_positive_offsets_read_further_down_and_right():
    ramp = torch.stack(torch.meshgrid(torch.arange(64.0), torch.arange(80.0), indexing="ij"))
    offsets = torch.zeros(2, 3, 3)
    offsets[0], offsets[1] = 0.1, 0.05
    moved = deform(ramp, offsets)
    torch.testing.assert_close(moved[0, :50], ramp[0, :50] + 0.1 * 63)
    torch.testing.assert_close(moved[1, :, :70], ramp[1, :, :70] + 0.05 * 79)
    assert moved[0, -1, 0] == 63, "beyond the border the outermost pixels go on"


def test_no_displacement_changes_nothing():
    image, mask = pair()
    still = torch.zeros(2, 3, 3)
    torch.testing.assert_close(deform(image, still), image)
    assert torch.equal(deform(mask[None], still, mode="nearest")[0], mask)


@pytest.mark.parametrize(("sigma", "points"), [(0.02, 1), (-0.1, 3)])
def test_what_makes_no_deformation_is_refused(sigma, points):
    with pytest.raises(ValueError, match="no deformation"):
        RandElasticd(("image",), ("bilinear",), prob=1.0, sigma=sigma, points=points)
