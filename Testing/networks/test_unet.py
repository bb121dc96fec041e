"""The classic U-Net against the paper's figure, with padding and without."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, fold_batch_norm, initialise, read_network_config
from GANSegmentationLib.networks.layers import ConvNorm

# Module, channels, side of the output of the paper's unpadded network at 572 x 572 (its figure 1) and of the padded one
# at LGAN's 224 x 224, parameters of one input channel and two classes.
ROWS = [
    ("encoder.0.first", 64, 570, 224, 640),
    ("encoder.0.second", 64, 568, 224, 36_928),
    ("encoder.1.first", 128, 282, 112, 73_856),
    ("encoder.1.second", 128, 280, 112, 147_584),
    ("encoder.2.first", 256, 138, 56, 295_168),
    ("encoder.2.second", 256, 136, 56, 590_080),
    ("encoder.3.first", 512, 66, 28, 1_180_160),
    ("encoder.3.second", 512, 64, 28, 2_359_808),
    ("bottleneck.first", 1024, 30, 14, 4_719_616),
    ("bottleneck.second", 1024, 28, 14, 9_438_208),
    ("decoder.0.up", 512, 56, 28, 2_097_664),
    ("decoder.0.convolutions.first", 512, 54, 28, 4_719_104),
    ("decoder.0.convolutions.second", 512, 52, 28, 2_359_808),
    ("decoder.1.up", 256, 104, 56, 524_544),
    ("decoder.1.convolutions.first", 256, 102, 56, 1_179_904),
    ("decoder.1.convolutions.second", 256, 100, 56, 590_080),
    ("decoder.2.up", 128, 200, 112, 131_200),
    ("decoder.2.convolutions.first", 128, 198, 112, 295_040),
    ("decoder.2.convolutions.second", 128, 196, 112, 147_584),
    ("decoder.3.up", 64, 392, 224, 32_832),
    ("decoder.3.convolutions.first", 64, 390, 224, 73_792),
    ("decoder.3.convolutions.second", 64, 388, 224, 36_928),
    ("head", 2, 388, 224, 130),
]
UPS = [{}, {"up_kernel": 4}, {"up": "resize"}]


def meta(**config: object) -> nn.Module:
    """The network without memory: enough for shapes and counts."""
    with torch.device("meta"):
        return build("unet", config)


def small(**config: object) -> nn.Module:
    return initialise(build("unet", {"width": 4, "depth": 2, **config}), "he")


def shapes_of(network: nn.Module, side: int) -> dict[str, tuple[int, ...]]:
    """The output of every convolution by its name, in the order they run."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, block in network.named_modules():
        if isinstance(block, ConvNorm):
            block.register_forward_hook(lambda _m, _i, out, name=name: shapes.__setitem__(name, tuple(out.shape)))
    network(torch.empty(1, network.in_channels, side, side, device="meta"))
    return shapes


@pytest.fixture(scope="module")
def unpadded() -> tuple[nn.Module, dict[str, tuple[int, ...]]]:
    network = meta(classes=2, padding="valid")
    return network, shapes_of(network, 572)


@pytest.fixture(scope="module")
def padded() -> dict[str, tuple[int, ...]]:
    return shapes_of(meta(classes=2, activation="leaky"), 224)


@pytest.mark.parametrize(("name", "channels", "side", "side_padded", "count"), ROWS, ids=[row[0] for row in ROWS])
def test_row_of_the_papers_figure(unpadded, padded, name, channels, side, side_padded, count):
    network, shapes = unpadded
    assert shapes[name] == (1, channels, side, side)
    assert padded[name] == (1, channels, side_padded, side_padded)
    assert count_parameters(network.get_submodule(name)) == count


def test_the_rows_are_the_whole_network(unpadded):
    network, shapes = unpadded
    assert list(shapes) == [row[0] for row in ROWS]
    assert count_parameters(network) == sum(row[-1] for row in ROWS) == 31_030_658


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ({}, 31_030_593),
        ({"classes": 2}, 31_030_658),
        ({"activation": "leaky"}, 31_030_593),
        ({"norm": "batch"}, 31_042_369),
        ({"norm": "instance"}, 31_042_369),
        ({"norm": "group"}, 31_042_369),
        ({"up_kernel": 4}, 39_386_433),
        ({"width": 32}, 7_759_521),
    ],
    ids=str,
)
def test_totals_of_the_variants(config, count):
    assert count_parameters(meta(**config)) == count


