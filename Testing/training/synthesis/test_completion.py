"""Masks completed by a model: where a label is missing, never over what a person has drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from GANSegmentationLib.datasets import Dataset, check_dataset, labels_of, prepare
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import Package, open_package, write_package
from GANSegmentationLib.slicing import SliceSpec, Window
from GANSegmentationLib.training.synthesis.completion import FACTS, complete_masks
from GANSegmentationLib.volumes import Code, Segment
from Testing.inference.conftest import WINDOW, card_of, threshold_network
from Testing.layouts import write_vnc_section

MEMBRANES = Segment(
    1, "Membranes", (216, 101, 79), category=Code("99GANSEG", "CELL", "Cell structure"),
    type=Code("99GANSEG", "MEMB", "Cell membranes"),
)  # fmt: skip


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return sections(tmp_path)


def sections(tmp_path: Path) -> Dataset:
    """Six sections in two blocks; the first block's membranes are missing."""
    rng = np.random.default_rng(0)
    for number in range(6):
        write_vnc_section(tmp_path / "vnc", number, rng)
    folder = tmp_path / "prepared"
    dataset = prepare([("em_vnc", tmp_path / "vnc")], folder, labels=labels_of(["em_vnc"]))
    first = dataset.by_id["vnc_00_03"]
    masks = np.array(dataset.masks(first))
    masks[masks == 2] = 0
    np.save(folder / "masks" / "vnc_00_03.npy", masks)
    fixed = replace(first, fingerprint=dataset.stored_fingerprint(first))
    dataset = replace(dataset, cases=(fixed, *dataset.cases[1:]))
    dataset.write_manifest()
    return dataset


def membrane_model(path: Path, **changes: Any) -> Package:
    """A model of section and mitochondria in which everything brighter than 100 is membrane, mitochondria too."""
    # 100.5 of 0 to 256 lies where this lies in the window that the network's helper counts in.
    config, weights = threshold_network(2, 0, (100.5 / 256 * (WINDOW.high - WINDOW.low),))
    fields = {
        "modalities": ["OT"], "channels": 2, "channel_names": ["EM", "Mitochondria"], "mask_channels": ["Mitochondria"],
        "intensity": {"unit": "arbitrary", "range": None}, "id": "membranes-em", "schema": "1.1",
    }  # fmt: skip
    spec = SliceSpec("axial", 1, 64, 4, Window(0, 256))
    write_package(path, card_of(config, slicing=spec, **{**fields, **changes}), weights, (MEMBRANES,))
    return open_package(path)


def test_what_is_missing_is_drawn_and_what_is_there_stays(dataset: Dataset, tmp_path: Path) -> None:
    before = {case.id: np.array(dataset.masks(case)) for case in dataset.cases}
    completed = complete_masks(membrane_model(tmp_path / "m.ganseg"), dataset, tmp_path / "out", device="cpu")
    assert completed.labels == {1: "Mitochondria", 2: "Membranes"}, "the dataset's own word for it"
    first, second = completed.by_id["vnc_00_03"], completed.by_id["vnc_04_07"]
    images, masks = np.asarray(completed.images(first)), np.asarray(completed.masks(first))
    np.testing.assert_array_equal(masks == 1, before["vnc_00_03"] == 1)
    np.testing.assert_array_equal(masks == 2, (images > 100) & (before["vnc_00_03"] == 0))
    assert (masks == 2).any() and (images[masks == 1] > 100).any(), "the model would have drawn over mitochondria"
    np.testing.assert_array_equal(completed.masks(second), before["vnc_04_07"]), "a person has drawn these"
    assert json.loads((tmp_path / "out" / FACTS).read_text())["cases"] == ["vnc_00_03"]


def test_the_copy_is_a_sound_dataset_of_the_same_pictures(dataset: Dataset, tmp_path: Path) -> None:
    completed = complete_masks(membrane_model(tmp_path / "m.ganseg"), dataset, tmp_path / "out", device="cpu")
    opened = Dataset.open(tmp_path / "out")
    assert [each for each in check_dataset(opened) if each.level == "error"] == []
    for case in dataset.cases:
        other = opened.by_id[case.id]
        np.testing.assert_array_equal(opened.images(other), dataset.images(case))
        assert (other.patient, other.source, other.slice_index) == (case.patient, case.source, case.slice_index)
        assert other.foreground == tuple(int((mask > 0).sum()) for mask in opened.masks(other))
    assert opened.fingerprint == completed.fingerprint != dataset.fingerprint


def test_a_new_structure_gets_the_next_value_and_is_named_as_predicted(dataset: Dataset, tmp_path: Path) -> None:
    other = replace(dataset, labels={1: "Mitochondria", 2: "Nucleus"})
    completed = complete_masks(membrane_model(tmp_path / "m.ganseg"), other, tmp_path / "out", device="cpu")
    assert completed.labels == {1: "Mitochondria", 2: "Nucleus", 3: "Membranes (predicted)"}
    assert all((np.asarray(completed.masks(case)) == 3).any() for case in completed.cases)


def test_a_model_that_needs_another_mask_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    fields = {"channel_names": ["EM", "Vesicles"], "mask_channels": ["Vesicles"]}
    with pytest.raises(GANSegmentationError, match="Vesicles") as caught:
        complete_masks(membrane_model(tmp_path / "m.ganseg", **fields), dataset, tmp_path / "out", device="cpu")
    assert caught.value.code == "unknown_label" and not (tmp_path / "out").exists()


def test_a_folder_in_use_is_left_alone(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        complete_masks(membrane_model(tmp_path / "m.ganseg"), dataset, dataset.folder, device="cpu")
    assert caught.value.code == "folder_in_use"
