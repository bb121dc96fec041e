"""The DICOM series of a tree of folders, found by reading every header once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import GANSegmentationError
from ..volumes.dicom_header import DamagedImage, HeaderReader, SliceHeader, read_facts
from .privacy import IDENTITY_KEYWORDS


@dataclass(frozen=True)
class FoundSeries:
    """A series in a folder.

    Parameters
    ----------
    path:
        What `volumes.read_volume` has to be given to read it: one of its files, or the folder with all of them.
    folder:
        Where it lies.
    is_scan:
        Whether it could be meant: it is not of localizers alone, and not of pictures without a place.
    is_alone:
        Whether it is the only such series in its folder.
    number, facts:
        Series number; the values of `privacy.IDENTITY_KEYWORDS`. For redaction only: they are never written.
    """

    uid: str
    path: Path
    folder: Path
    files: tuple[Path, ...]
    modality: str
    is_scan: bool
    is_alone: bool
    number: str
    facts: Mapping[str, str]


@dataclass
class _Part:
    """The files of a series in one folder; of their headers only what decides is kept."""

    files: list[Path]
    positions: set[tuple[float, float, float]]
    modality: str = ""
    is_scan: bool = False


class SeriesFinder:
    """Takes files one by one and sorts them into series.

    A series whose slices are spread over folders is one series, lying in the folder above them; a series that lies in
    several folders as copies is several.

    Attributes
    ----------
    unreadable:
        Files that are DICOM but do not say of which series, or cannot be opened, each with its error; one a folder.
    """

    def __init__(self) -> None:
        self._reader = HeaderReader()
        self._parts: dict[str, dict[Path, _Part]] = {}
        self._unreadable: dict[Path, tuple[Path, GANSegmentationError]] = {}

    def look_at(self, path: Path) -> None:
        """Read the header of a file; whatever is no DICOM image is passed over."""
        try:
            header = self._reader.read(path)
        except GANSegmentationError as error:
            self._unreadable.setdefault(path.parent, (path, error))
            return
        if header is None:
            return
        damaged = isinstance(header, DamagedImage)
        uid = header.series_uid if isinstance(header, DamagedImage) else header.format.series_uid
        part = self._parts.setdefault(uid, {}).setdefault(path.parent, _Part([], set(), is_scan=damaged))
        part.files.append(path)
        if isinstance(header, SliceHeader):
            _note(part, header)

    @property
    def unreadable(self) -> Sequence[tuple[Path, GANSegmentationError]]:
        """See the class."""
        readable = {folder for parts in self._parts.values() for folder in parts}
        # Where other series lie in the folder, reading them says so.
        return [found for folder, found in sorted(self._unreadable.items()) if folder not in readable]

    def series(self) -> Iterator[FoundSeries]:
        """Every series, once all files were looked at."""
        whole = [
            (uid, *each)
            for uid, parts in sorted(self._parts.items())
            for each in _put_together(dict(sorted(parts.items())))
        ]
        scans_in: dict[Path, int] = {}
        for _, _, folder, part in whole:
            scans_in[folder] = scans_in.get(folder, 0) + part.is_scan
        for uid, path, folder, part in whole:
            facts = _facts(part.files[0])
            number = facts.pop("SeriesNumber", "")
            yield FoundSeries(
                uid=uid,
                path=path,
                folder=folder,
                files=tuple(part.files),
                modality=part.modality,
                is_scan=part.is_scan,
                is_alone=scans_in[folder] == 1,
                number=number if number.isdecimal() else "",
                facts=facts,
            )


def _note(part: _Part, header: SliceHeader) -> None:
    part.modality = part.modality or header.format.modality
    has_place = header.position is not None and not header.format.is_localizer
    part.is_scan = part.is_scan or has_place or header.format.frames > 1
    if header.position is not None:
        part.positions.add(header.position)


def _put_together(parts: Mapping[Path, _Part]) -> Iterator[tuple[Path, Path, _Part]]:
    """What to read, where it lies, and its files: one if no slice is there twice, else each folder for itself."""
    slices = sum(len(part.positions) for part in parts.values())
    if len(parts) > 1 and slices and len(set().union(*(part.positions for part in parts.values()))) == slices:
        folder = Path(os.path.commonpath(parts))
        first = next(iter(parts.values()))
        files = [file for part in parts.values() for file in part.files]
        is_scan = any(part.is_scan for part in parts.values())
        yield folder, folder, _Part(files, set(), first.modality, is_scan)
        return
    for folder, part in parts.items():
        yield part.files[0], folder, part


def _facts(path: Path) -> dict[str, str]:
    try:
        return dict(read_facts(path, (*IDENTITY_KEYWORDS, "SeriesNumber")))
    except OSError:  # it was there a moment ago; reading the case will say what has become of it
        return {}
