"""The moving average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from GANSegmentationLib.training.steps.ema import MovingAverage


def _network(value: float = 0.0) -> nn.Sequential:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    return _fill(network, value)


def _fill(network: nn.Sequential, value: float) -> nn.Sequential:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
    return network


def test_it_is_a_copy_that_never_trains() -> None:
    network = _network()
    average = MovingAverage(network, 0.9)
    assert not average.network.training and network.training
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    _fill(network, 5.0)
    assert float(average.network[0].weight.max()) == 0.0


def test_it_follows_by_the_decay_once_it_has_warmed_up() -> None:
    network = _network(0.0)
    average = MovingAverage(network, 0.5)
    average.updates = 1000
    _fill(network, 1.0)
    average.update(network)
    assert float(average.network[0].weight[0, 0]) == pytest.approx(0.5)
    average.update(network)
    assert float(average.network[0].weight[0, 0]) == pytest.approx(0.75)


def test_it_forgets_the_random_beginning() -> None:
    network = _network(0.0)
    average = MovingAverage(network, 0.999)
    _fill(network, 1.0)
    average.update(network)
    assert float(average.network[0].weight[0, 0]) == pytest.approx(1 - 1 / 11), "the first update has a decay of 1/11"
    for _ in range(99):
        average.update(network)
    assert average.updates == 100 and float(average.network[0].weight[0, 0]) > 0.9999


def test_a_decay_of_zero_is_the_network_itself() -> None:
    network = _network(0.0)
    average = MovingAverage(network, 0.0)
    _fill(network, 3.0)
    average.update(network)
    assert torch.equal(average.network[0].weight, network[0].weight)


def test_running_statistics_are_copied_and_not_averaged() -> None:
    network = _network()
    average = MovingAverage(network, 0.999)
    network[1].running_mean.fill_(7.0)
    network[1].num_batches_tracked.fill_(41)
    average.update(network)
    assert float(average.network[1].running_mean[0]) == 7.0
    assert int(average.network[1].num_batches_tracked) == 41
