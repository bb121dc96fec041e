"""Chest X-rays with lung masks (S. Jaeger et al., 2014): the Montgomery set, and its usual mixture with Shenzhen's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from .case import CaseSource, ImportedCase
from .mask_values import inside
from .pictures import case_name, grey_picture, require_alike, unreadable
from .registry import importer

IMAGES = "CXR_png"
SIDES = (Path("ManualMask", "leftMask"), Path("ManualMask", "rightMask"))
MERGED = ("masks", "mask")
"""Folders of masks of both lungs together, ``<name>.png`` or ``<name>_mask.png``."""


@importer("chest_xray", {1: "Lung"})
def chest_xray(folder: Path) -> Iterator[CaseSource]:
    """``CXR_png/<name>.png`` with ``ManualMask/{leftMask,rightMask}/<name>.png``, or both lungs in ``masks``.

    The two lungs become one label. 8 and 16 bit are kept as they are. Each picture is a patient's.
    """
    for image in sorted(path for path in (folder / IMAGES).glob("*") if path.suffix.lower() == ".png"):
        masks = _masks(folder, image)
        name = case_name("cxr", image.stem)
        yield CaseSource(name, (image, *(path for path in masks if path.is_file())), partial(_case, image, masks, name))


def _masks(folder: Path, image: Path) -> tuple[Path, ...]:
    """Where the masks of an image are, or should be."""
    merged = [folder / place / f"{image.stem}{end}.png" for place in MERGED for end in ("_mask", "")]
    found = next((path for path in merged if path.is_file()), None)
    return (found,) if found is not None else tuple(folder / side / image.name for side in SIDES)


def _case(image: Path, masks: tuple[Path, ...], name: str) -> ImportedCase:
    values = grey_picture(image, of_equal_channels=True, by_palette=True)
    if values.dtype.kind not in "iu":
        raise unreadable(image, f"its values are {values.dtype}, not the grey of 8 or 16 bit")
    lung = np.zeros(values.shape, np.bool_)
    for path in masks:
        if not path.is_file():
            raise unreadable(image, f"its mask {path.parent.name}/{path.name} is not there")
        side = inside(grey_picture(path, of_equal_channels=True), path)
        require_alike(values, side, path)
        lung |= side
    return ImportedCase(
        id=name,
        patient=name,
        modality="DX",
        unit="arbitrary",
        images=values[None],
        masks=lung.astype(np.uint8)[None],
        slice_index=(0,),
        value_range=(0.0, 255.0) if values.dtype == np.uint8 else (float(values.min()), float(values.max())),
        licence="NLM: public, with citation",
        is_volume=False,
    )
