"""The critic of seed 001's code: its table, and that it takes one size only."""

from __future__ import annotations

import pytest
import torch

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, entry, initialise

# Channels and side of the map at 256 x 256, parameters of the convolution (without bias).
ROWS = [(64, 127, 576), (64, 63, 36_864), (128, 31, 73_728), (256, 15, 294_912)]


def test_rows_and_total_of_the_seed():
    with torch.device("meta"):
        network = build("sriker_critic", {})
    shapes = []
    for layer in network.layers:
        layer.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape)))
    scores = network(torch.empty(2, 1, 256, 256, device="meta"))
    assert shapes == [(2, channels, side, side) for channels, side, _ in ROWS]
    for layer, (channels, _, parameters) in zip(network.layers, ROWS, strict=True):
        assert count_parameters(layer.conv) == parameters and count_parameters(layer.norm) == 2 * channels
    assert count_parameters(network.first) == 15 * 15 * 256 * 1024 + 1024
    assert count_parameters(network.last) == 1025
    assert count_parameters(network) == 59_391_553
    assert scores.shape == (2, 1)


def test_it_judges_the_mask_alone():
    assert entry("sriker_critic").sees == "mask" and entry("sriker_critic").output == "critic"


@pytest.mark.parametrize("size", [31, 40, 64])
def test_narrow_and_small_ones_train(size):
    network = initialise(build("sriker_critic", {"width": 4, "size": size, "in_channels": 2}), "he")
    network(torch.rand(3, 2, size, size)).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize(
    ("shape", "code"),
    [((1, 1, 224, 224), "invalid_input_size"), ((1, 1, 256, 224), "invalid_input_size"),
     ((1, 2, 256, 256), "invalid_input_channels")],
)  # fmt: skip
def test_another_size_or_mask_is_refused_in_words(shape, code):
    with torch.device("meta"):
        network = build("sriker_critic", {})
    with pytest.raises(GANSegmentationError) as caught:
        network(torch.empty(shape, device="meta"))
    assert caught.value.code == code


@pytest.mark.parametrize("config", [{"size": 30}, {"width": 0}, {"in_channels": 0}, {"norm": "none"}], ids=str)
def test_what_makes_no_critic_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        build("sriker_critic", config)
    assert caught.value.code == "invalid_network"
