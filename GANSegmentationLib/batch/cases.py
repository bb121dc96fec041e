"""Which cases a folder holds: a case is one scan, a DICOM series or an image file, with a name that tells of nobody.

Finding is separate from doing: a file that cannot be read becomes a case that fails for itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Literal

from ..errors import GANSegmentationError
from ..volumes.files import READ_SUFFIXES, has_suffix, stem
from .privacy import Redactor, pseudonym
from .references import find_reference
from .series import FoundSeries, SeriesFinder

Names = Literal["checked", "pseudonyms", "original"]

_SEGMENTATION = ".seg.nrrd"
_WITH_DATA_FILE = (".mhd", ".nhdr")


@dataclass(frozen=True)
class Case:
    """One scan to segment.

    Parameters
    ----------
    name:
        Its place below the input folder, with ``/`` and without the file's ending; who it is of cannot be read off it
        unless that was asked for. The mask lies in the same place below the output folder.
    path:
        The image file, the first file of the DICOM series, or the folder that holds all of it.
    series_uid:
        Which series; None for an image file.
    files:
        Everything that belongs to it, the reference's files too.
    reference:
        The mask, or folder of PNG pictures, to compare with.
    problem:
        Why it cannot even be tried; None for nearly all.
    """

    name: str
    path: Path
    series_uid: str | None
    files: tuple[Path, ...]
    reference: Path | None = None
    problem: GANSegmentationError | None = None


@dataclass(frozen=True)
class CaseFilter:
    """Which cases are wanted: patterns for the path below the input folder, and DICOM modalities; () for all."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()

    def wants(self, path: PurePosixPath) -> bool:
        """Whether a path, or a folder above it, fits `include` and none of them `exclude`."""
        places = [str(path), path.name, *map(str, path.parents)]
        included = not self.include or any(fnmatch(place, each) for place in places for each in self.include)
        return included and not any(fnmatch(place, each) for place in places for each in self.exclude)


@dataclass(frozen=True)
class FoundCases:
    """The cases of a folder by name, who must not be named, and how many folders and files were renamed for that."""

    cases: tuple[Case, ...]
    redactor: Redactor
    renamed: int


@dataclass(frozen=True)
class _Raw:
    """A case under the name that it has on the disk, as path below the input folder."""

    place: PurePosixPath
    path: Path
    series_uid: str | None
    files: tuple[Path, ...]
    problem: GANSegmentationError | None = None


def find_cases(
    root: Path,
    *,
    references: Path | None = None,
    wanted: CaseFilter | None = None,
    names: Names = "checked",
    key: bytes = b"",
    skip: Sequence[Path] = (),
) -> FoundCases:
    """The cases in a folder and its sub-folders, in the order of their names.

    Every DICOM series that could be meant (no localizers, no screenshots, no objects without a scan) is a case, in the
    place of its folder, or below it as ``series-<number>`` where the folder holds several. Every ``.nrrd``, ``.nhdr``,
    ``.nii``, ``.nii.gz``, ``.mha`` and ``.mhd`` file is one, but not a ``.seg.nrrd``. Hidden files and folders are
    passed over.

    Parameters
    ----------
    references:
        A folder with masks in the same places; `references.find_reference` says which names fit.
    names:
        ``checked``: folders and files whose names hold a patient's name, ID or birth date (as the DICOM headers have
        them) get a pseudonym, and folders with DICOM files whose headers cannot be read; ``pseudonyms``: all get one;
        ``original``: none does, and nothing is redacted.
    key:
        The secret that makes pseudonyms, see `privacy.pseudonym`.
    skip:
        Folders that are not looked into: output and references.

    Raises
    ------
    GANSegmentationError
        ``folder_not_found``; ``no_cases`` if there is none.
    """
    if not root.is_dir():
        raise GANSegmentationError(
            "folder_not_found",
            f"There is no folder {root}.",
            cause="The path is misspelt, the drive is not connected, or it is a file.",
            action="Give the folder that holds the scans; a single scan is for ganseg segment.",
        )
    redactor = Redactor(keep=names == "original")
    wanted = wanted or CaseFilter()
    skipped = {each.resolve() for each in (*skip, *([references] if references is not None else []))}
    raws = _unique([raw for raw in _raw_cases(root, redactor, wanted, skipped) if wanted.wants(raw.place)])
    if not raws:
        raise GANSegmentationError(
            "no_cases",
            f"There is nothing to segment in {root}.",
            cause="It holds no DICOM series and no image file"
            + (", or none that was asked for." if wanted != CaseFilter() else "."),
            action=f"Choose the folder with the scans: DICOM, or {', '.join(READ_SUFFIXES)}.",
        )
    naming = _Naming(redactor, names, key, _doubtful(raws))
    cases = [
        Case(
            name=naming.safe(raw.place),
            path=raw.path,
            series_uid=raw.series_uid,
            files=raw.files,
            problem=raw.problem,
        )
        for raw in raws
    ]
    if references is not None:
        cases = [_with_reference(case, raw.place, references) for case, raw in zip(cases, raws, strict=True)]
    return FoundCases(tuple(sorted(cases, key=lambda case: case.name)), redactor, naming.renamed)


