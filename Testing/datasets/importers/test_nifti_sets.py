"""LiTS volumes, the Medical Segmentation Decathlon and PROMISE12: found, named by patient, labelled as published."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.datasets import Dataset, Source, labels_of, prepare
from GANSegmentationLib.errors import GANSegmentationError
from Testing.scan_layouts import patient, sitk_image, write_decathlon, write_image

TUMOUR = np.minimum(patient()[1], 2)


def _prepare(layout: str, folder: Path, output: Path, **options: str) -> Dataset:
    source = Source(layout, folder, options)
    return prepare([source], output, labels=labels_of([source]))


def _lits(volume: Path, segmentation: Path, seed: int = 0) -> None:
    image, labels = patient(seed)
    write_image(image.astype(np.float64), volume, "RAS")
    write_image(np.minimum(labels, 2), segmentation, "RAS")


@pytest.mark.parametrize(
    ("volume", "segmentation"),
    [
        ("volume-4.nii", "segmentation-4.nii"),
        ("Training Batch 1/volume-4.nii.gz", "Training Batch 1/segmentation-4.nii.gz"),
        ("volume_pt1/volume-4.nii", "segmentations/segmentation-4.nii.gz"),
        ("volume-4.nii/volume-4.nii", "segmentation-4.nii/segmentation-4.nii"),
    ],
)
def test_lits_volumes_are_found_in_every_arrangement(volume: str, segmentation: str, tmp_path: Path) -> None:
    _lits(tmp_path / "in" / volume, tmp_path / "in" / segmentation)
    write_image(patient()[0], tmp_path / "in" / "test-volume-4.nii")
    dataset = _prepare("lits", tmp_path / "in", tmp_path / "out")
    (case,) = dataset.cases
    assert (case.id, case.patient, case.modality, case.unit) == ("lits_04", "lits_v04", "CT", "HU")
    assert dataset.images(case).dtype == np.int16, "HU in 64-bit floats are whole numbers"
    np.testing.assert_array_equal(dataset.images(case), patient()[0])
    np.testing.assert_array_equal(dataset.masks(case), TUMOUR > 0)


def test_lits_tumours_can_be_kept_and_the_choice_reads_anew(tmp_path: Path) -> None:
    _lits(tmp_path / "in" / "volume-0.nii", tmp_path / "in" / "segmentation-0.nii")
    merged = _prepare("lits", tmp_path / "in", tmp_path / "out")
    kept = _prepare("lits", tmp_path / "in", tmp_path / "out", merge="2=2")
    assert merged.labels == {1: "Liver"} and kept.labels == {1: "Liver", 2: "Liver tumour"}
    np.testing.assert_array_equal(kept.masks(kept.cases[0]), TUMOUR)
    tumours = _prepare("lits", tmp_path / "in", tmp_path / "tumours", merge="1=0")
    np.testing.assert_array_equal(tumours.masks(tumours.cases[0]), np.where(TUMOUR == 2, 2, 0))


@pytest.mark.parametrize("merge", ["2", "3=1", "2=7", "1=2,2=1", "a=b"])
def test_a_merge_that_makes_no_sense_is_refused(merge: str, tmp_path: Path) -> None:
    with pytest.raises(GANSegmentationError, match="merge") as caught:
        _prepare("lits", tmp_path, tmp_path / "out", merge=merge)
    assert caught.value.code == "wrong_option"


def test_a_lits_volume_without_or_with_two_masks_is_named(tmp_path: Path) -> None:
    _lits(tmp_path / "in" / "volume-0.nii", tmp_path / "in" / "segmentation-0.nii")
    shutil.copy(tmp_path / "in" / "segmentation-0.nii", tmp_path / "in" / "segmentation-7.nii")
    (tmp_path / "in" / "segmentation-0.nii.gz").write_bytes(gzip.compress(b"again"))
    with pytest.raises(GANSegmentationError) as caught:
        _prepare("lits", tmp_path / "in", tmp_path / "out")
    assert caught.value.code == "bad_cases"
    assert "lits_00" in caught.value.message and "segmentation-0.nii, segmentation-0.nii.gz" in caught.value.message
    assert "lits_07" in caught.value.message and "volume-7" in caught.value.message


def test_the_decathlon_says_labels_and_modality_itself(tmp_path: Path) -> None:
    write_decathlon(tmp_path / "in", task="liver", modalities=("CT",))
    dataset = _prepare("msd", tmp_path / "in", tmp_path / "out")
    assert dataset.labels == {1: "Liver", 2: "Cancer"}
    assert [(case.id, case.patient) for case in dataset.cases] == [
        ("msd_liver_0", "lits_v00"),
        ("msd_liver_1", "lits_v01"),
    ]
    for number, case in enumerate(dataset.cases):
        assert (case.modality, case.unit, case.licence) == ("CT", "HU", "CC-BY-SA 4.0")
        np.testing.assert_array_equal(dataset.images(case), patient(number)[0])
        np.testing.assert_array_equal(dataset.masks(case), np.minimum(patient(number)[1], 2))


@pytest.mark.parametrize(("channel", "shift"), [("t2", 0), ("ADC", 1000), ("1", 1000)])
def test_a_channel_is_chosen_by_name_or_number(channel: str, shift: int, tmp_path: Path) -> None:
    write_decathlon(tmp_path / "in", task="prostate", modalities=("T2", "ADC"))
    dataset = _prepare("msd", tmp_path / "in", tmp_path / "out", channel=channel, merge="2=1")
    case = dataset.cases[0]
    np.testing.assert_array_equal(dataset.images(case), patient(0)[0] + shift)
    np.testing.assert_array_equal(dataset.masks(case), patient(0)[1] > 0)
    assert (case.modality, case.patient) == ("MR", "msd_prostate_0")


@pytest.mark.parametrize("channel", ["", "FLAIR"])
def test_several_channels_need_a_choice(channel: str, tmp_path: Path) -> None:
    write_decathlon(tmp_path / "in", task="prostate", modalities=("T2", "ADC"))
    with pytest.raises(GANSegmentationError, match="0 T2, 1 ADC") as caught:
        _prepare("msd", tmp_path / "in", tmp_path / "out", channel=channel)
    assert caught.value.code == "wrong_option"


def test_an_image_of_other_channels_than_the_listing_says_is_refused(tmp_path: Path) -> None:
    write_decathlon(tmp_path / "in", modalities=("T2", "ADC"))
    listing = json.loads((tmp_path / "in" / "dataset.json").read_text())
    listing["modality"] = {"0": "T2", "1": "ADC", "2": "DWI"}
    (tmp_path / "in" / "dataset.json").write_text(json.dumps(listing))
    with pytest.raises(GANSegmentationError, match="3 channels"):
        _prepare("msd", tmp_path / "in", tmp_path / "out", channel="T2")
    listing["modality"] = {"0": "T2"}
    (tmp_path / "in" / "dataset.json").write_text(json.dumps(listing))
    with pytest.raises(GANSegmentationError, match="4 dimensions"):
        _prepare("msd", tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda listing: listing.pop("labels"), "labels"),
        (lambda listing: listing["training"][0].update(image="../x.nii.gz"), "outside"),
        (lambda listing: listing["training"][0].update(image="./imagesTr/none.nii.gz"), "none.nii.gz.*not there"),
    ],
)
def test_a_listing_that_cannot_be_followed_is_refused(change, said: str, tmp_path: Path) -> None:
    write_decathlon(tmp_path / "in")
    listing = json.loads((tmp_path / "in" / "dataset.json").read_text())
    change(listing)
    (tmp_path / "in" / "dataset.json").write_text(json.dumps(listing))
    with pytest.raises(GANSegmentationError, match=said) as caught:
        _prepare("msd", tmp_path / "in", tmp_path / "out")
    assert caught.value.code == "invalid_source"


def _promise(folder: Path, number: int, orientation: str = "LPS") -> None:
    import SimpleITK

    folder.mkdir(parents=True, exist_ok=True)
    image, labels = patient(number)
    for array, name in (
        (image, f"Case{number:02d}"),
        ((labels == 1).astype(np.int8), f"Case{number:02d}_segmentation"),
    ):
        SimpleITK.WriteImage(sitk_image(array, orientation), str(folder / f"{name}.mhd"))
        assert (folder / f"{name}.raw").is_file()


def test_promise12_is_read_from_headers_with_raw_files(tmp_path: Path) -> None:
    _promise(tmp_path / "in" / "TrainingData_Part1", 0)
    _promise(tmp_path / "in" / "TrainingData_Part2", 12, "RAI")
    dataset = _prepare("promise12", tmp_path / "in", tmp_path / "out")
    assert [case.id for case in dataset.cases] == ["promise12_case00", "promise12_case12"]
    for case, number in zip(dataset.cases, (0, 12), strict=True):
        np.testing.assert_array_equal(dataset.images(case), patient(number)[0])
        np.testing.assert_array_equal(dataset.masks(case), patient(number)[1] == 1)
    assert dataset.labels == {1: "Prostate"}


@pytest.mark.parametrize("missing", ["Case00_segmentation.mhd", "Case00.raw", "Case00_segmentation.raw"])
def test_a_promise12_case_without_one_of_its_files_is_named(missing: str, tmp_path: Path) -> None:
    _promise(tmp_path / "in", 0)
    (tmp_path / "in" / missing).unlink()
    with pytest.raises(GANSegmentationError, match=r"Case00") as caught:
        _prepare("promise12", tmp_path / "in", tmp_path / "out")
    assert caught.value.code in ("invalid_source", "damaged_file")


def test_names_in_capitals_are_found_too(tmp_path: Path) -> None:
    _lits(tmp_path / "lits" / "volume-4.nii", tmp_path / "lits" / "segmentation-4.nii")
    for path in list((tmp_path / "lits").iterdir()):
        path.rename(path.with_name(path.name.upper()))
    assert [case.id for case in _prepare("lits", tmp_path / "lits", tmp_path / "out").cases] == ["lits_04"]
    image, labels = patient()
    write_image(image, tmp_path / "promise" / "Case03.mhd", "RAS")
    write_image((labels > 0).astype(np.uint8), tmp_path / "promise" / "Case03_segmentation.mhd", "RAS")
    for path in list((tmp_path / "promise").glob("*.mhd")):
        path.rename(path.with_name(path.name.upper()))
    cases = _prepare("promise12", tmp_path / "promise", tmp_path / "prostate").cases
    assert [case.id for case in cases] == ["promise12_case03"]


def test_a_promise12_mask_without_its_scan_is_named(tmp_path: Path) -> None:
    labels = (patient()[1] > 0).astype(np.uint8)
    write_image(labels, tmp_path / "in" / "Case03_segmentation.mhd", "RAS")
    with pytest.raises(GANSegmentationError, match=r"Case03.*its scan is not there"):
        _prepare("promise12", tmp_path / "in", tmp_path / "out")


def test_a_mask_whose_axes_are_exchanged_is_refused(tmp_path: Path) -> None:
    image, labels = patient()
    labels = np.minimum(labels, 2)[:, : image.shape[1] // 2]
    image = image[:, : image.shape[1] // 2]
    write_image(image, tmp_path / "in" / "volume-0.nii", "LPS")
    write_image(np.ascontiguousarray(labels.transpose(0, 2, 1)), tmp_path / "in" / "segmentation-0.nii", "LPS")
    with pytest.raises(GANSegmentationError, match="in another order"):
        _prepare("lits", tmp_path / "in", tmp_path / "out")
