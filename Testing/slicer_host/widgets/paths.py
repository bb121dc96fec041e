"""ctkPathLineEdit and ctkDirectoryButton: a path typed, picked or chosen again."""

# ruff: noqa: N801, N815 - Qt's and CTK's names

from __future__ import annotations

import enum
import os
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from .base import simple_property


class PathFilter(enum.IntFlag):
    """The values of ctkPathLineEdit::Filters."""

    Dirs = 0x001
    Files = 0x002
    Drives = 0x004
    NoSymLinks = 0x008
    AllEntries = Dirs | Files | Drives
    Readable = 0x010
    Writable = 0x020
    Executable = 0x040
    NoDot = 0x2000
    NoDotDot = 0x4000


class ctkPathLineEdit(QtWidgets.QWidget):
    """A line for a path, with a menu of former paths and a button that asks for one."""

    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)
    label = simple_property(str, "label", "")
    filters = simple_property(int, "filters", int(PathFilter.AllEntries), changed="_check")
    nameFilters = simple_property("QStringList", "nameFilters", ())
    settingKey = simple_property(str, "settingKey", "", changed="retrieveHistory")
    minimumContentsLength = simple_property(int, "minimumContentsLength", 0)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._valid = False
        self._combo_box = QtWidgets.QComboBox(self)
        self._combo_box.setEditable(True)
        self._combo_box.setInsertPolicy(QtWidgets.QComboBox.InsertPolicy.NoInsert)
        self._combo_box.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._combo_box.setMinimumContentsLength(8)
        self._browse = QtWidgets.QToolButton(self)
        self._browse.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._combo_box, 1)
        layout.addWidget(self._browse)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
        self.setFocusProxy(self._combo_box)
        self._combo_box.currentTextChanged.connect(self._on_text)
        self._browse.clicked.connect(self.browse)

    def comboBox(self) -> QtWidgets.QComboBox:
        return self._combo_box

    def _path(self) -> str:
        return str(self._combo_box.currentText)

    def setCurrentPath(self, path: str) -> None:
        if not isinstance(path, str):
            raise TypeError(f"setCurrentPath takes text, not {path!r}")
        self._combo_box.setCurrentText(path)

    currentPath = QtCore.Property(str, _path, setCurrentPath, notify=currentPathChanged)

    def _shows_browse(self) -> bool:
        return not self._browse.isHidden()

    showBrowseButton = QtCore.Property(bool, _shows_browse, lambda self, shown: self._browse.setVisible(shown))

    def _on_text(self, path: str) -> None:
        self.currentPathChanged.emit(path)
        self._check()

    def _check(self) -> None:
        path, filters = self._path(), PathFilter(self.filters & int(PathFilter.AllEntries))
        found = os.path.isdir(path) if filters == PathFilter.Dirs else os.path.exists(path)  # noqa: PTH110, PTH112
        if found != self._valid:
            self._valid = found
            self.validInputChanged.emit(found)

    def browse(self) -> None:
        """Ask for a file, or for a folder where the filters allow no files."""
        if self.filters & PathFilter.Files:
            chosen = QtWidgets.QFileDialog.getOpenFileName(self, self.label, self._path())
            chosen = chosen if isinstance(chosen, str) else chosen[0]
        else:
            chosen = QtWidgets.QFileDialog.getExistingDirectory(self, self.label, self._path())
        if chosen:
            self.setCurrentPath(chosen)

    # History

    def _key(self) -> str:
        return "ctkPathLineEdit/" + (self.settingKey or self.objectName)

    def retrieveHistory(self) -> None:
        """Fill the menu from the settings; as in CTK the newest becomes the current path."""
        history = slicer.app.userSettings().value(self._key()) or []
        history = [history] if isinstance(history, str) else history
        self._combo_box.blockSignals(True)
        current = self._path()
        self._combo_box.clear()
        self._combo_box.addItems(history)
        self._combo_box.blockSignals(False)
        self.setCurrentPath(history[0] if history else current)

    def addCurrentPathToHistory(self) -> None:
        """Keep the current path in the settings."""
        path = self._path()
        if not path:
            return
        history = slicer.app.userSettings().value(self._key()) or []
        history = [history] if isinstance(history, str) else history
        kept = [path, *(old for old in history if old != path)][:5]
        slicer.app.userSettings().setValue(self._key(), kept)
        self._combo_box.blockSignals(True)
        self._combo_box.clear()
        self._combo_box.addItems(kept)
        self._combo_box.blockSignals(False)


class ctkDirectoryButton(QtWidgets.QWidget):
    """A button with a folder's path on it."""

    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)
    caption = simple_property(str, "caption", "")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._folder = QtCore.QDir.currentPath()
        self._button = QtWidgets.QPushButton(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        self.setFocusProxy(self._button)
        self._button.clicked.connect(self.browse)
        self._show()

    def _directory(self) -> str:
        return self._folder

    def setDirectory(self, folder: str) -> None:
        folder = QtCore.QDir(folder or ".").absolutePath()
        changed, self._folder = folder != self._folder, folder
        self._show()
        self.directorySelected.emit(folder)
        if changed:
            self.directoryChanged.emit(folder)

    directory = QtCore.Property(str, _directory, setDirectory, notify=directoryChanged)

    def browse(self) -> str:
        chosen = QtWidgets.QFileDialog.getExistingDirectory(self, self.caption, self._folder)
        if chosen:
            self.setDirectory(chosen)
        return chosen

    def _show(self) -> None:
        metrics = self._button.fontMetrics()
        self._button.setText(metrics.elidedText(self._folder, QtCore.Qt.TextElideMode.ElideMiddle, 220))
