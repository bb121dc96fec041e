"""One job from the scene to the worker and back: steps that wait for an executor without blocking the application.

The steps of a job are a generator: it yields the requests for the worker and gets their results, so that reading nodes,
asking the worker and writing nodes stand in one function (steps.py), in the order in which they happen. A failure or a
cancel is raised at the ``yield``, where ``with`` and ``finally`` clean up.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from enum import Enum
from typing import Any

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError

from .executor import Executor, failureOf, isEnd

IMPORT_STAGE = "import"
"""The stage after the worker's last: its result is written into the scene."""

Steps = Generator[protocol.Run, protocol.Result, Any]
MakeSteps = Callable[["Job"], Steps]


class JobState(Enum):
    """Where a job stands."""

    WAITING = "waiting"
    """Not begun: another job has to end first."""
    PREPARING = "preparing"
    """Nodes are read and handed over."""
    RUNNING = "running"
    CANCELLING = "cancelling"
    IMPORTING = "importing"
    """Results are written into the scene."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


_ENDS = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class Job:
    """What was asked for, how far it is, and what came of it.

    Parameters
    ----------
    executor:
        Runs the requests; a job has it to itself while it runs.
    makeSteps:
        Makes the generator of steps, given the job.
    onEvent:
        Called in the main thread with every event of the worker but a failure or a cancel; before a result with a
        `protocol.Stage` of the name `IMPORT_STAGE`, for it is written into the scene next. An exception in it ends the
        job, which fails with it.
    onEnd:
        Called once with the job when it is done, has failed or was cancelled.
    """

    _lastId = 0

    def __init__(
        self,
        executor: Executor,
        makeSteps: MakeSteps,
        onEvent: Callable[[protocol.Message], None] | None = None,
        onEnd: Callable[[Job], None] | None = None,
    ) -> None:
        self._executor = executor
        self._steps = makeSteps(self)
        self._onEvent = onEvent or (lambda event: None)
        self._endObservers: list[Callable[[Job], None]] = [] if onEnd is None else [onEnd]
        self._answer: protocol.Message | None = None
        self._isDriving = False
        self._fault: Exception | None = None
        self.state = JobState.WAITING
        self.value: Any = None
        self.error: Exception | None = None
        self.retry: dict[str, Any] = {}
        """After a failure: the options of another try that may succeed, such as ``{"device": "cpu"}``."""
        self.usesScene = True
        """Whether it is about nodes of the scene, and ends with it; a batch goes from files to files."""
        self.part, self.parts = 0, 1
        """Which one of several requests of the same kind is worked on (a frame of a sequence), from 0, and how many."""

    @property
    def hasEnded(self) -> bool:
        """Whether it is over, however it ended."""
        return self.state in _ENDS

    @property
    def isCancelled(self) -> bool:
        """Whether it was cancelled, or is about to be."""
        return self.state in (JobState.CANCELLING, JobState.CANCELLED)

    def nextId(self) -> str:
        """The identifier for another request: no two of a process are the same."""
        Job._lastId += 1
        return str(Job._lastId)

    def addEndObserver(self, observer: Callable[[Job], None]) -> None:
        """Have something called before `onEnd` when the job ends."""
        self._endObservers.insert(0, observer)

    def start(self) -> None:
        """Begin; returns when the first request is with the executor, or with one that runs inline at the end."""
        if self.state is JobState.CANCELLED:
            return
        self.state = JobState.PREPARING
        self._drive(lambda: next(self._steps))

    def cancel(self) -> None:
        """Stop it: nothing is changed in the scene. Does nothing once it has ended."""
        if self.state is JobState.WAITING:
            self._steps.close()
            self._end(JobState.CANCELLED, error=failureOf(protocol.Cancelled("")))
        elif not self.hasEnded:
            self.state = JobState.CANCELLING
            if not self._isDriving or self._executor.isRunning:
                self._executor.cancel()

    def wait(self) -> None:
        """Return when it has ended; for scripts. The application's events go on meanwhile.

        Raises
        ------
        RuntimeError
            If it cannot end while somebody waits: within one of its own events, or of the job that it waits for.
        """
        while not self.hasEnded:
            isIdle = self._executor.wait()
            if not self.hasEnded and not (isIdle and self._executor.isRunning):
                raise RuntimeError("A job cannot be waited for from within an event of a job.")

    def result(self) -> Any:
        """What came of it.

        Raises
        ------
        GANSegmentationError
            What it failed with; ``cancelled`` if it was cancelled.
        """
        if self.error is not None:
            raise self.error
        return self.value

    def _drive(self, step: Callable[[], protocol.Run]) -> None:
        """Take steps until one has to be waited for. An executor that runs inline answers within its `start`."""
        self._isDriving = True
        try:
            while True:
                request = self._taken(step)
                if request is None:
                    return
                self._answer = None
                self.state = JobState.RUNNING
                if not self._isTaken(request):
                    return
                if self._answer is None:
                    return  # it goes on in `_onMessage`
                step = self._resumed(self._answer)
        finally:
            self._isDriving = False

    def _isTaken(self, request: protocol.Run) -> bool:
        """Give a request to the executor; if it does not take it, the job has ended."""
        try:
            self._executor.start(request, self._onMessage)
        except Exception as error:  # noqa: BLE001 - as in `_taken`
            self._steps.close()
            self._end(JobState.FAILED, error=error)
            return False
        except BaseException:  # Ctrl-C in a script
            self._steps.close()
            self._end(JobState.CANCELLED, error=failureOf(protocol.Cancelled(request.id)))
            raise
        return True

    def _taken(self, step: Callable[[], protocol.Run]) -> protocol.Run | None:
        """The next request; None if the job has ended."""
        try:
            request = step()
        except StopIteration as end:
            self._end(JobState.DONE, value=end.value)
            return None
        except Exception as error:  # noqa: BLE001 - whatever went wrong ends the job and is told by `result`
            cancelled = isinstance(error, GANSegmentationError) and error.code == "cancelled"
            self._end(JobState.CANCELLED if cancelled else JobState.FAILED, error=error)
            return None
        except BaseException:
            self._end(JobState.CANCELLED, error=failureOf(protocol.Cancelled("")))
            raise
        if self.state is JobState.CANCELLING:  # cancelled while nodes were read
            self._steps.close()
            self._end(JobState.CANCELLED, error=failureOf(protocol.Cancelled(request.id)))
            return None
        return request

    def _onMessage(self, event: protocol.Message) -> None:
        if not isEnd(event):
            if self.state is JobState.RUNNING:
                self._tell(event)
            return
        self._answer = event
        if not self._isDriving:
            self._drive(self._resumed(event))

    def _resumed(self, answer: protocol.Message) -> Callable[[], protocol.Run]:
        """The step after an answer: its result goes into the generator, or its error is raised there."""
        if isinstance(answer, protocol.Result) and self.state is not JobState.CANCELLING:
            self.state = JobState.IMPORTING
            self._tell(protocol.Stage(answer.id, IMPORT_STAGE))
            if self._fault is None:
                self._tell(answer)
            if self.state is JobState.IMPORTING:  # it was not cancelled just then
                return lambda: self._steps.send(answer)
        if self.state is JobState.CANCELLING:
            answer = protocol.Cancelled(getattr(answer, "id", ""))
        if isinstance(answer, protocol.Failed):
            self.retry = dict(answer.retry)
        error = self._fault or failureOf(answer)
        return lambda: self._steps.throw(error)

    def _tell(self, event: protocol.Message) -> None:
        """An exception must neither be lost nor leave the job between two states: it is what the job fails with."""
        try:
            self._onEvent(event)
        except Exception as error:  # noqa: BLE001 - the fault of whoever listens
            self._fault = error
            self.cancel()

    def _end(self, state: JobState, *, value: Any = None, error: Exception | None = None) -> None:
        self.state, self.value, self.error = state, value, error
        observers, self._endObservers = self._endObservers, []
        faults = []
        for observer in observers:
            try:
                observer(self)
            except Exception as fault:  # noqa: BLE001 - the others have to hear of it all the same
                faults.append(fault)
        if faults:
            raise faults[0]
