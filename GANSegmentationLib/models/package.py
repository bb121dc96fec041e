"""A model package on disk: opened with every file checked, and written so that it is either whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from ..errors import GANSegmentationError
from ..volumes import Segment, format_segment_table, parse_segment_table
from . import fit
from . import weights as weight_file
from .card import CARD_FILE, DISCRIMINATOR_FILE, LABELS_FILE, MODEL_FILE, PREVIEW_FILE, Card, FileFact
from .container import SIZE_LIMITS, Container, open_container, write_zip
from .preview import check_preview

ZIP_SUFFIXES: Final = (".ganseg", ".zip")
"""A package written to a name that ends so is a zip, any other a folder."""

_START_BYTES: Final = 8
_WEIGHT_FILES: Final = (MODEL_FILE, DISCRIMINATOR_FILE)
_CHUNK: Final = 1 << 20
_REPLACED: Final = "replaced"


@dataclass(frozen=True)
class Package:
    """A package whose files were checked against its card when it was opened.

    Parameters
    ----------
    path:
        The folder or zip.
    card, labels:
        What the model says of itself, and the structures it finds.
    """

    path: Path
    card: Card
    labels: tuple[Segment, ...]

    @property
    def size_bytes(self) -> int:
        """The bytes of all its files but the card."""
        return sum(fact.bytes for fact in self.card.files.values())

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """The network's weights by name, read now, in the number type they are stored in.

        Raises
        ------
        GANSegmentationError
            As `open_package`, if the file was changed since; ``safetensors_missing``.
        """
        return self._weights(MODEL_FILE)

    def discriminator_weights(self) -> dict[str, npt.NDArray[Any]] | None:
        """The weights of the network that judges the model's masks, read now as `weights`; None if it has none."""
        if self.card.discriminator is None:
            return None
        return self._weights(DISCRIMINATOR_FILE)

    def preview(self) -> bytes | None:
        """The preview picture, PNG; None if there is none."""
        return self._read(PREVIEW_FILE) if PREVIEW_FILE in self.card.files else None

    def verify(self, *, check_network: bool = True) -> None:
        """Check everything anew and more deeply: that the weights are finite and, with torch, fit the network.

        Parameters
        ----------
        check_network:
            As `open_package`; without it the weights are not compared with the network either.

        Raises
        ------
        GANSegmentationError
            As `open_package`, with the reason.
        """
        again = open_package(self.path, check_network=check_network)
        container = open_container(self.path)
        for name in _WEIGHT_FILES:
            if name not in container.sizes:
                continue
            with container.reading(name) as stream:
                tensors = weight_file.read_header(stream, container.sizes[name], name)
                weight_file.check_finite(stream, tensors, name)
            weight_file.check_kinds({key: place.dtype for key, place in tensors.items()}, name)
            if check_network:
                fit.check_weights_fit(again.card, tensors, name)

    def files(self) -> dict[str, bytes]:
        """Every file of the package by name, as it was when it was opened."""
        return {CARD_FILE: card_bytes(self.card), **{name: self._read(name) for name in self.card.files}}

    def _weights(self, name: str) -> dict[str, npt.NDArray[Any]]:
        weights = weight_file.decode(self._read(name), name)
        weight_file.check_kinds({key: array.dtype for key, array in weights.items()}, name)
        return weights

    def _read(self, name: str) -> bytes:
        # Checked on the bytes that are handed out: what was checked on opening may have been replaced since.
        data = open_container(self.path).read(name)
        _check_fact(name, len(data), hashlib.sha256(data).hexdigest(), self.card.files[name])
        return data


def open_package(path: str | os.PathLike[str], *, check_network: bool = True) -> Package:
    """The model package at a path, a folder or a zip (``*.ganseg``), with every file checked.

    Nothing is unpacked to disk, nothing unpickled, no weights are loaded.

    Parameters
    ----------
    check_network:
        Also ask the registry of networks, which imports torch, whether it knows the card's network and configuration.

    Raises
    ------
    GANSegmentationError
        ``package_not_found``, ``not_a_package``, ``package_damaged`` (a truncated zip), ``package_unsafe_path``,
        ``package_unknown_file``, ``package_incomplete`` (a file is missing), ``package_too_large``,
        ``package_unreadable``; ``unsupported_schema`` and ``invalid_card``; ``package_tampered`` (a file is not the one
        that the card describes); ``invalid_weights`` (no safetensors file: a pickle, damaged, bfloat16);
        ``invalid_labels``, ``label_mismatch``; ``invalid_preview``; ``unknown_network``.
    """
    container = open_container(Path(path))
    card = Card.from_json(_text(container, CARD_FILE, "invalid_card"))
    _check_listed(container, card)
    for name, fact in card.files.items():
        _check_file(container, name, fact)
    labels = _read_labels(container)
    fit.check_labels(card, labels)
    if check_network:
        fit.check_network(card)
    return Package(Path(path), card, labels)


