"""Pixels, contours and text: what the pictures of the reports are made of. Pillow is imported where it is used."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ..volumes.atomic import written_beside
from .colours import Colour

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]
"""A grey ``(rows, columns)`` or colour ``(rows, columns, 3)`` picture."""

WHITE: Final[Colour] = (255, 255, 255)
PALE: Final[Colour] = (178, 184, 194)
GROUND: Final[Colour] = (14, 16, 20)

_FINE: Final = 3
"""Masks are drawn on a grid this much finer than the picture and averaged: smooth edges."""


def resized_grey(picture: Pixels, height: int, width: int) -> npt.NDArray[np.float32]:
    """A grey picture at another size, as colours ``(height, width, 3)`` float32, 0 to 255."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), Image.Resampling.BICUBIC)
    return np.repeat(np.asarray(image, dtype=np.float32)[:, :, None], 3, axis=2)


def paint_mask(
    canvas: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], colour: Colour, *, fill: float, line: float
) -> None:
    """Paint a mask over a canvas ``(height, width, 3)``, in place: a translucent fill, and a contour just inside.

    Parameters
    ----------
    mask:
        ``(rows, columns)``, of any size; it covers the whole canvas.
    fill:
        Opacity of the fill, 0 for none.
    line:
        Width of the contour in pixels of the canvas, 0 for none.
    """
    if not mask.any():
        return
    height, width = canvas.shape[:2]
    fine = _resized_mask(mask, height * _FINE, width * _FINE)
    if fill > 0:
        _blend(canvas, _coverage(fine) * fill, colour)
    if line > 0:
        _blend(canvas, _coverage(fine & ~_eroded(fine, max(1, round(line * _FINE)))), colour)


def to_pixels(canvas: npt.NDArray[np.float32]) -> Pixels:
    """A canvas as a picture."""
    pixels: Pixels = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    return pixels


def new_sheet(width: int, height: int, colour: Colour = GROUND) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty picture and what draws on it."""
    from PIL import Image, ImageDraw

    sheet = Image.new("RGB", (width, height), colour)
    return sheet, ImageDraw.Draw(sheet)


def paste(sheet: Image.Image, pixels: Pixels, left: int, top: int) -> None:
    """Put a picture on a sheet."""
    from PIL import Image

    sheet.paste(Image.fromarray(pixels), (left, top))


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font, the same on every machine."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def text(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    words: str,
    size: int,
    *,
    anchor: str = "la",
    colour: Colour = WHITE,
    halo: bool = True,
) -> None:
    """Write a line; `anchor` as Pillow's; a halo keeps it legible on a picture."""
    draw.text(place, words, fill=colour, font=font(size), anchor=anchor, **_halo(size if halo else 0))


def text_width(words: str, size: int) -> float:
    """How wide a line will be, pixels."""
    return float(font(size).getlength(words))


def shortened(words: str, size: int, width: float) -> str:
    """The line, cut to a width with an ellipsis if it is longer."""
    if text_width(words, size) <= width:
        return words
    while words and text_width(words + "...", size) > width:
        words = words[:-1]
    return words.rstrip() + "..."


def png_bytes(sheet: Image.Image) -> bytes:
    """A picture as PNG."""
    stream = io.BytesIO()
    sheet.save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def webp_bytes(sheet: Image.Image, quality: int) -> bytes:
    """A picture as WebP: a third of a PNG's size or less, with losses that `quality` (0 to 100) limits."""
    stream = io.BytesIO()
    sheet.save(stream, "WEBP", quality=quality, method=4)
    return stream.getvalue()


def save_bytes(data: bytes, path: Path) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    GANSegmentationError
        ``folder_not_found``, ``write_failed``.
    """
    with written_beside(path) as folder:
        (folder / path.name).write_bytes(data)


def _halo(size: int) -> dict[str, Any]:
    return {"stroke_width": 2 if size >= 14 else 1, "stroke_fill": (0, 0, 0)} if size else {}


def _resized_mask(mask: npt.NDArray[np.bool_], height: int, width: int) -> npt.NDArray[np.bool_]:
    from PIL import Image

    image = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    if height < mask.shape[0] or width < mask.shape[1]:
        # A picture coarser than the mask shows a pixel wherever the mask has any: nothing small is lost.
        return np.asarray(image.resize((width, height), Image.Resampling.BOX)) > 0
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)) >= 128


def _eroded(mask: npt.NDArray[np.bool_], steps: int) -> npt.NDArray[np.bool_]:
    """The mask without its outer `steps` pixels; 4- and 8-neighbours in turn, so that a contour is evenly wide.

    Outside of the picture counts as inside: a mask that is cut off by the edge has no contour along it.
    """
    for step in range(steps):
        padded = np.pad(mask, 1, mode="edge")
        rows = padded[:-2] & padded[1:-1] & padded[2:]
        if step % 2:
            mask = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
        else:
            mask = rows[:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def _coverage(fine: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    height, width = fine.shape[0] // _FINE, fine.shape[1] // _FINE
    blocks = fine.reshape(height, _FINE, width, _FINE)
    covered: npt.NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return covered


def _blend(canvas: npt.NDArray[np.float32], opacity: npt.NDArray[np.float32], colour: Colour) -> None:
    canvas += opacity[:, :, None] * (np.array(colour, dtype=np.float32) - canvas)
