"""Which cases a folder holds: a case is one scan, a DICOM series or an image file, with a name that tells of nobody.

Finding is separate from doing: a file that cannot be read becomes a case that fails for itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from ..errors import GANSegmentationError
from ..volumes.dicom_choice import fitting
from ..volumes.files import READ_SUFFIXES, has_suffix, stem
from .channels import Channels
from .ledger import LEDGER_NAME, read_history
from .naming import Found, Names, Naming, doubtful_places, is_text, numbered, without_endings
from .privacy import Redactor
from .private_folder import PRIVATE_FOLDER
from .references import find_reference
from .series import FoundSeries, SeriesFinder

_SEGMENTATION = ".seg.nrrd"
_WITH_DATA_FILE = (".mhd", ".nhdr")


@dataclass(frozen=True)
class Channel:
    """One more scan of a case: what to give `volumes.read_volume`; `series_uid` is None for an image file."""

    path: Path
    series_uid: str | None


@dataclass(frozen=True)
class Case:
    """One scan to segment, or several on one grid for a model with several channels.

    Parameters
    ----------
    name:
        Its place below the input folder, with ``/`` and without the file's ending; who it is of cannot be read off it
        unless that was asked for. The mask lies in the same place below the output folder.
    path:
        The image file, the first file of the DICOM series, or the folder that holds all of it.
    series_uid:
        Which series, or which volume of a four-dimensional one; None for an image file.
    files:
        Everything that belongs to it, the reference's files too.
    reference:
        The mask, or folder of PNG pictures, to compare with.
    problem:
        Why it cannot even be tried; None for nearly all.
    others:
        The further channels, in the order of the model's.
    hides_files:
        Whether names of its files may tell of the patient, so that no message may have them.
    modality:
        Of a DICOM series; empty for an image file.
    """

    name: str
    path: Path
    series_uid: str | None
    files: tuple[Path, ...]
    reference: Path | None = None
    problem: GANSegmentationError | None = None
    others: tuple[Channel, ...] = ()
    hides_files: bool = False
    modality: str = ""


@dataclass(frozen=True)
class CaseFilter:
    """Which cases are wanted: patterns for the path below the input folder, DICOM modalities (() for all), and a rule
    (`volumes.dicom_choice`) for the series of each DICOM study; None for all."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    series: str | None = None

    def wants(self, path: PurePosixPath) -> bool:
        """Whether a path, or a folder above it, fits `include` and none of them `exclude`."""
        places = [str(path), path.name, *map(str, path.parents)]
        included = not self.include or any(fnmatch(place, each) for place in places for each in self.include)
        return included and not any(fnmatch(place, each) for place in places for each in self.exclude)

    @property
    def is_of_dicom(self) -> bool:
        """Whether it asks for what image files do not say."""
        return bool(self.modalities) or self.series is not None


@dataclass(frozen=True)
class FoundCases:
    """The cases of a folder by name.

    Parameters
    ----------
    redactor:
        Who must not be named.
    renamed:
        How many folders and files have a pseudonym for that.
    without_series:
        Studies in which no series is as the rule of the filter says.
    """

    cases: tuple[Case, ...]
    redactor: Redactor
    renamed: int
    without_series: int = 0


@dataclass
class _Search:
    """What was found on the way through the folders."""

    found: list[Found] = field(default_factory=list)
    unsure: list[PurePosixPath] = field(default_factory=list)
    without_series: int = 0


