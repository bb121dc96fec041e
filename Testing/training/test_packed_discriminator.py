"""A package may carry the network that judged its masks, and then says what sorts slices for review."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from GANSegmentationLib.datasets import Dataset, Split, patient_split
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import Predictor
from GANSegmentationLib.models import Package, PostProcessing, open_package, write_package
from GANSegmentationLib.networks import entry
from GANSegmentationLib.training import (
    Preset,
    RunOptions,
    Trainer,
    discriminator_spec,
    export_package,
    load_preset,
    release_twins,
)
from GANSegmentationLib.training.checkpoint import load_checkpoint, save_checkpoint
from GANSegmentationLib.training.evaluation.review import assess_all, evaluate_with_review, review_fact
from GANSegmentationLib.training.packing import export
from GANSegmentationLib.training.packing.card import check_model, model_card
from Testing.training.conftest import tiny_preset


@pytest.fixture(scope="module", autouse=True)
def one_way_of_cleaning() -> Iterator[None]:
    """Which cleaning is chosen is tested elsewhere, and costs a run through the validation patients each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "CANDIDATES", (PostProcessing(),))
        yield


@pytest.fixture(scope="module")
def adversarial(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Preset, Path]:
    plain = tiny_preset("conditional") | {"steps_per_epoch": 8, "epochs": 1, "augmentation": {}}
    preset, run = Preset.from_dict(plain), tmp_path_factory.mktemp("adversarial")
    Trainer(preset, dataset, run, RunOptions(accelerator="cpu")).run()
    return preset, run


def asking(preset: Preset) -> Preset:
    """The preset, asking for the discriminator."""
    return replace(preset, model=replace(preset.model, with_discriminator=True))


@pytest.fixture(scope="module")
def reviewed(
    adversarial: tuple[Preset, Path], dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Package, list[str]]:
    """A package with its discriminator, and what was said while it was made."""
    preset, run = adversarial
    said: list[str] = []
    target = tmp_path_factory.mktemp("reviewed") / "tiny.ganseg"
    path = export_package(run, asking(preset), dataset, target, device="cpu", say=said.append)
    return open_package(path), said


def test_a_package_carries_the_discriminator_of_the_best_epoch_where_that_is_asked_for(
    adversarial: tuple[Preset, Path], reviewed: tuple[Package, list[str]]
) -> None:
    package, said = reviewed
    package.verify()
    spec = package.card.discriminator
    assert spec is not None and (spec.name, spec.sees, spec.adversarial) == ("patch70", "pair", "lsgan")
    state = load_checkpoint(adversarial[1] / "best.ckpt")["reviewer"]
    weights = package.discriminator_weights()
    assert weights is not None and weights.keys() == state.keys()
    for name, tensor in state.items():
        expected = tensor.numpy().astype(np.float16) if tensor.is_floating_point() else tensor.numpy()
        np.testing.assert_array_equal(weights[name], expected, err_msg=name)
    assert any("carries its discriminator, patch70" in line for line in said)


def test_the_card_says_what_sorts_the_validation_patients_slices(
    reviewed: tuple[Package, list[str]], adversarial: tuple[Preset, Path], dataset: Dataset
) -> None:
    package, said = reviewed
    validation = patient_split(dataset, validation=adversarial[0].data.validation_patients).validation
    _, records = evaluate_with_review(Predictor(package, "cpu"), dataset, validation)
    fact = review_fact(assess_all(records), "lits_slices, msd_slices, validation, where it was chosen")
    assert package.card.review == fact
    # Whatever this barely trained model is good for, each signal is measured and said.
    assert {line.split(":")[0] for line in said if "rank correlation" in line} == {
        each.signal for each in assess_all(records, n_resamples=10)
    }


def test_whoever_exports_decides_over_the_preset(
    adversarial: tuple[Preset, Path], dataset: Dataset, tmp_path: Path
) -> None:
    preset, run = adversarial
    target = tmp_path / "plain.ganseg"
    path = export_package(run, asking(preset), dataset, target, device="cpu", with_discriminator=False)
    plain = open_package(path)
    assert plain.card.discriminator is None and plain.card.review is None and plain.card.schema == 1
    assert plain.discriminator_weights() is None


