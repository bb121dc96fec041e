"""The engine of one computer: one child process that stays warm, watched by the clock and replaced when it dies."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import GANSegmentationError
from ..interpreter import child_environment, python_executable
from .outcome import failed
from .task import Answer, SliceProgress, Task, WorkSettings

START_LIMIT_S = 600.0
"""For the child to import torch and load the model, on a slow network drive too."""

CHILD = ("-m", f"{__package__}.child")
"""The arguments of the interpreter for the child."""

_POLL_S = 0.5
_AHEAD = 2
"""The case that is segmented and the one that is read meanwhile; more would only fill the memory."""


class LocalEngine:
    """Does cases in a child process: a crash or a time limit ends the child and fails the case, and no other.

    Where the child dies with two cases in it, nobody knows which of them it was: both are done again, each alone, and
    only the one that then takes the child with it fails.

    Parameters
    ----------
    settings:
        How to work.
    folder:
        A folder of this engine alone, where the child says what it died of.
    time_limit:
        Seconds for one case from the end of the one before, what remains of its reading included; None for no limit.
    command:
        What to start in the place of the child, as an argument list.
    progress:
        Called from within `answer` with the slices of the case in hand. What it raises stops the batch.
    """

    def __init__(
        self,
        settings: WorkSettings,
        folder: Path,
        *,
        time_limit: float | None = None,
        command: Sequence[str] | None = None,
        progress: Callable[[SliceProgress], None] | None = None,
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._folder = folder
        self._limit = time_limit
        self._command = tuple(command or (python_executable(), *CHILD))
        self._child: _Child | None = None
        self._waiting: deque[Task] = deque()
        self._flight: deque[Task] = deque()
        self._alone: set[str] = set()
        self._since = 0.0

    @property
    def room(self) -> int:
        """As `task.Engine.room`."""
        return max(0, _AHEAD - len(self._flight) - len(self._waiting))

    def submit(self, task: Task) -> None:
        """As `task.Engine.submit`."""
        self._waiting.append(task)
        self._send()

    def answer(self) -> Answer:
        """As `task.Engine.answer`."""
        while True:
            self._send()
            child = self._running()
            message = child.message(_POLL_S)
            if message is not None and message["event"] == "progress":
                self._tell(message)
                message = None  # slices do not stop the clock
            if message is None:
                if child.has_ended:
                    answer = self._died(child)
                elif self._is_late(child):
                    answer = self._late()
                else:
                    continue
                if answer is not None:
                    return answer
            elif message["event"] == "refused":
                raise GANSegmentationError.from_dict(message["error"])
            elif message["event"] == "ready":
                child.is_ready, self._since = True, time.monotonic()
            else:
                answer = Answer.from_dict(message["answer"])
                self._over(self._flight.popleft())
                return answer

    def close(self) -> None:
        """As `task.Engine.close`."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _tell(self, message: dict[str, Any]) -> None:
        if self._progress is not None and self._flight:
            done, total, left = (message[name] for name in ("done", "total", "seconds_left"))
            self._progress(SliceProgress(self._flight[0].case, done, total, left))

    def _send(self) -> None:
        """Hand on what is waiting, two at a time, or one that has to be alone."""
        while self._waiting and len(self._flight) < _AHEAD:
            following = self._waiting[0]
            if self._flight and not self._alone.isdisjoint({following.case, self._flight[0].case}):
                return
            if not self._flight:
                self._since = time.monotonic()
            self._flight.append(self._waiting.popleft())
            self._running().send(following.to_dict())

    def _running(self) -> _Child:
        if self._child is None:
            self._child = _Child(self._command, self._settings, self._folder / "crash.txt")
        return self._child

    def _over(self, task: Task) -> None:
        self._alone.discard(task.case)
        self._since = time.monotonic()

    def _is_late(self, child: _Child) -> bool:
        if not child.is_ready:
            return time.monotonic() - child.started > START_LIMIT_S
        return self._limit is not None and bool(self._flight) and time.monotonic() - self._since > self._limit

    def _late(self) -> Answer:
        child = self._running()
        self.close()
        if not child.is_ready:
            raise _not_started(child, f"it was not ready after {START_LIMIT_S:g} s")
        seconds = time.monotonic() - self._since
        task = self._flight.popleft()
        self._back_to_waiting()
        self._over(task)
        return Answer(failed(task.case, _time_limit(self._limit or 0.0), round(seconds, 3)))

    def _died(self, child: _Child) -> Answer | None:
        """The failure of the case that did it; None where it is not known yet which one did."""
        self.close()
        if not child.is_ready:
            raise _not_started(child, f"it ended with {_ending(child.code)}")
        if len(self._flight) == 1:
            task = self._flight.popleft()
            seconds = time.monotonic() - self._since
            self._over(task)
            return Answer(failed(task.case, _crash(child), round(seconds, 3)))
        self._alone.update(task.case for task in self._flight)
        self._back_to_waiting()
        return None

    def _back_to_waiting(self) -> None:
        while self._flight:
            self._waiting.appendleft(self._flight.pop())


