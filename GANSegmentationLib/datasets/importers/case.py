"""What an importer gives: a case as it was read, and the promise of one that can be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class ImportedCase:
    """One case as an importer reads it; the words are those of `dataset.Case`.

    ``images (slices, rows, columns)`` keep the source's values; ``masks`` are uint8 of the same shape.
    """

    id: str
    patient: str
    modality: str
    unit: str
    images: npt.NDArray[Any]
    masks: npt.NDArray[np.uint8]
    slice_index: tuple[int, ...]
    slope: float = 1.0
    intercept: float = 0.0
    value_range: tuple[float, float] = (-1024.0, 3071.0)
    spacing_zyx: tuple[float, float, float] | None = None
    licence: str = ""
    is_volume: bool = True
    orientation: str = ""
    notes: tuple[str, ...] = ()
    unmarked: tuple[int, ...] = ()


@dataclass(frozen=True)
class CaseSource:
    """A case that can be read: its name and files at once, the rest when `read` is called.

    A finished case whose files are still the same is thus skipped without reading it. A source can be pickled, so that
    another process may read it.

    Parameters
    ----------
    name:
        The id of the case that `read` will give.
    files:
        Whatever `read` looks at.
    how:
        The options that the case is read with, in words; other words make another signature.
    origin:
        Where the case comes from, within the source's folder.
    """

    name: str
    files: tuple[Path, ...]
    read: Callable[[], ImportedCase]
    how: str = ""
    origin: str = ""

    @property
    def signature(self) -> str:
        """A word that changes when a file is added, removed or written again: SHA-256 of names, sizes and times."""
        facts: list[Any] = []
        for path in sorted(self.files):
            # What is missing is said when the case is read, with the case's name and its reason.
            found = path.stat() if path.is_file() else None
            facts.append((path.name, found.st_size, found.st_mtime_ns) if found else (path.name,))
        return hashlib.sha256(json.dumps([facts, self.how]).encode()).hexdigest()
