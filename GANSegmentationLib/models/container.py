"""A folder or a zip with the files of a package: what is in it, and its bytes, with nothing ever unpacked to disk."""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from ..errors import GANSegmentationError
from .card import CARD_FILE, DISCRIMINATOR_FILE, LABELS_FILE, MODEL_FILE, PREVIEW_FILE

SIZE_LIMITS: Final[Mapping[str, int]] = {
    CARD_FILE: 1 << 20,
    LABELS_FILE: 1 << 20,
    PREVIEW_FILE: 4 << 20,
    MODEL_FILE: 2 << 30,
    DISCRIMINATOR_FILE: 1 << 30,
}
"""The files that a package may have, in the order they are written, and the most bytes of each."""

REQUIRED: Final = (CARD_FILE, LABELS_FILE, MODEL_FILE)

# What desktops put into a folder that someone looks at; not a reason to lose a model.
_DESKTOP_FILES: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})

# Trained weights hardly shrink; a large file that shrank this much is a zip bomb.
_BOMB_SIZE: Final = 64 << 20
_BOMB_RATIO: Final = 50

_ENCRYPTED: Final = 0x1
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class Container(ABC):
    """The files of a package. `sizes` has the names that are there and their bytes, all known and within the limits."""

    def __init__(self, path: Path, sizes: dict[str, int]) -> None:
        self.path = path
        self.sizes = sizes

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """A stream over one file, which can seek."""

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """`open`, where a failure of the disk or of the zip becomes an error that names the file."""
        try:
            with self.open(name) as stream:
                yield stream
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise _damaged(self.path, f"{name} in it cannot be unpacked ({error})") from error
        except OSError as error:
            raise _unreadable(self.path, f"{name}: {error}") from error

    def read(self, name: str) -> bytes:
        """All of one file."""
        with self.reading(name) as stream:
            return stream.read(SIZE_LIMITS[name] + 1)


