"""Slices in NumPy files: one array of images and one of masks, as many published notebooks have them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .case import CaseSource, ImportedCase
from .mask_values import MaskValues
from .pictures import case_name, unreadable
from .registry import importer_with

_PATIENT_FILES = ("patients.npy", "patients.txt")


@dataclass(frozen=True)
class NpyOptions:
    """How the files are named and what they hold; `values`, `label` and what follows are as those of `paired`.

    Parameters
    ----------
    images, masks:
        The files within the source's folder, ``(n, rows, columns)`` or with one channel more at the end.
    patients:
        ``file``: the patient of each slice is in ``patients.npy`` or ``patients.txt`` (a line a slice), and all slices
        are one patient's where there is neither. ``each``: every slice is another patient's.
    volume:
        Whether the slices of a patient follow one another in space.
    """

    images: str = "images.npy"
    masks: str = "masks.npy"
    patients: Literal["file", "each"] = "file"
    volume: bool = False
    values: tuple[str, ...] = ()
    label: str = "Foreground"
    name: str = ""
    modality: str = "OT"
    unit: str = "arbitrary"
    licence: str = ""


def _labels(folder: Path, options: NpyOptions) -> dict[int, str]:
    return dict(MaskValues.parse(options.values, name=options.label).labels)


@importer_with("npy", NpyOptions, _labels)
def npy(folder: Path, options: NpyOptions) -> Iterator[CaseSource]:
    """``images.npy`` and ``masks.npy``; a case is what a patient has of them. Pickled objects are never loaded."""
    values = MaskValues.parse(options.values, name=options.label)
    images, masks = folder / options.images, folder / options.masks
    if not images.is_file():
        return
    count = len(_load(images))
    prefix = options.name or folder.name
    owners, listing = _owners(folder, count, options.patients)
    files = tuple(path for path in (images, masks, listing) if path is not None and path.is_file())
    for owner, rows in owners.items():
        name = case_name(prefix, owner)
        yield CaseSource(name, files, partial(_case, name, images, masks, rows, options, values, listing is None))


def _owners(folder: Path, count: int, patients: str) -> tuple[dict[str, tuple[int, ...]], Path | None]:
    """The slices of each patient, and the file that said so."""
    if patients == "each":
        return {f"{number:0{len(str(count))}d}": (number,) for number in range(count)}, None
    path = next((folder / name for name in _PATIENT_FILES if (folder / name).is_file()), None)
    if path is None:
        return {"stack": tuple(range(count))}, None
    if path.suffix == ".txt":
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    else:
        names = [str(name) for name in _load(path).ravel().tolist()]
    if len(names) != count or not all(names):
        raise unreadable(path, f"it names {len(names)} patients, and there are {count} slices: one for each is needed")
    owners: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        owners.setdefault(name, []).append(number)
    return {name: tuple(owners[name]) for name in sorted(owners)}, path


def _load(path: Path) -> npt.NDArray[Any]:
    """An array of a ``.npy`` file, memory-mapped; at least one-dimensional."""
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise unreadable(path, f"it is no array of numbers ({error}); pickled objects are never loaded") from error
    if not isinstance(array, np.ndarray) or array.ndim == 0:
        raise unreadable(path, "it holds no array of slices")
    return array


def _stack(path: Path) -> npt.NDArray[Any]:
    """An array ``(n, rows, columns)``; one channel at the end is taken off."""
    array = _load(path)
    array = array[..., 0] if array.ndim == 4 and array.shape[-1] == 1 else array
    if array.ndim != 3 or 0 in array.shape or array.dtype.kind not in "iufb":
        raise unreadable(path, f"its shape is {array.shape} of {array.dtype}, not slices x rows x columns of numbers")
    return array


def _case(
    name: str,
    images: Path,
    masks: Path,
    rows: tuple[int, ...],
    options: NpyOptions,
    values: MaskValues,
    unknown_patients: bool,
) -> ImportedCase:
    stack, mask_stack = _stack(images), _stack(masks)
    if stack.shape != mask_stack.shape:
        raise unreadable(masks, f"its shape {mask_stack.shape} is not the images' {stack.shape}")
    chosen = np.ascontiguousarray(stack[list(rows)])
    if chosen.dtype == np.bool_ or not np.isfinite([chosen.min(), chosen.max()]).all():
        raise unreadable(images, "it holds values that are no finite grey values")
    note = "nobody has said whose its slices are: it cannot be split by patient"
    return ImportedCase(
        id=name,
        patient=name,
        modality=options.modality,
        unit=options.unit,
        images=chosen,
        masks=values.read(np.asarray(mask_stack[list(rows)]), masks),
        slice_index=rows,
        value_range=(float(chosen.min()), float(chosen.max())),
        licence=options.licence,
        is_volume=options.volume,
        notes=(note,) if unknown_patients and options.patients == "file" else (),
    )
