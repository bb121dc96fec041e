"""Bones drawn by a rule: what it keeps, what it leaves out, and that nobody can take them for references."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from GANSegmentationLib.datasets import Dataset, prepare, require_sound
from GANSegmentationLib.datasets.pseudo_labels import (
    BONE_LABEL,
    FACTS,
    bone_mask,
    derive_bone,
    original_source,
    why_no_bone,
)
from GANSegmentationLib.errors import GANSegmentationError

SIDE = 128


def _disk(row: float, column: float, height: float, width: float | None = None, side: int = SIDE) -> np.ndarray:
    rows, columns = np.mgrid[0:side, 0:side]
    return ((rows - row) / height) ** 2 + ((columns - column) / (width or height)) ** 2 <= 1


class Trunk:
    """An axial slice of a trunk, HU, with its true bones."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.values = np.full((SIDE, SIDE), -1000.0)
        body = _disk(60, 64, 36, 50)
        self.values[body] = 50
        self.vertebra = _disk(80, 64, 8)
        self.marrow = _disk(80, 64, 5)
        self.ribs = [_disk(60, column, 6, 2) for column in (17, 111)] + [_disk(90, 44, 2, 4), _disk(27, 50, 2, 4)]
        self.values[self.vertebra] = 600
        self.values[self.marrow] = 150
        for rib in self.ribs:
            self.values[rib] = 400
        self.values += rng.normal(0, 8, self.values.shape)

    @property
    def bones(self) -> np.ndarray:
        return np.any([self.vertebra, *self.ribs], axis=0)


def _dice(one: np.ndarray, two: np.ndarray) -> float:
    return 2 * np.count_nonzero(one & two) / (np.count_nonzero(one) + np.count_nonzero(two))


def test_spine_and_ribs_are_found_and_marrow_is_filled() -> None:
    trunk = Trunk()
    bones = bone_mask(trunk.values)
    assert _dice(bones, trunk.bones) > 0.95
    assert bones[trunk.marrow].all() and (trunk.values[trunk.marrow] < 200).all()
    assert all(bones[rib].mean() > 0.9 for rib in trunk.ribs)


@pytest.mark.parametrize(
    ("what", "place"),
    [
        ("the table", np.s_[103:106, 20:108]),
        ("contrast in the stomach", np.s_[48:62, 80:94]),
        ("an enhanced kidney", np.s_[66:80, 84:96]),
        ("contrast in bowel against the wall", np.s_[28:42, 58:74]),
        ("a vessel", np.s_[60:64, 60:64]),
        ("a bright line above the patient", np.s_[8:10, 30:100]),
    ],
)
def test_what_is_bright_and_no_bone_is_left_out(what: str, place: tuple[slice, slice]) -> None:
    trunk = Trunk()
    trunk.values[place] = 300
    bones = bone_mask(trunk.values)
    assert not bones[place].any(), what
    assert _dice(bones, trunk.bones) > 0.95


def test_noise_leaves_no_specks() -> None:
    trunk = Trunk()
    rng = np.random.default_rng(1)
    specks = rng.random(trunk.values.shape) < 0.01
    specks &= ~ndimage.binary_dilation(trunk.bones, iterations=3) & (trunk.values > 0)
    trunk.values[specks] = 260
    assert specks.sum() > 30
    assert not bone_mask(trunk.values)[specks].any()


def test_the_rule_does_not_depend_on_the_resolution() -> None:
    trunk = Trunk()
    fine = bone_mask(np.kron(trunk.values, np.ones((2, 2))))
    assert _dice(fine, np.kron(bone_mask(trunk.values), np.ones((2, 2))) > 0) > 0.93


@pytest.mark.parametrize("value", [-1000.0, 0.0, 50.0, 3000.0])
def test_a_slice_without_any_shape_has_no_bones_or_is_no_crash(value: float) -> None:
    assert not bone_mask(np.full((64, 64), value)).any() or value > 200


