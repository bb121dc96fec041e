"""3D-IRCADb: masks of structures to labels, lesions that a patient has not, organs that nobody has drawn."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.datasets import Dataset, Source, check_dataset, labels_of, prepare
from GANSegmentationLib.errors import GANSegmentationError
from Testing.scan_layouts import patient, write_ircadb

IMAGE, LABELS = patient()


def _structures() -> dict[str, np.ndarray]:
    tumours = np.zeros_like(LABELS)
    tumours[2, 3, 2] = 1
    other = np.zeros_like(LABELS)
    other[3, 2:4, 4:6] = 1  # half outside of the liver's mask
    return {
        "liver": LABELS == 1,
        "livertumor01": tumours,
        "livertumor2": other,
        "leftkidney": LABELS == 3,
        "rightkidney": LABELS == 2,
        "venacava": LABELS == 4,
        "skin": np.ones_like(LABELS),
    }


def _prepare(folder: Path, output: Path, structures: str = "") -> Dataset:
    source = Source("ircadb", folder, {"structures": structures} if structures else {})
    return prepare([source], output, labels=labels_of([source]))


@pytest.mark.parametrize("positions", [True, False])
def test_tumours_are_merged_into_the_liver_unless_asked_for(positions: bool, tmp_path: Path) -> None:
    structures = _structures()
    write_ircadb(tmp_path / "3Dircadb1.7", structures, positions=positions)
    tumours = (structures["livertumor01"] | structures["livertumor2"]) > 0
    dataset = _prepare(tmp_path, tmp_path / "out")
    assert dataset.labels == {1: "Liver"}
    (case,) = dataset.cases
    np.testing.assert_array_equal(dataset.images(case), IMAGE)
    np.testing.assert_array_equal(dataset.masks(case), (LABELS == 1) | tumours)
    assert case.patient == "lits_v34", "LiTS 28 to 47 are the patients 1 to 20"

    chosen = _prepare(tmp_path, tmp_path / "chosen", "liver,livertumor,leftkidney+rightkidney")
    assert chosen.labels == {1: "Liver", 2: "Liver tumour", 3: "Left kidney and right kidney"}
    expected = np.where(LABELS == 1, 1, 0)
    expected[np.isin(LABELS, (2, 3))] = 3
    expected[tumours] = 2
    np.testing.assert_array_equal(chosen.masks(chosen.cases[0]), expected)
    assert chosen.cases[0].notes == () and chosen.cases[0].unmarked == ()


def test_a_patient_without_tumour_has_none_and_an_organ_without_mask_is_unknown(tmp_path: Path) -> None:
    structures = _structures()
    write_ircadb(tmp_path / "3Dircadb1.1", {"liver": structures["liver"]})
    write_ircadb(tmp_path / "3Dircadb1.2", {**structures, "spleen": LABELS == 4}, seed=2)
    dataset = _prepare(tmp_path, tmp_path / "out", "liver+livertumor,spleen")
    first, second = dataset.by_id["ircadb_01"], dataset.by_id["ircadb_02"]
    assert first.unmarked == (2,) and second.unmarked == ()
    assert [note.split(",")[0] for note in first.notes] == [
        "MASKS_DICOM has no livertumor",
        "MASKS_DICOM has no spleen",
    ]
    assert any("say nothing of label 2 (Spleen)" in finding.text for finding in check_dataset(dataset))


def test_names_do_not_stand_for_longer_ones(tmp_path: Path) -> None:
    write_ircadb(tmp_path / "3Dircadb1.1", {"leftlung": LABELS == 1, "lungs": LABELS == 2})
    dataset = _prepare(tmp_path, tmp_path / "out", "lung")
    np.testing.assert_array_equal(dataset.masks(dataset.cases[0]), LABELS == 2)


def _grey(case: Path) -> None:
    import pydicom

    path = case / "MASKS_DICOM" / "liver" / "image_2"
    header = pydicom.dcmread(path)
    header.PixelData = b"\x07" + header.PixelData[1:]
    header.save_as(path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_grey, r"liver.*7, 255"),
        (lambda case: (case / "MASKS_DICOM" / "liver" / "image_2").unlink(), r"liver.*image_2"),
        (lambda case: shutil.rmtree(case / "MASKS_DICOM" / "liver"), "none of liver"),
        (lambda case: shutil.rmtree(case / "PATIENT_DICOM"), "PATIENT_DICOM.*not there"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(damage, said: str, tmp_path: Path) -> None:
    write_ircadb(tmp_path / "3Dircadb1.1", {"liver": LABELS == 1, "bone": LABELS == 2})
    damage(tmp_path / "3Dircadb1.1")
    with pytest.raises(GANSegmentationError, match=said) as caught:
        _prepare(tmp_path, tmp_path / "out", "liver")
    assert caught.value.code == "invalid_source"


def test_masks_of_another_place_are_refused(tmp_path: Path) -> None:
    import pydicom

    write_ircadb(tmp_path / "3Dircadb1.1", {"liver": LABELS == 1})
    for path in (tmp_path / "3Dircadb1.1" / "MASKS_DICOM" / "liver").iterdir():
        header = pydicom.dcmread(path)
        header.ImagePositionPatient = [*header.ImagePositionPatient[:2], header.ImagePositionPatient[2] + 4]
        header.save_as(path)
    with pytest.raises(GANSegmentationError, match="another place"):
        _prepare(tmp_path, tmp_path / "out")
