"""A small batch, small networks, and the training loop's freezing in a few lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from GANSegmentationLib.objectives import Objective
from GANSegmentationLib.objectives.base import WeightClip

GENERATOR = {"name": "pix2pix_modern", "config": {"channels": [16, 32, 32], "full_resolution": 8}}
DISCRIMINATOR = {"name": "patch70", "config": {"width": 16}}

Step = Callable[[Objective, dict[str, nn.Module], dict[str, Tensor]], dict[str, dict[str, Tensor]]]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def small() -> dict[str, dict[str, Any]]:
    """Small networks for the modern objectives: ``generator`` and ``discriminator`` as configurations hold them."""
    return {"generator": GENERATOR, "discriminator": DISCRIMINATOR}


@pytest.fixture
def make_batch() -> Callable[..., dict[str, Tensor]]:
    """``make_batch(count, size, labels=1)``: noisy ellipses, one for each label, side by side, and their mask."""

    def make(count: int, size: int, labels: int = 1) -> dict[str, Tensor]:
        # Columns are counted in labels: the ellipse of label n lies between n - 1 and n.
        row, column = torch.meshgrid(torch.linspace(0, 1, size), torch.linspace(0, labels, size), indexing="ij")
        mask = torch.zeros(count, size, size, dtype=torch.int64)
        for sample in range(count):
            for label in range(1, labels + 1):
                y, x = 0.35 + 0.3 * torch.rand(2)
                height, width = 0.15 + 0.1 * torch.rand(2)
                inside = ((row - y) / height) ** 2 + ((column - (label - 1) - x) / width) ** 2 < 1
                mask[sample][inside] = label
        image = 2 * mask.float() / labels - 0.5 + 0.5 * torch.randn(count, size, size)
        return {"image": image[:, None], "mask": mask}

    return make


@pytest.fixture
def step_gradients() -> Step:
    """``step_gradients(objective, networks, batch)``: one step without updates, frozen as the training loop freezes.

    Gives ``{phase: {"role.parameter": gradient}}`` with every parameter that has a gradient after the phase.
    """

    def run(
        objective: Objective, networks: dict[str, nn.Module], batch: dict[str, Tensor]
    ) -> dict[str, dict[str, Tensor]]:
        shared = objective.forward(networks, batch)
        gradients: dict[str, dict[str, Tensor]] = {}
        for phase in objective.phases:
            for role, network in networks.items():
                network.requires_grad_(role in phase.trains)
                network.zero_grad(set_to_none=True)
            phase.loss(networks, batch, shared)["total"].backward()
            gradients[phase.name] = {
                f"{role}.{name}": parameter.grad.clone()
                for role, network in networks.items()
                for name, parameter in network.named_parameters()
                if parameter.grad is not None
            }
        for network in networks.values():
            network.requires_grad_(True)
        return gradients

    return run


def clip_weights(network: nn.Module, clip: WeightClip) -> None:
    """Weight clipping in a few lines."""
    with torch.no_grad():
        for layer in network.modules():
            for name, parameter in layer.named_parameters(recurse=False):
                if not clip.only_convolutions or (isinstance(layer, nn.Conv2d) and name == "weight"):
                    parameter.clamp_(-clip.bound, clip.bound)


@pytest.fixture
def train() -> Callable[..., dict[str, Tensor]]:
    """``train(objective, networks, batch, steps, rate, only=None)``: updates as the loop makes them, on one batch.

    ``only`` names the one phase that updates. Phases have their turns and weights are clipped as they declare it. Gives
    the last step's shared tensors.
    """

    def run(
        objective: Objective,
        networks: dict[str, nn.Module],
        batch: dict[str, Tensor],
        steps: int,
        rate: float,
        only: str | None = None,
    ) -> dict[str, Tensor]:
        optimisers = {
            role: torch.optim.Adam(n.parameters(), rate, (0.5, 0.999), fused=True) for role, n in networks.items()
        }
        shared: dict[str, Tensor] = {}
        for step in range(steps):
            objective.set_progress(step, steps)
            shared = objective.forward(networks, batch)
            for phase in objective.phases:
                if only not in (None, phase.name) or (step + 1) % phase.every:
                    continue
                for role, network in networks.items():
                    network.requires_grad_(role in phase.trains)
                    network.zero_grad(set_to_none=True)
                phase.loss(networks, batch, shared)["total"].backward()
                for role in phase.trains:
                    optimisers[role].step()
                    if phase.clip is not None:
                        clip_weights(networks[role], phase.clip)
            for network in networks.values():
                network.requires_grad_(True)
        return shared

    return run
