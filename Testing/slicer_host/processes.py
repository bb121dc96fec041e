"""`qt.QProcess` as PythonQt gives it to Slicer's Python.

- What a process has said comes as a QByteArray, whose bytes are behind ``data()``: it is no `bytes`, has no buffer, and
  `str` of it is not its text;
- bytes are written, not text (which PythonQt takes too, in an encoding of its own);
- `blocking_calls` lists the calls that made the application wait, which a panel must not do.
"""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore

blocking_calls: list[str] = []
"""Names of the functions that waited since a test last cleared the list."""


class ByteArray:
    """The little of QByteArray that is the same in all versions."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def data(self) -> bytes | None:
        """The bytes; older versions of PythonQt give None for none, so callers have to be ready for it."""
        return self._content or None

    def size(self) -> int:
        return len(self._content)

    def isEmpty(self) -> bool:
        return not self._content

    def __bytes__(self) -> bytes:
        raise TypeError("PythonQt's QByteArray is no bytes: ask for its data()")

    def __str__(self) -> str:
        raise TypeError("PythonQt's QByteArray is no text: decode its data()")


def install() -> None:
    """Give PySide6's QProcess these ways, once in a process."""
    kind: Any = QtCore.QProcess
    for name in ("readAllStandardOutput", "readAllStandardError", "readAll"):
        setattr(kind, name, _reading(getattr(kind, name)))
    for name in ("waitForStarted", "waitForReadyRead", "waitForBytesWritten", "waitForFinished"):
        setattr(kind, name, _waiting(name, getattr(kind, name)))
    write = kind.write

    def write_bytes(self: Any, data: Any) -> int:
        if not isinstance(data, bytes):
            raise TypeError(f"QProcess.write takes bytes here, not {type(data).__name__}")
        return int(write(self, data))

    kind.write = write_bytes


def _reading(original: Any) -> Any:
    def read(self: Any) -> ByteArray:
        return ByteArray(bytes(original(self).data()))

    return read


def _waiting(name: str, original: Any) -> Any:
    def wait(self: Any, milliseconds: int = 30000) -> bool:
        blocking_calls.append(name)
        return bool(original(self, milliseconds))

    return wait
