"""Starting and ending the worker's process: which interpreter, in which environment, and its whole tree at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import site
import subprocess
from pathlib import Path

WORKER = ("-m", "GANSegmentationLib.worker")


def interpreter() -> str:
    """PythonSlicer within Slicer, else the Python that runs this; raises ``interpreter_missing`` if there is none."""
    from GANSegmentationLib.interpreter import SLICER_PYTHON, python_executable

    return shutil.which(SLICER_PYTHON) or python_executable()


def libraryParent() -> Path:
    """The folder that `import GANSegmentationLib` finds the library in."""
    import GANSegmentationLib

    return Path(GANSegmentationLib.__file__).resolve().parents[1]


def workerEnvironment() -> dict[str, str]:
    """This process's environment, with what a worker needs.

    The library comes first on the path; text is UTF-8 on Windows too; nothing waits in a buffer; and packages of the
    user's own Python are seen only where this process sees them.
    """
    from GANSegmentationLib.interpreter import child_environment

    environment = child_environment() | {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
    if not site.ENABLE_USER_SITE:
        environment["PYTHONNOUSERSITE"] = "1"
    return environment


def killTree(pid: int) -> None:
    """End a process and what it started, at once and without waiting.

    On POSIX the worker leads a group of its own; a process that leads none yet is ended alone. On Windows `taskkill`
    follows the parents' numbers; it has a process of its own, that nobody waits for.
    """
    if pid <= 0:
        return
    if os.name == "nt":
        subprocess.Popen(
            ["taskkill", "/F", "/T", "/PID", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # Never the group of this process, which the worker is in until it has one of its own.
        if os.getpgid(pid) == pid != os.getpgrp():
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def endOf(pid: int) -> int | None:
    """How a child has ended that nobody has asked yet: its exit code, or minus its signal; None while it lives.

    Without taking that away from Qt, which asks too. None where the system cannot say.
    """
    if not hasattr(os, "waitid"):
        return None
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except OSError:
        return None
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
