"""Resampling keeps places to a fraction of a pixel, and scores are decided as argmax would."""

from __future__ import annotations

import pytest
import torch

from GANSegmentationLib.slicing import labels_from_scores, resize


def gradient(height: int, width: int) -> torch.Tensor:
    """An image whose value is its physical position: pixel centres at half numbers, the field of view 0 to 1."""
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    return (rows[:, None] + 10 * columns)[None, None]


@pytest.mark.parametrize(
    ("before", "after"), [((512, 512), (256, 256)), ((255, 300), (511, 128)), ((64, 48), (90, 100))]
)
def test_a_linear_gradient_stays_where_it_is(before, after):
    result, expected = resize(gradient(*before), after), gradient(*after)
    inner = (..., slice(2, -2), slice(2, -2))  # beyond the outer pixel centres any interpolation is constant
    pixel = 1 / min(after)  # torch's widened filter is cut at whole pixels: it may lean by a few hundredths of one
    torch.testing.assert_close(result[inner], expected[inner], atol=0.3 * pixel, rtol=0)


def test_two_to_one_is_the_mean_of_four_pixels():
    images = torch.rand(2, 1, 8, 12)
    mean = images.reshape(2, 1, 4, 2, 6, 2).mean(dim=(3, 5))
    torch.testing.assert_close(resize(images, (4, 6)), mean)


def test_shrinking_beyond_two_to_one_skips_no_pixel():
    stripes = torch.zeros(1, 1, 60, 60)
    stripes[..., ::6, :] = 6.0  # mean 1; plain bilinear sampling at 6:1 meets all or none of them
    result = resize(stripes, (10, 10))
    torch.testing.assert_close(result[..., 1:-1, :], torch.ones(1, 1, 8, 10), atol=0.05, rtol=0)


def test_the_wanted_size_is_returned_untouched():
    images = torch.rand(3, 2, 7, 5)
    assert resize(images, (7, 5)) is images


@pytest.mark.parametrize("count", [1, 8, 9, 17])
def test_chunks_change_nothing(count):
    images = torch.rand(count, 2, 9, 9)
    whole = torch.nn.functional.interpolate(images, size=(6, 13), mode="bilinear", align_corners=False)
    torch.testing.assert_close(resize(images, (6, 13)), whole, rtol=0, atol=0)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("size", [(12, 10), (31, 17), (6, 5)])
def test_labels_are_the_argmax_of_the_resampled_scores(classes, size):
    scores = torch.randn(11, classes, 12, 10, generator=torch.Generator().manual_seed(classes))
    expected = resize(scores.double(), size).argmax(dim=1)
    labels = labels_from_scores(scores, size)
    assert labels.dtype == torch.uint8
    assert labels.shape == (11, *size)
    assert (labels == expected).float().mean() > 0.9999  # a tie of rounded numbers may fall either way


def test_one_class_is_label_one_above_zero():
    scores = torch.tensor([-1.0, 0.0, 1e-6, 3.0]).reshape(1, 1, 2, 2)
    assert labels_from_scores(scores, (2, 2)).flatten().tolist() == [0, 0, 1, 1]


def test_equal_scores_are_background():
    assert labels_from_scores(torch.zeros(1, 2, 4, 4), (8, 8)).max() == 0
    assert labels_from_scores(torch.zeros(1, 4, 4, 4), (8, 8)).max() == 0


def test_half_precision_scores_are_resampled_in_single():
    scores = torch.randn(2, 1, 16, 16).bfloat16()
    assert torch.equal(labels_from_scores(scores, (40, 40)), labels_from_scores(scores.float(), (40, 40)))
