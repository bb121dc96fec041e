"""What the values of a mask file mean, and the labels they become; a value that nobody has explained is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import GANSegmentationError
from .pictures import unreadable

NONZERO = "nonzero"

Masks = npt.NDArray[np.uint8]
_MOST_LISTED = 8


def plain_labels(values: npt.NDArray[Any], path: Path, known: Iterable[int]) -> Masks:
    """Labels that are stored as they are, as uint8.

    Raises
    ------
    GANSegmentationError
        ``invalid_source`` for a value that no label explains, before 8 bit could hide it.
    """
    found, known = _found(values), set(known)
    if not found <= {0.0, *map(float, known)}:
        raise unreadable(path, f"it holds the values {_listed(found)}, expected {sorted(known)}")
    return np.ascontiguousarray(values).astype(np.uint8)


def inside(values: npt.NDArray[Any], path: Path) -> npt.NDArray[np.bool_]:
    """Where a mask of two values is set; a soft mask is refused, for nobody has said where its edge lies.

    Raises
    ------
    GANSegmentationError
        ``invalid_source`` for other values than 0 and 1, or 0 and 255.
    """
    found = _found(values)
    if not found <= {0.0, 1.0} and not found <= {0.0, 255.0}:
        raise unreadable(path, f"it holds the values {_listed(found)}, expected 0 and one other, 1 or 255")
    return np.asarray(values > 0)


def relabelled(labels: Mapping[int, str], rules: Sequence[str]) -> tuple[dict[int, str], dict[int, int]]:
    """The labels after rules such as ``2=1`` (2 becomes 1), and what each value becomes.

    Raises
    ------
    GANSegmentationError
        ``wrong_option`` for a rule that is none, or names a value that there is not.
    """
    becomes = {value: value for value in labels}
    for rule in rules:
        old, _, new = rule.partition("=")
        # A value that has been merged away cannot take in another: rules would depend on their order.
        if not (old.isdigit() and new.isdigit() and int(old) in labels and (int(new) in labels or new == "0")):
            raise _wrong(f"merge has {rule!r}, and the values are {sorted(labels)}", "Write for example 2=1.")
        becomes[int(old)] = int(new)
    for value, target in becomes.items():
        if target and becomes[target] != target:
            raise _wrong(
                f"merge takes {value} to {target}, which itself becomes another", "Merge into a value that stays."
            )
    return {value: name for value, name in labels.items() if becomes[value] == value}, becomes


def apply_relabelling(masks: Masks, becomes: Mapping[int, int]) -> Masks:
    """Masks of known labels after `relabelled`."""
    table = np.arange(256, dtype=np.uint8)
    for old, new in becomes.items():
        table[old] = new
    return np.asarray(table[masks])


@dataclass(frozen=True)
class MaskValues:
    """Which values a mask may hold and the labels they become.

    Parameters
    ----------
    labels:
        What the labels 1, 2, ... are called.
    values:
        The value of each label in the files; empty: the one value of a file that is not 0 becomes label 1.
    any_nonzero:
        With no values: a file may hold several that are not 0, all of which become label 1.
    """

    labels: Mapping[int, str]
    values: tuple[float, ...] = ()
    any_nonzero: bool = False

    @classmethod
    def parse(cls, words: Sequence[str], *, name: str) -> MaskValues:
        """From ``value=name`` words, which are numbered in their order, from ``nonzero``, or from none.

        Raises
        ------
        GANSegmentationError
            ``wrong_option``.
        """
        if not words or list(words) == [NONZERO]:
            return cls({1: name}, any_nonzero=bool(words))
        values: list[float] = []
        names: list[str] = []
        for word in words:
            value, equals, label = word.partition("=")
            try:
                number = float(value)
            except ValueError:
                number = 0.0
            if not equals or not label.strip() or number == 0 or number in values:
                raise _wrong(
                    f"values has {word!r}, which is no value and its name, or a value twice",
                    f"Write for example 63=Liver,126=Right kidney, or {NONZERO}.",
                )
            values.append(number)
            names.append(label.strip())
        if len(values) > 255:
            raise _wrong("more than 255 values are named", "Name those that are needed.")
        return cls(dict(enumerate(names, 1)), tuple(values))

    def read(self, values: npt.NDArray[Any], path: Path) -> Masks:
        """The values of a file as labels, uint8.

        Raises
        ------
        GANSegmentationError
            ``invalid_source`` for a value that has no meaning here.
        """
        found = _found(values)
        if self.values:
            if not found <= {0.0, *self.values}:
                raise unreadable(path, f"it holds the values {_listed(found)}, expected 0 and {_listed(self.values)}")
            masks = np.zeros(values.shape, np.uint8)
            for label, value in enumerate(self.values, 1):
                masks[values == value] = label
            return masks
        if len(found - {0.0}) > 1 and not self.any_nonzero:
            raise unreadable(
                path, f"it holds the values {_listed(found)}, and nobody has said what they mean (values=...)"
            )
        return np.asarray(values != 0).astype(np.uint8)


def _found(values: npt.NDArray[Any]) -> set[float]:
    return {float(value) for value in np.unique(values)}


def _listed(values: Iterable[float]) -> str:
    ordered = sorted(values)
    listed = ", ".join(f"{value:g}" for value in ordered[:_MOST_LISTED])
    return f"[{listed}{', ...' if len(ordered) > _MOST_LISTED else ''}]"


def _wrong(message: str, action: str) -> GANSegmentationError:
    return GANSegmentationError("wrong_option", f"The option {message}.", action=action)
