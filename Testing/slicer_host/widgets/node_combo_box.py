"""qMRMLNodeComboBox: a choice of the scene's nodes of some types."""

# ruff: noqa: N801, N815 - Qt's and Slicer's names

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from .base import simple_property

_NO_NODE = object()
"""Stands in the list of rows for the rows that do something."""


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """It observes the real scene; without one it is disabled.

    The rows "Create new ...", "Rename current ..." and "Delete current ..." are there when enabled. A combo box shows
    the first row put into it, so with a row for None or for creating, nothing is chosen by itself.
    """

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeTypes = simple_property("QStringList", "nodeTypes", (), changed="_refresh")
    hideChildNodeTypes = simple_property("QStringList", "hideChildNodeTypes", (), changed="_refresh")
    showChildNodeTypes = simple_property(bool, "showChildNodeTypes", True, changed="_refresh")
    showHidden = simple_property(bool, "showHidden", False, changed="_refresh")
    noneEnabled = simple_property(bool, "noneEnabled", False, changed="_refresh")
    noneDisplay = simple_property(str, "noneDisplay", "None", changed="_fill")
    addEnabled = simple_property(bool, "addEnabled", True, changed="_refresh")
    removeEnabled = simple_property(bool, "removeEnabled", True, changed="_fill")
    renameEnabled = simple_property(bool, "renameEnabled", False, changed="_fill")
    editEnabled = simple_property(bool, "editEnabled", False, changed="_fill")
    selectNodeUponCreation = simple_property(bool, "selectNodeUponCreation", True)
    baseName = simple_property(str, "baseName", "")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._observers: list[int] = []
        self._renames: list[tuple[Any, int]] = []
        self._rows: list[tuple[str, Any, str]] = []
        self._current: Any = None
        self._combo_box = QtWidgets.QComboBox(self)
        self._combo_box.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._combo_box.setMinimumContentsLength(8)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo_box)
        self.setFocusProxy(self._combo_box)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
        self._combo_box.activated.connect(self._on_activated)
        self._combo_box.setEnabled(False)
        self.destroyed.connect(lambda *_: self._stop_observing())

    # The scene

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._stop_observing()
        self._scene = scene
        self._combo_box.setEnabled(scene is not None)
        if scene is not None:
            events = slicer.vtkMRMLScene
            for event in (events.NodeAddedEvent, events.NodeRemovedEvent, events.EndCloseEvent, events.EndImportEvent):
                self._observers.append(scene.AddObserver(event, lambda *_: self._refresh()))
        self._refresh()

    def nodeCount(self) -> int:
        return len(self._offered())

    def nodeFromIndex(self, index: int) -> Any:
        nodes = self._offered()
        return nodes[index] if 0 <= index < len(nodes) else None

    # The choice

    def currentNode(self) -> Any:
        return self._current

    def _current_id(self) -> str:
        return self._current.GetID() if self._current is not None else ""

    def setCurrentNodeID(self, node_id: str) -> None:
        self.setCurrentNode(self._scene.GetNodeByID(node_id) if node_id else None)

    currentNodeID = QtCore.Property(str, _current_id, setCurrentNodeID, notify=currentNodeIDChanged)

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode(self.nodeFromIndex(index))

    def setCurrentNode(self, node: Any) -> None:
        if node is not None and not isinstance(node, (slicer.vtkMRMLNode, str)):
            raise TypeError(f"setCurrentNode takes a node or None, not {node!r}")
        if isinstance(node, str):
            self.setCurrentNodeID(node)
            return
        chosen = node if any(node is offered for offered in self._offered()) else None
        if chosen is not self._current:
            self._current = chosen
            self._show_current()
            self.currentNodeChanged.emit(chosen)
            self.currentNodeIDChanged.emit(self._current_id())

    def addNode(self) -> Any:
        """What the row "Create new ..." does."""
        name = self._scene.GenerateUniqueName(self.baseName or self._type_label())
        node = self._scene.AddNewNodeByClass(self.nodeTypes[0], name)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node

    def removeCurrentNode(self) -> None:
        """What the row "Delete current ..." does."""
        if self._current is not None:
            self._scene.RemoveNode(self._current)

    # What is offered

    def _offered(self) -> list[Any]:
        """The nodes that can be chosen, in the order of the scene."""
        if self._scene is None:
            return []
        every = (self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes()))
        return [node for node in every if self._offers(node)]

    def _offers(self, node: Any) -> bool:
        hidden = node.GetHideFromEditors() and not self.showHidden
        if hidden or any(node.IsA(kind) for kind in self.hideChildNodeTypes):
            return False
        is_a = node.IsA if self.showChildNodeTypes else lambda kind: node.GetClassName() == kind
        return any(is_a(kind) for kind in self.nodeTypes)

    def _refresh(self) -> None:
        nodes = self._offered()
        self._fill()
        if any(self._current is node for node in nodes):
            return
        first = nodes[0] if nodes and not (self.noneEnabled or self.addEnabled) else None
        self.setCurrentNode(first)

    def _stop_observing(self) -> None:
        for observer in self._observers:
            self._scene.RemoveObserver(observer)
        self._observers.clear()
        for node, observer in self._renames:
            node.RemoveObserver(observer)
        self._renames.clear()

    # The rows

    def _type_label(self) -> str:
        return self.nodeTypes[0].removeprefix("vtkMRML").removesuffix("Node") if self.nodeTypes else ""

    def _fill(self) -> None:
        for node, observer in self._renames:
            node.RemoveObserver(observer)
        nodes, label = self._offered(), self._type_label()
        self._renames = [(node, node.AddObserver("ModifiedEvent", lambda *_: self._show_names())) for node in nodes]
        none = [(self.noneDisplay, None, "")] if self.noneEnabled else []
        actions = (
            (self.addEnabled, f"Create new {label}", "addNode"),
            (self.renameEnabled, f"Rename current {label}", ""),
            (self.removeEnabled, f"Delete current {label}", "removeCurrentNode"),
        )
        # The nodes are kept here and not in Qt, which counts references to Python's objects in its own way.
        self._rows = [
            *none,
            *((node.GetName() or "", node, "") for node in nodes),
            *((text, _NO_NODE, action) for enabled, text, action in actions if enabled),
        ]
        self._combo_box.clear()
        self._combo_box.addItems([text for text, _node, _action in self._rows])
        self._show_current()

    def _show_names(self) -> None:
        for row, (_text, node, _action) in enumerate(self._rows):
            if node is not None and node is not _NO_NODE and node.GetName() != self._combo_box.itemText(row):
                self._combo_box.setItemText(row, node.GetName() or "")

    def _show_current(self) -> None:
        row = next((row for row, (_, node, _) in enumerate(self._rows) if node is self._current), -1)
        self._combo_box.setCurrentIndex(row)
        # Slicer asks for a choice in the row itself when nothing is chosen.
        self._combo_box.setPlaceholderText("" if self.noneEnabled else f"Select a {self._type_label()}")

    def _on_activated(self, row: int) -> None:
        _text, node, action = self._rows[row]
        if node is not _NO_NODE:
            self.setCurrentNode(node)
            self.nodeActivated.emit(self._current)
            return
        self._show_current()
        if action == "addNode":
            self.nodeAddedByUser.emit(self.addNode())
        elif action:
            getattr(self, action)()
