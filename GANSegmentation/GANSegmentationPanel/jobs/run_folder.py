"""The private folder of a run, where voxels cross the border of the process."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import zlib
from pathlib import Path

PREFIX = "ganseg-run-"

OLD_S = 3 * 24 * 3600
"""A folder of which nobody can say whether its owner lives is removed when it is this old."""


class RunFolder:
    """A folder that only this user can look into, and that is gone when the run is over, however it ended.

    Use it in a ``with``, or call `remove`; at the latest it goes with this process. What panels have left that died are
    swept away when a new one is made.

    Parameters
    ----------
    parent:
        Where to make it; None for the system's place for temporary files.
    """

    def __init__(self, parent: Path | None = None) -> None:
        place = Path(tempfile.gettempdir()) if parent is None else Path(parent)
        sweep(place)
        # A short name: long paths are refused on Windows. mkdtemp gives the mode 0700.
        self._folder = tempfile.TemporaryDirectory(
            prefix=f"{PREFIX}{_host()}-{os.getpid()}-", dir=place, ignore_cleanup_errors=True
        )

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self._folder.name)

    def remove(self) -> None:
        """Remove it with all that is in it; a second time does nothing."""
        self._folder.cleanup()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_error: object) -> None:
        self.remove()


def sweep(place: Path) -> list[Path]:
    """Remove the folders of panels that died; gives which."""
    removed = []
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if _isStale(folder):
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
    return removed


def _isStale(folder: Path) -> bool:
    status = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
        return False
    host, _, rest = folder.name.removeprefix(PREFIX).partition("-")
    pid = rest.partition("-")[0]
    # os.kill(pid, 0) asks on POSIX; on Windows it would end the process.
    if os.name == "posix" and host == _host() and pid.isdigit():
        return not _isAlive(int(pid))
    return time.time() - status.st_mtime > OLD_S


def _isAlive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _host() -> str:
    """A short word for this computer: containers may share a folder, and not the numbers of processes."""
    import platform

    return f"{zlib.crc32(platform.node().encode()):08x}"
