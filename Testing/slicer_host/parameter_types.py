"""What a parameter node can hold: how each type is written into a vtkMRMLScriptedModuleNode, and the annotations.

The names under which values are written are Slicer's, so a scene of either is read by the other: a number or text as
its parameter, a node as a reference, a list as ``name_len`` and ``name_0``, ``name_1``, ..., an enumeration by its
member's name. Other types (dict, tuple, Path, packs, unions) are refused: the module under test has none.
"""

from __future__ import annotations

import collections.abc
import enum
import typing
from dataclasses import dataclass
from typing import Any

import slicer
import slicer.util

# The annotations


class Validator:
    """Judges a value that is to be written; raises ValueError."""

    def validate(self, value: Any) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class WithinRange(Validator):
    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"the value has to lie from {self.minimum} to {self.maximum}, not {value}")


@dataclass(frozen=True)
class Minimum(Validator):
    minimum: float

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"the value has to be at least {self.minimum}, not {value}")


@dataclass(frozen=True)
class Maximum(Validator):
    maximum: float

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"the value has to be at most {self.maximum}, not {value}")


@dataclass(frozen=True)
class Choice(Validator):
    choices: list[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"the value has to be one of {self.choices}, not {value!r}")


@dataclass(frozen=True)
class Default:
    value: Any


@dataclass(frozen=True)
class Decimals:
    value: int


@dataclass(frozen=True)
class SingleStep:
    value: float


# The types


class _Scalar:
    """A value that is one text parameter."""

    def __init__(self, kind: type, accepted: type | tuple[type, ...] | None = None) -> None:
        self.kind, self.accepted = kind, accepted or kind

    def default(self) -> Any:
        return self.kind()

    def check(self, value: Any) -> None:
        if value is None:
            raise ValueError("the value cannot be None")
        if not isinstance(value, self.accepted):
            raise TypeError(f"the value has to be of the type {self.kind.__name__}, not {value!r}")

    def is_in(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(name))

    def write(self, node: Any, name: str, value: Any) -> None:
        self.check(value)
        node.SetParameter(name, str(value))

    def read(self, node: Any, name: str) -> Any:
        return self.kind(node.GetParameter(name))

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)


class _Bool(_Scalar):
    def read(self, node: Any, name: str) -> Any:
        return node.GetParameter(name) == "True"


class _Enum(_Scalar):
    def default(self) -> Any:
        return next(iter(self.kind))

    def write(self, node: Any, name: str, value: Any) -> None:
        self.check(value)
        node.SetParameter(name, value.name)

    def read(self, node: Any, name: str) -> Any:
        return self.kind[node.GetParameter(name)]


class _Node(_Scalar):
    def default(self) -> Any:
        return None

    def check(self, value: Any) -> None:
        if value is not None:
            super().check(value)

    def write(self, node: Any, name: str, value: Any) -> None:
        self.check(value)
        node.SetParameter(name, "")  # says that the parameter has a value, though it be None
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name)


class _List:
    def __init__(self, elements: Any) -> None:
        self.elements = elements

    def default(self) -> list[Any]:
        return []

    def is_in(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(f"{name}_len"))

    def write(self, node: Any, name: str, values: Any) -> None:
        values = list(values)
        for value in values:
            self.elements.check(value)
        with slicer.util.NodeModify(node):
            former = int(node.GetParameter(f"{name}_len") or 0)
            for index, value in enumerate(values):
                self.elements.write(node, f"{name}_{index}", value)
            node.SetParameter(f"{name}_len", str(len(values)))
            for index in range(len(values), former):
                self.elements.remove(node, f"{name}_{index}")

    def read(self, node: Any, name: str) -> ObservedList:
        count = int(node.GetParameter(f"{name}_len") or 0)
        values = [self.elements.read(node, f"{name}_{index}") for index in range(count)]
        return ObservedList(values, lambda changed: self.write(node, name, changed))


class ObservedList(collections.abc.MutableSequence):
    """A list that is written back when it is changed. As in Slicer it is no `list`, and `+` does not work."""

    def __init__(self, values: list[Any], write: typing.Callable[[list[Any]], None]) -> None:
        self._values, self._write = values, write

    def __repr__(self) -> str:
        return f"ObservedList({self._values})"

    def __eq__(self, other: object) -> bool:
        return self._values == (other._values if isinstance(other, ObservedList) else other)

    __hash__ = None

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._values[index] = value
        self._write(self._values)

    def __delitem__(self, index: Any) -> None:
        del self._values[index]
        self._write(self._values)

    def insert(self, index: int, value: Any) -> None:
        self._values.insert(index, value)
        self._write(self._values)


def type_for(kind: Any) -> Any:
    """How a type is written; raises TypeError for one that the host does not know."""
    if typing.get_origin(kind) is list:
        (elements,) = typing.get_args(kind)
        return _List(type_for(elements))
    if kind is bool:
        return _Bool(bool)
    if kind is float:
        return _Scalar(float, (int, float))
    if kind in (int, str):
        return _Scalar(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _Enum(kind)
    if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        return _Node(kind)
    raise TypeError(f"a parameter cannot be of the type {kind}")
