"""A bad dataset is found before the first step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.datasets import Dataset, Finding, Split, check_dataset, prepare, require_sound
from GANSegmentationLib.errors import GANSegmentationError


@pytest.fixture
def dataset(layouts_folder: Path, tmp_path: Path) -> Dataset:
    return prepare([("lits_slices", layouts_folder / "lits")], tmp_path, labels={1: "Liver"})


def _rewrite(dataset: Dataset, kind: str, array: np.ndarray) -> None:
    """Another array for a case, as if it had been prepared so."""
    np.save(dataset.folder / kind / "lits_v01.npy", array)
    case = dataset.by_id["lits_v01"]
    dataset.by_id["lits_v01"] = changed = replace(case, fingerprint=dataset.stored_fingerprint(case))
    object.__setattr__(dataset, "cases", tuple(changed if each.id == case.id else each for each in dataset.cases))


def test_a_sound_dataset_has_no_finding(dataset: Dataset) -> None:
    assert check_dataset(dataset) == []


def test_a_label_nobody_explains_is_an_error(dataset: Dataset) -> None:
    masks = np.array(dataset.masks(dataset.by_id["lits_v01"]))
    masks[0, 0, 0] = 63
    _rewrite(dataset, "masks", masks)
    with pytest.raises(GANSegmentationError, match=r"lits_v01.*63") as caught:
        require_sound(dataset)
    assert caught.value.code == "unsound_dataset"


def test_only_empty_masks_are_a_warning(dataset: Dataset) -> None:
    _rewrite(dataset, "masks", np.zeros((6, 64, 64), np.uint8))
    (finding,) = require_sound(dataset)
    assert (finding.level, finding.case) == ("warning", "lits_v01")


def test_hounsfield_units_wrapped_into_eight_bits_are_refused(dataset: Dataset) -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:64, 0:64]
    body = ((rows - 32) / 26) ** 2 + ((columns - 32) / 30) ** 2 < 1
    scan = np.where(body, 60, -1000) + rng.normal(0, 12, (6, 64, 64))
    scan[:, 40:44, 20:44] -= 160  # fat
    scan[:, 20:32, 20:32] -= 60  # water: its noise lies about 0 HU
    _rewrite(dataset, "images", scan.astype(np.int16).astype(np.uint8))

    def findings() -> list[Finding]:
        case = replace(dataset.by_id["lits_v01"], slope=1.0, intercept=0.0)
        return check_dataset(Dataset(dataset.folder, (case,), dataset.labels))

    (finding,) = findings()
    assert finding.level == "error" and "wrapped" in finding.text
    # The same scan windowed honestly passes: smooth, no jumps.
    scan[:, 44:50, 28:36] = 400  # the spine
    _rewrite(dataset, "images", np.clip(scan + 100, 0, 255).astype(np.uint8))
    assert findings() == []


def test_a_ct_without_contrast_between_tissues_is_refused(dataset: Dataset) -> None:
    _rewrite(dataset, "images", np.random.default_rng(0).integers(40, 60, (6, 64, 64)).astype(np.uint8))
    assert any("span only" in finding.text for finding in check_dataset(dataset))


def test_values_that_are_not_finite_are_refused(dataset: Dataset) -> None:
    images = np.zeros((6, 64, 64), np.float32)
    images[0, 0, 0], images[0, 0, 1] = np.nan, 300
    _rewrite(dataset, "images", images)
    assert any("not finite" in finding.text for finding in check_dataset(dataset))


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_file_that_was_changed_after_it_was_prepared_is_an_error(dataset: Dataset, kind: str) -> None:
    path = dataset.folder / kind / "lits_v01.npy"
    array = np.load(path)
    array[2, 30, 20] ^= 1
    np.save(path, array)
    (finding,) = check_dataset(dataset)
    assert (finding.level, finding.case) == ("error", "lits_v01") and "prepared" in finding.text


def test_a_patient_on_both_sides_is_found_before_training(dataset: Dataset) -> None:
    leaking = Dataset(
        dataset.folder,
        tuple(replace(case, patient="lits_v00") if case.id == "lits_v01" else case for case in dataset.cases),
        dataset.labels,
    )
    with pytest.raises(GANSegmentationError) as caught:
        require_sound(leaking, Split(train=("lits_v00",), validation=("lits_v01",)))
    assert caught.value.code == "patient_leakage"
