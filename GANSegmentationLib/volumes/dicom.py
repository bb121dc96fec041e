"""DICOM folders: which series they hold, and a series as a `Volume`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import GANSegmentationError
from .dicom_grid import arrange
from .dicom_header import DamagedImage, HeaderReader, SliceHeader, damaged, read_facts
from .dicom_pixels import read_pixels
from .geometry import Geometry
from .volume import Volume

FACT_KEYWORDS = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "SOPClassUID",
    "StudyDescription",
    "SeriesDescription",
    "SeriesNumber",
    "ProtocolName",
    "BodyPartExamined",
    "PatientPosition",
    "ImageType",
    "Manufacturer",
    "ManufacturerModelName",
    "ConvolutionKernel",
    "ContrastBolusAgent",
    "KVP",
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleType",
    "PixelPaddingValue",
    "PhotometricInterpretation",
    "MagneticFieldStrength",
    "ScanningSequence",
    "SequenceVariant",
    "RepetitionTime",
    "EchoTime",
    "FlipAngle",
)
"""The facts that a `Volume` keeps of its series. None of them says who the patient is."""


@dataclass(frozen=True)
class SeriesInfo:
    """One DICOM series that was found in a folder.

    Parameters
    ----------
    uid:
        Its Series Instance UID.
    files:
        Its image files: in the order of the volume's slices where it is a volume, else by name. Localizers among the
        images of a scan are left out.
    rows, columns:
        Size of an image.
    geometry:
        The grid of the volume; None if the series is not one.
    problem:
        Why the series is not a volume; None if it is.
    """

    uid: str
    modality: str
    description: str
    number: str
    files: tuple[Path, ...]
    rows: int
    columns: int
    geometry: Geometry | None
    problem: GANSegmentationError | None
    headers: tuple[SliceHeader, ...] = field(repr=False, compare=False)

    @property
    def spacing_zyx(self) -> tuple[float, float, float] | None:
        """Voxel spacing ``(z, y, x)``, mm; None if the series is not a volume."""
        return self.geometry.spacing_zyx if self.geometry is not None else None

    @property
    def is_scan(self) -> bool:
        """Whether the series could be meant: not one of localizers only, and not one of screenshots."""
        return any(not header.format.is_localizer and header.position is not None for header in self.headers) or any(
            header.format.frames > 1 for header in self.headers
        )

    def summary(self) -> str:
        """The series in one line: modality, description, size, spacing or what is wrong with it, UID."""
        what = f"{self.modality or '?'} {self.description!r}" if self.description else self.modality or "?"
        count = f"{len(self.files)} image{'s' if len(self.files) != 1 else ''} {self.columns} x {self.rows}"
        if self.spacing_zyx is not None:
            z, y, x = self.spacing_zyx
            grid = f"spacing {x:.3g} x {y:.3g} x {z:.3g} mm"
        else:
            grid = f"not a volume ({self.problem.code if self.problem else 'unknown'})"
        return f"{what}, {count}, {grid}, UID {self.uid}"


def list_series(folder: str | os.PathLike[str]) -> list[SeriesInfo]:
    """The series of images in a folder and its sub-folders, in the order of their series numbers.

    Files are known by their content, not by their names; what is not a DICOM image (reports, plans, segmentations,
    dose, DICOMDIR, other files) is passed over.

    Raises
    ------
    GANSegmentationError
        ``file_not_found`` if there is no such folder, ``no_dicom`` if it holds no DICOM image, ``damaged_file`` or
        ``unreadable_file`` if one of its DICOM files cannot be read: it could be the missing slice of any series.
    """
    root = Path(folder)
    _check_is_folder(root)
    found = _scan(_walk(root))
    if not found:
        raise _no_dicom(root)
    return found


def find_series(path: str | os.PathLike[str], *, series_uid: str | None = None) -> SeriesInfo:
    """The series that a path stands for: the one in a folder, or the one that a DICOM file belongs to.

    Where a folder holds several, series of localizers or screenshots alone do not count; if several remain,
    `series_uid` chooses.

    Raises
    ------
    GANSegmentationError
        As `list_series`; ``several_series`` if a choice is needed, listing them; ``unknown_series`` if there is none
        with that UID; ``no_dicom`` if the file is not a DICOM image.
    """
    given = Path(path)
    if given.is_file():
        return _series_of_file(given, series_uid)
    series = list_series(given)
    if series_uid is not None:
        chosen = [one for one in series if one.uid == series_uid]
        if not chosen:
            raise GANSegmentationError(
                "unknown_series",
                f"The folder {given} holds no series with the UID {series_uid}. It holds:\n{_listing(series)}\n",
                action="Choose one of these.",
            )
        return chosen[0]
    scans = [one for one in series if one.is_scan] or series
    if len(scans) > 1:
        raise GANSegmentationError(
            "several_series",
            f"The folder {given} holds {len(scans)} series:\n{_listing(scans)}\n",
            action="Choose one: give the path of any one of its files instead of the folder, or its UID "
            "(--series on the command line, series_uid in Python).",
        )
    return scans[0]


def read_series(series: SeriesInfo) -> Volume:
    """The volume of a series: values as the modality means them (HU for CT), exact integers where they are.

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
    facts = read_facts(series.files[0], FACT_KEYWORDS)
    fallback = f"{series.modality or 'Series'} {series.number}".strip()
    return Volume(
        array=array,
        geometry=series.geometry,
        modality=series.modality or None,
        name=series.description or fallback,
        facts=facts,
    )


