"""`slicer.app`, and what the application does to load a scripted module and show its panel."""

# ruff: noqa: E402, N815 - the patch comes before the import; Qt's and Slicer's names

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer
import slicer.util

from . import pythonqt

pythonqt.install()

from PySide6 import QtCore, QtWidgets  # after install(), which patches their classes

from . import scripted, widgets
from .core import Core, start_core


class _ModuleManager(QtCore.QObject):
    moduleAboutToBeUnloaded = QtCore.Signal(str)


class HostApplication(QtWidgets.QApplication):
    """The little of qSlicerApplication that the module and `slicer.util` ask for. It is always in testing mode, so
    that message boxes are logged instead of waiting for somebody."""

    startupCompleted = QtCore.Signal()

    def start(self, core: Core) -> None:
        self.core = core
        self.temporaryPath = tempfile.mkdtemp(prefix="slicer-host-")
        self._module_manager = _ModuleManager()
        settings = os.path.join(self.temporaryPath, "settings.ini")  # noqa: PTH118 - Qt wants text
        self._settings = QtCore.QSettings(settings, QtCore.QSettings.Format.IniFormat)

    def applicationLogic(self) -> Any:
        return self.core.application_logic

    def mrmlScene(self) -> Any:
        return self.core.scene

    def moduleManager(self) -> _ModuleManager:
        return self._module_manager

    def userSettings(self) -> QtCore.QSettings:
        return self._settings

    def testingEnabled(self) -> bool:
        return True

    def layoutManager(self) -> None:
        return None

    def pauseRender(self) -> None:
        """There is nothing to pause."""

    def resumeRender(self) -> None:
        """There is nothing to resume."""


@dataclass
class HostModule:
    """qSlicerScriptedLoadableModule: the `parent` that a module's class describes itself to."""

    name: str
    path: str
    title: str = ""
    categories: list[str] = field(default_factory=list)
    dependencies: list[str] = field(default_factory=list)
    contributors: list[str] = field(default_factory=list)
    helpText: str = ""
    acknowledgementText: str = ""
    icon: Any = None


def start() -> HostApplication:
    """Start the host, or give the one that runs."""
    running = getattr(slicer, "app", None)
    if running is not None:
        return running
    core = start_core()
    application = HostApplication(["slicer-host"])
    application.start(core)
    slicer.app = application
    slicer.util.mainWindow = lambda *_arguments, **_options: None
    widgets.install()
    scripted.install()
    return application


def load_module(path: Path) -> types.ModuleType:
    """Import a scripted module's file and make its module object, as the application does at start-up."""
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = importlib.import_module(name)
    description = HostModule(name, str(path))
    setattr(slicer.modules, name.lower(), description)
    setattr(slicer.modules, f"{name}Instance", getattr(module, name)(description))
    return module


def show_panel(module: types.ModuleType) -> tuple[Any, QtWidgets.QWidget]:
    """Make a module's widget in a panel of its own and enter it; gives the widget and the panel."""
    name = module.__name__
    panel = widgets.qMRMLWidget()
    panel.isEntered = False
    panel.setLayout(QtWidgets.QVBoxLayout())
    panel.setMRMLScene(slicer.mrmlScene)
    widget = getattr(module, f"{name}Widget")(panel)
    setattr(slicer.modules, f"{name}Widget", widget)
    widget.setup()
    panel.isEntered = True
    widget.enter()
    return widget, panel
