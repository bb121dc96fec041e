"""JSON objects read field by field: every value of the right type and range, every name known, errors with the path."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from ..errors import GANSegmentationError

T = TypeVar("T")


class Fields:
    """One JSON object on its way to a dataclass.

    Each method takes the value of one key and checks it; `finish` refuses the keys that nobody took. All raise
    `GANSegmentationError` with the code given and the JSON path of the value, as ``training.data[2].patients``.

    Parameters
    ----------
    values:
        What should be a JSON object.
    path:
        Where it lies in the document; empty for the document itself.
    code:
        The code of the errors.
    document:
        What errors call the document: ``"card.json"``.
    """

    def __init__(self, values: object, path: str, *, code: str, document: str) -> None:
        self.path = path
        self.code = code
        self.document = document
        if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
            raise _error(code, f"{document}: {path or 'the whole'} is {_name(values)}, not an object.")
        self._values = values
        self._taken: set[str] = set()

    def text(
        self, key: str, *, pattern: str = "", hint: str = "", empty: bool = False, default: str | None = None
    ) -> str:
        """A string, not blank unless `empty`; it matches `pattern` as a whole, which `hint` puts in words."""
        value = self._take(key, default)
        if not isinstance(value, str):
            self._refuse(key, value, "a text")
        if not value.strip() and not empty:
            self.fail(key, "is empty")
        if pattern and not re.fullmatch(pattern, value):
            self._refuse(key, value, hint or f"of the form {pattern}")
        return value

    def texts(self, key: str, *, pattern: str = "", hint: str = "", least: int = 0) -> tuple[str, ...]:
        """A list of strings, none twice, at least `least` of them."""
        found = self.each(key, lambda item, index: self._item_text(key, item, index, pattern, hint))
        if len(set(found)) != len(found):
            self.fail(key, "names something twice")
        if len(found) < least:
            self.fail(key, f"has {len(found)} entries and needs at least {least}")
        return found

    def integer(self, key: str, low: int, high: int | None = None) -> int:
        """A whole number of at least `low` and at most `high`."""
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int):
            self._refuse(key, value, "a whole number")
        if value < low or (high is not None and value > high):
            self._refuse(key, value, f"at least {low}" if high is None else f"from {low} to {high}")
        return value

    def number(self, key: str, low: float = -math.inf) -> float:
        """A finite number of at least `low`."""
        return self._number(key, self._take(key), low)

    def boolean(self, key: str) -> bool:
        """True or false."""
        value = self._take(key)
        if not isinstance(value, bool):
            self._refuse(key, value, "true or false")
        return value

    def interval(self, key: str, low: float = -math.inf) -> tuple[float, float]:
        """A list ``[lower, upper]`` of two finite numbers in this order, of at least `low`."""
        value = self._take(key)
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            self._refuse(key, value, "a list of two numbers")
        lower, upper = (self._number(f"{key}[{index}]", item, low) for index, item in enumerate(value))
        if lower > upper:
            self._refuse(key, list(value), "in ascending order")
        return lower, upper

    def optional(self, key: str, read: Callable[[str], T]) -> T | None:
        """None where the value is null, else what `read` (one of these methods) makes of it."""
        if key in self._values and self._values[key] is None:
            self._taken.add(key)
            return None
        return read(key)

    def child(self, key: str) -> Fields:
        """The object under a key."""
        return Fields(self._take(key), self.at(key), code=self.code, document=self.document)

    def children(self, key: str) -> tuple[Fields, ...]:
        """The objects of the list under a key."""
        return self.each(
            key, lambda item, index: Fields(item, f"{self.at(key)}[{index}]", code=self.code, document=self.document)
        )

    def each(self, key: str, read: Callable[[Any, int], T]) -> tuple[T, ...]:
        """The items of the list under a key, each through ``read(item, index)``."""
        value = self._take(key)
        if not isinstance(value, (list, tuple)):
            self._refuse(key, value, "a list")
        return tuple(read(item, index) for index, item in enumerate(value))

    def raw(self, key: str) -> Any:
        """The value as it is, for a reader of its own."""
        return self._take(key)

    def keys(self) -> tuple[str, ...]:
        """The names in the object."""
        return tuple(self._values)

    def at(self, key: str) -> str:
        """The JSON path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def unknown(self) -> list[str]:
        """The JSON paths of the keys that were not taken."""
        return [self.at(key) for key in self._values if key not in self._taken]

    def finish(self, known: tuple[str, ...] | None = None) -> None:
        """Refuse a key that nobody took, and say which known one it may have meant."""
        for key in self._values:
            if key in self._taken:
                continue
            options = sorted(self._taken if known is None else known)
            near = difflib.get_close_matches(key, options, n=1)
            raise _error(
                self.code,
                f"{self.document}: {self.at(key)} is not a field of it.",
                cause="Its name is misspelt." if near else "It was written by another program or by hand.",
                action=f"Did you mean {near[0]}?" if near else f"The fields here are {', '.join(options)}.",
            )

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise the error that says what is wrong with a key."""
        raise _error(self.code, f"{self.document}: {self.at(key)} {problem}.")

    def _take(self, key: str, default: Any = None) -> Any:
        self._taken.add(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            self.fail(key, "is missing")
        return default

    def _item_text(self, key: str, item: object, index: int, pattern: str, hint: str) -> str:
        if not isinstance(item, str) or not item.strip() or (pattern and not re.fullmatch(pattern, item)):
            self._refuse(f"{key}[{index}]", item, hint or "a text")
        return item

    def _number(self, key: str, value: object, low: float) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
            self._refuse(key, value, "a finite number")
        if value < low:
            self._refuse(key, value, f"at least {low:g}")
        return float(value)

    def _refuse(self, key: str, value: object, expected: str) -> NoReturn:
        self.fail(key, f"is {_name(value)}, not {expected}")


def parse_object(text: str, *, code: str, document: str) -> Any:
    """A JSON document; NaN, infinities and names that come twice in one object are refused, as the standard wants.

    Raises
    ------
    GANSegmentationError
        With the code given, naming the document.
    """
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_double)
    except RecursionError as error:
        raise _error(code, f"{document} is nested too deeply.") from error
    except ValueError as error:
        raise _error(code, f"{document} is not JSON: {error}.", cause="It was edited by hand or damaged.") from error


def frozen(value: Any) -> Any:
    """Plain JSON types that nobody can change: objects become read-only mappings, lists tuples."""
    if isinstance(value, Mapping):
        return MappingProxyType({str(key): frozen(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(frozen(item) for item in value)
    return value


def thawed(value: Any) -> Any:
    """The inverse of `frozen`: dicts and lists, for JSON."""
    if isinstance(value, Mapping):
        return {key: thawed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [thawed(item) for item in value]
    return value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that is beyond all floats
        return False


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")


def _no_double(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(f"the name {next(key for key in names if names.count(key) > 1)!r} comes twice in one object")
    return result


def _name(value: object) -> str:
    """A value as an error quotes it: short, in JSON's words."""
    if isinstance(value, Mapping):
        return "an object"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _error(code: str, message: str, *, cause: str = "", action: str = "") -> GANSegmentationError:
    return GANSegmentationError(code, message, cause=cause, action=action)
