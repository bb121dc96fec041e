"""Masks on their way to others: soft, hard or drawn, and what gradient comes back."""

from __future__ import annotations

import pytest
import torch

from GANSegmentationLib.objectives.hard_masks import shown_mask


@pytest.mark.parametrize("classes", [1, 3])
def test_soft_masks_are_probabilities(classes):
    scores = torch.randn(2, classes, 4, 4)
    expected = torch.sigmoid(scores) if classes == 1 else torch.softmax(scores, dim=1)
    torch.testing.assert_close(shown_mask(scores, "soft"), expected)


@pytest.mark.parametrize("how", ["hard", "gumbel"])
@pytest.mark.parametrize("classes", [1, 3])
def test_hard_masks_are_exactly_zero_and_one(how, classes):
    mask = shown_mask(5 * torch.randn(2, classes, 16, 16), how)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    if classes > 1:
        assert (mask.sum(dim=1) == 1).all()


def test_one_logit_is_hardened_at_probability_one_half():
    scores = torch.tensor([-0.3, -1e-3, 1e-3, 0.3]).view(1, 1, 1, 4)
    assert shown_mask(scores, "hard").flatten().tolist() == [0, 0, 1, 1]


def test_several_scores_are_hardened_to_the_highest():
    scores = torch.randn(2, 4, 8, 8)
    assert torch.equal(shown_mask(scores, "hard").argmax(dim=1), scores.argmax(dim=1))


@pytest.mark.parametrize("classes", [1, 3])
def test_the_gradient_of_a_hard_mask_is_that_of_the_probabilities(classes):
    gradients, weights = [], torch.randn(2, classes, 4, 4)
    for how in ("soft", "hard"):
        scores = torch.linspace(-2, 2, 2 * classes * 16).view(2, classes, 4, 4).requires_grad_(True)
        (shown_mask(scores, how) * weights).sum().backward()
        gradients.append(scores.grad)
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("classes", [1, 3])
def test_drawn_masks_have_the_probabilities_as_frequencies(classes):
    scores = torch.tensor([0.5] if classes == 1 else [0.2, 1.0, -0.5]).view(1, classes, 1, 1)
    expected = torch.sigmoid(scores) if classes == 1 else torch.softmax(scores, dim=1)
    drawn = shown_mask(scores.expand(-1, -1, 200, 200), "gumbel", temperature=0.7)
    torch.testing.assert_close(drawn.mean(dim=(2, 3), keepdim=True), expected, atol=0.015, rtol=0)


def test_a_draws_gradient_is_finite_and_steeper_at_a_low_temperature():
    slopes = []
    for temperature in (0.2, 1.0):
        torch.manual_seed(0)
        scores = torch.zeros(1, 1, 64, 64, requires_grad=True)
        shown_mask(scores, "gumbel", temperature).sum().backward()
        assert scores.grad.isfinite().all()
        slopes.append(scores.grad.max().item())
    assert slopes[0] > 3 * slopes[1] > 0


@pytest.mark.parametrize("how", ["soft", "hard", "gumbel"])
def test_half_precision_scores_give_float32_masks(how):
    assert shown_mask(torch.randn(1, 2, 4, 4).bfloat16(), how).dtype == torch.float32
