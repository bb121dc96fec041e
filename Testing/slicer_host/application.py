"""`slicer.app`, and what the application does to load a scripted module and show its panel."""

# ruff: noqa: E402, N815 - the patch comes before the import; Qt's and Slicer's names

from __future__ import annotations

import importlib
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer
import slicer.util

from . import pythonqt

pythonqt.install()

from PySide6 import QtCore, QtWidgets  # after install(), which patches their classes

from . import scripted, services, widgets
from .core import Core, CoreModule, private_folder, start_core
from .dialogs import dialogs
from .dialogs import install as install_dialogs
from .files import CoreIOManager
from .layout import LayoutManager


class _ModuleManager(QtCore.QObject):
    moduleAboutToBeUnloaded = QtCore.Signal(str)

    def module(self, name: str) -> Any:
        return getattr(slicer.modules, name.lower(), None)

    def factoryManager(self) -> _ModuleManager:
        return self

    def loadedModuleNames(self) -> list[str]:
        return [name for name, found in vars(slicer.modules).items() if isinstance(found, (CoreModule, HostModule))]


class HostApplication(QtWidgets.QApplication):
    """What the module and `slicer.util` ask of qSlicerApplication.

    It starts as `Slicer --testing --no-main-window`: `slicer.util` shows nothing and answers Yes by itself. A test that
    wants the dialogs asked, a main window and views uses `with_main_window`.
    """

    startupCompleted = QtCore.Signal()

    def start(self, core: Core) -> None:
        self.core = core
        self.temporaryPath = private_folder("slicer-host-")
        self.majorVersion, self.minorVersion, self.repositoryRevision = 5, 12, "34000"
        self.slicerHome, self.os, self.arch = self.temporaryPath, "linux", "amd64"
        self.restarts = 0
        self.packages = services.Packages()
        self._module_manager = _ModuleManager()
        self._options = services.CommandOptions()
        self._testing = True
        self._files = CoreIOManager(core)
        self._extensions = services.ExtensionsManagerModel()
        self._layout: LayoutManager | None = None
        self.main_window: services.qSlicerMainWindow | None = None
        self.setApplicationName("Slicer")
        self.setApplicationVersion("5.12.3")
        # No test may read or write the settings of whoever runs it.
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
        QtCore.QSettings.setPath(
            QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, self.temporaryPath
        )
        self.setOrganizationName("NA-MIC")
        self._settings = QtCore.QSettings()

    def applicationLogic(self) -> Any:
        return self.core.application_logic

    def mrmlScene(self) -> Any:
        return self.core.scene

    def moduleManager(self) -> _ModuleManager:
        return self._module_manager

    def userSettings(self) -> QtCore.QSettings:
        return self._settings

    def commandOptions(self) -> services.CommandOptions:
        return self._options

    def coreIOManager(self) -> CoreIOManager:
        return self._files

    def ioManager(self) -> CoreIOManager:
        return self._files

    def extensionsManagerModel(self) -> services.ExtensionsManagerModel:
        return self._extensions

    def testingEnabled(self) -> bool:
        return self._testing

    def layoutManager(self) -> LayoutManager | None:
        """None without a main window, as in Slicer."""
        return self._layout

    def restart(self) -> None:
        self.restarts += 1

    def pauseRender(self) -> None:
        """There is nothing to pause."""

    def resumeRender(self) -> None:
        """There is nothing to resume."""

    @contextmanager
    def with_main_window(self) -> Iterator[services.qSlicerMainWindow]:
        """As started by a user: a main window and views, and dialogs that want an answer (`dialogs.answers`)."""
        self._testing, self._options.noMainWindow = False, False
        self._layout, self.main_window = LayoutManager(self.core), services.qSlicerMainWindow()
        dialogs.clear()
        try:
            yield self.main_window
        finally:
            self._layout.close()
            self.main_window.deleteLater()
            self._layout = self.main_window = None
            self._testing, self._options.noMainWindow = True, True
            dialogs.clear()


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
    slicer.util.mainWindow = lambda *_arguments, **_options: application.main_window
    widgets.install()
    scripted.install()
    services.install(application.packages)
    install_dialogs()
    return application


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Let the application live until a condition holds; gives whether it did."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        QtWidgets.QApplication.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 20)
        time.sleep(0.005)
    return True


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
    panel = widgets.qSlicerScriptedLoadableModuleWidget()
    panel.setLayout(QtWidgets.QVBoxLayout())
    panel.setMRMLScene(slicer.mrmlScene)
    widget = getattr(module, f"{name}Widget")(panel)
    setattr(slicer.modules, f"{name}Widget", widget)
    widget.setup()
    panel.isEntered = True
    widget.enter()
    return widget, panel
