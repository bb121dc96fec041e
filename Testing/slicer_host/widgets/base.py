"""What the stand-ins are made of: a property that keeps its value, and the widget that knows a scene."""

# ruff: noqa: N801, N815 - Qt's and Slicer's names

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets


def simple_property(kind: type | str, name: str, default: Any, changed: str = "") -> QtCore.Property:
    """A Qt property that only keeps its value; `changed` names a method to call afterwards."""
    stored = f"_value_of_{name}"

    def get(self: Any) -> Any:
        return self.__dict__.get(stored, default)

    def put(self: Any, value: Any) -> None:
        self.__dict__[stored] = value
        if changed:
            getattr(self, changed)()

    return QtCore.Property(kind, get, put)


class qMRMLWidget(QtWidgets.QWidget):
    """A widget that knows a scene."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The panel that the application makes for a scripted module: the `parent` of its widget."""

    isEntered = simple_property(bool, "isEntered", False)
