"""Choosing a series of a study by UID or by rule; DICOMDIR; what lies in folders beside images."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import find_series, list_series, read_volume


@pytest.fixture
def study(write_series: Any, stored: np.ndarray, tmp_path: Path) -> Path:
    """Three CT of which one is thin, an MR with two echoes, and a localizer."""
    one = {"into": "study/1", "SeriesInstanceUID": "9.1", "SeriesNumber": 1, "SeriesDescription": "Thorax venous"}
    write_series(stored, **one)
    two = {"into": "study/2", "SeriesInstanceUID": "9.2", "SeriesNumber": 2, "SeriesDescription": "Abdomen venous"}
    write_series(stored, step=(0, 0, 1.0), **two)
    three = {"into": "study/3", "SeriesInstanceUID": "9.3", "SeriesNumber": 3, "SeriesDescription": "Abdomen native"}
    write_series(stored[:3], **three)
    write_series(
        stored[:4],
        into="study/4",
        positions=[(0, 0, 2.0 * (k % 2)) for k in range(4)],
        each=lambda k: {"EchoTime": 1 + k // 2},
        Modality="MR",
        SeriesInstanceUID="9.4",
        SeriesNumber=4,
        SeriesDescription="T2*",
    )
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SeriesDescription": "Topogram"}
    write_series(stored[:1], into="study/5", SeriesInstanceUID="9.5", SeriesNumber=5, **scout)
    return tmp_path / "study"


@pytest.mark.parametrize(
    ("selector", "uid"),
    [
        ("9.3", "9.3"),
        ("9.4", "9.4"),
        ("9.4#2", "9.4#2"),
        ("number=2", "9.2"),
        ("modality=mr", "9.4"),
        ("modality=MR,part=2", "9.4#2"),
        ("description=*NATIVE", "9.3"),
        ("modality=CT, description=thorax*", "9.1"),
        ("modality=CT,thinnest", "9.2"),
        ("description=*venous,modality=ct,thinnest", "9.2"),
        ("description=Abdomen*,most-slices", "9.2"),
        ("most-slices,thinnest", "9.2"),
    ],
)
def test_a_rule_chooses_the_series_that_fits(study: Path, selector: str, uid: str) -> None:
    assert find_series(study, series_uid=selector).selector == uid


@pytest.mark.parametrize(
    ("selector", "code"),
    [
        (None, "several_series"),
        ("modality=CT", "several_series"),
        ("modality=CT,most-slices", "several_series"),  # two have five
        ("modality=PT", "unknown_series"),
        ("modality=PT,thinnest", "unknown_series"),
        ("description=Topogram", "unknown_series"),  # a localizer is no scan
        ("9.6", "unknown_series"),
        ("9.1#1", "unknown_series"),
        ("9.4#3", "unknown_series"),
        ("9.4#0", "unknown_series"),
        ("newest", "wrong_rule"),
        ("name=Abdomen", "wrong_rule"),
        ("", "unknown_series"),
    ],
)
def test_a_rule_that_fits_none_or_several_chooses_none(study: Path, selector: str | None, code: str) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        find_series(study, series_uid=selector)
    assert caught.value.code == code
    assert caught.value.action


def test_a_localizer_is_still_chosen_by_its_uid(study: Path) -> None:
    assert find_series(study, series_uid="9.5").uid == "9.5"


def test_a_study_lists_what_each_series_is(study: Path) -> None:
    found = list_series(study)
    assert [(one.modality, one.description, one.slices) for one in found] == [
        ("CT", "Thorax venous", 5),
        ("CT", "Abdomen venous", 5),
        ("CT", "Abdomen native", 3),
        ("MR", "T2*", 4),
        ("CT", "Topogram", 1),
    ]
    assert found[1].spacing_zyx == (1.0, 0.75, 0.5)
    assert [part.selector for part in found[3].parts] == ["9.4#1", "9.4#2"]
    assert "2 volumes, UID#1 to UID#2" in found[3].summary()


def test_a_part_of_the_only_series_needs_no_uid(study: Path) -> None:
    assert find_series(study / "4", series_uid="#2").selector == "9.4#2"
    assert find_series(next((study / "4").iterdir()), series_uid="#2").selector == "9.4#2"


def test_frames_of_reference_are_not_mixed(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, into="two", each=lambda k: {"FrameOfReferenceUID": f"1.{1 + k // 3}"})
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "two")
    assert caught.value.code == "mixed_frames_of_reference"
    write_series(stored, into="own", each=lambda k: {"FrameOfReferenceUID": f"1.{1 + k}"})
    assert read_volume(tmp_path / "own").geometry.size[2] == 5  # an anonymiser gave each file one


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.timeout(20)
def test_a_pipe_among_the_files_is_passed_over(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    paths = write_series(stored)
    os.mkfifo(tmp_path / "series" / "pipe.dcm")
    for source in (tmp_path / "series", paths[0]):
        np.testing.assert_array_equal(read_volume(source).array, stored.astype(int) - 1024)
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "series" / "pipe.dcm")
    assert caught.value.code == "file_not_found"


def test_a_link_that_leads_nowhere_is_said(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    paths = write_series(stored)
    paths[4].rename(tmp_path / "elsewhere")
    paths[4].symlink_to(tmp_path / "elsewhere")
    assert read_volume(tmp_path / "series").geometry.size[2] == 5
    (tmp_path / "elsewhere").unlink()
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "series")
    assert caught.value.code == "unreadable_file"


def write_dicomdir(folder: Path, names: list[list[str]]) -> Path:
    """A DICOMDIR whose image records name these files."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    directory = Dataset()
    directory.file_meta = meta
    directory.FileSetID = "DISC"
    records = []
    for kind, name in [("PATIENT", None), ("STUDY", None), ("SERIES", None), *(("IMAGE", name) for name in names)]:
        record = Dataset()
        record.OffsetOfTheNextDirectoryRecord = 0
        record.RecordInUseFlag = 0xFFFF
        record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
        record.DirectoryRecordType = kind
        if name is not None:
            record.ReferencedFileID = name
        records.append(record)
    directory.DirectoryRecordSequence = records
    path = folder / "DICOMDIR"
    if int(pydicom.__version__.split(".")[0]) >= 3:
        pydicom.dcmwrite(path, directory, enforce_file_format=True)
    else:
        directory.is_little_endian, directory.is_implicit_VR = True, False
        pydicom.dcmwrite(path, directory, write_like_original=False)
    return path


