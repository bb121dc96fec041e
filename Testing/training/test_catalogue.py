"""Presets are found by system, task and recipe, and a misspelt word finds its neighbours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.training import Preset, load_preset, preset_names
from GANSegmentationLib.training.catalogue import SYSTEMS, catalogue, facts_of
from GANSegmentationLib.training.preset import nearest


def test_every_preset_is_listed_once_by_system() -> None:
    facts = catalogue()
    assert sorted(each.name for each in facts) == sorted(preset_names())
    assert [each.system for each in facts] == sorted(each.system for each in facts)
    assert {each.system for each in facts} <= set(SYSTEMS)


@pytest.mark.parametrize(
    ("name", "system", "recipe", "twin"),
    [
        ("unet_liver_ct", "unet", "modern", False),
        ("unet_ircad_liver_faithful", "unet", "faithful", False),
        ("lgan_early_fusion_lung_faithful", "lgan", "faithful", False),
        ("pix2pix_liver_ct_supervised", "pix2pix", "modern", True),
        ("transfer_unet_liver", "transfer", "modern", False),
        ("synthesis_pix2pix_em_faithful", "synthesis", "faithful", False),
        ("mine", "mine", "modern", False),
    ],
)
def test_system_and_recipe_are_words_of_the_name(
    name: str, system: str, recipe: str, twin: bool, preset_json: dict[str, Any]
) -> None:
    facts = facts_of(replace(Preset.from_dict(preset_json), name=name))
    assert (facts.system, facts.recipe, facts.twin, facts.task) == (system, recipe, twin, "segmentation")


def test_a_list_can_be_narrowed() -> None:
    everything = catalogue()
    assert {each.system for each in catalogue("unet")} == {"unet"}, "a system, and not every name with the word in it"
    assert {each.system for each in catalogue("UNET")} == {"unet"}
    assert catalogue("faithful") == [each for each in everything if each.recipe == "faithful"]
    assert {each.task for each in catalogue("synthesis")} <= {"synthesis"} or {
        each.system for each in catalogue("synthesis")
    } == {"synthesis"}
    assert [each.name for each in catalogue("liver_ct_supervised")] and all(
        "liver_ct_supervised" in each.name for each in catalogue("liver_ct_supervised")
    )


def test_a_word_nobody_knows_finds_its_neighbours() -> None:
    with pytest.raises(GANSegmentationError, match="Did you mean segnet") as caught:
        catalogue("segnett")
    assert caught.value.code == "unknown_preset"
    with pytest.raises(GANSegmentationError, match="The systems are") as caught:
        catalogue("xyzzy")
    assert "Did you mean" not in str(caught.value)


def test_misspelt_presets_and_settings_find_their_neighbours() -> None:
    with pytest.raises(GANSegmentationError, match="Did you mean unet_liver_ct"):
        load_preset("unet_livr_ct")
    with pytest.raises(GANSegmentationError, match=r"Choose one of .*pix2pix_liver_ct"):
        load_preset("zzz")
    for change, meant in (
        ("epoch=3", "epochs"),
        ("data.validaton_patients=[]", "validation_patients"),
        ("optimisers.generator.weigth_decay=1", "weight_decay"),
        ("transfer.pakage=x", "package"),
    ):
        with pytest.raises(GANSegmentationError, match=f"Did you mean {meant}"):
            load_preset("unet_liver_ct", [change])
    assert nearest("qqqq", preset_names()) == ""


@pytest.mark.parametrize(
    "change",
    ["transfer.policy=melt", "transfer.staged_epochs=-1", "transfer.staged_lr_factor=0", "transfer.new_head=1"],
)
def test_a_start_that_makes_no_sense_is_refused(change: str) -> None:
    with pytest.raises(GANSegmentationError, match=change.partition("=")[0]) as caught:
        load_preset("unet_liver_ct", ["transfer.package=bones", change])
    assert caught.value.code == "invalid_preset"


def test_settings_that_are_null_can_be_set_key_by_key(preset_json: dict[str, Any], tmp_path: Any) -> None:
    import json

    path = tmp_path / "written.json"
    path.write_text(json.dumps(Preset.from_dict(preset_json).to_dict()))  # transfer: null, as a run writes it
    preset = load_preset(path, ["transfer.package=bones", "transfer.policy=all"])
    assert preset.transfer is not None and (preset.transfer.package, preset.transfer.policy) == ("bones", "all")
