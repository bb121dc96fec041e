"""SegNet against VGG16, and its pooling indices."""

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
    ("encoder.0.0", 64, 256, 640),
    ("encoder.0.1", 64, 256, 36_928),
    ("encoder.1.0", 128, 128, 73_856),
    ("encoder.1.1", 128, 128, 147_584),
    ("encoder.2.0", 256, 64, 295_168),
    ("encoder.2.1", 256, 64, 590_080),
    ("encoder.2.2", 256, 64, 590_080),
    ("encoder.3.0", 512, 32, 1_180_160),
    ("encoder.3.1", 512, 32, 2_359_808),
    ("encoder.3.2", 512, 32, 2_359_808),
    ("encoder.4.0", 512, 16, 2_359_808),
    ("encoder.4.1", 512, 16, 2_359_808),
    ("encoder.4.2", 512, 16, 2_359_808),
    ("decoder.0.0", 512, 16, 2_359_808),
    ("decoder.0.1", 512, 16, 2_359_808),
    ("decoder.0.2", 512, 16, 2_359_808),
    ("decoder.1.0", 512, 32, 2_359_808),
    ("decoder.1.1", 512, 32, 2_359_808),
    ("decoder.1.2", 256, 32, 1_179_904),
    ("decoder.2.0", 256, 64, 590_080),
    ("decoder.2.1", 256, 64, 590_080),
    ("decoder.2.2", 128, 64, 295_040),
    ("decoder.3.0", 128, 128, 147_584),
    ("decoder.3.1", 64, 128, 73_792),
    ("decoder.4.0", 64, 256, 36_928),
    ("head", 1, 256, 577),
]


def meta(**config: object) -> nn.Module:
    with torch.device("meta"):
        return build("segnet", config)


def small(**config: object) -> nn.Module:
    return initialise(build("segnet", {"width": 4, **config}), "he")


@pytest.fixture(scope="module")
def table() -> tuple[nn.Module, dict[str, tuple[int, ...]]]:
    network = meta()
    shapes: dict[str, tuple[int, ...]] = {}
    for name, block in network.named_modules():
        if isinstance(block, ConvNorm):
            block.register_forward_hook(lambda _m, _i, out, name=name: shapes.__setitem__(name, tuple(out.shape)))
    network(torch.empty(1, 1, 256, 256, device="meta"))
    return network, shapes


@pytest.mark.parametrize(("name", "channels", "side", "count"), ROWS, ids=[row[0] for row in ROWS])
def test_row_of_the_table(table, name, channels, side, count):
    network, shapes = table
    block = network.get_submodule(name)
    assert shapes[name] == (1, channels, side, side)
    assert count_parameters(block.conv) == count
    assert count_parameters(block.norm) == (0 if name == "head" else 2 * channels)
    assert block.conv.kernel_size == (3, 3)


def test_the_rows_are_the_whole_network(table):
    network, shapes = table
    assert list(shapes) == [row[0] for row in ROWS]
    assert count_parameters(network) == sum(count + 2 * channels for _, channels, _, count in ROWS) - 2 == 29_442_433


def test_three_channels_and_two_classes():
    assert count_parameters(meta(in_channels=3, classes=2)) == 29_444_162


def run(network: nn.Module, x: torch.Tensor) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """What the stages are given and give."""
    inputs: dict[str, torch.Tensor] = {}
    outputs: dict[str, torch.Tensor] = {}

    def keep(_module, given, out, name):
        inputs[name], outputs[name] = given[0], out

    for side in ("encoder", "decoder"):
        for index, stage in enumerate(getattr(network, side)):
            stage.register_forward_hook(lambda m, given, out, name=f"{side}.{index}": keep(m, given, out, name))
    with torch.no_grad():
        network(x)
    return inputs, outputs


