"""PROMISE12 (G. Litjens et al., 2014): prostate MR T2, ``CaseNN.mhd`` with ``CaseNN_segmentation.mhd``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ...volumes import read_volume
from .case import CaseSource, ImportedCase
from .mask_values import plain_labels
from .pictures import unreadable
from .registry import importer
from .scans import labels_on_grid, scan_case

PROSTATE = {1: "Prostate"}


@importer("promise12", PROSTATE)
def promise12(folder: Path) -> Iterator[CaseSource]:
    """PROMISE12, the headers with their ``.raw`` files, in the folder or below it."""
    for image in sorted(folder.rglob("Case*.mhd")):
        if re.fullmatch(r"Case\d+", image.stem):
            label = image.with_name(f"{image.stem}_segmentation.mhd")
            files = (image, image.with_suffix(".raw"), label, label.with_suffix(".raw"))
            there = tuple(path for path in files if path.is_file())
            yield CaseSource(f"promise12_{image.stem.lower()}", there, partial(_case, image, label))


def _case(image: Path, label: Path) -> ImportedCase:
    if not label.is_file():
        raise unreadable(image, f"its mask {label.name} is not there")
    volume = read_volume(image)
    name = f"promise12_{image.stem.lower()}"
    return scan_case(
        name,
        volume,
        labels_on_grid(volume, label, partial(plain_labels, known=PROSTATE)),
        path=image,
        patient=name,
        modality="MR",
        unit="arbitrary",
        licence="PROMISE12 terms: research",
    )