def _series_of_file(path: Path, series_uid: str | None) -> SeriesInfo:
    header = HeaderReader().read(path)
    if isinstance(header, DamagedImage):
        raise header.error
    if header is None:
        raise GANSegmentationError(
            "no_dicom",
            f"The file {path} is not a DICOM image of a scan.",
            cause="It is another kind of file, or a DICOM object without a scan (report, plan, segmentation, dose).",
            action="Choose a file of the series, or its folder.",
        )
    uid = header.format.series_uid
    if series_uid is not None and series_uid != uid:
        raise GANSegmentationError(
            "unknown_series",
            f"The file {path} belongs to the series {uid}, not to {series_uid}.",
            action="Leave one of the two out.",
        )
    neighbours = sorted(one for one in path.parent.iterdir() if one.is_file())
    return next(series for series in _scan(neighbours, only=uid) if series.uid == uid)


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
            groups.setdefault(header.format.series_uid, []).append(header)
    for uid, error in broken.items():
        if uid not in groups:  # nothing of the series is left that could be described
            raise error
    series = [_describe(uid, headers, broken.get(uid)) for uid, headers in groups.items()]
    return sorted(series, key=lambda one: (int(one.number) if one.number.isdecimal() else 1 << 31, one.uid))


def _series_uid(header: SliceHeader | DamagedImage) -> str:
    return header.series_uid if isinstance(header, DamagedImage) else header.format.series_uid


def _describe(uid: str, headers: Sequence[SliceHeader], problem: GANSegmentationError | None) -> SeriesInfo:
    geometry: Geometry | None = None
    ordered = tuple(headers)
    if problem is None:
        try:
            ordered, geometry = arrange(headers)
        except GANSegmentationError as error:
            problem = error
    facts = read_facts(ordered[0].path, ("SeriesDescription", "SeriesNumber"))
    form = ordered[0].format
    return SeriesInfo(
        uid=uid,
        modality=form.modality,
        description=facts.get("SeriesDescription", ""),
        number=facts.get("SeriesNumber", ""),
        files=tuple(header.path for header in ordered),
        rows=form.rows,
        columns=form.columns,
        geometry=geometry,
        problem=problem,
        headers=ordered,
    )


def _listing(series: Sequence[SeriesInfo]) -> str:
    return "\n".join(f"  {one.summary()}, for example {one.files[0]}" for one in series)


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
