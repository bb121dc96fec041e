"""Seed 001's U-Net against its table."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, fold_batch_norm, initialise
from GANSegmentationLib.networks.layers import ConvNorm

# Module, channels and side of the output at 256 x 256, parameters of the convolution; two a channel of a norm.
ROWS = [
    ("encoder.0.first", 64, 256, 640),
    ("encoder.0.second", 64, 256, 36_928),
    ("encoder.1.first", 128, 128, 73_856),
    ("encoder.1.second", 128, 128, 147_584),
    ("encoder.2.first", 256, 64, 295_168),
    ("encoder.2.second", 256, 64, 590_080),
    ("encoder.3.first", 512, 32, 1_180_160),
    ("encoder.3.second", 512, 32, 2_359_808),
    ("encoder.4.first", 512, 16, 2_359_808),
    ("encoder.4.second", 512, 16, 2_359_808),
    ("decoder.0.convolutions.first", 512, 32, 4_719_104),
    ("decoder.0.convolutions.second", 256, 32, 1_179_904),
    ("decoder.1.convolutions.first", 256, 64, 1_179_904),
    ("decoder.1.convolutions.second", 128, 64, 295_040),
    ("decoder.2.convolutions.first", 128, 128, 295_040),
    ("decoder.2.convolutions.second", 64, 128, 73_792),
    ("decoder.3.convolutions.first", 64, 256, 73_792),
    ("decoder.3.convolutions.second", 64, 256, 36_928),
    ("head", 1, 256, 65),
]


def meta(**config: object) -> nn.Module:
    with torch.device("meta"):
        return build("unet_sriker", config)


def small(**config: object) -> nn.Module:
    return initialise(build("unet_sriker", {"width": 4, **config}), "he")


def keep(network: nn.Module) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What every named part is given and gives, filled as the network runs."""
    inputs: dict[str, torch.Tensor] = {}
    outputs: dict[str, torch.Tensor] = {}

    def hook(_module, given, out, name):
        inputs[name], outputs[name] = given[0], out

    for name, module in network.named_modules():
        module.register_forward_hook(lambda module, given, out, name=name: hook(module, given, out, name))
    return inputs, outputs


@pytest.fixture(scope="module")
def table() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    network = meta()
    _, outputs = keep(network)
    network(torch.empty(1, 1, 256, 256, device="meta"))
    return network, outputs


@pytest.mark.parametrize(("name", "channels", "side", "count"), ROWS, ids=[row[0] for row in ROWS])
def test_row_of_the_table(table, name, channels, side, count):
    network, outputs = table
    block = network.get_submodule(name)
    assert outputs[name].shape == (1, channels, side, side)
    assert count_parameters(block.conv) == count
    assert count_parameters(block.norm) == (0 if name == "head" else 2 * channels)


def test_the_rows_are_the_whole_network(table):
    network, _ = table
    blocks = [name for name, module in network.named_modules() if isinstance(module, ConvNorm)]
    assert blocks == [row[0] for row in ROWS]
    total = sum(count + (2 * channels if name != "head" else 0) for name, channels, _, count in ROWS)
    assert count_parameters(network) == total == 17_266_241


def test_the_transposed_form():
    network = meta(up="transpose")
    _, outputs = keep(network)
    network(torch.empty(1, 1, 256, 256, device="meta"))
    assert count_parameters(network) == 31_042_369
    assert outputs["encoder.4"].shape == (1, 1024, 16, 16)
    assert [outputs[f"decoder.{i}.up"].shape[1:] for i in range(4)] == [
        (512, 32, 32),
        (256, 64, 64),
        (128, 128, 128),
        (64, 256, 256),
    ]


def test_more_channels_and_classes_change_the_first_and_the_last_layer_only():
    assert count_parameters(meta(in_channels=3, classes=2)) == 17_266_241 + 2 * 9 * 64 + 65


def test_doubling_aligns_the_corners_and_stands_behind_the_skip():
    network = small().eval()
    inputs, outputs = keep(network)
    with torch.no_grad():
        network(torch.randn(1, 1, 32, 48))
    for level in range(4):
        before = outputs["encoder.4" if level == 0 else f"decoder.{level - 1}"]
        doubled = F.interpolate(before, scale_factor=2, mode="bilinear", align_corners=True)
        skip = outputs[f"encoder.{3 - level}"]
        torch.testing.assert_close(inputs[f"decoder.{level}.convolutions"], torch.cat((skip, doubled), dim=1))
        torch.testing.assert_close(inputs[f"encoder.{level + 1}"], F.max_pool2d(outputs[f"encoder.{level}"], 2))


@pytest.mark.parametrize("up", ["resize", "transpose"])
@pytest.mark.parametrize("classes", [1, 3])
def test_every_part_trains(up, classes):
    network = small(in_channels=2, classes=classes, up=up)
    y = network(torch.randn(2, 2, 32, 48))
    assert y.shape == (2, classes, 32, 48)
    y.square().mean().backward()
    for name, parameter in network.named_parameters():
        idle = name.endswith("conv.bias") and ".up." not in name and "head" not in name
        assert parameter.grad.isfinite().all() and (idle or parameter.grad.abs().sum() > 0), name


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ((1, 1, 255, 256), "invalid_input_size"),
        ((1, 1, 256, 264), "invalid_input_size"),
        ((1, 2, 256, 256), "invalid_input_channels"),
    ],
)
def test_other_inputs_are_refused(shape, code):
    with pytest.raises(GANSegmentationError) as caught:
        meta()(torch.empty(shape, device="meta"))
    assert caught.value.code == code


@pytest.mark.parametrize("up", ["resize", "transpose"])
def test_folding_keeps_the_numbers(up, settle):
    network = settle(small(up=up)).eval()
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        expected = network(x)
        folded = fold_batch_norm(copy.deepcopy(network))
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
        torch.testing.assert_close(folded(x), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("up", ["resize", "transpose"])
def test_bfloat16_autocast_trains(up):
    network = small(width=8, up=up).train()
    with torch.autocast("cpu", torch.bfloat16):
        y = network(torch.randn(2, 1, 32, 32))
    assert y.dtype == torch.bfloat16
    y.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_channels_last_stays_and_agrees():
    network = small(classes=3).eval()
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        expected = network(x)
        y = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)
