"""What part a patient had in a model: known where the card's hash proves it, never guessed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from GANSegmentationLib.datasets import Dataset, patient_split
from GANSegmentationLib.models import Package, TrainingData
from GANSegmentationLib.training import Preset, was_held_out
from GANSegmentationLib.training.evaluation.seen import patient_roles
from GANSegmentationLib.training.starting.preflight import dataset_of
from Testing.training.conftest import tiny_preset
from Testing.training.measured_cases import threshold_package


def preset_of(**data: Any) -> Preset:
    plain = tiny_preset("supervised")
    return Preset.from_dict({**plain, "data": {**plain["data"], **data}})


def trained_package(folder: Path, dataset: Dataset, preset: Preset) -> Package:
    """A package whose card says that it was trained so."""
    used = dataset_of(preset, dataset)
    split = patient_split(used, validation=preset.data.validation_patients)
    package = threshold_package(folder, 100.0)
    sources = sorted({case.source for case in used.cases})
    data = tuple(TrainingData(source, "", "", None, None) for source in sources)
    facts = replace(package.card.training, split_sha256=split.sha256, data=data, preset=preset.name)
    return replace(package, card=replace(package.card, training=facts))


def test_the_split_of_the_preset_tells_who_trained(dataset: Dataset, tmp_path: Path) -> None:
    preset = preset_of()
    roles = patient_roles(trained_package(tmp_path, dataset, preset), dataset, preset)
    assert {patient for patient, role in roles.items() if role == "validated"} == {"lits_v00", "msd_c004"}
    assert set(roles.values()) == {"trained", "validated"}


def test_patients_that_the_preset_leaves_out_have_no_part(dataset: Dataset, tmp_path: Path) -> None:
    preset = preset_of(excluded_sources=["msd_slices"], validation_patients=["lits_v00"], groups=[{}])
    package = trained_package(tmp_path, dataset, preset)
    roles = patient_roles(package, dataset, preset)
    assert roles["msd_c002"] == "not seen" and roles["lits_v01"] == "trained" and roles["lits_v00"] == "validated"
    few = preset_of(training_patients=["lits_v01"], validation_patients=["lits_v00"], groups=[{}])
    package = trained_package(tmp_path, dataset, few)
    roles = patient_roles(package, dataset, few)
    assert roles["lits_v02"] == "not seen" and roles["lits_v01"] == "trained"
    assert was_held_out(package.card, dataset, [case.id for case in dataset.of_patients(["lits_v00"]).cases], few)


def test_another_preset_or_dataset_tells_nothing(dataset: Dataset, tmp_path: Path) -> None:
    package = trained_package(tmp_path, dataset, preset_of())
    other = preset_of(validation_patients=["lits_v01"])
    assert set(patient_roles(package, dataset, other).values()) == {"unknown"}
    fewer = dataset.subset(case.id for case in dataset.cases if case.id != "lits_v03")
    assert set(patient_roles(package, fewer, preset_of()).values()) == {"unknown"}
    assert set(patient_roles(package, dataset).values()) == {"unknown"}


def test_the_run_s_own_split_beside_the_package_tells_without_a_preset(dataset: Dataset, tmp_path: Path) -> None:
    preset = preset_of()
    package = trained_package(tmp_path, dataset, preset)
    split = patient_split(dataset, validation=preset.data.validation_patients)
    facts = {"train": list(split.train), "validation": list(split.validation)}
    (package.path.parent / "split.json").write_text(json.dumps(facts))
    roles = patient_roles(package, dataset)
    assert roles["lits_v01"] == "trained" and roles["lits_v00"] == "validated"
    fewer = dataset.subset(["lits_v00", "lits_v01"])
    assert patient_roles(package, fewer)["lits_v01"] == "trained", "also where the dataset has others"


def test_a_source_that_the_card_does_not_name_is_another_one(dataset: Dataset, tmp_path: Path) -> None:
    alone = preset_of(excluded_sources=["msd_slices"], validation_patients=["lits_v00"], groups=[{}])
    package = trained_package(tmp_path, dataset, alone)
    fewer = dataset.subset(case.id for case in dataset.cases if case.id != "lits_v03")
    roles = patient_roles(package, fewer)
    assert roles["msd_c002"] == "other source", "no case of theirs is of a source that it was trained on"
    assert roles["lits_v00"] == "unknown", "who has cases in both, too"
    silent = replace(package.card, training=replace(package.card.training, data=()))
    assert set(patient_roles(replace(package, card=silent), fewer).values()) == {"unknown"}


@pytest.mark.parametrize("forged", [None, "0" * 64])
def test_a_card_without_the_split_s_hash_tells_nothing(dataset: Dataset, tmp_path: Path, forged: str | None) -> None:
    preset = preset_of()
    package = trained_package(tmp_path, dataset, preset)
    card = replace(package.card, training=replace(package.card.training, split_sha256=forged))
    assert set(patient_roles(replace(package, card=card), dataset, preset).values()) == {"unknown"}
