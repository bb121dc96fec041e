"""Why an installation failed, read from what pip has said: "returned non-zero exit status 1" helps nobody."""

from __future__ import annotations

import contextlib
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from GANSegmentationLib.errors import GANSegmentationError

KEPT_LINES = 400

# Tried in this order: where the network fails, pip also says in the end that there is no such package.
_CAUSES = (
    (
        "install_disk",
        r"no space left|errno 28\b|not enough space|winerror 112|disk quota",
        "The disk is full.",
        "Make room on the disk with Slicer and on that for temporary files, then try again.",
    ),
    (
        "install_proxy",
        r"proxyerror|proxy authentication|cannot connect to proxy|tunnel connection failed|\b407\b",
        "A proxy stands between this computer and the internet, and refuses.",
        "Ask whoever runs the network for the proxy's address, set it as HTTPS_PROXY, and start Slicer again.",
    ),
    (
        "install_certificate",
        r"certificate_verify_failed|certificate verify failed|sslerror|ssl: ",
        "The server's certificate is not trusted: often a firewall that looks into encrypted connections.",
        "Ask whoever runs the network for its certificate, name its file in PIP_CERT, and start Slicer again.",
    ),
    (
        "install_offline",
        (
            r"name resolution|getaddrinfo|nodename nor servname|newconnectionerror|failed to establish|timed out"
            r"|network is unreachable|max retries|connection (?:refused|reset|aborted|broken)|incompleteread"
        ),
        "The server could not be reached, or the connection was cut.",
        "Check the connection to the internet, then try again.",
    ),
    (
        "install_rights",
        r"permission denied|access is denied|errno 13\b|winerror (?:5|32)\b|used by another process|read-only file",
        "Slicer's own folder cannot be written to, or a file in it is in use.",
        "Restart Slicer and try again before anything is segmented; else install Slicer where you may write.",
    ),
    (
        "install_no_wheel",
        (
            r"no matching distribution|could not find a version|not a supported wheel|requires-python"
            r"|requires a different python|failed building wheel|failed to build"
        ),
        "There is no ready-made package for this Python and this system.",
        "Use the latest Slicer; 32-bit systems and old versions of macOS have no PyTorch any more.",
    ),
    (
        "install_damaged",
        r"do not match the hashes|hash mismatch|badzipfile|bad magic|is not a zip file|invalid wheel",
        "What was downloaded is damaged.",
        "Try again; if it comes back, something on the way changes downloads.",
    ),
    (
        "install_memory",
        r"memoryerror|cannot allocate memory|out of memory",
        "The computer ran out of memory.",
        "Close other programs, then try again.",
    ),
)


@contextlib.contextmanager
def recorded() -> Iterator[deque[str]]:
    """The last lines that are printed within; they are printed all the same."""
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    with contextlib.redirect_stdout(_Tee(sys.stdout, lines)):
        yield lines


def explain(
    what: str, error: BaseException, lines: Sequence[str], freeBytes: int | None = None
) -> GANSegmentationError:
    """The failure of an installation, with its likely cause.

    Parameters
    ----------
    what:
        What was being installed.
    error:
        What was raised; it may hold pip's output.
    lines:
        What was printed meanwhile.
    freeBytes:
        Free space afterwards, which tells of a full disk where pip does not.
    """
    text = "\n".join([*lines, *_outputs(error), str(error)])
    details = "\n".join(text.splitlines()[-60:])
    for code, pattern, cause, action in _CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return _failure(code, what, cause, action, details)
    if freeBytes is not None and freeBytes < 100e6:
        code, _pattern, cause, action = _CAUSES[0]
        return _failure(code, what, cause, action, details)
    said = [line.strip() for line in text.splitlines() if line.lstrip().lower().startswith("error")]
    return _failure(
        "install_failed",
        what,
        said[-1] if said else f"{type(error).__name__}: {error}",
        "Look into the details, restart Slicer and try again.",
        details,
    )


def _failure(code: str, what: str, cause: str, action: str, details: str) -> GANSegmentationError:
    return GANSegmentationError(code, f"{what} could not be installed.", cause=cause, action=action, details=details)


def _outputs(error: BaseException) -> Iterator[str]:
    """What a failed process has written, if that is in the error; Slicer puts the closed pipe there."""
    for name in ("stdout", "stderr"):
        value: Any = getattr(error, name, None)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str):
            yield value


class _Tee:
    """Hands text on, and keeps its last lines. The stream may be Slicer's own, which has little of a file, or none."""

    encoding = "utf-8"

    def __init__(self, stream: Any, lines: deque[str]) -> None:
        self._stream = stream
        self._lines = lines
        self._rest = ""

    def write(self, text: str) -> int:
        if self._stream is not None:
            self._stream.write(text)
        *whole, self._rest = (self._rest + text).split("\n")
        self._lines.extend(whole)
        return len(text)

    def flush(self) -> None:
        if hasattr(self._stream, "flush"):
            self._stream.flush()

    def isatty(self) -> bool:
        return False
