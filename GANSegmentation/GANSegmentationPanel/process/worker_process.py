"""One worker process under a QProcess: messages out of its output, and how it ended."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError

from .launching import endOf, killTree, libraryParent, workerEnvironment
from .worker_log import Ending, WorkerLog

BUDGET_S = 0.015
"""How long messages are handed on before the application gets its turn; what is left waits for the next one."""

LARGEST_BACKLOG_BYTES = 64 * 1024 * 1024
"""A worker that says more than can be handed on is broken, and must not fill the application's memory."""

_LINES_AT_ONCE = 100
"""Of standard error; the log is written in the application's own thread."""

_WATCH_EVERY_MS = 1000
_WRITE_BYTES = 65536

_dying: set[object] = set()
"""Processes that were killed and have not said so yet; Qt needs them until then."""


class WorkerProcess:
    """A process that is started at once.

    Everything happens in the main thread, called by Qt; nothing here waits.

    Parameters
    ----------
    command:
        The program and its arguments.
    onMessage:
        Called with every event.
    onBroken:
        Called with an error when its output cannot be trusted any more.
    onEnd:
        Called once when it has ended and all its messages were handed on; not after `kill`.
    log:
        Takes what it says on standard error.
    """

    def __init__(
        self,
        command: Sequence[str],
        onMessage: Callable[[protocol.Message], None],
        onBroken: Callable[[GANSegmentationError], None],
        onEnd: Callable[[Ending], None],
        log: WorkerLog,
    ) -> None:
        import qt

        self.pid = 0  # of the worker itself, which may be a launcher's child
        self._onMessage, self._onBroken, self._onEnd = onMessage, onBroken, onEnd
        self._log = log
        self._output = protocol.LineReader(protocol.MAX_LINE_BYTES)
        self._errors = protocol.LineReader(_WRITE_BYTES)
        self._lines: deque[str | None] = deque()
        self._backlog = 0
        self._ending: Ending | None = None
        self._isOver = False
        self._isScheduled = False
        self._missed = 0
        self._process = process = qt.QProcess()
        environment = qt.QProcessEnvironment()
        for name, value in workerEnvironment().items():
            environment.insert(name, value)
        process.setProcessEnvironment(environment)
        # With "-m", Python looks for modules in its working directory first: not wherever the application stands.
        process.setWorkingDirectory(str(libraryParent()))
        self._slots = (
            ("readyReadStandardOutput()", self._readOutput),
            ("readyReadStandardError()", self._readErrors),
            ("finished(int,QProcess::ExitStatus)", self._finished),
            ("errorOccurred(QProcess::ProcessError)", self._failed),
        )
        for signal, slot in self._slots:
            process.connect(signal, slot)
        self._watch = qt.QTimer()
        self._watch.setInterval(_WATCH_EVERY_MS)
        self._watch.connect("timeout()", self._look)
        log.begin(f"starting {command[0]}")
        process.start(command[0], list(command[1:]))
        self._watch.start()

    @property
    def isAlive(self) -> bool:
        """Whether it can be spoken to."""
        import qt

        return self._ending is None and not self._isOver and self._process.state() != qt.QProcess.NotRunning

    def send(self, message: protocol.Message) -> None:
        """Write a message; Qt sends it when the pipe has room. To one that has died it is lost, and `onEnd` tells."""
        line = protocol.line_of(message)
        for start in range(0, len(line), _WRITE_BYTES):
            self._process.write(line[start : start + _WRITE_BYTES])

    def kill(self, *, waitMs: int = 0) -> None:
        """End it with its whole tree; none of its messages comes any more.

        `waitMs` is for an application that ends: Qt wants its processes to have ended before it goes.
        """
        import qt

        self._over()
        process = self._process
        if process.state() == qt.QProcess.NotRunning:
            return
        _dying.add(process)
        process.connect("finished(int,QProcess::ExitStatus)", lambda *_: _dying.discard(process))
        killTree(self.pid)
        killTree(int(process.processId()))
        process.kill()
        if waitMs:
            process.waitForFinished(waitMs)

    # What Qt calls

    def _readOutput(self) -> None:
        data = self._process.readAllStandardOutput().data() or b""
        self._backlog += len(data)
        self._lines.extend(self._output.feed(data))
        if self._backlog > LARGEST_BACKLOG_BYTES:
            self._broken("it says more than can be read")
            return
        self._handOn()

    def _readErrors(self) -> None:
        said = self._errors.feed(self._process.readAllStandardError().data() or b"")
        lines = [line for line in said if line is not None and line.strip()]
        if len(lines) > _LINES_AT_ONCE:
            self._log.said(f"... {len(lines) - _LINES_AT_ONCE} lines left out")
        for line in lines[-_LINES_AT_ONCE:]:
            self._log.said(line)

    def _finished(self, *_arguments: object) -> None:
        import qt

        code = int(self._process.exitCode())
        crashed = self._process.exitStatus() == qt.QProcess.CrashExit
        # On POSIX the exit code of a crash is the signal's number.
        self._ended(Ending(-code if crashed and code > 0 else code))

    def _failed(self, error: object) -> None:
        """Qt says here that a process could not be started; anything else also comes as the end or at the writing."""
        import qt

        # The argument and not `error()`: in Qt 5 that is the name of a signal, too.
        if error == qt.QProcess.FailedToStart:
            self._ended(Ending(problem=str(self._process.errorString())))

    def _look(self) -> None:
        """Find an end that Qt did not hear of: scripted command line modules take its signal of dead children away."""
        code = endOf(int(self._process.processId()))
        self._missed = 0 if code is None else self._missed + 1
        if code is not None and self._missed > 1:  # the first time Qt may be about to say it
            self._ended(Ending(code))

    def _ended(self, ending: Ending) -> None:
        if self._ending is not None or self._isOver:
            return
        self._ending = ending
        self._watch.stop()
        self._readErrors()
        if self._errors.rest:
            self._log.said(self._errors.rest)
        self._readOutput()

    # Lines to messages

    def _handOn(self) -> None:
        """Hand on what has come, for a while; a handler may let the application go on and come back in here."""
        import qt

        since = time.perf_counter()
        while self._lines and not self._isOver:
            if time.perf_counter() - since > BUDGET_S:
                if not self._isScheduled:
                    self._isScheduled = True
                    qt.QTimer.singleShot(0, self._goOn)
                return
            self._take(self._lines.popleft())
        if self._ending is not None and not self._isOver:
            self._over()
            self._onEnd(self._ending)

    def _goOn(self) -> None:
        self._isScheduled = False
        self._handOn()

    def _take(self, line: str | None) -> None:
        if line is None:
            self._broken("a line of it is too long")
            return
        self._backlog -= len(line) + 1
        try:
            message = protocol.decode(line)
        except GANSegmentationError as error:
            # What a launcher or a library prints is no message; a message that is damaged may be the one waited for.
            self._log.write(f"no message: {protocol.shortened(line)}")
            if '"event"' in line:
                self._broken(error.message)
            return
        if isinstance(message, protocol.Ready):
            self.pid = message.pid
        self._onMessage(message)

    def _broken(self, why: str) -> None:
        self._log.write(f"broken output: {why}")
        error = GANSegmentationError(
            "invalid_message",
            "The background process cannot be understood any more.",
            cause="It and the panel are of different versions, or something else wrote to its output.",
            action="Run again; install GANSegmentation again if it comes back.",
            details=why,
        )
        self.kill()
        self._onBroken(error)

    def _over(self) -> None:
        """Hear nothing more."""
        if self._isOver:
            return
        self._isOver = True
        self._watch.stop()
        self._lines.clear()
        for signal, slot in self._slots:
            self._process.disconnect(signal, slot)
