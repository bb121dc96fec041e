"""Which slices of a mask to look at first: the worst ones by the reference, or where there is none by what is odd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from .display import Display
from .sections import agreement

_LARGE: Final = 0.1
"""A slice counts for the lowest Dice if it has this part of the largest section: the ends of organs have low ones."""
_APART: Final = 12
"""Chosen slices are this part of the labelled range apart, so that they do not show the same thing."""


@dataclass(frozen=True)
class Choice:
    """A slice by its number in the display, why it was chosen, and the Dice of all its labels with the reference."""

    index: int
    why: str
    dice: float | None = None


def slices_to_review(
    shown: Display, *, one_structure: bool = False, doubt: Sequence[float] | None = None
) -> list[Choice]:
    """At most three slices, each for a reason of its own, the worst first.

    With a reference: that with the most wrong pixels, that with the lowest Dice, that with the largest section.
    Without: that with the most `doubt`, that whose labelled area differs most from what its neighbours let expect, that
    with the largest section.

    Parameters
    ----------
    one_structure:
        The values of mask and reference need not be the same.
    doubt:
        How uncertain each displayed slice is, higher is worse; None where nobody knows.
    """
    areas = shown.areas()
    found = np.flatnonzero(areas)
    if not found.size:
        doubtful = [] if doubt is None else [Choice(int(np.argmax(doubt)), "least certain")]
        return [*doubtful, Choice(shown.n_slices // 2, "middle slice")][:1]
    first, last = int(found[0]), int(found[-1])
    ranked: list[tuple[str, Sequence[int]]]
    if shown.reference is None:
        dice: list[float | None] = [None] * shown.n_slices
        ranked = [*_by_doubt(doubt, first, last), ("differs most from its neighbours", _by_jump(areas, first, last))]
    else:
        wrong, dice = _compared(shown, first, last, one_structure)
        low = [(value, index) for index, value in enumerate(dice) if value is not None and _is_large(areas, index)]
        ranked = [
            ("most wrong pixels", [index for index in _falling(wrong) if wrong[index] > 0]),
            ("lowest Dice", [index for value, index in sorted(low) if value < 1.0]),
        ]
    ranked.append(("largest section", [index for index in _falling(areas) if areas[index] > 0]))
    chosen: list[Choice] = []
    apart = max(1, (last - first + 1) // _APART)
    for why, indices in ranked:
        free = (index for index in indices if all(abs(index - one.index) >= apart for one in chosen))
        index = next(free, None)
        # Only the best few of a ranking deserve its name.
        if index is not None and index in list(indices)[: 1 + 2 * apart * len(chosen)]:
            chosen.append(Choice(index, why, dice[index]))
    return chosen


def _compared(
    shown: Display, first: int, last: int, one_structure: bool
) -> tuple[npt.NDArray[np.int64], list[float | None]]:
    """Wrong pixels and Dice of every slice; None where nothing is labelled."""
    assert shown.reference is not None
    wrong = np.zeros(shown.n_slices, np.int64)
    dice: list[float | None] = [None] * shown.n_slices
    for index in range(first, last + 1):
        same, total = agreement(shown.mask[index], shown.reference[index], one_structure=one_structure)
        wrong[index] = total - 2 * same
        dice[index] = 2 * same / total if total else None
    return wrong, dice


def _is_large(areas: npt.NDArray[np.int64], index: int) -> bool:
    return bool(areas[index] >= _LARGE * areas.max())


def _falling(values: npt.NDArray[np.int64]) -> list[int]:
    return [int(index) for index in np.argsort(-values, kind="stable")]


def _by_doubt(doubt: Sequence[float] | None, first: int, last: int) -> Iterator[tuple[str, list[int]]]:
    """Within the organ and one slice beyond: far from it nobody has measured what doubt means."""
    if doubt is not None:
        inside = range(max(0, first - 1), min(len(doubt), last + 2))
        yield "least certain", sorted(inside, key=lambda index: -doubt[index])


def _by_jump(areas: npt.NDArray[np.int64], first: int, last: int) -> list[int]:
    between = np.zeros(len(areas))
    padded = np.pad(areas, 1).astype(float)
    between[:] = np.abs(padded[1:-1] - (padded[:-2] + padded[2:]) / 2)
    return sorted(range(first, last + 1), key=lambda index: -between[index])
