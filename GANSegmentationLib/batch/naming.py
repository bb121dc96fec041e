"""The names of cases: those of their places on the disk, as far as these tell of nobody."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from ..errors import GANSegmentationError
from ..volumes.files import stem
from .privacy import Redactor, pseudonym
from .series import FoundSeries

Names = Literal["checked", "pseudonyms", "original"]


@dataclass(frozen=True)
class Found:
    """A scan, or several that make one case, under the name that it has on the disk.

    Parameters
    ----------
    place, folder:
        What it is called, and the folder it lies in, as paths below the input folder.
    path, files:
        As `cases.Case`.
    series:
        The DICOM series; None for an image file.
    problem:
        Why it cannot be done.
    others:
        The further channels, in the order of the model's.
    is_unreadable:
        Whether not even a header of it could be read.
    """

    place: PurePosixPath
    folder: PurePosixPath
    path: Path
    files: tuple[Path, ...]
    series: FoundSeries | None = None
    problem: GANSegmentationError | None = None
    others: tuple[Found, ...] = ()
    is_unreadable: bool = False

    @property
    def is_certain(self) -> bool:
        """Whether DICOM headers say for certain who it is of; an image file has none and says nothing."""
        known = [each.series.identity.is_certain for each in (self, *self.others) if each.series is not None]
        return bool(known) and all(known)

    @property
    def is_doubtful(self) -> bool:
        """Whether it is DICOM, and who it is of cannot be told."""
        return self.is_unreadable or (self.series is not None and not self.is_certain)


class Naming:
    """Gives places names that tell of nobody; one folder has one name, whatever lies in it.

    Parameters
    ----------
    doubtful:
        Places that may be called after a patient whom nobody knows of.
    """

    def __init__(self, redactor: Redactor, names: Names, key: bytes, doubtful: Iterable[PurePosixPath]) -> None:
        self._redactor = redactor
        self._names = names
        self._doubtful = set() if names == "original" else set(doubtful)
        self._key = key
        self._given: dict[PurePosixPath, str] = {}
        self._used: set[str] = set()

    @property
    def renamed(self) -> int:
        """How many folders and files have another name now."""
        return sum(place.name != name for place, name in self._given.items())

    def safe(self, place: PurePosixPath) -> str:
        """The name of a place, ``a/b``; never the same twice, in capitals or not."""
        below = [part for part in (*reversed(place.parents), place) if part.name]
        name = "/".join(self._name(part) for part in below)
        if name.casefold() in self._used:
            name = f"{name}-{pseudonym(self._key, str(place))}"
        self._used.add(name.casefold())
        return name

    def _name(self, place: PurePosixPath) -> str:
        if place not in self._given:
            # Bytes that are no text can be written nowhere as they are, and may be a name in another character set.
            is_strange = self._names != "original" and not is_text(place.name)
            unknown = self._names == "pseudonyms" or place in self._doubtful or is_strange
            if unknown:
                for form in as_said(place.name):
                    self._redactor.learn_text(form)  # messages have it in their paths
            hidden = unknown or self._redactor.names_somebody(place.name)
            self._given[place] = pseudonym(self._key, str(place)) if hidden else _as_text(place.name)
        return self._given[place]


def doubtful_places(found: Sequence[Found], more: Iterable[PurePosixPath] = ()) -> set[PurePosixPath]:
    """Places with nothing certain in them: they may be called after a patient nobody knows of.

    `more` are folders with DICOM objects that do not say for certain who they are of.
    """
    known = {folder for each in found if each.is_certain for folder in (each.place, *each.place.parents)}
    unsure = [*(each.place for each in found if each.is_doubtful), *more]
    return {folder for place in unsure for folder in (place, *place.parents)} - known


def without_endings(found: Sequence[Found]) -> list[Found]:
    """The same without the endings of files where that leaves places unique; upper and lower case are the same."""
    endless = [
        each.place if each.series is not None or each.problem else each.place.with_name(stem(Path(each.place.name)))
        for each in found
    ]
    counts: dict[str, int] = {}
    for short in endless:
        counts[_folded(short)] = counts.get(_folded(short), 0) + 1
    return [
        replace(each, place=short) if counts[_folded(short)] == 1 else each
        for each, short in zip(found, endless, strict=True)
    ]


def numbered(found: Sequence[Found]) -> list[Found]:
    """Two series of one number, or copies of one series: the later ones get a number, in the order of their files."""

    def order(index: int) -> tuple[str, str]:
        series = found[index].series
        return ("" if series is None else series.uid, str(found[index].path))

    used: dict[str, int] = {}
    result = list(found)
    for index in sorted(range(len(found)), key=order):
        place = found[index].place
        key = _folded(place)
        used[key] = used.get(key, 0) + 1
        if used[key] > 1:
            result[index] = replace(found[index], place=place.with_name(f"{place.name}-{used[key]}"))
    return result


def _folded(place: PurePosixPath) -> str:
    return str(place).casefold()


def as_said(name: str) -> tuple[str, ...]:
    """How messages may have the name of a file: as it is, and with the bytes that are no text spelt out."""
    return tuple(dict.fromkeys((name, os.fsencode(name).decode("utf-8", "backslashreplace"))))


def is_text(name: str) -> bool:
    """Whether the name of a file is text, and not bytes that no character set of this computer has."""
    return not any("\udc80" <= sign <= "\udcff" for sign in name)


def _as_text(name: str) -> str:
    """A name with bytes that are no text written as ``%FC``."""
    return (
        name
        if is_text(name)
        else "".join(f"%{ord(sign) - 0xDC00:02X}" if "\udc80" <= sign <= "\udcff" else sign for sign in name)
    )
