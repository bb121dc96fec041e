"""Liver CT as single 8-bit slices: excerpts of LiTS and of MSD Task03."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .case import CaseSource, ImportedCase
from .mask_values import Masks, plain_labels
from .pictures import grey_picture, require_alike, unreadable
from .registry import importer


@importer("lits_slices")
def lits_slices(folder: Path) -> Iterator[CaseSource]:
    """LiTS as axial slices: ``vNN/sKKK.jpg`` (grey 0..255 = HU -40..160), ``sKKK_mask.png`` (1 liver, 2 tumour).

    Both labels are liver here: a tumour in the liver is part of the organ.
    """
    for volume in sorted(path for path in folder.iterdir() if path.is_dir() and re.fullmatch(r"v\d+", path.name)):
        yield CaseSource(f"lits_{volume.name}", tuple(volume.iterdir()), partial(_lits_volume, volume))


def _lits_volume(folder: Path) -> ImportedCase:
    images, masks, index = _slice_pairs(folder, re.compile(r"s(\d+)\.jpg"), {1, 2})
    return ImportedCase(
        id=f"lits_{folder.name}",
        patient=f"lits_{folder.name}",
        modality="CT",
        unit="HU",
        images=images,
        masks=(masks > 0).astype(np.uint8),
        slice_index=index,
        slope=200.0 / 255.0,
        intercept=-40.0,
        value_range=(-40.0, 160.0),
        licence="CC BY-SA 4.0 (as MSD Task03), LiTS CC BY-NC-ND 4.0",
    )


@importer("msd_slices")
def msd_slices(folder: Path) -> Iterator[CaseSource]:
    """MSD Task03 as axial PNG slices ``cNNN_sKKK.png`` (HU = 1.027 grey - 2.5) with ``cNNN_sKKK_mask.png`` (1 liver).

    A case is a patient, and some are LiTS patients: see `same_patients`.
    """
    files: dict[str, list[Path]] = {}
    for path in folder.iterdir():
        if match := re.fullmatch(r"(c\d+)_s\d+(_mask)?\.png", path.name):
            files.setdefault(match.group(1), []).append(path)
    for name in sorted(files):
        yield CaseSource(f"msd_{name}", tuple(files[name]), partial(_msd_case, folder, name))


def _msd_case(folder: Path, name: str) -> ImportedCase:
    images, masks, index = _slice_pairs(folder, re.compile(rf"{name}_s(\d+)\.png"), {1})
    return ImportedCase(
        id=f"msd_{name}",
        patient=f"msd_{name}",
        modality="CT",
        unit="HU",
        images=images,
        masks=masks,
        slice_index=index,
        slope=1.027,
        intercept=-2.5,
        value_range=(0.0, 255.0),
        licence="CC BY-SA 4.0",
        is_volume=False,
    )


def _slice_pairs(
    folder: Path, pattern: re.Pattern[str], labels: set[int]
) -> tuple[npt.NDArray[Any], Masks, tuple[int, ...]]:
    """Images that match the pattern (group 1 is the slice number) and their ``*_mask.png``, in slice order.

    Images must be 8-bit grey, for so the layouts' slopes are meant, and masks hold none but these labels.
    """
    numbered = sorted(
        (int(match.group(1)), path) for path in folder.iterdir() if (match := pattern.fullmatch(path.name))
    )
    images: list[npt.NDArray[Any]] = []
    masks: list[Masks] = []
    for _, path in numbered:
        mask_path = path.with_name(f"{path.stem}_mask.png")
        image, mask = grey_picture(path), grey_picture(mask_path)
        require_alike(image, mask, mask_path)
        if images and image.shape != images[0].shape:
            raise unreadable(path, f"its shape {image.shape} is not the {images[0].shape} of the slices before")
        if image.dtype != np.uint8:
            raise unreadable(path, f"its grey values are {image.dtype}, not 8 bit")
        images.append(image)
        masks.append(plain_labels(mask, mask_path, labels))
    if not images:
        raise unreadable(folder, "it holds no slice")
    return np.stack(images), np.stack(masks), tuple(number for number, _ in numbered)
