"""One job at a time: what a user starts goes first, what the panel asks in the background makes way for it."""

from __future__ import annotations

from collections.abc import Callable

from GANSegmentationLib.errors import GANSegmentationError

from .job import Job


class JobQueue:
    """Starts jobs on an executor that does one after another.

    A job of the user that comes while another one runs is refused. A background job (is the input fit for the model?
    what computes?) waits, and is cancelled when a job of the user comes. Of the background jobs that wait, the last of
    each kind counts.
    """

    def __init__(self) -> None:
        self._current: Job | None = None
        self._isBackground = False
        self._next: Job | None = None
        self._waiting: dict[str, Job] = {}

    @property
    def job(self) -> Job | None:
        """The job of the user that runs, or is about to; None if there is none."""
        if self._next is not None and not self._next.hasEnded:
            return self._next
        return None if self._current is None or self._isBackground else self._current

    @property
    def isRunning(self) -> bool:
        """Whether a job of the user runs."""
        return self.job is not None

    def start(self, job: Job, onStarting: Callable[[], None] | None = None) -> None:
        """Start a job of the user; `onStarting` is called when it is accepted, before its first step.

        Raises
        ------
        GANSegmentationError
            ``job_running`` if another one runs.
        """
        if self.isRunning:
            raise GANSegmentationError(
                "job_running", "Another job is running.", action="Wait until it ends, or cancel it."
            )
        self._next = job
        self._cancelWaiting()
        if onStarting is not None:
            self._announce(job, onStarting)
        if self._current is not None:
            self._current.cancel()  # begins the next when it has ended
        else:
            self._goOn()

    def startInBackground(self, kind: str, job: Job) -> None:
        """Start a background job as soon as nothing else runs; an earlier one of its kind is cancelled."""
        old = self._waiting.pop(kind, None)
        if old is not None:
            old.cancel()
        if self._current is not None:
            self._waiting[kind] = job
        elif not job.hasEnded:
            self._begin(job, isBackground=True)

    def cancel(self) -> None:
        """Cancel the job of the user."""
        if self.job is not None:
            self.job.cancel()

    def cancelAll(self) -> None:
        """Cancel whatever runs or waits."""
        self._cancelWaiting()
        for job in (self._next, self._current):
            if job is not None:
                job.cancel()

    def cancelOfScene(self) -> None:
        """Cancel what runs or waits and is about the scene, which is about to be closed."""
        if self._current is None or self._current.usesScene:
            self.cancelAll()
        else:
            self._cancelWaiting()

    def _cancelWaiting(self) -> None:
        waiting, self._waiting = self._waiting, {}  # first: who hears of a cancel may ask again
        for job in waiting.values():
            job.cancel()

    def _begin(self, job: Job, *, isBackground: bool) -> None:
        self._current, self._isBackground = job, isBackground
        job.addEndObserver(self._onEnd)
        job.start()

    def _onEnd(self, job: Job) -> None:
        if job is self._current:
            self._current = None
            self._goOn()

    def _goOn(self) -> None:
        """Begin the job of the user that is next, unless it was cancelled; else what waits in the background."""
        job, self._next = self._next, None
        if job is not None and not job.hasEnded:
            self._begin(job, isBackground=False)
        while self._current is None and self._waiting:
            job = self._waiting.pop(next(iter(self._waiting)))
            if not job.hasEnded:  # whoever asked may have cancelled it
                self._begin(job, isBackground=True)

    def _announce(self, job: Job, onStarting: Callable[[], None]) -> None:
        try:
            onStarting()
        except BaseException:
            self._next = None
            job.cancel()
            raise
