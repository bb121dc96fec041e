"""A small stand-in for `slicer.parameterNodeWrapper`: bool, int, float, str and MRML node parameters.

As in Slicer the values live in a vtkMRMLScriptedModuleNode, so they are saved with a scene; `connectGui` binds the
widgets whose dynamic property `SlicerParameterName` names a parameter, both ways. Left out: packs, enums, lists,
validators, nested names.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import slicer
import vtk

# The methods of the node that Slicer's wrapper passes on; there are no others.
_NODE_METHODS = ("AddObserver", "RemoveObserver", "Modified", "StartModify", "EndModify")


@dataclass(frozen=True)
class Parameter:
    """One typed attribute of a wrapped class."""

    name: str
    type: type
    default: Any

    @property
    def is_node(self) -> bool:
        return issubclass(self.type, slicer.vtkMRMLNode)

    def read(self, node: Any) -> Any:
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.type is bool else self.type(text)

    def write(self, node: Any, value: Any) -> None:
        if value is not None and not isinstance(value, self.type):
            raise TypeError(f"{self.name} is a {self.type.__name__}, not {value!r}")
        if self.is_node:
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        elif value is None:
            raise TypeError(f"{self.name} cannot be None")
        else:
            node.SetParameter(self.name, str(value))


@dataclass(frozen=True)
class Binding:
    """A widget bound to a parameter: how to read and write it, and the connection to undo."""

    parameter: Parameter
    get: Callable[[], Any]
    set: Callable[[Any], None]
    disconnect: Callable[[], None]


def parameterNodeWrapper(wrapped: type) -> type:
    """The class decorator: typed attributes that live in a vtkMRMLScriptedModuleNode."""
    parameters = {
        name: Parameter(name, kind, getattr(wrapped, name, None))
        for name, kind in typing.get_type_hints(wrapped).items()
    }

    class Wrapper:
        def __init__(self, node: Any) -> None:
            self.__dict__.update(parameterNode=node, _bindings={}, _next_tag=1)
            for parameter in parameters.values():
                if not parameter.is_node and not node.GetParameter(parameter.name):
                    default = parameter.type() if parameter.default is None else parameter.default
                    parameter.write(node, default)

        def __getattr__(self, name: str) -> Any:
            if name in parameters:
                return parameters[name].read(self.parameterNode)
            if name in _NODE_METHODS:
                return getattr(self.parameterNode, name)
            raise AttributeError(f"{wrapped.__name__} has no parameter {name!r}")

        def __setattr__(self, name: str, value: Any) -> None:
            if name not in parameters:
                raise AttributeError(f"{wrapped.__name__} has no parameter {name!r}")
            parameters[name].write(self.parameterNode, value)

        def connectGui(self, gui: Any) -> int:
            """Bind the widgets of `childWidgetVariables`; returns the tag for `disconnectGui`."""
            bindings = []
            for widget in vars(gui).values():
                name = widget.property("SlicerParameterName")
                if name:
                    if name not in parameters:
                        raise ValueError(f"a widget is bound to the unknown parameter {name!r}")
                    bindings.append(_bind(widget, parameters[name], self.parameterNode))

            def update(*_event: Any) -> None:
                for binding in bindings:
                    value = binding.parameter.read(self.parameterNode)
                    if binding.get() != value:
                        binding.set(value)

            update()
            observer = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, update)
            tag = self._next_tag
            self.__dict__["_next_tag"] += 1
            self._bindings[tag] = (bindings, observer)
            return tag

        def disconnectGui(self, tag: int | None) -> None:
            bindings, observer = self._bindings.pop(tag, ([], None))
            if observer is not None:
                self.parameterNode.RemoveObserver(observer)
            for binding in bindings:
                binding.disconnect()

    Wrapper.__name__ = Wrapper.__qualname__ = wrapped.__name__
    Wrapper.__doc__ = wrapped.__doc__
    return Wrapper


def _bind(widget: Any, parameter: Parameter, node: Any) -> Binding:
    if parameter.is_node:
        widget.nodeTypes = [parameter.type.__name__]  # Slicer's wrapper overwrites what the .ui says
        signal, get, put = widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode
    elif parameter.type is bool:
        signal, get, put = widget.toggled, lambda: widget.checked, widget.setChecked
    elif parameter.type in (int, float):
        signal, get, put = widget.valueChanged, lambda: parameter.type(widget.value), widget.setValue
    else:
        signal, get, put = widget.textChanged, lambda: widget.text, widget.setText

    def store(*_values: Any) -> None:
        parameter.write(node, get())

    put(parameter.read(node))
    signal.connect(store)
    return Binding(parameter, get, put, lambda: signal.disconnect(store))
