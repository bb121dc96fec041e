"""The pictures of a case, made while scan and mask are in memory: slices to look at first, one across, the body.

All pictures of a case have one size and are small: the report of a thousand cases has to open.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..reports.display import Box, Display, body_box, display
from ..reports.drawing import Pixels, new_sheet, paste, webp_bytes
from ..reports.relief import LETTERS, relief
from ..reports.review import Choice, slices_to_review
from ..reports.sections import Style, agreement, extent_mm, fullest, make_style, section_picture, write_letters
from ..volumes import Labelmap, Volume
from .sheets import SIGNALS, Colour, ModelFacts, Picture, Sheet

if TYPE_CHECKING:
    from ..inference import Result
    from ..models import Card

SIZE: Final = (320, 256)
"""Width and height of a picture, pixels."""

_QUALITY: Final = 62
_TEXT: Final = 17
_THINNEST: Final = 12
"""A view that would be fewer pixels high or wide shows nothing: a scan of one slice has no other side."""


def make_sheet(
    volume: Volume, result: Result, card: Card, reference: Labelmap | None, scores: Sequence[Mapping[str, Any]] | None
) -> Sheet:
    """The sheet of a case.

    Parameters
    ----------
    volume:
        The scan that the mask lies over.
    scores:
        The comparison with the reference (`metrics.LabelScores.to_dict`), which says which label is which.

    Raises
    ------
    GANSegmentationError
        ``geometry_mismatch`` if scan, mask and reference are not on one grid.
    """
    mask = result.labelmap
    reference = None if reference is None else _with_values_of_mask(reference, scores or ())
    style = make_style(volume, mask, reference, None, _TEXT)
    shown = display(volume, mask, reference, card.slicing.plane)
    across = display(volume, mask, reference, "axial" if shown.plane == "coronal" else "coronal")
    low, high = style.window
    pictures = [*_chosen(shown, style, _doubt(shown, result)), *_across(across, style), *_body(mask, reference, style)]
    return Sheet(
        model=model_facts(card),
        scan=_scan_words(volume),
        window=f"{low:.4g} to {high:.4g}{' HU' if volume.modality == 'CT' else ''}",
        structures=tuple(Colour(segment.name, segment.colour) for segment in style.segments),
        reference=None if reference is None else style.reference_colour,
        pictures=tuple(pictures),
    )


def model_facts(card: Card) -> ModelFacts:
    """What the report says of a model."""
    from ..models.card import MODEL_FILE
    from ..models.description import metric_text

    file = card.files.get(MODEL_FILE)
    return ModelFacts(
        id=card.id,
        version=card.version,
        title=card.title,
        modalities=tuple(card.modalities),
        intended_use=card.intended_use,
        limitations=card.limitations,
        measured=tuple(metric_text(metric) for metric in card.metrics),
        weights_licence=card.weights_licence,
        weights_sha256="" if file is None else file.sha256,
        date=card.training.date,
    )


def _chosen(shown: Display, style: Style, doubt: Sequence[float] | None) -> Iterator[Picture]:
    box = body_box(shown, style.window)
    for choice in slices_to_review(shown, one_structure=style.one_structure, doubt=doubt):
        yield from _section(shown, choice, box, style)


def _across(shown: Display, style: Style) -> Iterator[Picture]:
    index = fullest(shown)
    dice = None
    if shown.reference is not None:
        same, total = agreement(shown.mask[index], shown.reference[index], one_structure=style.one_structure)
        dice = 2 * same / total if total else None
    yield from _section(shown, Choice(index, "largest section", dice), body_box(shown, style.window), style)


def _body(mask: Labelmap, reference: Labelmap | None, style: Style) -> Iterator[Picture]:
    pixels = relief(mask, style.segments, SIZE, reference=reference, reference_colour=style.reference_colour)
    if pixels is not None:
        yield _picture(pixels, LETTERS, "3D from the front", "the whole mask", None)


def _section(shown: Display, choice: Choice, box: Box, style: Style) -> Iterator[Picture]:
    """A slice in the middle of a black picture, as large as there is room for."""
    extent = extent_mm(shown, box)
    scale = min(SIZE[1] / extent[0], SIZE[0] / extent[1])
    if min(extent) * scale < _THINNEST:
        return
    pixels = section_picture(shown, choice.index, box, scale, style)
    view = f"{shown.plane} {shown.array_index(choice.index)}, {shown.position(choice.index)}"
    yield _picture(pixels, shown.letters, view, choice.why, choice.dice)


def _picture(pixels: Pixels, letters: tuple[str, str, str, str], view: str, why: str, dice: float | None) -> Picture:
    """The pixels in the middle of a picture, with the patient's sides at its edges."""
    sheet, draw = new_sheet(*SIZE, (0, 0, 0))
    paste(sheet, pixels, (SIZE[0] - pixels.shape[1]) // 2, (SIZE[1] - pixels.shape[0]) // 2)
    write_letters(draw, letters, SIZE, _TEXT, 5)
    data = base64.b64encode(webp_bytes(sheet, _QUALITY)).decode()
    return Picture(view, why, None if dice is None else round(dice, 4), *SIZE, data)


def _doubt(shown: Display, result: Result) -> list[float] | None:
    """The signal of every displayed slice, where the model's slices are those that are displayed."""
    values = result.signals.get(SIGNALS[0])
    if values is None or shown.array_axis != result.slice_axis:
        return None
    return [values[shown.array_index(index)] for index in range(shown.n_slices)]


def _with_values_of_mask(reference: Labelmap, scores: Sequence[Mapping[str, Any]]) -> Labelmap:
    """The reference with the label values that the mask has for the same structures."""
    pairs = {
        row["reference_value"]: row["value"]
        for row in scores
        if row.get("value") is not None and row.get("reference_value") is not None
    }
    if all(own == other for own, other in pairs.items()) or not reference.array.size:
        return reference
    largest = max(int(reference.array.max()), *pairs)
    if largest > np.iinfo(np.uint16).max:
        return reference  # labels that are no small numbers: the pictures compare them as they are
    table = np.arange(largest + 1, dtype=np.uint16)
    for value in set(pairs.values()) - set(pairs):
        if value <= largest:
            table[value] = 0  # another structure that happens to have this number
    for own, value in pairs.items():
        table[own] = value
    return replace(reference, array=table[reference.array], segments=())


def _scan_words(volume: Volume) -> str:
    size = " × ".join(str(n) for n in volume.geometry.size)
    spacing = " × ".join(f"{mm:.3g}" for mm in volume.geometry.spacing)
    return f"{volume.modality or 'unknown modality'}, {size} voxels of {spacing} mm"