@pytest.fixture
def disc(write_series: Any, stored: np.ndarray, tmp_path: Path) -> Path:
    write_series(stored, into="disc/IMAGES/S1", names=[f"I{k}" for k in range(5)])
    return write_dicomdir(tmp_path / "disc", [["IMAGES", "S1", f"I{k}"] for k in range(5)])


def test_a_dicomdir_stands_for_the_images_it_names(disc: Path, stored: np.ndarray, write_series: Any) -> None:
    write_series(stored, into="disc/LATER", SeriesInstanceUID="8.8")
    np.testing.assert_array_equal(read_volume(disc).array, stored.astype(int) - 1024)
    assert [series.uid for series in list_series(disc)] == ["1.2.3.4"]


def test_a_dicomdir_in_a_folder_is_no_image(disc: Path, stored: np.ndarray) -> None:
    np.testing.assert_array_equal(read_volume(disc.parent).array, stored.astype(int) - 1024)
    assert find_series(disc.parent / "IMAGES" / "S1" / "I0").slices == 5


def test_a_dicomdir_finds_files_whose_names_became_small(disc: Path, stored: np.ndarray) -> None:
    shutil.move(disc.parent / "IMAGES", disc.parent / "images")
    shutil.move(disc.parent / "images" / "S1", disc.parent / "images" / "s1")
    for path in list((disc.parent / "images" / "s1").iterdir()):
        path.rename(path.with_name(path.name.lower()))
    np.testing.assert_array_equal(read_volume(disc).array, stored.astype(int) - 1024)


def test_a_dicomdir_whose_files_are_missing_says_which(disc: Path) -> None:
    (disc.parent / "IMAGES" / "S1" / "I4").unlink()  # the last slice: no gap would tell
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(disc)
    assert caught.value.code == "missing_files"
    assert "IMAGES/S1/I4" in caught.value.message


def test_a_dicomdir_that_leads_out_of_its_folder_is_refused(disc: Path) -> None:
    write_dicomdir(disc.parent, [["..", "ELSE"]])
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(disc)
    assert caught.value.code == "damaged_file"


@pytest.mark.parametrize("lost", [10, 40, 130, 400])
def test_a_dicomdir_cut_short_loses_no_slice(disc: Path, stored: np.ndarray, lost: int) -> None:
    disc.write_bytes(disc.read_bytes()[:-lost])
    try:
        np.testing.assert_array_equal(read_volume(disc).array, stored.astype(int) - 1024)
    except GANSegmentationError as error:
        assert error.code in ("damaged_file", "missing_files", "unknown_format")


def test_an_empty_dicomdir_holds_no_image(disc: Path) -> None:
    write_dicomdir(disc.parent, [])
    with pytest.raises(GANSegmentationError) as caught:
        list_series(disc)
    assert caught.value.code == "no_dicom"
