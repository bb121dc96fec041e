"""Synthetic slices in a preset: their share, and what must be true before they are drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.datasets.slices import SampleGroup
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference.synthesise import Synthesiser
from GANSegmentationLib.training import Preset, RunOptions, Trainer, was_held_out
from GANSegmentationLib.training.packing.card import model_card
from GANSegmentationLib.training.starting.mixing import mix, with_synthetic
from GANSegmentationLib.training.starting.preflight import check_run, dataset_of
from GANSegmentationLib.training.synthesis.synthetic import PaintPlan, synthesize, training_part
from Testing.painter import painter_preset, write_painter


@pytest.fixture(scope="module")
def painted(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("painted")
    package = write_painter(folder / "painter.ganseg", dataset)
    preset = Preset.from_dict(painter_preset())
    training = training_part(package, preset, dataset)
    return synthesize(Synthesiser(package, "cpu"), training, preset.data.view, folder / "out", PaintPlan(count=12))


def test_the_real_groups_keep_their_proportions(preset_json):
    for group, weight in zip(preset_json["data"]["groups"], (6, 4), strict=True):
        group["weight"] = weight
    preset = Preset.from_dict(preset_json)
    mixed = mix(preset, 0.25)
    weights = {group.source: group.weight for group in mixed.data.groups}
    assert weights == pytest.approx({"lits_slices": 0.45, "msd_slices": 0.3, "synthetic": 0.25})
    assert "25% of the training slices are synthetic" in mixed.deviations[-1]
    assert Preset.from_dict(mixed.to_dict()) == mixed


def test_nothing_and_everything_can_be_synthetic(preset_json):
    preset = Preset.from_dict(preset_json)
    assert mix(preset, 0.0) is preset
    assert mix(preset, 1.0).data.groups == (SampleGroup(source="synthetic", weight=1.0),)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(preset_json, ratio):
    with pytest.raises(GANSegmentationError) as caught:
        mix(Preset.from_dict(preset_json), ratio)
    assert caught.value.code == "invalid_ratio"


def test_a_run_learns_from_both(supervised_json, dataset, painted, tmp_path: Path):
    preset = Preset.from_dict(supervised_json | {"epochs": 1})
    mixed = with_synthetic(preset, dataset, painted, 0.5, force=True)
    trainer = Trainer(mixed.preset, mixed.dataset, tmp_path, RunOptions("cpu"))
    assert {case.source for case in trainer.dataset.cases} == {"lits_slices", "msd_slices", "synthetic"}
    assert trainer.run().finished


def test_the_card_says_who_was_held_out_without_naming_what_was_painted(supervised_json, dataset, painted):
    preset = Preset.from_dict(supervised_json)
    mixed = with_synthetic(preset, dataset, painted, 0.5, force=True)
    checked = check_run(mixed.preset, mixed.dataset)
    card = model_card(mixed.preset, checked.dataset, checked.split, 1, "2026-01-01")
    plain = check_run(preset, dataset)
    assert card.training.split_sha256 == plain.split.sha256 != checked.split.sha256
    assert was_held_out(card, dataset, plain.split.validation, preset)
    assert "synthetic" in {data.name for data in card.training.data}


def test_a_validation_patients_masks_never_train(supervised_json, dataset, painted):
    parents = sorted({name for case in painted.cases for name in case.derived_from})
    supervised_json["data"]["validation_patients"] = ["lits_v00", parents[0]]
    mixed = with_synthetic(Preset.from_dict(supervised_json), dataset, painted, 0.5, force=True)
    with pytest.raises(GANSegmentationError, match=parents[0]) as caught:
        check_run(mixed.preset, mixed.dataset)
    assert caught.value.code == "patient_leakage"


def test_few_training_patients_bring_only_slices_of_their_own_masks(supervised_json, dataset, painted):
    supervised_json["data"]["training_patients"] = ["lits_v01", "lits_v02"]
    mixed = with_synthetic(Preset.from_dict(supervised_json), dataset, painted, 0.5, force=True)
    used = [case for case in dataset_of(mixed.preset, mixed.dataset).cases if case.derived_from]
    assert used and {name for case in used for name in case.derived_from} <= {"lits_v01", "lits_v02"}
    assert len(used) < len(painted.cases)


def test_withheld_masks_do_not_come_back_through_synthetic_slices(supervised_json, dataset, painted):
    supervised_json["data"]["unlabelled_patients"] = [painted.cases[0].derived_from[0]]
    with pytest.raises(GANSegmentationError, match=painted.cases[0].derived_from[0]) as caught:
        with_synthetic(Preset.from_dict(supervised_json), dataset, painted, 0.5, force=True)
    assert caught.value.code == "withheld_masks"


def test_copies_are_refused_unless_they_are_forced(supervised_json, dataset, tmp_path: Path):
    real = dataset.by_id["lits_v01"]
    copies = replace(real, id="synthetic_copy", source="synthetic", patient="synthetic_p", derived_from=("lits_v01",))
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "synthetic_copy.npy").write_bytes(dataset.path(kind, real).read_bytes())
    memorised = Dataset(tmp_path, (copies,), dataset.labels)
    preset = Preset.from_dict(supervised_json)
    with pytest.raises(GANSegmentationError) as caught:
        with_synthetic(preset, dataset, memorised, 0.5)
    assert caught.value.code == "memorised_images"
    assert with_synthetic(preset, dataset, memorised, 0.5, force=True).memorisation.share == 1
