"""DICOM SEG that cannot be written: said before the work, with nothing half-written and no word of the patient."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import (
    Geometry,
    Labelmap,
    Segment,
    Volume,
    read_labelmap,
    read_volume,
    require_writable,
    write_dicom_seg,
    write_fractional_seg,
    write_labelmap,
    write_volume,
)

highdicom = pytest.importorskip("highdicom")

IDENTIFIERS = ("Secret", "123456", "19500101")


@pytest.fixture
def folder(write_series: Any, stored: np.ndarray, tmp_path: Path) -> Path:
    write_series(stored)
    return tmp_path / "series"


@pytest.fixture
def labelmap(folder: Path) -> Labelmap:
    grid = read_volume(folder).geometry
    array = np.zeros(grid.shape, np.uint8)
    array[2, 3, 4] = 1
    return Labelmap(array, grid, (Segment(1, "Liver", (221, 130, 101)),))


def refusal(labelmap: Labelmap, path: Path, **options: Any) -> GANSegmentationError:
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(GANSegmentationError) as caught:
        write_labelmap(labelmap, path, **options)
    error = caught.value
    assert not any(word in f"{error} {error.details} {error.__cause__}" for word in IDENTIFIERS)
    assert (path.read_bytes() if path.exists() else None) == before
    assert not list(path.parent.glob(".ganseg-*"))
    return error


def test_a_mask_without_its_scan_has_no_patient_to_belong_to(labelmap: Labelmap, tmp_path: Path) -> None:
    error = refusal(labelmap, tmp_path / "mask.dcm")
    assert error.code == "dicom_source_needed"
    assert ".seg.nrrd" in error.action


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nrrd", "SCAN.MHA"])
def test_the_mask_of_a_scan_that_is_not_dicom_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    scan = write_volume(Volume(np.zeros((3, 4, 5), np.int16), Geometry((5, 4, 3), (1, 1, 1))), tmp_path / name)
    with pytest.raises(GANSegmentationError) as caught:
        require_writable(tmp_path / "mask.dcm", scan)
    assert caught.value.code == "dicom_source_needed"
    assert name in caught.value.cause
    require_writable(tmp_path / "mask.nrrd", scan)


def test_without_highdicom_other_formats_are_offered(
    labelmap: Labelmap, folder: Path, tmp_path: Path, monkeypatch: Any
):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "highdicom" else found(name))
    error = refusal(labelmap, tmp_path / "mask.dcm", source=folder)
    assert error.code == "highdicom_missing"
    assert ".seg.nrrd" in error.action
    assert write_labelmap(labelmap, tmp_path / "mask.seg.nrrd", source=folder).exists()


def test_a_mask_of_another_scan_is_refused(labelmap: Labelmap, folder: Path, tmp_path: Path) -> None:
    grid = labelmap.geometry
    elsewhere = Geometry(grid.size, grid.spacing, (0.3, 0.0, 0.0), grid.direction)
    error = refusal(Labelmap(labelmap.array, elsewhere), tmp_path / "mask.dcm", source=folder)
    assert error.code == "geometry_mismatch"


def test_a_series_that_is_no_volume_says_why(labelmap: Labelmap, folder: Path, tmp_path: Path) -> None:
    (folder / "002.dcm").unlink()
    assert refusal(labelmap, tmp_path / "mask.dcm", source=folder).code == "missing_slices"


def test_files_of_two_series_and_other_files_are_no_source(
    labelmap: Labelmap, folder: Path, write_series: Any, stored: np.ndarray, tmp_path: Path
) -> None:
    others = write_series(stored, "other", SeriesInstanceUID="1.2.3.99")
    target = tmp_path / "mask.dcm"
    assert refusal(labelmap, target, source=[*folder.iterdir(), *others]).code == "several_series"
    (tmp_path / "notes.txt").write_text("no DICOM")
    assert refusal(labelmap, target, source=[tmp_path / "notes.txt"]).code == "no_dicom"
    assert refusal(labelmap, target, source=[]).code == "no_dicom"
    assert refusal(labelmap, target, source=tmp_path / "absent").code == "file_not_found"


def test_an_image_of_the_scan_is_never_replaced(labelmap: Labelmap, folder: Path) -> None:
    error = refusal(labelmap, folder / "002.dcm", source=folder)
    assert error.code == "file_exists"
    assert "no segmentation" in error.message


def test_an_existing_mask_is_kept_on_request(labelmap: Labelmap, folder: Path, tmp_path: Path) -> None:
    path = write_labelmap(labelmap, tmp_path / "mask.dcm", source=folder)
    assert refusal(labelmap, path, source=folder, overwrite=False).code == "file_exists"
    assert write_labelmap(labelmap, path, source=folder).exists()
    assert refusal(labelmap, tmp_path / "absent" / "mask.dcm", source=folder).code == "folder_not_found"


@pytest.mark.parametrize(
    "tags",
    [
        {"PatientName": None, "PatientID": None, "PatientBirthDate": None},
        {"PatientBirthDate": "unknown"},
        {"PatientSex": "male", "StudyDate": "yesterday", "StudyTime": "noon"},
        {"AccessionNumber": "x" * 40, "PatientID": "y" * 90, "StudyDescription": "z" * 200},
        {"SeriesNumber": None, "Modality": "MR"},
        {"SpecificCharacterSet": None, "SeriesDescription": "plain"},
        {"FrameOfReferenceUID": ""},
    ],
)
def test_headers_off_the_standard_do_not_stop_it(
    write_series: Any, stored: np.ndarray, tmp_path: Path, tags: dict[str, Any]
) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        validation = pydicom.config.settings.writing_validation_mode
        pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
        try:
            write_series(stored, **tags)
        finally:
            pydicom.config.settings.writing_validation_mode = validation
        folder = tmp_path / "series"
        grid = read_volume(folder).geometry
    array = np.zeros(grid.shape, np.uint8)
    array[2, 3, 4] = 1
    path = write_dicom_seg(Labelmap(array, grid), tmp_path / "mask.dcm", source=folder)
    np.testing.assert_array_equal(read_labelmap(path).array, array)


def test_errors_of_others_do_not_quote_the_header(
    labelmap: Labelmap, folder: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("PatientName Secret^Patient 123456 is not right")

    monkeypatch.setattr(highdicom.seg, "Segmentation", fail)
    error = refusal(labelmap, tmp_path / "mask.dcm", source=folder)
    assert error.code == "dicom_seg_failed"
    assert error.__suppress_context__


def test_a_scan_that_went_away_is_said(labelmap: Labelmap, folder: Path, tmp_path: Path) -> None:
    from GANSegmentationLib.volumes import find_series

    series = find_series(folder)
    series.files[0].unlink()
    error = refusal(labelmap, tmp_path / "mask.dcm", source=series)
    assert error.code == "unreadable_file"


@pytest.mark.parametrize(
    "fractions",
    [
        np.full((1, 5, 6, 7), 1.5),
        np.full((1, 5, 6, 7), -0.1),
        np.full((1, 5, 6, 7), np.nan),
        np.zeros((2, 5, 6, 7)),
        np.zeros((5, 6, 7)),
        np.zeros((1, 5, 6, 7), np.uint8),
        np.zeros((1, 5, 6, 6)),
    ],
)
def test_fractions_are_numbers_from_0_to_1(folder: Path, labelmap: Labelmap, tmp_path: Path, fractions: Any) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        write_fractional_seg(fractions, labelmap.geometry, labelmap.segments, tmp_path / "p.dcm", source=folder)
    assert caught.value.code == "invalid_fractions"


def test_the_library_imports_without_highdicom_and_pydicom() -> None:
    """Slicer 5.10 has no highdicom, and a start-up must not pay for either."""
    code = (
        "import sys; import GANSegmentationLib.volumes; "
        "assert not {'highdicom', 'pydicom', 'SimpleITK'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[2])


@pytest.mark.parametrize(("value", "outcome"), [("true", "Failed"), ("", "Skipped")])
def test_a_missing_tool_fails_on_ci_and_is_skipped_elsewhere(monkeypatch: Any, value: str, outcome: str) -> None:
    from Testing.volumes.seg_tools import find_tool

    monkeypatch.setenv("CI", value)
    with pytest.raises(BaseException) as caught:
        find_tool("no-such-validator")
    assert type(caught.value).__name__ == outcome
    assert "dicom3tools" in str(caught.value)


def test_two_images_under_one_uid_cannot_be_referred_to(write_series: Any, stored: np.ndarray, tmp_path: Path) -> None:
    write_series(stored, into="twins", each=lambda k: {"SOPInstanceUID": f"1.2.{max(k, 1)}"})
    grid = read_volume(tmp_path / "twins").geometry
    labelmap = Labelmap(np.ones(grid.shape, np.uint8), grid, (Segment(1, "Liver", (221, 130, 101)),))
    error = refusal(labelmap, tmp_path / "mask.dcm", source=tmp_path / "twins")
    assert error.code == "dicom_seg_failed" and "the same one" in error.cause
