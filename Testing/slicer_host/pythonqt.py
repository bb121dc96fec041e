"""The modules `qt` and `ctk` as PythonQt gives them to Slicer's Python, made of PySide6.

PythonQt's ways that a scripted module relies on, and that differ from PySide6's:

- a Qt property is an attribute that is read and written (``button.enabled = False``), not a method;
- signals are connected by their C++ signature: ``button.connect("clicked(bool)", slot)``;
- a slot gets as many arguments as it accepts; an exception in it is printed and swallowed. Here it is also kept in
  `slot_errors`, which a test asserts to be empty;
- an attribute that a C++ object does not have cannot be set (a misspelt property is found);
- enumerations are numbers: ``item.checkState() == 2`` and ``int(qt.Qt.Checked)``.

An unknown signal raises here, where PythonQt only prints, and so does an unknown property in a .ui file. What only
PySide6 has is not in `qt`: `Signal`, `Slot`, `Property`.
"""

from __future__ import annotations

import ctypes
import enum
import inspect
import os
import sys
import types
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from . import processes

slot_errors: list[BaseException] = []
"""Exceptions raised in slots since a test last cleared the list."""

stand_ins: dict[str, type[QtWidgets.QWidget]] = {}
"""The classes for the custom widgets of a .ui file, by name (`widgets.py` fills it)."""

python_signals: dict[str, dict[str, str]] = {}
"""For stand-ins: C++ signatures that PySide6 cannot declare, and the Python signal that stands for each."""

enumerations: dict[str, type[enum.IntFlag]] = {}
"""For stand-ins: the flags that a .ui file sets by name."""

_QT_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)
# C++ virtual methods of the same name as a property; a property in their place would hide the override.
_VIRTUAL = {"sizeHint", "minimumSizeHint"}
_property, _set_property = QtCore.QObject.property, QtCore.QObject.setProperty
_connections: dict[tuple[Any, ...], list[tuple[Any, Callable[..., None]]]] = {}
_installed = False


def install() -> None:
    """Put `qt` and `ctk` into `sys.modules` and give PySide6's classes PythonQt's ways, once in a process."""
    global _installed
    if _installed:
        return
    _installed = True
    _keep_none()
    qt = types.ModuleType("qt")
    for module in _QT_MODULES:
        # PySide6 makes its types when asked for: `dir` names them all, `vars` only those asked for before.
        for name in dir(module):
            member = getattr(module, name)
            if name.startswith("Q"):
                setattr(qt, name, member)
            if isinstance(member, type) and issubclass(member, QtCore.QObject):
                _give_properties(member)
                _give_connect(member)
            if isinstance(member, type):
                _make_numbers(member)
    QtCore.QObject.name = _Property("objectName", None, writable=True)
    QtCore.QObject.className = lambda self: self.metaObject().className()
    qt.QUiLoader = UiLoader
    processes.install()
    sys.modules["qt"] = qt
    sys.modules["ctk"] = types.ModuleType("ctk")


def _keep_none() -> None:
    """PySide6 6.12 gives up references to None in every method that returns nothing, and to True and False in others.
    From Python 3.12 they count no references; before, a long run would end in "deallocating None". So they get more
    than any run can use up."""
    if sys.version_info < (3, 12):
        for constant in (None, True, False):
            ctypes.c_ssize_t.from_address(id(constant)).value += 1 << 40


