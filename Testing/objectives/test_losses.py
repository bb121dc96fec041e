"""The losses: known values, signs, empty masks, and float32 under autocast."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from GANSegmentationLib.objectives import losses

KINDS = ("vanilla", "lsgan", "hinge")


def sure(mask: torch.Tensor, classes: int) -> torch.Tensor:
    """Scores that leave no doubt of `mask`."""
    return 40 * (2 * losses.one_hot(mask, classes) - 1)


@pytest.fixture
def mask() -> torch.Tensor:
    return torch.randint(0, 3, (2, 8, 8))


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("over", ["batch", "sample"])
def test_a_right_mask_costs_nothing_and_a_wrong_one_all(mask, classes, over):
    wrong = (mask + 1) % 3 if classes == 3 else (mask == 0).long()
    assert losses.soft_dice_loss(sure(mask, classes), mask, over=over).item() == pytest.approx(0, abs=1e-5)
    assert losses.soft_dice_loss(sure(wrong, classes), mask, over=over, smooth=1e-5).item() == pytest.approx(
        1, abs=1e-4
    )
    assert losses.cross_entropy_loss(sure(mask, classes), mask).item() == pytest.approx(0, abs=1e-5)
    assert losses.cross_entropy_loss(sure(wrong, classes), mask).item() > 10


def test_dice_of_a_known_overlap():
    """Two of four pixels each, one in common: Dice 2 * 1 / (2 + 2), with smoothing 1 (2 + 1) / (4 + 1)."""
    mask = torch.tensor([[[1, 1, 0, 0]]])
    scores = sure(torch.tensor([[[0, 1, 1, 0]]]), 1)
    assert losses.soft_dice_loss(scores, mask, smooth=1e-9).item() == pytest.approx(0.5)
    assert losses.soft_dice_loss(scores, mask).item() == pytest.approx(1 - 3 / 5)


def test_dice_over_samples_is_the_mean_of_samples_and_over_the_batch_pools():
    mask = torch.tensor([[[1, 1, 1, 1]], [[1, 0, 0, 0]]])
    scores = sure(torch.tensor([[[1, 1, 1, 1]], [[0, 1, 0, 0]]]), 1)
    assert losses.soft_dice_loss(scores, mask, over="sample", smooth=1e-9).item() == pytest.approx(0.5)
    assert losses.soft_dice_loss(scores, mask, over="batch", smooth=1e-9).item() == pytest.approx(1 - 8 / 10)


def test_dice_of_squares():
    """Half in doubt everywhere, two of four pixels meant: 2 * 1 / (2 + 2) of sums, 2 * 1 / (4 / 4 + 2) of squares."""
    mask, scores = torch.tensor([[[1, 1, 0, 0]]]), torch.zeros(1, 1, 1, 4)
    assert losses.soft_dice_loss(scores, mask, smooth=1e-9).item() == pytest.approx(1 - 2 / 4)
    assert losses.soft_dice_loss(scores, mask, smooth=1e-9, squared=True).item() == pytest.approx(1 - 2 / 3)


def test_dice_leaves_the_background_out():
    """A mask of one pixel that is missed is a miss, however much background is right."""
    mask = torch.zeros(1, 32, 32, dtype=torch.int64)
    mask[0, 0, 0] = 1
    assert losses.soft_dice_loss(sure(torch.zeros_like(mask), 2), mask, smooth=1e-5).item() > 0.99


def test_dice_is_the_mean_over_foreground_classes():
    mask = torch.tensor([[[0, 1, 2, 2]]])
    scores = sure(torch.tensor([[[0, 1, 0, 0]]]), 3)
    assert losses.soft_dice_loss(scores, mask, smooth=1e-6).item() == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("over", ["batch", "sample"])
def test_an_empty_slice_is_finite_and_teaches_to_stay_empty(classes, over):
    mask = torch.zeros(2, 8, 8, dtype=torch.int64)
    assert losses.soft_dice_loss(sure(mask, classes), mask, over=over).item() == pytest.approx(0, abs=1e-5)
    scores = torch.zeros(2, classes, 8, 8, requires_grad=True)
    losses.soft_dice_loss(scores, mask, over=over).backward()
    foreground = scores.grad[:, -1]
    assert foreground.isfinite().all() and (foreground > 0).all(), "descent lowers the foreground's score"


@pytest.mark.parametrize("leading", [(2,), (2, 3)])
def test_the_middle_of_a_mask_belongs_to_smaller_scores(leading):
    mask = torch.arange(2 * 10 * 12).view(2, *(1 for _ in leading[1:]), 10, 12).expand(*leading, 10, 12)
    cut = losses.centre_crop(mask, torch.zeros(2, 1, 4, 8))
    assert torch.equal(cut, mask[..., 3:7, 2:10])
    assert torch.equal(losses.centre_crop(mask, torch.zeros(2, 5, 10, 12)), mask)


@pytest.mark.parametrize("size", [(12, 12), (9, 12), (4, 7)])
def test_scores_that_have_no_middle_of_the_mask_are_refused(size):
    with pytest.raises(ValueError, match="middle"):
        losses.centre_crop(torch.zeros(2, 10, 12), torch.zeros(2, 1, *size))


def test_cross_entropy_in_nats():
    mask = torch.zeros(1, 4, 4, dtype=torch.int64)
    assert losses.cross_entropy_loss(torch.zeros(1, 1, 4, 4), mask).item() == pytest.approx(math.log(2))
    assert losses.cross_entropy_loss(torch.zeros(1, 5, 4, 4), mask).item() == pytest.approx(math.log(5))


def test_one_logit_takes_every_label_for_foreground():
    assert losses.one_hot(torch.tensor([[[0, 1, 4]]]), 1).tolist() == [[[[0.0, 1.0, 1.0]]]]
    assert losses.one_hot(torch.tensor([[[0, 2]]]), 3).tolist() == [[[[1.0, 0.0]], [[0.0, 0.0]], [[0.0, 1.0]]]]


def test_probabilities_sum_to_one_or_are_a_sigmoid():
    torch.testing.assert_close(losses.probabilities(torch.randn(2, 4, 3, 3)).sum(dim=1), torch.ones(2, 3, 3))
    scores = torch.randn(2, 1, 3, 3)
    torch.testing.assert_close(losses.probabilities(scores), torch.sigmoid(scores))


@pytest.mark.parametrize("kind", KINDS)
def test_the_discriminators_loss_falls_when_it_is_right(kind):
    real, fake = torch.full((4,), 0.3, requires_grad=True), torch.full((4,), 0.2, requires_grad=True)
    loss_real, loss_fake = losses.discriminator_loss(kind, real, fake)
    (loss_real + loss_fake).backward()
    assert (real.grad < 0).all(), "descent raises the real scores"
    assert (fake.grad > 0).all(), "descent lowers the fake scores"
    right = sum(losses.discriminator_loss(kind, torch.tensor([1.0]), torch.tensor([0.0])))
    wrong = sum(losses.discriminator_loss(kind, torch.tensor([0.0]), torch.tensor([1.0])))
    assert right < wrong


@pytest.mark.parametrize("kind", KINDS)
def test_the_generators_term_falls_when_the_discriminator_is_fooled(kind):
    fake = torch.full((4,), 0.2, requires_grad=True)
    losses.generator_adversarial_loss(kind, fake).backward()
    assert (fake.grad < 0).all(), "descent raises the fake scores"
    fooled, caught = (losses.generator_adversarial_loss(kind, torch.tensor([score])) for score in (1.0, -1.0))
    assert fooled < caught


def test_vanilla_is_the_cross_entropy_of_the_seed():
    real, fake = torch.randn(3, 1, 16, 16), torch.randn(3, 1, 16, 16)
    loss_real, loss_fake = losses.discriminator_loss("vanilla", real, fake)
    torch.testing.assert_close(loss_real, F.binary_cross_entropy(torch.sigmoid(real), torch.ones_like(real)))
    torch.testing.assert_close(loss_fake, F.binary_cross_entropy(torch.sigmoid(fake), torch.zeros_like(fake)))
    torch.testing.assert_close(
        losses.generator_adversarial_loss("vanilla", fake),
        F.binary_cross_entropy(torch.sigmoid(fake), torch.ones_like(fake)),
    )


def test_lsgan_and_hinge_have_their_known_values():
    real, fake = torch.tensor([0.5, 2.0]), torch.tensor([0.5, -2.0])
    assert [x.item() for x in losses.discriminator_loss("lsgan", real, fake)] == pytest.approx([0.625, 2.125])
    assert losses.generator_adversarial_loss("lsgan", fake).item() == pytest.approx((0.25 + 9) / 2)
    assert [x.item() for x in losses.discriminator_loss("hinge", real, fake)] == pytest.approx([0.25, 0.75])
    assert losses.generator_adversarial_loss("hinge", fake).item() == pytest.approx(0.75)


def test_vanilla_is_finite_where_a_sigmoid_would_saturate():
    sure_scores = torch.tensor([200.0])
    assert sum(losses.discriminator_loss("vanilla", -sure_scores, sure_scores)).item() == pytest.approx(400)
    assert losses.generator_adversarial_loss("vanilla", -sure_scores).item() == pytest.approx(200)


@pytest.mark.parametrize("kind", KINDS)
def test_accuracy_is_one_half_or_nothing(kind):
    low, high = torch.full((4, 4), -0.5), torch.full((4, 4), 1.5)
    assert losses.discriminator_accuracy(kind, high, low).item() == 1
    assert losses.discriminator_accuracy(kind, low, high).item() == 0
    assert losses.discriminator_accuracy(kind, high, high).item() == 0.5


def test_everything_is_float32_under_autocast():
    scores = torch.randn(2, 3, 64, 64).bfloat16()
    mask = torch.randint(0, 3, (2, 64, 64))
    patches = torch.randn(2, 1, 30, 30).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        given = [
            losses.soft_dice_loss(scores, mask),
            losses.cross_entropy_loss(scores, mask),
            losses.cross_entropy_loss(scores[:, :1], mask),
            losses.l1_loss(scores, scores),
            *(loss for kind in KINDS for loss in losses.discriminator_loss(kind, patches, patches)),
            *(losses.generator_adversarial_loss(kind, patches) for kind in KINDS),
        ]
    assert all(loss.dtype == torch.float32 for loss in given)
    # In bfloat16 a sum over 64 x 64 pixels would be wrong in the third digit.
    exact = losses.soft_dice_loss(scores.double().float(), mask)
    torch.testing.assert_close(given[0], exact, atol=1e-6, rtol=0)
