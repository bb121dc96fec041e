"""One file that holds everything a run needs to go on exactly where it stopped."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import GANSegmentationError

SCHEMA = 1


_ZIP_WRITERS = ("inline_container", "PytorchStreamWriter", "iostream error")
"""What torch's own messages hold where a file could not be written; they are plain `RuntimeError`."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically. The state holds plain types and tensors only: it loads with ``weights_only``.

    Raises
    ------
    GANSegmentationError
        ``write_failed`` if it cannot be written; the file that was there is as before.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with writes(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.save({"schema": SCHEMA, **state}, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writes(path: Path) -> Iterator[None]:
    """Say ``write_failed`` where the disk refuses what is written within the ``with``, at or below `path`."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(word in str(error) for word in _ZIP_WRITERS):
            raise
        # torch's message is about its own source; the system's, where there is one, is why.
        why = error if isinstance(error, OSError) else error.__context__
        reason = f": {why.strerror or why}" if isinstance(why, OSError) else ""
        raise GANSegmentationError(
            "write_failed",
            f"{path} could not be written{reason}.",
            cause="The disk may be full, or the folder read-only.",
            action="Make room and go on with --resume: the last epoch that was saved whole is still there.",
            details=repr(error),
        ) from error


def load_checkpoint(path: Path, *, needs: Sequence[str] = ()) -> dict[str, Any]:
    """The state in a checkpoint, on the CPU.

    Raises
    ------
    GANSegmentationError
        ``invalid_checkpoint`` if the file cannot be read without unpickling code, is of another schema, or lacks one of
        the entries that it `needs`.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or state.get("schema") != SCHEMA:
            raise ValueError("it is of another version")
        missing = [name for name in needs if name not in state]
        if missing:
            raise ValueError(f"it holds no {', '.join(missing)}")
    # torch raises many types for a damaged file (pickle, zip, runtime): each one means the same here.
    except Exception as error:
        raise _unreadable(path, error) from error
    return state


def _unreadable(path: Path, error: Exception) -> GANSegmentationError:
    best = path.with_name("best.ckpt")
    kept = path.name != best.name and best.exists()
    empty = path.is_file() and path.stat().st_size == 0
    lines = str(error).strip().splitlines() or [type(error).__name__]
    why = "the file is empty" if empty else lines[0].rstrip(".")
    return GANSegmentationError(
        "invalid_checkpoint",
        f"The checkpoint {path} cannot be read: {why}.",
        cause="It is damaged, or was written by another program or version.",
        action="Start a new run in another folder."
        + (f" The best weights of this one are still in {best}." if kept else ""),
        details="\n".join(lines[1:]),
    )


def random_state() -> dict[str, Any]:
    """The state of all random generators, in plain types and tensors."""
    kind, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - MONAI and others use it
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(kind), [int(key) for key in keys], int(position), int(has_gauss), float(cached)],
        "python": random.getstate(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put all random generators where `random_state` found them."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))  # noqa: NPY002
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))


def seed_everything(seed: int) -> None:
    """Seed torch, numpy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the global generator of the libraries we call
    random.seed(seed)
