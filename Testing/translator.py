"""Models that know CT and MR: packages with random weights in the real format, and data and presets to train them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from GANSegmentationLib.datasets import Case, Dataset
from GANSegmentationLib.datasets.dataset import array_bytes, write_atomically
from GANSegmentationLib.models import write_package
from GANSegmentationLib.networks import build
from GANSegmentationLib.slicing import ByModality, Percentiles, SliceSpec, Window
from Testing.inference.conftest import card_of
from Testing.tiny_model import LIVER
from Testing.training.conftest import tiny_preset

SPEC = SliceSpec("axial", 1, 32, 4, ByModality({"CT": Window(0.0, 160.0), "MR": Percentiles(0.5, 99.5)}))
NETWORKS: dict[str, dict[str, Any]] = {
    "uagan_generator": {"width": 2, "levels": 2, "domains": 2},
    "stargan_generator": {"width": 2, "blocks": 1, "domains": 2},
}


def write_translator(path: Path, network: str = "uagan_generator", **changes: Any) -> Path:
    """Write the package; `changes` are fields of its card."""
    config = NETWORKS[network]
    torch.manual_seed(0)
    weights = {name: tensor.numpy() for name, tensor in build(network, config).state_dict().items()}
    fields: dict[str, Any] = {
        "id": "tiny-translator",
        "title": "Tiny translator",
        "network_name": network,
        "slicing": SPEC,
        "domains": ["CT", "MR"],
        "modalities": ["CT", "MR"],
        "intensity": {"unit": "arbitrary", "range": None},
    }
    if network == "stargan_generator":
        fields |= {"task": "synthesis", "schema": "1.1"}
    return write_package(path, card_of(config, **{**fields, **changes}), weights, (LIVER,))


def write_two_domains(folder: Path) -> Dataset:
    """A prepared dataset of three CT and three MR patients: a bright organ in CT, a dark one in MR, noise around."""
    generator, cases = np.random.default_rng(0), []
    for number in range(6):
        modality = ("CT", "MR")[number % 2]
        masks = np.zeros((4, 32, 32), np.uint8)
        masks[1:, 8 : 20 + number, 6:18] = 1
        values = generator.normal(80, 10, masks.shape) + (40.0 if modality == "CT" else -60.0) * masks
        images = np.clip(values, 0, 160).astype(np.int16)
        images[:, 0, :2] = (0, 160)
        name, contents = f"{modality.lower()}_{number}", []
        for kind, array in (("images", images), ("masks", masks)):
            contents.append(array_bytes(array))
            write_atomically(folder / kind / f"{name}.npy", contents[-1])
        cases.append(
            Case(
                id=name, source=modality.lower(), patient=name, modality=modality,
                unit="HU" if modality == "CT" else "arbitrary", slices=4, shape=(32, 32), slope=1.0, intercept=0.0,
                value_range=(0.0, 160.0), slice_index=(0, 1, 2, 3),
                foreground=tuple(int(mask.sum()) for mask in masks),
                fingerprint=hashlib.sha256(b"".join(contents)).hexdigest(), licence="CC0-1.0",
            )
        )  # fmt: skip
    dataset = Dataset(folder, tuple(cases), {1: "Liver"})
    dataset.write_manifest()
    return dataset


def domain_preset(setting: str, **changes: Any) -> dict[str, Any]:
    """A preset of the objective domain for `write_two_domains`, as JSON."""
    plain = tiny_preset("supervised")
    generator = "stargan_generator" if setting == "stargan" else "uagan_generator"
    config: dict[str, Any] = {
        "setting": setting,
        "generator": {"name": generator, "config": {**NETWORKS[generator], "width": 4}},
        "discriminator": {"name": "stargan_discriminator", "config": {"width": 4, "halvings": 4}},
    }
    roles = ["generator", "discriminator"]
    if setting == "uasegan":
        config["critic"] = {"name": "segan_critic", "config": {"width": 4}}
        roles.append("critic")
    return plain | {
        "name": f"tiny_{setting}",
        "data": {"validation_patients": ["ct_4", "mr_5"], "domains": ["CT", "MR"]},
        "slicing": SPEC.to_dict(),
        "objective": {"name": "domain", "config": config},
        "optimisers": {role: {"name": "adam", "lr": 0.001, "betas": [0.5, 0.999]} for role in roles},
        "augmentation": {},
        "epochs": 1,
        "model": plain["model"] | {"id": "tiny-domain", "modalities": ["CT", "MR"]},
        **changes,
    }