# ----------------------------------------------------------------------------------------------- unpadded convolutions


def test_the_papers_sizes():
    border = meta(padding="valid").lost_border
    assert (border.margin, border.step) == (92, 16)
    assert border.fits(572) and border.scored(572) == 388
    assert [side for side in range(240, 280) if border.fits(side)] == [252, 268]
    assert (border.scored(252), border.scored(268)) == (68, 84)


def test_a_padded_network_loses_nothing():
    network = meta()
    assert network.lost_border is None and network.margin == 0 and network.multiple == 16


@pytest.mark.parametrize("up", UPS, ids=str)
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_the_lost_border_says_which_sizes_fit_and_what_they_give(up, depth):
    network = meta(width=1, depth=depth, padding="valid", **up)
    border = network.lost_border
    assert network.margin == border.margin and network.multiple == 1
    sides = range(border.smallest - 2 * border.step, border.smallest + 2 * border.step + 1)
    fitting = [side for side in sides if border.fits(side)]
    assert fitting == [border.smallest + n * border.step for n in range(3)]
    assert 1 <= border.scored(border.smallest) <= border.step, "no smaller side would have a scored pixel"
    other = fitting[1]
    for side in fitting:
        scores = network(torch.empty(1, 1, side, other, device="meta"))
        assert scores.shape == (1, 1, side - 2 * border.margin, other - 2 * border.margin)


