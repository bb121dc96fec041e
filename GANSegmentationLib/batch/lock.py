"""One batch at a time in an output folder: a lock that the system itself takes back when its holder dies."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import GANSegmentationError


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path` within a ``with``.

    It is the open file that is locked (``flock``, on Windows ``LockFile``), not its existence: a killed process leaves
    the file behind but not the lock, and the processes that it started never had it (PEP 446). The file is not removed,
    for whoever waits with it open would then hold a lock on nothing.

    Raises
    ------
    GANSegmentationError
        ``batch_running`` if another process holds it; ``write_failed`` if the file cannot be made, or the file system
        knows no locks.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _failed(path, error) from error
    try:
        try:
            _lock(file)
        except BlockingIOError as error:
            raise _running(path, file) from error
        except OSError as error:
            raise _failed(path, error) from error
        holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
        os.ftruncate(file, 0)
        os.pwrite(file, holder.encode(), 0) if hasattr(os, "pwrite") else os.write(file, holder.encode())
        yield
    finally:
        os.close(file)  # and with it goes the lock


def _lock(file: int) -> None:
    """Raises `BlockingIOError` if somebody else has it."""
    if sys.platform == "win32":  # pragma: no cover - another system
        msvcrt: Any = importlib.import_module("msvcrt")
        os.lseek(file, 1 << 20, os.SEEK_SET)  # beyond what is written, which stays readable
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from error
        os.lseek(file, 0, os.SEEK_SET)
    else:
        fcntl: Any = importlib.import_module("fcntl")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _running(path: Path, file: int) -> GANSegmentationError:
    try:
        holder = json.loads(os.read(file, 1000))
        who = f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return GANSegmentationError(
        "batch_running",
        f"A batch is running in {path.parent.parent} already: {who}.",
        action="Wait until it ends, or choose another output folder.",
    )


def _failed(path: Path, error: OSError) -> GANSegmentationError:
    return GANSegmentationError(
        "write_failed",
        f"The output folder cannot be locked with {path}: {error.strerror or error}.",
        cause="The disk may be full, the folder read-only, or its file system without locks.",
        action="Choose another place.",
        details=repr(error),
    )
