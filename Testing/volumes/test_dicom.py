"""Finding series in folders and reading them whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import find_series, list_series, read_series, read_volume


def code_of(path: Path, **options: Any) -> str:
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(path, **options)
    return caught.value.code


def test_a_series_becomes_a_volume_in_hounsfield_units(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored)
    volume = read_volume(tmp_path / "series")
    np.testing.assert_array_equal(volume.array, stored.astype(int) - 1024)
    assert volume.array.dtype == np.int16
    assert volume.modality == "CT"
    assert volume.name == "Abdomen venös"


def test_the_step_comes_from_the_positions_and_never_from_the_slice_thickness(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, step=(0, 0, 2.5), SliceThickness=3.2, SpacingBetweenSlices=1.6)
    grid = read_volume(tmp_path / "series").geometry
    assert grid.size == (7, 6, 5)
    assert grid.spacing == (0.5, 0.75, 2.5)  # Pixel Spacing names the distance of rows first
    assert grid.origin == (-10.0, -20.0, 30.0)
    assert grid.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)


def test_slices_are_sorted_by_position_whatever_their_names_and_numbers(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    names = ["c.dcm", "a", "e.IMA", "b.0001", "d"]
    write_series(stored, names=names, each=lambda k: {"InstanceNumber": [9, 2, 7, 1, 1][k]})
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, stored.astype(int) - 1024)


def test_descending_files_give_an_ascending_volume_as_in_itk(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, step=(0, 0, -2.0), origin=(0, 0, 100))
    volume = read_volume(tmp_path / "series")
    np.testing.assert_array_equal(volume.array, stored[::-1].astype(int) - 1024)
    assert volume.geometry.origin == (0, 0, 92)
    assert volume.geometry.spacing[2] == 2.0


def test_an_oblique_series_equals_the_one_that_itk_reads(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    sitk = pytest.importorskip("SimpleITK")
    row = np.array([0.8, 0.36, -0.48])
    column = np.array([0.0, 0.8, 0.6])
    normal = np.cross(row, column)
    write_series(stored, step=1.7 * normal, ImageOrientationPatient=[*row, *column])
    volume = read_volume(tmp_path / "series")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "series")))
    image = reader.Execute()
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))
    np.testing.assert_allclose(volume.geometry.origin, image.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(volume.geometry.spacing, image.GetSpacing(), atol=1e-8)
    np.testing.assert_allclose(volume.geometry.direction, image.GetDirection(), atol=1e-9)


def test_a_sagittal_series_has_its_normal_as_third_axis(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, step=(3.0, 0, 0), ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    grid = read_volume(tmp_path / "series").geometry
    np.testing.assert_array_equal(grid.direction_matrix[:, 2], [-1, 0, 0])
    assert grid.spacing[2] == 3.0
    assert grid.origin == (2.0, -20.0, 30.0)  # the slice farthest along the normal's beginning


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.filterwarnings("ignore")
def test_other_uncompressed_transfer_syntaxes_read_the_same(write_series, stored, tmp_path, syntax) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, transfer_syntax=syntax)
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, stored.astype(int) - 1024)


def test_files_without_preamble_are_read(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    for path in write_series(stored, transfer_syntax=ImplicitVRLittleEndian):
        whole = path.read_bytes()
        dataset_start = 132 + 12 + int.from_bytes(whole[140:144], "little")
        path.write_bytes(whole[dataset_start:])
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, stored.astype(int) - 1024)


def test_one_file_stands_for_its_series_and_not_for_its_neighbours(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    paths = write_series(stored)
    write_series(stored[:2], names=["x1", "x2"], SeriesInstanceUID="9.9")
    assert read_volume(paths[3]).geometry.size == (7, 6, 5)
    assert read_volume(tmp_path / "series" / "x1").geometry.size == (7, 6, 2)
    assert code_of(paths[3], series_uid="9.9") == "unknown_series"


def test_sub_folders_are_searched_and_other_files_passed_over(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored[:3], into="study/a/1")
    write_series(stored[3:], into="study/a/2", origin=(-10, -20, 37.5))
    (tmp_path / "study" / "readme.txt").write_text("notes")
    (tmp_path / "study" / "empty").touch()
    (tmp_path / "study" / "noise").write_bytes(b"\x08\x00" + bytes(range(256)) * 8)
    np.testing.assert_array_equal(read_volume(tmp_path / "study").array, stored.astype(int) - 1024)


def test_objects_that_are_no_scan_are_passed_over(write_series, stored, tmp_path, dicom_tools) -> None:  # type: ignore[no-untyped-def]
    write_series(stored)
    for number, sop_class in enumerate(
        ["1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.2", "1.2.840.10008.5.1.4.1.1.88.11"]
    ):
        other: Dataset = dicom_tools.make_image(stored[0], None, 1, SOPClassUID=sop_class, SeriesInstanceUID="7.7")
        if number == 2:
            del other.Rows, other.Columns, other.PixelData
        dicom_tools.save(other, tmp_path / "series" / f"other{number}.dcm")
    assert [series.uid for series in list_series(tmp_path / "series")] == ["1.2.3.4"]


def test_several_series_are_listed_to_choose_from(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, into="all/venous", SeriesInstanceUID="1.1", SeriesDescription="Venous")
    write_series(
        stored[:3], into="all/t2", SeriesInstanceUID="1.2", SeriesDescription="T2", Modality="MR", SeriesNumber=2
    )
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "all")
    assert caught.value.code == "several_series"
    for fact in ("Venous", "T2", "CT", "MR", "5 images 7 x 6", "0.5 x 0.75 x 2.5 mm", "UID 1.1", "UID 1.2"):
        assert fact in caught.value.message
    assert "series_uid" in caught.value.action
    assert read_volume(tmp_path / "all", series_uid="1.2").modality == "MR"
    assert code_of(tmp_path / "all", series_uid="1.3") == "unknown_series"

    first, second = list_series(tmp_path / "all")
    assert (first.description, second.description) == ("T2", "Venous")  # by series number
    assert (second.rows, second.columns, len(second.files)) == (6, 7, 5)
    assert second.spacing_zyx == (2.5, 0.75, 0.5)
    assert read_series(second).geometry == second.geometry


def test_a_series_of_localizers_alone_needs_no_choice(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, into="all/scan")
    scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    write_series(stored[:1], into="all/scout", SeriesInstanceUID="8.8", ImageType=scout)
    write_series(stored[:1], into="all/shot", SeriesInstanceUID="8.9", positions=[None])
    assert read_volume(tmp_path / "all").geometry.size == (7, 6, 5)
    assert len(list_series(tmp_path / "all")) == 3


def test_localizers_inside_a_series_are_left_out(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored)
    coronal = [1, 0, 0, 0, 0, -1]
    scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    write_series(stored[:2] * 0, names=["s0", "s1"], ImageType=scout, ImageOrientationPatient=coronal)
    volume = read_volume(tmp_path / "series")
    np.testing.assert_array_equal(volume.array, stored.astype(int) - 1024)
    assert len(find_series(tmp_path / "series").files) == 5


def test_facts_describe_the_study_and_never_the_patient(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, Manufacturer="Maker", ConvolutionKernel="B30f", FrameOfReferenceUID="1.5")
    volume = read_volume(tmp_path / "series")
    assert volume.facts["StudyInstanceUID"] == "1.2.3"
    assert volume.facts["SeriesInstanceUID"] == "1.2.3.4"
    assert volume.facts["FrameOfReferenceUID"] == "1.5"
    assert volume.facts["Manufacturer"] == "Maker"
    assert volume.facts["ConvolutionKernel"] == "B30f"
    assert volume.facts["SliceThickness"] == "9.5"
    assert volume.facts["ImageType"] == "ORIGINAL\\PRIMARY\\AXIAL"
    everything = volume.name + "".join(f"{key}{value}" for key, value in volume.facts.items())
    for secret in ("Secret", "123456", "19500101", "Patient's", "PatientName", "PatientID", "PatientBirthDate"):
        assert secret not in everything


def test_the_name_falls_back_to_modality_and_number_not_to_a_folder(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, into="Secret Patient", SeriesDescription=None)
    assert read_volume(tmp_path / "Secret Patient").name == "CT 4"


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    assert code_of(tmp_path / "missing") == "file_not_found"
    (tmp_path / "empty").mkdir()
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "empty")
    assert caught.value.code == "no_dicom"
    assert "empty" in caught.value.cause
    (tmp_path / "empty" / "scan.nii.gz").touch()
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "empty")
    assert "scan.nii.gz" in caught.value.cause
    (tmp_path / "letter.txt").write_text("a letter, longer than a DICOM preamble" * 9)
    assert code_of(tmp_path / "letter.txt") == "unknown_format"


@pytest.mark.parametrize("keep", [-10, 700, 400, 250, 150, 0])
def test_a_truncated_file_is_named(write_series, stored, tmp_path, keep) -> None:  # type: ignore[no-untyped-def]
    path = write_series(stored)[4]  # the last slice: no gap would tell
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "series")
    assert caught.value.code == "damaged_file"
    assert path.name in caught.value.message


def test_a_truncated_file_does_not_hide_the_other_series(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, into="all/a")
    broken = write_series(stored, into="all/b", SeriesInstanceUID="5.5")[2]
    content = broken.read_bytes()
    broken.write_bytes(content[: content.index(b"\x28\x00\x10\x00US")])  # ends before Rows
    good, bad = sorted(list_series(tmp_path / "all"), key=lambda series: series.uid)
    assert read_series(good).geometry.size == (7, 6, 5)
    assert bad.problem is not None
    assert bad.problem.code == "damaged_file"
    assert code_of(tmp_path / "all", series_uid="5.5") == "damaged_file"


def test_a_file_stands_for_its_series_whatever_lies_beside_it(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    scan = write_series(stored, into="all")
    other = write_series(stored, into="b", SeriesInstanceUID="5.5")[2]
    content = other.read_bytes()
    (tmp_path / "all" / "other.dcm").write_bytes(content[: content.index(b"\x28\x00\x10\x00US")])
    assert read_volume(scan[0]).geometry.size == (7, 6, 5)
    scan[4].write_bytes(scan[4].read_bytes()[:700])
    assert code_of(scan[0]) == "damaged_file"


def test_a_folder_that_cannot_be_listed_is_said(write_series, stored, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, into="all")
    locked = tmp_path / "all" / "locked"
    locked.mkdir()
    scandir = os.scandir

    def refuse(path: Any) -> Any:  # chmod would not stop the superuser
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert code_of(tmp_path / "all") == "unreadable_file"


def test_a_number_that_is_none_is_a_damaged_file(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = write_series(stored, RescaleSlope="1.25")[0]
    path.write_bytes(path.read_bytes().replace(b"1.25", b"1,x5"))
    assert code_of(tmp_path / "series") == "damaged_file"


def test_a_file_that_vanishes_is_said(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    paths = write_series(stored)
    series = find_series(tmp_path / "series")
    paths[2].unlink()
    with pytest.raises(GANSegmentationError) as caught:
        read_series(series)
    assert caught.value.code == "damaged_file"
    assert paths[2].name in caught.value.message


def test_paths_may_hold_any_letters(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, into="Größe 肝臓", names=[f"Schicht ä{k}" for k in range(5)])
    assert read_volume(tmp_path / "Größe 肝臓").geometry.size == (7, 6, 5)


def test_reading_does_not_touch_the_files(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    paths = write_series(stored)
    before = [path.read_bytes() for path in paths]
    read_volume(tmp_path / "series")
    assert [path.read_bytes() for path in paths] == before
    shutil.rmtree(tmp_path / "series")  # and no file is left open


def test_pydicom_reads_what_the_tests_write(write_series, stored) -> None:  # type: ignore[no-untyped-def]
    path = write_series(stored)[1]
    np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, stored[1])
