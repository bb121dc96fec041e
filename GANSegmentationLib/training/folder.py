"""A run has its folder to itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..errors import GANSegmentationError
from ..volumes.lock import locked
from .steps.processes import Processes

LOCK = "run.lock"
"""The file that the first process of a run holds locked while it runs; it stays, and means nothing by itself."""


def refuse_another_run(folder: Path) -> None:
    """Refuse to begin where a run has begun: ``run_exists``."""
    if (folder / "last.ckpt").exists():
        raise GANSegmentationError(
            "run_exists",
            f"{folder} already holds a run.",
            cause="A run was started there before.",
            action="Add --resume to go on with it, or choose another folder.",
        )


@contextmanager
def alone_in(folder: Path, processes: Processes, say: Callable[[str], None], *, begins: bool) -> Iterator[None]:
    """Hold a run's folder within a ``with``: its first process does, for all of them.

    Parameters
    ----------
    say:
        Called with a line of text for people where the file system knows no locks, and the run goes on without.
    begins:
        Whether a new run begins, which needs a folder without another one.

    Raises
    ------
    GANSegmentationError
        In every process: ``folder_in_use`` if another run holds the folder, ``run_exists`` if it holds another run,
        ``write_failed`` if nothing can be written there.
    """

    def in_use(who: str) -> GANSegmentationError:
        return GANSegmentationError(
            "folder_in_use",
            f"Another run is writing into {folder}: {who}.",
            action="Wait until it ends, or choose another folder.",
        )

    with ExitStack() as stack:
        refusal: GANSegmentationError | None = None
        if processes.is_first:
            try:
                if not stack.enter_context(locked(folder / LOCK, in_use, needed=False)):
                    say(f"{folder} lies on a file system without locks: nothing keeps a second run out of it.")
                if begins:
                    refuse_another_run(folder)
            except GANSegmentationError as error:
                refusal = error
        refusal = processes.agree(refusal)
        if refusal is not None:
            raise refusal
        yield
