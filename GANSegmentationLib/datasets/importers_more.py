"""Public layouts beside liver CT: abdominal MR, lung CT and prostate MR."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..slicing import orient
from .importers import CaseSource, ImportedCase, importer
from .source_files import grey_picture, unreadable

ABDOMEN = {1: "Liver", 2: "Right kidney", 3: "Left kidney", 4: "Spleen"}
PROSTATE = {1: "Transition zone", 2: "Tumour"}


@importer("chaos_mr", ABDOMEN)
def chaos_mr(folder: Path) -> Iterator[CaseSource]:
    """CHAOS MR T2-SPIR as NIfTI: ``image_NN.nii.gz`` and ``label_NN.nii.gz`` with the values of `ABDOMEN`.

    Whatever their orientation, they are stored as axial slices in radiological display.
    """
    for image in sorted(folder.glob("image_*.nii.gz")):
        number = image.name[len("image_") : -len(".nii.gz")]
        label = folder / f"label_{number}.nii.gz"
        yield CaseSource(f"chaos_mr_{number}", (image, label), partial(_chaos_mr_case, image, label, number))


def _chaos_mr_case(image: Path, label: Path, number: str) -> ImportedCase:
    from ..volumes import read_volume

    volume, labels = read_volume(image), read_volume(label)
    if volume.geometry.shape != labels.geometry.shape:
        raise unreadable(label, f"its shape {labels.geometry.shape} is not the image's {volume.geometry.shape}")
    orientation = orient(volume.geometry, "axial")
    spacing = volume.geometry.spacing_zyx
    images = np.ascontiguousarray(orientation.apply(volume.array))
    return ImportedCase(
        id=f"chaos_mr_{number}",
        patient=f"chaos_mr_{number}",
        modality="MR",
        unit="arbitrary",
        images=images,
        masks=_labels(orientation.apply(labels.array), label, set(ABDOMEN)),
        slice_index=tuple(range(len(images))),
        value_range=(float(images.min()), float(images.max())),
        spacing_zyx=(spacing[orientation.axes[0]], spacing[orientation.axes[1]], spacing[orientation.axes[2]]),
        licence="CC BY-SA 4.0",
    )


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
    if image.shape != labels.shape:
        raise unreadable(mask, f"its shape {labels.shape} is not the image's {image.shape}")
    return ImportedCase(
        id=name,
        patient=name,
        modality="CT",
        unit="HU",
        images=image.astype(np.int16)[None],
        masks=_labels(labels, mask, {1})[None],
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
        masks=_labels(labels, mask, set(PROSTATE))[None],
        slice_index=(int(match.group(2)),),
        value_range=(0.0, 255.0),
        licence="restricted: no redistribution",
        is_volume=False,
    )


def _labels(values: npt.NDArray[Any], path: Path, known: set[int]) -> npt.NDArray[np.uint8]:
    """Labels as uint8; refuses values that no label explains, before 8 bit could hide them."""
    found = {float(value) for value in np.unique(values)}
    if not found <= {0.0, *map(float, known)}:
        raise unreadable(path, f"it holds the values {sorted(found)[:8]}, expected {sorted(known)}")
    return np.ascontiguousarray(values).astype(np.uint8)