class _Naming:
    """Gives places names that tell of nobody; one folder has one name, whatever lies in it."""

    def __init__(self, redactor: Redactor, names: Names, key: bytes, doubtful: set[PurePosixPath]) -> None:
        self._redactor = redactor
        self._all = names == "pseudonyms"
        self._doubtful = set() if names == "original" else doubtful
        self._key = key
        self._given: dict[PurePosixPath, str] = {}

    @property
    def renamed(self) -> int:
        return sum(place.name != name for place, name in self._given.items())

    def safe(self, place: PurePosixPath) -> str:
        below = [part for part in (*reversed(place.parents), place) if part.name]
        return "/".join(self._name(part) for part in below)

    def _name(self, place: PurePosixPath) -> str:
        if place not in self._given:
            unknown = self._all or place in self._doubtful
            if unknown:
                self._redactor.learn_text(place.name)  # messages have it in their paths
            hidden = unknown or self._redactor.names_somebody(place.name)
            self._given[place] = pseudonym(self._key, str(place)) if hidden else place.name
        return self._given[place]


def _doubtful(raws: Sequence[_Raw]) -> set[PurePosixPath]:
    """Folders with nothing but DICOM files that cannot be read: they may be called after a patient nobody knows of."""
    known = {folder for raw in raws if raw.problem is None for folder in (raw.place, *raw.place.parents)}
    return {folder for raw in raws for folder in (raw.place, *raw.place.parents) if raw.problem is not None} - known


def _raw_cases(root: Path, redactor: Redactor, wanted: CaseFilter, skipped: set[Path]) -> Iterator[_Raw]:
    finder = SeriesFinder()
    closed: list[OSError] = []
    for folder, names in _walk(root, skipped, closed):
        place = PurePosixPath(folder.relative_to(root).as_posix())
        for name in names:
            path = folder / name
            if has_suffix(path, (_SEGMENTATION,)):
                continue
            if not has_suffix(path, READ_SUFFIXES):
                finder.look_at(path)
            elif not wanted.modalities:  # a file seldom says what it is
                yield _Raw(place / name, path, None, _files_of(path, names))
    for found in finder.series():
        redactor.learn(found.facts)
        if found.is_scan and (not wanted.modalities or found.modality in wanted.modalities):
            place = PurePosixPath(found.folder.relative_to(root).as_posix())
            yield _Raw(_place_of(found, place, root), found.path, found.uid, found.files)
    for path, error in finder.unreadable:
        place = PurePosixPath(path.parent.relative_to(root).as_posix())
        yield _Raw(place if place.name else PurePosixPath(root.name), path, None, (path,), error)
    for refusal in closed:
        path = Path(refusal.filename)
        yield _Raw(PurePosixPath(path.relative_to(root).as_posix()), path, None, (path,), _cannot_be_listed(refusal))


def _place_of(found: FoundSeries, place: PurePosixPath, root: Path) -> PurePosixPath:
    if not found.is_alone:
        return place / f"series-{found.number or '0'}"
    return place if place.name else PurePosixPath(root.resolve().name)


def _walk(root: Path, skipped: set[Path], closed: list[OSError]) -> Iterator[tuple[Path, list[str]]]:
    """Folders with the names of their files; links are followed, but no folder is entered twice.

    Those that cannot be listed go into `closed`: cases may lie in them, and nobody should believe there were none.
    """
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(root, followlinks=True, onerror=closed.append):
        folder = Path(parent)
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen or folder.resolve() in skipped:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield folder, sorted(name for name in files if not name.startswith("."))


def _cannot_be_listed(error: OSError) -> GANSegmentationError:
    return GANSegmentationError(
        "unreadable_file",
        f"The folder {error.filename} cannot be listed: {error.strerror}.",
        cause="You may lack the permission, or the drive is not connected any more.",
        action="Check the folder and give the command again with --retry-failed.",
        details=repr(error),
    )


def _files_of(path: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """An image file, with its data file where it is only the header."""
    if not has_suffix(path, _WITH_DATA_FILE):
        return (path,)
    own = stem(path)
    return tuple(path.with_name(name) for name in names if name.startswith(f"{own}.") and not name.endswith(".json"))


def _unique(raws: Sequence[_Raw]) -> list[_Raw]:
    """The cases without the endings of files where that leaves names unique; upper and lower case are the same."""
    endless = [raw.place if raw.series_uid else raw.place.with_name(stem(Path(raw.place.name))) for raw in raws]
    endless = [raw.place if raw.problem else short for raw, short in zip(raws, endless, strict=True)]
    named = _numbered(raws, _kept_where_alone(raws, endless))
    return [replace(raw, place=place) for raw, place in zip(raws, named, strict=True)]


def _kept_where_alone(raws: Sequence[_Raw], endless: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    counts = _counts(endless, _folded)
    return [short if counts[_folded(short)] == 1 else raw.place for raw, short in zip(raws, endless, strict=True)]


def _numbered(raws: Sequence[_Raw], places: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Two series of one number, or copies of one series: the later ones get a number, in the order of their files."""
    used: dict[str, int] = {}
    result = list(places)
    for index in sorted(range(len(raws)), key=lambda index: (raws[index].series_uid or "", str(raws[index].path))):
        key = _folded(places[index])
        used[key] = used.get(key, 0) + 1
        if used[key] > 1:
            result[index] = places[index].with_name(f"{places[index].name}-{used[key]}")
    return result


def _counts(places: Sequence[PurePosixPath], key: Callable[[PurePosixPath], str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for place in places:
        counts[key(place)] = counts.get(key(place), 0) + 1
    return counts


def _folded(place: PurePosixPath) -> str:
    return str(place).casefold()


def _with_reference(case: Case, place: PurePosixPath, references: Path) -> Case:
    found = find_reference(references, place, case.path)
    if found is None:
        return case
    files = tuple(sorted(found.iterdir())) if found.is_dir() else (found,)
    return replace(case, reference=found, files=(*case.files, *files))
