"""Single slices of lung CT and of prostate MR."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from .case import CaseSource, ImportedCase
from .mask_values import plain_labels
from .pictures import grey_picture, require_alike, unreadable
from .registry import importer

PROSTATE = {1: "Transition zone", 2: "Tumour"}


@importer("lung_slices", {1: "Lung"})
def lung_slices(folder: Path) -> Iterator[CaseSource]:
    """Lung CT as single axial slices in HU, one a patient: ``ID_NNNN_Z_NNNN.tif`` with ``..._mask.png`` (1 lung).

    The folder itself or its subfolders (``train``, ``val``) hold them. Values below -1024 are what the scanner writes
    outside its field of view.
    """
    pattern = re.compile(r"(ID_\d+)_Z_\d+\.tif")
    found = [(path, match) for path in folder.rglob("*.tif") if (match := pattern.fullmatch(path.name))]
    for path, match in sorted(found, key=lambda item: item[0].name):
        mask = path.with_name(f"{path.stem}_mask.png")
        name = f"lung_{match.group(1)}"
        yield CaseSource(name, (path, mask), partial(_lung_case, path, mask, name))


def _lung_case(path: Path, mask: Path, name: str) -> ImportedCase:
    image = grey_picture(path)
    labels = grey_picture(mask)
    require_alike(image, labels, mask)
    return ImportedCase(
        id=name,
        patient=name,
        modality="CT",
        unit="HU",
        images=image.astype(np.int16)[None],
        masks=plain_labels(labels, mask, {1})[None],
        slice_index=(0,),
        value_range=(float(image.min()), float(image.max())),
        licence="unclear: research only",
        is_volume=False,
    )


@importer("prostate_slices", PROSTATE)
def prostate_slices(folder: Path) -> Iterator[CaseSource]:
    """Prostate158 T2 as single axial 8-bit slices: ``PATIENT_SLICE.png`` with ``..._mask.png`` (values of `PROSTATE`).

    The peripheral zone has no label, and a tumour hides the zone under it.
    """
    pattern = re.compile(r"(\d+)_(\d+)\.png")
    for path in sorted(folder.glob("*.png")):
        if match := pattern.fullmatch(path.name):
            mask = path.with_name(f"{path.stem}_mask.png")
            name = f"prostate_{match.group(1)}_{match.group(2)}"
            yield CaseSource(name, (path, mask), partial(_prostate_case, path, mask, match))


def _prostate_case(path: Path, mask: Path, match: re.Match[str]) -> ImportedCase:
    image, labels = grey_picture(path), grey_picture(mask)
    if image.shape != labels.shape or image.dtype != np.uint8:
        raise unreadable(path, f"image {image.shape} {image.dtype} and mask {labels.shape} are not 8-bit grey alike")
    return ImportedCase(
        id=f"prostate_{match.group(1)}_{match.group(2)}",
        patient=f"prostate_{match.group(1)}",
        modality="MR",
        unit="arbitrary",
        images=image[None],
        masks=plain_labels(labels, mask, PROSTATE)[None],
        slice_index=(int(match.group(2)),),
        value_range=(0.0, 255.0),
        licence="restricted: no redistribution",
        is_volume=False,
    )
