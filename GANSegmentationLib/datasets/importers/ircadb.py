"""3D-IRCADb-01 (L. Soler et al., IRCAD): liver CT with a mask of each structure, all as DICOM files ``image_N``.

Only what was segmented in a patient has a folder. Of tumours, cysts and the like that means that there are none. Of an
organ nobody knows whether it is out of the picture, was removed, or was not drawn: the case then has the label among
its `Case.unmarked` ones, and the check before training says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import GANSegmentationError
from ...volumes import SeriesInfo, find_series, list_series, read_series
from ...volumes.dicom_pixels import read_pixels
from .case import CaseSource, ImportedCase
from .mask_values import inside
from .pictures import unreadable
from .registry import importer_with
from .same_patients import ircadb_patient
from .scans import scan_case

SCAN, MASKS = "PATIENT_DICOM", "MASKS_DICOM"

_NAMES = {
    "livertumor": "liver tumour",
    "leftkidney": "left kidney",
    "rightkidney": "right kidney",
    "leftlung": "left lung",
    "rightlung": "right lung",
    "portalvein": "portal vein",
    "venacava": "vena cava",
    "venoussystem": "venous system",
    "smallintestin": "small intestine",
}
"""Words for folders whose names are joined; the others are words themselves."""

_LESIONS = re.compile(r"tumou?r|cyst|kyst|metal|stone|metasta|nodule|hyperplas")
"""Words in the names of what a healthy patient does not have."""


@dataclass(frozen=True)
class IrcadbOptions:
    """``structures``: a label for each, in order, a later one over an earlier; ``+`` joins several to one label.

    A name stands for all folders of that name, with or without a number or an s at its end: ``livertumor`` for
    ``livertumor01`` and ``livertumors``.
    """

    structures: tuple[str, ...] = ("liver+livertumor",)


def _labels(folder: Path, options: IrcadbOptions) -> dict[int, str]:
    if not options.structures or not all(all(group.split("+")) for group in options.structures):
        raise GANSegmentationError(
            "wrong_option",
            f"structures is {','.join(options.structures)!r}.",
            action="Write for example liver+livertumor,leftkidney+rightkidney.",
        )
    return dict(enumerate(map(_name, options.structures), 1))


def _name(group: str) -> str:
    """What a label is called: an organ's lesions are part of it and do not change its name."""
    words = group.lower().split("+")
    organs = [word for word in words if not _LESIONS.search(word)] or words
    names = [_NAMES.get(word, word) for word in organs]
    joined = " and ".join(dict.fromkeys(names))
    return joined[:1].upper() + joined[1:]


@importer_with("ircadb", IrcadbOptions, _labels)
def ircadb(folder: Path, options: IrcadbOptions) -> Iterator[CaseSource]:
    """3D-IRCADb-01: ``3Dircadb1.N/{PATIENT_DICOM,MASKS_DICOM/<structure>}``, unpacked; one such folder, or several."""
    _labels(folder, options)
    cases = {}
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if match := re.fullmatch(r"3Dircadb1\.(\d+)", place.name):
            cases[int(match.group(1))] = place
    for number in sorted(cases):
        place = cases[number]
        files = tuple(path for path in sorted(place.rglob("*")) if path.is_file() and _is_read(path.relative_to(place)))
        yield CaseSource(f"ircadb_{number:02d}", files, partial(_case, place, number, options.structures))


def _is_read(path: Path) -> bool:
    return path.parts[0] in (SCAN, MASKS)


def _case(place: Path, number: int, structures: tuple[str, ...]) -> ImportedCase:
    for folder in (place / SCAN, place / MASKS):
        if not folder.is_dir():
            packed = (place / f"{folder.name}.zip").is_file()
            raise unreadable(folder, "it is not there" + (": unpack its zip file" if packed else ""))
    series = find_series(place / SCAN)
    volume = read_series(series)
    masks = np.zeros(volume.geometry.shape, np.uint8)
    folders = sorted(path for path in (place / MASKS).iterdir() if path.is_dir())
    notes: list[str] = []
    unmarked: list[int] = []
    for label, group in enumerate(structures, 1):
        for structure in group.split("+"):
            found = [path for path in folders if _is_structure(path.name, structure)]
            for path in found:
                masks[_mask(path, series)] = label
            if not found:
                lesion = _LESIONS.search(structure.lower()) is not None
                what = "so there is none" if lesion else "which may be anywhere: its label is unknown here"
                notes.append(f"{MASKS} has no {structure}, {what}")
                if not lesion and label not in unmarked:
                    unmarked.append(label)
    if len(unmarked) == len(structures):
        there = ", ".join(path.name for path in folders)
        raise unreadable(place / MASKS, f"it has none of {', '.join(structures)}, only {there or 'nothing'}")
    return scan_case(
        f"ircadb_{number:02d}",
        volume,
        masks,
        path=place / SCAN,
        patient=ircadb_patient(number),
        modality="CT",
        unit="HU",
        licence="3D-IRCADb-01: CC BY-NC-ND 3.0",
        notes=tuple(notes),
        unmarked=tuple(unmarked),
    )


def _is_structure(folder: str, structure: str) -> bool:
    return re.fullmatch(rf"{re.escape(structure)}s?_?\d*", folder, flags=re.IGNORECASE) is not None


def _mask(folder: Path, scan: SeriesInfo) -> npt.NDArray[np.bool_]:
    """Where a structure is, on the grid of the scan: its files have the names of the scan's files.

    Names and not positions join them, as the set is published; where the masks say their positions, these must agree.
    """
    listed = list_series(folder)
    headers = {header.path.name: header for series in listed for header in series.headers}
    names = [path.name for path in scan.files]
    if set(headers) != set(names):
        odd = sorted(set(headers) ^ set(names))
        raise unreadable(
            folder,
            f"its files are not those of the scan: {', '.join(odd[:3])} {'is' if len(odd) == 1 else 'are'} in one",
        )
    geometry = listed[0].geometry if len(listed) == 1 else None
    if geometry is not None and scan.geometry is not None and not geometry.matches(scan.geometry, 0.1):
        raise unreadable(folder, "it says another place in the patient than its scan")
    # The headers of masks may be those of the scan, with its rescaling and padding: the mask is what is stored.
    plain = {"slope": 1.0, "intercept": 0.0, "padding": None, "lut": None}
    values = read_pixels(
        [replace(headers[name], format=replace(headers[name].format, **plain)) for name in names]  # type: ignore[arg-type]
    )
    rows, columns = scan.rows, scan.columns
    if values.shape != (len(names), rows, columns):
        raise unreadable(folder, f"its shape {values.shape} is not the scan's {(len(names), rows, columns)}")
    return inside(values, folder)
