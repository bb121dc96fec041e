"""Real model packages whose networks are small and whose answer is known: they compare intensities with thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from GANSegmentationLib import models, networks
from GANSegmentationLib.slicing import SliceSpec, Window
from GANSegmentationLib.volumes import Geometry, Segment, Volume

WINDOW = Window(0.0, 200.0)
NAMES = ("Liver", "Spleen", "Kidney")


def threshold_network(in_channels: int, channel: int, thresholds: tuple[float, ...]) -> tuple[dict[str, Any], Any]:
    """Configuration and weights of a pix2pix generator that labels a pixel by how many thresholds one of its input
    channels is above.

    The stem passes every channel and its negative on; leaky(x) - leaky(-x) is 1.2 x, so that the head can compute any
    linear function of the input. All other weights are random, and unheard.
    """
    classes = 1 if len(thresholds) == 1 else len(thresholds) + 1
    config = {
        "in_channels": in_channels,
        "classes": classes,
        "channels": [4, 4],
        "norm": "batch",
        "refine": False,
        "full_resolution": 2 * in_channels,
    }
    torch.manual_seed(0)
    network = networks.build("pix2pix_modern", config)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    stem = torch.zeros_like(state["stem.first.conv.weight"])
    for number in range(in_channels):
        stem[2 * number, number, 1, 1] = 1.0
        stem[2 * number + 1, number, 1, 1] = -1.0
    state["stem.first.conv.weight"] = stem
    head = torch.zeros_like(state["head.conv.weight"])
    bias = torch.zeros_like(state["head.conv.bias"])
    skip = 2 * in_channels + 2 * channel
    levels = [(2 * value / (WINDOW.high - WINDOW.low) - 1) for value in thresholds]
    for label in range(1, len(thresholds) + 1):
        output = label if classes > 1 else 0
        # Each further label's score is ahead of the one before exactly where the next threshold is passed.
        head[output, skip], head[output, skip + 1] = label / 1.2, -label / 1.2
        bias[output] = -sum(levels[:label])
    state["head.conv.weight"], state["head.conv.bias"] = head, bias
    return config, {name: tensor.numpy() for name, tensor in state.items() if tensor.is_floating_point()}


def card_of(config: dict[str, Any], **changes: Any) -> models.Card:
    """A complete card around a network's configuration."""
    spec = changes.pop("slicing", None) or SliceSpec("axial", 1, 16, 4, WINDOW)
    description = {
        "schema": 1,
        "id": "test-threshold",
        "title": "Threshold",
        "version": "1.0.0",
        "network": {"name": changes.pop("network_name", "pix2pix_modern"), "config": config},
        "slicing": spec.to_dict(),
        "modalities": ["CT"],
        "domains": [],
        "channels": 1,
        "channel_names": ["image"],
        "spacing_range": None,
        "intensity": {"unit": "HU", "range": None},
        "postprocessing": {"largest_component": False, "fill_holes": False, "minimum_volume_ml": 0.0, "crf": None},
        "test_time_augmentation": [],
        "training": {
            "preset": "none",
            "objective": "none",
            "seed": 0,
            "split_sha256": None,
            "epochs": 0,
            "date": "2026-01-01",
            "data": [],
        },
        "metrics": [],
        "default_for": [],
        "weights_licence": "CC0-1.0",
        "code_licence": "Apache-2.0",
        "intended_use": "Tests.",
        "limitations": "Not for use.",
        "files": {},
    }
    return models.Card.from_dict({**description, **changes})


class PackageMaker:
    """Writes packages into a folder and opens them again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def thresholds(
        self, *thresholds: float, in_channels: int = 1, channel: int = 0, **card_fields: Any
    ) -> models.Package:
        """A model that counts the thresholds (HU) that one of its input channels is above."""
        config, weights = threshold_network(in_channels, channel, thresholds)
        return self.write(config, weights, len(thresholds), **card_fields)

    def random(self, config: dict[str, Any], labels: int = 1, seed: int = 0, **card_fields: Any) -> models.Package:
        """A model with random weights and random running statistics."""
        torch.manual_seed(seed)
        network = networks.build(card_fields.get("network_name", "pix2pix_modern"), config)
        state = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
        for name, tensor in state.items():
            if name.endswith("running_mean"):
                tensor.normal_(0, 0.2)
            elif name.endswith(("running_var", "norm.weight")):
                tensor.uniform_(0.5, 2.0)
        return self.write(config, {name: tensor.numpy() for name, tensor in state.items()}, labels, **card_fields)

    def write(
        self, config: dict[str, Any], weights: Mapping[str, Any], labels: int = 1, **card_fields: Any
    ) -> models.Package:
        """Any model."""
        segments = [Segment(value + 1, NAMES[value], (200, 100, 50)) for value in range(labels)]
        path = self._folder / f"model{len(list(self._folder.iterdir()))}.ganseg"
        return models.open_package(models.write_package(path, card_of(config, **card_fields), weights, segments))


@pytest.fixture
def packages(tmp_path: Path) -> PackageMaker:
    """Makes model packages."""
    return PackageMaker(tmp_path)


@pytest.fixture
def make_card() -> Callable[..., models.Card]:
    """``make_card(config, **fields)``: a complete card with some fields changed."""
    return card_of


@pytest.fixture
def ct() -> Volume:
    """A CT of 12 x 16 x 16 voxels of 1 mm: air, a body of 50 HU, and in it a box of 150 HU off the centre."""
    array = np.full((12, 16, 16), -1000, np.int16)
    array[:, 2:14, 2:15] = 50
    array[3:9, 4:10, 6:13] = 150
    return Volume(array, Geometry((16, 16, 12), (1.0, 1.0, 1.0), origin=(5.0, 6.0, 7.0)), "CT", "chest")