@pytest.mark.parametrize("up", UPS, ids=str)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_unpadded_scores_are_those_of_the_padded_network_far_from_its_border(up, depth, settle):
    """The same weights on a larger image: where padding cannot reach, the two must say the same of every pixel."""
    config = {"depth": depth, "norm": "batch", **up}
    padded = settle(small(**config)).eval()
    unpadded = small(**config, padding="valid").eval()
    unpadded.load_state_dict(padded.state_dict())
    border, step = unpadded.lost_border, 2**depth
    side = border.smallest + 2 * step
    # Two convolutions lose two pixels before each pooling: this place keeps the pools of both networks in step.
    place = step + 2
    full = -(-(place + side) // step) * step
    image = torch.randn(1, 1, full, full)
    with torch.no_grad():
        whole = padded(image)
        scores = unpadded(image[..., place : place + side, place : place + side])
    first = place + border.margin
    inner = slice(first, first + border.scored(side))
    assert scores.std() > 1e-3
    torch.testing.assert_close(scores, whole[..., inner, inner], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("up", UPS, ids=str)
def test_no_context_is_wasted(up, monkeypatch):
    """Every pixel of the smallest image has a say in the scores, up to its corners; the margin could not be less."""
    # Averages instead of maxima, and weights that nothing switches off: the gradient then shows the whole field.
    monkeypatch.setattr(F, "max_pool2d", F.avg_pool2d)
    network = build("unet", {"width": 1, "padding": "valid", **up})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(0.5, 1.0)
    side = network.lost_border.smallest + network.lost_border.step
    image = torch.rand(1, 1, side, side, requires_grad=True)
    (everywhere,) = torch.autograd.grad(network(image).sum(), image)
    assert (everywhere > 0).all()
    (corner,) = torch.autograd.grad(network(image)[..., 0, 0].sum(), image)
    assert corner[0, 0, 0, 0] > 0 and corner[0, 0, -1, -1] == 0


def test_the_field_of_a_score(monkeypatch, receptive_field):
    """Four pixels of the deepest level, 16 apart, which see 140 each; other places in the raster see five."""
    monkeypatch.setattr(F, "max_pool2d", F.avg_pool2d)
    network = build("unet", {"width": 1, "activation": "leaky"})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(0.5, 1.0)
    assert receptive_field(network, 1, 256) == (188, 188)


@pytest.mark.parametrize("side", [571, 187, 172, 12])
def test_sizes_that_do_not_come_out_even_are_refused(side):
    with pytest.raises(GANSegmentationError) as caught:
        meta(padding="valid")(torch.empty(1, 1, 572, side, device="meta"))
    assert caught.value.code == "invalid_input_size"


def test_the_refusal_names_the_nearest_sizes():
    with pytest.raises(GANSegmentationError, match="188") as caught:
        meta(padding="valid")(torch.empty(1, 1, 256, 572, device="meta"))
    assert "252 or 268" in caught.value.action


# ------------------------------------------------------------------------------------------------------- as generators


@pytest.mark.parametrize(
    ("norm", "padding", "activation", "up", "classes"),
    list(itertools.product(("none", "batch", "instance", "group"), ("same", "valid"), ("relu", "leaky"), UPS, (1, 3))),
    ids=str,
)
def test_every_configuration_trains_whole(norm, padding, activation, up, classes):
    config = {"norm": norm, "padding": padding, "activation": activation, "classes": classes, **up}
    network = small(in_channels=2, width=3, **config)
    sides = (56, 64) if padding == "same" else (network.lost_border.smallest, network.lost_border.smallest + 4)
    y = network(torch.randn(2, 2, *sides))
    assert y.shape == (2, classes, *(side - 2 * network.margin for side in sides))
    y.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        idle = (
            norm in ("batch", "instance") and name.endswith("conv.bias") and ".up." not in name and "head" not in name
        )
        assert idle or parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("shape", [(1, 1, 255, 256), (1, 1, 256, 248), (1, 1, 300, 511)])
def test_odd_sizes_are_refused(shape):
    with pytest.raises(GANSegmentationError, match="16") as caught:
        meta()(torch.empty(shape, device="meta"))
    assert caught.value.code == "invalid_input_size"


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_other_channels_are_refused(padding):
    with pytest.raises(GANSegmentationError) as caught:
        meta(padding=padding)(torch.empty(1, 3, 572, 572, device="meta"))
    assert caught.value.code == "invalid_input_channels"


@pytest.mark.parametrize(
    "config",
    [
        {"width": 0},
        {"depth": 0},
        {"depth": 9},
        {"norm": "layer"},
        {"padding": "reflect"},
        {"activation": "tanh"},
        {"up": "transposed"},
        {"up_kernel": 3},
        {"up": "resize", "up_kernel": 4},
        {"dropout": 1.0},
        {"classes": 0},
        {"in_channels": 0},
    ],
    ids=str,
)
def test_what_makes_no_network_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        build("unet", config)
    assert caught.value.code == "invalid_network"


@pytest.mark.parametrize("up", UPS, ids=str)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_folding_keeps_the_numbers_and_removes_every_batch_norm(padding, up, settle):
    network = settle(small(norm="batch", padding=padding, **up)).eval()
    x = torch.randn(2, 1, 60, 64)
    with torch.no_grad():
        expected = network(x)
        folded = fold_batch_norm(copy.deepcopy(network))
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
        torch.testing.assert_close(folded(x), expected, atol=1e-4, rtol=1e-4)


def test_activations_have_the_slope_they_are_named_for():
    for activation, slope in (("relu", 0.0), ("leaky", 0.2)):
        block = small(activation=activation).bottleneck
        outputs = []
        block.second.register_forward_hook(lambda _m, _i, out, kept=outputs: kept.append(out))
        y = block(torch.randn(1, 8, 4, 4))
        torch.testing.assert_close(y, torch.where(outputs[0] > 0, outputs[0], slope * outputs[0]))
        assert (outputs[0] < 0).any()


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_skips_stand_in_front_of_what_comes_up_and_pooling_takes_maxima(padding):
    network = small(padding=padding)
    seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name in ("encoder.0", "encoder.1", "bottleneck", "decoder.0.up", "decoder.0.convolutions"):
        network.get_submodule(name).register_forward_hook(
            lambda _m, given, out, name=name: seen.__setitem__(name, (given[0], out))
        )
    network(torch.randn(1, 1, 64, 64))
    skip, up = seen["encoder.1"][1], seen["decoder.0.up"][1]
    cut = (skip.shape[-1] - up.shape[-1]) // 2
    assert cut == (4 if padding == "valid" else 0)
    skip = skip[..., cut : cut + up.shape[-1], cut : cut + up.shape[-1]]
    torch.testing.assert_close(seen["decoder.0.convolutions"][0], torch.cat((skip, up), dim=1))
    for name, before in (("encoder.1", "encoder.0"), ("bottleneck", "encoder.1")):
        torch.testing.assert_close(seen[name][0], F.max_pool2d(seen[before][1], 2))


def test_dropout_acts_after_the_two_deepest_levels_and_in_training_only():
    network = small(dropout=0.5, norm="group", depth=3)
    outputs: dict[str, torch.Tensor] = {}
    inputs: dict[str, torch.Tensor] = {}

    def keep(_module, given, out, name):
        inputs[name], outputs[name] = given[0], out

    for name in ("encoder.1", "encoder.2", "bottleneck", "decoder.0.up", "decoder.0.convolutions", "decoder.1.up"):
        network.get_submodule(name).register_forward_hook(
            lambda module, given, out, name=name: keep(module, given, out, name)
        )
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        network(x)
        width = outputs["encoder.2"].shape[1]
        skip = inputs["decoder.0.convolutions"][:, :width]
        dropped = (skip == 0) & (outputs["encoder.2"] > 0)
        assert 0.3 < dropped.sum() / (outputs["encoder.2"] > 0).sum() < 0.7
        torch.testing.assert_close(inputs["bottleneck"], F.max_pool2d(skip, 2))
        assert not torch.equal(inputs["decoder.0.up"], outputs["bottleneck"])
        torch.testing.assert_close(inputs["encoder.2"], F.max_pool2d(outputs["encoder.1"], 2))
        torch.testing.assert_close(inputs["decoder.1.up"], outputs["decoder.0.convolutions"])
        network.eval()
        torch.testing.assert_close(network(x), network(x), rtol=0, atol=0)


@pytest.mark.parametrize("norm", ["none", "batch", "instance", "group"])
def test_a_slice_does_not_depend_on_its_batch(norm, settle):
    network = settle(small(norm=norm)).eval()
    x = torch.randn(3, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(x[1:2]), network(x)[1:2], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("up", UPS, ids=str)
def test_bfloat16_autocast_trains(padding, up):
    network = small(width=8, norm="batch", padding=padding, **up).train()
    with torch.autocast("cpu", torch.bfloat16):
        y = network(torch.randn(2, 1, 60, 64))
    assert y.dtype == torch.bfloat16
    y.float().square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_bfloat16_autocast_agrees(settle):
    network = settle(small(width=8, norm="batch")).eval()
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        expected = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            y = network(x)
    assert (y.float() - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_channels_last_stays_and_agrees(padding):
    network = small(classes=3, padding=padding).eval()
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        expected = network(x)
        y = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_graph_compiles_whole(padding):
    network = small(padding=padding).eval()
    x = torch.randn(1, 1, 64, 64)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), network(x))


def test_names_in_the_state_dict():
    blocks = [f"{stage}.{part}" for stage in ("encoder.0", "bottleneck", "decoder.0.convolutions") for part in PAIR]
    expected = {
        f"{block}.{kind}.{name}" for block in blocks for kind in ("conv", "norm") for name in ("weight", "bias")
    }
    expected |= {f"{block}.conv.{name}" for block in ("decoder.0.up", "head") for name in ("weight", "bias")}
    assert set(build("unet", {"width": 8, "depth": 1, "norm": "group"}).state_dict()) == expected


PAIR = ("first", "second")


def test_the_configuration_alone_tells_the_lost_border():
    config = read_network_config("unet", {"padding": "valid", "width": 4})
    assert config.lost_border == meta(padding="valid").lost_border
    assert read_network_config("unet", {}).lost_border is None
    assert read_network_config("pix2pix_modern", {}).lost_border is None
