"""DICOM SEG written for real scans: dcmqi's truths, series of every maker, and a CHAOS liver there and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import (
    Algorithm,
    Code,
    Labelmap,
    Segment,
    find_series,
    list_series,
    place_on_grid,
    read_labelmap,
    read_volume,
    write_dicom_seg,
)
from Testing.volumes.seg_tools import assert_dcmqi_agrees, violations

highdicom = pytest.importorskip("highdicom")

pytestmark = pytest.mark.real_data

MODEL = Algorithm("Liver", "1.0.0")

TRUTHS: Mapping[str, str] = {
    "liver_seg.nrrd": "ct-3slice",
    "heart_seg.nrrd": "ct-3slice",
    "spine_seg.nrrd": "ct-3slice",
    "spine_seg_label5.nrrd": "ct-3slice",
    "liver_spine_seg.nrrd": "ct-3slice",
    "liver_spine_gapped_seg.nrrd": "ct-3slice",
    "partial_overlaps-1.nrrd": "ct-3slice",
    "partial_overlaps-2.nrrd": "ct-3slice",
    "partial_overlaps-3.nrrd": "ct-3slice",
    "23x38x3/nrrd/label.nrrd": "23x38x3/image",
    "24x38x3/nrrd/label.nrrd": "24x38x3/multiframe",
    "sparse_labelmap_noppv_seg.nrrd": "24x38x3/image",
    "sparse_labelmap_ppv5_seg.nrrd": "24x38x3/image",
}
"""Labelmaps and the scans that they belong to."""


@pytest.fixture
def dcmqi(shared_data: Path) -> Path:
    return shared_data / "dicom_robustness" / "dcmqi" / "data" / "segmentations"


def test_no_truth_is_left_out(dcmqi: Path) -> None:
    assert {str(path.relative_to(dcmqi)) for path in dcmqi.rglob("*.nrrd")} == set(TRUTHS)


@pytest.mark.parametrize("name", TRUTHS)
def test_a_truth_goes_to_dicom_and_back(dcmqi: Path, tmp_path: Path, name: str) -> None:
    truth = read_labelmap(dcmqi / name)
    values = [int(value) for value in np.unique(truth.array) if value]
    segments = tuple(Segment(value, f"Structure {value}", (40 * value, 90, 10)) for value in values)
    series = find_series(dcmqi / TRUTHS[name])
    path = write_dicom_seg(
        Labelmap(truth.array, truth.geometry, segments), tmp_path / "mask.dcm", source=series, algorithm=MODEL
    )
    copy = read_labelmap(path)
    np.testing.assert_array_equal(copy.array, place_on_grid(truth, series.geometry).array)
    np.testing.assert_array_equal(place_on_grid(copy, truth.geometry).array, truth.array)
    assert [(segment.value, segment.name, segment.colour) for segment in copy.segments] == [
        (segment.value, segment.name, segment.colour) for segment in segments
    ]
    assert violations(path) == []
    assert_dcmqi_agrees(path, tmp_path / "dcmqi", copy, segments)


SOURCES = (
    "dicom2nifti/ge/dti/001#1",  # a four-dimensional MR
    "dicom2nifti/generic/anatomical/001",
    "dicom2nifti/generic/anatomical/002_non_isotropic",
    "dicom2nifti/hitachi/anatomical/001",
    "dicom2nifti/hyperfine/anatomical/001",  # enhanced MR
    "dicom2nifti/philips/anatomical/002",
    "dicom2nifti/philips_enhanced/anatomical/001",
    "dicom2nifti/siemens_multiframe/anatomical/001",
    "dicom2nifti/failing/gantrytilting/001",
)


@pytest.mark.parametrize("name", SOURCES)
def test_series_of_every_maker_take_a_mask_that_others_read(shared_data: Path, tmp_path: Path, name: str) -> None:
    folder, _, part = name.partition("#")
    series = find_series(
        shared_data / "dicom_robustness" / folder, series_uid=f"#{part}" if part else None, correct_tilt=True
    )
    grid = series.geometry
    assert grid is not None
    array = np.zeros(grid.shape, np.uint8)
    z, y, x = grid.shape
    array[z // 3 : z // 2 + 1, y // 4 : y // 2, x // 3 : x // 2] = 1
    array[z // 2, y // 2 : y // 2 + 3, x // 2 :] = 2
    segments = (Segment(1, "Liver", (221, 130, 101)), Segment(2, "Spleen", (157, 108, 162)))
    written = Labelmap(array, grid, segments)
    path = write_dicom_seg(written, tmp_path / "mask.dcm", source=series, algorithm=MODEL)
    copy = read_labelmap(path)
    np.testing.assert_array_equal(copy.array, array)
    assert copy.geometry.corner_distance(grid) < 1e-4
    assert violations(path) == []
    assert_dcmqi_agrees(path, tmp_path / "dcmqi", written, segments)


def test_a_scan_without_a_study_takes_no_mask(shared_data: Path, tmp_path: Path) -> None:
    series = find_series(shared_data / "dicom_robustness" / "totalsegmentator" / "example_ct_dicom")
    assert series.geometry is not None
    with pytest.raises(GANSegmentationError) as caught:
        write_dicom_seg(
            Labelmap(np.zeros(series.geometry.shape, np.uint8), series.geometry), tmp_path / "m.dcm", source=series
        )
    assert caught.value.code == "dicom_seg_failed"
    assert "Study Instance UID" in caught.value.message


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "liver_ct_chaos_set3"


@pytest.fixture(scope="module")
def liver(folder: Path) -> Labelmap:
    truth = read_labelmap(folder / "Ground", series=folder / "DICOM_anon")
    kind = Code("SCT", "10200004", "Liver")
    segment = Segment(1, "Liver", (221, 130, 101), Code("SCT", "123037004", "Anatomical Structure"), kind)
    return Labelmap(truth.array, truth.geometry, (segment,))


class TestChaos:
    def test_the_liver_goes_there_and_back(self, folder: Path, liver: Labelmap, tmp_path: Path) -> None:
        path = write_dicom_seg(liver, tmp_path / "liver.dcm", source=folder / "DICOM_anon", algorithm=MODEL)
        assert path.stat().st_size < 3_000_000
        copy = read_labelmap(path)
        np.testing.assert_array_equal(copy.array, liver.array)
        assert copy.geometry.corner_distance(read_volume(folder / "DICOM_anon").geometry) < 1e-4
        assert copy.segments == liver.segments
        assert violations(path) == []
        assert_dcmqi_agrees(path, tmp_path / "dcmqi", liver, tuple(liver.segments))

    def test_a_mask_beside_the_scan_is_no_slice_of_it(self, folder: Path, liver: Labelmap, tmp_path: Path) -> None:
        for file in (folder / "DICOM_anon").iterdir():
            (tmp_path / file.name).symlink_to(file)
        write_dicom_seg(liver, tmp_path / "mask.dcm", source=tmp_path)
        (series,) = list_series(tmp_path)
        assert series.slices == liver.array.shape[0]
        assert series.geometry == liver.geometry
