"""How a job of the panel is run: the seam between the module and whatever computes.

`ProcessExecutor` (process/process_executor.py) runs it in a process of its own while the application stays alive;
`InlineExecutor` runs it in the calling thread, for scripts and tests. Only this file may import
`GANSegmentationLib.worker`, inside the call, so that Slicer starts without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError

EventHandler = Callable[[protocol.Message], None]


class State(Enum):
    """What an executor does."""

    IDLE = "idle"
    STARTING = "starting"
    """A job waits for the process to come up."""
    RUNNING = "running"
    CANCELLING = "cancelling"


class Executor(Protocol):
    """Runs one job at a time."""

    @property
    def state(self) -> State:
        """What it does now."""

    @property
    def isRunning(self) -> bool:
        """Whether a job runs: any state but `State.IDLE`."""

    @property
    def isInBackground(self) -> bool:
        """Whether the application stays alive while a job runs."""

    def start(self, request: protocol.Run, onEvent: EventHandler) -> None:
        """Begin a job; `onEvent` is called in the main thread, the last time with a result, a failure or a cancelled.

        At that last time the executor is idle again, and may be given the next job.

        Raises
        ------
        GANSegmentationError
            ``job_running`` if the last job has not ended.
        """

    def cancel(self) -> None:
        """Stop the job; from now on no result of it comes. Does nothing where none runs."""

    def wait(self, seconds: float | None = None) -> bool:
        """Return when the job has ended (True), or not after so many seconds (False)."""

    def release(self) -> None:
        """Let go of the loaded model and the memory of the GPU; does nothing while a job runs."""

    def shutdown(self) -> None:
        """End the job and whatever runs it. The executor can be used again."""


class InlineExecutor:
    """Runs a job in the calling thread, within `start`; `cancel` works from inside an event handler.

    It keeps its worker, and with it the loaded model, for the next job.
    """

    isInBackground = False

    def __init__(self) -> None:
        self._worker = None
        self._state = State.IDLE

    @property
    def state(self) -> State:
        return self._state

    @property
    def isRunning(self) -> bool:
        return self._state is not State.IDLE

    def start(self, request: protocol.Run, onEvent: EventHandler) -> None:
        refuseSecond(self)
        from GANSegmentationLib import worker

        self._worker = self._worker or worker.Worker()
        self._state = State.RUNNING
        last: list[protocol.Message] = []

        def emit(event: Mapping[str, Any]) -> None:
            message = protocol.from_dict(event)
            if isEnd(message):
                last.append(message)  # told below, when the next job can be given
            elif self._state is not State.CANCELLING:
                onEvent(message)

        try:
            worker.handle(
                protocol.to_dict(request),
                emit=emit,
                cancel=lambda: self._state is State.CANCELLING,
                worker=self._worker,
            )
            if self._state is State.CANCELLING:
                last = [protocol.Cancelled(request.id)]
        finally:
            self._state = State.IDLE
        for message in last[-1:]:
            onEvent(checkedResult(request, message))

    def cancel(self) -> None:
        if self.isRunning:
            self._state = State.CANCELLING

    def wait(self, seconds: float | None = None) -> bool:
        """Nothing to wait for: `start` returns when the job has ended."""
        return not self.isRunning

    def release(self) -> None:
        if self._worker is not None and not self.isRunning:
            self._worker.release()

    def shutdown(self) -> None:
        self.cancel()
        self.release()


def run(executor: Executor, request: protocol.Run, onEvent: EventHandler | None = None) -> protocol.Result:
    """Run a job to its end, for scripts; the application's events go on meanwhile.

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
    raise failureOf(last)


def failureOf(event: protocol.Message | None) -> GANSegmentationError:
    """The error that the last event of a job without a result stands for."""
    if isinstance(event, protocol.Failed):
        return GANSegmentationError.from_dict(event.error)
    if isinstance(event, protocol.Cancelled):
        return GANSegmentationError("cancelled", "The run was cancelled; nothing was changed.")
    return GANSegmentationError(
        "no_answer", "The job ended without an answer.", action="Run again; report it if it comes back."
    )


def refuseSecond(executor: Executor) -> None:
    """Raise ``job_running`` if a job runs."""
    if executor.isRunning:
        raise GANSegmentationError("job_running", "Another job is running.", action="Wait until it ends, or cancel it.")


def isEnd(event: protocol.Message) -> bool:
    """Whether an event is the last one of a job."""
    return isinstance(event, (protocol.Result, protocol.Failed, protocol.Cancelled))


def checkedResult(request: protocol.Run, event: protocol.Message) -> protocol.Message:
    """The last event of a job, or a failure if it is a result whose files are not there."""
    if not isinstance(event, protocol.Result):
        return event
    missing = [path for path in _files(event.result, Path(request.folder)) if not path.is_file()]
    if event.job == request.WORDS["job"] and not missing:
        return event
    error = GANSegmentationError(
        "result_missing",
        "The result of the run is not there.",
        cause="The disk is full, or its private folder was removed while it ran.",
        action="Run again; free disk space if it comes back.",
        details=f"{event.job}: {', '.join(path.name for path in missing)}",
    )
    return protocol.Failed(event.id, error.to_dict())


def _files(result: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """The files that a result speaks of: voxels in the run's folder, and what was written elsewhere."""
    for key, value in result.items():
        if isinstance(value, Mapping):
            yield from _files(value, folder)
        elif key == "file" and isinstance(value, str):
            yield folder / Path(value).name
        elif key in ("path", "summary") and isinstance(value, str):
            yield Path(value)