class _Folder(Container):
    def open(self, name: str) -> IO[bytes]:
        # Looked at again on opening: a link put there since the listing is refused, not followed.
        descriptor = os.open(self.path / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        return os.fdopen(descriptor, "rb")


class _Zip(Container):
    def open(self, name: str) -> IO[bytes]:
        archive = zipfile.ZipFile(self.path)
        try:
            stream = archive.open(name)
        finally:
            archive.close()  # the stream keeps the file open for as long as it needs
        return stream


def open_container(path: Path) -> Container:
    """The files at a path: a folder, or a zip of any name.

    Raises
    ------
    GANSegmentationError
        ``package_not_found``, ``not_a_package`` (neither), ``package_damaged`` (truncated zip), ``package_unsafe_path``
        (absolute or climbing names, links), ``package_unknown_file``, ``package_incomplete``, ``package_too_large``
        (a file over its limit; a zip bomb), ``package_unreadable``.
    """
    try:
        if path.is_dir():
            container: Container = _Folder(path, _list_folder(path))
        elif path.is_file():
            container = _Zip(path, _list_zip(path))
        else:
            raise GANSegmentationError(
                "package_not_found", f"There is no model package at {path}.", action="Check the path."
            )
    except OSError as error:
        raise _unreadable(path, str(error)) from error
    missing = [name for name in REQUIRED if name not in container.sizes]
    if missing:
        raise GANSegmentationError(
            "package_incomplete",
            f"{path.name} has no {' and no '.join(missing)}.",
            cause="The package was not copied whole, or it is no model package.",
            action="Get the package again from where it came.",
        )
    return container


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """A zip that depends on the files alone: fixed order, dates and rights, nothing compressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in SIZE_LIMITS:
            if name in files:
                info = zipfile.ZipInfo(name, _EPOCH)
                info.create_system = 3
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(info, files[name])


def _list_folder(path: Path) -> dict[str, int]:
    sizes = {}
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name in _DESKTOP_FILES:
                continue
            if entry.is_symlink():
                raise _unsafe(path, f"{entry.name} is a link")
            _check_known(path, entry.name)
            if not entry.is_file(follow_symlinks=False):
                raise _unknown(path, f"{entry.name}, which is not a plain file")
            sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
            _check_size(path, entry.name, sizes[entry.name])
    return sizes


def _list_zip(path: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for info in _zip_entries(path):
        # The name as it is written: on Windows zipfile turns backslashes, and everywhere it cuts at a NUL.
        name = info.orig_filename
        _check_name(path, name)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise _unsafe(path, f"{name} is a link")
        _check_known(path, name)
        if name in sizes:
            raise _unknown(path, f"{name} twice")
        if info.flag_bits & _ENCRYPTED:
            raise _unreadable(path, f"{name} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _unreadable(path, f"{name} is compressed in an unusual way (method {info.compress_type})")
        _check_size(path, name, info.file_size)
        if info.file_size > _BOMB_SIZE and info.file_size > _BOMB_RATIO * info.compress_size:
            raise GANSegmentationError(
                "package_too_large",
                f"{path.name} is a zip bomb: {name} would grow from {info.compress_size} to {info.file_size} bytes.",
                cause="No trained weights shrink that much.",
                action="Do not use this file.",
            )
        sizes[name] = info.file_size
    return sizes


def _zip_entries(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        with path.open("rb") as stream:
            begins_as_zip = stream.read(4) == b"PK\x03\x04"
        if begins_as_zip:
            raise _damaged(path, f"its end is missing or damaged ({error})") from error
        raise GANSegmentationError(
            "not_a_package",
            f"{path.name} is not a model package: it is neither a zip nor a folder.",
            cause="Another kind of file was chosen.",
            action="Choose a .ganseg file or an unpacked package.",
            details=str(error),
        ) from error


def _check_name(path: Path, name: str) -> None:
    parts = re.split(r"[/\\]", name)
    if name.startswith(("/", "\\")) or ".." in parts or ":" in name or "\0" in name:
        raise _unsafe(path, f"{name!r} points out of the package")


def _check_known(path: Path, name: str) -> None:
    if name in SIZE_LIMITS:
        return
    folder, _, rest = name.partition("/")
    cause, action = "", "Remove it, or get the package again from where it came."
    if rest in SIZE_LIMITS:
        cause, action = f"The folder {folder} was zipped as a whole.", "Zip the files in it, without the folder."
    raise _unknown(path, repr(name), cause=cause, action=action)


def _check_size(path: Path, name: str, size: int) -> None:
    if size > SIZE_LIMITS[name]:
        raise GANSegmentationError(
            "package_too_large",
            f"{name} in {path.name} has {size} bytes; at most {SIZE_LIMITS[name]} are read.",
            cause="The package is damaged or made to exhaust the memory.",
            action="Get the package again from where it came.",
        )


def _unknown(path: Path, what: str, **more: Any) -> GANSegmentationError:
    return GANSegmentationError(
        "package_unknown_file",
        f"{path.name} has a file that does not belong to a package: {what}. It may have {', '.join(SIZE_LIMITS)}.",
        **more,
    )


def _unsafe(path: Path, what: str) -> GANSegmentationError:
    return GANSegmentationError(
        "package_unsafe_path",
        f"{path.name} is refused: {what}.",
        cause="The package was made to reach files outside of it.",
        action="Do not use this package.",
    )


def _damaged(path: Path, what: str) -> GANSegmentationError:
    return GANSegmentationError(
        "package_damaged",
        f"{path.name} is a damaged zip: {what}.",
        cause="It was not downloaded or copied whole.",
        action="Get it again from where it came.",
    )


def _unreadable(path: Path, what: str) -> GANSegmentationError:
    return GANSegmentationError(
        "package_unreadable",
        f"{path.name} cannot be read: {what}.",
        cause="Rights are missing, the disk fails, or it was packed in an unusual way.",
        action="Check the file's rights, or pack it again without password and with ordinary compression.",
    )
