"""The folder where a user's models lie: which one it is, the packages in it, their size, their removal."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import GANSegmentationError
from .card import CARD_FILE

ENVIRONMENT_VARIABLE = "GANSEG_MODELS"


def user_models_folder(environment: Mapping[str, str] | None = None, platform: str | None = None) -> Path:
    """Where imported models are kept: ``GANSEG_MODELS``, else the platform's place for a user's application data.

    That is ``%LOCALAPPDATA%`` on Windows, ``~/Library/Application Support`` on macOS and ``$XDG_DATA_HOME`` or
    ``~/.local/share`` elsewhere (XDG Base Directory Specification), in ``GANSegmentation/Models``.
    """
    environment = os.environ if environment is None else environment
    platform = platform or sys.platform
    chosen = environment.get(ENVIRONMENT_VARIABLE, "")
    if chosen:
        return Path(chosen).expanduser()
    if platform == "win32":
        local = environment.get("LOCALAPPDATA", "")
        base = Path(local) if local else Path.home() / "AppData" / "Local"
    elif platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        data = environment.get("XDG_DATA_HOME", "")
        base = Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share"
    return base / "GANSegmentation" / "Models"


def packages_in(folder: Path) -> Iterator[Path]:
    """The packages of a folder, by name; none if there is no such folder.

    Raises
    ------
    GANSegmentationError
        ``library_unreadable``.
    """
    try:
        entries = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return  # nothing was imported yet
    except OSError as error:
        raise GANSegmentationError(
            "library_unreadable",
            f"The folder of models {folder} cannot be read: {error.strerror or error}.",
            action=f"Check its rights, or name another folder in {ENVIRONMENT_VARIABLE}.",
        ) from error
    for path in entries:
        if not path.name.startswith(".") and (path.suffix == ".ganseg" or (path / CARD_FILE).is_file()):
            yield path


def stamp(path: Path) -> Any:
    """What changes when a package does: names, sizes and times of its files."""
    try:
        files = [path, *sorted(path.iterdir())] if path.is_dir() else [path]
        return [(file.name, *_facts(os.lstat(file))) for file in files]
    except OSError:
        return None


def _facts(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def bytes_of(path: Path) -> int:
    """What a package takes on the disk; files that vanish meanwhile count nothing."""
    total = 0
    for file in path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]:
        with contextlib.suppress(OSError):
            status = os.lstat(file)
            total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total


def delete(path: Path) -> None:
    """Remove a package.

    Raises
    ------
    GANSegmentationError
        ``model_not_removed`` if the disk refuses.
    """
    import shutil

    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        raise GANSegmentationError(
            "model_not_removed",
            f"The model at {path} cannot be removed: {error.strerror or error}.",
            cause="It is in use, or rights are missing.",
            action="Close what uses it and try again.",
        ) from error
