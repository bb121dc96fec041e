"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import GANSegmentationError


@contextlib.contextmanager
def written_beside(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A private folder beside `path`: what is written into it under the name of `path` takes its place at the end.

    Further files in the folder are data files that the main one refers to; they move first. If anything fails, nothing
    has changed.

    Raises
    ------
    GANSegmentationError
        ``folder_not_found`` if the folder of `path` does not exist, ``file_exists`` if the file does and may not be
        replaced, ``write_failed`` if the file system refuses.
    """
    if not path.parent.is_dir():
        raise GANSegmentationError(
            "folder_not_found",
            f"The folder {path.parent} for {path.name} does not exist.",
            action="Create it, or choose another place.",
        )
    if path.is_dir() or (path.exists() and not overwrite):
        raise GANSegmentationError(
            "file_exists",
            f"{path} exists already" + (" and is a folder." if path.is_dir() else "."),
            action="Choose another name, or allow it to be replaced.",
        )
    try:
        folder = Path(tempfile.mkdtemp(prefix=".ganseg-", dir=path.parent))
    except OSError as error:
        raise _write_failed(path, error) from error
    try:
        yield folder
        written = sorted(folder.iterdir(), key=lambda file: file.name == path.name)
        if len(written) > 1:
            # Two files cannot be replaced at one instant: better no header for a moment than one with foreign data.
            path.unlink(missing_ok=True)
        for file in written:
            file.replace(path.with_name(file.name))
    except OSError as error:
        raise _write_failed(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_failed(path: Path, error: OSError) -> GANSegmentationError:
    return GANSegmentationError(
        "write_failed",
        f"{path} could not be written: {error.strerror or error}.",
        cause="The disk may be full or the folder read-only.",
        action="Choose another place.",
        details=repr(error),
    )
