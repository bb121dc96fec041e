"""Structure and texture: what each sees, and what it is blind to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from GANSegmentationLib.training.watching.picture_similarity import ssim, structure_similarity, texture_similarity


@pytest.fixture
def scan() -> torch.Tensor:
    """Blocks with a grain, ``(2, 1, 96, 96)`` in [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    blocks = F.interpolate(torch.rand(2, 1, 6, 6, generator=generator), size=96, mode="nearest")
    return (blocks - 0.5 + 0.15 * torch.randn(2, 1, 96, 96, generator=generator)).clamp(-1, 1)


def grain_anew(scan: torch.Tensor) -> torch.Tensor:
    """The same blocks with another grain."""
    blocks = F.interpolate(F.avg_pool2d(scan, 16), size=96, mode="nearest")
    return (blocks + 0.15 * torch.randn(scan.shape, generator=torch.Generator().manual_seed(9))).clamp(-1, 1)


def test_a_picture_is_wholly_like_itself(scan):
    torch.testing.assert_close(structure_similarity(scan, scan), torch.ones(2))
    torch.testing.assert_close(texture_similarity(scan, scan), torch.ones(2))


def test_another_grain_of_the_same_tissue_is_better_than_blur_though_its_pixels_are_farther(scan):
    new, blurred = grain_anew(scan), F.avg_pool2d(F.pad(scan, (4, 4, 4, 4), mode="reflect"), 9, 1)
    assert (new - scan).abs().mean() > (blurred - scan).abs().mean(), "pixels alone would choose the blurred one"
    new_score = structure_similarity(new, scan) + texture_similarity(new, scan)
    blurred_score = structure_similarity(blurred, scan) + texture_similarity(blurred, scan)
    assert (new_score > blurred_score + 0.2).all()


def test_structure_does_not_see_the_grain(scan):
    new = grain_anew(scan)
    assert (structure_similarity(new, scan) > 0.75).all()
    assert (ssim((new + 1) / 2, (scan + 1) / 2) < 0.5).all()


def test_structure_sees_where_things_are_and_texture_does_not(scan):
    moved = scan.roll(24, dims=-1)
    assert (structure_similarity(moved, scan) < 0.5).all()
    assert (texture_similarity(moved, scan) > 0.95).all()


def test_texture_sees_grain_that_is_too_strong_or_too_weak(scan):
    blocks = F.interpolate(F.avg_pool2d(scan, 16), size=96, mode="nearest")
    grain = torch.randn(scan.shape, generator=torch.Generator().manual_seed(3))
    scores = [texture_similarity(blocks + sigma * grain, scan).mean() for sigma in (0.0, 0.05, 0.15, 0.4)]
    assert scores[0] < scores[1] < scores[2] > scores[3]
    assert scores[2] > 0.85


def test_texture_tells_grain_that_hangs_together_from_white_noise_of_the_same_strength(scan):
    generator = torch.Generator().manual_seed(4)

    def coarse() -> torch.Tensor:
        grain = F.avg_pool2d(torch.randn(2, 1, 100, 100, generator=generator), 5, 1)
        return grain / grain.std() * 0.2

    white = torch.randn(2, 1, 96, 96, generator=generator) * 0.2
    reference = coarse()
    assert (texture_similarity(coarse(), reference) > texture_similarity(white, reference) + 0.3).all()


def test_samples_are_judged_one_by_one(scan):
    pictures = torch.cat((scan[:1], 0.2 * scan[1:]))
    for measure in (structure_similarity, texture_similarity):
        together = measure(pictures, scan)
        assert together[0] == pytest.approx(1) and together[1] < 0.9
        torch.testing.assert_close(together[1:], measure(pictures[1:], scan[1:]))


def test_ssim_is_the_papers_formula():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 24, 24))

    def blurred(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, 1.5, truncate=3.4)[5:-5, 5:-5]  # a radius of 5 pixels

    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b, both = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2, blurred(a * b) - mean_a * mean_b
    c1, c2 = 0.0001, 0.0009
    expected = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    found = ssim(*(torch.from_numpy(x)[None, None].float() for x in (a, b)))
    assert found.item() == pytest.approx(expected.mean(), abs=1e-5)
    with pytest.raises(ValueError, match="window"):
        ssim(torch.zeros(1, 1, 10, 24), torch.zeros(1, 1, 10, 24))


def test_autocast_changes_nothing(scan):
    expected = structure_similarity(grain_anew(scan), scan), texture_similarity(grain_anew(scan), scan)
    with torch.autocast("cpu", torch.bfloat16):
        found = structure_similarity(grain_anew(scan), scan), texture_similarity(grain_anew(scan), scan)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two)
