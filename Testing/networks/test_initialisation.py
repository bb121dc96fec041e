"""First weights: the deviation that each scheme promises, for plain, transposed and spectral layers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from GANSegmentationLib.networks import build, initialise


def test_normal_draws_the_seeds_deviation_and_zero_biases():
    network = initialise(build("patch142_keras", {}), "normal")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
            assert layer.weight.mean().item() == pytest.approx(0, abs=2e-3)
            assert not layer.bias.any()
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all() and not layer.bias.any()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(64, 64, 3, padding=1),
        nn.Conv2d(64, 32, 4, stride=2, padding=1),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        nn.ConvTranspose2d(32, 64, 4, stride=2, padding=1),
        nn.Linear(256, 512),
    ],
    ids=str,
)
def test_he_keeps_the_scale_of_activations(layer):
    torch.manual_seed(0)
    initialise(layer, "he")
    inside = torch.nn.functional.leaky_relu(torch.randn(8, 64 if layer.weight.ndim == 4 else 256, 16, 16), 0.2)
    if isinstance(layer, nn.Linear):
        inside = inside[:, :, 0, 0]
    elif isinstance(layer, nn.ConvTranspose2d):
        inside = inside[:, : layer.in_channels]
    out = layer(inside)
    if out.ndim == 4:
        out = out[..., 2:-2, 2:-2]
    # E[leaky(x)^2] = (1 + 0.04) / 2 is what the gain undoes.
    assert out.std().item() == pytest.approx(1, rel=0.08)


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(2000), nn.InstanceNorm2d(2000, affine=True), nn.GroupNorm(8, 2000)], ids=str
)
def test_segan_draws_the_scales_of_normalisations_too(norm):
    initialise(norm, "segan")
    assert norm.weight.mean().item() == pytest.approx(1, abs=2e-3)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not norm.bias.any()
    initialise(norm, "he")
    assert (norm.weight == 1).all(), "the others start at 1"


def test_segan_draws_weights_as_he():
    drawn = []
    for scheme in ("he", "segan"):
        torch.manual_seed(1)
        drawn.append(initialise(build("patch70", {"width": 4, "norm": "none"}), scheme).state_dict())
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])


def test_torch_leaves_the_weights_alone():
    network = build("patch70", {"width": 4})
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert initialise(network, "torch") is network
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_the_same_seed_draws_the_same_weights():
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(initialise(build("patch70", {"width": 4}), "normal").state_dict()["layers.0.conv.weight"])
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_spectral_layers_are_drawn_where_training_changes_them():
    torch.manual_seed(0)
    network = initialise(build("patch70", {"width": 16, "spectral": True, "norm": "none"}), "normal")
    originals = [value for name, value in network.named_parameters() if name.endswith("weight.original")]
    assert len(originals) == 5
    for weight in originals:
        assert weight.std().item() == pytest.approx(0.02, rel=0.15)
        assert math.isfinite(weight.sum().item())
