"""A grid of small pictures, such as image, mask and prediction of some training slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .drawing import PALE, Pixels, new_sheet, paste, png_bytes, shortened, text, text_width, to_pixels

_GAP: Final = 6
_SMALLEST: Final = 192
_TITLE: Final = 15


def image_grid(
    rows: Sequence[Sequence[npt.NDArray[Any]]],
    *,
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
) -> bytes:
    """Pictures in rows and columns, PNG.

    Parameters
    ----------
    rows:
        Pictures ``(height, width)`` grey or ``(height, width, 3)`` colour: uint8, bool, or float in [0, 1] (NaN is
        black). Sizes may differ; small pictures are enlarged by whole factors, so that pixels stay pixels.
    column_titles, row_titles:
        Words over the columns and before the rows; none, or one for each.

    Raises
    ------
    ValueError
        For no pictures, other shapes or types, or titles that do not fit.
    """
    pictures = [[_pixels(picture) for picture in row] for row in rows]
    columns = max((len(row) for row in pictures), default=0)
    if not columns:
        raise ValueError("there are no pictures to show")
    if len(column_titles) not in (0, columns) or len(row_titles) not in (0, len(rows)):
        raise ValueError(f"{len(column_titles)} and {len(row_titles)} titles for {columns} columns, {len(rows)} rows")
    largest = max(max(picture.shape[:2]) for row in pictures for picture in row)
    factor = max(1, -(-_SMALLEST // largest))
    pictures = [[picture.repeat(factor, 0).repeat(factor, 1) for picture in row] for row in pictures]
    widths = [max(row[c].shape[1] for row in pictures if c < len(row)) for c in range(columns)]
    heights = [max((picture.shape[0] for picture in row), default=1) for row in pictures]
    left = _GAP + (round(max(text_width(title, _TITLE) for title in row_titles)) + 12 if row_titles else 0)
    top = _GAP + (_TITLE + 12 if column_titles else 0)
    sheet, draw = new_sheet(left + sum(widths) + _GAP * columns, top + sum(heights) + _GAP * len(rows))
    for c, title in enumerate(column_titles):
        middle = left + sum(widths[:c]) + _GAP * c + widths[c] / 2
        text(draw, (middle, top - 8), shortened(title, _TITLE, widths[c]), _TITLE, anchor="ms", halo=False)
    for r, row in enumerate(pictures):
        y = top + sum(heights[:r]) + _GAP * r
        if row_titles:
            text(draw, (left - 10, y + heights[r] / 2), row_titles[r], _TITLE, anchor="rm", colour=PALE, halo=False)
        for c, picture in enumerate(row):
            x = left + sum(widths[:c]) + _GAP * c
            paste(sheet, picture, x + (widths[c] - picture.shape[1]) // 2, y + (heights[r] - picture.shape[0]) // 2)
    return png_bytes(sheet)


def _pixels(picture: npt.NDArray[Any]) -> Pixels:
    array = np.asarray(picture)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or 0 in array.shape:
        raise ValueError(f"a picture has the shape {array.shape}, not (height, width) or (height, width, 3)")
    if array.dtype == np.bool_:
        return to_pixels(array * np.float32(255))
    if array.dtype.kind == "f":
        return to_pixels(np.clip(np.nan_to_num(array, nan=0.0), 0, 1) * 255)
    if array.dtype != np.uint8:
        raise ValueError(f"a picture has the type {array.dtype}, not uint8, bool or float")
    return array
