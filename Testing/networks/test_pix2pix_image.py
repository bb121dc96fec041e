"""The generators of pictures: the segmenting networks' layers with one picture as output."""

from __future__ import annotations

import pytest
import torch

from GANSegmentationLib import networks
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters, initialise


def test_the_seeds_generator_has_its_count_and_gives_one_picture():
    with torch.device("meta"):
        network = build("pix2pix_seed_image", {})
        assert network(torch.empty(1, 2, 256, 256)).shape == (1, 1, 256, 256)
    assert count_parameters(network) == 54_404_481


@pytest.mark.parametrize(
    ("name", "config", "side"),
    [
        ("pix2pix_seed_image", {"in_channels": 3, "width": 4}, 256),
        ("pix2pix_modern_image", {"in_channels": 3, "channels": [8, 8, 8], "full_resolution": 4}, 64),
        ("pix2pix_modern_image", {"in_channels": 3, "out_channels": 3, "channels": [8, 8], "full_resolution": 0}, 32),
    ],
)
def test_pictures_are_bounded_and_follow_the_mask(name, config, side):
    network = initialise(build(name, config), "he").eval()
    assert network.output == networks.entry(name).output == "image"
    mask = (torch.rand(2, 3, side, side) > 0.5).float()
    with torch.no_grad():
        picture = network(mask)
        other = network(mask.roll(7, dims=-1))
    assert picture.shape == (2, config.get("out_channels", 1), side, side)
    assert picture.abs().max() <= 1 and picture.std() > 0.01
    assert not torch.allclose(picture, other)


@pytest.mark.parametrize("name", ["pix2pix_seed_image", "pix2pix_modern_image"])
def test_dropout_is_on_in_training_alone(name):
    config = {"width": 4} if name == "pix2pix_seed_image" else {"channels": [8, 8, 8], "full_resolution": 4}
    network = initialise(build(name, {"in_channels": 1, **config}), "he")
    mask = (torch.rand(1, 1, 256, 256) > 0.5).float()
    with torch.no_grad():
        assert not torch.equal(network.train()(mask), network(mask))
        assert torch.equal(network.eval()(mask), network(mask))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("pix2pix_seed_image", {"out_channels": 0}),
        ("pix2pix_seed_image", {"norm": "batch"}),
        ("pix2pix_modern_image", {"dropout": 1.0}),
        ("pix2pix_modern_image", {"classes": 2}),
    ],
)
def test_what_makes_no_network_is_refused(name, config):
    with pytest.raises(GANSegmentationError) as caught:
        build(name, config)
    assert caught.value.code == "invalid_network"
