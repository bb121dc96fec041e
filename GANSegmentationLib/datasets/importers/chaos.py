"""The CHAOS challenge (A. E. Kavur et al., 2021): abdominal CT, and MR in three sequences, DICOM with PNG masks.

The folder given may be one case, a folder of cases, or anything above (``CT_sets``, ``MR_sets/Train_Sets``). Folders
named ``Test_Sets`` are passed over: they have no masks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ...volumes import Labelmap, SeriesInfo, find_series, read_labelmap, read_series, read_volume
from ...volumes.png_stack import png_files
from .case import CaseSource, ImportedCase
from .mask_values import inside, plain_labels
from .pictures import case_name, grey_picture, unreadable
from .registry import importer
from .scans import labels_on_grid, on_grid, scan_case

ABDOMEN = {1: "Liver", 2: "Right kidney", 3: "Left kidney", 4: "Spleen"}
GREYS = {1: (55, 70), 2: (110, 135), 3: (175, 200), 4: (240, 255)}
"""The grey values of each label of `ABDOMEN` in the masks of the challenge, from and to."""

_LICENCE = "CC BY-SA 4.0"
_DEPTH = 4
"""How far below the folder given a case may lie: ``CHAOS_Train_Sets/Train_Sets/MR/1``."""


@importer("chaos_ct")
def chaos_ct(folder: Path) -> Iterator[CaseSource]:
    """CHAOS CT: ``<n>/DICOM_anon/*.dcm`` and ``<n>/Ground/liver_GT_*.png``, in the order of the DICOM files."""
    for patient in _cases(folder, lambda place: (place / "DICOM_anon").is_dir() and not _is_sequence(place)):
        name = case_name("chaos", patient.name)
        yield CaseSource(name, _files(patient / "DICOM_anon", patient / "Ground"), partial(_ct_case, patient, name))


def _ct_case(folder: Path, name: str) -> ImportedCase:
    series = find_series(folder / "DICOM_anon")
    for path in _pictures(folder / "Ground"):
        inside(grey_picture(path), path)
    masks = read_labelmap(folder / "Ground", series=series).array
    return scan_case(
        name,
        read_series(series),
        plain_labels(masks, folder / "Ground", {1}),
        path=folder / "DICOM_anon",
        patient=name,
        modality="CT",
        unit="HU",
        licence=_LICENCE,
    )


@importer("chaos_mr", ABDOMEN)
def chaos_mr(folder: Path) -> Iterator[CaseSource]:
    """CHAOS MR T2-SPIR as published, ``<n>/T2SPIR/{DICOM_anon,Ground}``, or as NIfTI with the values of `ABDOMEN`.

    The NIfTI files are ``image_NN.nii.gz`` and ``label_NN.nii.gz``.
    """
    pattern = re.compile(r"(image|label)_(.+)\.nii(\.gz)?", re.IGNORECASE)
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if match := pattern.fullmatch(path.name):
            found.setdefault(match[2], {})[match[1].lower()] = path
    for number, paths in found.items():
        image, label = (paths.get(word, folder / f"{word}_{number}.nii.gz") for word in ("image", "label"))
        name = f"chaos_mr_{number}"
        yield CaseSource(name, tuple(paths.values()), partial(_nifti_case, image, label, name))
    yield from _sequence(folder, "T2SPIR", "", "")


@importer("chaos_mr_t1_in", ABDOMEN)
def chaos_mr_t1_in(folder: Path) -> Iterator[CaseSource]:
    """CHAOS MR T1-DUAL, in phase: ``<n>/T1DUAL/DICOM_anon/InPhase`` with ``<n>/T1DUAL/Ground``."""
    yield from _sequence(folder, "T1DUAL", "InPhase", "_t1_in")


@importer("chaos_mr_t1_out", ABDOMEN)
def chaos_mr_t1_out(folder: Path) -> Iterator[CaseSource]:
    """CHAOS MR T1-DUAL, out of phase: ``<n>/T1DUAL/DICOM_anon/OutPhase``; both phases have the masks in common."""
    yield from _sequence(folder, "T1DUAL", "OutPhase", "_t1_out")


def _sequence(folder: Path, sequence: str, phase: str, suffix: str) -> Iterator[CaseSource]:
    """The cases of one sequence; whatever the sequence, they belong to the patient of that number."""
    start = folder.parent if folder.name == sequence else folder
    for case in _cases(start, lambda place: (place / sequence / "DICOM_anon" / phase).is_dir()):
        patient = f"chaos_mr_{int(case.name):02d}" if case.name.isdigit() else case_name("chaos_mr", case.name)
        place = case / sequence
        files = _files(place / "DICOM_anon", place / "Ground")
        yield CaseSource(f"{patient}{suffix}", files, partial(_mr_case, place, phase, f"{patient}{suffix}", patient))


def _mr_case(place: Path, phase: str, name: str, patient: str) -> ImportedCase:
    series = find_series(place / "DICOM_anon" / phase)
    volume = read_series(series)
    labelmap = _mr_labels(place / "Ground", series, place / "DICOM_anon" / "InPhase")
    return scan_case(
        name,
        volume,
        on_grid(labelmap, volume.geometry, place / "Ground"),
        path=place / "DICOM_anon" / phase,
        patient=patient,
        modality="MR",
        unit="arbitrary",
        licence=_LICENCE,
    )


def _mr_labels(ground: Path, series: SeriesInfo, in_phase: Path) -> Labelmap:
    """The masks of a series; those of both phases are named after the images in phase, and lie where they do."""
    table = np.zeros(256, np.uint8)
    for label, (low, high) in GREYS.items():
        table[low : high + 1] = label
    for path in _pictures(ground):
        found = {int(value) for value in np.unique(grey_picture(path))}
        wrong = sorted(value for value in found - {0} if value > 255 or table[value] == 0)
        if wrong:
            known = ", ".join(f"{low} to {high} ({ABDOMEN[label]})" for label, (low, high) in GREYS.items())
            raise unreadable(path, f"it holds the grey value {', '.join(map(str, wrong[:8]))}, expected 0 or {known}")
    greys = read_labelmap(ground, series=find_series(in_phase) if in_phase.is_dir() else series)
    # Where 255 is the only value, the masks were read as black and white, and their white became 1.
    table[1] = table[255]
    return Labelmap(table[greys.array], greys.geometry)


def _nifti_case(image: Path, label: Path, name: str) -> ImportedCase:
    volume = read_volume(image)
    masks = labels_on_grid(volume, label, partial(plain_labels, known=ABDOMEN))
    return scan_case(name, volume, masks, path=image, patient=name, modality="MR", unit="arbitrary", licence=_LICENCE)


def _cases(folder: Path, is_case: Callable[[Path], bool]) -> Iterator[Path]:
    """The folders of cases at or below a folder, in the order of their names."""
    if is_case(folder):
        yield folder
        return
    for parent, folders, _ in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "Test_Sets")
        found = [name for name in folders if is_case(Path(parent, name))]
        yield from (Path(parent, name) for name in found)
        deep = len(Path(parent).relative_to(folder).parts) >= _DEPTH
        folders[:] = [] if deep else [name for name in folders if name not in found]


def _is_sequence(place: Path) -> bool:
    """Whether a folder with a series is one sequence of an MR case, and not a CT case."""
    return place.name in ("T1DUAL", "T2SPIR")


def _files(*folders: Path) -> tuple[Path, ...]:
    return tuple(path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())


def _pictures(ground: Path) -> list[Path]:
    if not ground.is_dir() or not (pictures := png_files(ground)):
        raise unreadable(ground, "there are no masks")
    return pictures
