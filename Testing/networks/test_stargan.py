"""StarGAN's translator and critic against their published tables, row by row."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, initialise
from GANSegmentationLib.networks.conditional_norm import DomainConvNorm
from GANSegmentationLib.networks.layers import ConvNorm

PUBLISHED = {
    "in_channels": 3,
    "domains": 5,
    "conditioning": "channels",
    "up": "transposed",
    "running_statistics": True,
}
# Module, channels and side of the output at 128 x 128, parameters of the convolution and of the normalisation.
GENERATOR_ROWS = [
    ("stem", 64, 128, 25_088, 128),
    ("encoder.0", 128, 64, 131_072, 256),
    ("encoder.1", 256, 32, 524_288, 512),
    *((f"blocks.{i}.{part}", 256, 32, 589_824, 512) for i in range(6) for part in ("first", "second")),
    ("decoder.0", 128, 64, 524_288, 256),
    ("decoder.1", 64, 128, 131_072, 128),
    ("head", 3, 128, 9_408, 0),
]
# Channels and side of the output at 128 x 128, parameters.
CRITIC_ROWS = [
    ("layers.0", 64, 64, 3_136),
    ("layers.1", 128, 32, 131_200),
    ("layers.2", 256, 16, 524_544),
    ("layers.3", 512, 8, 2_097_664),
    ("layers.4", 1024, 4, 8_389_632),
    ("layers.5", 2048, 2, 33_556_480),
    ("source", 1, 2, 18_432),
    ("domain", 5, 1, 40_960),
]


def meta(name: str, **config: object) -> nn.Module:
    with torch.device("meta"):
        return build(name, config)


def shapes_of(network: nn.Module, *inputs: torch.Tensor) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, block in network.named_modules():
        if isinstance(block, (ConvNorm, DomainConvNorm)):
            block.register_forward_hook(lambda _m, _i, out, name=name: shapes.__setitem__(name, tuple(out.shape)))
    network(*inputs)
    return shapes


def one_hot(*domains: int, of: int) -> torch.Tensor:
    return F.one_hot(torch.tensor(domains), of).float()


# ------------------------------------------------------------------------------------------------------ the translator


@pytest.fixture(scope="module")
def generator():
    network = meta("stargan_generator", **PUBLISHED)
    picture, target = torch.empty(1, 3, 128, 128, device="meta"), torch.empty(1, 5, device="meta")
    return network, shapes_of(network, picture, target)


@pytest.mark.parametrize(
    ("name", "channels", "side", "conv", "norm"), GENERATOR_ROWS, ids=[r[0] for r in GENERATOR_ROWS]
)
def test_row_of_the_published_generator(generator, name, channels, side, conv, norm):
    network, shapes = generator
    block = network.get_submodule(name)
    assert shapes[name] == (1, channels, side, side)
    assert (count_parameters(block.conv), count_parameters(block.norm)) == (conv, norm)


def test_the_rows_are_the_whole_generator(generator):
    network, shapes = generator
    assert list(shapes) == [row[0] for row in GENERATOR_ROWS]
    assert count_parameters(network) == sum(conv + norm for *_, conv, norm in GENERATOR_ROWS) == 8_430_528


def test_published_normalisations_keep_running_statistics_and_ours_need_none():
    def norms(**config):
        return [
            layer for layer in meta("stargan_generator", **config).modules() if isinstance(layer, nn.InstanceNorm2d)
        ]

    assert len(norms(**PUBLISHED)) == 17
    assert all(norm.affine and norm.track_running_stats for norm in norms(**PUBLISHED))
    assert not any(norm.track_running_stats for norm in norms(conditioning="channels"))
    assert not list(meta("stargan_generator").buffers())


@pytest.mark.parametrize("config", [{}, {"up": "transposed"}, {"conditioning": "channels", "running_statistics": True}])
def test_a_translation_has_the_shape_and_the_range_of_the_picture(config):
    network = initialise(build("stargan_generator", {"width": 4, "blocks": 1, "in_channels": 2, **config}), "he")
    picture = 50 * torch.randn(2, 2, 12, 20)
    translated = network(picture, one_hot(0, 1, of=2))
    assert translated.shape == picture.shape
    assert translated.abs().max() <= 1 and translated.std() > 0


def test_residual_blocks_add_what_they_find():
    network = build("stargan_generator", {"width": 4, "blocks": 2}).eval()
    seen = {}
    for name, block in network.named_modules():
        if isinstance(block, (ConvNorm, DomainConvNorm)):
            block.register_forward_hook(lambda _m, given, out, name=name: seen.__setitem__(name, (given[0], out)))
    with torch.no_grad():
        network(torch.randn(1, 1, 16, 16), one_hot(0, of=2))
    entered, _ = seen["blocks.0.first"]
    _, found = seen["blocks.0.second"]
    torch.testing.assert_close(seen["blocks.1.first"][0], entered + found)
    torch.testing.assert_close(seen["blocks.0.second"][0], F.relu(seen["blocks.0.first"][1]))


def test_the_target_domain_changes_the_whole_translation_only_where_norms_are_conditional():
    """Far from the border, the published constant channels are subtracted again by the normalisation."""
    picture, moved = torch.randn(1, 1, 128, 128), {}
    for conditioning in ("channels", "conditional_instance_norm"):
        torch.manual_seed(0)
        network = build("stargan_generator", {"width": 16, "blocks": 1, "conditioning": conditioning}).eval()
        first = []
        network.stem.register_forward_hook(lambda _m, _i, out, first=first: first.append(F.relu(out.detach())))
        with torch.no_grad():
            for domain in (0, 1):
                network(picture, one_hot(domain, of=2))
        change = (first[0] - first[1]).abs()[..., 3:-3, 3:-3].mean() / first[0].abs().mean()
        moved[conditioning] = change.item()
    assert moved["channels"] < 0.05
    assert moved["conditional_instance_norm"] > 0.1


@pytest.mark.parametrize(
    "config",
    [{"domains": 1}, {"width": 0}, {"blocks": 0}, {"in_channels": 0}, {"conditioning": "film"}, {"up": "nearest"},
     {"running_statistics": True}],
    ids=str,
)  # fmt: skip
def test_what_makes_no_translator_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        build("stargan_generator", config)
    assert caught.value.code == "invalid_network"
    assert next(iter(config)) in str(caught.value)


def test_pictures_and_domains_that_do_not_fit_are_refused():
    network = build("stargan_generator", {"width": 2, "blocks": 1})
    for picture, domain, code in (
        (torch.zeros(1, 1, 10, 12), one_hot(0, of=2), "invalid_input_size"),
        (torch.zeros(1, 2, 12, 12), one_hot(0, of=2), "invalid_input_channels"),
        (torch.zeros(1, 1, 12, 12), one_hot(0, of=3), "invalid_domain"),
    ):
        with pytest.raises(GANSegmentationError) as caught:
            network(picture, domain)
        assert caught.value.code == code


# ---------------------------------------------------------------------------------------------------------- the critic


@pytest.fixture(scope="module")
def critic():
    network = meta("stargan_discriminator", in_channels=3, domains=5, head="conv")
    return network, shapes_of(network, torch.empty(1, 3, 128, 128, device="meta"))


@pytest.mark.parametrize(("name", "channels", "side", "conv"), CRITIC_ROWS, ids=[r[0] for r in CRITIC_ROWS])
def test_row_of_the_published_critic(critic, name, channels, side, conv):
    network, shapes = critic
    assert shapes[name] == (1, channels, side, side)
    assert count_parameters(network.get_submodule(name)) == conv


def test_the_rows_are_the_whole_critic(critic):
    network, shapes = critic
    assert list(shapes) == [row[0] for row in CRITIC_ROWS]
    assert count_parameters(network) == sum(row[3] for row in CRITIC_ROWS) == 44_762_048


def test_the_critic_at_256_and_uagan_s():
    assert (
        count_parameters(meta("stargan_discriminator", in_channels=3, domains=5, head="conv", size=256)) == 44_884_928
    )
    assert count_parameters(meta("stargan_discriminator", in_channels=1, domains=3, head="conv")) == 44_743_616


def test_a_patch_of_the_critic_is_318_pixels_wide(receptive_field):
    """Each 4 x 4 convolution adds three steps of its resolution, the head two of 64 pixels."""

    class Source(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = initialise(build("stargan_discriminator", {"width": 2}), "he")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.network(x)[0]
            return scores

    side = 1 + 3 * sum(2**i for i in range(6)) + 2 * 64
    assert receptive_field(Source(), 1, 512) == (side, side) == (318, 318)


@pytest.mark.parametrize("shape", [(128, 128), (64, 96), (70, 200)])
def test_the_pooled_head_takes_any_size(shape):
    source, domain = meta("stargan_discriminator", width=8)(torch.empty(2, 1, *shape, device="meta"))
    assert source.shape == (2, 1, shape[0] // 64, shape[1] // 64)
    assert domain.shape == (2, 2)


@pytest.mark.parametrize(
    ("config", "shape"), [({}, (63, 128)), ({"head": "conv"}, (64, 64)), ({"head": "conv"}, (128, 192))]
)
def test_pictures_that_the_critic_cannot_judge_are_refused(config, shape):
    with pytest.raises(GANSegmentationError) as caught:
        meta("stargan_discriminator", width=2, **config)(torch.empty(1, 1, *shape, device="meta"))
    assert caught.value.code == "invalid_input_size"


@pytest.mark.parametrize(
    "config",
    [{"domains": 1}, {"width": 0}, {"in_channels": 0}, {"halvings": 0}, {"head": "fc"}, {"size": 100, "head": "conv"}],
    ids=str,
)
def test_what_makes_no_critic_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        build("stargan_discriminator", config)
    assert caught.value.code == "invalid_network"
    assert next(iter(config)) in str(caught.value)
