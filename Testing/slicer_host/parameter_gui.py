"""Which widget a parameter can be bound to, and how; the pairs are Slicer's, for the types of `parameter_types`."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import slicer
from PySide6 import QtWidgets

from .parameter_types import Choice, Decimals, Maximum, Minimum, SingleStep, WithinRange

# What Slicer's wrapper sets where the parameter says nothing; what the .ui file says is lost.
_INT_RANGE = (-(2**31), 2**31 - 1)
_FLOAT_RANGE = (float("-inf"), float("inf"))


class Binding:
    """A widget bound to one parameter: `read` and `write` its value, `stop` to let go."""

    def __init__(self, signal: Any, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self._signal, self.read, self.write = signal, read, write
        self._changed: Callable[..., None] | None = None

    def start(self, changed: Callable[[], None]) -> None:
        self._changed = lambda *_values: changed()
        self._signal.connect(self._changed)

    def stop(self) -> None:
        self._signal.disconnect(self._changed)
        self._changed = None


def bind(widget: Any, kind: Any, annotations: list[Any]) -> Binding:
    """Raises RuntimeError for a pair that Slicer cannot bind; as there, only these very classes and no derived ones."""
    maker = _makers.get((type(widget).__name__, _family(kind)))
    if maker is None:
        raise RuntimeError(f"a {type(widget).__name__} cannot be bound to a parameter of the type {kind}")
    return maker(widget, kind, annotations)


def _family(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return enum.Enum
    if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        return slicer.vtkMRMLNode
    return kind


def _attribute(widget: Any, name: str, signal: Any) -> Binding:
    return Binding(signal, lambda: getattr(widget, name), lambda value: setattr(widget, name, value))


def _check_box(widget: QtWidgets.QCheckBox, _kind: Any, _annotations: list[Any]) -> Binding:
    return _attribute(widget, "checked", widget.toggled)


def _push_button(widget: QtWidgets.QPushButton, _kind: Any, _annotations: list[Any]) -> Binding:
    widget.checkable = True
    return _attribute(widget, "checked", widget.toggled)


def _line(widget: QtWidgets.QLineEdit, _kind: Any, _annotations: list[Any]) -> Binding:
    return _attribute(widget, "text", widget.textChanged)


def _number(widget: Any, kind: type, annotations: list[Any]) -> Binding:
    low, high = _INT_RANGE if kind is int else _FLOAT_RANGE
    for annotation in annotations:
        if isinstance(annotation, Decimals):
            widget.decimals = annotation.value
        elif isinstance(annotation, SingleStep):
            widget.singleStep = annotation.value
        elif isinstance(annotation, (WithinRange, Minimum)):
            low = annotation.minimum
        if isinstance(annotation, (WithinRange, Maximum)):
            high = annotation.maximum
    widget.minimum, widget.maximum = low, high
    return _attribute(widget, "value", widget.valueChanged)


def _choice(widget: QtWidgets.QComboBox, _kind: Any, annotations: list[Any]) -> Binding:
    choices = next((found.choices for found in annotations if isinstance(found, Choice)), None)
    if choices is None:
        raise RuntimeError("a combo box needs the annotation Choice")
    return _rows(widget, choices, [str(value) for value in choices])


def _enumeration(widget: QtWidgets.QComboBox, kind: Any, _annotations: list[Any]) -> Binding:
    members = list(kind)
    return _rows(widget, members, [member.label() if hasattr(kind, "label") else member.name for member in members])


def _rows(widget: QtWidgets.QComboBox, values: list[Any], texts: list[str]) -> Binding:
    widget.clear()
    widget.addItems(texts)
    return Binding(
        widget.currentIndexChanged,
        lambda: values[widget.currentIndex],
        lambda value: setattr(widget, "currentIndex", values.index(value)),
    )


def _nodes(widget: Any, kind: type, _annotations: list[Any]) -> Binding:
    widget.nodeTypes = [kind.__name__]  # Slicer's wrapper overwrites what the .ui says
    return Binding(widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)


_makers: dict[tuple[str, Any], Callable[[Any, Any, list[Any]], Binding]] = {
    ("QCheckBox", bool): _check_box,
    ("QPushButton", bool): _push_button,
    ("QLineEdit", str): _line,
    ("QSpinBox", int): _number,
    ("QDoubleSpinBox", float): _number,
    ("QComboBox", int): _choice,
    ("QComboBox", float): _choice,
    ("QComboBox", str): _choice,
    ("QComboBox", enum.Enum): _enumeration,
    ("qMRMLNodeComboBox", slicer.vtkMRMLNode): _nodes,
}
