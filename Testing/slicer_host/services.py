"""The application's services that a module may ask for: extensions, packages, sample data, modules to switch to.

They do nothing but keep what was asked; a test sets what they answer.
"""

# ruff: noqa: N801, N815 - Qt's and Slicer's names

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets


@dataclass
class CommandOptions:
    """`slicer.app.commandOptions()`."""

    noMainWindow: bool = True
    runPythonAndExit: bool = False
    pythonScript: str = ""


class ExtensionsManagerModel(QtCore.QObject):
    """`slicer.app.extensionsManagerModel()`. What is installed here is enabled after a restart only, as in Slicer.

    A test sets `states` (name to ``enabled`` or ``disabled``), `reachable` (the server) and looks at `asked`.
    """

    extensionInstalled = QtCore.Signal(str)
    modelUpdated = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, str] = {}
        self.reachable = True
        self.asked: list[tuple[Any, ...]] = []
        self.interactive = True

    def isExtensionInstalled(self, name: str) -> bool:
        return name in self.states

    def isExtensionEnabled(self, name: str) -> bool:
        return self.states.get(name) == "enabled"

    def setExtensionEnabled(self, name: str, enabled: bool) -> None:
        self.asked.append(("enable", name, enabled))
        self.states[name] = "enabled" if enabled else "disabled"

    def setInteractive(self, interactive: bool) -> None:
        self.interactive = interactive

    def updateExtensionsMetadataFromServer(self, force: bool = False, waitForCompletion: bool = False) -> bool:
        self.asked.append(("metadata", force, waitForCompletion))
        return self.reachable

    def installExtensionFromServer(self, name: str, restart: bool = True, update: bool = True) -> bool:
        self.asked.append(("install", name, restart))
        if not self.reachable:
            return False
        self.states[name] = "pending"
        self.extensionInstalled.emit(name)
        if restart:
            slicer.app.restart()
        return True

    @property
    def installedExtensions(self) -> list[str]:
        return sorted(self.states)

    @property
    def enabledExtensions(self) -> list[str]:
        return sorted(name for name in self.states if self.isExtensionEnabled(name))


@dataclass
class Packages:
    """`slicer.packaging`: what was to be installed. `answer` False stands for a user who declines."""

    asked: list[tuple[str, Any]] = field(default_factory=list)
    answer: bool = True
    missing: set[str] = field(default_factory=set)

    def pip_install(self, requirements: Any, **options: Any) -> None:
        self.asked.append(("pip_install", requirements))

    def pip_check(self, requirements: Any, **options: Any) -> bool:
        wanted = [requirements] if isinstance(requirements, str) else requirements
        return not self.missing & {str(requirement) for requirement in wanted}

    def pip_ensure(self, requirements: Any, **options: Any) -> None:
        if self.pip_check(requirements):
            return
        if not self.answer:
            raise RuntimeError("the user declined the installation")
        self.asked.append(("pip_ensure", requirements))
        self.missing.clear()

    def load_requirements(self, path: Any) -> list[str]:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - Slicer takes text too
            return [line.strip() for line in file if line.strip() and not line.startswith("#")]


class SampleDataLogic:
    """SampleData.SampleDataLogic: sources are registered, and `downloadSample` gives what a test put there."""

    # Of the class, as slicer.modules.sampleDataSources.
    categories: dict[str, list[types.SimpleNamespace]] = {}  # noqa: RUF012
    titles: dict[str, str] = {}  # noqa: RUF012
    samples: dict[str, Callable[[], Any]] = {}  # noqa: RUF012

    @staticmethod
    def registerCustomSampleDataCategory(category: str, title: str | None = None, **options: Any) -> None:
        SampleDataLogic.titles[category] = title or category

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", sampleName: str | None = None, **source: Any) -> None:
        counts = {len(source[key]) for key in ("uris", "fileNames", "nodeNames") if isinstance(source.get(key), list)}
        if not sampleName or len(counts) > 1:
            raise ValueError("a sample needs a name, and as many files and nodes as addresses")
        listed = SampleDataLogic.categories.setdefault(category, [])
        listed.append(types.SimpleNamespace(sampleName=sampleName, **source))

    @staticmethod
    def sampleDataSourcesByCategory(category: str | None = None) -> Any:
        """The list itself, or all lists by category."""
        categories = SampleDataLogic.categories
        return categories if category is None else categories.get(category, [])

    def downloadSamples(self, name: str) -> list[Any]:
        if name not in SampleDataLogic.samples:
            raise ValueError(f"no sample is called {name}")
        node = SampleDataLogic.samples[name]()
        return [node]

    def downloadSample(self, name: str) -> Any:
        return self.downloadSamples(name)[0]


class ModuleSelector(QtWidgets.QWidget):
    """What `slicer.util.selectModule` asks: `selected` keeps the names."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.selected: list[str] = []

    def selectModule(self, name: str) -> None:
        self.selected.append(name)


class qSlicerMainWindow(QtWidgets.QMainWindow):
    """The main window, while a test wants one (`HostApplication.with_main_window`)."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = ModuleSelector(self)

    def moduleSelector(self) -> ModuleSelector:
        return self._selector


def install(packages: Packages) -> None:
    """Make the services importable under Slicer's names."""
    packaging = types.ModuleType("slicer.packaging")
    for name in ("pip_install", "pip_check", "pip_ensure", "load_requirements"):
        setattr(packaging, name, getattr(packages, name))
    sys.modules["slicer.packaging"] = slicer.packaging = packaging
    sample_data = types.ModuleType("SampleData")
    sample_data.SampleDataLogic = SampleDataLogic
    sample_data.downloadSample = lambda name: SampleDataLogic().downloadSample(name)
    sample_data.downloadSamples = lambda name: SampleDataLogic().downloadSamples(name)
    sys.modules["SampleData"] = sample_data
