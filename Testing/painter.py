"""A synthesis preset for the miniature slices, and a package of it that was never trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from GANSegmentationLib.datasets import Dataset, Split, patient_split
from GANSegmentationLib.models import Package, open_package, write_package
from GANSegmentationLib.objectives import build
from GANSegmentationLib.training import Preset
from GANSegmentationLib.training.packing.card import labels_of, model_card
from Testing.training.conftest import tiny_preset

PAINTERS: dict[str, Any] = {
    "generator": {"name": "pix2pix_modern_image", "config": {"channels": [8, 8, 8], "full_resolution": 4}},
    "discriminator": {"name": "multiscale_patch70", "config": {"width": 4, "scales": 2}},
}


def painter_preset(**config: Any) -> dict[str, Any]:
    """The preset as JSON; `config` are changes of the objective's."""
    plain = tiny_preset("supervised")
    return plain | {
        "name": "tiny_synthesis",
        "objective": {"name": "synthesis", "config": PAINTERS | config},
        "optimisers": {
            "generator": {"name": "adam", "lr": 0.002, "betas": [0.5, 0.999]},
            "discriminator": {"name": "adam", "lr": 0.0002, "betas": [0.5, 0.999]},
        },
        "augmentation": {},
        "model": plain["model"] | {"id": "tiny-painter", "title": "Tiny painter"},
    }


def write_painter(path: Path, dataset: Dataset, **config: Any) -> Package:
    """A package with the first weights of the preset's generator and the split of this dataset on its card."""
    preset = Preset.from_dict(painter_preset(**config))
    split: Split = patient_split(dataset, validation=preset.data.validation_patients)
    torch.manual_seed(0)
    generator = build("synthesis", preset.objective.config).build_networks()["generator"]
    weights = {name: tensor.numpy() for name, tensor in generator.state_dict().items()}
    card = model_card(preset, dataset, split, 1, "2026-01-01")
    write_package(path, card, weights, labels_of(preset))
    return open_package(path)
