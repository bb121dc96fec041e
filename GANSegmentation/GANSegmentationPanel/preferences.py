"""What belongs to this computer and not to a scene: device, run mode, folders. Kept in the application's settings.

A scene travels to other computers, where there is no ``cuda:1`` and no folder of that name. What is in the settings was
perhaps written by another version or by hand, so a value that cannot be is read as the default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from GANSegmentationLib.errors import GANSegmentationError

GROUP = "GANSegmentation/"

RUN_MODES = ("process", "inline")
"""In a background process, or in the application's own (which then waits)."""

FOLDERS = ("import", "export", "batchInput", "batchReference", "batchOutput")
"""The kinds of folders of which the last one is remembered."""

IDLE_MINUTES = (0, 24 * 60)
"""Shortest and longest time for which an idle worker is kept; 0 ends it with its job."""

_DEVICE = r"auto|cpu|mps|cuda(:\d{1,2})?"


class Preferences:
    """The settings of this computer, read and written through to the disk.

    Parameters
    ----------
    settings:
        A QSettings, or what has its ``value``, ``setValue`` and ``remove``; None is that of the application.
    environment:
        The variables of the process; None is its own.
    """

    def __init__(self, settings: Any = None, environment: Mapping[str, str] | None = None) -> None:
        self._given = settings
        self._environment = os.environ if environment is None else environment

    @property
    def _settings(self) -> Any:
        if self._given is None:
            import slicer

            self._given = slicer.app.userSettings()
        return self._given

    # Computing

    @property
    def device(self) -> str:
        """``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``."""
        text = self._text("device").lower()
        return text if re.fullmatch(_DEVICE, text) else "auto"

    @device.setter
    def device(self, value: str) -> None:
        if not re.fullmatch(_DEVICE, value):
            raise _invalid("device", value, "auto, cpu, mps, cuda or cuda:N")
        self._write("device", value)

    @property
    def runMode(self) -> str:
        """One of `RUN_MODES`."""
        text = self._text("runMode")
        return text if text in RUN_MODES else RUN_MODES[0]

    @runMode.setter
    def runMode(self, value: str) -> None:
        if value not in RUN_MODES:
            raise _invalid("run mode", value, " or ".join(RUN_MODES))
        self._write("runMode", value)

    @property
    def idleMinutes(self) -> int:
        """For how many minutes an idle worker keeps its model, within `IDLE_MINUTES`; 10 unless chosen."""
        try:
            minutes = int(self._text("idleMinutes"))
        except ValueError:
            return 10
        return minutes if IDLE_MINUTES[0] <= minutes <= IDLE_MINUTES[1] else 10

    @idleMinutes.setter
    def idleMinutes(self, value: int) -> None:
        if not IDLE_MINUTES[0] <= value <= IDLE_MINUTES[1]:
            raise _invalid("idle time", value, f"{IDLE_MINUTES[0]} to {IDLE_MINUTES[1]} minutes")
        self._write("idleMinutes", int(value))

    # Places

    @property
    def modelFolder(self) -> Path:
        """Where imported models are kept: ``GANSEG_MODELS`` if set, else the folder chosen here, else the usual one."""
        from GANSegmentationLib.models import user_models_folder

        chosen = self._text("modelFolder")
        if self._environment.get("GANSEG_MODELS") or not chosen or not Path(chosen).is_absolute():
            return user_models_folder(self._environment)
        return Path(chosen)

    @modelFolder.setter
    def modelFolder(self, value: str | Path | None) -> None:
        if value is None:
            self._settings.remove(f"{GROUP}modelFolder")
            return
        if not Path(value).is_absolute():
            raise _invalid("folder of models", value, "an absolute path")
        self._write("modelFolder", str(value))

    @property
    def modelFolderIsFixed(self) -> bool:
        """Whether the environment names the folder, so that choosing another one here would change nothing."""
        return bool(self._environment.get("GANSEG_MODELS"))

    def lastFolder(self, kind: str) -> str:
        """The folder last used for one of `FOLDERS`; empty if there is none or it has gone."""
        _check_kind(kind)
        text = self._text(f"lastFolder/{kind}")
        try:
            return text if text and Path(text).is_dir() else ""
        except (OSError, ValueError):  # a drive that has been taken away; a text that is no path
            return ""

    def rememberFolder(self, kind: str, path: str | Path) -> None:
        """Remember the folder of a file, or the folder itself."""
        _check_kind(kind)
        folder = Path(path)
        self._write(f"lastFolder/{kind}", str(folder if folder.is_dir() else folder.parent))

    # An installation that goes on after a restart

    @property
    def pendingInstall(self) -> str:
        """What was being installed when the application had to be restarted; empty for nothing."""
        text = self._text("pendingInstall")
        return text if text == "torch" else ""

    @pendingInstall.setter
    def pendingInstall(self, value: str) -> None:
        if value:
            self._write("pendingInstall", value)
        else:
            self._settings.remove(f"{GROUP}pendingInstall")
        if hasattr(self._settings, "sync"):
            self._settings.sync()  # the application may be about to end

    # Everything

    def toDict(self) -> dict[str, str]:
        """What is in force, for a report; the last folders are nobody's business."""
        return {
            "device": self.device,
            "runMode": self.runMode,
            "idleMinutes": str(self.idleMinutes),
            "modelFolder": str(self.modelFolder),
        }

    def _text(self, key: str) -> str:
        """A setting as text; an ini file knows nothing else, and other back ends give numbers."""
        value = self._settings.value(f"{GROUP}{key}")
        return "" if value is None or isinstance(value, (list, tuple, dict)) else str(value).strip()

    def _write(self, key: str, value: str | int) -> None:
        self._settings.setValue(f"{GROUP}{key}", value)


def _check_kind(kind: str) -> None:
    if kind not in FOLDERS:
        raise _invalid("kind of folder", kind, ", ".join(FOLDERS))


def _invalid(what: str, value: object, allowed: str) -> GANSegmentationError:
    return GANSegmentationError("invalid_preference", f"{value!r} is no {what}.", action=f"Choose {allowed}.")
