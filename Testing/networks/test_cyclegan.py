"""CycleGAN's residual network under its two names, and seed 001's discriminator under its two."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, entry, fold_batch_norm, initialise
from GANSegmentationLib.networks.layers import ConvNorm

# Module, channels and side of the output at 256 x 256, parameters for one channel in and out.
RESNET = [
    ("stem", 64, 256, 3_200),
    ("encoder.0", 128, 128, 73_856),
    ("encoder.1", 256, 64, 295_168),
    *((f"blocks.{i}.{part}", 256, 64, 590_080) for i in range(9) for part in ("first", "second")),
    ("decoder.0", 128, 128, 295_040),
    ("decoder.1", 64, 256, 73_792),
    ("head", 1, 256, 3_137),
]
# Channels, side and parameters of each convolution.
DISCRIMINATOR = [(64, 128, 1_088), (128, 64, 131_200), (256, 32, 524_544), (512, 16, 2_097_664), (1, 14, 4_609)]
RESNETS = ("cyclegan_resnet", "cyclegan_resnet_image")
JUDGES = ("cyclegan_discriminator", "cyclegan_image_discriminator")


def meta(name: str, **config: object) -> nn.Module:
    with torch.device("meta"):
        return build(name, config)


def small(name: str, **config: object) -> nn.Module:
    return initialise(build(name, {"width": 4, "blocks": 2, **config}), "he")


@pytest.mark.parametrize("name", RESNETS)
def test_rows_of_the_residual_network(name):
    network = meta(name)
    shapes: dict[str, torch.Size] = {}
    for place, block in network.named_modules():
        if isinstance(block, ConvNorm):
            block.register_forward_hook(lambda _m, _i, out, place=place: shapes.__setitem__(place, out.shape))
    network(torch.empty(1, 1, 256, 256, device="meta"))
    assert list(shapes) == [row[0] for row in RESNET], "the rows are the whole network"
    for place, channels, side, parameters in RESNET:
        assert shapes[place] == (1, channels, side, side), place
        assert count_parameters(network.get_submodule(place)) == parameters, place
    assert count_parameters(network) == sum(row[3] for row in RESNET)


def test_three_channels_count_as_the_authors_say():
    assert count_parameters(meta("cyclegan_resnet", in_channels=3, classes=3)) == 11_378_179
    assert count_parameters(meta("cyclegan_resnet_image", in_channels=3, out_channels=3)) == 11_378_179


@pytest.mark.parametrize(("blocks", "side"), [(1, 37), (6, 117), (9, 165)])
def test_receptive_field_of_the_residual_network(receptive_field, blocks, side):
    """16 for every block and 21 for the rest, without the normalisations, which look at the whole slice."""
    network = small("cyclegan_resnet", width=2, blocks=blocks)
    for block in network.modules():
        if isinstance(block, ConvNorm):
            block.norm = nn.Identity()
            with torch.no_grad():  # positive all along: no path is lost in an activation
                block.conv.weight.abs_()
                block.conv.bias.fill_(100)
    assert receptive_field(network, 1, 256) == (side, side)


def test_one_name_gives_raw_scores_and_the_other_pictures():
    x = 50 * torch.randn(2, 1, 16, 24)
    segmentor, painter = (small(name).eval() for name in RESNETS)
    painter.load_state_dict(segmentor.state_dict())
    with torch.no_grad():
        scores, picture = segmentor(x), painter(x)
    assert scores.abs().max() > 1
    torch.testing.assert_close(picture, scores.tanh())
    assert (segmentor.output, painter.output) == ("logit", "image")
    assert (entry(RESNETS[0]).role, entry(RESNETS[1]).role) == ("generator", "synthesiser")


@pytest.mark.parametrize("name", RESNETS)
def test_blocks_add_to_what_goes_around_them(name):
    network = small(name).eval()
    seen = {}
    network.encoder[1].register_forward_hook(lambda _m, _i, out: seen.update(before=out))
    network.blocks[-1].register_forward_hook(lambda _m, _i, out: seen.update(after=out))
    with torch.no_grad():
        for block in network.blocks:
            block.second.conv.weight.zero_()
        network(torch.randn(1, 1, 16, 16))
    torch.testing.assert_close(seen["after"], F.relu(seen["before"]))


@pytest.mark.parametrize("norm", ["instance", "batch", "group"])
@pytest.mark.parametrize("up", ["transposed", "resize"])
def test_every_configuration_keeps_the_inputs_size_and_trains_whole(norm, up):
    network = small("cyclegan_resnet", in_channels=2, classes=3, norm=norm, up=up)
    y = network(torch.randn(2, 2, 16, 20))
    assert y.shape == (2, 3, 16, 20)
    y.square().mean().backward()
    for name, parameter in network.named_parameters():
        # A bias directly before an instance or batch norm has no effect: its gradient is rounding.
        idle = name.endswith("conv.bias") and not name.startswith("head")
        assert parameter.grad is not None and (idle or parameter.grad.abs().sum() > 0), name


def test_the_seeds_painter_is_its_generator_with_a_tanh():
    names = ("unet_sriker", "unet_sriker_image")
    assert [count_parameters(meta(name)) for name in names] == [17_266_241, 17_266_241]
    segmentor, painter = (initialise(build(name, {"width": 4}), "he").eval() for name in names)
    painter.load_state_dict(segmentor.state_dict())
    x = torch.randn(2, 1, 16, 32)
    with torch.no_grad():
        torch.testing.assert_close(painter(x), segmentor(x).tanh())
    assert painter.output == "image" and painter.in_channels == 1
    assert meta("unet_sriker_image", in_channels=3, out_channels=2).head.conv.out_channels == 2


def test_noise_after_the_mask_changes_what_is_painted():
    painter = small("cyclegan_resnet_image", in_channels=2).eval()
    mask = torch.ones(2, 1, 16, 16)
    with torch.no_grad():
        a, b = painter(torch.cat((mask, torch.randn(2, 1, 16, 16)), dim=1))
    assert (a - b).abs().mean() > 0.01


@pytest.mark.parametrize("name", RESNETS)
def test_sides_and_channels_are_checked(name):
    network = small(name).eval()
    assert network.multiple == 4 and network(torch.zeros(1, 1, 8, 12)).shape == (1, 1, 8, 12)
    for shape, code in (((1, 1, 10, 12), "invalid_input_size"), ((1, 2, 8, 8), "invalid_input_channels")):
        with pytest.raises(GANSegmentationError) as caught:
            network(torch.zeros(shape))
        assert caught.value.code == code


def test_a_slice_does_not_depend_on_its_batch():
    network = small("cyclegan_resnet").train()
    x = torch.randn(3, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(x[1:2]), network(x)[1:2], atol=1e-5, rtol=1e-4)


def test_folding_keeps_the_numbers(settle):
    network = settle(small("cyclegan_resnet", norm="batch")).eval()
    x = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        folded = fold_batch_norm(copy.deepcopy(network))
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
        torch.testing.assert_close(folded(x), network(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", JUDGES)
def test_rows_of_the_discriminator(name):
    network, shapes = meta(name), []
    for layer in network.layers:
        layer.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape)))
    y = network(torch.empty(2, 1, 256, 256, device="meta"))
    assert shapes == [(2, channels, side, side) for channels, side, _ in DISCRIMINATOR]
    assert [count_parameters(layer) for layer in network.layers] == [row[2] for row in DISCRIMINATOR]
    assert y.shape == (2, 1, 16, 16) and count_parameters(network) == 2_759_105


def test_each_name_says_what_it_judges():
    assert [entry(name).sees for name in JUDGES] == ["mask", "image"]


@pytest.mark.parametrize(("halvings", "side"), [(4, 78), (3, 38), (2, 18)])
def test_receptive_field_of_the_discriminator(receptive_field, halvings, side):
    network = initialise(build("cyclegan_discriminator", {"width": 4, "halvings": halvings}), "he")
    network.norms = nn.ModuleList(nn.Identity() for _ in network.norms)  # they look at the whole slice
    assert receptive_field(network, 1, 256) == (side, side)


def test_the_activation_comes_before_the_normalisation():
    network = initialise(build("cyclegan_discriminator", {"width": 4}), "he").eval()
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        seen = F.leaky_relu(network.layers[0](x), 0.2)  # the first has no normalisation
        for layer in network.layers[1:-1]:
            seen = F.instance_norm(F.leaky_relu(layer(seen), 0.2))
            torch.testing.assert_close(seen.mean(dim=(2, 3)), torch.zeros(seen.shape[:2]), atol=1e-5, rtol=0)
        expected = F.pad(network.layers[-1](seen), (1, 1, 1, 1), mode="reflect")
        torch.testing.assert_close(network(x), expected)


def test_scores_are_raw_and_reflected_at_the_border():
    network = initialise(build("cyclegan_discriminator", {"width": 4}), "he").eval()
    with torch.no_grad():
        y = network(10 * torch.randn(1, 1, 128, 128))
    assert y.min() < 0 or y.max() > 1
    torch.testing.assert_close(y[..., 0, :], y[..., 2, :])


def test_slices_too_small_for_the_discriminator_are_refused():
    network = build("cyclegan_discriminator", {"width": 4})
    assert network(torch.zeros(1, 1, 64, 80)).shape == (1, 1, 4, 5)
    with pytest.raises(GANSegmentationError, match="64") as caught:
        network(torch.zeros(1, 1, 128, 48))
    assert caught.value.code == "invalid_input_size"


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("cyclegan_resnet", {"blocks": 0}),
        ("cyclegan_resnet", {"width": 0}),
        ("cyclegan_resnet", {"classes": 0}),
        ("cyclegan_resnet", {"norm": "none"}),
        ("cyclegan_resnet", {"up": "nearest"}),
        ("cyclegan_resnet", {"out_channels": 1}),
        ("cyclegan_resnet_image", {"out_channels": 0}),
        ("cyclegan_resnet_image", {"in_channels": 0}),
        ("cyclegan_resnet_image", {"classes": 1}),
        ("unet_sriker_image", {"out_channels": 0}),
        ("unet_sriker_image", {"width": 0}),
        ("cyclegan_discriminator", {"halvings": 7}),
        ("cyclegan_discriminator", {"width": 0}),
        ("cyclegan_discriminator", {"in_channels": 0}),
    ],
    ids=str,
)
def test_what_makes_no_network_is_refused(name, config):
    with pytest.raises(GANSegmentationError, match=next(iter(config))) as caught:
        build(name, config)
    assert caught.value.code == "invalid_network"
