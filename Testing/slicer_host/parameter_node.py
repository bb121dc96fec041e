"""A stand-in for `slicer.parameterNodeWrapper`: the values live in a vtkMRMLScriptedModuleNode, as in Slicer.

`connectGui` binds the widgets whose dynamic property `SlicerParameterName` names a parameter, both ways. What is known
of the real wrapper's ways and is emulated:

- `connectGui` gives no tag (its source drops it), so `disconnectGui(None)` unbinds nothing, and every wrapper that was
  ever connected keeps writing to its node (Slicer#7547, #8009). `connectParametersToGui` gives the tag.
  `connect_gui_gives_tag` can be set to True for a wrapper without that fault.
- The observer of the node is never removed.
- A widget that is no `QCheckBox`, `QSpinBox`, ... but derived from one cannot be bound.
- A number's range in the .ui file is replaced by the parameter's annotation, or by everything.
- While one wrapper writes to its widgets, their signals are not written back by that wrapper, but by others.
- A list is no `list`.

Left out: packs, dict, tuple, Path, unions, caching, `isCached`, widgets made for parameters.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Any

import slicer.util
import vtk

from . import parameter_types
from .parameter_gui import Binding, bind
from .parameter_types import Default, Validator

PROPERTY = "SlicerParameterName"
connect_gui_gives_tag = False

# The methods of the node that Slicer's wrapper passes on; there are no others.
_NODE_METHODS = ("AddObserver", "RemoveObserver", "Modified", "StartModify", "EndModify")


@dataclass(frozen=True)
class Parameter:
    """One typed attribute of a wrapped class."""

    name: str
    annotated: Any
    default: Any

    @property
    def kind(self) -> Any:
        annotated = typing.get_origin(self.annotated) is typing.Annotated
        return typing.get_args(self.annotated)[0] if annotated else self.annotated

    @property
    def annotations(self) -> list[Any]:
        return list(getattr(self.annotated, "__metadata__", ()))

    def read(self, node: Any) -> Any:
        written = parameter_types.type_for(self.kind)
        if not written.is_in(node, self.name):
            self.write(node, self.default)
        return written.read(node, self.name)

    def write(self, node: Any, value: Any) -> None:
        written = parameter_types.type_for(self.kind)
        if hasattr(written, "check"):
            written.check(value)
        for annotation in self.annotations:
            if isinstance(annotation, Validator):
                annotation.validate(value)
        written.write(node, self.name, value)


def _parameters(wrapped: type) -> dict[str, Parameter]:
    found = {}
    for name, annotated in typing.get_type_hints(wrapped, include_extras=True).items():
        parameter = Parameter(name, annotated, None)
        default = parameter_types.type_for(parameter.kind).default()
        for annotation in parameter.annotations:
            if isinstance(annotation, Default):
                default = annotation.value
        found[name] = Parameter(name, annotated, getattr(wrapped, name, default))
    return found


def parameterNodeWrapper(wrapped: type) -> type:
    """The class decorator: typed attributes that live in a vtkMRMLScriptedModuleNode."""
    parameters = _parameters(wrapped)

    class Wrapper(_Wrapper):
        allParameters = parameters  # noqa: N815

    Wrapper.__name__ = Wrapper.__qualname__ = wrapped.__name__
    Wrapper.__doc__ = wrapped.__doc__
    return Wrapper


class _Wrapper:
    allParameters: typing.ClassVar[dict[str, Parameter]] = {}  # noqa: N815

    def __init__(self, node: Any) -> None:
        self.__dict__.update(parameterNode=node, _bindings={}, _next_tag=0, _updating=False, _observer=None)
        for parameter in self.allParameters.values():
            parameter.read(node)  # writes the default where there is no value

    def __getattr__(self, name: str) -> Any:
        if name in self.allParameters:
            return self.allParameters[name].read(self.parameterNode)
        if name in _NODE_METHODS:
            return getattr(self.parameterNode, name)
        raise AttributeError(f"{type(self).__name__} has no parameter {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        # Slicer takes any attribute and forgets it; a misspelt parameter is found here.
        if name not in self.allParameters:
            raise AttributeError(f"{type(self).__name__} has no parameter {name!r}")
        self.allParameters[name].write(self.parameterNode, value)

    def _parameter(self, name: str) -> Parameter:
        if name not in self.allParameters:
            raise ValueError(f"there is no parameter {name!r}, only {', '.join(self.allParameters)}")
        return self.allParameters[name]

    def getValue(self, name: str) -> Any:
        return self._parameter(name).read(self.parameterNode)

    def setValue(self, name: str, value: Any) -> None:
        self._parameter(name).write(self.parameterNode, value)

    def default(self, name: str) -> Default:
        return Default(self._parameter(name).default)

    def dataType(self, name: str) -> Any:
        return self._parameter(name).annotated

    def connectGui(self, gui: Any) -> int | None:
        """Bind the widgets of a widget or of `childWidgetVariables`."""
        is_widget = getattr(gui, "isWidgetType", lambda: False)()
        widgets = gui.findChildren(_widget_class()) if is_widget else vars(gui).values()
        named = {widget.property(PROPERTY): widget for widget in widgets if widget.property(PROPERTY)}
        tag = self.connectParametersToGui(named)
        return tag if connect_gui_gives_tag else None

    def connectParametersToGui(self, widgets: dict[str, Any]) -> int:
        """Bind widgets to parameters by name; gives the tag for `disconnectGui`."""
        bindings = {}
        for name, widget in widgets.items():
            parameter = self._parameter(name)
            bindings[name] = bind(widget, parameter.kind, parameter.annotations)
        tag = self._next_tag
        self.__dict__["_next_tag"] += 1
        self._bindings[tag] = bindings
        for name, binding in bindings.items():
            binding.write(self.getValue(name))
            binding.start(self._store(name, binding))
        if self._observer is None:
            self.__dict__["_observer"] = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_event: self._update())
        return tag

    def disconnectGui(self, tag: int | None) -> None:
        for binding in self._bindings.pop(tag, {}).values():
            binding.stop()
        if not self._bindings and self._observer is not None:
            # Once nobody holds the wrapper, Python's collector clears the observer, although the scene has the node.
            self.RemoveObserver(self._observer)
            self.__dict__["_observer"] = None

    def _store(self, name: str, binding: Binding) -> Any:
        def store() -> None:
            if not self._updating:
                with slicer.util.NodeModify(self):
                    self.setValue(name, binding.read())

        return store

    def _update(self) -> None:
        if self._updating:
            return
        self.__dict__["_updating"] = True
        try:
            with slicer.util.NodeModify(self):
                for bindings in list(self._bindings.values()):
                    for name, binding in bindings.items():
                        binding.write(self.getValue(name))
        finally:
            self.__dict__["_updating"] = False


def _widget_class() -> type:
    from PySide6 import QtWidgets

    return QtWidgets.QWidget
