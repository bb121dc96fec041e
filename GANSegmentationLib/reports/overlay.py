"""A mask drawn over the scan it belongs to, beside its reference: pictures to check a segmentation by eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import GANSegmentationError
from ..volumes import Labelmap, Volume
from .colours import Colour
from .display import Box, Display, Window, body_box, display
from .drawing import PALE, new_sheet, paste, png_bytes, save_bytes, shortened, text, text_width
from .sections import Style, dice_words, extent_mm, fullest, make_style, section_picture, write_letters

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

_GAP: Final = 4
_THINNEST: Final = 12
"""A view across that would be fewer pixels high or wide shows nothing: a scan of one slice has no other side."""
_MARGIN: Final = 14


def overlay_slice(
    volume: Volume,
    mask: Labelmap,
    reference: Labelmap | None = None,
    *,
    index: int | None = None,
    plane: str = "axial",
    window: Window | None = None,
    title: str | None = None,
    size: int = 768,
    path: Path | None = None,
) -> bytes:
    """One slice with its mask, in radiological display: the patient's right on the left, anterior (or head) up.

    Parameters
    ----------
    index:
        The slice, counted along the array axis that `plane` cuts; None is the one with the largest labelled area.
    plane:
        ``"axial"``, ``"coronal"``, ``"sagittal"``, or ``"acquisition"`` for the volume's own slices.
    window:
        Intensities that become black and white; None is -100 to 240 HU for CT and percentiles otherwise.
    title:
        None is the volume's name.
    size:
        Pixels of the longer side of the slice.
    path:
        Where to write the picture; its folder exists.

    Returns
    -------
    The picture, PNG.

    Raises
    ------
    GANSegmentationError
        ``geometry_mismatch``, ``invalid_window``, ``invalid_slicing``, ``no_such_slice``; ``write_failed``.
    """
    shown = display(volume, mask, reference, plane)
    style = make_style(volume, mask, reference, window, text_size=18)
    index = fullest(shown) if index is None else _displayed(shown, index)
    box = body_box(shown, style.window)
    height, width = extent_mm(shown, box)
    scale = size / max(height, width)
    cell = (max(1, round(height * scale)), max(1, round(width * scale)))
    panel = _panel(shown, index, box, scale, cell, style)
    return _finish([[panel]], volume, mask, reference, style, title, path)


def overlay_montage(
    volume: Volume,
    mask: Labelmap,
    reference: Labelmap | None = None,
    *,
    indices: Sequence[int] | None = None,
    n: int = 10,
    plane: str = "axial",
    views: Sequence[str] = ("coronal", "sagittal"),
    columns: int = 4,
    window: Window | None = None,
    title: str | None = None,
    panel_width: int = 360,
    measured: bool = True,
    path: Path | None = None,
) -> bytes:
    """Several slices with their masks, head first, and two slices across them; what `overlay_slice` says holds here.

    The mask is a translucent area with a contour in its segment's colour; the reference is a contour in another colour
    that the colour-blind can tell from it. Pixels are square, all panels have one scale, and each says its slice (index
    along the array axis and position in the patient), and the Dice of the slice where there is a reference.

    Parameters
    ----------
    indices:
        The slices, counted along the array axis that `plane` cuts; None spreads `n` of them evenly over the labels.
    views:
        Planes of the further panels, each through the largest section of the labels; one in which the scan is but a
        line is left out.
    columns, panel_width:
        Panels in a row; the width of each, pixels.
    measured:
        Whether the voxel spacing is known. If not, nothing is said in millimetres or millilitres.
    """
    shown = display(volume, mask, reference, plane)
    style = replace(make_style(volume, mask, reference, window, text_size=15), measured=measured)
    chosen = _spread(shown, n) if indices is None else [_displayed(shown, index) for index in indices]
    if not chosen:
        raise GANSegmentationError("no_such_slice", "There is no slice to draw.", action="Name one slice or more.")
    box = body_box(shown, style.window)
    height, width = extent_mm(shown, box)
    # Square cells at most: a tall plane would make a sheet of endless length.
    scale = panel_width / max(width, height)
    cell = (max(1, round(height * scale)), panel_width)
    # Slices ascend to superior; people read from the head down.
    ordered = sorted(chosen, reverse=shown.plane == "axial") if indices is None else chosen
    panels = [_panel(shown, index, box, scale, cell, style) for index in ordered]
    for view in views:
        other = display(volume, mask, reference, view)
        other_box = body_box(other, style.window)
        extent = extent_mm(other, other_box)
        fitting = min(scale, *(limit / side for limit, side in zip(cell, extent, strict=True)))
        if min(extent) * fitting < _THINNEST:
            continue
        panels.append(_panel(other, fullest(other), other_box, fitting, cell, style))
    columns = max(1, min(columns, len(panels)))
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    return _finish(rows, volume, mask, reference, style, title, path)


def preview_picture(volume: Volume, mask: Labelmap, *, window: Window | None = None, size: int = 256) -> bytes:
    """A square picture without words for a list of models: the axial slice with the largest labelled area, PNG."""
    shown = display(volume, mask, None, "axial")
    style = make_style(volume, mask, None, window, text_size=0)
    box = body_box(shown, style.window)
    height, width = extent_mm(shown, box)
    scale = size / max(height, width)
    sheet, _ = new_sheet(size, size, (0, 0, 0))
    pixels = section_picture(shown, fullest(shown), box, scale, style)
    paste(sheet, pixels, (size - pixels.shape[1]) // 2, (size - pixels.shape[0]) // 2)
    return png_bytes(sheet)


def _displayed(shown: Display, index: int) -> int:
    """The displayed number of the slice with an index along the array axis."""
    if not 0 <= index < shown.n_slices:
        raise GANSegmentationError(
            "no_such_slice",
            f"There is no {shown.plane} slice {index}; the volume has the slices 0 to {shown.n_slices - 1}.",
            action="Name a slice of the volume.",
        )
    return shown.array_index(index)


def _spread(shown: Display, n: int) -> list[int]:
    """At most n slices evenly over those with labels, all slices where nothing is labelled."""
    there = np.flatnonzero(shown.areas())
    first, last = (int(there[0]), int(there[-1])) if there.size else (0, shown.n_slices - 1)
    count = max(1, min(n, last - first + 1))
    places = first + (np.arange(count) + 0.5) * (last - first + 1) / count
    return [int(place) for place in places]


def _panel(shown: Display, index: int, box: Box, scale: float, cell: tuple[int, int], style: Style) -> Image.Image:
    """A slice with its masks and its words in a cell ``(height, width)``."""
    height, width = cell
    sheet, draw = new_sheet(width, height, (0, 0, 0))
    pixels = section_picture(shown, index, box, scale, style)
    paste(sheet, pixels, (width - pixels.shape[1]) // 2, (height - pixels.shape[0]) // 2)
    size, edge = style.text_size, 8
    text(draw, (edge, edge), f"{shown.plane} {shown.array_index(index)}", size)
    if style.measured:
        text(draw, (width - edge, edge), shown.position(index), size, anchor="ra")
        _scale_bar(draw, width - edge, height - edge, scale, size)
    write_letters(draw, shown.letters, (width, height), size, edge)
    if shown.reference is not None:
        words = dice_words(shown.mask[index], shown.reference[index], style)
        text(draw, (edge, height - edge), f"Dice {words}", size, anchor="ld")
    return sheet


def _scale_bar(draw: ImageDraw.ImageDraw, right: int, bottom: int, scale: float, size: int) -> None:
    """5 cm, or what is about a seventh of the width in round figures."""
    length = 50.0
    for candidate in (100.0, 50.0, 20.0, 10.0, 5.0):
        length = candidate
        if candidate * scale <= right / 6:
            break
    pixels = round(length * scale)
    draw.rectangle((right - pixels - 1, bottom - 4, right + 1, bottom), fill=(0, 0, 0))
    draw.rectangle((right - pixels, bottom - 3, right, bottom - 1), fill=(255, 255, 255))
    text(draw, (right - pixels / 2, bottom - 6), f"{length / 10:g} cm", max(10, size - 2), anchor="md")


def _finish(
    rows: Sequence[Sequence[Image.Image]],
    volume: Volume,
    mask: Labelmap,
    reference: Labelmap | None,
    style: Style,
    title: str | None,
    path: Path | None,
) -> bytes:
    """Panels under a title and a legend, as PNG."""
    cell_width, cell_height = rows[0][0].size
    columns = max(len(row) for row in rows)
    width = max(columns * cell_width + (columns - 1) * _GAP, 480) + 2 * _MARGIN
    entries = _legend(mask, reference, style)
    lines = _broken_legend(entries, width - 2 * _MARGIN)
    top = 52 + 28 * len(lines) + 6
    height = top + len(rows) * (cell_height + _GAP) - _GAP + _MARGIN
    sheet, draw = new_sheet(width, height)
    low, high = style.window
    window_words = f"window {low:.4g} to {high:.4g}{' HU' if volume.modality == 'CT' else ''}"
    room = width - 2 * _MARGIN - text_width(window_words, 15) - 24
    heading = title if title is not None else (volume.name or volume.modality or "Scan")
    text(draw, (_MARGIN, 14), shortened(heading, 24, room), 24, halo=False)
    text(draw, (width - _MARGIN, 22), window_words, 15, anchor="ra", colour=PALE, halo=False)
    for number, line in enumerate(lines):
        _draw_legend(draw, line, 52 + 28 * number)
    for row, panels in enumerate(rows):
        for column, panel in enumerate(panels):
            place = (_MARGIN + column * (cell_width + _GAP), top + row * (cell_height + _GAP))
            sheet.paste(panel, place)
    data = png_bytes(sheet)
    if path is not None:
        save_bytes(data, Path(path))
    return data


@dataclass(frozen=True)
class _Entry:
    """A legend's entry: a sample of fill and line, or none, and its words."""

    words: str
    colour: Colour | None = None
    filled: bool = False

    @property
    def width(self) -> float:
        return text_width(self.words, 16) + (38 if self.colour else 0) + 26


