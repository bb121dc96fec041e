"""Jobs in a process of their own, so that the application stays alive and a crash takes nothing with it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError

from ..jobs.executor import EventHandler, State, checkedResult, isEnd, refuseSecond
from .launching import WORKER, interpreter
from .worker_log import Ending, WorkerLog, crashed, notStarted
from .worker_process import WorkerProcess

GRACE_MS = 3000
"""How long a cancelled job may take to stop before its process is killed."""

IDLE_MINUTES = 10
"""How long a worker without a job is kept with its model."""

START_MS = 120_000
"""For the process to come up: it imports nothing large before, but a network drive or a virus scanner takes time."""

_PUMP_S = 0.005
_QUIT_MS = 1000


@dataclass
class _Job:
    request: protocol.Run
    onEvent: EventHandler
    isSubmitted: bool = False
    isBegun: bool = False
    isSecondTry: bool = False


class ProcessExecutor:
    """Runs jobs in a worker process that stays warm; `start` returns at once and events come by the event loop.

    A cancel that is not answered within the grace period ends the whole process tree; the job then ends as cancelled,
    and the next one begins in a fresh process. A process that ends in the middle of a job is a failure of that job with
    its last words. Events of an earlier job, or after a cancel, are dropped.

    Parameters
    ----------
    command:
        What to start instead of the worker, as an argument list.
    graceMs, startMs:
        As `GRACE_MS` and `START_MS`.
    idleMinutes:
        As `IDLE_MINUTES`.
    logFolder:
        Where the log goes; None for the user's place for it.
    """

    isInBackground = True

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        graceMs: int = GRACE_MS,
        startMs: int = START_MS,
        idleMinutes: float = IDLE_MINUTES,
        logFolder: Path | None = None,
    ) -> None:
        self._command = tuple(command or (interpreter(), *WORKER))
        self._graceMs, self._startMs = graceMs, startMs
        self.idleMinutes = idleMinutes  # may be changed; 0 ends the worker with its job
        self.log = WorkerLog(logFolder)
        self._worker: WorkerProcess | None = None
        self._isReady = False
        self._isLeaving = False  # the worker ends of itself
        self._job: _Job | None = None
        self._state = State.IDLE
        self._timers: dict[str, object] = {}
        self._isWatchingQuit = False

    @property
    def state(self) -> State:
        return self._state

    @property
    def isRunning(self) -> bool:
        return self._job is not None

    @property
    def isWarm(self) -> bool:
        """Whether a worker is up and waits for jobs."""
        return self._worker is not None and self._isReady and not self._isLeaving and self._worker.isAlive

    def start(self, request: protocol.Run, onEvent: EventHandler) -> None:
        refuseSecond(self)
        self._stop("idle")
        self._job = _Job(request, onEvent)
        self.log.hide(_words(request))
        self._begin()

    def cancel(self) -> None:
        if self._job is None or self._state is State.CANCELLING:
            return
        self._state = State.CANCELLING
        if self._job.isSubmitted and self._worker is not None:
            self._worker.send(protocol.Cancel(self._job.request.id))
            self._after(self._graceMs, "grace", self._onGraceOver)
        else:  # nothing has been asked of the process: it may go on coming up, for the next job
            self._stop("start")
            self._after(0, "grace", self._onNeverSubmitted)

    def wait(self, seconds: float | None = None) -> bool:
        """As `Executor.wait`; for scripts, a panel does not wait. The application's events go on meanwhile."""
        import slicer

        until = None if seconds is None else time.monotonic() + seconds
        while self._job is not None:
            if until is not None and time.monotonic() > until:
                return False
            slicer.app.processEvents()
            time.sleep(_PUMP_S)
        return True

    def release(self) -> None:
        if self._job is None and self.isWarm:
            self._worker.send(protocol.Release())

    def shutdown(self) -> None:
        """End the worker with its tree, at once; a job that runs ends as cancelled."""
        self._watchQuit(False)
        for name in list(self._timers):
            self._stop(name)
        self._end(waitMs=_QUIT_MS)
        if self._job is not None:
            self._finish(protocol.Cancelled(self._job.request.id))
            self._stop("idle")
        self.log.close()

    # The process

    def _begin(self) -> None:
        """Give the job to the worker, which comes up first where there is none."""
        if self.isWarm:
            self._submit()
            return
        self._state = State.STARTING
        if self._worker is not None and (self._isLeaving or not self._worker.isAlive):
            self._end()
        if self._worker is None:
            self._watchQuit(True)
            self._worker = WorkerProcess(self._command, self._onMessage, self._onBroken, self._onEnd, self.log)
        if self._job is not None and not self._job.isSubmitted:  # it may have failed to start already
            self._after(self._startMs, "start", self._onNotReady)

    def _submit(self) -> None:
        self._stop("start")
        self._state = State.RUNNING
        self._job.isSubmitted = True
        self.log.write(f"job {self._job.request.WORDS['job']} {self._job.request.id}")
        self._worker.send(self._job.request)

    def _end(self, waitMs: int = 0) -> None:
        worker = self._worker
        self._forget()
        if worker is not None:
            worker.kill(waitMs=waitMs)

    def _forget(self) -> None:
        self._worker, self._isReady, self._isLeaving = None, False, False

    # What the process says

    def _onMessage(self, message: protocol.Message) -> None:
        if isinstance(message, protocol.Ready):
            self._onReady(message)
        elif isinstance(message, protocol.Released):
            self._isLeaving = message.ends
        elif isinstance(message, protocol.Log) and not message.id:
            self.log.write(f"{message.level} {message.text}")
        else:
            self._onEvent(message)

    def _onReady(self, ready: protocol.Ready) -> None:
        if ready.protocol != protocol.PROTOCOL_VERSION:
            self._end()
            self._fail(
                GANSegmentationError(
                    "worker_version",
                    _("The background process speaks version {theirs} of the protocol, the panel {ours}.").format(
                        theirs=ready.protocol, ours=protocol.PROTOCOL_VERSION
                    ),
                    cause=_("Two versions of GANSegmentation are installed."),
                    action=_("Remove the older one, and start the application again."),
                )
            )
            return
        self._isReady = True
        if self._job is not None and self._state is State.STARTING:
            self._submit()
        elif self._job is None:
            self._after(round(self.idleMinutes * 60_000), "idle", self._onIdle)

    def _onEvent(self, event: protocol.Message) -> None:
        job = self._job
        if job is None or not job.isSubmitted or getattr(event, "id", None) != job.request.id:
            self.log.write(f"dropped: {type(event).__name__} of another run")
            return
        job.isBegun = True
        if self._state is State.CANCELLING:
            if isEnd(event):
                self._finish(protocol.Cancelled(job.request.id))
        elif isEnd(event):
            self._finish(checkedResult(job.request, event))
        else:
            job.onEvent(event)

    def _onBroken(self, error: GANSegmentationError) -> None:
        self._forget()
        self._fail(error)

    def _onEnd(self, ending: Ending) -> None:
        wasReady, job = self._isReady, self._job
        self._forget()
        self._stop("idle")
        self.log.write(f"ended: {ending.problem or ending.code}")
        if job is None:
            return
        if self._state is not State.CANCELLING and job.isSubmitted and not job.isBegun and not job.isSecondTry:
            # It had died while it waited, or let go of itself just then: the job has not even begun.
            job.isSubmitted, job.isSecondTry = False, True
            self._begin()
            return
        self._fail(crashed(ending, self.log) if wasReady else notStarted(ending, self._command[0], self.log))

    # The end of a job

    def _fail(self, error: GANSegmentationError) -> None:
        if self._job is None:
            return
        identifier = self._job.request.id
        wanted = self._state is State.CANCELLING
        self._finish(protocol.Cancelled(identifier) if wanted else protocol.Failed(identifier, error.to_dict()))

    def _finish(self, event: protocol.Message) -> None:
        """The last event of the job; the executor is idle before it is told."""
        job, self._job, self._state = self._job, None, State.IDLE
        for name in ("start", "grace"):
            self._stop(name)
        code = event.error.get("code") if isinstance(event, protocol.Failed) else ""
        self.log.write(f"{type(event).__name__} {job.request.id} {code}".rstrip())
        if self._worker is not None:
            self._after(round(self.idleMinutes * 60_000), "idle", self._onIdle)
        job.onEvent(event)

    # Time

    def _onGraceOver(self) -> None:
        self.log.write("no answer to the cancel: killed")
        self._end()
        self._finish(protocol.Cancelled(self._job.request.id))

    def _onNeverSubmitted(self) -> None:
        self._finish(protocol.Cancelled(self._job.request.id))

    def _onNotReady(self) -> None:
        self._end()
        problem = _("it did not answer within {seconds} s").format(seconds=self._startMs // 1000)
        self._fail(notStarted(Ending(problem=problem), self._command[0], self.log))

    def _onIdle(self) -> None:
        if self._job is None and self._worker is not None:
            self.log.write("idle for long: ended")
            self._isLeaving = True
            self._worker.send(protocol.Quit())

    def _after(self, milliseconds: int, name: str, slot) -> None:
        """Call a slot once after a while, unless `_stop` comes first."""
        import qt

        self._stop(name)
        timer = qt.QTimer()
        timer.setSingleShot(True)
        timer.connect("timeout()", slot)
        self._timers[name] = timer
        timer.start(milliseconds)

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.stop()

    def _watchQuit(self, wanted: bool) -> None:
        """End the worker with the application."""
        import slicer

        if wanted != self._isWatchingQuit:
            self._isWatchingQuit = wanted
            change = slicer.app.connect if wanted else slicer.app.disconnect
            change("aboutToQuit()", self.shutdown)


def _words(request: protocol.Run) -> list[str]:
    """What in a request may name a patient: names and facts of volumes, the ends of paths; whole paths go anyway."""
    words = []
    for volume in getattr(request, "volumes", ()):
        words += [str(volume.get("name", "")), *map(str, volume.get("facts", {}).values())]
    paths = [*getattr(request, "inputs", ()), *getattr(request, "source", ())]
    paths += [getattr(request, field, "") for field in ("input", "output", "references", "path")]
    for path in filter(None, paths):
        words += Path(path).parts[-2:]
    return words
