"""A package's weights come into its network as they are, and folding changes nothing but time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from GANSegmentationLib import networks
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import load_network
from GANSegmentationLib.inference.network import in_precision, suggest_batch_size

SMALL = {"in_channels": 1, "classes": 1, "channels": [6, 8, 10], "norm": "batch"}


def plainly_loaded(package):
    """The network without anything that `load_network` does for speed."""
    network = networks.build(package.card.network.name, package.card.network.config)
    state = {name: torch.from_numpy(array.astype(np.float32)) for name, array in package.weights().items()}
    network.load_state_dict(state, strict=False)
    return network.eval()


@pytest.mark.parametrize(
    "change", [{}, {"up": "transposed"}, {"refine": False, "full_resolution": 0}, {"norm": "instance"}, {"classes": 3}]
)
def test_the_loaded_network_computes_what_the_trained_one_did(packages, change):
    config = {**SMALL, **change}
    package = packages.random(config, labels=2 if "classes" in change else 1, slicing=None)
    image = torch.randn(2, 1, 32, 24)
    with torch.no_grad():
        expected = plainly_loaded(package)(image)
        result = load_network(package)(image)
    assert expected.std() > 1e-3
    torch.testing.assert_close(result, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-4)


def test_every_batch_normalisation_is_folded_away(packages):
    network = load_network(packages.random(SMALL))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_the_network_is_ready_to_run(packages):
    network = load_network(packages.random(SMALL), dtype=torch.bfloat16)
    assert not network.training
    for name, parameter in network.named_parameters():
        assert not parameter.requires_grad, name
        assert parameter.dtype == torch.bfloat16
        if parameter.ndim == 4:
            assert parameter.is_contiguous(memory_format=torch.channels_last), name


def test_weights_stored_in_half_precision_are_folded_in_single(packages):
    package = packages.random(SMALL)
    halved = packages.write(SMALL, {name: array.astype(np.float16) for name, array in package.weights().items()})
    network = load_network(halved)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    image = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(image), plainly_loaded(halved)(image), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("harm", ["missing", "unknown", "shape", "whole numbers"])
def test_weights_that_do_not_fit_are_refused(packages, harm):
    weights = dict(packages.random(SMALL).weights())
    if harm == "missing":
        del weights["head.conv.bias"]
    elif harm == "unknown":
        weights["head.conv.scale"] = np.ones(1, np.float32)
    elif harm == "whole numbers":
        weights["head.conv.bias"] = weights["head.conv.bias"].astype(np.int8)
    else:
        weights["head.conv.bias"] = np.ones(7, np.float32)
    with pytest.raises(GANSegmentationError) as caught:
        load_network(packages.write(SMALL, weights))
    assert caught.value.code == "invalid_weights"
    assert "head.conv" in caught.value.details + caught.value.message


def test_the_seed_s_generator_gives_one_score(packages):
    """Its picture of the mask in three colours becomes their mean; here only that it loads and runs."""
    config = {"in_channels": 1, "out_channels": 3}
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in networks.build("pix2pix_seed", config).state_dict().items()}
    assert sum(np.prod(shape) for shape in shapes.values()) > 5e7  # too large to write in a test
    output = torch.rand(2, 3, 4, 4)
    scores = networks.scores(networks.entry("pix2pix_seed"), output)
    torch.testing.assert_close(scores, output.mean(dim=1, keepdim=True))


def test_a_copy_in_half_precision_leaves_the_original(packages):
    network = load_network(packages.random(SMALL))
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    half = in_precision(network, torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter, before[name], rtol=0, atol=0)
    for (name, parameter), other in zip(network.named_parameters(), half.parameters(), strict=True):
        torch.testing.assert_close(other.float(), parameter, atol=0, rtol=1e-2, msg=name)
        assert other.data_ptr() != parameter.data_ptr()
    image = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(half(image.bfloat16()).float(), network(image), atol=0.1, rtol=0.1)


@pytest.mark.parametrize(("dtype", "expected"), [(torch.float32, 4), (torch.bfloat16, 8)])
def test_a_batch_of_the_seed_s_network_fills_the_cache_of_a_cpu(make_card, dtype, expected):
    card = make_card({"in_channels": 1, "out_channels": 1}, network_name="pix2pix_seed")
    assert suggest_batch_size(card, (256, 256), dtype, torch.device("cpu")) == expected


def test_a_batch_is_at_least_one_slice_and_not_endless(make_card):
    card = make_card(SMALL)
    assert suggest_batch_size(card, (4096, 4096), torch.float32, torch.device("cpu")) == 1
    assert suggest_batch_size(card, (8, 8), torch.float32, torch.device("cpu")) == 16
    assert suggest_batch_size(card, (4096, 4096), torch.float32, torch.device("cuda")) == 16
