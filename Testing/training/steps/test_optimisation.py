"""Optimisers, their learning rates by part of the network, and the cutting of batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from GANSegmentationLib.networks import build, entry
from GANSegmentationLib.training.preset import OptimiserSettings
from GANSegmentationLib.training.steps.optimisation import Optimiser, parts_of

CPU = torch.device("cpu")
SETTINGS = OptimiserSettings("adam", lr=0.1, betas=(0.5, 0.99), weight_decay=0.01, momentum=0.8)
PEERS: dict[str, Any] = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.5, 0.99), weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.5, 0.99), weight_decay=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.99, weight_decay=0.01, momentum=0.8),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.01, momentum=0.8),
}


FORMATS = (torch.contiguous_format, torch.channels_last)


def _weights() -> Tensor:
    return torch.linspace(-1, 1, 8 * 6 * 3 * 3).reshape(8, 6, 3, 3)


def _gradient(step: int) -> Tensor:
    return torch.sin(torch.arange(8 * 6 * 3 * 3) * (1.0 + step)).reshape(8, 6, 3, 3)


@pytest.mark.parametrize("of_gradient", FORMATS)
@pytest.mark.parametrize("of_weights", FORMATS)
@pytest.mark.parametrize("name", PEERS)
def test_each_optimiser_steps_as_torch_s_plain_one_in_any_memory_format(
    name: str, of_weights: torch.memory_format, of_gradient: torch.memory_format
) -> None:
    network = nn.Conv2d(6, 8, 3)
    network.weight = nn.Parameter(_weights().to(memory_format=of_weights))
    assert network.bias is not None
    theirs = [nn.Parameter(_weights()), nn.Parameter(network.bias.detach().clone())]
    optimiser, peer = Optimiser(network, replace(SETTINGS, name=name), CPU), PEERS[name](theirs)
    for step in range(4):
        network.weight.grad = _gradient(step).to(memory_format=of_gradient)
        theirs[0].grad = _gradient(step)
        network.bias.grad, theirs[1].grad = torch.ones(8), torch.ones(8)
        optimiser.step(0.1)
        peer.step()
        torch.testing.assert_close(network.weight.detach(), theirs[0].detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(network.bias.detach(), theirs[1].detach(), rtol=1e-5, atol=1e-6)
    assert network.weight.is_contiguous(memory_format=of_weights)


def test_adam_is_fused() -> None:
    assert Optimiser(nn.Linear(2, 2), SETTINGS, CPU).inner.param_groups[0]["fused"]


def test_a_parameter_without_gradient_stays_and_gradients_are_forgotten() -> None:
    network = nn.Linear(2, 2)
    optimiser = Optimiser(network, replace(SETTINGS, name="adamw"), CPU)
    bias = network.bias.detach().clone()
    network.weight.grad = torch.ones(2, 2)
    optimiser.step(0.1)
    assert torch.equal(network.bias.detach(), bias), "no weight decay either"
    before = network.weight.detach().clone()
    optimiser.zero_grad()
    assert network.weight.grad is None
    optimiser.step(0.1)
    assert torch.equal(network.weight.detach(), before)


def test_a_state_goes_on(tmp_path: Path) -> None:
    first, second = (nn.Conv2d(6, 8, 3, bias=False).to(memory_format=torch.channels_last) for _ in range(2))
    one, two = (Optimiser(network, SETTINGS, CPU) for network in (first, second))
    for step in range(3):
        first.weight.grad = _gradient(step).to(memory_format=torch.channels_last)
        one.step(0.1)
    torch.save(one.state_dict(), tmp_path / "state")
    two.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    second.load_state_dict(first.state_dict())
    for network, optimiser in ((first, one), (second, two)):
        network.weight.grad = _gradient(7).to(memory_format=torch.channels_last)
        optimiser.step(0.05)
    assert torch.equal(first.weight, second.weight)


def test_encoder_and_head_learn_at_rates_of_their_own() -> None:
    described = entry("pix2pix_modern")
    network = build("pix2pix_modern", {"channels": [4, 4], "full_resolution": 4})
    settings = OptimiserSettings("sgd", lr=1.0, encoder_lr_factor=0.1, head_lr_factor=10.0)
    optimiser = Optimiser(network, settings, CPU, described)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step(0.02)
    moved = {name: float((before[name] - parameter.detach()).mean()) for name, parameter in network.named_parameters()}
    assert moved["encoder.0.down.conv.weight"] == pytest.approx(0.002, rel=1e-3)
    assert moved["stem.first.conv.weight"] == pytest.approx(0.002, rel=1e-3)
    assert moved["decoder.0.up.conv.weight"] == pytest.approx(0.02, rel=1e-3)
    assert moved["head.conv.weight"] == pytest.approx(0.2, rel=1e-3)
    assert min(moved.values()) > 0, "every parameter belongs to a group"


def test_without_factors_there_is_one_group() -> None:
    network = build("pix2pix_modern", {"channels": [4, 4], "full_resolution": 4})
    groups = Optimiser(network, SETTINGS, CPU, entry("pix2pix_modern")).inner.param_groups
    assert len(groups) == 1 and groups[0]["lr"] == 0.1


def test_a_network_that_names_no_parts_learns_at_one_rate() -> None:
    network = build("patch70", {"in_channels": 2, "width": 4})
    described = entry("patch70")
    assert described.encoder == described.head == ()
    groups = Optimiser(network, replace(SETTINGS, encoder_lr_factor=0.5), CPU, described).inner.param_groups
    assert len(groups) == 1 and groups[0]["lr"] == 0.1


def test_parts_of_a_batch_have_every_stream_cut_alike() -> None:
    batch = {"image": torch.arange(6).reshape(6, 1), "other/image": torch.arange(6, 12), "labelled": torch.ones(6) > 0}
    assert parts_of(batch, 1) == [batch]
    parts = parts_of(batch, 3)
    assert [part["image"].flatten().tolist() for part in parts] == [[0, 1], [2, 3], [4, 5]]
    assert [part["other/image"].tolist() for part in parts] == [[6, 7], [8, 9], [10, 11]]
    assert all(part["labelled"].shape == (2,) for part in parts)