def test_an_objective_without_one_says_so_before_it_trains(
    supervised_json: dict[str, Any],
) -> None:
    with pytest.raises(GANSegmentationError, match="no discriminator") as caught:
        discriminator_spec(Preset.from_dict(supervised_json))
    assert caught.value.code == "no_discriminator"
    supervised_json["model"]["with_discriminator"] = True
    with pytest.raises(GANSegmentationError) as caught:
        check_model(Preset.from_dict(supervised_json))
    assert caught.value.code == "no_discriminator"


def test_a_checkpoint_of_an_earlier_version_has_none_to_pack(
    adversarial: tuple[Preset, Path], dataset: Dataset, tmp_path: Path
) -> None:
    preset, run = adversarial
    for name in ("split.json", "preset.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    state = load_checkpoint(run / "best.ckpt")
    save_checkpoint(tmp_path / "best.ckpt", {"average": state["average"], "epoch": 1})
    with pytest.raises(GANSegmentationError, match="does not hold its discriminator") as caught:
        export_package(tmp_path, preset, dataset, tmp_path / "x.ganseg", device="cpu", with_discriminator=True)
    assert caught.value.code == "no_discriminator"


def test_a_release_keeps_the_discriminator(
    reviewed: tuple[Package, list[str]], adversarial: tuple[Preset, Path], dataset: Dataset, tmp_path: Path
) -> None:
    package = reviewed[0]
    weights = package.weights()
    weights["head.conv.bias"] = np.full_like(weights["head.conv.bias"], -100)  # finds nothing
    card = replace(package.card, id="worse", discriminator=None, review=None, files={})
    worse = open_package(write_package(tmp_path / "worse.ganseg", card, weights, package.labels))
    validation = patient_split(dataset, validation=adversarial[0].data.validation_patients).validation
    release = release_twins(
        (package, worse),
        dataset,
        validation,
        tmp_path / "out",
        source="lits_slices",
        preset=adversarial[0],
        device="cpu",
    )
    kept = open_package(release.default)
    assert kept.card.discriminator == package.card.discriminator and kept.card.review == package.card.review
    kept.verify()


@pytest.mark.parametrize(
    ("objective", "critic", "expected"),
    [
        ("wasserstein", {"name": "lgan_product"}, ("lgan_product", "product", "wasserstein")),
        ("wasserstein", {"name": "lgan_regression"}, None),
    ],
)
def test_every_critic_that_needs_no_reference_can_be_packed(
    supervised_json: dict[str, Any], objective: str, critic: dict[str, Any], expected: tuple[str, str, str] | None
) -> None:
    config = {"generator": supervised_json["objective"]["config"]["generator"], "critic": critic}
    preset = Preset.from_dict(supervised_json | {"objective": {"name": objective, "config": config}})
    if expected is None:
        with pytest.raises(GANSegmentationError):
            discriminator_spec(preset)
    else:
        spec = discriminator_spec(preset)
        assert (spec.name, spec.sees, spec.adversarial) == expected


def test_input_masks_and_domains_stand_on_the_card(supervised_json: dict[str, Any]) -> None:
    supervised_json["objective"]["config"]["generator"] = {
        "name": "pix2pix_modern",
        "config": {**supervised_json["objective"]["config"]["generator"]["config"], "in_channels": 2},
    }
    supervised_json["data"] |= {"input_labels": [1]}
    supervised_json["model"]["channel_names"] = ["CT", "Liver"]
    preset = Preset.from_dict(supervised_json)
    check_model(preset)
    card = model_card(preset, Dataset(Path(), ()), Split((), ()), 1, "2026-01-01")
    assert card.mask_channels == ("Liver",) and card.schema == "1.1"
    with pytest.raises(GANSegmentationError, match="input_labels"):
        check_model(replace(preset, model=replace(preset.model, channel_names=("CT",))))
    uagan = load_preset("uagan_liver_ct_mr")
    assert model_card(uagan, Dataset(Path(), ()), Split((), ()), 1, "2026-01-01").domains == ("CT", "MR")
    twin = load_preset("uagan_liver_ct_mr_supervised")
    takes = entry(twin.objective.config["generator"]["name"]).takes_domain
    domains = model_card(twin, Dataset(Path(), ()), Split((), ()), 1, "2026-01-01").domains
    assert domains == (("CT", "MR") if takes else ())
