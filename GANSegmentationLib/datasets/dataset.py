"""A prepared dataset: a folder with a manifest and one pair of arrays a case."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from ..settings import read_settings
from ..volumes.atomic import written_beside

MANIFEST = "manifest.json"
SCHEMA = 1

_CHUNK = 1 << 20


class Hash(Protocol):
    """What `hashlib` gives."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""


@dataclass(frozen=True)
class Case:
    """What the manifest says of one case: a stack of slices of one patient with a mask each.

    Parameters
    ----------
    id, source:
        The case's name, unique in the dataset, and the layout it came from (``"lits_slices"``).
    patient:
        Whose images these are. Cases of one patient share this word across sources: a split is by patient.
    modality, unit:
        DICOM's modality word, and the unit of the stored grey values after slope and intercept (``"HU"``).
    slices, shape:
        Number of slices, and rows and columns of each.
    slope, intercept:
        ``grey * slope + intercept`` is the value in `unit`; the stored grey values are the source's own, unchanged.
    value_range:
        The values in `unit` that the source can hold; beyond it the source has clipped.
    slice_index:
        Position of each stored slice in the original volume, as far as the source tells.
    spacing_zyx:
        Millimetres, or None where the source does not say. Then nothing may be measured in millimetres.
    foreground:
        Number of foreground pixels of each slice.
    fingerprint:
        SHA-256 of the stored arrays.
    is_volume:
        Whether the slices follow one another in space. Where they are picked at random, as in a set of single slices,
        nothing may be joined across them.
    labelled:
        Whether there are masks; where there are none, the stored ones are all background.
    derived_from:
        Of synthetic slices the patients whose masks they were painted from: whatever holds for these patients in a
        split holds for the case.
    orientation:
        Where the index axes x, y, z of the source's files run to, nearest: ``"LPS"``; empty where they do not say.
        Whatever it was, the stored slices are axial and in radiological display.
    origin:
        The case's files, within the folder of its source.
    notes:
        What else there is to know of it, in sentences without subject: ``"its slices are oblique ..."``.
    unmarked:
        Labels that its masks say nothing of: the structure may be in the images, though no mask has it.
    """

    id: str
    source: str
    patient: str
    modality: str
    unit: str
    slices: int
    shape: tuple[int, int]
    slope: float
    intercept: float
    value_range: tuple[float, float]
    slice_index: tuple[int, ...]
    foreground: tuple[int, ...]
    fingerprint: str
    spacing_zyx: tuple[float, float, float] | None = None
    licence: str = ""
    is_volume: bool = True
    labelled: bool = True
    derived_from: tuple[str, ...] = ()
    orientation: str = ""
    origin: str = ""
    notes: tuple[str, ...] = ()
    unmarked: tuple[int, ...] = ()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Case:
        """The case a manifest entry describes.

        Raises
        ------
        GANSegmentationError
            ``invalid_dataset`` if a field is missing, unknown or of the wrong type, or not of one value a slice.
        """
        case = read_settings(cls, fields, code="invalid_dataset", where="a case of the manifest")
        if not len(case.foreground) == len(case.slice_index) == case.slices:
            raise GANSegmentationError(
                "invalid_dataset",
                f"The manifest says that {case.id} has {case.slices} slices, and {len(case.foreground)} counts of "
                f"foreground and {len(case.slice_index)} positions.",
                cause="The manifest was written by another version or edited by hand.",
                action="Prepare the dataset again with `ganseg prepare`.",
            )
        return case


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset on disk, as `prepare` writes it.

    Images and masks lie as ``images/<case>.npy`` (the source's grey values, ``(slices, rows, columns)``, axial slices
    in radiological display) and ``masks/<case>.npy`` (uint8 labels of the same shape) and are memory-mapped, never
    loaded whole.

    Parameters
    ----------
    folder, cases, labels:
        Where it lies, what is in it, and what the mask values mean.
    elsewhere:
        The folder of each case whose arrays lie in another prepared dataset, by the case's name (`mixing.join`).
    """

    folder: Path
    cases: tuple[Case, ...]
    labels: Mapping[int, str] = field(default_factory=dict)
    elsewhere: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: str | Path) -> Dataset:
        """The dataset in `folder`.

        Raises
        ------
        GANSegmentationError
            ``dataset_not_found`` if there is no manifest, ``invalid_dataset`` if it cannot be understood.
        """
        folder = Path(folder)
        path = folder / MANIFEST
        if not path.is_file():
            raise GANSegmentationError(
                "dataset_not_found",
                f"There is no prepared dataset in {folder} ({MANIFEST} is missing).",
                cause="The folder holds the original files, or the preparation has not finished.",
                action="Run `ganseg prepare` first and give its output folder.",
            )
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            if manifest["schema"] != SCHEMA:
                raise ValueError(f"schema {manifest['schema']}, expected {SCHEMA}")
            labels = {int(value): str(name) for value, name in manifest["labels"].items()}
            cases = tuple(Case.from_dict(case) for case in manifest["cases"])
            if len({case.id for case in cases}) != len(cases):
                raise ValueError("two cases have one name")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GANSegmentationError(
                "invalid_dataset",
                f"The manifest {path} cannot be understood: {error}.",
                cause="It was written by another version, or is damaged.",
                action="Prepare the dataset again with `ganseg prepare`.",
            ) from error
        return cls(folder, cases, labels)

    def write_manifest(self) -> None:
        """Write the manifest, atomically, with the cases in the order of their names."""
        manifest = {
            "schema": SCHEMA,
            "labels": {str(value): name for value, name in sorted(self.labels.items())},
            "cases": [asdict(case) for case in sorted(self.cases, key=lambda case: case.id)],
        }
        write_atomically(self.folder / MANIFEST, json.dumps(manifest, indent=1).encode())

    @cached_property
    def by_id(self) -> dict[str, Case]:
        """The cases by their names."""
        return {case.id: case for case in self.cases}

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the fingerprints of all cases: the same data give the same word on every machine."""
        joined = "\n".join(f"{case.id} {case.fingerprint}" for case in sorted(self.cases, key=lambda case: case.id))
        return hashlib.sha256(joined.encode()).hexdigest()

    @property
    def facts_sha256(self) -> str:
        """SHA-256 over what the manifest says of the arrays that `fingerprint` covers: what they mean.

        Labels, and of each case patient, modality, unit, slope, intercept, range, spacing and the kind of its slices.
        """
        cases = [
            [
                case.id, case.source, case.patient, case.modality, case.unit, float(case.slope), float(case.intercept),
                [float(value) for value in case.value_range],
                case.spacing_zyx and [float(value) for value in case.spacing_zyx],
                case.is_volume, case.labelled, list(case.derived_from),
            ]
            for case in sorted(self.cases, key=lambda case: case.id)
        ]  # fmt: skip
        return hashlib.sha256(json.dumps([sorted(self.labels.items()), cases]).encode()).hexdigest()

    def images(self, case: Case) -> npt.NDArray[Any]:
        """The stored grey values of a case, ``(slices, rows, columns)``, memory-mapped."""
        return self._array("images", case)

    def masks(self, case: Case) -> npt.NDArray[np.uint8]:
        """The labels of a case, uint8 ``(slices, rows, columns)``, memory-mapped."""
        return self._array("masks", case)

    def path(self, kind: str, case: Case) -> Path:
        """The file of a case's ``"images"`` or ``"masks"``."""
        return self.elsewhere.get(case.id, self.folder) / kind / f"{case.id}.npy"

    def _array(self, kind: str, case: Case) -> npt.NDArray[Any]:
        path = self.path(kind, case)
        expected = (case.slices, *case.shape)
        try:
            array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise _damaged(path, str(error)) from error
        if array.shape != expected:
            raise _damaged(path, f"the array has the shape {array.shape}, the manifest says {expected}")
        return array

    def stored_fingerprint(self, case: Case) -> str:
        """SHA-256 of the two array files of a case as they are now; `Case.fingerprint` is what they were.

        Raises
        ------
        GANSegmentationError
            ``invalid_dataset`` if a file cannot be read.
        """
        digest = hashlib.sha256()
        for kind in ("images", "masks"):
            path = self.path(kind, case)
            try:
                with path.open("rb") as file:
                    while chunk := file.read(_CHUNK):
                        digest.update(chunk)
            except OSError as error:
                raise _damaged(path, str(error)) from error
        return digest.hexdigest()

    def subset(self, cases: Iterable[str]) -> Dataset:
        """The same dataset with only the cases of these names."""
        wanted = set(cases)
        return replace(self, cases=tuple(case for case in self.cases if case.id in wanted))

    def of_patients(self, patients: Sequence[str]) -> Dataset:
        """The same dataset with only the cases of these patients.

        Raises
        ------
        GANSegmentationError
            ``unknown_patient`` if one of them is not there.
        """
        wanted = set(patients)
        missing = sorted(wanted - {case.patient for case in self.cases})
        if missing:
            raise GANSegmentationError(
                "unknown_patient",
                f"The dataset {self.folder} has no patient {', '.join(missing)}.",
                cause="The name is misspelt, or a source is missing from the prepared dataset.",
                action="Compare with the manifest's patients, or prepare the dataset with all sources.",
            )
        return replace(self, cases=tuple(case for case in self.cases if case.patient in wanted))


def _damaged(path: Path, reason: str) -> GANSegmentationError:
    return GANSegmentationError(
        "invalid_dataset",
        f"{path} cannot be read: {reason}.",
        cause="The preparation was interrupted, or the file was changed since.",
        action="Prepare the dataset again with `ganseg prepare`.",
    )


def array_bytes(array: npt.NDArray[Any]) -> bytes:
    """The content of an array's file, from which fingerprints are made."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def write_array(path: Path, array: npt.NDArray[Any], digest: Hash) -> None:
    """Write an array's file whole or not at all, and add its content to a digest; without a copy of it in memory.

    The content is that of `array_bytes`.
    """
    array = np.ascontiguousarray(array)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as folder, (folder / path.name).open("wb") as file:
        for part in (header.getbuffer(), *(memoryview(plane).cast("B") for plane in array)):
            digest.update(part)
            file.write(part)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: beside its place, then renamed into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as folder:
        (folder / path.name).write_bytes(content)
