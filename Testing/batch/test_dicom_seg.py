"""Masks that go back to the archive as DICOM SEG, and references that came from there."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from GANSegmentationLib.batch import find_cases, plan_batch
from GANSegmentationLib.batch.task import WorkSettings
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Labelmap, read_labelmap, read_volume, write_labelmap
from Testing.batch.conftest import events, write_patient
from Testing.batch.test_series import write_time_points
from Testing.tiny_model import LIVER, tiny_scan
from Testing.volumes.conftest import write_dicom

pytestmark = pytest.mark.skipif(importlib.util.find_spec("highdicom") is None, reason="highdicom writes DICOM SEG")


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    write_patient(tmp_path / "studies" / "a" / "ct", PatientID="4711", PatientName="Mustermann^Erika")
    return tmp_path / "studies"


@pytest.fixture
def of_studies(options, studies):
    return replace(options, input=studies, format="dicom-seg")


def test_the_mask_is_a_segmentation_of_its_series_in_the_same_place(run, of_studies, studies):
    (case,) = run(of_studies).cases
    assert case.output == "a/ct.dcm"
    mask = read_labelmap(of_studies.output / "a" / "ct.dcm", geometry=read_volume(studies / "a" / "ct").geometry)
    assert np.array_equal(mask.array, tiny_scan().array > 100)
    assert [segment.name for segment in mask.segments] == ["Liver"]
    written = pydicom.dcmread(of_studies.output / "a" / "ct.dcm")
    images = {pydicom.dcmread(file).SOPInstanceUID for file in (studies / "a" / "ct").iterdir()}
    referenced = {
        item.ReferencedSOPInstanceUID for item in written.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert (written.PatientID, written.Modality, referenced <= images) == ("4711", "SEG", True)
    assert written.SegmentSequence[0].SegmentAlgorithmName.startswith("Tiny liver")


def test_the_patient_is_in_the_object_and_nowhere_else(run, of_studies):
    run(of_studies)
    for path in of_studies.output.rglob("*"):
        if path.is_file() and path.suffix != ".dcm":
            text = path.read_bytes().lower()
            assert b"mustermann" not in text
            assert b"4711" not in text


def test_a_scan_that_is_no_dicom_fails_for_itself_and_the_plan_says_so(run, options, studies):
    mixed = replace(options, input=studies.parent, format="dicom-seg", output=studies.parent / "masks")
    planned = {each.case.name: each.case.problem for each in plan_batch(mixed).cases}
    assert [name for name, problem in planned.items() if problem is None] == ["studies/a/ct"]
    summary = run(mixed)
    assert [case.case for case in summary.of_status("done")] == ["studies/a/ct"]
    assert {case.error["code"] for case in summary.of_status("failed")} == {"dicom_source_needed"}


def test_without_highdicom_it_is_refused_before_anything_is_written(of_studies, run, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "highdicom" else found(name))
    with pytest.raises(GANSegmentationError) as caught:
        run(of_studies)
    assert caught.value.code == "highdicom_missing"
    assert not of_studies.output.exists()


def test_each_volume_of_a_four_dimensional_series_refers_to_its_own_images(run, options, tmp_path):
    write_time_points(tmp_path / "4d" / "a")
    run(replace(options, input=tmp_path / "4d", format="dicom-seg"))
    for number in (1, 2):
        written = pydicom.dcmread(options.output / "a" / f"part-{number}.dcm")
        named = {item.ReferencedSOPInstanceUID for item in written.SourceImageSequence}
        files = sorted((tmp_path / "4d" / "a").iterdir())[number - 1 :: 2]
        assert named <= {pydicom.dcmread(file).SOPInstanceUID for file in files}


def test_a_tilted_scan_has_its_mask_on_the_resampled_grid(run, options, tmp_path):
    stored = np.zeros((6, 16, 16), np.uint16)
    stored[1:5, 4:12, 3:13] = 1300
    write_dicom(tmp_path / "tilted" / "a", stored, step=(0.0, 1.5, 5.0), PixelSpacing=[1.5, 1.5])
    run.settings = WorkSettings(str(options.package), device="cpu", correct_tilt=True)
    (case,) = run(replace(options, input=tmp_path / "tilted", format="dicom-seg", correct_tilt=True)).cases
    assert case.error is None
    geometry = read_volume(tmp_path / "tilted" / "a", correct_tilt=True).geometry
    assert read_labelmap(options.output / case.output, geometry=geometry).array.any()


def test_a_mask_that_was_written_is_not_taken_for_a_scan(run, of_studies):
    run(of_studies)
    with pytest.raises(GANSegmentationError, match="nothing to segment"):
        find_cases(of_studies.output)


def test_it_goes_on_where_it_was_stopped(run, of_studies):
    run(of_studies)
    run(of_studies)
    assert run.engine.done == []
    (of_studies.output / "a" / "ct.dcm").unlink()
    run(of_studies)
    assert [event["why"] for event in events(of_studies.output, "claim")] == ["new", "output_missing"]


class TestReferences:
    @pytest.mark.parametrize("name", ["a/ct.dcm", "a/ct/segmentation.dcm", "a/ct/IM0001"])
    def test_a_segmentation_in_the_place_of_the_case_is_its_reference(self, run, options, studies, tmp_path, name):
        truth = tmp_path / "truth" / name
        truth.parent.mkdir(parents=True)
        scan = read_volume(studies / "a" / "ct")
        labels = Labelmap((scan.array > 100).astype(np.uint8), scan.geometry, (LIVER,))
        written = write_labelmap(labels, tmp_path / "seg.dcm", source=studies / "a" / "ct")
        written.rename(truth)
        (case,) = run(replace(options, input=studies, references=tmp_path / "truth")).cases
        assert case.scores[0]["dice"] == 1.0

    def test_images_of_a_scan_are_no_reference(self, studies, tmp_path):
        write_patient(tmp_path / "truth" / "a" / "ct")
        (case,) = find_cases(studies, references=tmp_path / "truth").cases
        assert case.reference is None
