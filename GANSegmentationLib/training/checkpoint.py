"""One file that holds everything a run needs to go on exactly where it stopped."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import GANSegmentationError

SCHEMA = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically. The state holds plain types and tensors only: it loads with ``weights_only``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    torch.save({"schema": SCHEMA, **state}, temporary)
    temporary.replace(path)


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
        raise GANSegmentationError(
            "invalid_checkpoint",
            f"The checkpoint {path} cannot be read: {error}.",
            cause="It is damaged, or was written by another program or version.",
            action="Start again without --resume, or give the run folder of this version.",
        ) from error
    return state


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
