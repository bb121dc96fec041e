"""The domain reaches every pixel through a normalisation of its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import initialise
from GANSegmentationLib.networks.conditional_norm import (
    ConditionalInstanceNorm,
    DomainConvNorm,
    check_domain,
    with_domain_channels,
)


def one_hot(*domains: int, of: int = 3) -> torch.Tensor:
    return F.one_hot(torch.tensor(domains), of).float()


def test_each_sample_is_scaled_and_shifted_as_its_domain_says():
    norm = ConditionalInstanceNorm(2, 3)
    x = torch.randn(3, 2, 6, 5) * 7 + 3
    y = norm(x, one_hot(2, 0, 2))
    for sample, domain in enumerate((2, 0, 2)):
        plain = nn.InstanceNorm2d(2, affine=True)
        plain.weight.data, plain.bias.data = norm.scale.data[domain], norm.shift.data[domain]
        torch.testing.assert_close(y[sample : sample + 1], plain(x[sample : sample + 1]))


def test_only_the_domains_that_were_there_get_a_gradient():
    norm = ConditionalInstanceNorm(2, 3)
    norm(torch.randn(2, 2, 4, 4), one_hot(1, 1)).square().sum().backward()
    for gradient in (norm.scale.grad, norm.shift.grad):
        assert gradient[1].abs().sum() > 0
        assert gradient[[0, 2]].abs().sum() == 0


def test_domains_differ_from_the_first_step_and_the_first_weights_leave_them_so():
    network = DomainConvNorm(nn.Conv2d(1, 64, 3), ConditionalInstanceNorm(64, 2))
    before = network.norm.scale.clone()
    initialise(network, "he")
    assert torch.equal(network.norm.scale, before)
    assert (before[0] - before[1]).abs().mean() > 0.05
    assert before.mean().item() == pytest.approx(1, abs=0.03)


def test_a_normalisation_that_knows_no_domain_ignores_it():
    block = DomainConvNorm(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4))
    x = torch.randn(1, 1, 8, 8)
    torch.testing.assert_close(block(x, one_hot(0)), block(x, one_hot(1)), rtol=0, atol=0)


def test_half_precision_stays_half():
    block = ConditionalInstanceNorm(4, 3)
    x = torch.randn(2, 4, 8, 8)
    y = block.to(torch.bfloat16)(x.bfloat16(), one_hot(0, 2))
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), block.float()(x, one_hot(0, 2)), atol=0.05, rtol=0.05)


def test_domain_channels_come_after_the_picture_s():
    x = torch.randn(2, 1, 3, 4)
    y = with_domain_channels(x, one_hot(2, 0))
    assert y.shape == (2, 4, 3, 4)
    assert torch.equal(y[:, :1], x)
    assert torch.equal(y[:, 1:].amax(dim=(2, 3)), one_hot(2, 0)) and torch.equal(
        y[:, 1:].amin(dim=(2, 3)), one_hot(2, 0)
    )


@pytest.mark.parametrize("shape", [(2, 2), (1, 3), (3,), (2, 3, 1)])
def test_a_domain_of_another_length_or_for_other_samples_is_refused(shape):
    with pytest.raises(GANSegmentationError) as caught:
        check_domain(torch.zeros(shape), torch.zeros(2, 1, 4, 4), 3)
    assert caught.value.code == "invalid_domain"
