"""What a batch keeps in its output folder for itself: lock, key of the pseudonyms, masks that are being written."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path

from ..errors import GANSegmentationError

PRIVATE_FOLDER = ".ganseg-batch"
"""Its name. Not for passing on."""

KEY_BYTES = 32
"""Of a key for pseudonyms."""

_STAGING = "staging-"


def make_private_folder(output: Path) -> Path:
    """The private folder of an output folder, both made where they are not there; raises ``write_failed``."""
    private = output / PRIVATE_FOLDER
    try:
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise GANSegmentationError(
            "write_failed",
            f"The output folder {output} cannot be made or written to: {error.strerror or error}.",
            action="Choose another place.",
            details=repr(error),
        ) from error
    return private


def pseudonym_key(private: Path) -> bytes:
    """The secret of this output folder's pseudonyms, made at the first time and complete before it has its name."""
    path = private / "key"
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    key = secrets.token_bytes(KEY_BYTES)
    beside = path.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_bytes(key)
    beside.replace(path)
    return key


def sweep(private: Path) -> None:
    """Remove what killed runs have left; their workers, should one still live, have nowhere to write any more."""
    for folder in private.glob(f"{_STAGING}*"):
        shutil.rmtree(folder, ignore_errors=True)


def make_staging(private: Path, run: str) -> Path:
    """A folder for the masks that a run is writing."""
    staging = private / f"{_STAGING}{run}"
    staging.mkdir()
    return staging
