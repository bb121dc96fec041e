"""DICOM SEG on the command line: written by ``ganseg segment``, read as mask and as reference."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest

from GANSegmentationLib.volumes import (
    Labelmap,
    Segment,
    read_labelmap,
    read_volume,
    write_dicom_seg,
    write_fractional_seg,
    write_labelmap,
)

pytest.importorskip("highdicom")


@pytest.fixture
def no_network(monkeypatch):
    """The network may not run: what is refused has to be refused before it."""
    from GANSegmentationLib.inference import Predictor

    def fail(*_, **__):
        raise AssertionError("the network ran")

    monkeypatch.setattr(Predictor, "__init__", fail)


@pytest.mark.parametrize("name", ["mask.dcm", "new/folder/MASK.DCM"])
def test_a_dicom_series_becomes_a_dicom_seg_of_its_study(ganseg, phantom, package, tmp_path, name):
    done = ganseg("segment", phantom.dicom, "-o", tmp_path / name, "--model", package, "--device", "cpu", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["output"] == str(tmp_path / name)
    mask = read_labelmap(tmp_path / name)
    np.testing.assert_array_equal(mask.array, phantom.liver.array)
    assert mask.geometry.corner_distance(phantom.volume.geometry) < 1e-4
    dataset, image = pydicom.dcmread(tmp_path / name), pydicom.dcmread(phantom.dicom / "slice_000.dcm")
    assert dataset.StudyInstanceUID == image.StudyInstanceUID
    assert dataset.FrameOfReferenceUID == image.FrameOfReferenceUID
    made_by = dataset.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (made_by.AlgorithmName, made_by.AlgorithmVersion) == ("Threshold for CT", "1.0.0")


def test_the_mask_belongs_to_the_series_that_was_chosen(ganseg, phantom, new_scan, package, tmp_path):
    study = tmp_path / "study"
    new_scan(study / "a")
    chosen = read_volume(new_scan(study / "b").dicom).facts["SeriesInstanceUID"]
    output = tmp_path / "mask.dcm"
    done = ganseg("segment", study, "-o", output, "--series", chosen, "--model", package, "--device", "cpu")
    assert done.code == 0, done.err
    assert pydicom.dcmread(output).ReferencedSeriesSequence[0].SeriesInstanceUID == chosen


@pytest.mark.usefixtures("no_network")
class TestRefusedBeforeTheNetworkRuns:
    def test_a_scan_that_is_not_dicom(self, ganseg, phantom, package, tmp_path):
        done = ganseg("segment", phantom.nifti, "-o", tmp_path / "mask.dcm", "--model", package)
        assert done.code == 1
        assert "scan.nii.gz, which is not DICOM" in " ".join(done.err.split())
        assert ".seg.nrrd" in done.err
        assert not (tmp_path / "mask.dcm").exists()

    def test_a_python_without_highdicom(self, ganseg, phantom, package, tmp_path, monkeypatch):
        import importlib.util

        found = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "highdicom" else found(name))
        done = ganseg("segment", phantom.dicom, "-o", tmp_path / "mask.dcm", "--model", package)
        assert done.code == 1
        assert "highdicom" in done.err

    def test_a_slice_of_the_scan_as_the_output(self, ganseg, new_scan, package, tmp_path):
        folder = new_scan(tmp_path).dicom
        before = (folder / "slice_002.dcm").read_bytes()
        done = ganseg("segment", folder, "-o", folder / "slice_002.dcm", "--model", package)
        assert done.code == 1
        assert "no segmentation" in " ".join(done.err.split())
        assert (folder / "slice_002.dcm").read_bytes() == before

    def test_a_reference_of_overlapping_segments(self, ganseg, phantom, package, tmp_path):
        done = ganseg(
            *("segment", phantom.dicom, "-o", tmp_path / "mask.nrrd"),
            *("--model", package, "--reference", overlapping(phantom, tmp_path)),
        )
        assert done.code == 1
        assert "Liver and Mass" in " ".join(done.err.split())


def overlapping(phantom, folder):
    """The phantom's liver, and a mass that lies on its edge, each of its own segment."""
    liver = phantom.liver.array.astype(np.float32)
    segments = (Segment(1, "Liver", (221, 130, 101)), Segment(2, "Mass", (90, 90, 0)))
    both = np.stack([liver, np.roll(liver, 4, axis=2)])
    return write_fractional_seg(
        both, phantom.volume.geometry, segments, folder / "overlapping.dcm", source=phantom.dicom
    )


def test_a_dicom_seg_is_a_reference(ganseg, phantom, package, tmp_path):
    reference = write_dicom_seg(phantom.liver, tmp_path / "reference.dcm", source=phantom.dicom)
    done = ganseg(
        *("segment", phantom.nifti, "-o", tmp_path / "mask.nrrd", "--model", package, "--device", "cpu"),
        *("--reference", reference, "--json"),
    )
    assert done.code == 0, done.err
    (row,) = json.loads(done.out)["labels"]
    assert row["dice"] == 1.0


def test_a_dicom_seg_is_compared_with_any_other_file(ganseg, phantom, tmp_path):
    mask = write_dicom_seg(phantom.liver, tmp_path / "mask.dcm", source=phantom.dicom)
    moved = Labelmap(np.roll(phantom.liver.array, 1, axis=2), phantom.liver.geometry, phantom.liver.segments)
    other = write_labelmap(moved, tmp_path / "other.nii.gz")
    for pair in ((mask, other), (other, mask), (mask, mask)):
        done = ganseg("compare", *pair, "--json")
        assert done.code == 0, done.err
        (row,) = json.loads(done.out)["labels"]
        assert (row["dice"] == 1.0) == (pair == (mask, mask))
        assert row["name"] == "Liver"


def test_overlaps_and_fractions_can_be_resolved_in_a_comparison(ganseg, phantom, tmp_path):
    path = overlapping(phantom, tmp_path)
    reference = write_labelmap(phantom.liver, tmp_path / "liver.seg.nrrd")
    done = ganseg("compare", path, reference)
    assert done.code == 1
    assert "--overlaps first" in " ".join(done.err.split())
    for options in (("--segments", "Liver"), ("--segments", "1"), ("--overlaps", "first")):
        done = ganseg("compare", path, reference, *options, "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["labels"][0]["dice"] == 1.0
    done = ganseg("compare", path, reference, "--segments", "Kidney")
    assert done.code == 1
    assert "2 Mass" in " ".join(done.err.split())

    half = write_fractional_seg(
        0.6 * phantom.liver.array[None].astype(np.float32),
        phantom.volume.geometry,
        phantom.liver.segments,
        tmp_path / "half.dcm",
        source=phantom.dicom,
    )
    assert "--threshold" in ganseg("compare", half, reference).err
    for threshold, dice in ((0.5, 1.0), (0.7, 0.0)):
        done = ganseg("compare", half, reference, "--threshold", threshold, "--json")
        assert json.loads(done.out)["labels"][0]["dice"] == dice
    assert ganseg("compare", half, reference, "--threshold", "50").code == 2
