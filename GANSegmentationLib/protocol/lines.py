"""Lines out of a stream of bytes that comes in pieces of any size."""

from __future__ import annotations

from .base import Message
from .coding import encode

MAX_LINE_BYTES = 32 * 1024 * 1024
"""The longest line that is read; a comparison of many structures slice by slice stays far below."""


class LineReader:
    """Puts lines together; what is no UTF-8 becomes replacement characters, and so no message.

    Parameters
    ----------
    limit:
        Bytes of the longest line. A longer one is dropped as it comes in, so that it never fills the memory.
    """

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._length = 0
        self._dropping = False

    @property
    def rest(self) -> str:
        """The beginning of a line whose end has not come."""
        return b"".join(self._parts).decode("utf-8", "replace")

    def feed(self, data: bytes) -> list[str | None]:
        """The lines that a piece of the stream completes, without their ends; None for one that was too long."""
        *complete, begun = data.split(b"\n")
        lines = [self._complete(part) for part in complete]
        self._add(begun)
        return lines

    def _add(self, part: bytes) -> None:
        self._length += len(part)
        if self._length > self._limit:
            self._parts.clear()
            self._dropping = True
        elif part and not self._dropping:
            self._parts.append(part)

    def _complete(self, part: bytes) -> str | None:
        self._add(part)
        line = None if self._dropping else b"".join(self._parts).decode("utf-8", "replace").rstrip("\r")
        self._parts, self._length, self._dropping = [], 0, False
        return line


def line_of(message: Message) -> bytes:
    """A message as the bytes of its line, with the end; raises as `encode`."""
    return encode(message).encode("ascii") + b"\n"
