"""One batch at a time in an output folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import GANSegmentationError
from ..volumes import lock


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`, in the private folder of an output folder, within a ``with`` (`volumes.lock`).

    Raises
    ------
    GANSegmentationError
        ``batch_running`` if another process holds it; ``write_failed`` if the file cannot be made, or the file system
        knows no locks.
    """

    def running(who: str) -> GANSegmentationError:
        return GANSegmentationError(
            "batch_running",
            f"A batch is running in {path.parent.parent} already: {who}.",
            action="Wait until it ends, or choose another output folder.",
        )

    with lock.locked(path, running):
        yield
