"""The CHAOS layouts: masks at their slices whatever the files' order, four grey values, one patient for all phases."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from GANSegmentationLib.datasets import Dataset, check_dataset, labels_of, prepare
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import read_labelmap, read_volume
from Testing.scan_layouts import patient, write_chaos_ct, write_chaos_mr, write_pictures

MR = ("chaos_mr", "chaos_mr_t1_in", "chaos_mr_t1_out")


def _ct(folder: Path, output: Path) -> Dataset:
    return prepare([("chaos_ct", folder)], output, labels={1: "Liver"})


@pytest.fixture
def mr(tmp_path: Path) -> Path:
    """The published tree with the patients 1 and 15, and a test patient without masks."""
    folder = tmp_path / "MR_sets"
    for number in (1, 15):
        write_chaos_mr(folder / "Train_Sets" / "MR" / str(number), seed=number)
    write_chaos_mr(folder / "Test_Sets" / "MR" / "3")
    shutil.rmtree(folder / "Test_Sets" / "MR" / "3" / "T2SPIR" / "Ground")
    return folder


def _mr(folder: Path, output: Path, *used: str) -> Dataset:
    return prepare([(layout, folder) for layout in used], output, labels=labels_of(used))


@pytest.mark.parametrize("place", ["CT_sets", "CT_sets/Train_Sets", "CT_sets/Train_Sets/CT", "CT_sets/Train_Sets/CT/2"])
def test_ct_is_found_in_the_published_tree_and_below(place: str, tmp_path: Path) -> None:
    for number, descending in ((2, True), (14, False)):
        write_chaos_ct(tmp_path / "CT_sets" / "Train_Sets" / "CT" / str(number), number, descending=descending)
    write_chaos_ct(tmp_path / "CT_sets" / "Test_Sets" / "CT" / "11")
    dataset = _ct(tmp_path / place, tmp_path / "out")
    assert [case.id for case in dataset.cases] == (["chaos_2"] if place.endswith("2") else ["chaos_14", "chaos_2"])
    for case in dataset.cases:
        image, labels = patient(int(case.id.removeprefix("chaos_")))
        np.testing.assert_array_equal(dataset.images(case), image)
        np.testing.assert_array_equal(dataset.masks(case), labels == 1)
        assert case.spacing_zyx == pytest.approx((4.0, 1.5, 1.25)), "positions, not SliceThickness (9.5 mm)"
        assert (case.modality, case.unit, case.orientation) == ("CT", "HU", "LPS")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda case: (case / "Ground" / "liver_GT_003.png").unlink(), "4 pictures.*5 slices"),
        (lambda case: shutil.rmtree(case / "Ground"), "Ground.*no masks"),
        (lambda case: Image.new("L", (10, 12), 7).save(case / "Ground" / "liver_GT_003.png"), r"GT_003.*\[7\]"),
        (lambda case: Image.new("L", (9, 12)).save(case / "Ground" / "liver_GT_003.png"), "GT_003.*9 x 12"),
        (lambda case: (case / "DICOM_anon" / "i0002,0000b.dcm").unlink(), "missing|uneven|spac"),
    ],
)
def test_a_ct_case_that_does_not_fit_its_masks_is_refused(damage, said: str, tmp_path: Path) -> None:
    write_chaos_ct(tmp_path / "in" / "1")
    damage(tmp_path / "in" / "1")
    with pytest.raises(GANSegmentationError, match=f"(?s){said}"):
        _ct(tmp_path / "in", tmp_path / "out")


def test_the_three_mr_sequences_share_patients_and_masks(mr: Path, tmp_path: Path) -> None:
    dataset = _mr(mr, tmp_path / "out", *MR)
    assert [case.id for case in dataset.cases] == [
        f"chaos_mr_{number}{phase}" for number in ("01", "15") for phase in ("", "_t1_in", "_t1_out")
    ]
    for case in dataset.cases:
        number = int(case.id[9:11])
        image, labels = patient(number)
        shift = {"chaos_mr": 0, "chaos_mr_t1_in": 1000, "chaos_mr_t1_out": 2000}[case.source]
        np.testing.assert_array_equal(dataset.images(case), image - image.min() + shift)
        np.testing.assert_array_equal(dataset.masks(case), labels)
        assert (case.patient, case.modality, case.unit) == (f"chaos_mr_{number:02d}", "MR", "arbitrary")
    assert dataset.labels == {1: "Liver", 2: "Right kidney", 3: "Left kidney", 4: "Spleen"}
    assert not [finding for finding in check_dataset(dataset) if "patient_leakage" in finding.text]


@pytest.mark.parametrize("place", ["Train_Sets/MR/15", "Train_Sets/MR/15/T2SPIR"])
def test_one_mr_case_or_its_sequence_can_be_given(mr: Path, place: str, tmp_path: Path) -> None:
    assert [case.id for case in _mr(mr / place, tmp_path / "out", "chaos_mr").cases] == ["chaos_mr_15"]


@pytest.mark.parametrize(
    ("grey", "label"), [(55, 1), (70, 1), (110, 2), (135, 2), (175, 3), (200, 3), (240, 4), (255, 4)]
)
def test_grey_values_within_the_published_ranges_are_known(grey: int, label: int, mr: Path, tmp_path: Path) -> None:
    ground = mr / "Train_Sets" / "MR" / "1" / "T2SPIR" / "Ground"
    names = sorted(path.name for path in ground.iterdir())
    mask = (patient(1)[1] == 1).astype(np.uint8)
    write_pictures(mask, ground, names, (0, grey))  # the one value of all pictures, 255 too
    dataset = _mr(mr / "Train_Sets" / "MR" / "1", tmp_path / "out", "chaos_mr")
    np.testing.assert_array_equal(dataset.masks(dataset.cases[0]), mask * label)


@pytest.mark.parametrize("grey", [1, 54, 71, 109, 136, 174, 201, 239])
def test_any_other_grey_value_is_refused_with_file_and_value(grey: int, mr: Path, tmp_path: Path) -> None:
    ground = mr / "Train_Sets" / "MR" / "1" / "T1DUAL" / "Ground"
    picture = np.asarray(Image.open(ground / "IMG-0004-00006.png")).copy()
    picture[0, 0] = grey
    Image.fromarray(picture).save(ground / "IMG-0004-00006.png")
    with pytest.raises(GANSegmentationError, match=rf"00006\.png.* {grey}, expected") as caught:
        _mr(mr / "Train_Sets" / "MR" / "1", tmp_path / "out", "chaos_mr_t1_out")
    assert caught.value.code == "invalid_source"


def test_masks_lie_where_the_images_in_phase_do_even_if_the_other_phase_is_numbered_otherwise(
    mr: Path, tmp_path: Path
) -> None:
    phase = mr / "Train_Sets" / "MR" / "1" / "T1DUAL" / "DICOM_anon" / "OutPhase"
    for number, path in enumerate(sorted(phase.iterdir(), reverse=True)):
        path.rename(phase / f"new-{number}.dcm")
    dataset = _mr(mr / "Train_Sets" / "MR" / "1", tmp_path / "out", "chaos_mr_t1_out")
    np.testing.assert_array_equal(dataset.masks(dataset.cases[0]), patient(1)[1])


def test_nifti_is_stored_in_radiological_display_whatever_its_orientation(abdomen_folder: Path, tmp_path: Path) -> None:
    dataset = _mr(abdomen_folder, tmp_path, "chaos_mr")
    assert [case.id for case in dataset.cases] == ["chaos_mr_01", "chaos_mr_02", "chaos_mr_03"]
    first = dataset.masks(dataset.cases[0])
    # The liver lies on the patient's right: in the display's left half, in front of the kidneys.
    assert set(np.unique(first[2, 23:33, 9:19]).tolist()) == {1}
    for case in dataset.cases:
        np.testing.assert_array_equal(dataset.masks(case), first)
        assert case.spacing_zyx == pytest.approx((7.7, 1.5, 1.25)) and case.modality == "MR"
        assert case.foreground == (0, 400, 400, 400, 0) and case.shape == (64, 48)
    assert not [finding for finding in check_dataset(dataset) if finding.level == "error"]
    assert dataset.images(dataset.cases[1]).dtype == np.int16


def test_a_nifti_label_that_nothing_explains_is_refused(abdomen_folder: Path, tmp_path: Path) -> None:
    import SimpleITK

    for name in ("image_01.nii.gz", "label_01.nii.gz"):
        (tmp_path / name).write_bytes((abdomen_folder / name).read_bytes())
    labels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "label_01.nii.gz")))
    labels[0, 0, 0] = 63
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(labels), str(tmp_path / "label_01.nii.gz"))
    with pytest.raises(GANSegmentationError, match="63") as caught:
        _mr(tmp_path, tmp_path / "out", "chaos_mr")
    assert caught.value.code == "invalid_source"


@pytest.mark.real_data
def test_the_real_ct_is_prepared_voxel_by_voxel(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "liver_ct_chaos_set3"
    dataset = _ct(folder, tmp_path)
    (case,) = dataset.cases
    volume = read_volume(folder / "DICOM_anon")
    reference = read_labelmap(folder / "Ground", series=folder / "DICOM_anon")
    np.testing.assert_array_equal(dataset.images(case), volume.array)
    np.testing.assert_array_equal(dataset.masks(case), reference.array)
    assert (case.slices, case.shape, case.slope, case.intercept) == (78, (512, 512), 1.0, 0.0)
    assert case.spacing_zyx == pytest.approx((2.0, 0.7265625, 0.7265625)), "not the 3.2 mm of SliceThickness"
    mask, images = np.asarray(dataset.masks(case)) > 0, np.asarray(dataset.images(case))
    assert 90 < np.median(images[mask]) < 160, "the mask lies on the liver, in HU"
    assert np.nonzero(mask)[2].mean() < 256, "the liver is on the patient's right, the picture's left"


@pytest.mark.real_data
def test_the_real_mr_is_read_whole(shared_data: Path, tmp_path: Path) -> None:
    dataset = _mr(shared_data / "liver_mr_t2_chaos", tmp_path, "chaos_mr")
    assert len(dataset.cases) == 12 and sum(case.slices for case in dataset.cases) == 418
    assert {case.orientation for case in dataset.cases} == {"LAS"}
    assert not [finding for finding in check_dataset(dataset) if finding.level == "error"]
