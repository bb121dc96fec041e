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
    pattern = re.compile(r"(case\d+)(_segmentation)?\.mhd")
    found: dict[tuple[Path, str], dict[bool, Path]] = {}
    for path in sorted(folder.rglob("*")):
        match = pattern.fullmatch(path.name.lower())
        if match and path.is_file():
            found.setdefault((path.parent, match[1]), {})[bool(match[2])] = path
    for (_, case), paths in found.items():
        name = f"promise12_{case}"
        data = [path.with_suffix(".raw") for path in paths.values()]
        there = (*paths.values(), *(path for path in data if path.is_file()))
        yield CaseSource(name, there, partial(_case, paths.get(False), paths.get(True), name))


def _case(image: Path | None, label: Path | None, name: str) -> ImportedCase:
    if image is None or label is None:
        there = image or label
        assert there is not None
        raise unreadable(there, "its scan is not there" if image is None else "its mask is not there")
    volume = read_volume(image)
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
