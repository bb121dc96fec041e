"""References as folders of pictures, the CHAOS way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import find_series, read_labelmap, read_volume

MASK = np.random.default_rng(3).random((5, 6, 7)) > 0.5

PictureWriter = Callable[..., Path]


@pytest.fixture
def write_pictures(tmp_path: Path) -> PictureWriter:
    def write(planes: np.ndarray, names: list[str] | None = None, mode: str | None = None) -> Path:
        folder = tmp_path / "Ground"
        folder.mkdir()
        for index, plane in enumerate(planes):
            picture = Image.fromarray(plane) if mode is None else Image.fromarray(plane).convert(mode)
            picture.save(folder / (names[index] if names else f"liver_GT_{index:03d}.png"))
        return folder

    return write


def refusal(folder: Path, **options: object) -> GANSegmentationError:
    with pytest.raises(GANSegmentationError) as caught:
        read_labelmap(folder, **options)  # type: ignore[arg-type]
    return caught.value


def test_pictures_follow_the_file_names_of_a_series_that_descends(  # type: ignore[no-untyped-def]
    write_series, stored, write_pictures, tmp_path
) -> None:
    write_series(stored, step=(0, 0, -2.0))  # as CHAOS CT: 000.dcm is the highest slice
    folder = write_pictures(MASK)
    labelmap = read_labelmap(folder, series=tmp_path / "series")
    np.testing.assert_array_equal(labelmap.array, MASK[::-1])
    assert labelmap.array.dtype == np.uint8
    assert labelmap.geometry == read_volume(tmp_path / "series").geometry


def test_pictures_follow_the_file_names_of_a_series_that_ascends(  # type: ignore[no-untyped-def]
    write_series, stored, write_pictures, tmp_path
) -> None:
    write_series(stored, step=(0, 0, 2.0))
    labelmap = read_labelmap(write_pictures(MASK), series=find_series(tmp_path / "series"))
    np.testing.assert_array_equal(labelmap.array, MASK)


def test_numbers_in_names_count_as_numbers(write_series, write_pictures, tmp_path) -> None:  # type: ignore[no-untyped-def]
    planes = np.arange(12, dtype=np.uint8)[:, None, None] * np.ones((1, 6, 7), np.uint8)
    write_series(planes.astype(np.uint16), names=[f"IM{k}" for k in range(12)])
    folder = write_pictures(planes, names=[f"mask{k}.png" for k in range(12)])
    np.testing.assert_array_equal(read_labelmap(folder, series=tmp_path / "series").array, planes)


def test_equal_names_win_over_the_order(write_series, stored, write_pictures, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, names=["d.dcm", "a.dcm", "e.dcm", "b.dcm", "c.dcm"])
    folder = write_pictures(MASK, names=["d.png", "a.png", "e.png", "b.png", "c.png"])
    np.testing.assert_array_equal(read_labelmap(folder, series=tmp_path / "series").array, MASK)


def test_names_out_of_order_are_refused(write_series, stored, write_pictures, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, names=["d.dcm", "a.dcm", "e.dcm", "b.dcm", "c.dcm"])
    assert refusal(write_pictures(MASK), series=tmp_path / "series").code == "png_mismatch"


@pytest.mark.parametrize(("mode", "factor"), [("1", 255), ("L", 255)])
def test_black_and_white_is_label_one(write_series, stored, write_pictures, tmp_path, mode, factor) -> None:  # type: ignore[no-untyped-def]
    write_series(stored)
    folder = write_pictures(MASK.astype(np.uint8) * np.uint8(factor), mode=mode)
    np.testing.assert_array_equal(read_labelmap(folder, series=tmp_path / "series").array, MASK)


def test_grey_values_are_labels_as_they_are(write_series, stored, write_pictures, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored)
    labels = np.random.default_rng(0).choice([0, 63, 126, 189, 252], MASK.shape).astype(np.uint8)
    folder = write_pictures(labels)
    np.testing.assert_array_equal(read_labelmap(folder, series=tmp_path / "series").array, labels)


def test_colour_pictures_are_refused(write_series, stored, write_pictures, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored)
    folder = write_pictures(MASK.astype(np.uint8) * np.uint8(255), mode="RGB")
    assert refusal(folder, series=tmp_path / "series").code == "not_a_labelmap"


def test_pictures_without_their_series_are_refused(write_series, stored, write_pictures, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored)
    geometry = read_volume(tmp_path / "series").geometry
    folder = write_pictures(MASK)
    assert refusal(folder, geometry=geometry).code == "series_needed"
    assert refusal(folder, geometry=geometry, series=tmp_path / "scan.nii.gz").code == "series_needed"


def test_another_number_or_size_is_refused(write_series, stored, write_pictures, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored)
    folder = write_pictures(MASK[:, :4])
    error = refusal(folder, series=tmp_path / "series")
    assert error.code == "png_mismatch"
    assert "7 x 4" in error.message
    (folder / "liver_GT_004.png").unlink()
    assert "4 pictures" in refusal(folder, series=tmp_path / "series").message


def test_a_damaged_picture_is_named(write_series, stored, write_pictures, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored)
    folder = write_pictures(MASK.astype(np.uint8) * np.uint8(255))
    for content in (b"not a picture", (folder / "liver_GT_002.png").read_bytes()[:-30]):
        (folder / "liver_GT_002.png").write_bytes(content)
        error = refusal(folder, series=tmp_path / "series")
        assert error.code == "damaged_file"
        assert "liver_GT_002.png" in error.message


def test_a_series_that_is_no_volume_says_why(write_series, stored, write_pictures, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, positions=[(0, 0, z) for z in (0, 2, 4, 8, 10)])
    assert refusal(write_pictures(MASK), series=tmp_path / "series").code == "missing_slices"