def find_cases(
    root: Path,
    *,
    references: Path | None = None,
    wanted: CaseFilter | None = None,
    channels: Channels | None = None,
    names: Names = "checked",
    key: bytes = b"",
    skip: Sequence[Path] = (),
) -> FoundCases:
    """The cases in a folder and its sub-folders, in the order of their names.

    Every DICOM series that could be meant (no localizers, no screenshots, no objects without a scan) is a case, in the
    place of its folder, or below it as ``series-<number>`` where the folder holds several; of a four-dimensional series
    every volume is one, below it as ``part-<number>`` (the numbers are those of ``UID#2``). Every ``.nrrd``, ``.nhdr``,
    ``.nii``, ``.nii.gz``, ``.mha`` and ``.mhd`` file is one, but not a ``.seg.nrrd``. Hidden files and folders are
    passed over.

    Parameters
    ----------
    references:
        A folder with masks in the same places; `references.find_reference` says which names fit.
    channels:
        The inputs of the model, and what says which scan is which; None for one input.
    names:
        ``checked``: folders and files whose names hold a patient's name, ID or birth date (as the DICOM headers have
        them) get a pseudonym, and so do folders with DICOM files whose headers cannot be read for certain;
        ``pseudonyms``: all get one; ``original``: none does, and nothing is redacted.
    key:
        The secret that makes pseudonyms, see `privacy.pseudonym`.
    skip:
        Folders that are not looked into: output and references.

    Raises
    ------
    GANSegmentationError
        ``folder_not_found``; ``no_cases`` if there is none; ``wrong_use`` and ``wrong_rule`` as `Channels.check`.
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
    channels = channels or Channels()
    channels.check()
    skipped = {each.resolve() for each in (*skip, *([references] if references is not None else []))}
    search = _search(root, redactor, wanted, skipped)
    there = without_endings([each for each in search.found if wanted.wants(each.place)])
    found = numbered(channels.together(there, root.resolve().name))
    if not found:
        raise _no_cases(root, wanted, channels)
    naming = Naming(redactor, names, key, doubtful_places(found, search.unsure))
    cases = [
        Case(
            name=naming.safe(each.place),
            path=each.path,
            series_uid=_uid(each),
            files=each.files,
            problem=each.problem,
            others=tuple(Channel(other.path, _uid(other)) for other in each.others),
            modality="" if each.series is None else each.series.modality,
            hides_files=names == "pseudonyms" or (names == "checked" and _is_strange(each)),
        )
        for each in found
    ]
    if references is not None:
        cases = [_with_reference(case, each.place, references) for case, each in zip(cases, found, strict=True)]
    ordered = tuple(sorted(cases, key=lambda case: case.name))
    return FoundCases(ordered, redactor, naming.renamed, search.without_series)


def _is_strange(found: Found) -> bool:
    """Whether names of its files may tell of a patient whom no header names for certain."""
    return found.is_doubtful or not all(is_text(file.name) for file in found.files)


def _uid(found: Found) -> str | None:
    return None if found.series is None else found.series.uid


def _search(root: Path, redactor: Redactor, wanted: CaseFilter, skipped: set[Path]) -> _Search:
    finder = SeriesFinder()
    closed: list[OSError] = []
    search = _Search()

    def place_of(path: Path) -> PurePosixPath:
        return PurePosixPath(path.relative_to(root).as_posix())

    for folder, names in _walk(root, skipped, closed):
        for name in names:
            path = folder / name
            if has_suffix(path, (_SEGMENTATION,)) or _is_special(path):
                continue
            if not has_suffix(path, READ_SUFFIXES):
                finder.look_at(path)
            elif not wanted.is_of_dicom:  # a file seldom says what it is
                search.found.append(Found(place_of(path), place_of(folder), path, _files_of(path, names)))
    scans = []
    for series in finder.series():
        redactor.learn(series.identity.values)
        if series.is_scan and (not wanted.modalities or series.modality in wanted.modalities):
            scans.append(series)
    for series in _chosen(scans, wanted, search):
        place = place_of(series.folder)
        search.found.append(Found(_place_of(series, place, root), place, series.path, series.files, series))
    for folder, identity in finder.identities():
        redactor.learn(identity.values)
        if not identity.is_certain:
            search.unsure.append(place_of(folder))
    for path, error in finder.unreadable:
        place = place_of(path.parent)
        named = place if place.name else PurePosixPath(root.resolve().name)
        search.found.append(Found(named, place, path, (path,), problem=error, is_unreadable=True))
    for refusal in closed:
        path = Path(refusal.filename)
        place = place_of(path)
        problem = _cannot_be_listed(refusal)
        search.found.append(Found(place, place.parent, path, (path,), problem=problem, is_unreadable=True))
    return search


def _chosen(scans: Sequence[FoundSeries], wanted: CaseFilter, search: _Search) -> Sequence[FoundSeries]:
    """Of every study the series that are as the rule says."""
    if wanted.series is None:
        return scans
    studies: dict[str, list[FoundSeries]] = {}
    for series in scans:
        studies.setdefault(series.study or str(series.folder), []).append(series)
    fit = [fitting(study, wanted.series) for study in studies.values()]
    search.without_series = sum(not each for each in fit)
    return [series for each in fit for series in each]


def _no_cases(root: Path, wanted: CaseFilter, channels: Channels) -> GANSegmentationError:
    is_choice = wanted != CaseFilter() or bool(channels.rules)
    return GANSegmentationError(
        "no_cases",
        f"There is nothing to segment in {root}.",
        cause="It holds no DICOM series and no image file" + (", or none that was asked for." if is_choice else "."),
        action=f"Choose the folder with the scans: DICOM, or {', '.join(READ_SUFFIXES)}.",
    )


def _place_of(series: FoundSeries, folder: PurePosixPath, root: Path) -> PurePosixPath:
    if not series.is_alone:
        place = folder / f"series-{series.number or '0'}"
    else:
        place = folder if folder.name else PurePosixPath(root.resolve().name)
    return place if series.part is None else place / f"part-{series.part}"


def _walk(root: Path, skipped: set[Path], closed: list[OSError]) -> Iterator[tuple[Path, list[str]]]:
    """Folders with the names of their files, but for the masks of a batch, which are image files and no scans; links
    are followed, but no folder is entered twice.

    Those that cannot be listed go into `closed`: cases may lie in them, and nobody should believe there were none.
    """
    seen: set[tuple[int, int]] = set()
    masks: set[Path] = set()
    for parent, folders, files in os.walk(root, followlinks=True, onerror=closed.append):
        folder = Path(parent)
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen or folder.resolve() in skipped:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        if PRIVATE_FOLDER in folders:
            masks |= _masks_of_batch(folder)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield folder, sorted(name for name in files if not name.startswith(".") and folder / name not in masks)


def _masks_of_batch(output: Path) -> set[Path]:
    """The masks in the output folder of a batch, as its ledger has them; scans may lie beside them."""
    try:
        cases = read_history(output / LEDGER_NAME).cases.values()
    except GANSegmentationError:  # of another version, or damaged: then nothing is known to be a mask
        return set()
    return {output / case.outcome["output"] for case in cases if case.outcome and case.outcome.get("output")}


def _is_special(path: Path) -> bool:
    """Whether it is a pipe, a socket or a device: to open one would wait for ever. A link to nothing is none."""
    return path.exists() and not path.is_file()


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


def _with_reference(case: Case, place: PurePosixPath, references: Path) -> Case:
    found = find_reference(references, place, case.path)
    if found is None:
        return case
    files = tuple(sorted(found.iterdir())) if found.is_dir() else (found,)
    return replace(case, reference=found, files=(*case.files, *files))
