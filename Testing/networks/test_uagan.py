"""UAGAN's two streams against the published table, and whether the domain is seen inside."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, initialise
from GANSegmentationLib.networks.conditional_norm import ConditionalInstanceNorm, DomainConvNorm
from GANSegmentationLib.networks.layers import ConvNorm

PUBLISHED = {"classes": 2, "domains": 3, "conditioning": "channels", "up": "transposed"}
SMALL = {"width": 8, "levels": 2, "dropout": 0.0}


def _encoder(stream: str, first: int) -> list[tuple[str, int, int, int]]:
    """Module, channels and side of the output at 128 x 128, parameters."""
    counts = [(first, 36_928), (73_856, 147_584), (295_168, 590_080), (1_180_160, 2_359_808)]
    return [
        (f"{stream}_encoder.{level}.{part}", 64 << level, 128 >> level, count)
        for level, pair in enumerate(counts)
        for part, count in zip(("first", "second"), pair, strict=True)
    ]


def _decoder(stream: str) -> list[tuple[str, int, int, int]]:
    # The other stream's convolution, its attention, the transposed convolution, and the two after the concatenation.
    counts = [
        (2_359_808, 2_359_808, 2_097_664, 4_719_104, 2_359_808),
        (590_080, 590_080, 524_544, 1_179_904, 590_080),
        (147_584, 147_584, 131_200, 295_040, 147_584),
        (36_928, 36_928, 32_832, 73_792, 36_928),
    ]
    return [
        (f"{stream}_decoder.{level}.{part}", 512 >> level, 16 << level, count)
        for level, row in enumerate(counts)
        for part, count in zip(("other", "attention", "up", "first", "second"), row, strict=True)
    ]


ROWS = [
    *_encoder("segmentation", 640),
    *_encoder("translation", 2_368),
    ("bottleneck.first", 1024, 8, 4_719_616),
    ("bottleneck.second", 1024, 8, 9_438_208),
    *_decoder("segmentation"),
    ("segmentation_head", 2, 128, 130),
    *_decoder("translation"),
    ("translation_head", 1, 128, 65),
]


def one_hot(*domains: int, of: int = 2) -> torch.Tensor:
    return F.one_hot(torch.tensor(domains), of).float()


def meta(**config: object) -> nn.Module:
    with torch.device("meta"):
        return build("uagan_generator", config)


@pytest.fixture(scope="module")
def published():
    network, shapes = meta(**PUBLISHED), {}
    for name, block in network.named_modules():
        if isinstance(block, (ConvNorm, DomainConvNorm)):
            block.register_forward_hook(lambda _m, _i, out, name=name: shapes.__setitem__(name, tuple(out.shape)))
    domain = torch.empty(1, 3, device="meta")
    network(torch.empty(1, 1, 128, 128, device="meta"), domain, domain)
    return network, shapes


@pytest.mark.parametrize(("name", "channels", "side", "count"), ROWS, ids=[row[0] for row in ROWS])
def test_row_of_the_published_wiring(published, name, channels, side, count):
    network, shapes = published
    assert shapes[name] == (1, channels, side, side)
    assert count_parameters(network.get_submodule(name)) == count


def test_the_rows_are_the_whole_network(published):
    network, shapes = published
    assert sorted(shapes) == sorted(row[0] for row in ROWS)
    assert count_parameters(network) == sum(row[3] for row in ROWS) == 60_442_755


def test_the_published_wiring_computes_what_was_published():
    """33.7 thousand million multiplications for a slice of 128 x 128; to segment alone, less."""
    network, domain = meta(**PUBLISHED), torch.empty(1, 3, device="meta")
    counted = []
    for target in (domain, None):
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 1, 128, 128, device="meta"), domain, target)
        counted.append(counter.get_total_flops() / 2e9)
    assert counted == pytest.approx([33.7, 20.2], abs=0.05)


@pytest.mark.parametrize(
    ("config", "classes"),
    [({}, 1), ({"up": "transposed"}, 3), ({"conditioning": "channels"}, 3), (PUBLISHED | {"domains": 2}, 1)],
)
def test_scores_alone_or_scores_and_a_translation(config, classes):
    network = initialise(build("uagan_generator", {**config, **SMALL, "classes": classes}), "he")
    image, domain = torch.randn(2, 1, 16, 24), one_hot(0, 1)
    scores = network(image, domain)
    both, translated = network(image, domain, target=one_hot(1, 1))
    assert scores.shape == both.shape == (2, classes, 16, 24)
    assert translated.shape == image.shape and translated.abs().max() <= 1
    assert not torch.allclose(scores[0], both[0]), "the translating encoder, which segmentation attends to, is told"
    torch.testing.assert_close(scores[1], both[1], msg="where the target is the own domain, nothing else is told")


def test_a_target_of_its_own_makes_each_translation():
    network = build("uagan_generator", SMALL)
    image = torch.randn(1, 1, 16, 16).expand(2, -1, -1, -1)
    scores, translated = network(image, one_hot(0, 0), target=one_hot(0, 1))
    assert (translated[0] - translated[1]).abs().mean() > 0.01 * translated.abs().mean()
    assert scores.shape[0] == 2


def test_both_streams_share_the_bottleneck():
    network = build("uagan_generator", SMALL)
    image, domain = torch.randn(1, 1, 16, 16), one_hot(0)
    for stream in (0, 1):
        network.zero_grad()
        network(image, domain, target=one_hot(1))[stream].square().sum().backward()
        assert network.bottleneck.first.conv.weight.grad.abs().sum() > 0


def test_each_stream_attends_to_the_other():
    """The segmentation has a gradient for the translating encoder and the other way round, but not for its decoder."""
    network = build("uagan_generator", SMALL)
    scores, translated = network(torch.randn(1, 1, 16, 16), one_hot(0), target=one_hot(1))
    for output, own, other in ((scores, "segmentation", "translation"), (translated, "translation", "segmentation")):
        network.zero_grad(set_to_none=True)
        output.square().sum().backward(retain_graph=True)
        with_gradient = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
        assert any(name.startswith(f"{other}_encoder") for name in with_gradient)
        assert any(name.startswith(f"{own}_decoder") for name in with_gradient)
        assert not any(name.startswith((f"{other}_decoder", f"{other}_head")) for name in with_gradient)


@pytest.fixture
def followed():
    """``followed(network, *inputs)``: each block's input, the domain it was told and its output, call by call."""

    def run(network, *inputs):
        calls: dict[str, list[tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]]] = {}

        def keep(name):
            def hook(_module, given, out):
                calls.setdefault(name, []).append((given[0], given[1] if len(given) > 1 else None, out))

            return hook

        for name, block in network.named_modules():
            if isinstance(block, (ConvNorm, DomainConvNorm)):
                block.register_forward_hook(keep(name))
        with torch.no_grad():
            network.eval()(*inputs)
        return calls

    return run


