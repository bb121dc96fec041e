"""The five critics of LGAN: the paper's tables row by row, the two heads, and what each is shown."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from GANSegmentationLib import networks
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, entry, initialise, shown

NAMES = ("lgan_basic", "lgan_product", "lgan_early_fusion", "lgan_late_fusion", "lgan_regression")

# After each convolution at 224 x 224: channels, side, parameters of the convolution.
ROWS = {
    "lgan_basic": [("trunk.0", 64, 112, 640), ("trunk.1", 64, 56, 36_928), ("trunk.2", 128, 28, 73_856),
                   ("trunk.3", 256, 14, 295_168)],
    "lgan_product": [("trunk.0", 64, 112, 640), ("trunk.1", 64, 56, 36_928), ("trunk.2", 128, 28, 73_856),
                     ("trunk.3", 256, 14, 295_168)],
    "lgan_early_fusion": [("trunk.0", 64, 112, 1_216), ("trunk.1", 64, 56, 36_928), ("trunk.2", 128, 28, 73_856),
                          ("trunk.3", 256, 14, 295_168)],
    "lgan_late_fusion": [("branches.0.0", 64, 224, 640), ("branches.0.1", 64, 112, 36_928),
                         ("branches.1.0", 64, 112, 640), ("trunk.0", 128, 56, 147_584), ("trunk.1", 256, 28, 295_168),
                         ("trunk.2", 512, 14, 1_180_160)],
    "lgan_regression": [("branches.0.0", 64, 224, 640), ("branches.0.1", 64, 112, 36_928),
                        ("branches.0.2", 128, 56, 73_856), ("branches.0.3", 128, 28, 147_584),
                        ("branches.1.0", 64, 224, 640), ("branches.1.1", 64, 112, 36_928),
                        ("branches.1.2", 128, 56, 73_856), ("branches.1.3", 128, 28, 147_584),
                        ("trunk.0", 256, 14, 590_080), ("trunk.1", 512, 7, 1_180_160)],
}  # fmt: skip
FLAT = {"lgan_late_fusion": 512 * 14 * 14, "lgan_regression": 512 * 7 * 7}


def meta(name, **config):
    with torch.device("meta"):
        return build(name, config)


def arguments(name, size, channels=1, classes=1, count=2):
    """What the critic is shown of random images and masks."""
    image, mask = torch.randn(count, channels, size, size), torch.rand(count, classes, size, size)
    return shown(entry(name).sees, image, mask, torch.rand_like(mask))


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_the_papers_figure_at_224(name):
    network = meta(name, head="fc", size=224)
    given = {}
    for row, *_ in ROWS[name]:
        network.get_submodule(row).register_forward_hook(
            lambda _m, _i, out, row=row: given.update({row: tuple(out.shape)})
        )
    with torch.device("meta"):
        scores = network(*arguments(name, 224))
    blocks = [block for block in network.modules() if isinstance(block, networks.layers.ConvNorm)]
    assert len(blocks) == len(ROWS[name]), "no layer beside those of the table"
    for row, channels, side, parameters in ROWS[name]:
        block = network.get_submodule(row)
        assert given[row] == (2, channels, side, side), row
        assert count_parameters(block.conv) == parameters and count_parameters(block.norm) == 2 * channels, row
    flat = FLAT.get(name, 256 * 14 * 14)
    assert (network.first.in_features, network.first.out_features) == (flat, 1024)
    assert count_parameters(network.last) == 1025
    assert scores.shape == (2, 1)


@pytest.mark.parametrize(
    ("name", "at_224", "at_256"),
    [
        ("lgan_basic", 51_789_889, 67_518_529),
        ("lgan_product", 51_789_889, 67_518_529),
        ("lgan_early_fusion", 51_790_465, 67_519_105),
        ("lgan_late_fusion", 104_425_793, 135_883_073),
        ("lgan_regression", 27_983_489, 35_847_809),
    ],
)
def test_counts_with_the_papers_head(name, at_224, at_256):
    assert count_parameters(meta(name, head="fc", size=224)) == at_224
    assert count_parameters(meta(name, head="fc", size=256)) == at_256


@pytest.mark.parametrize(
    ("name", "sees"), [*zip(NAMES, ("mask", "product", "pair", "both", "comparison"), strict=True)]
)
def test_what_each_is_shown(name, sees):
    found = entry(name)
    assert (found.sees, found.role, found.output) == (sees, "discriminator", "critic")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [33, 64])
def test_the_averaging_head_takes_any_size_channels_and_classes(name, size):
    network = initialise(build(name, {"width": 4, "in_channels": 3, "mask_channels": 2}), "he")
    assert network(*arguments(name, size, 3, 2)).shape == (2, 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [33, 64])
def test_the_papers_head_takes_the_size_it_was_built_for(name, size):
    network = build(name, {"width": 4, "head": "fc", "size": size})
    assert network(*arguments(name, size)).shape == (2, 1)
    with pytest.raises(GANSegmentationError) as caught:
        network(*arguments(name, size + 16))
    assert caught.value.code == "invalid_input_size"


@pytest.mark.parametrize("name", NAMES)
def test_other_channels_are_refused(name):
    with pytest.raises(GANSegmentationError) as caught:
        build(name, {"width": 4})(*arguments(name, 32, 3, 2))
    assert caught.value.code == "invalid_input_channels"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "config",
    [
        *({"norm": norm} for norm in ("batch", "instance", "layer", "group", "none")),
        {"norm": "none", "spectral": True},
        {"norm": "none", "head": "fc", "size": 64},
    ],
    ids=str,
)
def test_every_parameter_and_every_argument_gets_a_gradient(name, config):
    network = initialise(build(name, {"width": 4, **config}), "he")
    inputs = [x.requires_grad_(True) for x in arguments(name, 64)]
    network(*inputs).square().mean().backward()
    idle = {f"{block}.conv.bias" for block, layer in network.named_modules() if hasattr(layer, "norm")}
    for parameter, value in network.named_parameters():
        assert (config["norm"] == "batch" and parameter in idle) or value.grad.abs().sum() > 0, parameter
    if config["norm"] == "instance":
        assert not any(name in idle for name, _ in network.named_parameters()), "no bias that the norm takes away"
    for x in inputs:
        assert (x.grad.flatten(1).abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize(("norm", "mixes"), [("batch", True), ("instance", False), ("layer", False), ("group", False)])
def test_only_batch_norm_lets_samples_change_each_others_scores(norm, mixes):
    """Which is why a gradient penalty goes with the others."""
    network = initialise(build("lgan_basic", {"width": 4, "norm": norm}), "he")
    masks = torch.rand(3, 1, 48, 48)
    with torch.no_grad():
        together, alone = network(masks), torch.cat([network(mask[None]) for mask in masks])
    assert torch.allclose(together, alone, atol=1e-5) == (not mixes)


def test_layer_norm_is_over_channels_and_pixels_of_a_sample():
    network = build("lgan_basic", {"width": 4, "norm": "layer"})
    norm = network.trunk[1].norm
    x = 5 + 3 * torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(norm(x), nn.functional.layer_norm(x, (4, 6, 6)), atol=1e-5, rtol=1e-4)


def test_spectral_norm_bounds_every_layer():
    network = initialise(build("lgan_late_fusion", {"width": 4, "norm": "none", "spectral": True}), "he").train()
    for _ in range(40):
        network(*arguments("lgan_late_fusion", 32))
    network.eval()
    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    assert len(layers) == 8
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item() == pytest.approx(1, abs=0.05)


def test_instance_norm_of_a_single_pixel_is_refused_in_words():
    with pytest.raises(GANSegmentationError) as caught:
        build("lgan_basic", {"width": 4, "norm": "instance"})(torch.rand(2, 1, 16, 16))
    assert caught.value.code == "invalid_input_size"


def test_the_branches_of_the_regression_critic_are_two():
    """Prediction and reference are judged by layers of their own: swapping them changes the score."""
    network = initialise(build("lgan_regression", {"width": 4, "norm": "none"}), "he")
    a, b = torch.rand(2, 2, 1, 32, 32)
    assert not torch.allclose(network(a, b), network(b, a), rtol=1e-3)


@pytest.mark.parametrize(("name", "side"), [("lgan_basic", 31), ("lgan_late_fusion", 33), ("lgan_regression", 65)])
def test_field_of_the_last_map(name, side):
    """What one pixel of the last map sees: how much of the contour the averaging head judges at once."""
    network = initialise(build(name, {"width": 4, "norm": "none"}), "he").eval()
    maps = []
    network.trunk[-1].register_forward_hook(lambda _m, _i, out: maps.append(out))
    size = 160
    inputs = [x.requires_grad_(True) for x in arguments(name, size, count=1)]
    network(*inputs)
    last = maps[0]
    middle = last.shape[-1] // 2
    gradients = torch.autograd.grad(last[0, :, middle, middle].sum(), inputs)
    extents = []
    for gradient in gradients:
        where = gradient[0].abs().amax(dim=(0, 1)).nonzero().flatten()
        assert where[0] > 0 and where[-1] < size - 1
        extents.append(int(where[-1] - where[0]) + 1)
    assert max(extents) == side


@pytest.mark.parametrize(
    "config",
    [
        {"head": "fc"},
        {"size": 224},
        {"head": "fc", "size": 0},
        {"head": "mean"},
        {"width": 0},
        {"in_channels": 0},
        {"mask_channels": 0},
        {"norm": "weight"},
        {"spectral": 1},
    ],
    ids=str,
)
def test_what_makes_no_critic_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        build("lgan_basic", config)
    assert caught.value.code == "invalid_network"


def test_the_five_differ():
    counts = [count_parameters(meta(name, head="fc", size=224, in_channels=3)) for name in NAMES]
    assert all(a != b for a, b in itertools.combinations(counts, 2))
