"""``ganseg series``: what a study holds, and one series of it as a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from GANSegmentationLib.volumes import read_volume


@pytest.fixture
def study(new_scan, tmp_path) -> Path:
    """A CT and an MR in one folder."""
    folder = tmp_path / "study"
    for modality in ("CT", "MR"):
        (folder / modality).mkdir(parents=True)
        new_scan(folder / modality, modality)
    return folder


def tilt(folder: Path) -> None:
    """Leans the gantry of a series, whose slices lean by 8 degrees, by 10 more the other way."""
    angle = np.radians(10)
    for path in folder.rglob("*"):
        if path.suffix == ".dcm":
            image = pydicom.dcmread(path)
            image.ImageOrientationPatient = [1, 0, 0, 0, float(f"{np.cos(angle):.8f}"), float(f"{-np.sin(angle):.8f}")]
            image.save_as(path)


def dicom_folder(folder: Path) -> Path:
    return next(folder.rglob("*.dcm")).parent


def test_a_study_is_listed(ganseg, study):
    ran = ganseg("series", study)
    assert ran.code == 0
    assert "modality" in ran.out
    for word in ("CT", "MR", "volume"):
        assert word in ran.out
    listed = json.loads(ganseg("series", study, "--json").out)["series"]
    assert {each["modality"] for each in listed} == {"CT", "MR"}
    for each in listed:
        volume = read_volume(study, series_uid=each["selector"])
        assert each["size_xyz"] == list(volume.geometry.size)
        assert each["spacing_xyz_mm"] == list(volume.geometry.spacing)
        assert each["problem"] is None


def test_a_series_is_chosen_by_a_rule_and_written(ganseg, study, tmp_path):
    output = tmp_path / "scans" / "mr.nrrd"
    ran = ganseg("series", study, "--series", "modality=MR", "--output", output)
    assert ran.code == 0
    expected = read_volume(study, series_uid="modality=mr")
    written = read_volume(output)
    np.testing.assert_array_equal(written.array, expected.array)
    assert written.geometry.corner_distance(expected.geometry) < 1e-4
    assert written.modality == "MR"


def test_a_choice_that_is_needed_is_asked_for(ganseg, study, tmp_path):
    ran = ganseg("series", study, "--output", tmp_path / "scan.nrrd")
    assert ran.code == 1
    assert "several_series" in ran.err
    assert not (tmp_path / "scan.nrrd").exists()
    assert "wrong_rule" in ganseg("series", study, "--series", "colour=red").err


def test_a_tilt_is_corrected_on_request_and_said(ganseg, study, tmp_path):
    folder = dicom_folder(study / "CT")
    tilt(folder)
    assert "gantry_tilt" in ganseg("series", folder).out
    output = tmp_path / "scan.nrrd"
    assert "gantry_tilt" in ganseg("series", folder, "--output", output).err
    ran = ganseg("series", folder, "--output", output, "--correct-tilt", "--json")
    assert ran.code == 0
    assert "18.00 degrees" in ran.err
    assert "18.00 degrees" in json.loads(ran.out)["tilt_correction"]
    assert read_volume(output).geometry.size[1] > read_volume(dicom_folder(study / "MR")).geometry.size[1]


def test_asking_for_a_correction_that_is_not_needed_is_said(ganseg, study, tmp_path):
    ran = ganseg("series", dicom_folder(study / "CT"), "--output", tmp_path / "scan.mha", "--correct-tilt")
    assert ran.code == 0
    assert "nothing to correct" in ran.err
