"""The three-scale PatchGAN: counts, maps, what each scale sees, and its features."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, initialise

# Channels and side at 256 x 256 on the finest scale, parameters of the convolution (with 3 channels of input).
ROWS = [(64, 128, 3_136), (128, 64, 131_200), (256, 32, 524_544), (512, 31, 2_097_664), (1, 30, 8_193)]


def meta(**config: object) -> nn.Module:
    with torch.device("meta"):
        return build("multiscale_patch70", config)


@pytest.mark.parametrize("row", range(5))
def test_row_of_the_table(row):
    network = meta()
    channels, side, parameters = ROWS[row]
    assert network(torch.empty(1, 3, 256, 256, device="meta"))[0][row].shape == (1, channels, side, side)
    for scale in network.scales:
        assert len(scale) == 5
        assert count_parameters(scale[row].conv) == parameters
        assert count_parameters(scale[row].norm) == 0, "the source's instance normalisation is not affine"


def test_three_scales_have_the_seeds_count():
    network = meta()
    assert [count_parameters(scale) for scale in network.scales] == [2_764_737] * 3
    assert count_parameters(network) == 8_294_211


def test_maps_of_the_three_scales_at_256():
    judged = meta()(torch.empty(2, 3, 256, 256, device="meta"))
    assert [scale[-1].shape for scale in judged] == [(2, 1, 30, 30), (2, 1, 14, 14), (2, 1, 6, 6)]
    assert [len(scale) for scale in judged] == [5, 5, 5]


def test_each_scale_sees_the_averaged_picture():
    network = initialise(build("multiscale_patch70", {"in_channels": 2, "width": 4}), "he")
    x = torch.randn(1, 2, 128, 128)
    with torch.no_grad():
        judged = network(x)
        for scale, found in zip(network.scales, judged, strict=True):
            y = x
            for layer in scale[:-1]:
                y = F.leaky_relu(layer(y), 0.2)
            torch.testing.assert_close(found[-1], scale[-1](y))
            # Each output is the mean of the pixels under it that exist: nothing darkens at the border.
            x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2) / F.avg_pool2d(F.pad(torch.ones_like(x), (1, 1, 1, 1)), 3, 2)


@pytest.mark.parametrize(("number", "field"), [(0, 70), (1, 141), (2, 283)])
def test_fields_of_the_scales(number, field):
    """70 pixels of a picture that was averaged over 3 and halved: 2 x 69 + 3 of the one before."""
    network = initialise(build("multiscale_patch70", {"in_channels": 2, "width": 4, "norm": "none"}), "he")
    x = torch.randn(1, 2, 512, 512, requires_grad=True)
    scores = network(x)[number][-1]
    middle = scores.shape[-1] // 2
    (gradient,) = torch.autograd.grad(scores[0, 0, middle, middle], x)
    touched = gradient[0].abs().amax(dim=0) > 0
    for axis in (0, 1):
        where = touched.any(dim=axis).nonzero().flatten()
        assert where[0] > 0 and where[-1] < 511, "the field meets the border, so it would be cut"
        assert int(where[-1] - where[0]) + 1 == field


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("norm", ["instance", "none"])
def test_every_parameter_that_can_learn_gets_a_gradient(norm, spectral):
    config = {"width": 8, "scales": 2, "norm": norm, "spectral": spectral}
    network = initialise(build("multiscale_patch70", config), "he")
    judged = network(torch.randn(2, 3, 64, 64))
    sum(scale[-1].square().mean() for scale in judged).backward()
    idle = {f"scales.{s}.{row}.conv.bias" for s in range(2) for row in (1, 2, 3)} if norm == "instance" else set()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        assert name in idle or parameter.grad.abs().sum() > 0, name


def test_spectral_norm_bounds_each_convolution():
    network = initialise(build("multiscale_patch70", {"width": 8, "scales": 1, "norm": "none", "spectral": True}), "he")
    network.train()
    for _ in range(30):
        network(torch.randn(1, 3, 64, 64))
    network.eval()
    for layer in network.scales[0]:
        largest = torch.linalg.matrix_norm(layer.conv.weight.flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, abs=0.05)


def test_the_smallest_picture_passes_and_a_smaller_one_is_refused_by_its_size():
    network = build("multiscale_patch70", {"width": 4})
    assert network.smallest_side == 96
    assert network(torch.randn(1, 3, 96, 128))[-1][-1].shape == (1, 1, 1, 2)
    with pytest.raises(GANSegmentationError, match="88 x 128") as caught:
        network(torch.randn(1, 3, 88, 128))
    assert caught.value.code == "invalid_input_size"


@pytest.mark.parametrize("config", [{"scales": 0}, {"scales": 6}, {"halvings": 0}, {"width": 0}, {"norm": "batch"}])
def test_what_makes_no_network_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        build("multiscale_patch70", config)
    assert caught.value.code == "invalid_network" and next(iter(config)) in str(caught.value)