class _Child:
    """One child process, its messages, and what it died of."""

    def __init__(self, command: Sequence[str], settings: WorkSettings, crash: Path) -> None:
        self.is_ready = False
        self.has_ended = False
        self.started = time.monotonic()
        self._crash = crash
        self._said: list[str] = []
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=child_environment(),
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # Ctrl-C is for the one who keeps the ledger
            )
        except OSError as error:
            raise GANSegmentationError(
                "worker_not_started", f"The process that segments cannot be started: {error}.", details=repr(error)
            ) from error
        for read in (self._read_messages, self._read_errors):
            threading.Thread(target=read, daemon=True).start()
        self.send({"settings": settings.to_dict(), "crash": str(crash)})

    @property
    def code(self) -> int:
        """The exit code, once it has ended."""
        return self._process.wait()

    def send(self, message: dict[str, Any]) -> None:
        """Write a line; to one that has died it is lost, and `message` will tell."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def message(self, timeout: float) -> dict[str, Any] | None:
        """The next message; None if there is none in that time, or there will be none any more (`has_ended`)."""
        try:
            found = self._messages.get(timeout=timeout)
        except queue.Empty:
            return None
        self.has_ended = found is None
        return found

    def end(self) -> None:
        """Kill it and all that it started, and wait until it is gone."""
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            with contextlib.suppress(OSError, ValueError):
                pipe.close()

    def last_words(self) -> str:
        """Where in the program it crashed, or what it said before it was ready: nothing of any case."""
        try:
            crash = self._crash.read_text(encoding="utf-8", errors="replace")
        except OSError:
            crash = ""
        return (crash or "".join(self._said))[-4000:]

    def _read_messages(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._messages.put(json.loads(line))
        self._messages.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stderr:
                self._said = [*self._said[-40:], line]


def _ending(code: int) -> str:
    if code >= 0:
        return f"the exit code {code}"
    try:
        return f"the signal {signal.Signals(-code).name}"
    except ValueError:
        return f"the signal {-code}"


def _crash(child: _Child) -> GANSegmentationError:
    killed = child.code == -getattr(signal, "SIGKILL", 9)
    return GANSegmentationError(
        "worker_crashed",
        f"The process that segmented the case ended with {_ending(child.code)}.",
        cause="The computer ran out of memory, or somebody ended the process."
        if killed
        else "A library failed on this scan.",
        action="Try it again with --retry-failed, on a computer with more memory if it comes back."
        if killed
        else "Look at the scan; report the details if it is sound.",
        details=child.last_words(),
    )


def _time_limit(limit: float) -> GANSegmentationError:
    return GANSegmentationError(
        "time_limit",
        f"The case was not done after {limit:g} s.",
        cause="The scan is very large, the computer busy, or the drive does not answer.",
        action="Raise --time-limit and give the command again with --retry-failed.",
    )


def _not_started(child: _Child, what: str) -> GANSegmentationError:
    return GANSegmentationError(
        "worker_not_started",
        f"The process that segments could not begin: {what}.",
        cause="The installation is damaged, or memory is short.",
        action="Run ganseg doctor.",
        details=child.last_words(),
    )
