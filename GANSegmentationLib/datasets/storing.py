"""One case as files of a prepared dataset, and whether an earlier run has left it there unharmed."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from ..settings import read_settings
from .dataset import Case, Dataset, write_array, write_atomically
from .importers import CaseSource, ImportedCase

FACTS_SCHEMA = 3
"""Raised whenever an importer comes to read a case differently, so that stored cases are imported anew."""


@dataclass(frozen=True)
class MaskFacts:
    """What was counted in the masks of a case when they were stored.

    Parameters
    ----------
    label_pixels:
        Label and number of its pixels, for all that the masks hold but background.
    at_border:
        Labels with a pixel on the border of a slice.
    """

    label_pixels: tuple[tuple[int, int], ...]
    at_border: tuple[int, ...]


def mask_facts(dataset: Dataset, case: Case) -> MaskFacts:
    """What there is in the masks of a case: as it was counted when the case was stored, else counted now.

    Raises
    ------
    GANSegmentationError
        ``invalid_dataset`` if the masks cannot be read.
    """
    try:
        facts = json.loads(_facts_path(dataset.folder, case.id).read_text(encoding="utf-8"))
        if facts["schema"] == FACTS_SCHEMA and facts["case"]["fingerprint"] == case.fingerprint:
            return read_settings(MaskFacts, facts["masks"], code="invalid_dataset")
    except (OSError, ValueError, KeyError, TypeError, GANSegmentationError):
        pass  # an older dataset has no facts, and those of another scan are not its own: they are counted again
    return _mask_facts(dataset.masks(case))


def imported_or_stored(source: CaseSource, layout: str, output: Path) -> Case:
    """The case of a source in the dataset folder `output`: kept if it is there from the same files, else imported.

    Raises
    ------
    GANSegmentationError
        As the importers; ``write_failed``.
    """
    signature = source.signature
    return _stored(source.name, signature, output) or _store(source, layout, output, signature)


def sweep(output: Path) -> None:
    """Remove the half-written files that a killed run has left; nobody else may be writing."""
    for folder in (output, *(output / kind for kind in ("images", "masks", "cases"))):
        for path in folder.glob(".ganseg-*"):
            shutil.rmtree(path, ignore_errors=True)


def _facts_path(output: Path, name: str) -> Path:
    return output / "cases" / f"{name}.json"


def _stored(name: str, signature: str, output: Path) -> Case | None:
    """The case that an earlier run has finished from the same files, if it is still there unharmed."""
    try:
        facts = json.loads(_facts_path(output, name).read_text(encoding="utf-8"))
        if (facts["schema"], facts["signature"]) != (FACTS_SCHEMA, signature):
            return None
        case = Case.from_dict(facts["case"])
        return case if Dataset(output, (case,)).stored_fingerprint(case) == case.fingerprint else None
    # Whatever is wrong with it, the cure is to import the case again.
    except (OSError, ValueError, KeyError, TypeError, GANSegmentationError):
        return None


def _store(source: CaseSource, layout: str, output: Path, signature: str) -> Case:
    imported = source.read()
    digest = hashlib.sha256()
    write_array(output / "images" / f"{imported.id}.npy", imported.images, digest)
    write_array(output / "masks" / f"{imported.id}.npy", imported.masks, digest)
    case = _described(imported, layout, source.origin, digest.hexdigest())
    # The facts come last: only a case whose arrays are both in place counts as finished.
    facts = {
        "schema": FACTS_SCHEMA,
        "signature": signature,
        "case": asdict(case),
        "masks": asdict(_mask_facts(imported.masks)),
    }
    write_atomically(_facts_path(output, case.id), json.dumps(facts).encode())
    return case


def _described(imported: ImportedCase, layout: str, origin: str, fingerprint: str) -> Case:
    slices, rows, columns = imported.images.shape
    return Case(
        id=imported.id,
        source=layout,
        patient=imported.patient,
        modality=imported.modality,
        unit=imported.unit,
        slices=slices,
        shape=(rows, columns),
        slope=imported.slope,
        intercept=imported.intercept,
        value_range=imported.value_range,
        slice_index=imported.slice_index,
        foreground=tuple(int(np.count_nonzero(mask)) for mask in imported.masks),
        fingerprint=fingerprint,
        spacing_zyx=imported.spacing_zyx,
        licence=imported.licence,
        is_volume=imported.is_volume,
        orientation=imported.orientation,
        origin=origin,
        notes=imported.notes,
        unmarked=imported.unmarked,
    )


def _mask_facts(masks: npt.NDArray[Any]) -> MaskFacts:
    counts = sum((np.bincount(mask.ravel(), minlength=256) for mask in masks), np.zeros(256, np.int64))
    edges = (masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1])
    return MaskFacts(
        label_pixels=tuple((int(label), int(counts[label])) for label in np.flatnonzero(counts[1:]) + 1),
        at_border=tuple(sorted({int(label) for edge in edges for label in np.unique(edge)} - {0})),
    )
