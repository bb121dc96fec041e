"""How a job of the panel is run: the seam between the module and whatever computes.

Only this file may import `GANSegmentationLib.worker`, inside the call, so that Slicer starts without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError

EventHandler = Callable[[protocol.Message], None]


class Executor(Protocol):
    """Runs one job at a time."""

    def start(self, request: protocol.Run, onEvent: EventHandler) -> None:
        """Begin a job; `onEvent` is called in the main thread, the last time with a result, a failure or a cancelled.

        Raises
        ------
        GANSegmentationError
            ``job_running`` if the last job has not ended.
        """

    def cancel(self) -> None:
        """Ask the job to stop after the slice batch in hand; does nothing where none runs."""

    def wait(self) -> None:
        """Return when the job has ended."""

    @property
    def isRunning(self) -> bool:
        """Whether a job runs."""


class InlineExecutor:
    """Runs a job in the calling thread, within `start`; `cancel` works from inside an event handler.

    It keeps its worker, and with it the loaded model, for the next job.
    """

    def __init__(self) -> None:
        self._worker = None
        self._running = False
        self._cancelled = False

    @property
    def isRunning(self) -> bool:
        return self._running

    def start(self, request: protocol.Run, onEvent: EventHandler) -> None:
        if self._running:
            raise GANSegmentationError(
                "job_running", "Another job is running.", action="Wait until it ends, or cancel it."
            )
        from GANSegmentationLib import worker

        self._worker = self._worker or worker.Worker()
        self._running, self._cancelled = True, False
        try:
            worker.handle(
                protocol.to_dict(request),
                emit=lambda event: onEvent(protocol.from_dict(event)),
                cancel=lambda: self._cancelled,
                worker=self._worker,
            )
        finally:
            self._running = False

    def cancel(self) -> None:
        self._cancelled = True

    def wait(self) -> None:
        """Nothing to wait for: `start` returns when the job has ended."""


def run(executor: Executor, request: protocol.Run, onEvent: EventHandler | None = None) -> protocol.Result:
    """Run a job to its end.

    Raises
    ------
    GANSegmentationError
        What the job failed with; ``cancelled`` if it was cancelled.
    """
    last: protocol.Message | None = None

    def observe(event: protocol.Message) -> None:
        nonlocal last
        last = event
        if onEvent is not None:
            onEvent(event)

    executor.start(request, observe)
    executor.wait()
    if isinstance(last, protocol.Result):
        return last
    if isinstance(last, protocol.Failed):
        raise GANSegmentationError.from_dict(last.error)
    if isinstance(last, protocol.Cancelled):
        raise GANSegmentationError("cancelled", "The run was cancelled; nothing was changed.")
    raise GANSegmentationError(
        "no_answer", "The job ended without an answer.", action="Run again; report it if it comes back."
    )