def test_every_tensor_goes_where_the_paper_has_it(followed):
    network = build("uagan_generator", {**SMALL, "up": "transposed"})
    calls = followed(network, torch.randn(1, 1, 16, 16), one_hot(0), one_hot(1))
    outputs = {name: [out for _, _, out in each] for name, each in calls.items()}
    inputs = {name: [given for given, _, _ in each] for name, each in calls.items()}
    for turn, (own, other) in enumerate((("segmentation", "translation"), ("translation", "segmentation"))):
        deepest = F.max_pool2d(outputs[f"{own}_encoder.1.second"][0], 2)
        torch.testing.assert_close(inputs["bottleneck.first"][turn], deepest)
        below = outputs["bottleneck.second"][turn]
        for stage, level in enumerate((1, 0)):
            name = f"{own}_decoder.{stage}"
            skip, beside = outputs[f"{own}_encoder.{level}.second"][0], outputs[f"{other}_encoder.{level}.second"][0]
            torch.testing.assert_close(inputs[f"{name}.other"][0], beside)
            torch.testing.assert_close(inputs[f"{name}.attention"][0], beside)
            torch.testing.assert_close(inputs[f"{name}.up"][0], below)
            attended = outputs[f"{name}.other"][0] * torch.sigmoid(outputs[f"{name}.attention"][0])
            expected = torch.cat((skip + attended, outputs[f"{name}.up"][0]), dim=1)
            torch.testing.assert_close(inputs[f"{name}.first"][0], expected)
            below = outputs[f"{name}.second"][0]
        torch.testing.assert_close(inputs[f"{own}_head"][0], below)


def test_each_stream_is_told_its_own_domain(followed):
    calls = followed(build("uagan_generator", SMALL), torch.randn(1, 1, 16, 16), one_hot(0), one_hot(1))
    for name, each in calls.items():
        told = [domain for _, domain, _ in each]
        if name.startswith("bottleneck"):
            assert torch.equal(told[0], one_hot(0)) and torch.equal(told[1], one_hot(1))
        elif told[0] is not None:
            assert torch.equal(told[0], one_hot(0) if name.startswith("segmentation") else one_hot(1)), name


def test_the_published_translating_encoder_is_shown_the_target_beside_the_slice(followed):
    network, image = build("uagan_generator", {**SMALL, **PUBLISHED}), torch.randn(1, 1, 16, 16)
    calls = followed(network, image, one_hot(0, of=3), one_hot(2, of=3))
    shown = calls["translation_encoder.0.first"][0][0]
    torch.testing.assert_close(shown[:, :1], image)
    torch.testing.assert_close(shown[:, 1:].mean(dim=(2, 3)), one_hot(2, of=3))
    torch.testing.assert_close(calls["segmentation_encoder.0.first"][0][0], image)


def test_attention_weighs_what_the_other_encoder_gives():
    torch.manual_seed(0)
    stage = build("uagan_generator", SMALL).segmentation_decoder[1].eval()
    x, skip, beside = torch.randn(1, 16, 8, 8), torch.randn(1, 8, 16, 16), torch.randn(1, 8, 16, 16)
    nn.init.zeros_(stage.attention.conv.weight)
    nn.init.constant_(stage.attention.conv.bias, -50.0)
    closed = stage(x, skip, beside, one_hot(0))
    torch.testing.assert_close(closed, stage(x, skip, torch.randn_like(beside), one_hot(0)))
    nn.init.constant_(stage.attention.conv.bias, 50.0)
    assert not torch.allclose(closed, stage(x, skip, beside, one_hot(0)))


