"""A worker's process at the end of two pipes."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from GANSegmentationLib import protocol

PROJECT = Path(__file__).resolve().parents[2]
REAL = ("-m", "GANSegmentationLib.worker")


class Serving:
    """A process that speaks the protocol; reads in a thread, so that a test can wait for an event and not for ever."""

    def __init__(self, arguments: Sequence[str] = REAL) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, message: protocol.Message | bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(message if isinstance(message, bytes) else protocol.line_of(message))
        self.process.stdin.flush()

    def next(self, kind: type[protocol.Message] = protocol.Message, seconds: float = 30) -> protocol.Message:
        """The next event of a kind; every line on the way has to be a message."""
        while True:
            line = self._lines.get(timeout=seconds)
            assert line is not None, "the process has ended"
            message = protocol.decode(line.decode())
            if isinstance(message, kind):
                return message

    def rest(self, seconds: float = 10) -> list[protocol.Message]:
        """Every event until the process ends its output."""
        events = []
        while (line := self._lines.get(timeout=seconds)) is not None:
            events.append(protocol.decode(line.decode()))
        return events

    def close_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def ends(self, seconds: float = 10) -> int:
        return self.process.wait(timeout=seconds)

    def errors(self) -> str:
        """What it said on standard error; once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                self._lines.put(line)
        self._lines.put(None)


@contextlib.contextmanager
def serving(arguments: Sequence[str] = REAL) -> Iterator[Serving]:
    """A process that has said it is ready; ended at the end, whatever happens."""
    served = Serving(arguments)
    try:
        yield served
    finally:
        with contextlib.suppress(OSError):
            served.close_input()
        served.process.kill()
        served.process.wait()
        for pipe in (served.process.stdout, served.process.stderr):
            pipe.close()
