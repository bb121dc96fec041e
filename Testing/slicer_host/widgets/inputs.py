"""ctkSearchBox, ctkCheckableComboBox and ctkFittedTextBrowser: Qt's widgets with CTK's additions."""

# ruff: noqa: N801, N815 - Qt's and CTK's names

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .base import simple_property

_CHECK_STATE = QtCore.Qt.ItemDataRole.CheckStateRole


class ctkSearchBox(QtWidgets.QLineEdit):
    """A line for a filter, with a magnifying glass if wanted and a button that clears it."""

    showSearchIcon = simple_property(bool, "showSearchIcon", False, changed="_show_icons")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setClearButtonEnabled(True)
        self._glass: Any = None

    def _show_icons(self) -> None:
        if self._glass is None and self.showSearchIcon:
            self._glass = self.addAction(_magnifying_glass(self), QtWidgets.QLineEdit.ActionPosition.LeadingPosition)


def _magnifying_glass(widget: QtWidgets.QWidget) -> QtGui.QIcon:
    picture = QtGui.QPixmap(16, 16)
    picture.fill(QtCore.Qt.GlobalColor.transparent)
    painter = QtGui.QPainter(picture)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.setPen(QtGui.QPen(widget.palette.color(QtGui.QPalette.ColorRole.PlaceholderText), 1.6))
    painter.drawEllipse(QtCore.QRectF(3, 3, 7, 7))
    painter.drawLine(QtCore.QPointF(9.5, 9.5), QtCore.QPointF(13, 13))
    painter.end()
    return QtGui.QIcon(picture)


class ctkCheckableComboBox(QtWidgets.QComboBox):
    """A combo box whose rows are checked and not chosen; its own text lists what is checked."""

    checkedIndexesChanged = QtCore.Signal()

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._known: list[int] = []
        self.model().rowsInserted.connect(self._on_rows)
        self.model().dataChanged.connect(self._on_data)
        self.model().rowsRemoved.connect(lambda *_: self._on_data())
        self.model().modelReset.connect(lambda *_: self._on_data())
        self.view().viewport().installEventFilter(self)

    def checkableModel(self) -> QtCore.QAbstractItemModel:
        return self.model()

    def checkedIndexes(self) -> list[QtCore.QModelIndex]:
        return [self.model().index(row, 0) for row in self._checked()]

    def allChecked(self) -> bool:
        return len(self._checked()) == self.model().rowCount()

    def noneChecked(self) -> bool:
        return not self._checked()

    def checkState(self, index: QtCore.QModelIndex) -> QtCore.Qt.CheckState:
        return QtCore.Qt.CheckState(int(_number(index.data(_CHECK_STATE))))

    def setCheckState(self, index: QtCore.QModelIndex, state: QtCore.Qt.CheckState) -> None:
        self.model().setData(index, QtCore.Qt.CheckState(_number(state)), _CHECK_STATE)

    def _checked(self) -> list[int]:
        rows = range(self.model().rowCount())
        return [row for row in rows if _number(self.model().index(row, 0).data(_CHECK_STATE)) == 2]

    def _on_rows(self, _parent: QtCore.QModelIndex, first: int, last: int) -> None:
        for row in range(first, last + 1):
            index = self.model().index(row, 0)
            if index.data(_CHECK_STATE) is None:  # CTK forces every row to be checkable
                self.model().setData(index, QtCore.Qt.CheckState.Unchecked, _CHECK_STATE)
        self._on_data()

    def _on_data(self, *_changed: Any) -> None:
        checked = self._checked()
        if checked != self._known:
            self._known = checked
            self.update()
            self.checkedIndexesChanged.emit()

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        if event.type() == QtCore.QEvent.Type.MouseButtonRelease:
            index = self.view().indexAt(event.position().toPoint())
            if index.isValid():
                self.setCheckState(index, 0 if _number(index.data(_CHECK_STATE)) == 2 else 2)
                return True  # the list stays open
        return super().eventFilter(watched, event)

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        checked = self._checked()
        if self.allChecked():
            text = "All"
        elif not checked:
            text = "None"
        else:
            text = ", ".join(self.itemText(row) for row in checked)
        option.currentText = self.fontMetrics().elidedText(text, QtCore.Qt.TextElideMode.ElideRight, self.width - 34)
        painter = QtWidgets.QStylePainter(self)
        painter.drawComplexControl(QtWidgets.QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()


def _number(state: Any) -> int:
    """PythonQt's enumerations are numbers, PySide6's are not."""
    return 0 if state is None else int(getattr(state, "value", state))


class ctkFittedTextBrowser(QtWidgets.QTextBrowser):
    """A text that is as high as it needs at its width, without a scroll bar."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setVerticalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        policy = QtWidgets.QSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.textChanged.connect(self.updateGeometry)

    def heightForWidth(self, width: int) -> int:
        document = QtGui.QTextDocument()
        document.setDefaultFont(self.font)
        document.setHtml(self.html)
        document.setTextWidth(max(1, width - 2 * self.frameWidth))
        return round(document.size.height()) + 2 * self.frameWidth

    def sizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(min(self.width, 256), self.heightForWidth(self.width))

    def minimumSizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(60, self.heightForWidth(self.width))

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.oldSize().width() != event.size().width():
            self.updateGeometry()
