"""The shipped models are what their cards say."""

from __future__ import annotations

from pathlib import Path

import pytest

from GANSegmentationLib.models import ModelLibrary, write_package
from GANSegmentationLib.networks import build
from GANSegmentationLib.objectives import build as build_objective
from GANSegmentationLib.resources import resource_path
from GANSegmentationLib.training import load_preset

SHIPPED = ("liver-ct-pix2pix", "liver-ct-supervised")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_whole_and_comes_from_a_committed_preset(name: str) -> None:
    library = ModelLibrary()
    package = library.get(name)
    package.verify()
    preset = load_preset(package.card.training.preset)
    assert build_objective(preset.objective.name, preset.objective.config).generator_spec() == (
        package.card.network.name,
        {**package.card.network.config, "channels": list(package.card.network.config["channels"])},
    )
    assert (package.card.slicing, package.card.training.seed) == (preset.slicing, preset.seed)
    assert package.card.intended_use == preset.model.intended_use
    assert package.card.weights_licence == "CC BY-NC-SA 4.0" and package.card.code_licence == "Apache-2.0"
    network = build(package.card.network.name, package.card.network.config)
    assert set(network.state_dict()) == set(package.weights())
    assert resource_path("Models", f"{name}.ganseg").stat().st_size <= 12_000_000


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_package_written_anew_is_the_same_to_the_byte(name: str, tmp_path: Path) -> None:
    package = ModelLibrary().get(name)
    again = write_package(
        tmp_path / f"{name}.ganseg", package.card, package.weights(), package.labels, package.preview()
    )
    assert again.read_bytes() == package.path.read_bytes()


def test_the_default_is_the_twin_that_is_better_on_validation() -> None:
    library = ModelLibrary()
    default = library.choose("CT").card
    other = next(library.get(name).card for name in SHIPPED if name != default.id)
    assert default.default_for == ("CT",) and other.default_for == ()
    (difference,) = [
        fact for fact in default.metrics if (fact.name, fact.dataset) == ("dice_difference", "lits_slices")
    ]
    assert difference.mean > 0 and difference.n == 6 and difference.ci95 is not None
    assert default.training.split_sha256 == other.training.split_sha256


def test_the_cards_report_the_unseen_scan_without_an_interval() -> None:
    for name in SHIPPED:
        facts = [fact for fact in ModelLibrary().get(name).card.metrics if fact.split == "test"]
        assert {fact.name for fact in facts} >= {"dice", "hd95_mm"} and all(fact.ci95 is None for fact in facts)
        assert all(data.name != "chaos_ct" for data in ModelLibrary().get(name).card.training.data)