def write_package(
    path: str | os.PathLike[str],
    card: Card,
    weights: Mapping[str, npt.NDArray[Any]],
    labels: Sequence[Segment],
    preview: bytes | None = None,
    *,
    discriminator_weights: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Path:
    """Write a model package; a name ending with ``.ganseg`` or ``.zip`` makes a zip, any other a folder.

    The package is written beside its place, opened and checked as a user's would be, and then moved: what stands at
    `path` is always whole. A package that is there already is replaced; anything else there is not. The same model
    gives the same bytes.

    Parameters
    ----------
    card:
        The card; its `files` are filled in here.
    weights:
        The network's weights by name; number types are kept (float16 or float32; numpy has no bfloat16).
    labels:
        The structures: one for each label value that the network can give.
    preview:
        A PNG picture.
    discriminator_weights:
        The weights of the card's `discriminator`, given if and only if it names one.

    Returns
    -------
    The path.

    Raises
    ------
    GANSegmentationError
        What `open_package` would find wrong; ``package_exists`` if something else is at `path`; ``package_unwritable``.
    """
    path = Path(path)
    files = {MODEL_FILE: weight_file.encode(weights), LABELS_FILE: format_segment_table(labels).encode("utf-8")}
    if preview is not None:
        files[PREVIEW_FILE] = preview
    if discriminator_weights is not None:
        files[DISCRIMINATOR_FILE] = weight_file.encode(discriminator_weights, DISCRIMINATOR_FILE)
    packed = card.with_files(
        {name: FileFact(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()}
    )
    checked = Card.from_dict(packed.to_dict())  # a card made in code was never checked
    write_files(path, {CARD_FILE: card_bytes(checked), **files})
    return path


def write_files(path: Path, files: Mapping[str, bytes], *, check_network: bool = True) -> None:
    """Write a package from its files, as `write_package` does; raises as that, `check_network` as `open_package`."""
    as_zip = path.suffix.lower() in ZIP_SUFFIXES
    _check_replaceable(path, as_zip)
    with _beside(path) as workplace:
        fresh = workplace / path.name
        if as_zip:
            write_zip(fresh, files)
        else:
            fresh.mkdir()
            for name in SIZE_LIMITS:
                if name in files:
                    (fresh / name).write_bytes(files[name])
        open_package(fresh, check_network=check_network)
        if path.is_dir():
            # A folder cannot be replaced in one step; for a moment the old one stands in the workplace.
            path.rename(workplace / _REPLACED)
        fresh.replace(path)


def card_bytes(card: Card) -> bytes:
    """The text of ``card.json``, UTF-8."""
    return (json.dumps(card.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _check_listed(container: Container, card: Card) -> None:
    """The files that are there are those of the card."""
    there, listed = set(container.sizes) - {CARD_FILE}, set(card.files)
    if listed - there or not {MODEL_FILE, LABELS_FILE} <= listed:
        missing = ", ".join(sorted((listed | {MODEL_FILE, LABELS_FILE}) - (listed & there)))
        where = "has no" if listed - there else "says nothing in its card of"
        raise GANSegmentationError(
            "package_incomplete",
            f"{container.path.name} {where} {missing}.",
            cause="The package was not copied whole, or its card was edited.",
            action="Get the package again from where it came.",
        )
    if there - listed:
        raise GANSegmentationError(
            "package_unknown_file",
            f"{container.path.name} has {', '.join(sorted(there - listed))}, of which its card says nothing.",
            cause="A file was added after the package was made.",
            action="Remove it, or get the package again from where it came.",
        )


def _check_file(container: Container, name: str, fact: FileFact) -> None:
    with container.reading(name) as stream:
        start = stream.read(_START_BYTES)
        if name in _WEIGHT_FILES:
            weight_file.refuse_pickle(start, name)
        digest = hashlib.sha256(start)
        size = len(start)
        while block := stream.read(_CHUNK):
            digest.update(block)
            size += len(block)
    _check_fact(name, size, digest.hexdigest(), fact)
    if name in _WEIGHT_FILES:
        with container.reading(name) as stream:
            weight_file.read_header(stream, size, name)
    if name == PREVIEW_FILE:
        check_preview(container.read(name))


def _check_fact(name: str, size: int, sha256: str, fact: FileFact) -> None:
    if (size, sha256) == (fact.bytes, fact.sha256):
        return
    if size != fact.bytes:
        problem = f"has {size} bytes; its card says {fact.bytes}"
    else:
        problem = f"has the SHA-256 {sha256[:12]}..., its card says {fact.sha256[:12]}..."
    raise GANSegmentationError(
        "package_tampered",
        f"{name} is not the file that was packed: it {problem}.",
        cause="It was changed, damaged or not copied whole.",
        action="Get the package again from where it came.",
        details=f"{name}: {size} bytes, SHA-256 {sha256}; expected {fact.bytes} bytes, SHA-256 {fact.sha256}",
    )


def _text(container: Container, name: str, code: str) -> str:
    try:
        return container.read(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GANSegmentationError(
            code, f"{name} of {container.path.name} is not UTF-8 text.", cause="It is damaged."
        ) from error


def _read_labels(container: Container) -> tuple[Segment, ...]:
    text = _text(container, LABELS_FILE, "invalid_labels")
    try:
        return parse_segment_table(text, Path(LABELS_FILE))
    except GANSegmentationError as error:
        raise GANSegmentationError(
            "invalid_labels", error.message, cause=error.cause, action=error.action, details=error.details
        ) from error


def _check_replaceable(path: Path, as_zip: bool) -> None:
    if as_zip:
        taken = path.is_dir()
    else:
        taken = path.is_file() or (path.is_dir() and any(path.iterdir()) and not (path / CARD_FILE).is_file())
    if taken or path.is_symlink():
        raise GANSegmentationError(
            "package_exists",
            f"{path} is there already and is not a package that could be replaced.",
            action="Choose another name, or remove it first.",
        )


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A fresh folder beside `path`, on the same disk, gone afterwards."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield workplace
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        replaced = workplace / _REPLACED
        if replaced.exists() and not path.exists():
            with suppress(OSError):
                replaced.rename(path)
        shutil.rmtree(workplace, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> GANSegmentationError:
    return GANSegmentationError(
        "package_unwritable",
        f"The package {path.name} cannot be written to {path.parent}: {error.strerror or error}.",
        cause="The disk is full or the folder is read-only.",
        action="Free space, or choose a folder where you may write.",
    )
