"""Public layouts of slices and scans, read case by case into the project's own form.

Each importer is a generator function over a folder and is registered under the layout's name. It yields `ImportedCase`
objects in a fixed order and never changes grey values: what the numbers mean is said by slope and intercept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .source_files import unreadable


@dataclass(frozen=True, eq=False)
class ImportedCase:
    """One case as an importer reads it; the words are those of `dataset.Case`.

    ``images (slices, rows, columns)`` keep the source's type and values; ``masks`` are uint8 of the same shape.
    """

    id: str
    patient: str
    modality: str
    unit: str
    images: npt.NDArray[Any]
    masks: npt.NDArray[np.uint8]
    slice_index: tuple[int, ...]
    slope: float = 1.0
    intercept: float = 0.0
    value_range: tuple[float, float] = (-1024.0, 3071.0)
    spacing_zyx: tuple[float, float, float] | None = None
    licence: str = ""
    is_volume: bool = True


@dataclass(frozen=True)
class CaseSource:
    """A case that can be read: its name and files at once, the rest when `read` is called.

    A finished case whose files are still the same is thus skipped without reading it.
    """

    name: str
    files: tuple[Path, ...]
    read: Callable[[], ImportedCase]

    @property
    def signature(self) -> str:
        """A word that changes when a file is added, removed or written again: SHA-256 of names, sizes and times."""
        facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(self.files)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


Importer = Callable[[Path], Iterator[CaseSource]]

LIVER: Mapping[int, str] = {1: "Liver"}

_IMPORTERS: dict[str, Importer] = {}
_LABELS: dict[str, Mapping[int, str]] = {}


def importer(name: str, labels: Mapping[int, str] = LIVER) -> Callable[[Importer], Importer]:
    """Registers an importer under the name of its layout, with what its masks' values mean."""

    def register(function: Importer) -> Importer:
        _IMPORTERS[name] = function
        _LABELS[name] = labels
        return function

    return register


def labels_of(layouts_used: Sequence[str]) -> dict[int, str]:
    """What the mask values mean when these layouts are joined into one dataset.

    Raises
    ------
    GANSegmentationError
        ``mixed_labels`` if a value means two things.
    """
    labels: dict[int, str] = {}
    for layout in layouts_used:
        for value, name in _LABELS.get(layout, {}).items():
            if labels.setdefault(value, name) != name:
                raise GANSegmentationError(
                    "mixed_labels",
                    f"The mask value {value} is {labels[value]} in one of the layouts {', '.join(layouts_used)} and "
                    f"{name} in another.",
                    action="Prepare them as two datasets.",
                )
    return labels


def layouts() -> tuple[str, ...]:
    """The names of the layouts that can be imported."""
    return tuple(sorted(_IMPORTERS))


def cases_of(layout: str, folder: Path) -> Iterator[CaseSource]:
    """The cases of a folder in the named layout.

    Raises
    ------
    GANSegmentationError
        ``unknown_layout``; ``source_not_found`` if the folder is missing or has no case of that layout.
    """
    if layout not in _IMPORTERS:
        raise GANSegmentationError(
            "unknown_layout", f"There is no layout '{layout}'.", action=f"Choose one of {', '.join(layouts())}."
        )
    found = False
    if folder.is_dir():
        for entry in _IMPORTERS[layout](folder):
            found = True
            yield entry
    if not found:
        raise GANSegmentationError(
            "source_not_found",
            f"{folder} holds no case in the layout '{layout}'.",
            cause="The path is wrong, or the folder holds another data set.",
            action=f"Check the path; the layouts are {', '.join(layouts())}.",
        )


def same_patients(path: Path) -> dict[str, str]:
    """Which cases of the MSD slices are patients of the LiTS slices: MSD case -> LiTS volume.

    The file is JSON with the object ``msd_to_lits``, e.g. ``{"msd_to_lits": {"c001": "v00"}}``.

    Raises
    ------
    GANSegmentationError
        ``invalid_same_patients`` if the file cannot be read so.
    """
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"))["msd_to_lits"]
        aliases = {str(case): str(volume) for case, volume in mapping.items()}
        for case, volume in aliases.items():
            # A name that no case can have would be passed over in silence, and the patient land on both sides.
            if not (re.fullmatch(r"c\d+", case) and re.fullmatch(r"v\d+", volume)):
                raise ValueError(f"{case!r}: {volume!r} is not of the form 'c001': 'v00'")
        return aliases
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GANSegmentationError(
            "invalid_same_patients",
            f"The list of same patients {path} cannot be read: {error!r}.",
            cause='It should be JSON with the object "msd_to_lits".',
            action="Give the file that came with the data.",
        ) from error


