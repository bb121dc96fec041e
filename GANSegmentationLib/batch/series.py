"""The DICOM series of a tree of folders, found by reading every header once."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import GANSegmentationError
from ..volumes.dicom import find_series
from ..volumes.dicom_facts import read_facts
from ..volumes.dicom_header import DamagedImage, HeaderReader, SliceHeader
from .identity import Identity, read_identity

_SAME_PLACE_MM = 0.1
"""Images that are nearer than this may be of one place; whether they are is decided by all that they say."""


@dataclass(frozen=True)
class FoundSeries:
    """A series in a folder, or one volume of a four-dimensional one.

    Parameters
    ----------
    uid:
        What chooses it: its UID, ``UID#2`` for the second volume of a four-dimensional series.
    path:
        What `volumes.read_volume` has to be given to read it: one of its files, or the folder with all of them.
    folder:
        Where it lies.
    is_scan:
        Whether it could be meant: it is not of localizers alone, and not of pictures without a place.
    is_alone:
        Whether it is the only such series in its folder.
    study, description, number:
        Study Instance UID, Series Description and Series Number; for choosing, and never written.
    identity:
        Who it is of. For redaction only.
    slices, spacing_zyx:
        How many images it has; their distance, mm, as ``z`` of a spacing (rows and columns are not known: NaN).
    part:
        Of one volume of a four-dimensional series: its number, from 1.
    """

    uid: str
    path: Path
    folder: Path
    files: tuple[Path, ...]
    modality: str
    is_scan: bool
    is_alone: bool
    study: str
    description: str
    number: str
    identity: Identity
    slices: int
    spacing_zyx: tuple[float, float, float] | None
    part: int | None = None


@dataclass
class _Group:
    """The files of a series in one folder; of their headers only what decides is kept."""

    files: list[Path] = field(default_factory=list)
    positions: set[tuple[float, float, float]] = field(default_factory=set)
    images: int = 0
    modality: str = ""
    is_scan: bool = False

    def note(self, header: SliceHeader) -> None:
        """Remember an image; of an enhanced file its frames are the images."""
        self.modality = self.modality or header.format.modality
        self.is_scan = self.is_scan or header.format.frames > 1
        for image in header.frames or (header,):
            self.images += 1
            self.is_scan = self.is_scan or (image.position is not None and not image.format.is_localizer)
            if image.position is not None:
                self.positions.add(image.position)

    def may_be_several_volumes(self) -> bool:
        """Whether images lie at the same places."""
        places = {tuple(round(along / _SAME_PLACE_MM) for along in position) for position in self.positions}
        return self.is_scan and 0 < len(places) < self.images

    def spacing(self) -> tuple[float, float, float] | None:
        """See `FoundSeries.spacing_zyx`."""
        if len(self.positions) < 2:
            return None
        first = min(self.positions)
        farthest = max(math.dist(first, position) for position in self.positions)
        return farthest / (len(self.positions) - 1), math.nan, math.nan


class SeriesFinder:
    """Takes files one by one and sorts them into series.

    A series whose slices are spread over folders is one series, lying in the folder above them; a series that lies in
    several folders as copies is several. The volumes of a four-dimensional series are series of their own.

    Attributes
    ----------
    unreadable:
        Files that are DICOM but do not say of which series, or cannot be opened, each with its error; one a folder.
    """

    def __init__(self) -> None:
        self._reader = HeaderReader()
        self._groups: dict[str, dict[Path, _Group]] = {}
        self._unreadable: dict[Path, tuple[Path, GANSegmentationError]] = {}
        self._no_images: dict[Path, Path] = {}

    def look_at(self, path: Path) -> None:
        """Read the header of a file; whatever is no DICOM image is passed over."""
        try:
            header = self._reader.read(path)
        except GANSegmentationError as error:
            self._unreadable.setdefault(path.parent, (path, error))
            return
        if header is None:
            if path.parent not in self._no_images and _is_dicom(path):
                self._no_images[path.parent] = path
            return
        uid = header.series_uid if isinstance(header, DamagedImage) else header.format.series_uid
        group = self._groups.setdefault(uid, {}).setdefault(path.parent, _Group())
        group.files.append(path)
        if isinstance(header, SliceHeader):
            group.note(header)
        else:
            group.is_scan = True

    @property
    def unreadable(self) -> Sequence[tuple[Path, GANSegmentationError]]:
        """See the class."""
        readable = {folder for groups in self._groups.values() for folder in groups}
        # Where other series lie in the folder, reading them says so.
        return [found for folder, found in sorted(self._unreadable.items()) if folder not in readable]

    def identities(self) -> Iterator[tuple[Path, Identity]]:
        """Folders with DICOM objects that are no images (reports, plans, segmentations), and who one of them is of."""
        for folder, path in sorted(self._no_images.items()):
            yield folder, read_identity(path)

    def series(self) -> Iterator[FoundSeries]:
        """Every series, once all files were looked at."""
        whole = [
            (uid, *each)
            for uid, groups in sorted(self._groups.items())
            for each in _put_together(dict(sorted(groups.items())))
        ]
        scans_in: dict[Path, int] = {}
        for _, _, folder, group in whole:
            scans_in[folder] = scans_in.get(folder, 0) + group.is_scan
        for uid, path, folder, group in whole:
            facts = _facts(group.files[0])
            number = facts.get("SeriesNumber", "")
            found = FoundSeries(
                uid=uid,
                path=path,
                folder=folder,
                files=tuple(group.files),
                modality=group.modality,
                is_scan=group.is_scan,
                is_alone=scans_in[folder] == 1,
                study=facts.get("StudyInstanceUID", ""),
                description=facts.get("SeriesDescription", ""),
                number=number if number.isdecimal() else "",
                identity=read_identity(group.files[0]),
                slices=group.images,
                spacing_zyx=group.spacing(),
            )
            yield from _volumes(found) if group.may_be_several_volumes() else [found]


def _volumes(series: FoundSeries) -> list[FoundSeries]:
    """The volumes of a four-dimensional series; the series itself where it has none that are certain."""
    try:
        parts = find_series(series.path, series_uid=series.uid).parts
    except GANSegmentationError:  # reading the case will say it again
        parts = ()
    volumes = [
        replace(
            series,
            uid=part.selector,
            files=part.files,
            part=part.part,
            slices=part.slices,
            spacing_zyx=part.spacing_zyx,
        )
        for part in parts
    ]
    return volumes or [series]


def _put_together(groups: Mapping[Path, _Group]) -> Iterator[tuple[Path, Path, _Group]]:
    """What to read, where it lies, and its files: one if no slice is there twice, else each folder for itself."""
    slices = sum(len(group.positions) for group in groups.values())
    positions = set().union(*(group.positions for group in groups.values()))
    if len(groups) > 1 and slices and len(positions) == slices:
        folder = Path(os.path.commonpath(groups))
        first = next(iter(groups.values()))
        files = [file for group in groups.values() for file in group.files]
        images = sum(group.images for group in groups.values())
        is_scan = any(group.is_scan for group in groups.values())
        yield folder, folder, _Group(files, positions, images, first.modality, is_scan)
        return
    for folder, group in groups.items():
        yield group.files[0], folder, group


def _facts(path: Path) -> Mapping[str, str]:
    try:
        return read_facts(path, ("SeriesNumber", "SeriesDescription", "StudyInstanceUID"))
    except OSError:  # it was there a moment ago; reading the case will say what has become of it
        return {}


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return path.is_file() and file.read(132)[128:] == b"DICM"
    except OSError:
        return False
