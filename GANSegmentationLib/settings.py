"""Frozen dataclasses read from JSON: every key known, every type right, or an error that says which one is not."""

from __future__ import annotations

import dataclasses
import difflib
import sys
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import GANSegmentationError

T = TypeVar("T")


def read_settings(cls: type[T], fields: Mapping[str, Any], *, code: str, where: str = "") -> T:
    """An instance of the dataclass `cls` from plain JSON types; missing keys take the defaults.

    Understood field types: ``int, float, bool, str, Literal[...], tuple[X, ...], tuple[X, Y], dict[str, X], Mapping,
    X | None``, other dataclasses, and classes with a ``from_dict`` of their own. A list becomes a tuple and an integer
    a float where the field says so; a bool is never taken for a number, and no number may be infinite or none (NaN).

    Parameters
    ----------
    code:
        The code of the errors it raises.
    where:
        The object's place for messages, such as ``"preset.data"``; the class's name where empty.

    Raises
    ------
    GANSegmentationError
        Of the given code, naming the key that is unknown, missing or of the wrong type; what a ``from_dict`` raises.
    """
    where = where or cls.__name__
    if not isinstance(fields, Mapping):
        raise GANSegmentationError(
            code,
            f"{where} needs an object of named values, not {type(fields).__name__}.",
            action="Write it as a JSON object.",
        )
    slots = [field for field in dataclasses.fields(cls) if field.init]  # type: ignore[arg-type]
    known = [field.name for field in slots]
    unknown = sorted(str(key) for key in fields if key not in known)
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        raise GANSegmentationError(
            code,
            f"{where} has no setting named {', '.join(map(repr, unknown))}.",
            cause="The name is misspelt, or the settings were written for something else or another version.",
            action=f"{f'Did you mean {near[0]}? ' if near else ''}The known settings are {', '.join(known)}.",
        )
    required = {
        field.name
        for field in slots
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    missing = sorted(required.difference(fields))
    if missing:
        raise GANSegmentationError(
            code, f"{where} needs {', '.join(map(repr, missing))}.", action="Add what is missing."
        )
    hints = get_type_hints(cls)
    return cls(**{key: _convert(value, hints[key], _Place(f"{where}.{key}", code)) for key, value in fields.items()})


def write_settings(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass instance as plain JSON types: the inverse of `read_settings`."""
    return {field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings) if field.init}


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a value stands, and how an error about it is coded."""

    where: str
    code: str

    def require(self, condition: bool, value: Any, hint: Any) -> None:
        if not condition:
            raise GANSegmentationError(
                self.code,
                f"{self.where} is {value!r}, which is not {_describe(hint)}.",
                action="Correct the value.",
            )

    def require_finite(self, value: float) -> None:
        # False for NaN, too, and for whole numbers that no float can hold.
        if not abs(value) <= sys.float_info.max:
            raise GANSegmentationError(
                self.code, f"{self.where} is {value!r}, which is not a finite number.", action="Correct the value."
            )


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value):
        return write_settings(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _convert(value: Any, hint: Any, place: _Place) -> Any:
    """`value` as the type `hint`, checked on the way."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is Literal:
        # A bool equals 0 or 1 in Python, so the type is compared too.
        place.require(any(value == item and type(value) is type(item) for item in arguments), value, hint)
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(value, hint, place)
    if origin is tuple:
        return _convert_tuple(value, hint, place)
    if origin is dict:
        place.require(isinstance(value, Mapping), value, hint)
        return {
            str(key): _convert(item, arguments[1], _Place(f"{place.where}.{key}", place.code))
            for key, item in value.items()
        }
    if hasattr(hint, "from_dict"):
        place.require(isinstance(value, Mapping), value, hint)
        return hint.from_dict(value)
    if dataclasses.is_dataclass(hint):
        return read_settings(hint, value, code=place.code, where=place.where)  # type: ignore[arg-type]
    if hint in (int, float):
        number = isinstance(value, int) if hint is int else isinstance(value, (int, float))
        place.require(number and not isinstance(value, bool), value, hint)
        if hint is float:
            place.require_finite(value)
        return hint(value)
    place.require(isinstance(value, origin or hint), value, hint)
    return value


def _convert_tuple(value: Any, hint: Any, place: _Place) -> tuple[Any, ...]:
    arguments = get_args(hint)
    place.require(isinstance(value, (tuple, list)), value, hint)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    place.require(len(value) == len(arguments), value, hint)
    return tuple(
        _convert(item, kind, _Place(f"{place.where}[{index}]", place.code))
        for index, (item, kind) in enumerate(zip(value, arguments, strict=True))
    )


def _convert_union(value: Any, hint: Any, place: _Place) -> Any:
    inside: list[GANSegmentationError] = []
    for option in get_args(hint):
        try:
            return _convert(value, option, place)
        except GANSegmentationError as error:
            if _is_meant(value, option):
                inside.append(error)
    if len(inside) == 1:
        raise inside[0]  # one option alone has such a shape: what is wrong within it says more
    place.require(False, value, hint)
    return None


def _is_meant(value: Any, option: Any) -> bool:
    """Whether a value has the outer shape of an option with parts: an object for a dataclass, a list for a tuple."""
    if get_origin(option) is tuple:
        return isinstance(value, (list, tuple))
    parts = dataclasses.is_dataclass(option) or hasattr(option, "from_dict") or get_origin(option) is dict
    return parts and isinstance(value, Mapping)


def _describe(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in arguments)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return f"a list of {_describe(arguments[0])}"
        return f"a list of {len(arguments)} values"
    if hint is type(None):
        return "null"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}.get(hint, "an object")
