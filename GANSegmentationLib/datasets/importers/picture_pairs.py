"""Side-by-side pairs, the form of pix2pix and of seed 000: one PNG, the image in its left half, the mask in its right.

Pairs lie in one folder or in ``train``, ``val`` and ``test``. Those that this project has written (`pair_export`) come
with ``pairs.json``, which says what PNG cannot: patients, window, labels, spacing. Pairs from elsewhere are single
slices of grey 0 to 255 with a patient in the name or a patient each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ...settings import read_settings
from .case import CaseSource, ImportedCase
from .mask_values import MaskValues
from .paired_folders import patient_of, patient_pattern
from .pictures import case_name, grey_picture, in_sub_folders, refuse_sub_folders, unreadable
from .registry import importer_with

LISTING = "pairs.json"
SCHEMA = 1
PARTS = ("", "train", "val", "test")
"""Where pairs lie in their folder."""


@dataclass(frozen=True)
class PairLabel:
    """A label of written pairs: its value in the dataset, the grey value it is painted in, its name."""

    value: int
    grey: int
    name: str


@dataclass(frozen=True)
class PairCase:
    """A case of written pairs, in the words of `dataset.Case`: ``grey * slope + intercept`` is the value in `unit`."""

    id: str
    patient: str
    modality: str
    unit: str
    slope: float
    intercept: float
    value_range: tuple[float, float]
    files: tuple[str, ...]
    slice_index: tuple[int, ...]
    spacing_zyx: tuple[float, float, float] | None = None
    licence: str = ""
    is_volume: bool = True


@dataclass(frozen=True)
class PairListing:
    """What ``pairs.json`` says: the window in words, labels and cases."""

    schema: int
    window: str
    labels: tuple[PairLabel, ...]
    cases: tuple[PairCase, ...]


@dataclass(frozen=True)
class PairOptions:
    """``mask_side``: where the mask is. The others, for pairs without ``pairs.json``, are as those of `paired`."""

    mask_side: Literal["left", "right"] = "right"
    values: tuple[str, ...] = ()
    label: str = "Foreground"
    patient: str = ""
    name: str = ""
    modality: str = "OT"
    licence: str = ""


def _labels(folder: Path, options: PairOptions) -> dict[int, str]:
    listing = _listing(folder)
    if listing is not None:
        return {label.value: label.name for label in listing.labels}
    return dict(MaskValues.parse(options.values, name=options.label).labels)


@importer_with("pairs", PairOptions, _labels)
def pairs(folder: Path, options: PairOptions) -> Iterator[CaseSource]:
    """Side-by-side PNG pairs. JPEG pairs are refused: JPEG blurs the edge of a mask."""
    listing = _listing(folder)
    if listing is not None:
        greys = {label.value: label.grey for label in listing.labels}
        for case in sorted(listing.cases, key=lambda each: each.id):
            files = tuple(folder / name for name in case.files)
            yield CaseSource(case.id, (*files, folder / LISTING), partial(_written_case, case, files, greys))
        return
    values = MaskValues.parse(options.values, name=options.label)
    pattern = patient_pattern(options.patient)
    prefix = options.name or folder.name
    for part in PARTS:
        for path in sorted((folder / part).iterdir()) if (folder / part).is_dir() else ():
            if path.suffix.lower() in (".png", ".jpg", ".jpeg"):
                name = case_name(*(word for word in (prefix, part, path.stem) if word))
                yield CaseSource(name, (path,), partial(_foreign_case, name, prefix, path, options, values, pattern))
    deeper = in_sub_folders([folder, *(folder / part for part in PARTS)], (".png", ".jpg", ".jpeg"))
    if deeper:
        yield CaseSource(case_name(prefix, "sub-folders"), tuple(deeper), partial(refuse_sub_folders, folder, deeper))


def _listing(folder: Path) -> PairListing | None:
    path = folder / LISTING
    if not path.is_file():
        return None
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(path, f"it is no JSON ({error})") from error
    listing = read_settings(PairListing, fields, code="invalid_source", where=str(path))
    if listing.schema != SCHEMA:
        raise unreadable(path, f"its schema is {listing.schema}, expected {SCHEMA}")
    for case in listing.cases:
        if len(case.files) != len(case.slice_index) or not case.files or case_name(case.id) != case.id:
            raise unreadable(path, f"the case {case.id} has {len(case.files)} files and {len(case.slice_index)} slices")
        if any(Path(name).is_absolute() or ".." in Path(name).parts for name in case.files):
            raise unreadable(path, f"the case {case.id} names files outside of its folder")
    return listing


def _halves(path: Path, mask_side: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Image and mask of a pair, each ``(rows, columns)``."""
    if path.suffix.lower() != ".png":
        raise unreadable(path, "it is not PNG: JPEG blurs the edge of a mask")
    values = grey_picture(path, of_equal_channels=True, by_palette=True)
    if values.dtype != np.uint8:
        raise unreadable(path, f"its grey values are {values.dtype}, not 8 bit")
    if values.shape[1] % 2:
        raise unreadable(path, f"{values.shape[1]} columns are not two halves")
    left, right = np.split(values, 2, axis=1)
    return (left, right) if mask_side == "right" else (right, left)


def _written_case(case: PairCase, files: tuple[Path, ...], greys: Mapping[int, int]) -> ImportedCase:
    images: list[npt.NDArray[np.uint8]] = []
    masks: list[npt.NDArray[np.uint8]] = []
    labels = MaskValues(dict.fromkeys(greys, ""), tuple(float(grey) for grey in greys.values()))
    table = np.array([0, *greys], np.uint8)
    for path in files:
        image, mask = _halves(path, "right")
        if images and image.shape != images[0].shape:
            raise unreadable(path, f"its shape {image.shape} is not the {images[0].shape} of the pairs before")
        images.append(image)
        masks.append(table[labels.read(mask, path)])
    return ImportedCase(
        id=case.id,
        patient=case.patient,
        modality=case.modality,
        unit=case.unit,
        images=np.stack(images),
        masks=np.stack(masks),
        slice_index=case.slice_index,
        slope=case.slope,
        intercept=case.intercept,
        value_range=case.value_range,
        spacing_zyx=case.spacing_zyx,
        licence=case.licence,
        is_volume=case.is_volume,
    )


def _foreign_case(
    name: str, prefix: str, path: Path, options: PairOptions, values: MaskValues, pattern: re.Pattern[str]
) -> ImportedCase:
    image, mask = _halves(path, options.mask_side)
    return ImportedCase(
        id=name,
        # Without a pattern the whole name is the patient's: a name may be there in train and again in test.
        patient=case_name(prefix, patient_of(path.stem, pattern, path)) if pattern.pattern else name,
        modality=options.modality,
        unit="arbitrary",
        images=image[None],
        masks=values.read(mask, path)[None],
        slice_index=(0,),
        value_range=(0.0, 255.0),
        licence=options.licence,
        is_volume=False,
    )
