"""LiTS (P. Bilic et al., 2019) as volumes: ``volume-N.nii`` with ``segmentation-N.nii``, gzipped or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ...volumes import read_volume
from .case import CaseSource, ImportedCase
from .mask_values import Masks, apply_relabelling, plain_labels, relabelled
from .pictures import unreadable
from .registry import importer_with
from .same_patients import lits_patient
from .scans import labels_on_grid, scan_case

LABELS = {1: "Liver", 2: "Liver tumour"}


@dataclass(frozen=True)
class LitsOptions:
    """``merge``: labels that become another; by itself a tumour is part of the liver. ``2=2`` keeps both."""

    merge: tuple[str, ...] = ("2=1",)


def _labels(folder: Path, options: LitsOptions) -> dict[int, str]:
    return relabelled(LABELS, options.merge)[0]


@importer_with("lits", LitsOptions, _labels)
def lits(folder: Path, options: LitsOptions) -> Iterator[CaseSource]:
    """LiTS volumes, wherever below the folder they lie: the sets were published in several arrangements of folders."""
    becomes = relabelled(LABELS, options.merge)[1]
    volumes, masks = _numbered(folder, "volume"), _numbered(folder, "segmentation")
    for number in sorted(volumes.keys() | masks.keys()):
        found = (volumes.get(number, []), masks.get(number, []))
        name = f"lits_{number:02d}"
        yield CaseSource(name, (*found[0], *found[1]), partial(_case, folder, number, found, becomes))


def _numbered(folder: Path, word: str) -> dict[int, list[Path]]:
    pattern = re.compile(rf"{word}-(\d+)\.nii(\.gz)?", re.IGNORECASE)
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        # Some arrangements wrap each file in a folder of its name.
        if path.is_file() and (match := pattern.fullmatch(path.name)):
            found.setdefault(int(match.group(1)), []).append(path)
    return found


def _case(folder: Path, number: int, found: tuple[list[Path], list[Path]], becomes: dict[int, int]) -> ImportedCase:
    for word, paths in zip(("volume", "segmentation"), found, strict=True):
        if len(paths) != 1:
            listed = ", ".join(str(path.relative_to(folder)) for path in paths) or "none"
            raise unreadable(folder, f"of {word}-{number} there should be one file ({listed})")
    image, label = found[0][0], found[1][0]
    volume = read_volume(image)

    def read(values: npt.NDArray[Any], path: Path) -> Masks:
        return apply_relabelling(plain_labels(values, path, LABELS), becomes)

    return scan_case(
        f"lits_{number:02d}",
        volume,
        labels_on_grid(volume, label, read),
        path=image,
        patient=lits_patient(number),
        modality="CT",
        unit="HU",
        licence="LiTS CC BY-NC-ND 4.0; the same cases are CC BY-SA 4.0 in MSD Task03",
    )
