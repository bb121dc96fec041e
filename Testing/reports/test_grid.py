"""Grids show the pictures they were given, pixel by pixel."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from GANSegmentationLib.reports import image_grid


def pixels(png: bytes) -> Any:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_pictures_stand_in_rows_and_columns() -> None:
    levels = [[10, 60, 110], [160, 210, 250]]
    rows = [[np.full((200, 200), level, np.uint8) for level in row] for row in levels]
    sheet = pixels(image_grid(rows))
    assert sheet.shape == (2 * 206 + 6, 3 * 206 + 6, 3)
    for r, row in enumerate(levels):
        for c, level in enumerate(row):
            cell = sheet[6 + 206 * r : 206 + 206 * r, 6 + 206 * c : 206 + 206 * c]
            assert (cell == level).all()


def test_small_pictures_are_enlarged_by_whole_factors() -> None:
    picture = (np.arange(64, dtype=np.uint8) * 4).reshape(8, 8)
    sheet = pixels(image_grid([[picture]]))
    assert sheet.shape == (8 * 24 + 12, 8 * 24 + 12, 3)
    np.testing.assert_array_equal(sheet[6:-6:24, 6:-6:24, 0], picture)


def test_masks_and_probabilities_are_scaled_to_white() -> None:
    mask = np.eye(200, dtype=bool)
    probability = np.full((200, 200), 0.5, np.float32)
    probability[0, :4] = [np.nan, -1, 2, np.inf]
    sheet = pixels(image_grid([[mask, probability]]))
    assert sheet[6, 6, 0] == 255
    assert sheet[6, 7, 0] == 0
    assert list(sheet[6, 212:217, 0]) == [0, 0, 255, 255, 128]


def test_colour_pictures_keep_their_colours() -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[:] = (10, 120, 230)
    assert (pixels(image_grid([[picture]]))[100, 100] == (10, 120, 230)).all()


def test_titles_make_room_for_themselves() -> None:
    rows = [[np.zeros((200, 200), np.uint8)] * 2]
    plain = pixels(image_grid(rows)).shape
    titled = pixels(image_grid(rows, column_titles=("image", "mask"), row_titles=("v01",))).shape
    assert titled[0] > plain[0]
    assert titled[1] > plain[1]


def test_rows_of_different_lengths_and_sizes() -> None:
    rows = [[np.zeros((200, 100), np.uint8)], [np.zeros((50, 300), np.uint8)] * 2]
    assert pixels(image_grid(rows)).shape == (200 + 50 + 18, 600 + 18, 3)


@pytest.mark.parametrize(
    ("rows", "titles"),
    [
        ([], ()),
        ([[]], ()),
        ([[np.zeros((2, 2, 4), np.uint8)]], ()),
        ([[np.zeros((0, 2), np.uint8)]], ()),
        ([[np.zeros((2, 2), np.int32)]], ()),
        ([[np.zeros((2, 2), np.uint8)]], ("a", "b")),
    ],
)
def test_what_is_no_grid_of_pictures_is_refused(rows: Any, titles: Any) -> None:
    with pytest.raises(ValueError, match=r"picture|titles"):
        image_grid(rows, column_titles=titles)
