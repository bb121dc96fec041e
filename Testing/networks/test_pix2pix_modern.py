"""The compact segmentation generator: budget, shapes of every configuration, and what it must not do."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, fold_batch_norm, initialise

SMALL = {"channels": [8, 12, 16], "full_resolution": 4, "dropout": 0.0}


def small(**config: object) -> nn.Module:
    return initialise(build("pix2pix_modern", {**SMALL, **config}), "he")


def test_default_fits_the_budget_of_a_package():
    network = build("pix2pix_modern", {}).eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, 256, 256))
    assert 5_600_000 <= count_parameters(network) <= 5_950_000
    half = sum(tensor.numel() * 2 for tensor in network.state_dict().values() if tensor.is_floating_point())
    assert half <= 11.9e6
    assert counter.get_total_flops() < 9e9


@pytest.mark.parametrize(
    ("up", "refine", "full", "norm", "classes"),
    list(itertools.product(("resize", "transposed"), (True, False), (0, 5), ("batch", "instance", "group"), (1, 3))),
)
def test_every_configuration_gives_scores_of_the_inputs_size_and_trains_whole(up, refine, full, norm, classes):
    network = small(
        in_channels=2, up=up, refine=refine, full_resolution=full, norm=norm, classes=classes, channels=[5, 7, 9]
    )
    y = network(torch.randn(2, 2, 24, 32))
    assert y.shape == (2, classes, 24, 32)
    y.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize("refine", [True, False])
def test_one_sample_trains_where_the_bottleneck_is_one_pixel(norm, refine):
    network = small(norm=norm, refine=refine).train()
    y = network(torch.randn(1, 1, 8, 8))
    y.mean().backward()
    assert y.isfinite().all()


@pytest.mark.parametrize("channels", [[8, 12], [8, 12, 16], [8, 8, 8, 8, 8]])
def test_multiple_says_which_sides_work(channels):
    network = small(channels=channels).eval()
    multiple = network.multiple
    assert multiple == 2 ** len(channels)
    assert network(torch.zeros(1, 1, multiple, 3 * multiple)).shape == (1, 1, multiple, 3 * multiple)
    with pytest.raises(GANSegmentationError, match=str(multiple)) as caught:
        network(torch.zeros(1, 1, multiple, multiple + multiple // 2))
    assert caught.value.code == "invalid_input_size"


def test_wrong_channels_are_refused():
    with pytest.raises(GANSegmentationError) as caught:
        small(in_channels=3)(torch.zeros(1, 1, 8, 8))
    assert caught.value.code == "invalid_input_channels"


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_eval_is_deterministic_and_a_slice_does_not_depend_on_its_batch(norm, settle):
    network = settle(small(norm=norm, dropout=0.5)).eval()
    x = torch.randn(3, 1, 32, 32)
    with torch.no_grad():
        y = network(x)
        torch.testing.assert_close(network(x), y, rtol=0, atol=0)
        torch.testing.assert_close(network(x[1:2]), y[1:2], atol=1e-4, rtol=1e-4)


def test_dropout_acts_in_training_only():
    network = small(dropout=0.5, norm="group")
    x = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        assert not torch.equal(network(x), network(x))
        torch.testing.assert_close(network.eval()(x), network(x), rtol=0, atol=0)


@pytest.mark.parametrize("full", [0, 4])
def test_the_bottleneck_has_no_normalisation_and_all_else_has(full):
    network = small(full_resolution=full)
    bare = {name for name, block in network.named_modules() if isinstance(getattr(block, "norm", None), nn.Identity)}
    assert bare == {"encoder.2.down", "encoder.2.refine", "head"}


def test_scores_are_raw_and_not_squashed():
    network = small(classes=4).eval()
    y = network(100 * torch.randn(1, 1, 32, 32))
    assert y.min() < -1 and y.max() > 1


def test_the_finest_detail_reaches_the_scores_through_the_stem():
    """The stem's features reach the last stage: without it, all that the output knows went through half resolution."""
    x = torch.randn(1, 1, 32, 32, requires_grad=True)
    pattern = (-1.0) ** (torch.arange(32)[:, None] + torch.arange(32))  # the finest pattern there is

    def response(full: int) -> float:
        """Share of the input's gradient that lies in the finest pattern, over several draws."""
        shares = []
        for draw in range(5):
            torch.manual_seed(draw)
            network = small(full_resolution=full, norm="group").eval()
            weights = pattern * torch.randn(32, 32).abs()
            (gradient,) = torch.autograd.grad((network(x) * weights).sum(), x)
            shares.append(((gradient * pattern).sum() ** 2 / gradient.square().sum() / pattern.numel()).item())
        return sum(shares) / len(shares)

    assert response(8) > 0.01
    assert response(0) < 0.001


