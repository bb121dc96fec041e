"""What holds for every objective: who learns in which phase, and that nothing else does."""

from __future__ import annotations

import json

import pytest
import torch

from GANSegmentationLib import networks
from GANSegmentationLib.objectives import build, names

PAINTERS = {
    "generator": {"name": "pix2pix_modern_image", "config": {"channels": [16, 32, 32], "full_resolution": 8}},
    "discriminator": {"name": "multiscale_patch70", "config": {"width": 8, "scales": 2}},
}
ROLES = {
    "supervised": ("generator",),
    "wasserstein": ("generator",),
    "multiscale_l1": (),
    "cycle": ("generator",),
    "domain": (),
}
CRITIC = {"name": "lgan_late_fusion", "config": {"width": 4}}
SEGAN = {
    "generator": {"name": "segan_segmentor", "config": {"width": 4}},
    "critic": {"name": "segan_critic", "config": {"width": 4}},
    "warm_up": [0, 0],
}
SEGAN_OF_TWO = {**SEGAN, "generator": {"name": "segan_segmentor", "config": {"width": 4, "classes": 3}}}
SEGAN_PENALISED = {**SEGAN, "critic": {"name": "segan_critic", "config": {"width": 4, "norm": "instance"}}}
CYCLE = {
    "painter": {"name": "cyclegan_resnet_image", "config": {"width": 4, "blocks": 1}},
    "mask_discriminator": {"name": "cyclegan_discriminator", "config": {"width": 4}},
    "image_discriminator": {"name": "cyclegan_image_discriminator", "config": {"width": 4}},
}
SRIKER = {
    **CYCLE,
    "generator": {"name": "unet_sriker", "config": {"width": 4}},
    "painter": {"name": "unet_sriker_image", "config": {"width": 4}},
}
DOMAIN = {
    "generator": {"name": "uagan_generator", "config": {"width": 8, "levels": 2}},
    "discriminator": {"name": "stargan_discriminator", "config": {"width": 8, "halvings": 4}},
}
DOMAIN_IN_CHANNELS = {"name": "uagan_generator", "config": {"width": 8, "levels": 2, "conditioning": "channels"}}
STARGAN = {"name": "stargan_generator", "config": {"width": 8, "blocks": 1}}
UNPADDED = {"name": "unet", "config": {"width": 8, "depth": 2, "padding": "valid"}}
CASES = {
    "supervised": ("supervised", {}),
    "supervised-unpadded": ("supervised", {"generator": UNPADDED}),
    "supervised-mirrored": ("supervised", {"generator": UNPADDED, "border": "mirrored"}),
    "supervised-segnet": ("supervised", {"generator": {"name": "segnet", "config": {"width": 4}}}),
    "modern": ("conditional", {}),
    "modern-vanilla": ("conditional", {"adversarial": "vanilla"}),
    "modern-hinge-noise": ("conditional", {"adversarial": "hinge", "instance_noise": 0.1, "mask_smoothing": 0.1}),
    "faithful": ("conditional", {"setting": "faithful"}),
    "wasserstein": ("wasserstein", {"critic": CRITIC}),
    "wasserstein-clip": ("wasserstein", {"critic": CRITIC, "lipschitz": "clip"}),
    "wasserstein-spectral": ("wasserstein", {"critic": CRITIC, "lipschitz": "spectral"}),
    "wasserstein-regression": ("wasserstein", {"critic": {**CRITIC, "name": "lgan_regression"}}),
    # Small first scores all lie within hinge's margin, where the last bias cancels exactly; "he" draws larger ones.
    "synthesis": ("synthesis", {**PAINTERS, "discriminator_initialisation": "he"}),
    "synthesis-lsgan": ("synthesis", {**PAINTERS, "adversarial": "lsgan", "noise_channels": 0, "classes": 2}),
    "segan": ("multiscale_l1", SEGAN),
    "segan-pure": ("multiscale_l1", {**SEGAN, "dice": 0.0}),
    "segan-penalty": ("multiscale_l1", {**SEGAN_PENALISED, "lipschitz": "penalty"}),
    "segan-two-classes": ("multiscale_l1", SEGAN_OF_TWO),
    "segan-two-critics": ("multiscale_l1", {**SEGAN_OF_TWO, "critics": "per_class", "level_weights": [1, 1, 2, 4]}),
    "cycle": ("cycle", CYCLE),
    "cycle-gumbel-stop": ("cycle", {**CYCLE, "shown_masks": "gumbel", "stop_gradient": "both", "paired_image": 1.0}),
    "cycle-faithful": ("cycle", {**SRIKER, "setting": "faithful"}),
    "domain": ("domain", DOMAIN),
    "domain-channels": ("domain", {**DOMAIN, "generator": DOMAIN_IN_CHANNELS, "recipe": "faithful"}),
    "domain-uasegan": ("domain", {**DOMAIN, "critic": SEGAN["critic"], "setting": "uasegan", "shape_ramp": 0.0}),
    "domain-stargan": ("domain", {**DOMAIN, "generator": STARGAN, "setting": "stargan"}),
}


@pytest.fixture(params=CASES)
def case(request, small, make_batch):
    name, config = CASES[request.param]
    if config.get("setting") == "faithful":
        return build(name, config), make_batch(1, 256)
    networks_used = {role: small[role] for role in ROLES.get(name, small)}
    batch = make_batch(2, 64)
    if name == "domain":
        batch["domain"] = torch.tensor([0, 1])
    return build(name, {**networks_used, **config}), batch


def test_every_name_has_a_case():
    assert {name for name, _ in CASES.values()} == set(names())


def test_each_networks_gradient_is_non_zero_in_its_phase_and_absent_elsewhere(case, step_gradients):
    objective, batch = case
    players = objective.build_networks()
    gradients = step_gradients(objective, players, batch)
    for phase in objective.phases:
        expected = {f"{role}.{name}" for role in phase.trains for name, _ in players[role].named_parameters()}
        assert set(gradients[phase.name]) == expected, "exactly the phase's parameters"
        # A bias directly before a batch or instance norm has no effect: its gradient is rounding.
        idle = {
            f"{role}.{name}.conv.bias"
            for role in phase.trains
            for name, block in players[role].named_modules()
            if isinstance(getattr(block, "norm", None), torch.nn.BatchNorm2d | torch.nn.InstanceNorm2d)
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
    given = [objective.condition(batch["mask"]) if objective.name == "synthesis" else batch["image"]]
    if networks.entry(name).takes_domain:
        given.append(torch.eye(2)[batch["domain"]])
    with torch.no_grad():
        expected = players["generator"].eval()(*given)
        torch.testing.assert_close(again.eval()(*given), expected, rtol=0, atol=0)


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
