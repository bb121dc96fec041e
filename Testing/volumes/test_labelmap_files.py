from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import (
    LABELMAP_SUFFIXES,
    Code,
    Geometry,
    Labelmap,
    Segment,
    read_labelmap,
    write_labelmap,
)

OBLIQUE = np.array([[0.8, 0.0, -0.6], [0.36, 0.8, 0.48], [0.48, -0.6, 0.64]])
GRID = Geometry((9, 8, 7), (0.7, 0.8, 2.5), (-12.5, 30.0, 101.25), tuple(OBLIQUE.ravel()))
LIVER = Segment(
    1,
    "Leber – rechts",
    (221, 130, 101),
    category=Code("SCT", "123037004", "Anatomical Structure"),
    type=Code("SCT", "10200004", "Liver"),
    region_modifier=Code("SCT", "24028007", "Right"),
)
MASS = Segment(2, "Mass", (144, 238, 144))


def labelmap(dtype: type = np.uint8) -> Labelmap:
    array = np.zeros(GRID.shape, dtype)
    array[2:4, 3:6, 1:5] = 1
    array[5, 1, 7] = 2
    return Labelmap(array, GRID, [LIVER, MASS])


def refusal(path: Path, **options: object) -> GANSegmentationError:
    with pytest.raises(GANSegmentationError) as caught:
        read_labelmap(path, **options)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [suffix for suffix in LABELMAP_SUFFIXES if suffix != ".dcm"])  # see test_dicom_seg
def test_labels_and_place_survive_every_format(tmp_path: Path, suffix: str, dtype: type) -> None:
    written = labelmap(dtype)
    path = write_labelmap(written, tmp_path / f"Maske ä{suffix}")
    copy = read_labelmap(path)
    np.testing.assert_array_equal(copy.array, written.array)
    assert copy.geometry.corner_distance(GRID) < 1e-4
    assert read_labelmap(path, geometry=GRID).geometry == GRID


def test_a_slicer_segmentation_keeps_its_segments(tmp_path: Path) -> None:
    path = write_labelmap(labelmap(), tmp_path / "mask.seg.nrrd")
    assert read_labelmap(path).segments == (LIVER, MASS)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_other_formats_hold_numbers_alone(tmp_path: Path, suffix: str) -> None:
    assert read_labelmap(write_labelmap(labelmap(), tmp_path / f"mask{suffix}")).segments == ()


def test_labels_stored_as_whole_floats_or_signed_numbers_are_labels(tmp_path: Path) -> None:
    for dtype in (np.float64, np.float32, np.int16, np.int64):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(labelmap().array.astype(dtype)), str(tmp_path / "mask.nrrd"))
        copy = read_labelmap(tmp_path / "mask.nrrd")
        assert copy.array.dtype == np.uint8
        np.testing.assert_array_equal(copy.array, labelmap().array)


@pytest.mark.parametrize("value", [0.5, -1.0, 70000.0, float("nan"), float("inf")])
def test_what_are_no_labels_is_refused(tmp_path: Path, value: float) -> None:
    array = np.zeros(GRID.shape, np.float32)
    array[1, 2, 3] = value
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(tmp_path / "mask.nrrd"))
    assert refusal(tmp_path / "mask.nrrd").code == "not_a_labelmap"


def test_a_mask_of_another_scan_is_refused(tmp_path: Path) -> None:
    path = write_labelmap(labelmap(), tmp_path / "mask.nrrd")
    other = Geometry(GRID.size, GRID.spacing, (0.0, 0.0, 0.0), GRID.direction)
    error = refusal(path, geometry=other)
    assert error.code == "geometry_mismatch"
    assert "9 x 8 x 7" in error.message


def test_unknown_endings_name_the_known_ones(tmp_path: Path) -> None:
    for name in ("mask.png", "mask.nhdr", "mask", "mask.seg"):
        with pytest.raises(GANSegmentationError) as caught:
            write_labelmap(labelmap(), tmp_path / name)
        assert caught.value.code == "unknown_format"
        assert all(suffix in caught.value.action for suffix in LABELMAP_SUFFIXES)
    (tmp_path / "mask.txt").write_text("x")
    assert refusal(tmp_path / "mask.txt").code == "unknown_format"
    assert refusal(tmp_path / "gone.nrrd").code == "file_not_found"
    assert refusal(tmp_path / "gone").code == "file_not_found"


def test_an_existing_file_is_kept_on_request(tmp_path: Path) -> None:
    path = write_labelmap(labelmap(), tmp_path / "mask.nrrd")
    before = path.read_bytes()
    with pytest.raises(GANSegmentationError) as caught:
        write_labelmap(labelmap(np.uint16), path, overwrite=False)
    assert caught.value.code == "file_exists"
    assert path.read_bytes() == before


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).code == "unknown_format"
