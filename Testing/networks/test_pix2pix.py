"""Seed 000's generator against its table, row by row."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, fold_batch_norm, initialise, keras_count
from GANSegmentationLib.networks.layers import ConvNorm

# Module, channels and side of the output at 256 x 256, parameters of the convolution, of the normalisation as Keras
# counts it (four a channel).
ROWS = [
    ("encoder.0", 64, 128, 3_136, 0),
    ("encoder.1", 128, 64, 131_200, 512),
    ("encoder.2", 256, 32, 524_544, 1_024),
    ("encoder.3", 512, 16, 2_097_664, 2_048),
    ("encoder.4", 512, 8, 4_194_816, 2_048),
    ("encoder.5", 512, 4, 4_194_816, 2_048),
    ("encoder.6", 512, 2, 4_194_816, 2_048),
    ("bottleneck", 512, 1, 4_194_816, 0),
    ("decoder.0", 512, 2, 4_194_816, 2_048),
    ("decoder.1", 512, 4, 8_389_120, 2_048),
    ("decoder.2", 512, 8, 8_389_120, 2_048),
    ("decoder.3", 512, 16, 8_389_120, 2_048),
    ("decoder.4", 256, 32, 4_194_560, 1_024),
    ("decoder.5", 128, 64, 1_048_704, 512),
    ("decoder.6", 64, 128, 262_208, 256),
    ("head", 3, 256, 6_147, 0),
]


def meta_seed(in_channels: int = 3, out_channels: int = 3) -> nn.Module:
    """The network without memory: enough for shapes and counts."""
    with torch.device("meta"):
        return build("pix2pix_seed", {"in_channels": in_channels, "out_channels": out_channels})


@pytest.fixture(scope="module")
def seed() -> nn.Module:
    torch.manual_seed(0)
    return build("pix2pix_seed", {})


@pytest.fixture(scope="module")
def meta_shapes() -> tuple[nn.Module, dict[str, torch.Size]]:
    network = meta_seed()
    shapes: dict[str, torch.Size] = {}
    for name, block in network.named_modules():
        if isinstance(block, ConvNorm):
            block.register_forward_hook(lambda _m, _i, out, name=name: shapes.__setitem__(name, out.shape))
    network(torch.empty(1, 3, 256, 256, device="meta"))
    return network, shapes


@pytest.mark.parametrize(("name", "channels", "side", "conv", "norm"), ROWS, ids=[row[0] for row in ROWS])
def test_row_of_the_table(meta_shapes, name, channels, side, conv, norm):
    network, shapes = meta_shapes
    block = network.get_submodule(name)
    assert shapes[name] == (1, channels, side, side)
    assert count_parameters(block.conv) == conv
    assert keras_count(block.norm) == norm
    assert block.conv.kernel_size == (4, 4) and block.conv.stride == (2, 2)


def test_the_rows_are_the_whole_network(meta_shapes):
    network, shapes = meta_shapes
    assert list(shapes) == [row[0] for row in ROWS]
    assert keras_count(network) == sum(conv + norm for *_, conv, norm in ROWS)


@pytest.mark.parametrize(
    ("channels", "total", "trainable"),
    [
        ((3, 3), 54_429_315, 54_419_459),
        ((1, 1), 54_423_169, 54_413_313),
        ((3, 1), 54_425_217, 54_415_361),
        ((3, 2), 54_427_266, 54_417_410),
    ],
)
def test_totals_of_the_variants(channels, total, trainable):
    network = meta_seed(*channels)
    assert keras_count(network) == total
    assert count_parameters(network) == trainable


# ------------------------------------------------------------------------------------------------ seed 004's variant


def meta_variant(**config: object) -> nn.Module:
    with torch.device("meta"):
        return build("pix2pix_seed", config)


def test_the_instance_normalised_variant_has_seed_004s_count():
    network = meta_variant(in_channels=2, out_channels=1, norm="instance")
    assert count_parameters(network) == keras_count(network) == 54_404_481
    assert all(block.conv.bias is not None for block in network.modules() if isinstance(block, ConvNorm))


def test_both_norms_stand_in_the_same_places_and_the_bottleneck_has_none():
    places = {}
    for norm, kind in (("keras_batch", nn.BatchNorm2d), ("instance", nn.InstanceNorm2d)):
        modules = meta_variant(norm=norm).named_modules()
        places[norm] = [name for name, block in modules if isinstance(block, kind)]
    expected = [f"encoder.{row}.norm" for row in range(1, 7)] + [f"decoder.{row}.norm" for row in range(7)]
    assert places == {"keras_batch": expected, "instance": expected}


@pytest.mark.parametrize("norm", ["keras_batch", "instance"])
def test_width_scales_every_row_and_changes_no_name(norm):
    narrow, whole = meta_variant(width=2, norm=norm), meta_variant(norm=norm)
    for (name, tensor), (other, full) in zip(narrow.state_dict().items(), whole.state_dict().items(), strict=True):
        assert name == other
        scaled = [side if side == 3 else side * 32 for side in tensor.shape[:2]] + list(tensor.shape[2:])
        assert list(full.shape) == scaled, name


def test_names_in_the_state_dict_are_those_that_packages_hold():
    kinds = {"conv": ("weight", "bias"), "norm": NORM}
    bare = ("encoder.0", "bottleneck", "head")
    blocks = [f"{side}.{row}" for side in ("encoder", "decoder") for row in range(7)] + ["bottleneck", "head"]
    expected = {
        f"{block}.{kind}.{name}"
        for block in blocks
        for kind, names in kinds.items()
        for name in names
        if kind == "conv" or block not in bare
    }
    assert set(meta_seed().state_dict()) == expected
    assert set(meta_variant(norm="instance").state_dict()) == {name for name in expected if ".conv." in name}


NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def test_the_instance_normalised_variant_trains_with_one_sample_and_looks_at_each_alone():
    torch.manual_seed(0)
    network = initialise(build("pix2pix_seed", {"in_channels": 2, "out_channels": 1, "width": 4, "norm": "instance"}))
    x = torch.randn(3, 2, 256, 256)
    network(x[:1]).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        # A bias before a normalisation has no effect; without one it has.
        if "bias" not in name or name.split(".conv")[0] in ("encoder.0", "bottleneck", "head"):
            assert parameter.grad.abs().sum() > 0, name
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("norm", ["keras_batch", "instance"])
def test_bfloat16_autocast_trains_a_narrow_one(norm):
    network = build("pix2pix_seed", {"width": 4, "norm": norm}).train()
    with torch.autocast("cpu", torch.bfloat16):
        y = network(torch.randn(2, 3, 256, 256))
    y.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("config", [{"width": 0}, {"norm": "batch"}, {"norm": "group"}], ids=str)
def test_what_is_no_variant_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        build("pix2pix_seed", config)
    assert caught.value.code == "invalid_network"


# ---------------------------------------------------------------------------------------------------- seed 000's table


def test_normalisation_has_the_constants_of_keras():
    norms = [layer for layer in meta_seed().modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == 13
    assert all(norm.eps == 1e-3 and norm.momentum == pytest.approx(1 - 0.99) for norm in norms)


def keras_same(x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Padded as TensorFlow defines ``same``: as little as the output size ceil(n / stride) needs, the odd one after."""
    pads = []
    for n in (x.shape[3], x.shape[2]):
        total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def test_convolutions_pad_as_keras(seed):
    conv = seed.encoder[0].conv
    x = torch.randn(1, 3, 8, 12)
    expected = F.conv2d(keras_same(x, 4, 2), conv.weight, conv.bias, stride=2)
    torch.testing.assert_close(conv(x), expected)


