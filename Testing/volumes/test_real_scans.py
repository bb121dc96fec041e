"""Scans of real scanners: right, or refused for the right reason; never silently wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import (
    find_series,
    list_series,
    read_labelmap,
    read_series,
    read_volume,
    write_labelmap,
)
from GANSegmentationLib.volumes.dicom_header import HeaderReader, SliceHeader
from GANSegmentationLib.volumes.dicom_pixels import read_pixels

pytestmark = pytest.mark.real_data


@pytest.fixture
def chaos(shared_data: Path) -> Path:
    return shared_data / "liver_ct_chaos_set3"


@pytest.fixture
def awkward(shared_data: Path) -> Path:
    return shared_data / "dicom_robustness"


def read_with_itk(files: tuple[Path, ...]) -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in files])
    return reader.Execute()


def pixels_of(path: Path) -> np.ndarray:
    """The pixels of one file, whether or not it is a volume."""
    header = HeaderReader().read(path)
    assert isinstance(header, SliceHeader)
    return read_pixels([header])


def test_chaos_ct_equals_the_series_reader_of_itk_voxel_by_voxel(chaos: Path) -> None:
    volume = read_volume(chaos / "DICOM_anon")
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(chaos / "DICOM_anon"))
    image = read_with_itk(tuple(Path(name) for name in names))
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, SimpleITK.GetArrayFromImage(image))
    grid = volume.geometry
    assert (grid.origin, grid.spacing, grid.direction) == (image.GetOrigin(), image.GetSpacing(), image.GetDirection())


def test_chaos_ct_has_a_step_of_2_mm_whatever_its_slice_thickness_says(chaos: Path) -> None:
    volume = read_volume(chaos / "DICOM_anon")
    assert volume.geometry.spacing == (0.7265625, 0.7265625, 2.0)
    assert volume.geometry.size == (512, 512, 78)
    assert volume.facts["SliceThickness"] == "3.2"
    assert volume.modality == "CT"
    assert "CHAOS" not in volume.name + "".join(volume.facts.values())  # that is the patient's name in the file


def test_chaos_reference_pictures_lie_on_the_liver(chaos: Path, tmp_path: Path) -> None:
    volume = read_volume(chaos / "DICOM_anon")
    reference = read_labelmap(chaos / "Ground", series=chaos / "DICOM_anon", geometry=volume.geometry)
    assert reference.geometry == volume.geometry
    assert set(np.unique(reference.array)) == {0, 1}
    liver = volume.array[reference.array == 1]
    assert 120 < liver.mean() < 160  # portal venous liver; the flipped stack gives 36 with a spread of 290
    assert liver.std() < 45
    for suffix in (".seg.nrrd", ".nii.gz", ".mha"):
        copy = read_labelmap(write_labelmap(reference, tmp_path / f"reference{suffix}"))
        np.testing.assert_array_equal(copy.array, reference.array)
        assert copy.geometry.corner_distance(volume.geometry) < 1e-4


@pytest.mark.parametrize(
    "folder",
    [
        "dicom2nifti/generic/anatomical/001",
        "dicom2nifti/generic/anatomical/001_implicit",
        "dicom2nifti/generic/compressed_rle/001",
        "dicom2nifti/generic/compressed_jpegls/001",
        "dicom2nifti/generic/compressed_jpeg/001",
        "dicom2nifti/generic/compressed_j2k/001",
        "dicom2nifti/hitachi/anatomical/001",
        "dcmqi/data/segmentations/24x38x3/image",
        "totalsegmentator/example_ct_dicom",
    ],
)
def test_series_that_are_volumes_equal_what_itk_reads(awkward: Path, folder: str) -> None:
    series = find_series(awkward / folder)
    volume = read_series(series)
    image = read_with_itk(series.files)
    assert volume.array.dtype.kind == "i"
    np.testing.assert_array_equal(volume.array, SimpleITK.GetArrayFromImage(image))
    np.testing.assert_allclose(volume.geometry.origin, image.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(volume.geometry.spacing, image.GetSpacing(), atol=1e-9)
    np.testing.assert_allclose(volume.geometry.direction, image.GetDirection(), atol=1e-6)


@pytest.mark.parametrize("folder", ["generic/anatomical/002_non_isotropic", "philips/anatomical/002"])
def test_slopes_that_are_not_one_are_applied(awkward: Path, folder: str) -> None:
    series = find_series(awkward / "dicom2nifti" / folder)
    expected = SimpleITK.GetArrayFromImage(read_with_itk(series.files))
    volume = read_series(series)
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array, expected, rtol=1e-6)


def test_padding_of_a_toshiba_ct_becomes_air(awkward: Path) -> None:
    series = find_series(awkward / "dcmqi/data/segmentations/ct-3slice")
    expected = SimpleITK.GetArrayFromImage(read_with_itk(series.files))
    volume = read_series(series)
    padded = expected == -2000 - 1024
    assert padded.any()
    np.testing.assert_array_equal(volume.array[~padded], expected[~padded])
    assert np.unique(volume.array[padded]).tolist() == [expected[~padded].min()]


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("dcm_qa_ct_GE", "gantry_tilt"),
        ("dicom2nifti/failing/gantrytilting/001", "gantry_tilt"),
        ("dicom2nifti/failing/sliceincrement/001", "missing_slices"),
        ("dicom2nifti/failing/sliceincrement/002", "gantry_tilt"),
        ("dicom2nifti/failing/sliceorientation/001", "mixed_orientations"),
        ("dicom2nifti/failing/notavolume/001", "duplicate_slices"),
        ("dicom2nifti/generic/rgb/001", "colour_image"),
        ("dicom2nifti/ge/fmri/001", "four_dimensional"),
        ("dicom2nifti/ge/dti/001", "four_dimensional"),
        ("dicom2nifti/siemens/fmri_classic/001", "four_dimensional"),
        ("dcmqi/data/segmentations/24x38x3/seg", "no_dicom"),
    ],
)
def test_what_is_no_volume_is_refused_as_what_it_is(awkward: Path, folder: str, code: str) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(awkward / folder)
    assert caught.value.code == code
    assert caught.value.action


def test_a_study_with_its_segmentation_offers_the_scan_alone(awkward: Path, tmp_path: Path) -> None:
    source = awkward / "dcmqi/data/segmentations/24x38x3"
    shutil.copytree(source / "image", tmp_path / "image")
    shutil.copytree(source / "seg", tmp_path / "seg")
    series = list_series(tmp_path)
    assert len(series) == 1
    assert series[0].spacing_zyx == (2.5, 0.7, 0.7)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SC_rgb_rle.dcm", "colour_image"),
        ("examples_palette.dcm", "colour_image"),
        ("image_dfl.dcm", "no_position"),
        ("JPEG2000.dcm", "no_position"),
        ("rtplan.dcm", "unknown_format"),
        ("rtdose.dcm", "unknown_format"),
        ("test-SR.dcm", "unknown_format"),
        ("liver_1frame.dcm", "unknown_format"),
        ("UN_sequence.dcm", "damaged_file"),
        ("ExplVR_BigEndNoMeta.dcm", "unknown_format"),
        ("README.txt", "unknown_format"),
    ],
)
def test_single_files_that_are_no_volume_are_refused(awkward: Path, tmp_path: Path, name: str, code: str) -> None:
    shutil.copy(awkward / "pydicom_test_files" / name, tmp_path)
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / name)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_padded.dcm",
    ],
)
def test_one_slice_reads_the_same_from_every_transfer_syntax(awkward: Path, name: str) -> None:
    first, second = (pixels_of(awkward / "pydicom_test_files" / file) for file in ("MR_small.dcm", name))
    assert first.any()
    np.testing.assert_array_equal(first, second)


def test_truncated_pixels_are_refused(awkward: Path) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        pixels_of(awkward / "pydicom_test_files" / "MR_truncated.dcm")
    assert caught.value.code == "damaged_file"
    assert "8130 of 8192 bytes" in caught.value.message


def test_mr_nifti_of_chaos_keep_place_and_orientation(shared_data: Path) -> None:
    path = sorted((shared_data / "liver_mr_t2_chaos").rglob("*.nii*"))[0]
    volume = read_volume(path)
    image = SimpleITK.ReadImage(str(path))
    assert volume.geometry.direction == image.GetDirection()
    np.testing.assert_array_equal(volume.array, SimpleITK.GetArrayFromImage(image))
