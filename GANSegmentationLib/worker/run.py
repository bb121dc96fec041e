"""One run: what it tells while it goes on, and whether it shall stop."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from .. import protocol
from ..errors import GANSegmentationError

Emit = Callable[[dict[str, Any]], None]
Cancel = Callable[[], bool]

PROGRESS_EVERY_S = 0.05
"""Progress within a stage is told no more often; an eye sees no more, and a pipe would only fill."""

_LIBRARY = __name__.partition(".")[0]
_BATCHES = f"{_LIBRARY}.inference.batches"


class RunOfJob:
    """The events of one run, and its cancel.

    Parameters
    ----------
    identifier:
        The run's id, which each event carries.
    emit:
        Takes each event as plain JSON types.
    cancel:
        Says whether to stop.
    """

    def __init__(self, identifier: str, emit: Emit, cancel: Cancel) -> None:
        self.id = identifier
        self.device = ""
        self._emit = emit
        self._cancel = cancel
        self._stage = ""
        self._told = (0.0, -1)

    def emit(self, event: protocol.Message) -> None:
        """Tell an event."""
        self._emit(protocol.to_dict(event))

    def enter(self, stage: str) -> None:
        """Another part of the work begins; said once. Stops here if the run shall stop, as `check`."""
        self.check()
        if stage != self._stage:
            self._stage = stage
            self._told = (0.0, -1)
            self.emit(protocol.Stage(self.id, stage))

    def check(self) -> None:
        """Raise ``cancelled`` if the run shall stop."""
        if self.is_cancelled():
            raise GANSegmentationError("cancelled", "The run was cancelled.", action="Nothing was changed.")

    def is_cancelled(self) -> bool:
        """Whether the run shall stop."""
        return self._cancel()

    def progress(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        """So many slices (or cases) are done; told at the ends of a stage and now and then in between."""
        self.enter(stage)
        now = time.monotonic()
        since, before = self._told
        if done == before or (0 < done < total and now - since < PROGRESS_EVERY_S):
            return
        self._told = (now, done)
        self.emit(protocol.Progress(self.id, stage, done, total, seconds_left))

    def warn(self, code: str, message: str) -> None:
        """Something that the user should know."""
        self.emit(protocol.Warn(self.id, code, message))

    def computes_on(self, device: str, name: str) -> None:
        """Say what computes."""
        self.device = device
        self.emit(protocol.Device(self.id, device, name))

    def fail(self, error: GANSegmentationError) -> None:
        """The last event of a run that came to nothing."""
        if error.code == "cancelled":
            self.emit(protocol.Cancelled(self.id))
            return
        worth = error.code == "out_of_memory" and (self.device or _fastest_used()).partition(":")[0] in ("cuda", "mps")
        self.emit(protocol.Failed(self.id, error.to_dict(), {"device": "cpu"} if worth else {}))

    @contextlib.contextmanager
    def logged(self) -> Iterator[None]:
        """What the library logs within the context goes to the panel; smaller batches are a warning of the run."""
        handler = _Handler(self)
        logger = logging.getLogger(_LIBRARY)
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(min(level, logging.INFO) if level else logging.INFO)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)


def _fastest_used() -> str:
    """The device of a run that failed before it said so, in loading the model."""
    torch = sys.modules.get("torch")
    return "cuda" if torch is not None and torch.cuda.is_initialized() else ""


class _Handler(logging.Handler):
    def __init__(self, run: RunOfJob) -> None:
        super().__init__(logging.INFO)
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self._run.emit(protocol.Log(text, record.levelname, self._run.id))
        if record.name == _BATCHES and record.levelno == logging.WARNING:
            self._run.warn("smaller_batches", text)