def test_transposed_convolutions_crop_as_keras(seed):
    """Keras' transposed convolution is the gradient of the convolution with the same padding."""
    conv = seed.head.conv
    y = torch.randn(1, 128, 4, 6)
    x = torch.zeros(1, 3, 8, 12, requires_grad=True)
    (expected,) = torch.autograd.grad(F.conv2d(keras_same(x, 4, 2), conv.weight, stride=2), x, y)
    torch.testing.assert_close(conv(y), expected + conv.bias[:, None, None], atol=1e-5, rtol=1e-4)


def run_with_hooks(network: nn.Module, x: torch.Tensor) -> tuple[dict, dict, torch.Tensor]:
    inputs: dict[str, torch.Tensor] = {}
    outputs: dict[str, torch.Tensor] = {}
    handles = []
    for name, block in network.named_modules():
        if isinstance(block, ConvNorm):

            def keep(_module, given, out, name=name):
                inputs[name], outputs[name] = given[0].clone(), out.clone()

            handles.append(block.register_forward_hook(keep))
    with torch.no_grad():
        y = network(x)
    for handle in handles:
        handle.remove()
    return inputs, outputs, y


def test_activations_and_skips_are_where_the_table_has_them(seed):
    inputs, outputs, y = run_with_hooks(seed.eval(), torch.randn(1, 3, 256, 256))
    for row in range(6):
        torch.testing.assert_close(inputs[f"encoder.{row + 1}"], F.leaky_relu(outputs[f"encoder.{row}"], 0.2))
    torch.testing.assert_close(inputs["decoder.0"], F.relu(outputs["bottleneck"]))
    for row in range(7):
        skip = F.leaky_relu(outputs[f"encoder.{6 - row}"], 0.2)
        following = f"decoder.{row + 1}" if row < 6 else "head"
        expected = F.relu(torch.cat((outputs[f"decoder.{row}"], skip), dim=1))
        torch.testing.assert_close(inputs[following], expected)
        assert (skip < 0).any(), "a skip without negative values could not tell before from after the ReLU"
    torch.testing.assert_close(y, torch.tanh(outputs["head"]))


