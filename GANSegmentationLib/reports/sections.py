"""Sections through a scan with its masks painted over: what every picture of a segmentation is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ..volumes import Labelmap, Segment, Volume
from .colours import Colour, contrasting_colour
from .display import Box, Display, Window, choose_window, grey, label_counts
from .drawing import Pixels, paint_mask, resized_grey, text, to_pixels

if TYPE_CHECKING:
    from PIL import ImageDraw

Labels = npt.NDArray[np.unsignedinteger]

_FILL: Final = 0.32
_MASK_LINE: Final = 2.4
_REFERENCE_LINE: Final = 1.2
_SEGMENT_COLOURS: Final[tuple[Colour, ...]] = ((221, 130, 101), (128, 174, 128), (241, 214, 145), (144, 144, 220))


@dataclass(frozen=True)
class Style:
    """What all panels of a picture share: the segments to draw, the voxels of every value in mask and reference, and
    whether both show one structure, so that their values need not be the same."""

    window: Window
    segments: tuple[Segment, ...]
    reference_colour: Colour
    text_size: int
    counts: Mapping[int, int]
    reference_counts: Mapping[int, int]
    one_structure: bool
    measured: bool = True


def make_style(
    volume: Volume, mask: Labelmap, reference: Labelmap | None, window: Window | None, text_size: int
) -> Style:
    """The look of pictures of a scan; raises ``invalid_window``."""
    counts = label_counts(mask.array)
    reference_counts = {} if reference is None else label_counts(reference.array)
    segments = _segments(mask, reference, counts)
    return Style(
        window=choose_window(volume, window),
        segments=segments,
        reference_colour=contrasting_colour([segment.colour for segment in segments]),
        text_size=text_size,
        counts=counts,
        reference_counts=reference_counts,
        one_structure=_is_one_structure(mask, reference, counts, reference_counts),
    )


def _segments(mask: Labelmap, reference: Labelmap | None, counts: Mapping[int, int]) -> tuple[Segment, ...]:
    """The mask's segments, and one for every value that has none: a labelmap without a table is drawn too."""
    known = {segment.value: segment for segment in mask.segments}
    if reference is not None and not known:
        known = {segment.value: segment for segment in reference.segments if segment.value in counts}
    for place, value in enumerate(sorted(set(counts) - set(known))):
        known[value] = Segment(value, f"label {value}", _SEGMENT_COLOURS[place % len(_SEGMENT_COLOURS)])
    return tuple(known[value] for value in sorted(known))


def _is_one_structure(
    mask: Labelmap, reference: Labelmap | None, counts: Mapping[int, int], reference_counts: Mapping[int, int]
) -> bool:
    """Whether both show one structure, so that their label values need not be the same (1 here, 255 there)."""
    if reference is None or len(counts) > 1 or len(reference_counts) > 1:
        return False
    names = {segment.name for segment in mask.segments if segment.value in counts}
    others = {segment.name for segment in reference.segments if segment.value in reference_counts}
    return not names or not others or names == others


def fullest(shown: Display) -> int:
    """The slice with the largest labelled area; the middle one where nothing is labelled."""
    areas = shown.areas()
    return int(np.argmax(areas)) if areas.any() else shown.n_slices // 2


def extent_mm(shown: Display, box: Box) -> tuple[float, float]:
    """Height and width of a box of a slice."""
    rows, columns = box
    return (rows.stop - rows.start) * shown.spacing_mm[1], (columns.stop - columns.start) * shown.spacing_mm[2]


def section_picture(shown: Display, index: int, box: Box, scale: float, style: Style) -> Pixels:
    """A slice with its masks, `scale` pixels a millimetre."""
    height, width = (max(1, round(side * scale)) for side in extent_mm(shown, box))
    canvas = resized_grey(grey(shown.image[index][box], style.window), height, width)
    labels = shown.mask[index][box]
    for segment in style.segments:
        paint_mask(canvas, labels == segment.value, segment.colour, fill=_FILL, line=_MASK_LINE)
    if shown.reference is not None:
        truth = shown.reference[index][box]
        for value in np.unique(truth[truth > 0]):
            paint_mask(canvas, truth == value, style.reference_colour, fill=0.0, line=_REFERENCE_LINE)
    return to_pixels(canvas)


def write_letters(
    draw: ImageDraw.ImageDraw, letters: tuple[str, str, str, str], size: tuple[int, int], text_size: int, edge: int
) -> None:
    """Say at the edges of a picture ``(width, height)`` which side of the patient lies there."""
    width, height = size
    left, right, top, bottom = letters
    text(draw, (edge, height / 2), left, text_size, anchor="lm")
    text(draw, (width - edge, height / 2), right, text_size, anchor="rm")
    text(draw, (width / 2, edge), top, text_size, anchor="ma")
    text(draw, (width / 2, height - edge), bottom, text_size, anchor="md")


def agreement(mask: Labels, reference: Labels, *, one_structure: bool) -> tuple[int, int]:
    """Of some voxels: how many both label alike (other than 0), and the labelled ones of the mask plus those of the
    reference. Twice the first by the second is the Dice of all labels together.

    `one_structure` says that the values need not be the same.
    """
    same = (mask > 0) & (reference > 0) if one_structure else (mask == reference) & (mask > 0)
    return int(np.count_nonzero(same)), int(np.count_nonzero(mask)) + int(np.count_nonzero(reference))


def dice_words(mask: Labels, reference: Labels, style: Style) -> str:
    """The Dice of all labels together, as it is written."""
    same, total = agreement(mask, reference, one_structure=style.one_structure)
    return f"{2 * same / total:.3f}" if total else "-"
