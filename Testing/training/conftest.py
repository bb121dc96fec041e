"""A dataset of miniature slices and a preset that trains on it in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from GANSegmentationLib.datasets import Dataset, prepare, same_patients

GENERATOR = {"name": "pix2pix_modern", "config": {"channels": [8, 8, 8], "full_resolution": 8, "dropout": 0.1}}


@pytest.fixture(scope="session")
def dataset(layouts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare(
        [("lits_slices", layouts_folder / "lits"), ("msd_slices", layouts_folder / "msd")],
        tmp_path_factory.mktemp("prepared"),
        labels={1: "Liver"},
        msd_to_lits=same_patients(layouts_folder / "same.json"),
    )


def tiny_preset(objective: str = "conditional") -> dict[str, Any]:
    """A preset for the miniature dataset, as JSON; with every source of randomness that a real one has."""
    config: dict[str, Any] = {"generator": GENERATOR}
    optimisers: dict[str, Any] = {"generator": {"lr": 0.005}}
    if objective == "conditional":
        config |= {"discriminator": {"name": "patch70", "config": {"width": 4}}, "instance_noise": 0.1}
        optimisers["discriminator"] = {"name": "adam", "lr": 0.0002, "betas": [0.5, 0.999]}
    return {
        "name": "tiny",
        "title": "a tiny one",
        "source": "none",
        "data": {
            "validation_patients": ["lits_v00", "msd_c004"],
            "score_source": "lits_slices",
            "groups": [{"source": "lits_slices", "weight": 0.6}, {"source": "msd_slices", "weight": 0.4}],
        },
        "slicing": {
            "plane": "axial",
            "neighbours": 1,
            "size": 64,
            "multiple": 8,
            "normalisation": {"kind": "window", "low": 0, "high": 160},
        },
        "objective": {"name": objective, "config": config},
        "optimisers": optimisers,
        "augmentation": {"affine": 0.5, "rotate_degrees": 10, "scale": 0.1, "noise": 0.5, "noise_sigma": 0.05},
        "schedule": {"kind": "cosine", "warmup": 0.1},
        "batch_size": 4,
        "steps_per_epoch": 3,
        "epochs": 4,
        "ema_decay": 0.9,
        "precision": "32-true",
        "clip_norm": 5.0,
        "seed": 7,
        "model": {
            "id": "tiny-model",
            "title": "Tiny",
            "version": "0.0.1",
            "labels": "liver.csv",
            "modalities": ["CT"],
            "channel_names": ["CT"],
            "weights_licence": "CC BY-NC-SA 4.0",
            "intended_use": "Tests.",
            "limitations": "All.",
        },
    }


def _flat(state: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries and lists as one level, for comparing whole checkpoints."""
    if isinstance(state, dict):
        return {key: value for name in state for key, value in _flat(state[name], f"{prefix}/{name}").items()}
    if isinstance(state, list | tuple):
        return {key: value for n, item in enumerate(state) for key, value in _flat(item, f"{prefix}/{n}").items()}
    return {prefix: state}


def assert_same_state(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Two checkpoints agree to the last bit, but for the time it took."""
    first, second = _flat(one), _flat(two)
    assert first.keys() == second.keys()
    for name, value in first.items():
        if "seconds" in name or name.endswith("loader_share"):
            continue
        same = torch.equal(value, second[name]) if isinstance(value, torch.Tensor) else value == second[name]
        assert same or (value != value and second[name] != second[name]), name


@pytest.fixture
def preset_json() -> dict[str, Any]:
    return tiny_preset()


@pytest.fixture
def supervised_json() -> dict[str, Any]:
    return tiny_preset("supervised")