def test_dropout_is_on_the_deepest_skip_alone(monkeypatch):
    network = build("uagan_generator", {**SMALL, "dropout": 0.5})
    dropped = []
    original = F.dropout
    monkeypatch.setattr(
        F, "dropout", lambda x, p, training: dropped.append((x.shape[1], p)) or original(x, p, training)
    )
    network(torch.randn(1, 1, 16, 16), one_hot(0))
    assert dropped == [(16, 0.5), (16, 0.5)]
    network.eval()
    image = torch.randn(1, 1, 16, 16)
    torch.testing.assert_close(network(image, one_hot(0)), network(image, one_hot(0)), rtol=0, atol=0)


# -------------------------------------------------------------------------------------------------- domain visibility


def movement(unit: nn.Module, image: torch.Tensor, channels: bool) -> tuple[float, float, float]:
    """How much another domain label moves a unit's activations: inside, on the border of one pixel, and their size."""
    seen = []
    for label in (0, 1):
        domain = one_hot(*[label] * len(image), of=3)
        told = torch.cat((image, domain[..., None, None].expand(-1, -1, *image.shape[-2:])), 1) if channels else image
        with torch.no_grad():
            seen.append(unit(told, domain))
    change = (seen[0] - seen[1]).abs()
    inside = torch.zeros(change.shape[-2:], dtype=torch.bool)
    inside[1:-1, 1:-1] = True
    return change[..., inside].mean().item(), change[..., ~inside].mean().item(), seen[0].abs().mean().item()


def test_the_published_wiring_hides_the_domain_behind_its_first_normalisation():
    """A constant channel is subtracted again, but for the border: inside 0.007, there 0.35, of activations of 0.40."""
    inside, border, size = movement(
        build("uagan_generator", PUBLISHED).translation_encoder[0].first, torch.randn(4, 1, 128, 128), channels=True
    )
    assert size == pytest.approx(0.40, abs=0.01)
    assert inside == pytest.approx(0.007, abs=0.003)
    assert border == pytest.approx(0.35, abs=0.10)


def test_with_reflected_borders_the_published_domain_would_be_exactly_invisible():
    unit = build("uagan_generator", PUBLISHED).translation_encoder[0].first
    unit.conv.padding_mode, unit.conv._reversed_padding_repeated_twice = "reflect", [1, 1, 1, 1]
    inside, border, _ = movement(unit, torch.randn(2, 1, 64, 64), channels=True)
    assert max(inside, border) < 1e-5


def test_conditional_normalisation_shows_the_domain_at_every_pixel():
    """At least a tenth of the activations' size already behind the first convolution, inside as on the border."""
    network = build("uagan_generator", {"domains": 3})
    for unit in (network.translation_encoder[0].first, network.segmentation_encoder[0].first):
        inside, border, size = movement(unit, torch.randn(4, 1, 128, 128), channels=False)
        assert inside > 0.1 * size
        assert border == pytest.approx(inside, rel=0.3)


def test_every_normalisation_is_conditional_and_no_convolution_before_one_has_a_bias():
    blocks = [block for block in meta().modules() if isinstance(block, DomainConvNorm)]
    assert len(blocks) == 2 * 8 + 2 + 2 * 12
    assert all(isinstance(block.norm, ConditionalInstanceNorm) and block.conv.bias is None for block in blocks)


def test_the_own_domain_of_a_slice_changes_its_segmentation():
    network = build("uagan_generator", {**SMALL, "width": 16}).eval()
    image = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        change = (network(image, one_hot(0)) - network(image, one_hot(1))).abs().mean()
        assert change > 0.05 * network(image, one_hot(0)).abs().mean()


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "config",
    [{"domains": 1}, {"width": 0}, {"classes": 0}, {"in_channels": 0}, {"levels": 0}, {"dropout": 1.0},
     {"conditioning": "none"}, {"up": "nearest"}],
    ids=str,
)  # fmt: skip
def test_what_makes_no_network_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        build("uagan_generator", config)
    assert caught.value.code == "invalid_network"
    assert next(iter(config)) in str(caught.value)


def test_slices_and_domains_that_do_not_fit_are_refused():
    network, image = build("uagan_generator", SMALL), torch.zeros(1, 1, 16, 16)
    for arguments, code in (
        ((torch.zeros(1, 1, 18, 16), one_hot(0)), "invalid_input_size"),
        ((torch.zeros(1, 2, 16, 16), one_hot(0)), "invalid_input_channels"),
        ((image, one_hot(0, of=3)), "invalid_domain"),
        ((image, one_hot(0), one_hot(0, of=3)), "invalid_domain"),
    ):
        with pytest.raises(GANSegmentationError) as caught:
            network(*arguments)
        assert caught.value.code == code
