"""From where a worker wrote a mask to where it belongs, in one step and on the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from ..errors import GANSegmentationError
from .ledger import sync_folder

_OF_THE_DISK = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "EFBIG") if hasattr(errno, name)
)


def put_in_place(staged: Path, target: Path) -> None:
    """Move the file `staged`, and the data files beside it, to `target`; all of it is on the disk when this returns.

    Raises
    ------
    GANSegmentationError
        ``disk_full`` if the disk can take nothing any more, ``write_failed`` if the trouble is with this name alone.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # The header last: without its data file it would be half a mask.
        files = sorted(staged.parent.iterdir(), key=lambda file: file.name == staged.name)
        for file in files:
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())
        if len(files) > 1:
            target.unlink(missing_ok=True)
        for file in files:
            file.replace(target.with_name(file.name))
        sync_folder(target.parent)
    except OSError as error:
        whole_disk = error.errno in _OF_THE_DISK
        raise GANSegmentationError(
            "disk_full" if whole_disk else "write_failed",
            f"{target} could not be written: {error.strerror or error}.",
            cause="The disk is full or read-only."
            if whole_disk
            else "The name is too long, or something is in the way.",
            action="Make room and give the same command again: what is done is done."
            if whole_disk
            else "Move away what is in the way, and give the command again with --retry-failed.",
            details=repr(error),
        ) from error
    finally:
        shutil.rmtree(staged.parent, ignore_errors=True)


def remove_mask(target: Path) -> None:
    """Remove the mask of a scan that has changed and could not be segmented again, so that nobody takes it for its."""
    with contextlib.suppress(OSError):
        target.unlink(missing_ok=True)
