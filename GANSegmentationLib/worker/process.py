"""The worker as a process: commands come in on standard input, events go out on standard output, a line each.

Nothing else goes out there: what libraries print, from C too, goes to standard error. The process is the leader of a
session of its own, so that whoever started it can end it with all that it started. It ends when its input does, within
`GRACE_S` even in the middle of a run: whoever gave the commands has gone, and nobody waits for the result.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

from .. import protocol
from ..errors import GANSegmentationError
from .run import Cancel, Emit
from .worker import handle

GRACE_S = 3.0
"""How long a run may take to stop after its input has ended."""

_PIECE = 65536

Handle = Callable[[dict[str, Any], Emit, Cancel], None]


def main() -> None:
    """Serve standard input until it ends."""
    _lead_a_session()
    commands, events = _private_streams()
    faulthandler.enable(sys.stderr)
    _say_nothing_of_patients()
    from .worker import Worker

    keeper = Worker()
    Server(commands, events, lambda request, emit, cancel: handle(request, emit, cancel, keeper), keeper.release).run()
    sys.stderr.flush()
    os._exit(0)  # without waiting for threads: one of a library may hang in a driver or a file system


class Server:
    """Reads commands in a thread, does the runs in the thread that calls `run`.

    Parameters
    ----------
    commands, events:
        File descriptors to read from and to write to.
    do:
        Does a run, as `GANSegmentationLib.worker.handle`.
    release:
        Lets go of the model; gives whether only the end of the process frees all memory.
    grace:
        As `GRACE_S`.
    """

    def __init__(
        self,
        commands: int,
        events: int,
        do: Handle,
        release: Callable[[], bool] = lambda: False,
        *,
        grace: float = GRACE_S,
    ) -> None:
        self._commands = commands
        self._events = events
        self._do = do
        self._release = release
        self._grace = grace
        self._writing = threading.Lock()
        self._to_do: queue.Queue[protocol.Message | None] = queue.Queue()
        self._cancelled: set[str] = set()
        self._leaving = threading.Event()
        self._last: threading.Timer | None = None

    def run(self) -> None:
        """Answer commands until the input ends or `Quit` comes."""
        self._send(protocol.Ready(protocol.PROTOCOL_VERSION, os.getpid()))
        threading.Thread(target=self._read, name="commands", daemon=True).start()
        while (command := self._to_do.get()) is not None:
            if isinstance(command, protocol.Release):
                ends = self._release()
                self._send(protocol.Released(ends))
                if ends:
                    break
            elif isinstance(command, protocol.Run):
                self._run(command)
        if self._last is not None:
            self._last.cancel()

    def _run(self, command: protocol.Run) -> None:
        def cancel() -> bool:
            return self._leaving.is_set() or command.id in self._cancelled

        if cancel():
            self._send(protocol.Cancelled(command.id))
        else:
            self._do(protocol.to_dict(command), self._emit, cancel)
        self._cancelled.discard(command.id)

    def _read(self) -> None:
        """Take commands as they come; the end of the input ends the process."""
        reader = protocol.LineReader()
        with contextlib.suppress(OSError):
            while not self._leaving.is_set() and (piece := os.read(self._commands, _PIECE)):
                for line in reader.feed(piece):
                    self._take(line)
        self._leave()

    def _take(self, line: str | None) -> None:
        if line is None:
            self._send(protocol.Log("A command was too long and was left out.", "ERROR"))
            return
        try:
            command = protocol.decode(line)
        except GANSegmentationError as error:
            self._send(protocol.Failed(_id_in(line), error.to_dict()))
            return
        if isinstance(command, protocol.Cancel):
            self._cancelled.add(command.id)
        elif isinstance(command, protocol.Quit):
            self._leave()
        else:
            self._to_do.put(command)

    def _leave(self) -> None:
        """Stop what runs, and end with it or without it."""
        if self._leaving.is_set():
            return
        self._leaving.set()
        self._last = threading.Timer(self._grace, end_with_children)
        self._last.daemon = True
        self._last.start()
        self._to_do.put(None)

    def _emit(self, event: dict[str, Any]) -> None:
        self._send(protocol.from_dict(event))

    def _send(self, message: protocol.Message) -> None:
        try:
            line = protocol.line_of(message)
        except GANSegmentationError as error:  # a job's fault, and its panel waits for an answer
            line = protocol.line_of(protocol.Failed(str(getattr(message, "id", "")), error.to_dict()))
        with self._writing:
            while line:
                try:
                    line = line[os.write(self._events, line) :]
                except OSError:  # nobody listens any more; the end of the input will say so too
                    self._leave()
                    return


def end_with_children() -> None:
    """End this process at once, with all of its session's group that it leads."""
    if os.name == "posix" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _id_in(line: str) -> str:
    """The run that a line that is no message seems to speak of."""
    import json

    with contextlib.suppress(ValueError, RecursionError):
        message = json.loads(line)
        if isinstance(message, dict):
            return str(message.get("id", ""))
    return ""


def _lead_a_session() -> None:
    """Own process group and session, so that the whole tree can be ended, and Ctrl-C in a terminal is not for us.

    On Windows there is no such thing: whoever ends this process there ends its tree (``taskkill /T``).
    """
    if os.name == "posix":
        with contextlib.suppress(PermissionError):  # we lead one already
            os.setsid()


def _private_streams() -> tuple[int, int]:
    """Standard input and output for us alone: others that read find nothing, others that print write to stderr."""
    commands, events = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, events


def _say_nothing_of_patients() -> None:
    """pydicom and ITK quote the header's values that they find odd; standard error ends up in a log."""
    warnings.filterwarnings("ignore", module=r"pydicom(\..*)?")
    logger = logging.getLogger("pydicom")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
