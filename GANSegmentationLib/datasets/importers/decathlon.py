"""The Medical Segmentation Decathlon (M. Antonelli et al., 2022): NIfTI files listed by a ``dataset.json``."""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ...errors import GANSegmentationError
from ...volumes import Geometry, Volume, read_volume
from ...volumes.files import stem
from ...volumes.integrity import find_damage, nifti_spacing
from .case import CaseSource, ImportedCase
from .mask_values import Masks, apply_relabelling, plain_labels, relabelled
from .pictures import case_name, unreadable
from .registry import importer_with
from .same_patients import lits_patient
from .scans import labels_on_grid, scan_case

_MR_WORDS = ("mr", "t1", "t2", "flair", "adc", "dwi", "pd")


@dataclass(frozen=True)
class DecathlonOptions:
    """``channel``: which of several modalities, by its name or number; ``merge``: ``2=1`` makes label 2 label 1."""

    channel: str = ""
    merge: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Listing:
    """What ``dataset.json`` says."""

    name: str
    licence: str
    modalities: tuple[str, ...]
    labels: Mapping[int, str]
    training: tuple[tuple[str, str], ...]


def _labels(folder: Path, options: DecathlonOptions) -> dict[int, str]:
    return relabelled(_listing(folder).labels, options.merge)[0]


@importer_with("msd", DecathlonOptions, _labels)
def msd(folder: Path, options: DecathlonOptions) -> Iterator[CaseSource]:
    """A task of the Decathlon as published: ``dataset.json`` with the folders that it names, ``imagesTr`` and others.

    Labels and modality are those of the file. Cases of Task03_Liver carry the names of the LiTS patients that they are.
    """
    listing = _listing(folder)
    becomes = relabelled(listing.labels, options.merge)[1]
    channel = _channel(listing, options.channel, folder)
    for image_name, label_name in sorted(listing.training):
        image, label = folder / image_name, folder / label_name
        files = tuple(path for path in (image, label) if path.is_file())
        name = case_name("msd", stem(image))
        yield CaseSource(name, files, partial(_case, image, label, name, listing, channel, becomes))


def _listing(folder: Path) -> _Listing:
    path = folder / "dataset.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        labels = {int(value): str(name) for value, name in found["labels"].items() if int(value) != 0}
        modalities = {int(number): str(name) for number, name in found["modality"].items()}
        training = tuple((str(pair["image"]), str(pair["label"])) for pair in found["training"])
        if not labels or max(labels) > 255 or min(labels) < 1 or sorted(modalities) != list(range(len(modalities))):
            raise ValueError("its labels or modalities are not numbered as they should be")
        if any(Path(name).is_absolute() or ".." in Path(name).parts for pair in training for name in pair):
            raise ValueError("it names files outside of its folder")
        return _Listing(
            name=str(found.get("name", "")),
            licence=str(found.get("licence", "")),
            modalities=tuple(modalities[number] for number in range(len(modalities))),
            labels={value: name[:1].upper() + name[1:] for value, name in labels.items()},
            training=training,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(path, f"it lists no task of the Decathlon ({error!r})") from error


def _channel(listing: _Listing, wanted: str, folder: Path) -> int:
    names = listing.modalities
    if not wanted and len(names) == 1:
        return 0
    fitting = [number for number, name in enumerate(names) if wanted.lower() in (name.lower(), str(number))]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    raise GANSegmentationError(
        "wrong_option",
        f"The task in {folder} has the channels {listed}" + (f", and none is {wanted!r}." if wanted else "."),
        cause="" if wanted else "A case here is one image, and several are given.",
        action=f"Choose one of them: channel={names[0] if names else 0}.",
    )


def _case(
    image: Path, label: Path, name: str, listing: _Listing, channel: int, becomes: Mapping[int, int]
) -> ImportedCase:
    for path in (image, label):
        if not path.is_file():
            raise unreadable(path, "dataset.json names it, and it is not there")
    volume = (
        read_volume(image) if len(listing.modalities) == 1 else _read_channel(image, channel, len(listing.modalities))
    )

    def read(values: npt.NDArray[Any], path: Path) -> Masks:
        return apply_relabelling(plain_labels(values, path, listing.labels), becomes)

    modality = _modality(listing.modalities[channel])
    liver = re.fullmatch(r"liver_(\d+)", stem(image))
    return scan_case(
        name,
        volume,
        labels_on_grid(volume, label, read),
        path=image,
        patient=lits_patient(int(liver.group(1))) if liver else name,
        modality=modality,
        unit="HU" if modality == "CT" else "arbitrary",
        licence=listing.licence or "CC BY-SA 4.0",
    )


def _modality(name: str) -> str:
    """DICOM's word for a modality of ``dataset.json``; OT where it is none that is known."""
    lower = name.lower()
    if lower == "ct":
        return "CT"
    return "MR" if lower.startswith(_MR_WORDS) else "OT"


def _read_channel(path: Path, channel: int, expected: int) -> Volume:
    """One volume of a four-dimensional NIfTI file; the others are not kept in memory."""
    sitk = importlib.import_module("SimpleITK")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("NiftiImageIO")
    try:
        reader.ReadImageInformation()
        size = list(reader.GetSize())
        if len(size) != 4 or size[3] != expected:
            raise unreadable(path, f"it is {' x '.join(map(str, size))}, and dataset.json says {expected} channels")
        damage = find_damage(path)
        if damage is not None:
            raise unreadable(path, damage)
        if not all(math.isfinite(length) and length for length in nifti_spacing(path)):
            raise unreadable(path, "it does not say how large its voxels are")
        reader.SetExtractIndex([0, 0, 0, channel])
        reader.SetExtractSize([*size[:3], 0])
        image = reader.Execute()
    except RuntimeError as error:
        raise unreadable(path, f"it cannot be read ({error})") from error
    geometry = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    return Volume(sitk.GetArrayFromImage(image), geometry, name=stem(path))
