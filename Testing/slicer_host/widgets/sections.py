"""ctkCollapsibleButton: a section with a heading that really collapses."""

# ruff: noqa: N801, N815 - Qt's and CTK's names

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

_NO_LIMIT = (1 << 24) - 1  # Qt's QWIDGETSIZE_MAX
_HIDDEN_BY_USER = "visibilityToParent"  # CTK's own name for what it remembers of a child


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A checkable button as heading, with the section's contents below.

    As in CTK: checked means open; a child that the code hid stays hidden when the section is opened, and one that the
    code shows in a closed section appears when it is opened. Children are not touched before the section was shown for
    the first time.
    """

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._forcing = False
        self._shown = False
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)
        self.toggled.connect(self._on_toggled)
        self._reserve_heading()

    def _is_collapsed(self) -> bool:
        return not self.isChecked()

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = QtCore.Property(bool, _is_collapsed, setCollapsed, notify=contentsCollapsed)

    def _on_toggled(self, checked: bool) -> None:
        for child in self._contents():
            self._show_child(child)
        self._reserve_heading()
        self.contentsCollapsed.emit(not checked)

    def _contents(self) -> list[QtWidgets.QWidget]:
        children = self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly)
        return [child for child in children if not child.isWindow()]

    def _show_child(self, child: QtWidgets.QWidget) -> None:
        if not self._shown:
            return
        self._forcing = True
        wanted = child.property(_HIDDEN_BY_USER)
        child.setVisible(self.isChecked() and wanted is not False)
        if wanted is not False:  # nobody hid it: forget that this did
            child.setAttribute(QtCore.Qt.WidgetAttribute.WA_WState_ExplicitShowHide, False)
        self._forcing = False

    # Events

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        child = event.child()
        # A widget that is still being made is known as a QObject only.
        if child.isWidgetType() and event.type() == QtCore.QEvent.Type.ChildAdded:
            child.installEventFilter(self)
        elif child.isWidgetType() and event.type() == QtCore.QEvent.Type.ChildRemoved:
            child.removeEventFilter(self)
        super().childEvent(event)

    def eventFilter(self, child: QtCore.QObject, event: QtCore.QEvent) -> bool:
        if not self._forcing and event.type() in (QtCore.QEvent.Type.ShowToParent, QtCore.QEvent.Type.HideToParent):
            child.setProperty(_HIDDEN_BY_USER, event.type() == QtCore.QEvent.Type.ShowToParent)
            if event.type() == QtCore.QEvent.Type.ShowToParent and not self.isChecked():
                self._show_child(child)
        return super().eventFilter(child, event)

    def showEvent(self, event: QtGui.QShowEvent) -> None:
        if not self._shown:
            self._shown = True
            for child in self._contents():
                self._show_child(child)
        super().showEvent(event)

    def changeEvent(self, event: QtCore.QEvent) -> None:
        if event.type() in (QtCore.QEvent.Type.FontChange, QtCore.QEvent.Type.StyleChange):
            self._reserve_heading()
        super().changeEvent(event)

    # Looks

    def _heading_height(self) -> int:
        return self.fontMetrics().height() + 8

    def _reserve_heading(self) -> None:
        self.setContentsMargins(0, self._heading_height(), 0, 0)
        self.setMaximumHeight(_NO_LIMIT if self.isChecked() else self._heading_height())

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < self._heading_height()

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        palette = self.palette
        frame = QtCore.QRect(QtCore.QPoint(0, 0), self.size).adjusted(0, 0, -1, -1)
        heading = QtCore.QRect(frame.left(), frame.top(), frame.width(), self._heading_height() - 1)
        painter.setPen(palette.color(QtGui.QPalette.ColorRole.Mid))
        if self.isChecked():
            painter.drawRect(frame)
        painter.setBrush(palette.color(QtGui.QPalette.ColorRole.Button))
        painter.drawRect(heading)
        arrow = QtWidgets.QStyleOption()
        arrow.rect = QtCore.QRect(heading.left() + 5, heading.center().y() - 4, 10, 10)
        arrow.palette = palette
        arrow.state = QtWidgets.QStyle.StateFlag.State_Enabled
        kind = QtWidgets.QStyle.PrimitiveElement
        self.style().drawPrimitive(
            kind.PE_IndicatorArrowDown if self.isChecked() else kind.PE_IndicatorArrowRight, arrow, painter
        )
        group = QtGui.QPalette.ColorGroup.Active if self.isEnabled() else QtGui.QPalette.ColorGroup.Disabled
        painter.setPen(palette.color(group, QtGui.QPalette.ColorRole.ButtonText))
        painter.drawText(heading.adjusted(22, 0, -4, 0), int(QtCore.Qt.AlignmentFlag.AlignVCenter), self.text)
        painter.end()