def test_dropout_is_in_the_first_three_decoder_rows_only(seed):
    """Normalised values are negative in half the places; dropout of a half leaves a quarter above zero."""
    inputs, outputs, _ = run_with_hooks(seed.train(), torch.randn(2, 3, 256, 256))
    for row in range(7):
        width = outputs[f"decoder.{row}"].shape[1]
        following = inputs[f"decoder.{row + 1}" if row < 6 else "head"]
        above = (following[:, :width] > 0).float().mean().item()
        assert above == pytest.approx(0.25 if row < 3 else 0.5, abs=0.07), row


def test_eval_is_deterministic_and_train_is_not(seed):
    x = torch.randn(2, 3, 256, 256)
    with torch.no_grad():
        seed.eval()
        torch.testing.assert_close(seed(x), seed(x), rtol=0, atol=0)
        torch.testing.assert_close(seed(x)[:1], seed(x[:1]), atol=1e-5, rtol=1e-4)
        seed.train()
        assert not torch.equal(seed(x), seed(x))


def test_one_sample_trains_although_the_bottleneck_is_one_pixel(seed):
    seed.train()
    y = seed(torch.randn(1, 3, 256, 256))
    y.square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in seed.parameters())
    seed.zero_grad(set_to_none=True)


def test_a_grey_slice_is_given_to_all_three_channels(seed):
    grey = torch.randn(1, 1, 256, 256)
    with torch.no_grad():
        seed.eval()
        torch.testing.assert_close(seed(grey), seed(grey.repeat(1, 3, 1, 1)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("shape", "code"),
    [((1, 3, 256, 255), "invalid_input_size"), ((1, 2, 256, 256), "invalid_input_channels")],
)
def test_other_inputs_are_refused(shape, code):
    with pytest.raises(GANSegmentationError) as caught:
        meta_seed()(torch.empty(shape, device="meta"))
    assert caught.value.code == code


def test_folding_keeps_the_numbers(seed, settle):
    import copy

    network = settle(copy.deepcopy(seed)).eval()
    x = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        expected = network(x)
        folded = fold_batch_norm(network)
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
        torch.testing.assert_close(folded(x), expected, atol=1e-4, rtol=1e-3)
