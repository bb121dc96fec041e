"""One at a time: a lock on a folder that the system itself takes back when its holder dies."""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import GANSegmentationError

_HELD: set[int] = set()
"""The lock files that this process has open."""

_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


@contextlib.contextmanager
def locked(path: Path, refusal: Callable[[str], GANSegmentationError], *, needed: bool = True) -> Iterator[bool]:
    """Hold the lock file at `path` within a ``with``; gives whether it is held.

    It is the open file that is locked (``flock``, on Windows ``LockFile``), not its existence: a killed process leaves
    the file behind but not the lock, and the processes that it started never had it: open files are not inherited
    (PEP 446), and a fork closes its copy. The file is not removed,
    for whoever waits with it open would then hold a lock on nothing.

    Parameters
    ----------
    refusal:
        Makes the error for whoever comes second, from who holds it: ``"process 12 on host"``.
    needed:
        False goes on without where the file system knows no locks.

    Raises
    ------
    GANSegmentationError
        That of `refusal` if another holds it; ``write_failed`` if the file cannot be made, or the file system knows no
        locks and one is needed.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _failed(path, error) from error
    _HELD.add(file)
    try:
        held = True
        try:
            _lock(file)
        except BlockingIOError as error:
            raise refusal(_holder(file)) from error
        except OSError as error:
            if needed or error.errno not in _WITHOUT_LOCKS:
                raise _failed(path, error) from error
            held = False
        if held:
            _sign(path, file)
        yield held
    finally:
        _HELD.discard(file)
        os.close(file)  # and with it goes the lock


def _let_go() -> None:
    """In a forked process: the lock is its parent's alone."""
    for file in _HELD:
        with contextlib.suppress(OSError):
            os.close(file)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


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


def _sign(path: Path, file: int) -> None:
    """Write into the file who holds it."""
    holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, holder, 0) if hasattr(os, "pwrite") else os.write(file, holder)
    except OSError as error:
        raise _failed(path, error) from error


def _holder(file: int) -> str:
    try:
        holder = json.loads(os.read(file, 1000))
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _failed(path: Path, error: OSError) -> GANSegmentationError:
    return GANSegmentationError(
        "write_failed",
        f"The output folder cannot be locked with {path}: {error.strerror or error}.",
        cause="The disk may be full, the folder read-only, or its file system without locks.",
        action="Choose another place.",
        details=repr(error),
    )
