"""Turn public layouts into the project's dataset: lossless, resumable, with a fingerprint of what was stored."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .dataset import Case, Dataset, write_atomically
from .importers import ImportedCase, cases_of, patients_by_alias

Report = Callable[[int, int, str], None]

FACTS_SCHEMA = 2
"""Raised whenever an importer comes to read a case differently, so that stored cases are imported anew."""


def prepare(
    sources: Sequence[tuple[str, Path]],
    output: Path,
    *,
    labels: Mapping[int, str],
    msd_to_lits: Mapping[str, str] | None = None,
    report: Report | None = None,
) -> Dataset:
    """Import all cases of `sources` (layout, folder) into the dataset folder `output`.

    Each case is stored by itself, atomically; a case that is already there is kept unless its source files or its
    stored arrays have changed since, so an interrupted run goes on where it stopped. The manifest is written last.

    Parameters
    ----------
    labels:
        What the label values mean, e.g. ``{1: "Liver"}``.
    msd_to_lits:
        Which MSD cases are LiTS patients (`importers.same_patients`); they get the same patient name.
    report:
        Called as ``report(done, total, case name)`` before each case.

    Raises
    ------
    GANSegmentationError
        As the importers; ``duplicate_case`` if two sources give the same case name; ``folder_in_use`` if the folder
        holds a dataset of other sources.
    """
    readers = [(layout, source) for layout, folder in sources for source in cases_of(layout, folder)]
    names = [source.name for _, source in readers]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise GANSegmentationError(
            "duplicate_case",
            f"These cases are given twice: {', '.join(twice)}.",
            cause="Two sources hold the same folder names.",
            action="Give each source once.",
        )
    _require_own(output, {layout for layout, _ in sources}, set(names))
    cases: list[Case] = []
    for done, (layout, source) in enumerate(readers):
        if report is not None:
            report(done, len(readers), source.name)
        signature = source.signature
        cases.append(_stored(source.name, signature, output) or _store(source.read(), layout, output, signature))
    patients = patients_by_alias({case.id: case.patient for case in cases}, msd_to_lits or {})
    dataset = Dataset(output, tuple(replace(case, patient=patients[case.id]) for case in cases), dict(labels))
    dataset.write_manifest()
    return dataset


def _require_own(output: Path, layouts: AbstractSet[str], names: AbstractSet[str]) -> None:
    """Refuse a folder whose manifest names cases that these sources do not give: they would be dropped from it.

    A case may be missing from a source that still gives others of those that are there: somebody has removed it.
    """
    try:
        there = Dataset.open(output).cases
    except GANSegmentationError:
        return  # nothing there, or nothing that could be lost: the cure for a broken manifest is to prepare again
    repeated = {case.source for case in there if case.id in names} & layouts
    others = [case for case in there if case.id not in names and case.source not in repeated]
    if others:
        listed = ", ".join(sorted({case.source for case in others}))
        raise GANSegmentationError(
            "folder_in_use",
            f"{output} holds {len(others)} prepared cases of other sources ({listed}; {others[0].id} and so on).",
            cause="Another dataset was prepared in this folder, and only what is given now would be left of it.",
            action="Give all sources again with the new ones, or choose another folder.",
        )


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


def _store(imported: ImportedCase, layout: str, output: Path, signature: str) -> Case:
    images, masks = _bytes(imported.images), _bytes(imported.masks)
    write_atomically(output / "images" / f"{imported.id}.npy", images)
    write_atomically(output / "masks" / f"{imported.id}.npy", masks)
    slices, rows, columns = imported.images.shape
    case = Case(
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
        fingerprint=hashlib.sha256(images + masks).hexdigest(),
        spacing_zyx=imported.spacing_zyx,
        licence=imported.licence,
        is_volume=imported.is_volume,
    )
    # The facts come last: only a case whose arrays are both in place counts as finished.
    facts = {"schema": FACTS_SCHEMA, "signature": signature, "case": asdict(case)}
    write_atomically(_facts_path(output, case.id), json.dumps(facts).encode())
    return case


def _bytes(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
