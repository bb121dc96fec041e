"""The registry: every entry builds, counts as it says, and refuses what makes no network."""

from __future__ import annotations

import json

import pytest
import torch

from GANSegmentationLib import networks
from GANSegmentationLib.errors import GANSegmentationError

KNOWN = [(name, config) for name in networks.names() for config in networks.entry(name).expected_params]


def test_names_by_role():
    roles = [networks.names(role) for role in ("generator", "discriminator", "synthesiser")]
    assert sorted(name for names in roles for name in names) == sorted(networks.names())
    assert {"pix2pix_seed", "pix2pix_modern"} <= set(networks.names("generator"))
    assert {"patch142_keras", "patch70"} <= set(networks.names("discriminator"))


@pytest.mark.parametrize(("name", "config"), KNOWN, ids=[f"{name}-{i}" for i, (name, _) in enumerate(KNOWN)])
def test_expected_parameters(name, config):
    with torch.device("meta"):
        network = networks.build(name, config)
    assert networks.count_parameters(network) == networks.entry(name).expected_params[config]


@pytest.mark.parametrize("name", networks.names())
def test_every_entry_is_complete(name):
    entry = networks.entry(name)
    assert entry.name == name and entry.source and entry.expected_params
    assert entry.config_class() in entry.expected_params, "the default's count is known"
    with torch.device("meta"):
        network = networks.build(name, {})
    if entry.role == "generator":
        assert network.multiple >= 1 and entry.output in ("logit", "softmax", "tanh")
        parameters = dict(network.named_parameters())
        for part in (entry.encoder, entry.head):
            assert part and all(any(name.startswith(prefix) for name in parameters) for prefix in part)
    elif entry.role == "synthesiser":
        assert network.multiple >= 1 and network.in_channels >= 1 and entry.output == "image"
    else:
        assert entry.output in ("patch", "patch_domain", "critic", "features") and entry.sees is not None


@pytest.mark.parametrize("name", networks.names())
def test_a_configuration_survives_json(name):
    config = networks.entry(name).config_class()
    again = networks.read_network_config(name, json.loads(json.dumps(config.to_dict())))
    assert again == config and hash(again) == hash(config)


def test_unknown_network():
    with pytest.raises(GANSegmentationError, match="pix2pix_modern") as caught:
        networks.build("pix2pixel", {})
    assert caught.value.code == "unknown_network"


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("pix2pix_seed", {"in_channel": 3}),
        ("pix2pix_seed", {"in_channels": 0}),
        ("pix2pix_seed", {"in_channels": "3"}),
        ("pix2pix_seed", {"in_channels": True}),
        ("pix2pix_seed", {"in_channels": 3.0}),
        ("pix2pix_modern", {"channels": 32}),
        ("pix2pix_modern", {"channels": [32]}),
        ("pix2pix_modern", {"channels": []}),
        ("pix2pix_modern", {"channels": [32, -1]}),
        ("pix2pix_modern", {"channels": [32, "64"]}),
        ("pix2pix_modern", {"norm": "layer"}),
        ("pix2pix_modern", {"up": None}),
        ("pix2pix_modern", {"refine": 1}),
        ("pix2pix_modern", {"dropout": 1.0}),
        ("pix2pix_modern", {"dropout": float("nan")}),
        ("pix2pix_modern", {"full_resolution": -1}),
        ("pix2pix_modern", {"classes": 0}),
        ("patch70", {"halvings": 0}),
        ("patch70", {"in_channels": 1}),
        ("patch70", [("in_channels", 6)]),
    ],
)
def test_what_makes_no_network_is_refused_by_name(name, config):
    with pytest.raises(GANSegmentationError) as caught:
        networks.build(name, config)
    assert caught.value.code == "invalid_network"
    if isinstance(config, dict):
        assert next(iter(config)) in str(caught.value)


def test_an_integer_is_a_number_and_a_list_a_tuple():
    config = networks.read_network_config("pix2pix_modern", {"dropout": 0, "channels": [8, 8]})
    assert config.dropout == 0.0 and isinstance(config.dropout, float) and config.channels == (8, 8)


def test_scores_of_a_picture_are_the_mean_of_its_channels():
    picture = torch.tensor([0.9, -0.2, -0.1]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    scores = networks.scores(networks.entry("pix2pix_seed"), picture)
    torch.testing.assert_close(scores, torch.full((1, 1, 2, 2), 0.2))


@pytest.mark.parametrize("kind", ["logit", "softmax"])
def test_raw_scores_stay(kind):
    raw = torch.randn(2, 3, 4, 4)
    assert networks.scores(kind, raw) is raw


def test_a_discriminator_gives_no_mask():
    with pytest.raises(GANSegmentationError) as caught:
        networks.scores(networks.entry("patch70"), torch.zeros(1, 1, 30, 30))
    assert caught.value.code == "not_a_generator"
