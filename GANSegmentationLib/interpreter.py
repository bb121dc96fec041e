"""The Python that runs this library's processes, and the environment in which they find the library.

Within an application that embeds Python, `sys.executable` is the application: to start it with ``-m`` would open
another window of it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from .errors import GANSegmentationError

SLICER_PYTHON = "PythonSlicer"
"""3D Slicer's own Python: a launcher that sets up Slicer's libraries and then runs its interpreter."""


def python_executable(executable: str | None = None, search_path: str | None = None) -> str:
    """The interpreter for ``-m GANSegmentationLib...``: this process's own, or within 3D Slicer its ``PythonSlicer``.

    Parameters
    ----------
    executable:
        What this process runs; None is `sys.executable`.
    search_path:
        Where programs are looked for; None is ``PATH``, which Slicer's launcher sets to its own folders.

    Raises
    ------
    GANSegmentationError
        ``interpreter_missing`` if this process is no Python and there is no ``PythonSlicer`` for it.
    """
    running = (sys.executable or "") if executable is None else executable
    if Path(running).name.lower().startswith("python"):  # python3, python-real of PythonSlicer, PythonSlicer.exe
        return running
    found = shutil.which(SLICER_PYTHON, path=search_path)
    if found is None and running:
        # Not on the path: the application was started without its launcher. Its programs lie beside it, or in bin.
        folder = Path(running).resolve().parent
        beside = os.pathsep.join(str(each) for each in (folder, folder / "bin", folder.parent / "bin"))
        found = shutil.which(SLICER_PYTHON, path=beside)
    if found is None:
        raise GANSegmentationError(
            "interpreter_missing",
            f"No Python was found to run the background process: {running or 'this process'} is not one.",
            cause="The application embeds Python, and its own interpreter is not where it should be.",
            action=f"Check that {SLICER_PYTHON} belongs to the installation of 3D Slicer, or install Slicer again.",
        )
    return found


def child_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables for a child process: as here, but with this copy of the library first on its path, and UTF-8 pipes.

    Parameters
    ----------
    environment:
        What to start from; None is that of this process.
    """
    child = dict(os.environ if environment is None else environment)
    parent = str(Path(__file__).resolve().parents[1])
    known = [each for each in child.get("PYTHONPATH", "").split(os.pathsep) if each and each != parent]
    child["PYTHONPATH"] = os.pathsep.join([parent, *known])
    child["PYTHONIOENCODING"] = "utf-8"
    return child
