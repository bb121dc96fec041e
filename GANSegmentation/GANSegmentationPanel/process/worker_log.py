"""What the worker's process said and how it ended: a log file without anything of patients, and an error in words."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError

from ..diagnostics import anonymized

LAST_LINES = 30
LARGEST_LOG_BYTES = 500_000
KEPT_LOGS = 8

# Windows' words for a crash, as exit codes.
_ACCESS_VIOLATION = 0xC0000005
_NO_MEMORY = 0xC0000017
_LIBRARY_MISSING = 0xC0000135


@dataclass(frozen=True)
class Ending:
    """How a process ended.

    Parameters
    ----------
    code:
        Its exit code, or minus the number of the signal that ended it.
    problem:
        Why it could not be started; empty where it was.
    """

    code: int = 0
    problem: str = ""


def logFolder() -> Path:
    """Where logs are kept: ``GANSEG_LOGS``, else the platform's place for a user's logs or caches."""
    chosen = os.environ.get("GANSEG_LOGS", "")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", "")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "GANSegmentation" / "Logs"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Logs" / "GANSegmentation"
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache") / "GANSegmentation" / "Logs"


class WorkerLog:
    """The log file of this application's workers, and the last lines that they said.

    The file goes on in a second one where it gets long, and the files of earlier applications are removed but for the
    newest. Where none can be written, nothing is, and the last lines are still there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or logFolder()) / f"worker-{os.getpid()}.log"
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._words: tuple[str, ...] = ()
        self._logger: logging.Logger | None = None

    @property
    def lastLines(self) -> str:
        """The last lines that the process said."""
        return "\n".join(self._last)

    def hide(self, words: Iterable[str]) -> None:
        """From now on, leave these out with their words: names of volumes, folders and files of the run."""
        self._words = tuple(words)

    def begin(self, what: str) -> None:
        """A new process begins: what an earlier one said is not its."""
        self._last.clear()
        self.write(what)

    def said(self, line: str) -> None:
        """A line of the process's standard error."""
        line = anonymized(line, self._words)
        self._last.append(line)
        self.write(f"  {line}", isAnonymous=True)

    def write(self, text: str, *, isAnonymous: bool = False) -> None:
        """A line for the file."""
        if self._logger is None:
            self._logger = self._open()
        self._logger.info(text if isAnonymous else anonymized(text, self._words))

    def close(self) -> None:
        """Close the file."""
        for handler in self._logger.handlers if self._logger else ():
            handler.close()
        self._logger = None

    def _open(self) -> logging.Logger:
        logger = logging.Logger("GANSegmentation worker")  # of nobody else, and not of the root's handlers
        logger.addHandler(logging.NullHandler())
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _removeOldest(self.path.parent)
            handler = _Quiet(self.path, maxBytes=LARGEST_LOG_BYTES, backupCount=1, encoding="utf-8")
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
            logger.addHandler(handler)
        return logger


class _Quiet(logging.handlers.RotatingFileHandler):
    """A full disk is no reason to disturb a run."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing."""


def _removeOldest(folder: Path) -> None:
    logs = sorted(folder.glob("worker-*.log*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in logs[KEPT_LOGS:]:
        path.unlink(missing_ok=True)


# What happened, in words


def crashed(ending: Ending, log: WorkerLog) -> GANSegmentationError:
    """The process ended in the middle of a run."""
    cause, action = _likely(ending.code)
    return GANSegmentationError(
        "worker_crashed",
        _("The background process stopped ({ending}).").format(ending=_ending(ending.code)),
        cause=cause,
        action=action,
        details=_("Log: {path}").format(path=log.path) + f"\n\n{log.lastLines}",
    )


def notStarted(ending: Ending, program: str, log: WorkerLog) -> GANSegmentationError:
    """The process never came to listen."""
    return GANSegmentationError(
        "worker_not_started",
        _("The background process could not be started: {problem}.").format(
            problem=ending.problem.rstrip(".") or _ending(ending.code)
        ),
        cause=_("The interpreter {program} is missing or damaged, or a virus scanner holds it back.").format(
            program=Path(program).name
        ),
        action=_("Start the application again; install it again if that does not help."),
        details=_("Log: {path}").format(path=log.path) + f"\n\n{log.lastLines}",
    )


def _signal(code: int) -> int:
    """The number of the signal that ended a process, 0 for none; a shell and a launcher say it as 128 + number."""
    if code < 0 and not _onWindows():
        return -code
    return code - 128 if 128 < code < 160 and not _onWindows() else 0


def _ending(code: int) -> str:
    number = _signal(code)
    if not number:
        shown = f"0x{code & 0xFFFFFFFF:08X}" if _onWindows() and not 0 <= code < 256 else str(code)
        return _("exit code {code}").format(code=shown)
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = str(number)
    return _("signal {name}, exit {code}").format(name=name, code=code)


def _onWindows() -> bool:
    return sys.platform == "win32"


def _likely(code: int) -> tuple[str, str]:
    """The likely cause of an end, and what to do."""
    number = _signal(code)
    unsigned = code & 0xFFFFFFFF
    if number == 9 or unsigned == _NO_MEMORY:
        return (
            _("Probably the computer ran out of memory, or somebody ended the process."),
            _("Close other programs, or choose a part of the volume; then run again."),
        )
    if number in (4, 6, 7, 8, 11) or unsigned == _ACCESS_VIOLATION:
        return (
            _("A library crashed: a graphics driver that is too old, or a PyTorch that does not fit this computer."),
            _("Run on the CPU (Advanced, Device); update the graphics driver or install PyTorch again."),
        )
    if unsigned == _LIBRARY_MISSING:
        return (_("A library that it needs is missing."), _("Install PyTorch again."))
    return ("", _("Run again; report the log if it comes back."))
