"""SegAN's two networks against the paper's description, row by row, and the counts of the smallest re-creation."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, fold_batch_norm, initialise
from GANSegmentationLib.networks.layers import ConvNorm

# Module, channels and side of the output at 256 x 256, parameters of convolution and normalisation, side of the kernel.
SEGMENTOR = [
    ("encoder.0", 64, 128, 1_088, 0, 4),
    ("encoder.1", 128, 64, 131_200, 256, 4),
    ("encoder.2", 256, 32, 524_544, 512, 4),
    ("encoder.3", 512, 16, 2_097_664, 1_024, 4),
    ("decoder.0", 256, 32, 1_179_904, 512, 3),
    ("decoder.1", 128, 64, 589_952, 256, 3),
    ("decoder.2", 64, 128, 147_520, 128, 3),
    ("head", 1, 256, 1_153, 0, 3),
]
CRITIC = [
    ("layers.0", 64, 128, 1_088, 0, 4),
    ("layers.1", 128, 64, 131_200, 256, 4),
    ("layers.2", 256, 32, 524_544, 512, 4),
]
SMALL = {"width": 4}


def meta(name: str, **config: object) -> nn.Module:
    with torch.device("meta"):
        return build(name, config)


def rows_of(network: nn.Module) -> dict[str, torch.Size]:
    shapes: dict[str, torch.Size] = {}
    for name, block in network.named_modules():
        if isinstance(block, ConvNorm):
            block.register_forward_hook(lambda _m, _i, out, name=name: shapes.__setitem__(name, out.shape))
    network(torch.empty(2, 1, 256, 256, device="meta"))
    return shapes


@pytest.mark.parametrize(("name", "rows"), [("segan_segmentor", SEGMENTOR), ("segan_critic", CRITIC)])
def test_rows_of_the_table(name, rows):
    network = meta(name)
    shapes = rows_of(network)
    assert list(shapes) == [row[0] for row in rows], "the rows are the whole network"
    for block, channels, side, conv, norm, kernel in rows:
        layer = network.get_submodule(block)
        assert shapes[block] == (2, channels, side, side), block
        assert (count_parameters(layer.conv), count_parameters(layer.norm)) == (conv, norm), block
        assert layer.conv.kernel_size == (kernel, kernel) and layer.conv.bias is not None, block
    assert count_parameters(network) == sum(row[3] + row[4] for row in rows)


@pytest.mark.parametrize(
    ("channels", "segmentor", "critic"), [(1, 4_675_713, 657_600), (3, 4_677_761, 659_648)], ids=["1", "3"]
)
def test_totals(channels, segmentor, critic):
    assert count_parameters(meta("segan_segmentor", in_channels=channels)) == segmentor
    assert count_parameters(meta("segan_critic", in_channels=channels)) == critic


def test_receptive_field_of_the_critics_deepest_features(receptive_field):
    """4, 10, 22: what three 4 x 4 convolutions of stride 2 see."""

    class Deepest(nn.Module):
        def __init__(self, blocks: int) -> None:
            super().__init__()
            self.critic = initialise(build("segan_critic", {"width": 4, "blocks": blocks}), "he")

        def forward(self, x):
            return self.critic(x)[-1]

    assert [receptive_field(Deepest(blocks), 1, 128) for blocks in (1, 2, 3, 4)] == [(n, n) for n in (4, 10, 22, 46)]


def test_receptive_field_of_the_segmentor(receptive_field):
    """From the middle of 320: 3 x 3, then four doublings with three convolutions reach 8 to 11 of the bottleneck's 20,
    and these see 113 to 206."""
    network = initialise(build("segan_segmentor", SMALL), "he")
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):  # positive all along: no path is lost in an activation
                layer.weight.abs_()
                layer.bias.fill_(100)
    assert receptive_field(network, 1, 320) == (94, 94)


def test_features_are_the_pixels_and_each_layer_after_its_activation():
    critic = initialise(build("segan_critic", {"in_channels": 2, **SMALL}), "he").eval()
    x = torch.randn(3, 2, 32, 48)
    with torch.no_grad():
        features = critic(x)
        assert torch.equal(features[0], x)
        assert [tuple(level.shape) for level in features[1:]] == [(3, 4, 16, 24), (3, 8, 8, 12), (3, 16, 4, 6)]
        for before, after, layer in zip(features, features[1:], critic.layers, strict=False):
            torch.testing.assert_close(after, nn.functional.leaky_relu(layer(before), 0.2))


def test_the_repositorys_seven_levels_are_six_blocks():
    features = meta("segan_critic", blocks=6)(torch.empty(1, 1, 128, 128, device="meta"))
    assert [level.shape[1] for level in features] == [1, 64, 128, 256, 512, 512, 512]
    assert [level.shape[2] for level in features] == [128, 64, 32, 16, 8, 4, 2]


@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
@pytest.mark.parametrize("classes", [1, 3])
def test_every_configuration_gives_scores_of_the_inputs_size_and_trains_whole(norm, classes):
    network = initialise(build("segan_segmentor", {"in_channels": 2, "classes": classes, "norm": norm, **SMALL}), "he")
    y = network(torch.randn(2, 2, 32, 48))
    assert y.shape == (2, classes, 32, 48) and network.output == ("logit" if classes == 1 else "softmax")
    y.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and (name.endswith("conv.bias") or parameter.grad.abs().sum() > 0), name


def test_skips_reach_the_decoder():
    """The first level alone tells two inputs apart once the bottleneck is silenced."""
    network = initialise(build("segan_segmentor", {"norm": "none", **SMALL}), "he").eval()
    with torch.no_grad():
        network.encoder[3].conv.weight.zero_()
        a, b = network(torch.randn(2, 1, 32, 32))
    assert (a - b).abs().max() > 0.01


def test_sides_and_channels_are_checked():
    network = build("segan_segmentor", SMALL).eval()
    assert network.multiple == 16 and network(torch.zeros(1, 1, 16, 48)).shape == (1, 1, 16, 48)
    for shape, code in (((1, 1, 24, 32), "invalid_input_size"), ((1, 2, 16, 16), "invalid_input_channels")):
        with pytest.raises(GANSegmentationError) as caught:
            network(torch.zeros(shape))
        assert caught.value.code == code


def test_scores_are_raw():
    network = initialise(build("segan_segmentor", {"classes": 3, **SMALL}), "he").eval()
    y = network(100 * torch.randn(1, 1, 32, 32))
    assert y.min() < -1 and y.max() > 1


def test_folding_keeps_the_numbers(settle):
    network = settle(initialise(build("segan_segmentor", SMALL), "he")).eval()
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        folded = fold_batch_norm(copy.deepcopy(network))
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
        torch.testing.assert_close(folded(x), network(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("segan_segmentor", {"width": 0}),
        ("segan_segmentor", {"classes": 0}),
        ("segan_segmentor", {"in_channels": 0}),
        ("segan_segmentor", {"norm": "layer"}),
        ("segan_critic", {"blocks": 0}),
        ("segan_critic", {"blocks": 7}),
        ("segan_critic", {"in_channels": 0}),
        ("segan_critic", {"width": 0}),
    ],
    ids=str,
)
def test_what_makes_no_network_is_refused(name, config):
    with pytest.raises(GANSegmentationError, match=next(iter(config))) as caught:
        build(name, config)
    assert caught.value.code == "invalid_network"
