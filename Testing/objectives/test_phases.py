"""What holds for every objective: who learns in which phase, and that nothing else does."""

from __future__ import annotations

import json

import pytest
import torch

from GANSegmentationLib import networks
from GANSegmentationLib.objectives import build, names

CASES = {
    "supervised": ("supervised", {}),
    "modern": ("conditional", {}),
    "modern-vanilla": ("conditional", {"adversarial": "vanilla"}),
    "modern-hinge-noise": ("conditional", {"adversarial": "hinge", "instance_noise": 0.1, "mask_smoothing": 0.1}),
    "faithful": ("conditional", {"setting": "faithful"}),
}


@pytest.fixture(params=CASES)
def case(request, small, make_batch):
    name, config = CASES[request.param]
    if config.get("setting") == "faithful":
        return build(name, config), make_batch(1, 256)
    networks_used = {role: small[role] for role in (("generator",) if name == "supervised" else small)}
    return build(name, {**networks_used, **config}), make_batch(2, 64)


def test_every_name_has_a_case():
    assert {name for name, _ in CASES.values()} == set(names())


def test_each_networks_gradient_is_non_zero_in_its_phase_and_absent_elsewhere(case, step_gradients):
    objective, batch = case
    players = objective.build_networks()
    gradients = step_gradients(objective, players, batch)
    for phase in objective.phases:
        expected = {f"{role}.{name}" for role in phase.trains for name, _ in players[role].named_parameters()}
        assert set(gradients[phase.name]) == expected, "exactly the phase's parameters"
        # A bias directly before a batch norm has no effect: its gradient is rounding.
        idle = {
            f"{role}.{name}.conv.bias"
            for role in phase.trains
            for name, block in players[role].named_modules()
            if isinstance(getattr(block, "norm", None), torch.nn.BatchNorm2d)
        }
        for name, gradient in gradients[phase.name].items():
            assert gradient.isfinite().all(), name
            assert name in idle or gradient.abs().sum() > 0, name


def test_every_parameter_belongs_to_exactly_one_phase(case):
    objective, _ = case
    players = objective.build_networks()
    trained = [role for phase in objective.phases for role in phase.trains]
    assert sorted(trained) == sorted(players)
    parameters = [id(parameter) for network in players.values() for parameter in network.parameters()]
    assert len(parameters) == len(set(parameters)), "no tensor is shared between two networks"


def test_totals_are_scalars_with_a_gradient_and_the_other_terms_are_for_the_log(case):
    objective, batch = case
    players = objective.build_networks()
    shared = objective.forward(players, batch)
    for phase in objective.phases:
        terms = phase.loss(players, batch, shared)
        assert terms["total"].requires_grad and terms["total"].dtype == torch.float32
        for name, value in terms.items():
            assert value.shape == () and value.isfinite(), name
            assert name == "total" or not value.requires_grad, name


def test_the_generator_is_rebuilt_from_its_specification(case):
    objective, batch = case
    name, config = objective.generator_spec()
    players = objective.build_networks()
    again = networks.build(name, json.loads(json.dumps(config)))
    again.load_state_dict(players["generator"].state_dict())
    kind = networks.entry(name)
    with torch.no_grad():
        expected = networks.scores(kind, players["generator"].eval()(batch["image"]))
        torch.testing.assert_close(networks.scores(kind, again.eval()(batch["image"])), expected, rtol=0, atol=0)


def test_the_same_seed_builds_the_same_networks(case):
    objective, _ = case
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append({role: network.state_dict() for role, network in objective.build_networks().items()})
    for role, state in states[0].items():
        assert all(torch.equal(tensor, states[1][role][name]) for name, tensor in state.items())


def test_bfloat16_autocast_gives_finite_float32_losses(case):
    objective, batch = case
    players = objective.build_networks()
    with torch.autocast("cpu", torch.bfloat16):
        shared = objective.forward(players, batch)
        for phase in objective.phases:
            total = phase.loss(players, batch, shared)["total"]
            assert total.dtype == torch.float32 and total.isfinite()