def test_values_go_back_to_the_places_their_maxima_came_from():
    """Computed apart, without PyTorch's indices: of every 2 x 2 only the place of the maximum holds a value."""
    inputs, outputs = run(small().eval(), torch.randn(2, 1, 64, 96))
    for level in range(5):
        fine = outputs[f"encoder.{4 - level}"]
        coarse = outputs["decoder." + str(level - 1)] if level else F.max_pool2d(fine, 2)
        count, channels, height, width = fine.shape
        blocks = fine.view(count, channels, height // 2, 2, width // 2, 2).permute(0, 1, 2, 4, 3, 5).flatten(-2)
        places = F.one_hot(blocks.argmax(-1), 4) * coarse[..., None]
        expected = places.unflatten(-1, (2, 2)).permute(0, 1, 2, 4, 3, 5).reshape(fine.shape)
        torch.testing.assert_close(inputs[f"decoder.{level}"], expected)
        assert (blocks.argmax(-1) > 0).any() and coarse.std() > 0


def test_stages_end_in_relu_and_the_scores_do_not():
    network = small().eval()
    _, outputs = run(network, torch.randn(2, 1, 64, 64))
    assert all((output >= 0).all() and (output == 0).any() for output in outputs.values())
    with torch.no_grad():
        assert (network(10 * torch.randn(2, 1, 64, 64)) < 0).any()


@pytest.mark.parametrize("classes", [1, 3])
def test_every_part_trains(classes):
    network = small(in_channels=2, classes=classes)
    y = network(torch.randn(2, 2, 64, 96))
    assert y.shape == (2, classes, 64, 96)
    y.square().mean().backward()
    for name, parameter in network.named_parameters():
        idle = name.endswith("conv.bias") and "head" not in name
        assert parameter.grad.isfinite().all() and (idle or parameter.grad.abs().sum() > 0), name


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ((1, 1, 255, 256), "invalid_input_size"),
        ((1, 1, 256, 272), "invalid_input_size"),
        ((1, 2, 256, 256), "invalid_input_channels"),
    ],
)
def test_other_inputs_are_refused(shape, code):
    with pytest.raises(GANSegmentationError) as caught:
        meta()(torch.empty(shape, device="meta"))
    assert caught.value.code == code


def test_folding_keeps_the_numbers(settle):
    network = settle(small()).eval()
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        expected = network(x)
        folded = fold_batch_norm(copy.deepcopy(network))
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
        torch.testing.assert_close(folded(x), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels_last", [False, True])
def test_bfloat16_autocast_trains_in_either_memory_format(channels_last):
    form = torch.channels_last if channels_last else torch.contiguous_format
    network = small(width=8).train().to(memory_format=form)
    with torch.autocast("cpu", torch.bfloat16):
        y = network(torch.randn(2, 1, 64, 64).to(memory_format=form))
    assert y.dtype == torch.bfloat16 and y.is_contiguous(memory_format=form)
    y.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_bfloat16_weights_compute():
    """As in use with half precision: no autocast, the weights themselves are short."""
    network = small(width=8).eval()
    x = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        expected = network(x)
        y = network.bfloat16()(x.bfloat16())
    # Maxima that are equal in short numbers may be taken from other places, so the scores agree on the whole only.
    assert F.cosine_similarity(y.float().flatten(), expected.flatten(), dim=0) > 0.9


def test_channels_last_agrees_and_gradients_too():
    network = small(classes=3).double()  # or rounding would decide between maxima that are nearly equal
    x = torch.randn(2, 1, 64, 64, dtype=torch.float64)
    other = copy.deepcopy(network).to(memory_format=torch.channels_last)
    results = []
    for each, given in ((network, x), (other, x.to(memory_format=torch.channels_last))):
        y = each(given)
        y.square().mean().backward()
        results.append((y.detach(), each.encoder[0][0].conv.weight.grad))
    torch.testing.assert_close(results[1], results[0])


def test_the_graph_compiles_whole():
    network = small().eval()
    x = torch.randn(1, 1, 32, 32)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), network(x))