def raster_share(network: nn.Module) -> float:
    """Share of the output's variance, on a smooth input, that the place in the 2 x 2 raster explains."""
    row, column = torch.meshgrid(torch.linspace(-1, 1, 128), torch.linspace(-1, 1, 128), indexing="ij")
    x = (2 * torch.exp(-3 * ((row - 0.2) ** 2 + column**2)) - 1)[None, None]
    with torch.no_grad():
        y = network.eval()(x)[..., 32:-32, 32:-32]  # the border's zero padding is no raster
    phases = torch.stack([y[..., i::2, j::2].mean() for i in (0, 1) for j in (0, 1)])
    return (phases.var(unbiased=False) / y.var(unbiased=False)).item()


@pytest.mark.parametrize("full", [0, 8])
def test_resizing_draws_no_checkerboard_and_transposed_convolutions_do(full):
    shares: dict[str, list[float]] = {"resize": [], "transposed": []}
    for up, draw in itertools.product(shares, range(5)):
        torch.manual_seed(draw)
        shares[up].append(raster_share(small(channels=[16, 32, 32], up=up, full_resolution=full)))
    assert max(shares["resize"]) < 1e-3
    assert min(shares["transposed"]) > 20 * max(shares["resize"])


@pytest.mark.parametrize("up", ["resize", "transposed"])
def test_folding_keeps_the_numbers_and_removes_every_batch_norm(up, settle):
    network = settle(small(up=up)).eval()
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        expected = network(x)
        folded = fold_batch_norm(copy.deepcopy(network))
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
        torch.testing.assert_close(folded(x), expected, atol=1e-4, rtol=1e-4)


def test_folding_refuses_a_network_in_training():
    with pytest.raises(ValueError, match="eval"):
        fold_batch_norm(small().train())


def test_bfloat16_autocast_agrees(settle):
    network = settle(small(channels=[16, 16, 16])).eval()
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        expected = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            y = network(x)
    assert y.dtype == torch.bfloat16
    assert (y.float() - expected).abs().max() < 0.05 * expected.abs().max()


def test_bfloat16_autocast_trains():
    network = small(channels=[16, 16, 16]).train()
    with torch.autocast("cpu", torch.bfloat16):
        y = network(torch.randn(2, 1, 64, 64))
    y.float().square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_channels_last_stays_and_agrees():
    network = small(classes=3).eval()
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        expected = network(x)
        y = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)


def test_the_graph_compiles_whole():
    """No break: nothing in forward depends on values."""
    network = small().eval()
    x = torch.randn(1, 1, 32, 32)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), network(x))


def test_weights_are_assigned_to_a_network_built_without_memory():
    network = small().eval()
    with torch.device("meta"):
        empty = small()
    empty.load_state_dict(network.state_dict(), assign=True)
    x = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(empty.eval()(x), network(x), rtol=0, atol=0)


def test_names_in_the_state_dict_are_those_that_packages_hold():
    batch_norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    normalised = [*(f"stem.{part}" for part in ("first", "refine")), "encoder.0.down", "encoder.0.refine"]
    normalised += [f"decoder.{i}.{part}" for i in range(2) for part in ("up", "refine")]
    expected = {f"{block}.conv.weight" for block in normalised}
    expected |= {f"{block}.norm.{name}" for block in normalised for name in batch_norm}
    expected |= {f"{b}.conv.{n}" for b in ("encoder.1.down", "encoder.1.refine", "head") for n in ("weight", "bias")}
    assert set(build("pix2pix_modern", {"channels": [8, 8], "full_resolution": 4}).state_dict()) == expected


def test_classic_configuration_has_no_more_than_the_paper():
    network = build("pix2pix_modern", {"channels": [8, 8], "full_resolution": 0, "refine": False, "up": "transposed"})
    blocks = {name.split(".conv")[0] for name in network.state_dict() if ".conv." in name}
    assert blocks == {"encoder.0.down", "encoder.1.down", "decoder.0.up", "head"}
