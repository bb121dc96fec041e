"""The two patch discriminators: tables, maps and receptive fields."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from GANSegmentationLib.networks import build, count_parameters, initialise, keras_count

# Channels and side of the output at 256 x 256, parameters of the convolution, of the normalisation as Keras counts it.
ROWS = [
    (64, 128, 6_208, 0),
    (128, 64, 131_200, 512),
    (256, 32, 524_544, 1_024),
    (512, 16, 2_097_664, 2_048),
    (512, 16, 4_194_816, 2_048),
    (1, 16, 8_193, 0),
]


def meta(name: str, **config: object) -> nn.Module:
    with torch.device("meta"):
        return build(name, config)


@pytest.mark.parametrize("row", range(6))
def test_row_of_the_seeds_table(row):
    network = meta("patch142_keras")
    shapes = []
    for layer in network.layers:
        layer.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape)))
    network(torch.empty(1, 6, 256, 256, device="meta"))
    channels, side, conv, norm = ROWS[row]
    assert len(shapes) == 6
    assert shapes[row] == (1, channels, side, side)
    assert count_parameters(network.layers[row].conv) == conv
    assert keras_count(network.layers[row].norm) == norm


@pytest.mark.parametrize(("channels", "total", "trainable"), [(6, 6_968_257, 6_965_441), (2, 6_964_161, 6_961_345)])
def test_totals_of_the_seeds_discriminator(channels, total, trainable):
    network = meta("patch142_keras", in_channels=channels)
    assert keras_count(network) == total
    assert count_parameters(network) == trainable
    assert total - trainable == 2_816


def test_patch70_has_the_papers_count():
    assert count_parameters(meta("patch70", in_channels=6)) == 2_768_705
    assert count_parameters(meta("patch70", in_channels=3, norm="instance")) == 2_765_633


@pytest.mark.parametrize(
    ("name", "config", "side"),
    [("patch142_keras", {}, 16), ("patch70", {}, 30), ("patch70", {"halvings": 2}, 62), ("patch70", {"width": 8}, 30)],
)
def test_map_at_256(name, config, side):
    assert meta(name, **config)(torch.empty(2, 6, 256, 256, device="meta")).shape == (2, 1, side, side)


@pytest.mark.parametrize(
    ("name", "config", "side"),
    [
        ("patch142_keras", {}, 142),
        ("patch70", {"width": 8}, 70),
        ("patch70", {"width": 8, "halvings": 2}, 34),
        ("patch70", {"width": 8, "spectral": True, "norm": "none"}, 70),
    ],
)
def test_receptive_field_by_gradient(receptive_field, name, config, side):
    network = initialise(build(name, {"in_channels": 2, **config}), "he")
    assert receptive_field(network, 2, 256) == (side, side)


def test_stride_one_pads_as_keras():
    """One before, two after: padding the other way round, or symmetrically, gives other numbers or another size."""
    network = initialise(build("patch142_keras", {"in_channels": 2}), "he").eval()
    seen = {}
    network.layers[4].register_forward_hook(lambda _m, _i, out: seen.update(inner=out))
    network.layers[3].register_forward_hook(lambda _m, _i, out: seen.update(before=out))
    with torch.no_grad():
        y = network(torch.randn(1, 2, 64, 64))
        for row, given in ((4, seen["before"]), (5, seen["inner"])):
            layer = network.layers[row]
            padded = F.pad(F.leaky_relu(given, 0.2), (1, 2, 1, 2))
            expected = layer.norm(F.conv2d(padded, layer.conv.weight, layer.conv.bias))
            torch.testing.assert_close(seen["inner"] if row == 4 else y, expected)


def test_scores_are_raw():
    network = initialise(build("patch142_keras", {"in_channels": 2}), "he").eval()
    with torch.no_grad():
        y = network(10 * torch.randn(1, 2, 128, 128))
    assert y.min() < 0 or y.max() > 1


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("spectral", [False, True])
def test_every_parameter_of_patch70_gets_a_gradient(norm, spectral):
    network = initialise(build("patch70", {"in_channels": 3, "width": 8, "norm": norm, "spectral": spectral}), "he")
    network(torch.randn(2, 3, 64, 64)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    first_and_last = (network.layers[0].norm, network.layers[-1].norm)
    assert all(isinstance(layer, nn.Identity) for layer in first_and_last)


def test_spectral_norm_bounds_each_convolution():
    network = initialise(build("patch70", {"in_channels": 3, "width": 8, "norm": "none", "spectral": True}), "he")
    network.train()
    for _ in range(30):
        network(torch.randn(1, 3, 64, 64))
    network.eval()
    for layer in network.layers:
        largest = torch.linalg.matrix_norm(layer.conv.weight.flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, abs=0.05)