def test_a_line_and_a_point_of_tissue_are_no_body() -> None:
    values = np.full((64, 64), -1000.0)
    values[32, 32] = 500
    assert not bone_mask(values).any()


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two CT patients whose grey values reach bone, one LiTS-like that ends below it, one MR, as prepared."""
    folder = tmp_path / "prepared"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    cases = []
    for number, (name, source) in enumerate(
        [("msd_c001", "msd_slices"), ("msd_c002", "msd_slices"), ("lits_v00", "lits_slices"), ("mr_1", "chaos_mr")]
    ):
        trunks = [Trunk(10 * number + each) for each in range(2)]
        grey = np.clip(np.stack([trunk.values for trunk in trunks]) / 1.027 + 2.5, 0, 255).astype(np.uint8)
        grey[:, 110 + 4 * number : 114 + 4 * number] = 150  # the table at each patient's own height
        np.save(folder / "images" / f"{name}.npy", grey)
        np.save(folder / "masks" / f"{name}.npy", (grey > 300).astype(np.uint8))
        cases.append(
            {
                "id": name, "source": source, "patient": name, "slices": 2, "shape": [SIDE, SIDE], "slope": 1.027,
                "intercept": -2.5, "modality": "MR" if name == "mr_1" else "CT",
                "unit": "arbitrary" if name == "mr_1" else "HU",
                "value_range": [-40.0, 160.0] if name == "lits_v00" else [0.0, 255.0],
                "slice_index": [3, 9], "foreground": [0, 0], "fingerprint": "0" * 64, "is_volume": False,
            }
        )  # fmt: skip
    manifest = {"schema": 1, "labels": {"1": "Liver"}, "cases": cases}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    opened = Dataset.open(folder)
    return Dataset(
        folder,
        tuple(replace(case, fingerprint=opened.stored_fingerprint(case)) for case in opened.cases),
        opened.labels,
    )


def test_a_derived_dataset_keeps_images_and_names_its_labels(dataset: Dataset, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    made = derive_bone(dataset, tmp_path / "bone", report=lambda *step: seen.append(step))
    again = Dataset.open(tmp_path / "bone")
    assert again.labels == {1: BONE_LABEL} and "pseudo" in BONE_LABEL
    assert {case.id for case in again.cases} == {"msd_c001", "msd_c002"} and again.cases == made.dataset.cases
    assert require_sound(again) == [] and [step[2] for step in seen] == ["msd_c001", "msd_c002"]
    for case in again.cases:
        original = dataset.by_id[case.id]
        assert np.array_equal(again.images(case), dataset.images(original))
        assert case.patient == original.patient and case.source == "msd_slices_bone_pseudo_labels"
        assert case.foreground == tuple(int(mask.sum()) for mask in again.masks(case)) and min(case.foreground) > 100
        masks = np.asarray(again.masks(case))
        number = 10 * int(case.id == "msd_c002")
        assert _dice(masks[1] > 0, Trunk(number + 1).bones) > 0.95, "each slice has its own bones, in its own place"
    facts = json.loads((tmp_path / "bone" / FACTS).read_text())
    assert facts["from_dataset"] == dataset.fingerprint and set(facts["left_out"]) == {"lits_v00", "mr_1"}
    assert original_source("msd_slices_bone_pseudo_labels") == "msd_slices" == original_source("msd_slices")


def test_stored_values_become_hounsfield_units_first(dataset: Dataset, tmp_path: Path) -> None:
    case = dataset.by_id["msd_c001"]
    stored = np.stack([Trunk(0).values, Trunk(1).values]) * 2 + 2048
    np.save(dataset.folder / "images" / "msd_c001.npy", stored.astype(np.int16))
    offset = replace(dataset, cases=(replace(case, slope=0.5, intercept=-1024.0),))
    (made,) = derive_bone(offset, tmp_path / "bone").dataset.cases
    masks = Dataset.open(tmp_path / "bone").masks(made)
    assert all(_dice(mask > 0, Trunk(number).bones) > 0.95 for number, mask in enumerate(masks))


def test_cases_that_cannot_hold_bone_are_left_out_with_the_reason(dataset: Dataset, tmp_path: Path) -> None:
    made = derive_bone(dataset, tmp_path / "bone")
    assert "160 HU" in made.left_out["lits_v00"] and "MR" in made.left_out["mr_1"]
    assert why_no_bone(dataset.by_id["msd_c001"]) == ""
    assert "synthetic" in why_no_bone(replace(dataset.by_id["msd_c001"], derived_from=("msd_c002",)))
    with pytest.raises(GANSegmentationError, match="160 HU") as caught:
        derive_bone(dataset.subset(["lits_v00"]), tmp_path / "none")
    assert caught.value.code == "no_pseudo_labels" and not (tmp_path / "none").exists()


def test_the_original_is_never_written_over(dataset: Dataset) -> None:
    before = (dataset.folder / "manifest.json").read_bytes()
    with pytest.raises(GANSegmentationError) as caught:
        derive_bone(dataset, dataset.folder / ".." / dataset.folder.name)
    assert caught.value.code == "same_folder" and (dataset.folder / "manifest.json").read_bytes() == before


@pytest.mark.real_data
def test_on_real_slices_every_patient_has_bones_and_the_liver_none(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("c001", "c020", "c057", "c110"):
        for path in (shared_data / "liver_ct_slices_msd").glob(f"{name}_s*"):
            (folder / path.name).symlink_to(path)
    dataset = prepare([("msd_slices", folder)], tmp_path / "prepared", labels={1: "Liver"})
    made = derive_bone(dataset, tmp_path / "bone").dataset
    for case in made.cases:
        bones = np.asarray(made.masks(case)) > 0
        share = bones.mean(axis=(1, 2))
        assert (share > 0.004).all() and (share < 0.05).all(), case.id
        liver = np.asarray(dataset.masks(dataset.by_id[case.id])) > 0
        assert (bones & liver).sum() < 0.01 * bones.sum(), case.id
