"""Presets: complete, checked, changeable by key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.objectives import build
from GANSegmentationLib.training import Preset, load_preset, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_every_committed_preset_is_complete(name: str) -> None:
    preset = load_preset(name)
    assert preset.name == name and preset.source and preset.deviations
    assert Preset.from_dict(preset.to_dict()) == preset
    objective = build(preset.objective.name, preset.objective.config)
    shown = preset.slicing.neighbours * len(preset.model.channel_names)
    channels = objective.generator_spec()[1]
    # A painter gives the image's channels, every other network takes them.
    assert channels["out_channels" if preset.objective.name == "synthesis" else "in_channels"] == shown
    assert {role for phase in objective.phases for role in phase.trains} == set(preset.optimisers)


def test_twins_differ_in_the_adversary_alone() -> None:
    gan, twin = load_preset("pix2pix_liver_ct").to_dict(), load_preset("pix2pix_liver_ct_supervised").to_dict()
    for key in ("data", "slicing", "augmentation", "schedule", "batch_size", "steps_per_epoch", "epochs", "seed"):
        assert gan[key] == twin[key], key
    assert gan["optimisers"]["generator"] == twin["optimisers"]["generator"]
    assert gan["objective"]["config"]["generator"] == twin["objective"]["config"]["generator"]


def test_the_test_scan_never_trains() -> None:
    for name in preset_names():
        data = load_preset(name).data
        drawn = {group.source for groups in (data.groups, *data.streams.values()) for group in groups}
        assert "chaos_ct" in data.excluded_sources or not drawn & {None, "chaos_ct"}, name


def test_changes_reach_any_depth() -> None:
    preset = load_preset(
        "pix2pix_liver_ct",
        ["epochs=3", "optimisers.generator.lr=0.5", "slicing.normalisation.high=200", "title=Another"],
    )
    assert preset.epochs == 3 and preset.optimisers["generator"].lr == 0.5 and preset.title == "Another"
    assert preset.slicing.normalisation.to_dict()["high"] == 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("epoch=3", "no setting named 'epoch'"),
        ("epochs=many", "preset.epochs is 'many', which is not a whole number"),
        ("epochs=true", "preset.epochs"),
        ("optimisers.generator.betas=[0.5]", r"preset.optimisers.generator.betas is \[0.5\], which is not a list of 2"),
        ("data.groups=5", "preset.data.groups is 5, which is not a list"),
        ("clip_norm=big", "preset.clip_norm is 'big', which is not a number"),
        ("title.deep.down=1", "leads through"),
        ("epochs", "key.key=value"),
    ],
)
def test_a_wrong_setting_is_named(change: str, said: str) -> None:
    with pytest.raises(GANSegmentationError, match=said) as caught:
        load_preset("pix2pix_liver_ct", [change])
    assert caught.value.code == "invalid_preset"


def test_a_missing_setting_is_named(preset_json: dict[str, Any]) -> None:
    del preset_json["objective"]
    with pytest.raises(GANSegmentationError, match="objective"):
        Preset.from_dict(preset_json)


def test_a_preset_can_be_a_file(preset_json: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(preset_json))
    assert load_preset(tmp_path / "mine.json").name == "tiny"
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(GANSegmentationError, match="not JSON"):
        load_preset(tmp_path / "broken.json")
    with pytest.raises(GANSegmentationError, match="pix2pix_liver_ct") as caught:
        load_preset("nothing")
    assert caught.value.code == "unknown_preset"
