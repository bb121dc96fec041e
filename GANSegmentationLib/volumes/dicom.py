"""DICOM folders: which series they hold, and a series as a `Volume`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import GANSegmentationError
from .dicom_choice import choose
from .dicom_directory import files_of_directory
from .dicom_facts import FACT_KEYWORDS, read_facts
from .dicom_header import HeaderReader
from .dicom_image import DamagedImage, SliceHeader, damaged
from .dicom_pixels import read_pixels
from .dicom_series import SeriesInfo, describe, with_tilt_corrected
from .dicom_tilt import TILT_FACT
from .volume import Volume

__all__ = ["SeriesInfo", "find_series", "list_series", "read_series"]


def list_series(path: str | os.PathLike[str]) -> list[SeriesInfo]:
    """The series of images in a folder and its sub-folders, or of a DICOMDIR, in the order of their series numbers.

    Files are known by their content, not by their names; what is not a DICOM image (reports, plans, segmentations,
    dose, DICOMDIR in a folder, pipes, other files) is passed over. A series that is not one volume says why in
    `SeriesInfo.problem`, a four-dimensional one offers its volumes as `SeriesInfo.parts`.

    Raises
    ------
    GANSegmentationError
        ``file_not_found`` if there is no such folder, ``no_dicom`` if it holds no DICOM image, ``damaged_file`` or
        ``unreadable_file`` if one of its DICOM files cannot be read: it could be the missing slice of any series;
        ``missing_files`` if files that a DICOMDIR names are not there.
    """
    root = Path(path)
    if root.is_file():
        listed = files_of_directory(root)
        if listed is None:
            raise _no_image(root)
        found = _scan(listed)
        if not found:
            raise _no_image(root)
        return found
    _check_is_folder(root)
    found = _scan(_walk(root))
    if not found:
        raise _no_dicom(root)
    return found


def find_series(
    path: str | os.PathLike[str], *, series_uid: str | None = None, correct_tilt: bool = False
) -> SeriesInfo:
    """The series that a path stands for: the one in a folder or DICOMDIR, or the one that a DICOM file belongs to.

    Parameters
    ----------
    series_uid:
        Which one, where there are several: its UID, ``UID#2`` for the second volume of a four-dimensional series, or a
        rule such as ``modality=MR,description=t2*,most-slices`` (`dicom_choice`). Without it, series of localizers or
        screenshots alone do not count.
    correct_tilt:
        Whether a series of a tilted gantry, refused else, is to be resampled to a regular grid.

    Raises
    ------
    GANSegmentationError
        As `list_series`; ``several_series`` if a choice is needed, listing them; ``unknown_series`` if there is none
        as `series_uid` says, ``wrong_rule`` if that is neither UID nor rule; ``no_dicom`` if the file is not a DICOM
        image.
    """
    given = Path(path)
    header = HeaderReader().read(given) if given.is_file() else None
    if header is None:
        series = choose(list_series(given), series_uid, given)
    else:
        series = _series_of_file(given, header, series_uid)
    return with_tilt_corrected(series) if correct_tilt else series


def read_series(series: SeriesInfo) -> Volume:
    """The volume of a series: values as the modality means them (HU for CT), exact integers where they are.

    One that was corrected for the tilt of its gantry says so in `Volume.facts`, under `dicom_tilt.TILT_FACT`.

    Raises
    ------
    GANSegmentationError
        The series' `SeriesInfo.problem` if it is not a volume; ``damaged_file``, ``unsupported_pixels`` or
        ``missing_decoder`` if its pixels cannot be read.
    """
    if series.geometry is None:
        raise series.problem or _no_dicom(series.files[0].parent)
    try:
        array = read_pixels(series.headers)
    except OSError as error:
        raise damaged(Path(error.filename or series.files[0]), "it cannot be read any more", str(error)) from error
    facts = dict(read_facts(series.files[0], FACT_KEYWORDS))
    if series.tilt is not None:
        array = series.tilt.straighten(array)
        facts[TILT_FACT] = series.tilt.description
    name = series.description or f"{series.modality or 'Series'} {series.number}".strip()
    return Volume(
        array=array,
        geometry=series.geometry,
        modality=series.modality or None,
        name=f"{name}, {series.part_label}" if series.part is not None else name,
        facts=facts,
    )


def _series_of_file(path: Path, header: SliceHeader | DamagedImage, series_uid: str | None) -> SeriesInfo:
    if isinstance(header, DamagedImage):
        raise header.error
    uid = header.format.series_uid
    neighbours = sorted(one for one in path.parent.iterdir() if one.is_file())
    series = next(series for series in _scan(neighbours, only=uid) if series.uid == uid)
    return series if series_uid is None else choose([series], series_uid, path)


def _no_image(path: Path) -> GANSegmentationError:
    return GANSegmentationError(
        "no_dicom",
        f"The file {path} is not a DICOM image of a scan.",
        cause="It is another kind of file, or a DICOM object without a scan (report, plan, segmentation, dose).",
        action="Choose a file of the series, or its folder.",
    )


def _check_is_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise GANSegmentationError(
            "file_not_found",
            f"There is no folder {folder}.",
            cause="The path is misspelt, or the drive is not connected.",
            action="Check the path.",
        )


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, onerror=_unlistable):
        folders.sort()
        for name in sorted(files):
            yield Path(parent, name)


def _unlistable(error: OSError) -> None:
    """A sub-folder that cannot be listed may hold slices: passing over it could leave a grid with too few."""
    raise GANSegmentationError(
        "unreadable_file",
        f"The folder {error.filename} cannot be listed: {error.strerror}.",
        cause="You may lack the permission, or the drive is not connected any more.",
        action="Check the folder and try again.",
        details=repr(error),
    ) from error


def _scan(paths: Iterable[Path], only: str | None = None) -> list[SeriesInfo]:
    """The series among some files; with `only`, that one, whatever state the files of others are in."""
    reader = HeaderReader()
    groups: dict[str, list[SliceHeader]] = {}
    broken: dict[str, GANSegmentationError] = {}
    for path in paths:
        header = reader.read(path)
        if only is not None and header is not None and _series_uid(header) != only:
            continue
        if isinstance(header, DamagedImage):
            broken.setdefault(header.series_uid, header.error)
        elif header is not None:
            groups.setdefault(header.format.series_uid, []).extend(header.frames or (header,))
    for uid, error in broken.items():
        if uid not in groups:  # nothing of the series is left that could be described
            raise error
    series = [describe(uid, headers, broken.get(uid)) for uid, headers in groups.items()]
    return sorted(series, key=lambda one: (int(one.number) if one.number.isdecimal() else 1 << 31, one.uid))


def _series_uid(header: SliceHeader | DamagedImage) -> str:
    return header.series_uid if isinstance(header, DamagedImage) else header.format.series_uid


def _no_dicom(folder: Path) -> GANSegmentationError:
    names = [path.name for path in _walk(folder)]
    others = [name for name in names if name.lower().endswith((".nrrd", ".nii", ".nii.gz", ".mha", ".mhd"))]
    if not names:
        cause = "The folder is empty."
    elif others:
        cause = f"It holds other images, {others[0]} for example."
    else:
        cause = f"None of its {len(names)} files is a DICOM image." if len(names) > 1 else f"It holds {names[0]} alone."
    return GANSegmentationError(
        "no_dicom",
        f"The folder {folder} holds no DICOM image.",
        cause=cause,
        action="Give the path of that file." if others else "Choose the folder with the DICOM files of the scan.",
    )
