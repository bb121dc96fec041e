"""SegAN and CycleGAN on the real loop: what their objectives declare and remember, it does and restores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from GANSegmentationLib.training import Preset, RunOptions, Trainer
from Testing.training.conftest import assert_same_state

JUDGE = {"width": 4, "halvings": 3}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "multiscale_l1": {
        "generator": {"name": "segan_segmentor", "config": {"width": 4}},
        "critic": {"name": "segan_critic", "config": {"width": 4}},
        "warm_up": [2, 6],
    },
    "cycle": {
        "generator": {"name": "pix2pix_modern", "config": {"channels": [8, 8, 8], "full_resolution": 4}},
        "painter": {"name": "cyclegan_resnet_image", "config": {"width": 4, "blocks": 1}},
        "mask_discriminator": {"name": "cyclegan_discriminator", "config": JUDGE},
        "image_discriminator": {"name": "cyclegan_image_discriminator", "config": JUDGE},
        "buffer": 3,
        "shown_masks": "gumbel",
    },
}
ROLES = {
    "multiscale_l1": ("generator", "critic"),
    "cycle": ("generator", "painter", "mask_discriminator", "image_discriminator"),
}


def preset(preset_json: dict[str, Any], name: str) -> Preset:
    plain = {
        **preset_json,
        "objective": {"name": name, "config": OBJECTIVES[name]},
        "optimisers": {role: {"name": "adam", "lr": 0.002, "betas": [0.5, 0.999]} for role in ROLES[name]},
        "epochs": 2,
        "slicing": {**preset_json["slicing"], "size": 32, "multiple": 16},
    }
    if name == "cycle":
        groups = [{"source": "msd_slices"}]
        plain["data"] = {**preset_json["data"], "streams": {"unpaired": groups}, "unlabelled_patients": ["lits_v01"]}
    return Preset.from_dict(plain)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_one_and_one_epochs_are_two(preset_json, dataset, tmp_path: Path, name):
    given = preset(preset_json, name)
    Trainer(given, dataset, tmp_path / "whole", RunOptions(accelerator="cpu")).run()
    Trainer(given, dataset, tmp_path / "parts", RunOptions(accelerator="cpu", stop_after=1)).run()
    Trainer(given, dataset, tmp_path / "parts", RunOptions(accelerator="cpu", resume=True)).run()
    states = [torch.load(tmp_path / part / "last.ckpt", weights_only=True) for part in ("whole", "parts")]
    assert_same_state(*states)
    if name == "cycle":
        assert states[0]["objective"]["mask_buffer"]["kept"].shape == (3, 1, 32, 32)


def test_the_critics_convolutions_stay_within_their_bound(preset_json, dataset, tmp_path: Path):
    Trainer(preset(preset_json, "multiscale_l1"), dataset, tmp_path, RunOptions(accelerator="cpu")).run()
    critic = torch.load(tmp_path / "last.ckpt", weights_only=True)["networks"]["critic"]
    largest = {key: tensor.abs().max().item() for key, tensor in critic.items() if tensor.is_floating_point()}
    convolutions = max(value for key, value in largest.items() if key.endswith("conv.weight"))
    assert convolutions == pytest.approx(0.05, abs=1e-7), "some have reached it, none has passed it"
    assert largest["layers.1.norm.weight"] > 0.5
