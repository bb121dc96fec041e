"""dcmqi's own DICOM SEG files, each read as its NRRD truth says or refused by name; highdicom is not needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import SegChoice, place_on_grid, read_dicom_seg, read_labelmap, read_volume

pytestmark = pytest.mark.real_data

SAME: Mapping[str, tuple[str, str]] = {
    # DICOM SEG: its NRRD truth, the folder of its scan
    "liver.dcm": ("liver_seg.nrrd", "ct-3slice"),
    "23x38x3/seg/label.seg": ("23x38x3/nrrd/label.nrrd", "23x38x3/image"),
    "24x38x3/seg/label.seg": ("24x38x3/nrrd/label.nrrd", "24x38x3/image"),
    "sparse-labelmap-noppv.dcm": ("sparse_labelmap_noppv_seg.nrrd", "24x38x3/image"),
}
"""Files that are read as their truth is, voxel by voxel and in position."""

OTHER = {"partial_overlaps.dcm", "sparse-labelmap-ppv5.dcm"}
"""Files with a test of their own."""


@pytest.fixture
def dcmqi(shared_data: Path) -> Path:
    return shared_data / "dicom_robustness" / "dcmqi" / "data" / "segmentations"


def test_no_file_is_without_a_named_outcome(dcmqi: Path) -> None:
    segs = {str(path.relative_to(dcmqi)) for pattern in ("*.dcm", "*/seg/*") for path in dcmqi.glob(pattern)}
    assert segs == {*SAME, *OTHER}


@pytest.mark.parametrize("name", SAME)
def test_it_is_its_nrrd_truth(dcmqi: Path, name: str) -> None:
    truth_name, scan = SAME[name]
    truth, copy = read_labelmap(dcmqi / truth_name), read_labelmap(dcmqi / name)
    np.testing.assert_array_equal(copy.array, truth.array)
    assert copy.geometry.corner_distance(truth.geometry) < 1e-4
    assert [(segment.name, segment.colour) for segment in copy.segments] == [("Liver", (221, 130, 101))]
    grid = read_volume(dcmqi / scan).geometry
    placed = read_labelmap(dcmqi / name, geometry=grid)
    assert placed.geometry == grid
    np.testing.assert_array_equal(placed.array, place_on_grid(truth, grid).array)


def test_padding_beyond_the_frames_is_background(dcmqi: Path) -> None:
    """The truth has 5, the padding value, where the file has no frame: that is no label."""
    truth = read_labelmap(dcmqi / "sparse_labelmap_ppv5_seg.nrrd")
    copy = read_labelmap(dcmqi / "sparse-labelmap-ppv5.dcm")
    np.testing.assert_array_equal(copy.array, np.where(truth.array == 5, 0, truth.array))
    assert (truth.array[1] == 5).all()
    assert copy.geometry.corner_distance(truth.geometry) < 1e-4


def test_overlapping_segments_are_refused_and_each_is_its_truth(dcmqi: Path) -> None:
    path = dcmqi / "partial_overlaps.dcm"
    with pytest.raises(GANSegmentationError) as caught:
        read_labelmap(path)
    assert caught.value.code == "overlapping_segments"
    assert "GREEN and ORANGE (3017 voxels)" in caught.value.message
    for group, numbers in {1: (1, 4, 5), 2: (2,), 3: (3,)}.items():
        truth = read_labelmap(dcmqi / f"partial_overlaps-{group}.nrrd")
        copy = read_dicom_seg(path, geometry=truth.geometry, choice=SegChoice(numbers))
        np.testing.assert_array_equal(copy.array, truth.array)
        assert [segment.value for segment in copy.segments] == list(numbers)


@pytest.mark.parametrize("name", ["liver_1frame.dcm", "liver_expb_1frame.dcm"])
def test_segmentations_that_lost_their_frames_are_damaged(shared_data: Path, name: str) -> None:
    """pydicom's files: one frame of pixels, the descriptions of three."""
    with pytest.raises(GANSegmentationError) as caught:
        read_labelmap(shared_data / "dicom_robustness" / "pydicom_test_files" / name)
    assert caught.value.code == "damaged_file"


@pytest.mark.parametrize("name", ["CT_small.dcm", "rtdose.dcm", "rtstruct.dcm", "test-SR.dcm"])
def test_other_objects_are_no_segmentation(shared_data: Path, name: str) -> None:
    path = shared_data / "dicom_robustness" / "pydicom_test_files" / name
    with pytest.raises(GANSegmentationError) as caught:
        read_labelmap(path)
    assert caught.value.code in ("not_a_segmentation", "unknown_format")