def _legend(mask: Labelmap, reference: Labelmap | None, style: Style) -> list[_Entry]:
    def amount(voxels: int) -> str:
        return f" {voxels * mask.geometry.voxel_volume_ml:.1f} ml" if style.measured else ""

    entries = []
    for segment in style.segments:
        words = f"{segment.name}{amount(style.counts.get(segment.value, 0))}"
        entries.append(_Entry(words, segment.colour, filled=True))
    if not style.counts:
        entries.append(_Entry("the mask is empty"))
    if reference is not None:
        entries.append(_Entry(f"reference{amount(sum(style.reference_counts.values()))}", style.reference_colour))
        entries.append(_Entry(f"Dice {dice_words(mask.array, reference.array, style)}"))
    return entries


def _broken_legend(entries: Sequence[_Entry], width: float) -> list[list[_Entry]]:
    """Entries in lines that fit."""
    lines: list[list[_Entry]] = [[]]
    for entry in entries:
        if lines[-1] and sum(other.width for other in lines[-1]) + entry.width > width:
            lines.append([])
        lines[-1].append(entry)
    return lines


def _draw_legend(draw: ImageDraw.ImageDraw, entries: Sequence[_Entry], top: int) -> None:
    left = float(_MARGIN)
    for entry in entries:
        start = left
        if entry.colour is not None:
            faint: Colour = tuple(round(part * 0.5) for part in entry.colour)  # type: ignore[assignment]
            if entry.filled:
                draw.rectangle((left, top + 2, left + 28, top + 18), fill=faint, outline=entry.colour, width=2)
            else:
                draw.rectangle((left, top + 9, left + 28, top + 11), fill=entry.colour)
            left += 38
        text(draw, (left, top + 10), entry.words, 16, anchor="lm", halo=False)
        left = start + entry.width