@importer("lits_slices")
def lits_slices(folder: Path) -> Iterator[CaseSource]:
    """LiTS as axial slices: ``vNN/sKKK.jpg`` (grey 0..255 = HU -40..160), ``sKKK_mask.png`` (1 liver, 2 tumour).

    Both labels are liver here: a tumour in the liver is part of the organ.
    """
    for volume in sorted(path for path in folder.iterdir() if path.is_dir() and re.fullmatch(r"v\d+", path.name)):
        yield CaseSource(f"lits_{volume.name}", tuple(volume.iterdir()), partial(_lits_volume, volume))


def _lits_volume(folder: Path) -> ImportedCase:
    images, masks, index = _slice_pairs(folder, re.compile(r"s(\d+)\.jpg"), {0, 1, 2})
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
    images, masks, index = _slice_pairs(folder, re.compile(rf"{name}_s(\d+)\.png"), {0, 1})
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


@importer("chaos_ct")
def chaos_ct(folder: Path) -> Iterator[CaseSource]:
    """CHAOS CT: a folder with ``DICOM_anon`` and ``Ground`` (PNG masks in the order of the DICOM files), or several."""
    folder = folder.resolve()  # the folder's name becomes the patient's, so "." must not be it
    candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    for patient in candidates:
        if (patient / "DICOM_anon").is_dir() and (patient / "Ground").is_dir():
            files = (*(patient / "DICOM_anon").iterdir(), *(patient / "Ground").iterdir())
            yield CaseSource(f"chaos_{patient.name}", files, partial(_chaos_case, patient))


def _chaos_case(folder: Path) -> ImportedCase:
    from ..volumes import read_labelmap, read_volume

    volume = read_volume(folder / "DICOM_anon")
    reference = read_labelmap(folder / "Ground", series=folder / "DICOM_anon")
    # The prepared form is the radiological display of axial slices: rows to posterior, columns to the patient's left.
    if not np.allclose(volume.geometry.direction_matrix, np.eye(3), atol=1e-3):
        raise GANSegmentationError(
            "unsupported_orientation",
            f"{folder} is not a plain axial series.",
            action="Use `ganseg segment` for it; it cannot be prepared as axial slices.",
        )
    return ImportedCase(
        id=f"chaos_{folder.name}",
        patient=f"chaos_{folder.name}",
        modality="CT",
        unit="HU",
        images=volume.array,
        masks=(reference.array > 0).astype(np.uint8),
        slice_index=tuple(range(volume.array.shape[0])),
        value_range=(float(volume.array.min()), float(volume.array.max())),
        spacing_zyx=volume.geometry.spacing_zyx,
        licence="CC BY-SA 4.0",
    )


def _slice_pairs(
    folder: Path, pattern: re.Pattern[str], labels: set[int]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8], tuple[int, ...]]:
    """Images that match the pattern (group 1 is the slice number) and their ``*_mask.png``, in slice order.

    Images must be 8-bit grey, for so the layouts' slopes are meant, and masks hold none but these labels.
    """
    from PIL import Image

    numbered = sorted(
        (int(match.group(1)), path) for path in folder.iterdir() if (match := pattern.fullmatch(path.name))
    )
    images: list[npt.NDArray[Any]] = []
    masks: list[npt.NDArray[Any]] = []
    for _, path in numbered:
        mask_path = path.with_name(f"{path.stem}_mask.png")
        try:
            with Image.open(path) as image, Image.open(mask_path) as mask:
                images.append(np.asarray(image))
                masks.append(np.asarray(mask))
        # Pillow says damaged files with several types, a bomb of pixels with one of its own.
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise unreadable(path, f"the slice or its mask {mask_path.name} cannot be read ({error})") from error
        if images[-1].ndim != 2 or images[-1].shape != masks[-1].shape or images[-1].shape != images[0].shape:
            raise unreadable(
                path, f"image {images[-1].shape} and mask {masks[-1].shape} are not grey slices of one size"
            )
        if images[-1].dtype != np.uint8:
            raise unreadable(path, f"its grey values are {images[-1].dtype}, not 8 bit")
        # Before they become 8 bit: a value of 256 would turn into background.
        found = {int(value) for value in np.unique(masks[-1])}
        if not found <= labels:
            raise unreadable(mask_path, f"it holds the values {sorted(found)}, expected {sorted(labels)}")
    if not images:
        raise unreadable(folder, "it holds no slice")
    return np.stack(images), np.stack(masks).astype(np.uint8), tuple(number for number, _ in numbered)


def patients_by_alias(cases: Mapping[str, str], msd_to_lits: Mapping[str, str]) -> dict[str, str]:
    """The patient of each case when some MSD cases are LiTS patients; ``cases`` maps case id to its own patient."""
    aliases = {f"msd_{case}": f"lits_{volume}" for case, volume in msd_to_lits.items()}
    return {case: aliases.get(patient, patient) for case, patient in cases.items()}
