"""qMRMLSegmentationShow3DButton and qMRMLTableView: what shows a node, over the real node."""

# ruff: noqa: N801, N815 - Qt's and Slicer's names

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from .base import simple_property


class qMRMLSegmentationShow3DButton(QtWidgets.QPushButton):
    """Makes or removes the closed surfaces of a segmentation; checked while there are some."""

    locked = simple_property(bool, "locked", False, changed="_update")

    def __init__(self, parent: Any = None) -> None:
        super().__init__("Show 3D", parent)
        self._node: Any = None
        self._observer: int | None = None
        self.setCheckable(True)
        self.setEnabled(False)
        self.clicked.connect(self._on_clicked)
        self.destroyed.connect(lambda *_: self._stop_observing())

    def segmentationNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        if node is not None and not isinstance(node, slicer.vtkMRMLSegmentationNode):
            raise TypeError(f"setSegmentationNode takes a segmentation node or None, not {node!r}")
        self._stop_observing()
        self._node = node
        if node is not None:
            self._observer = node.AddObserver("AnyEvent", lambda *_: self._update())
        self._update()

    def setLocked(self, locked: bool) -> None:
        self.locked = locked

    def _has_surface(self) -> bool:
        name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
        segmentation = self._node.GetSegmentation() if self._node is not None else None
        return segmentation is not None and segmentation.ContainsRepresentation(name)

    def _on_clicked(self, checked: bool) -> None:
        if checked:
            self._node.CreateClosedSurfaceRepresentation()
        else:
            self._node.RemoveClosedSurfaceRepresentation()
        self._update()

    def _update(self) -> None:
        self.setEnabled(self._node is not None and not self.locked)
        self.setChecked(self._has_surface())

    def _stop_observing(self) -> None:
        if self._observer is not None:
            self._node.RemoveObserver(self._observer)
            self._observer = None


class _TableModel(QtCore.QAbstractTableModel):
    """The cells of a vtkMRMLTableNode as texts."""

    def __init__(self, view: QtWidgets.QWidget) -> None:
        super().__init__(view)
        self.node: Any = None

    def rowCount(self, _parent: Any = None) -> int:
        return self.node.GetNumberOfRows() if self.node is not None else 0

    def columnCount(self, _parent: Any = None) -> int:
        return self.node.GetNumberOfColumns() if self.node is not None else 0

    def data(self, index: QtCore.QModelIndex, role: int = 0) -> Any:
        shown = (QtCore.Qt.ItemDataRole.DisplayRole, QtCore.Qt.ItemDataRole.EditRole)
        if role not in shown:
            return None
        return self.node.GetTable().GetValue(index.row(), index.column()).ToString()

    def headerData(self, section: int, orientation: QtCore.Qt.Orientation, role: int = 0) -> Any:
        if role != QtCore.Qt.ItemDataRole.DisplayRole or self.node is None:
            return None
        if orientation == QtCore.Qt.Orientation.Vertical:
            return section + 1
        name = self.node.GetColumnName(section)
        return self.node.GetColumnTitle(name) if self.node.GetUseColumnTitleAsColumnHeader() else name


class qMRMLTableView(QtWidgets.QTableView):
    """The cells of a table node; it follows the node, and needs no scene of its own."""

    mrmlSceneChanged = QtCore.Signal(object)
    transposed = simple_property(bool, "transposed", False)
    firstRowLocked = simple_property(bool, "firstRowLocked", False)
    firstColumnLocked = simple_property(bool, "firstColumnLocked", False)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._observer: int | None = None
        self._table = _TableModel(self)
        self.setModel(self._table)
        self.destroyed.connect(lambda *_: self._stop_observing())

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.setMRMLTableNode(None)
            self.mrmlSceneChanged.emit(scene)

    def mrmlTableNode(self) -> Any:
        return self._table.node

    def tableModel(self) -> QtCore.QAbstractTableModel:
        return self._table

    def setMRMLTableNode(self, node: Any) -> None:
        if node is not None and not isinstance(node, slicer.vtkMRMLTableNode):
            raise TypeError(f"setMRMLTableNode takes a table node or None, not {node!r}")
        self._stop_observing()
        self._table.node = node
        if node is not None:
            self._observer = node.AddObserver("ModifiedEvent", lambda *_: self._reset())
        self._reset()

    def _reset(self) -> None:
        self._table.beginResetModel()
        self._table.endResetModel()

    def _stop_observing(self) -> None:
        if self._observer is not None and self._table.node is not None:
            self._table.node.RemoveObserver(self._observer)
        self._observer = None
