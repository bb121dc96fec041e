"""Helpers for the networks' tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def receptive_field() -> Callable[[nn.Module, int, int], tuple[int, int]]:
    """``measure(network, channels, size)``: the side of the input that one output in the middle depends on."""

    def measure(network: nn.Module, channels: int, size: int) -> tuple[int, int]:
        # eval(): batch statistics would make every output depend on every input.
        network.eval()
        x = torch.randn(1, channels, size, size, requires_grad=True)
        y: Tensor = network(x)
        (gradient,) = torch.autograd.grad(y[0, :, y.shape[2] // 2, y.shape[3] // 2].sum(), x)
        touched = gradient[0].abs().amax(dim=0) > 0
        sides = []
        for axis in (1, 0):
            where = touched.any(dim=axis).nonzero().flatten()
            assert where[0] > 0 and where[-1] < size - 1, "the field meets the border, so it would be cut"
            sides.append(int(where[-1] - where[0]) + 1)
        return sides[0], sides[1]

    return measure


@pytest.fixture
def settle() -> Callable[[nn.Module], nn.Module]:
    """``settle(network)``: statistics and affine parts of every batch norm drawn at random, as after training."""

    def draw(network: nn.Module) -> nn.Module:
        with torch.no_grad():
            for layer in network.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    assert layer.running_mean is not None and layer.running_var is not None
                    layer.running_mean.normal_(0, 0.3)
                    layer.running_var.uniform_(0.5, 2)
                    layer.weight.uniform_(0.5, 1.5)
                    layer.bias.normal_(0, 0.3)
        return network

    return draw
