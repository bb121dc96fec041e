"""Packages that are changed on purpose, each with the outcome declared beforehand: the same masks, or which error.

A mutation gets the files of a good package, changes them or how they are packed, and says what has to come of it.
"Unchanged" means that it opens, verifies, holds the same weights and labels, and segments a scan to the same mask.
Nothing may crash, hang, fill the memory or give another mask.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import Predictor
from GANSegmentationLib.models import open_package, write_package
from GANSegmentationLib.reports import image_grid
from Testing.tiny_model import LIVER, tiny_scan, write_tiny_package

SEEDS = 5
SCAN = tiny_scan()
MASK = (SCAN.array > 100).astype(np.uint8)

CARD, LABELS, MODEL, PREVIEW = "card.json", "labels.csv", "model.safetensors", "preview.png"

UNCHANGED_OR_REFUSED = "unchanged or refused"
"""Declared by what may hit a byte that means nothing; any refusal that speaks of the package will do."""

_REFUSALS = (
    *("package_damaged", "package_unknown_file", "package_unsafe_path", "package_unreadable", "package_too_large"),
    *("package_tampered", "package_incomplete", "not_a_package", "invalid_card", "invalid_labels", "invalid_weights"),
    *("invalid_preview", "unsupported_schema", "label_mismatch", "unknown_network"),
)


@dataclass
class Case:
    """The files of a package on their way to the disk."""

    place: Path
    random: np.random.Generator
    files: dict[str, bytes]
    seed: int = 0
    described: bool = True
    """Whether size and checksum of every file are put into the card, as somebody would who packs it anew."""

    @property
    def card(self) -> dict[str, Any]:
        return json.loads(self.files[CARD])

    def set_card(self, card: Any) -> None:
        self.files[CARD] = json.dumps(card).encode()

    def pick(self, options: Any) -> Any:
        return options[int(self.random.integers(len(options)))]

    def finished(self) -> dict[str, bytes]:
        """The files, described in the card where that can still be read."""
        if self.described and CARD in self.files:
            try:
                card = self.card
                card["files"] = {
                    name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
                    for name, data in self.files.items()
                    if name != CARD and name in card["files"]
                }
            except (ValueError, KeyError, TypeError, RecursionError):
                return self.files
            if card["files"] != self.card["files"]:
                self.set_card(card)
        return self.files

    def folder(self) -> Path:
        folder = self.place / "made"
        folder.mkdir()
        for name, data in self.finished().items():
            (folder / name).write_bytes(data)
        return folder

    def zip(self, more: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> Path:
        path = self.place / "made.ganseg"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that come twice
            with zipfile.ZipFile(path, "w", compression) as archive:
                for name, data in [*self.finished().items(), *(more or {}).items()]:
                    archive.writestr(name, data)
        return path

    def either(self) -> Path:
        return self.folder() if self.random.integers(2) else self.zip()

    def header(self) -> tuple[dict[str, Any], bytes]:
        """The header and the numbers of the weights."""
        length = int.from_bytes(self.files[MODEL][:8], "little")
        return json.loads(self.files[MODEL][8 : 8 + length]), self.files[MODEL][8 + length :]

    def set_header(self, header: Any, numbers: bytes) -> None:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        self.files[MODEL] = len(text).to_bytes(8, "little") + text + numbers

    def tensor(self, header: dict[str, Any], least: int = 1) -> str:
        """The name of a tensor with at least so many numbers."""
        names = sorted(name for name in header if np.prod(header[name]["shape"]) >= least)
        return str(self.pick(names))


Mutation = Callable[[Case], tuple[Path, str]]


class Mutations(dict[str, Mutation]):
    """The mutations of one test file by name, and how many seeds each has."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds: dict[str, int] = {}

    def __call__(self, seeds: int = SEEDS) -> Callable[[Mutation], Mutation]:
        """Decorate a mutation; one with more ways than `SEEDS` says how many."""

        def add(function: Mutation) -> Mutation:
            self[function.__name__] = function
            self.seeds[function.__name__] = seeds
            return function

        return add

    def problems(self, name: str, folder: Path) -> list[str]:
        """Where the outcome is not the declared one, over all seeds."""
        found = []
        for seed in range(self.seeds[name]):
            place = folder / str(seed)
            place.mkdir()
            case = Case(place, np.random.default_rng([seed, zlib.crc32(name.encode())]), dict(good_files()), seed)
            path, declared = self[name](case)
            expected = {"unchanged", *_REFUSALS} if declared == UNCHANGED_OR_REFUSED else set(declared.split(" "))
            result = _outcome(path)
            if result not in expected:
                found.append(f"seed {seed}: {result}, declared {declared}")
        return found


@functools.cache
def good_files() -> Mapping[str, bytes]:
    """The files of the package that all mutations begin with."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_tiny_package(Path(folder, "good.ganseg"))
        package = open_package(path)
        picture = image_grid([[np.arange(64, dtype=np.uint8).reshape(8, 8)]])
        write_package(path, package.card, package.weights(), package.labels, picture)
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


@functools.cache
def _good_weights() -> Mapping[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        return open_package(write_tiny_package(Path(folder, "good.ganseg"))).weights()


def _outcome(path: Path) -> str:
    """``unchanged``, ``changed``, the code of the error, or what should not have been raised."""
    good = _good_weights()
    try:
        package = open_package(path)
        package.verify()
        labelmap = Predictor(package, "cpu").segment((SCAN,)).labelmap
        weights = package.weights()
    except GANSegmentationError as error:
        return error.code if len(str(error)) < 2000 else "an error that nobody reads"
    except Exception as error:  # what the mutations are after
        return f"{type(error).__name__}: {error}"[:300]
    same = weights.keys() == good.keys() and all(np.array_equal(weights[name], good[name]) for name in good)
    return "unchanged" if same and package.labels == (LIVER,) and np.array_equal(labelmap.array, MASK) else "changed"