class _Property:
    """A Qt property as an attribute; on the class it is what was there, so that static methods can be called."""

    def __init__(self, name: str, original: Any, *, writable: bool) -> None:
        self.name, self.original, self.writable = name, original, writable

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self.original if instance is None else _property(instance, self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        if not self.writable:
            raise AttributeError(f"the property {self.name} of {type(instance).__name__} cannot be written")
        if not _set_property(instance, self.name, value):
            raise AttributeError(f"the property {self.name} of {type(instance).__name__} does not accept {value!r}")


def _give_properties(kind: type) -> None:
    meta = kind.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        described = meta.property(index)
        if described.name() not in _VIRTUAL:
            original = kind.__dict__.get(described.name())
            setattr(kind, described.name(), _Property(described.name(), original, writable=described.isWritable()))


def _make_numbers(kind: type) -> None:
    """Let the enumerations of a class equal their numbers, as PythonQt's do."""
    for name in dir(kind):
        found = kind.__dict__.get(name)
        if isinstance(found, type) and issubclass(found, enum.Enum) and not issubclass(found, int):
            found.__eq__ = lambda self, other: self.value == getattr(other, "value", other)
            found.__hash__ = lambda self: hash(self.value)
            found.__int__ = found.__index__ = lambda self: self.value


def _give_connect(kind: type) -> None:
    inherited = kind.__getattribute__

    def get_attribute(self: Any, name: str) -> Any:
        # shiboken answers `connect` with its own function whatever is set on the class.
        if name == "connect":
            return types.MethodType(connect, self)
        if name == "disconnect":
            return types.MethodType(disconnect, self)
        return inherited(self, name)

    def set_attribute(self: Any, name: str, value: Any) -> None:
        for base in type(self).__mro__:
            described = base.__dict__.get(name)
            if isinstance(described, _Property):
                described.__set__(self, value)
                return
            if isinstance(described, QtCore.Property):  # declared by a stand-in
                if not _set_property(self, name, list(value) if isinstance(value, tuple) else value):
                    raise AttributeError(f"the property {name} of {base.__name__} does not accept {value!r}")
                return
        # PySide6 keeps a signal on its object when first asked for it, and the children of a loaded form.
        child = isinstance(value, QtCore.QObject) and value.objectName == name
        own = isinstance(value, QtCore.SignalInstance) or child
        # So do the stand-ins, except for what they keep for themselves.
        stands_in = stand_ins.get(type(self).__name__) is type(self) and not name.startswith("_")
        if (type(self).__module__.startswith("PySide6.") or stands_in) and not own:
            raise AttributeError(f"{type(self).__name__} has no property {name}, and C++ objects take no new ones")
        shiboken6.Object.__setattr__(self, name, value)

    kind.__getattribute__ = get_attribute
    kind.__setattr__ = set_attribute


def connect(sender: QtCore.QObject, signature: str, *target: Any) -> bool:
    """``sender.connect("signal(type)", function)`` or ``(..., receiver, "slot(type)")``."""
    signal, function = _signal(sender, signature), _function(*target)
    limited = _limited(function)
    signal.connect(limited)
    _connections.setdefault(_key(sender, signature, function), []).append((signal, limited))
    return True


def disconnect(sender: QtCore.QObject, signature: str, *target: Any) -> bool:
    """Undo a `connect` with the same arguments."""
    made = _connections.pop(_key(sender, signature, _function(*target)), [])
    for signal, limited in made:
        signal.disconnect(limited)
    return bool(made)


def _signal(sender: QtCore.QObject, signature: str) -> Any:
    normalised = bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode()
    for base in type(sender).__mro__:
        if normalised in python_signals.get(base.__name__, {}):
            return getattr(sender, python_signals[base.__name__][normalised])
    if sender.metaObject().indexOfSignal(normalised) < 0:
        raise AttributeError(f"{sender.metaObject().className()} has no signal {normalised}")
    return getattr(sender, normalised.partition("(")[0])


def _function(*target: Any) -> Callable[..., Any]:
    if len(target) == 1:
        return target[0]
    receiver, slot = target
    normalised = bytes(QtCore.QMetaObject.normalizedSignature(slot)).decode()
    # A stand-in's slots for nodes and scenes are plain methods, whose types Qt does not know.
    if receiver.metaObject().indexOfSlot(normalised) < 0 and normalised != "setMRMLScene(vtkMRMLScene*)":
        raise AttributeError(f"{receiver.metaObject().className()} has no slot {normalised}")
    return getattr(receiver, normalised.partition("(")[0])


def _key(sender: QtCore.QObject, signature: str, function: Callable[..., Any]) -> tuple[Any, ...]:
    return id(sender), signature, id(getattr(function, "__self__", None)), getattr(function, "__func__", function)


def _limited(function: Callable[..., Any]) -> Callable[..., None]:
    """A slot that takes what it accepts and keeps its exceptions from Qt."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    accepted = None
    if code is not None and not code.co_flags & inspect.CO_VARARGS:
        accepted = code.co_argcount - inspect.ismethod(function)

    def slot(*arguments: Any) -> None:
        try:
            function(*arguments[:accepted])
        except Exception as error:
            sys.excepthook(*sys.exc_info())
            slot_errors.append(error)

    return slot


class UiLoader(QtUiTools.QUiLoader):
    """Loads Designer files with the stand-ins in place of Slicer's widgets.

    The connections of a file are made in Python, because a stand-in's signal cannot carry a ``vtkMRMLScene*``.
    """

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> QtWidgets.QWidget:
        if class_name in stand_ins:
            widget = stand_ins[class_name](parent)
            widget.setObjectName(name)
            return widget
        return super().createWidget(class_name, parent, name)

    def _require(self, class_name: str) -> None:
        if class_name not in stand_ins and class_name not in self.availableWidgets():
            raise RuntimeError(f"the .ui file uses the widget {class_name}, which the host does not have")

    def load(self, file: QtCore.QFile, parent: Any = None) -> QtWidgets.QWidget:
        root = ElementTree.fromstring(bytes(file.readAll()))
        connections = root.find("connections")
        if connections is not None:
            root.remove(connections)
        for described in root.iter("widget"):
            self._require(described.get("class", ""))
        _resolve_flags(root)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        if widget is None:
            raise RuntimeError(self.errorString())
        by_name = {child.objectName: child for child in [widget, *widget.findChildren(QtCore.QObject)]}
        _check_properties(root, by_name)
        for wanted in connections if connections is not None else []:
            sender, signal, receiver, slot = (wanted.findtext(k) for k in ("sender", "signal", "receiver", "slot"))
            connect(by_name[sender], signal, by_name[receiver], slot)
        return widget


def _resolve_flags(root: ElementTree.Element) -> None:
    """Write the flags of stand-ins as numbers: a Python class cannot tell Qt the names of its flags."""
    for widget in root.iter("widget"):
        flags = enumerations.get(widget.get("class", ""))
        for named in widget.findall("property/set") if flags is not None else []:
            value = flags(0)
            for name in (named.text or "").split("|"):
                value |= flags[name.rpartition("::")[2]]
            named.tag, named.text = "number", str(int(value))


def _check_properties(root: ElementTree.Element, by_name: dict[str, Any]) -> None:
    """Refuse properties that a class does not have; Qt would make new ones of them without a word."""
    for described in root.iter("widget"):
        meta = by_name[described.get("name")].metaObject()
        for found in described.findall("property"):
            name = found.get("name", "")
            dynamic = found.get("stdset") == "0" or name == "buddy"
            if not dynamic and meta.indexOfProperty(name) < 0:
                raise RuntimeError(f"the .ui file sets {described.get('name')}.{name}, but {meta.className()} has none")
