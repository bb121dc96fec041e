"""Comparing and exporting labelmaps that are there."""

from __future__ import annotations

import numpy as np
import pytest

from GANSegmentationLib import protocol
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment, read_labelmap, read_volume
from GANSegmentationLib.volumes.exchange import load_labelmap, save_labelmap
from Testing.tiny_model import LIVER
from Testing.volumes.conftest import write_dicom
from Testing.worker.requests import failure, result, run

GRID = Geometry((8, 8, 4), (1.0, 1.0, 2.0), (1.0, 2.0, 3.0))
SEGMENTS = (Segment(1, "Liver", (221, 130, 101)), Segment(2, "Spleen", (157, 108, 162)))


def labelmaps() -> tuple[Labelmap, Labelmap]:
    reference = np.zeros(GRID.shape, np.uint8)
    reference[1:3, 1:4, 1:4] = 1
    reference[0, 6:8, 6:8] = 2
    mask = np.zeros(GRID.shape, np.uint8)
    mask[1:3, 1:4, 2:5] = 1
    mask[0, 6:8, 6:8] = 1
    return Labelmap(mask, GRID, SEGMENTS), Labelmap(reference, GRID, SEGMENTS)


def request_of(folder, **fields):
    mask, reference = labelmaps()
    return protocol.RunCompare(
        "1",
        str(folder),
        mask=save_labelmap(mask, folder, "mask"),
        reference=save_labelmap(reference, folder, "reference"),
        **fields,
    )


def test_the_pairs_that_are_chosen_are_compared(tmp_path):
    rows = result(run(request_of(tmp_path, pairs=((1, "Spleen"), ("Liver", 1)))))["labels"]
    assert [(row["value"], row["reference_value"]) for row in rows] == [(1, 2), (1, 1)]


def test_a_pair_that_is_not_there_is_refused(tmp_path):
    assert failure(run(request_of(tmp_path, pairs=(("Kidney", 1),))))["code"] == "unknown_label"


def test_the_scores_that_are_chosen_are_given(tmp_path):
    rows = result(run(request_of(tmp_path, metrics=("dice", "hd95_mm"))))["labels"]
    assert rows[0].keys() == {"name", "value", "reference_name", "reference_value", "status", "dice", "hd95_mm"}
    everything = result(run(request_of(tmp_path)))["labels"]
    assert rows[0]["dice"] == everything[0]["dice"]
    assert {"chaos", "iou", "assd_mm"} <= everything[0].keys()
    assert failure(run(request_of(tmp_path, metrics=("beauty",))))["code"] == "unknown_metric"


def test_the_dice_of_each_slice_finds_the_worst(tmp_path):
    liver, spleen = result(run(request_of(tmp_path, slice_dice=True)))["labels"]
    assert liver["slice_dice"] == [0.0, pytest.approx(2 * 6 / 18), pytest.approx(2 * 6 / 18), None]
    assert spleen["slice_dice"] == [0.0, None, None, None]


def test_differences_are_a_labelmap_on_the_same_grid(tmp_path):
    described = result(run(request_of(tmp_path, differences=True)))["differences"]
    found = load_labelmap(described, tmp_path)
    assert found.geometry == GRID
    assert [segment.name for segment in found.segments] == ["False positive", "False negative", "Other structure"]
    expected = np.zeros(GRID.shape, np.uint8)
    expected[1:3, 1:4, 4] = 1
    expected[1:3, 1:4, 1] = 2
    expected[0, 6:8, 6:8] = 3
    assert np.array_equal(found.array, expected)


def test_labels_that_were_paired_are_the_same_whatever_their_values(tmp_path):
    described = result(run(request_of(tmp_path, differences=True, pairs=((1, 2),))))["differences"]
    found = load_labelmap(described, tmp_path).array
    assert not found[0].any()  # the mask's 1 and the reference's 2 lie there both
    assert np.count_nonzero(found == 1) == 18


def test_a_cancelled_comparison_writes_nothing(tmp_path):
    request = request_of(tmp_path, differences=True)
    asked = iter(range(100))
    events = run(request, lambda: next(asked) >= 3)
    assert events[-1] == protocol.Cancelled("1")
    assert not (tmp_path / "differences.npy").exists()


# Export


def export_request(folder, path, **fields):
    described = save_labelmap(labelmaps()[0], folder, "labels")
    return protocol.RunExport("1", str(folder), labelmap=described, path=str(path), **fields)


@pytest.mark.parametrize("name", ["Maske größer.seg.nrrd", "mask.nii.gz", "mask.mha"])
def test_an_export_is_the_labelmap(tmp_path, name):
    path = tmp_path / name
    found = result(run(export_request(tmp_path, path)))
    assert found == {"path": str(path), "bytes": path.stat().st_size}
    labelmap = read_labelmap(path)
    assert np.array_equal(labelmap.array, labelmaps()[0].array)
    assert labelmap.geometry.corner_distance(GRID) < 1e-4


@pytest.mark.parametrize("as_files", [True, False])
def test_dicom_seg_is_written_for_the_scan_it_refers_to(tmp_path, as_files):
    pytest.importorskip("highdicom")
    scan = tmp_path / "scan"
    files = write_dicom(scan, np.zeros(GRID.shape, np.int16))
    geometry = read_volume(scan).geometry
    labelmap = Labelmap(labelmaps()[0].array, geometry, (LIVER,))
    request = protocol.RunExport(
        "1",
        str(tmp_path),
        labelmap=save_labelmap(labelmap, tmp_path, "labels"),
        path=str(tmp_path / "mask.dcm"),
        source=tuple(map(str, files)) if as_files else (str(scan),),
        algorithm="Tiny liver",
        algorithm_version="1.0.0",
    )
    assert result(run(request))["bytes"] > 0
    found = read_labelmap(tmp_path / "mask.dcm", geometry=geometry)
    assert np.array_equal(found.array, labelmap.array)


def test_dicom_seg_without_its_scan_is_refused(tmp_path):
    pytest.importorskip("highdicom")
    assert failure(run(export_request(tmp_path, tmp_path / "mask.dcm")))["code"] == "dicom_source_needed"
    assert not (tmp_path / "mask.dcm").exists()


def test_an_export_that_cannot_be_leaves_nothing(tmp_path):
    assert failure(run(export_request(tmp_path, tmp_path / "mask.xyz")))["code"] == "unknown_format"
    assert failure(run(export_request(tmp_path, tmp_path / "nowhere" / "mask.mha")))["code"] == "folder_not_found"
    (tmp_path / "mask.mha").write_bytes(b"precious")
    error = failure(run(export_request(tmp_path, tmp_path / "mask.mha", overwrite=False)))
    assert error["code"] == "file_exists"
    assert (tmp_path / "mask.mha").read_bytes() == b"precious"


@pytest.mark.parametrize("asked", [0, 1])
def test_a_cancelled_export_writes_nothing(tmp_path, asked):
    times = iter(range(100))
    events = run(export_request(tmp_path, tmp_path / "mask.mha"), lambda: next(times) >= asked)
    assert events[-1] == protocol.Cancelled("1")
    assert not (tmp_path / "mask.mha").exists()
