"""Stand-ins for the ctk and qMRML widgets of the module's .ui file: what they do, not how they look."""

# ruff: noqa: N801, N815 - Qt's and Slicer's names

from __future__ import annotations

import sys
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from . import pythonqt


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


class ctkCollapsibleButton(QtWidgets.QWidget):
    """A section with a heading; collapsing is kept, not drawn."""

    contentsCollapsed = QtCore.Signal(bool)
    text = simple_property(str, "text", "")
    collapsed = simple_property(bool, "collapsed", False)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """A choice of the scene's nodes of some types; it observes the real scene."""

    currentNodeChanged = QtCore.Signal(object)
    nodeTypes = simple_property("QStringList", "nodeTypes", (), changed="_refresh")
    hideChildNodeTypes = simple_property("QStringList", "hideChildNodeTypes", (), changed="_refresh")
    showChildNodeTypes = simple_property(bool, "showChildNodeTypes", True, changed="_refresh")
    noneEnabled = simple_property(bool, "noneEnabled", False, changed="_refresh")
    noneDisplay = simple_property(str, "noneDisplay", "None")
    addEnabled = simple_property(bool, "addEnabled", True)
    removeEnabled = simple_property(bool, "removeEnabled", True)
    renameEnabled = simple_property(bool, "renameEnabled", False)
    editEnabled = simple_property(bool, "editEnabled", False)
    selectNodeUponCreation = simple_property(bool, "selectNodeUponCreation", True)
    baseName = simple_property(str, "baseName", "")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._observers: list[int] = []
        self._current: Any = None
        self.destroyed.connect(lambda *_: self._stop_observing())

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._stop_observing()
        self._scene = scene
        if scene is not None:
            events = slicer.vtkMRMLScene
            for event in (events.NodeAddedEvent, events.NodeRemovedEvent, events.EndCloseEvent, events.EndImportEvent):
                self._observers.append(scene.AddObserver(event, lambda *_: self._refresh()))
        self._refresh()

    def nodes(self) -> list[Any]:
        """The nodes that can be chosen, in the order of the scene."""
        if self._scene is None:
            return []
        every = (self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes()))
        return [node for node in every if self._offers(node)]

    def nodeCount(self) -> int:
        return len(self.nodes())

    def currentNode(self) -> Any:
        return self._current

    def setCurrentNode(self, node: Any) -> None:
        chosen = node if any(node is offered for offered in self.nodes()) else None
        if chosen is not self._current:
            self._current = chosen
            self.currentNodeChanged.emit(chosen)

    def addNode(self) -> Any:
        """What the row "Create new ..." does."""
        name = self._scene.GenerateUniqueName(self.baseName or self.nodeTypes[0])
        node = self._scene.AddNewNodeByClass(self.nodeTypes[0], name)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node

    def _offers(self, node: Any) -> bool:
        if node.GetHideFromEditors() or any(node.IsA(hidden) for hidden in self.hideChildNodeTypes):
            return False
        is_a = node.IsA if self.showChildNodeTypes else lambda kind: node.GetClassName() == kind
        return any(is_a(kind) for kind in self.nodeTypes)

    def _refresh(self) -> None:
        nodes = self.nodes()
        if any(self._current is node for node in nodes):
            return
        # A combo box shows the first row put into it; with rows for None or Create new it is never empty.
        first = nodes[0] if nodes and not (self.noneEnabled or self.addEnabled) else None
        self.setCurrentNode(first)

    def _stop_observing(self) -> None:
        for observer in self._observers:
            self._scene.RemoveObserver(observer)
        self._observers.clear()


def install() -> None:
    """Offer the stand-ins to .ui files, and as `ctk.*` and `slicer.*`."""
    for kind in (qMRMLWidget, qMRMLNodeComboBox, ctkCollapsibleButton):
        pythonqt.stand_ins[kind.__name__] = kind
        setattr(sys.modules["ctk"] if kind.__name__.startswith("ctk") else slicer, kind.__name__, kind)
    pythonqt.python_signals["qMRMLWidget"] = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
    pythonqt.python_signals["qMRMLNodeComboBox"] = {"currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged"}
