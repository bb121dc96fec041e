"""Splits are by patient, whatever the source, and nothing else passes unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from GANSegmentationLib.datasets import Dataset, Split, patient_split, prepare, random_patient_split, slice_split
from GANSegmentationLib.datasets.importers import same_patients
from GANSegmentationLib.errors import GANSegmentationError


@pytest.fixture(scope="module")
def dataset(layouts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare(
        [("lits_slices", layouts_folder / "lits"), ("msd_slices", layouts_folder / "msd")],
        tmp_path_factory.mktemp("prepared"),
        labels={1: "Liver"},
        msd_to_lits=same_patients(layouts_folder / "same.json"),
    )


def test_a_patient_goes_to_one_part_with_the_cases_of_all_sources(dataset: Dataset) -> None:
    split = patient_split(dataset, validation=["lits_v00"], test=["msd_c004"])
    assert set(split.validation) == {"lits_v00", "msd_c001"}
    assert split.test == ("msd_c004",)
    assert len(split.train) == 5 and not set(split.train) & {"lits_v00", "msd_c001", "msd_c004"}


def test_a_leaking_split_is_refused(dataset: Dataset) -> None:
    leaking = Split(train=("lits_v00", "lits_v01"), validation=("msd_c001",))
    with pytest.raises(GANSegmentationError, match="lits_v00") as caught:
        leaking.check(dataset)
    assert caught.value.code == "patient_leakage"
    with pytest.raises(GANSegmentationError) as caught:
        patient_split(dataset, validation=["lits_v00"], test=["lits_v00"])
    assert caught.value.code == "patient_leakage"


def test_unknown_names_and_empty_parts_are_refused(dataset: Dataset) -> None:
    with pytest.raises(GANSegmentationError, match="lits_v77") as caught:
        patient_split(dataset, validation=["lits_v77"])
    assert caught.value.code == "unknown_patient"
    with pytest.raises(GANSegmentationError) as caught:
        patient_split(dataset, validation=[])
    assert caught.value.code == "empty_split"
    with pytest.raises(GANSegmentationError) as caught:
        Split(train=("nobody",), validation=()).check(dataset)
    assert caught.value.code == "unknown_case"


def test_a_random_split_is_by_patient_and_repeatable(dataset: Dataset) -> None:
    split = random_patient_split(dataset, fraction=0.5, seed=3)
    split.check(dataset)
    assert split == random_patient_split(dataset, fraction=0.5, seed=3)
    assert split.sha256 != random_patient_split(dataset, fraction=0.5, seed=4).sha256
    assert len({dataset.by_id[case].patient for case in split.validation}) == 3


def test_a_slice_split_needs_an_explicit_word(dataset: Dataset) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        slice_split(dataset, fraction=0.1, seed=0)
    assert caught.value.code == "slice_split_refused"
    train, validation = slice_split(dataset, fraction=0.25, seed=0, allow_patient_leakage=True)
    assert len(train) == 24 and len(validation) == 8 and not train & validation


def test_the_split_hash_does_not_depend_on_order(dataset: Dataset) -> None:
    one = Split(train=("a", "b"), validation=("c",))
    assert one.sha256 == Split(train=("b", "a"), validation=("c",)).sha256
    assert one.sha256 != Split(train=("a", "c"), validation=("b",)).sha256
