"""Every committed preset, made small, takes two training steps on a miniature of the data that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from GANSegmentationLib.training import RunOptions, Trainer, load_preset
from GANSegmentationLib.training.preset import preset_names
from Testing.training.miniatures import miniature, small

SYSTEMS = ("pix2pix", "unet", "segnet", "lgan", "cyclegan", "segan", "stargan", "uagan", "transfer", "synthesis")
NEW = [name for name in preset_names() if load_preset(name).transfer is None]
"""Those that start from a package take their steps in test_transfer.py."""


def test_every_system_of_the_seeds_has_a_faithful_and_a_modern_preset() -> None:
    for system in SYSTEMS:
        own = [name for name in preset_names() if system in name.split("_")]
        assert [name for name in own if name.endswith("_faithful")], f"{system} has no faithful preset"
        assert [name for name in own if not name.endswith("_faithful")], f"{system} has no modern preset"


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_names_itself_its_source_and_what_differs(name: str) -> None:
    preset = load_preset(name)
    assert preset.name == name and preset.title and preset.source
    assert preset.deviations, "no recipe here is without deviations: at least the split is by patient"
    assert set(SYSTEMS) & set(name.split("_")), "the name contains its system"


@pytest.mark.parametrize("name", NEW)
def test_a_preset_takes_two_steps(name: str, tmp_path: Path) -> None:
    preset = small(load_preset(name))
    dataset = miniature(preset, tmp_path / "data")
    result = Trainer(preset, dataset, tmp_path / "run", RunOptions("cpu")).run()
    assert result.finished and result.epochs == 1
    assert (tmp_path / "run" / "last.ckpt").is_file()
