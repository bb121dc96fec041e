"""Overlapping tiles of the mirrored image: every pixel gets the score it would have on the whole image at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from GANSegmentationLib import networks
from GANSegmentationLib.inference import Predictor, load_network, whole_scores
from GANSegmentationLib.inference.network import suggest_batch_size
from GANSegmentationLib.slicing import SliceSpec, SliceStack, Window
from GANSegmentationLib.volumes import Volume

VALID = {"width": 4, "depth": 2, "padding": "valid"}
UPS = [{}, {"up_kernel": 4}, {"up": "resize"}]


def unpadded(**config: object) -> nn.Module:
    torch.manual_seed(0)
    network = networks.initialise(networks.build("unet", {**VALID, **config}), "he").eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):  # as after training
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2)
    return network


def at_once(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The network's scores on one large image that numpy has mirrored outwards."""
    border = network.lost_border
    pads = [(border.margin, border.needed(side) - border.margin - side) for side in images.shape[-2:]]
    extended = torch.from_numpy(np.pad(images.numpy(), ((0, 0), (0, 0), *pads), mode="reflect"))
    return network(extended)[..., : images.shape[-2], : images.shape[-1]]


class Watched(nn.Module):
    """A network that notes what it is given."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.lost_border = getattr(network, "lost_border", None)
        self.seen: list[tuple[torch.Tensor, ...]] = []

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        self.seen.append(given)
        return self.network(given[0])


@pytest.mark.parametrize("up", UPS, ids=str)
@pytest.mark.parametrize("sides", [(64, 64), (61, 90), (128, 33)])
@pytest.mark.parametrize("largest", [1, 30, 40, 388])
@torch.no_grad()
def test_tiles_say_what_one_large_mirrored_image_says(up, sides, largest):
    network = unpadded(norm="batch", classes=3, in_channels=2, **up)
    images = torch.randn(2, 2, *sides)
    expected = at_once(network, images)
    scores = whole_scores(network, images, largest=largest)
    assert scores.shape == (2, 3, *sides) and expected.std() > 0.01
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("sides", [(1, 1), (1, 9), (5, 3), (18, 20)])
@torch.no_grad()
def test_images_smaller_than_the_border_are_mirrored_again_and_again(sides):
    network = unpadded()
    images = torch.randn(1, 1, *sides)
    torch.testing.assert_close(whole_scores(network, images), at_once(network, images), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_papers_network_in_its_own_sizes():
    """572 pixels for 388 scores: one tile; 512 x 512 as in the paper's data: two of 260 along each side."""
    with torch.device("meta"):
        network = Watched(networks.build("unet", {"width": 1, "classes": 2, "padding": "valid"}))
        for side, tiles, tile in ((388, 1, 572), (4, 1, 188), (389, 4, 396), (512, 4, 444)):
            network.seen.clear()
            assert whole_scores(network, torch.empty(3, 1, side, side)).shape == (3, 2, side, side)
            assert [tuple(given.shape) for (given,) in network.seen] == tiles * [(3, 1, tile, tile)]


@pytest.mark.parametrize("largest", [2, 30, 64, 100])
@torch.no_grad()
def test_no_tile_is_larger_than_asked_for_and_all_are_alike(largest):
    network = Watched(unpadded())
    whole_scores(network, torch.randn(2, 1, 90, 50), largest=largest)
    border = network.lost_border
    (shape,) = {tuple(given.shape) for (given,) in network.seen}
    smallest = border.scored(border.smallest) + border.step
    assert all(border.fits(side) and border.scored(side) <= max(largest, smallest) for side in shape[-2:])
    assert len(network.seen) >= (90 / max(largest, smallest)) * (50 / max(largest, smallest))


def test_a_padded_network_is_called_once_with_the_very_images():
    network = Watched(nn.Conv2d(1, 1, 3, padding=1))
    images, domain = torch.randn(2, 1, 30, 20), torch.eye(2)
    scores = whole_scores(network, images, domain, largest=8)
    ((given, condition),) = network.seen
    assert given is images and condition is domain
    assert torch.equal(scores, network.network(images))


@torch.no_grad()
def test_every_tile_gets_its_images_domain():
    network = Watched(unpadded())
    domain = torch.eye(2)
    whole_scores(network, torch.randn(2, 1, 64, 64), domain, largest=30)
    assert len(network.seen) > 1 and all(given[1] is domain for given in network.seen)


def test_gradients_pass_through_tiles():
    network = unpadded()
    images = torch.randn(1, 1, 40, 40, requires_grad=True)
    scores = whole_scores(network, images, largest=20)
    weights = torch.randn_like(scores)
    (gradient,) = torch.autograd.grad((scores * weights).sum(), images)
    (expected,) = torch.autograd.grad((whole_scores(network, images) * weights).sum(), images)
    torch.testing.assert_close(gradient, expected, atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_short_numbers_stay_short():
    scores = whole_scores(unpadded().bfloat16(), torch.randn(1, 1, 40, 40).bfloat16(), largest=20)
    assert scores.dtype == torch.bfloat16 and scores.isfinite().all()


# --------------------------------------------------------------------------------------------------------- in use


def package_of(packages, **card_fields):
    config = {**VALID, "norm": "batch"}
    spec = SliceSpec("axial", 1, 16, 1, Window(0.0, 200.0))
    return packages.random(config, network_name="unet", slicing=spec, **card_fields)


def test_a_model_of_unpadded_convolutions_segments_every_voxel(packages, ct):
    package = package_of(packages)
    predictor = Predictor(package, "cpu", half=False, batch_size=5)
    noise = np.random.default_rng(0).integers(0, 200, ct.array.shape, dtype=np.int16)  # no two scores are equal
    volume = Volume(noise, ct.geometry, "CT")
    stack = SliceStack([volume], predictor.card.slicing)
    with torch.no_grad():
        scores = at_once(load_network(package), stack.batch(0, stack.n_slices))
    middle = float(scores.median())
    expected = stack.restore(scores - middle).numpy()
    predictor._network.head.conv.bias -= middle  # so that both labels occur
    labels = predictor.segment([volume]).labelmap.array
    assert 0.2 < expected.mean() < 0.8
    assert np.count_nonzero(labels != expected) <= 3


def test_flips_are_averaged_over_tiles_too(packages, ct):
    plain = Predictor(package_of(packages), "cpu", half=False)
    flipped = Predictor(package_of(packages, test_time_augmentation=["left_right"]), "cpu", half=False)
    stack = SliceStack([ct], plain.card.slicing)
    images = stack.batch(0, 1)
    with torch.no_grad():
        straight = at_once(plain._network, images)
        mirrored = at_once(plain._network, images.flip(-1)).flip(-1)
    run = type("Run", (), {"stack": stack, "flips": (-1,), "domain": None})
    scores = flipped._scores(flipped._network, torch.float32, run, 0, 1)
    torch.testing.assert_close(scores, (straight + mirrored) / 2, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(straight, mirrored, atol=1e-3)


def test_a_batch_is_suggested_by_the_size_of_its_tiles(make_card):
    spec = SliceSpec("axial", 1, 512, 1, Window(0.0, 200.0))
    sizes = [
        suggest_batch_size(
            make_card({"width": width, "padding": padding}, network_name="unet", slicing=spec),
            (512, 512),
            torch.float32,
            torch.device("cpu"),
        )
        for width, padding in ((2, "valid"), (2, "same"), (64, "valid"))
    ]
    # Behind the last skip: 4 channels of 264 x 264 are 1.1 MB, of 512 x 512 4.2 MB.
    assert sizes == [16, 8, 1]
