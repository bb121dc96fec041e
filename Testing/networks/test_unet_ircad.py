"""Seed 003's network against its ten named convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, initialise
from GANSegmentationLib.networks.layers import ConvNorm

# The seed's name, our module, channels and side of the output at 256 x 256, parameters.
ROWS = [
    ("conv1", "encoder.0", 32, 256, 9_568),
    ("conv2", "encoder.1", 64, 128, 55_424),
    ("conv3", "encoder.2", 128, 64, 221_440),
    ("conv4", "encoder.3", 256, 32, 885_248),
    ("conv5", "bottleneck", 512, 16, 3_539_968),
    ("up6", "decoder.0.up", 256, 32, 524_544),
    ("conv6", "decoder.0.convolutions", 256, 32, 1_769_984),
    ("up7", "decoder.1.up", 128, 64, 131_200),
    ("conv7", "decoder.1.convolutions", 128, 64, 442_624),
    ("up8", "decoder.2.up", 64, 128, 32_832),
    ("conv8", "decoder.2.convolutions", 64, 128, 110_720),
    ("up9", "decoder.3.up", 32, 256, 8_224),
    ("conv9", "decoder.3.convolutions", 32, 256, 27_712),
    ("conv10", "head", 1, 256, 33),
]


@pytest.fixture(scope="module")
def table() -> tuple[nn.Module, dict[str, tuple[int, ...]]]:
    with torch.device("meta"):
        network = build("unet_ircad", {})
    shapes: dict[str, tuple[int, ...]] = {}
    for _, name, *_ in ROWS:
        network.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: shapes.__setitem__(name, tuple(out.shape))
        )
    network(torch.empty(1, 1, 256, 256, device="meta"))
    return network, shapes


@pytest.mark.parametrize(("row", "name", "channels", "side", "count"), ROWS, ids=[row[0] for row in ROWS])
def test_row_of_the_table(table, row, name, channels, side, count):
    network, shapes = table
    assert shapes[name] == (1, channels, side, side)
    assert count_parameters(network.get_submodule(name)) == count


def test_the_rows_are_the_whole_network(table):
    network, shapes = table
    assert list(shapes) == [row[1] for row in ROWS]
    assert count_parameters(network) == sum(row[-1] for row in ROWS) == 7_759_521


def test_convolutions_are_as_the_seed_has_them(table):
    network, _ = table
    blocks = {name: block for name, block in network.named_modules() if isinstance(block, ConvNorm)}
    assert len(blocks) == 23
    for name, block in blocks.items():
        assert isinstance(block.norm, nn.Identity) and block.conv.bias is not None
        size = (2, 2) if name.endswith("up") else (1, 1) if name == "head" else (3, 3)
        assert block.conv.kernel_size == size, name
        assert isinstance(block.conv, nn.ConvTranspose2d) == name.endswith("up")
    assert not any(isinstance(layer, nn.LeakyReLU) for layer in network.modules())
    assert network.multiple == 16 and network.lost_border is None


def test_every_part_trains_also_in_bfloat16():
    network = initialise(build("unet_ircad", {"in_channels": 3, "classes": 2, "width": 4}), "he")
    for autocast in (False, True):
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = network(torch.randn(2, 3, 32, 48))
        assert y.shape == (2, 2, 32, 48)
        y.float().square().mean().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_odd_sizes_are_refused(table):
    with pytest.raises(GANSegmentationError) as caught:
        table[0](torch.empty(1, 1, 250, 256, device="meta"))
    assert caught.value.code == "invalid_input_size"


@pytest.mark.parametrize("config", [{"width": 0}, {"classes": 0}, {"in_channels": 0}, {"depth": 4}], ids=str)
def test_what_makes_no_network_is_refused(config):
    with pytest.raises(GANSegmentationError, match="UNetIrcadConfig") as caught:
        build("unet_ircad", config)
    assert caught.value.code == "invalid_network"
