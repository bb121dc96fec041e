"""Penalties against slopes that are known: of linear and quadratic critics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from GANSegmentationLib.objectives.penalties import gradient_penalty, r1_penalty


def linear(*weights):
    """A critic whose slope is known everywhere: the weights themselves."""

    def critic(*tensors):
        return sum((w * x).flatten(1).sum(dim=1, keepdim=True) for w, x in zip(weights, tensors, strict=True))

    return critic


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("target", [0.0, 1.0, 2.0])
def test_a_linear_critic_pays_the_square_of_what_its_slope_misses(scale, target):
    weight = torch.full((1, 2, 4, 4), scale / 32**0.5, requires_grad=True)
    real, fake = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    penalty = gradient_penalty(linear(weight), (real,), (fake,), target=target)
    assert penalty.shape == () and penalty.item() == pytest.approx((scale - target) ** 2, abs=1e-5)


def test_the_slope_of_several_arguments_is_one_norm_over_all_of_them():
    """3-4-5: a norm for each argument would pay (3 - 1)^2 and (4 - 1)^2 instead of (5 - 1)^2."""
    critic = linear(torch.full((1, 9), 1.0), torch.full((1, 1, 4, 4), 1.0))
    samples = torch.randn(2, 9), torch.randn(2, 1, 4, 4)
    assert gradient_penalty(critic, samples, samples).item() == pytest.approx(16, abs=1e-4)
    assert r1_penalty(critic, samples).item() == pytest.approx(25, abs=1e-4)


def test_the_penalty_teaches_the_slope():
    weight = torch.full((1, 16), 0.5, requires_grad=True)
    penalty = gradient_penalty(linear(weight), (torch.randn(2, 16),), (torch.randn(2, 16),))
    penalty.backward()
    # d (|w| - 1)^2 / dw = 2 (|w| - 1) w / |w|, with |w| = 2
    torch.testing.assert_close(weight.grad, 2 * (2 - 1) * weight.detach() / 2)


def test_points_lie_between_real_and_fake_with_one_share_a_sample():
    seen = []

    def critic(a, b):
        seen.extend([a.detach(), b.detach()])
        return a.flatten(1).sum(dim=1) + b.flatten(1).sum(dim=1)

    real = torch.ones(64, 3, 4, 4), torch.full((64, 5), 10.0)
    gradient_penalty(critic, real, tuple(torch.zeros_like(x) for x in real))
    shares = seen[0][:, 0, 0, 0]
    torch.testing.assert_close(seen[0], shares.view(-1, 1, 1, 1).expand(-1, 3, 4, 4), msg="one share for all pixels")
    torch.testing.assert_close(seen[1], 10 * shares[:, None].expand(-1, 5), msg="the same share for all arguments")
    assert shares.min() >= 0 and shares.max() <= 1 and shares.std() > 0.2, "every sample draws its own from U(0, 1)"


def test_what_real_and_fake_have_in_common_stays_what_it_is():
    image, seen = torch.randn(4, 1, 8, 8), []

    def critic(image, mask):
        seen.append(image.detach())
        return (image * mask).flatten(1).sum(dim=1)

    gradient_penalty(critic, (image, torch.rand(4, 1, 8, 8)), (image, torch.rand(4, 1, 8, 8)))
    torch.testing.assert_close(seen[0], image)


def test_a_quadratic_critic_is_measured_at_the_point_itself():
    """The slope of |x|^2 / 2 is x: with fake = real the point is known, for both penalties."""
    real = torch.randn(5, 12)

    def critic(x):
        return x.square().sum(dim=1) / 2

    expected = (real.norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(gradient_penalty(critic, (real,), (real,)), expected)
    torch.testing.assert_close(r1_penalty(critic, (real,)), real.square().sum(dim=1).mean())


def test_patch_scores_count_by_their_mean():
    def critic(x):
        return x.flatten(1).repeat(1, 7) * 2

    # The mean of 7 copies of 2 x over 4 entries has the slope 2 / 4 in each of them.
    real = torch.randn(3, 1, 2, 2)
    assert gradient_penalty(critic, (real,), (real,), target=0).item() == pytest.approx(4 * 0.25)


def test_nothing_reaches_the_generator():
    critic = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    fake = torch.randn(2, 1, 4, 4, requires_grad=True)
    real = torch.randn(2, 1, 4, 4)
    gradient_penalty(critic, (real,), (fake,)).backward()
    assert fake.grad is None and not real.requires_grad
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (critic[1].weight, critic[3].weight))


def test_r1_teaches_the_critic_and_not_the_generator():
    critic = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    real = torch.randn(2, 1, 4, 4)
    r1_penalty(critic, (real,)).backward()
    assert critic[1].weight.grad.abs().sum() > 0 and not real.requires_grad


def test_a_flat_critic_has_finite_gradients():
    """The derivative of a norm is not defined at 0."""
    weight = torch.zeros(1, 8, requires_grad=True)
    gradient_penalty(linear(weight), (torch.randn(2, 8),), (torch.randn(2, 8),)).backward()
    assert weight.grad.isfinite().all()


def test_an_argument_that_the_critic_ignores_adds_nothing():
    samples = torch.randn(2, 4), torch.randn(2, 3)
    penalty = gradient_penalty(lambda a, b: 3 * a[:, :1], samples, samples)
    assert penalty.item() == pytest.approx(4, abs=1e-5)


def test_slopes_are_float32_under_autocast_and_measured_without_gradients_too():
    critic = nn.Sequential(nn.Conv2d(1, 4, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(4 * 14 * 14, 1))
    real, fake = torch.randn(2, 2, 1, 16, 16)
    values = []
    for context in (torch.enable_grad(), torch.no_grad(), torch.autocast("cpu", torch.bfloat16)):
        torch.manual_seed(1)
        with context:
            values.append(gradient_penalty(critic, (real.bfloat16(),), (fake,)))
    assert all(value.dtype == torch.float32 for value in values)
    assert [value.requires_grad for value in values] == [True, False, True]
    torch.testing.assert_close(values[1], values[0], rtol=0, atol=0)
    torch.testing.assert_close(values[2], values[0], rtol=0, atol=0)


def test_batch_norm_bends_the_slope_which_is_why_it_is_not_used():
    """With it, the slope of one sample's score holds what the sample does to the others' scores."""
    torch.manual_seed(0)
    samples = torch.randn(2, 1, 6, 6)
    alone = {}
    for name, norm in {"batch": nn.BatchNorm2d(4), "instance": nn.InstanceNorm2d(4)}.items():
        torch.manual_seed(1)
        critic = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64, 1))
        alone[name] = r1_penalty(critic, (samples,)).item() - sum(
            r1_penalty(critic, (sample[None],)).item() for sample in samples
        ) / len(samples)
    assert alone["instance"] == pytest.approx(0, abs=1e-5) and abs(alone["batch"]) > 1e-3


@pytest.mark.parametrize(
    ("real", "fake"),
    [
        ((), ()),
        ((torch.zeros(2, 3),), ()),
        ((torch.zeros(2, 3),), (torch.zeros(1, 3),)),
        ((torch.zeros(2, 3),), (torch.zeros(2, 1),)),
    ],
)
def test_arguments_that_do_not_match_are_refused(real, fake):
    with pytest.raises(ValueError, match="differ"):
        gradient_penalty(linear(torch.zeros(1, 3)), real, fake)
