"""ctkRangeWidget: two numbers in a range, with a slider between two spin boxes."""

# ruff: noqa: N801, N815 - Qt's and CTK's names

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .base import simple_property


class _RangeSlider(QtWidgets.QWidget):
    """Two handles on a groove; drawn, and moved with the mouse."""

    moved = QtCore.Signal(float, float)

    def __init__(self, owner: ctkRangeWidget) -> None:
        super().__init__(owner)
        self._owner, self._grabbed = owner, ""
        self.setMinimumSize(50, 18)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)

    def _x(self, value: float) -> int:
        span = (self._owner.maximum - self._owner.minimum) or 1
        return 6 + round((value - self._owner.minimum) / span * (self.width - 12))

    def _value(self, x: float) -> float:
        share = min(max((x - 6) / max(self.width - 12, 1), 0), 1)
        return self._owner.minimum + share * (self._owner.maximum - self._owner.minimum)

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        x = event.position().x()
        low, high = self._x(self._owner.minimumValue), self._x(self._owner.maximumValue)
        self._grabbed = "low" if abs(x - low) <= abs(x - high) else "high"

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        value = self._value(event.position().x())
        if self._grabbed == "low":
            self._owner.setMinimumValue(value)
        elif self._grabbed == "high":
            self._owner.setMaximumValue(value)

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        palette, middle = self.palette, self.height // 2
        role, group = QtGui.QPalette.ColorRole, QtGui.QPalette.ColorGroup
        state = group.Active if self.isEnabled() else group.Disabled
        painter.setPen(palette.color(state, role.Mid))
        painter.setBrush(palette.color(state, role.Base))
        painter.drawRoundedRect(QtCore.QRectF(4, middle - 2, self.width - 8, 4), 2, 2)
        low, high = self._x(self._owner.minimumValue), self._x(self._owner.maximumValue)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(palette.color(state, role.Highlight if self.isEnabled() else role.Mid))
        painter.drawRect(QtCore.QRectF(low, middle - 2, high - low, 4))
        painter.setPen(palette.color(state, role.Dark))
        painter.setBrush(palette.color(state, role.Button))
        for x in (low, high):
            painter.drawRoundedRect(QtCore.QRectF(x - 4, middle - 7, 8, 14), 2, 2)
        painter.end()


class ctkRangeWidget(QtWidgets.QWidget):
    """minimum <= minimumValue <= maximumValue <= maximum, always."""

    minimumValueChanged = QtCore.Signal(float)
    maximumValueChanged = QtCore.Signal(float)
    minimumValueIsChanging = QtCore.Signal(float)
    maximumValueIsChanging = QtCore.Signal(float)
    valuesChanged = QtCore.Signal(float, float)
    rangeChanged = QtCore.Signal(float, float)
    decimals = simple_property(int, "decimals", 2, changed="_show")
    singleStep = simple_property(float, "singleStep", 1.0, changed="_show")
    prefix = simple_property(str, "prefix", "", changed="_show")
    suffix = simple_property(str, "suffix", "", changed="_show")
    tracking = simple_property(bool, "tracking", True)
    symmetricMoves = simple_property(bool, "symmetricMoves", False)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._range, self._values, self._showing = (0.0, 99.0), (0.0, 99.0), False
        self._low, self._high = QtWidgets.QDoubleSpinBox(self), QtWidgets.QDoubleSpinBox(self)
        self._slider = _RangeSlider(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._low, self._slider, self._high):
            layout.addWidget(widget)
        self.setFocusProxy(self._low)
        self._low.valueChanged.connect(lambda value: None if self._showing else self.setMinimumValue(value))
        self._high.valueChanged.connect(lambda value: None if self._showing else self.setMaximumValue(value))
        self._show()

    def setRange(self, low: float, high: float) -> None:
        new = (float(low), float(max(low, high)))
        if new != self._range:
            self._range = new
            self.rangeChanged.emit(*new)
        self.setValues(*self._values)
        self._show()

    def setValues(self, low: float, high: float) -> None:
        bottom, top = self._range
        low, high = sorted((min(max(low, bottom), top), min(max(high, bottom), top)))
        old, self._values = self._values, (float(low), float(high))
        self._show()
        if old[0] != low:
            self.minimumValueChanged.emit(low)
        if old[1] != high:
            self.maximumValueChanged.emit(high)
        if old != self._values:
            self.valuesChanged.emit(low, high)

    def setMinimum(self, value: float) -> None:
        self.setRange(value, max(value, self._range[1]))

    def setMaximum(self, value: float) -> None:
        self.setRange(min(value, self._range[0]), value)

    def setMinimumValue(self, value: float) -> None:
        self.setValues(min(value, self._values[1]), self._values[1])

    def setMaximumValue(self, value: float) -> None:
        self.setValues(self._values[0], max(value, self._values[0]))

    def reset(self) -> None:
        self.setValues(0.0, 0.0)

    minimum = QtCore.Property(float, lambda self: self._range[0], setMinimum)
    maximum = QtCore.Property(float, lambda self: self._range[1], setMaximum)
    minimumValue = QtCore.Property(float, lambda self: self._values[0], setMinimumValue)
    maximumValue = QtCore.Property(float, lambda self: self._values[1], setMaximumValue)

    def _show(self) -> None:
        self._showing = True
        for box, value in zip((self._low, self._high), self._values, strict=True):
            box.setDecimals(self.decimals)
            box.setSingleStep(self.singleStep)
            box.setPrefix(self.prefix)
            box.setSuffix(self.suffix)
            box.setRange(*self._range)
            box.setValue(value)
        self._showing = False
        self._slider.update()
