"""Which of several series is meant: by UID, by a rule, or because no other could be.

A rule is what a person would say of the series that he wants: ``modality=CT,description=*venous*,most-slices``. Terms
are separated by commas and all hold; ``key=pattern`` compares without regard to capitals (``*`` and ``?`` stand for
anything), ``most-slices`` and ``thinnest`` rank those that are left. A rule that leaves several chooses none of them.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from ..errors import GANSegmentationError
from .dicom_series import SeriesInfo


class Choosable(Protocol):
    """What rules look at."""

    @property
    def modality(self) -> str:
        """DICOM modality."""

    @property
    def description(self) -> str:
        """Series description."""

    @property
    def number(self) -> str:
        """Series number; empty for none."""

    @property
    def part(self) -> int | None:
        """Of one volume of a four-dimensional series: its number, from 1."""

    @property
    def slices(self) -> int:
        """How many images it has."""

    @property
    def spacing_zyx(self) -> tuple[float, float, float] | None:
        """Voxel spacing ``(z, y, x)``, mm; None if it is no volume."""


Candidate = TypeVar("Candidate", bound=Choosable)

KEYS = ("modality", "description", "number", "part")
RANKS: Mapping[str, Callable[[Choosable], float]] = {
    "most-slices": lambda series: -series.slices,
    "thinnest": lambda series: series.spacing_zyx[0] if series.spacing_zyx is not None else float("inf"),
}
"""Smaller is better."""

RULE_HELP = (
    "a series UID, UID#2 for the second volume of a four-dimensional one, or a rule such as "
    "modality=MR,description=t2*,most-slices (keys: " + ", ".join(KEYS) + "; ranks: " + ", ".join(RANKS) + ")"
)

_UID = re.compile(r"([0-9.]*)(?:#(\d+))?")


def choose(series: Sequence[SeriesInfo], selector: str | None, place: Path) -> SeriesInfo:
    """The series that a selector means; without one, the only series of a scan. `place` is where they were found.

    Raises
    ------
    GANSegmentationError
        ``several_series`` if more than one fits; ``unknown_series`` if none does; ``wrong_rule`` if the selector is
        neither UID nor rule. Each lists what there is.
    """
    if selector is not None and _UID.fullmatch(selector) is None:
        found = _by_rule(series, selector, place)
    elif selector is not None:
        return _by_uid(series, selector, place)
    else:
        found = [one for one in series if one.is_scan] or list(series)
    if len(found) > 1:
        raise GANSegmentationError(
            "several_series",
            f"{place} holds {len(found)} series" + (f" that fit {selector!r}" if selector else "") + f":\n"
            f"{listing(found)}\n",
            action="Choose one: give the path of any one of its files instead of the folder, its UID, or a rule that "
            "fits it alone (--series on the command line, series_uid in Python).",
        )
    return found[0]


def listing(series: Sequence[SeriesInfo]) -> str:
    """The series, a line each, with one of the files."""
    return "\n".join(f"  {one.summary()}, for example {one.files[0]}" for one in series)


def _by_uid(series: Sequence[SeriesInfo], selector: str, place: Path) -> SeriesInfo:
    uid, _, part = selector.partition("#")
    chosen = choose(series, None, place) if part and not uid else next((one for one in series if one.uid == uid), None)
    if chosen is None:
        raise GANSegmentationError(
            "unknown_series",
            f"{place} holds no series with the UID {uid}. It holds:\n{listing(series)}\n",
            action="Choose one of these.",
        )
    if not part:
        return chosen
    if not 1 <= int(part) <= len(chosen.parts):
        what = f"{len(chosen.parts)} volumes" if chosen.parts else "no volumes to choose from"
        raise GANSegmentationError(
            "unknown_series",
            f"The series {uid} in {place} has {what}, so there is no #{part}.",
            cause="" if chosen.parts else "It is not four-dimensional, or cannot be taken apart.",
            action="Choose another number, or the series itself.",
        )
    return chosen.parts[int(part) - 1]


def is_rule(text: str) -> bool:
    """Whether a selector is meant as a rule, and not as a UID or the pattern of a name."""
    first = text.partition(",")[0]
    return "=" in first or first.strip().lower() in RANKS


def fitting(candidates: Sequence[Candidate], rule: str) -> list[Candidate]:
    """Those that a rule leaves, in their order; perhaps none.

    Raises
    ------
    GANSegmentationError
        ``wrong_rule`` if a term is neither ``key=pattern`` nor a rank.
    """
    left = list(candidates)
    for term in (term.strip() for term in rule.split(",")):
        key, equals, pattern = (piece.strip() for piece in term.partition("="))
        if equals and key.lower() in KEYS:
            left = [one for one in left if _fits(one, key.lower(), pattern)]
        elif not equals and key.lower() in RANKS:
            rank = RANKS[key.lower()]
            best = min((rank(one) for one in left), default=0.0)
            left = [one for one in left if rank(one) == best]
        else:
            raise GANSegmentationError(
                "wrong_rule",
                f"{rule!r} chooses no series: {term!r} is not understood.",
                action=f"Give {RULE_HELP}.",
            )
    return left


def _by_rule(series: Sequence[SeriesInfo], rule: str, place: Path) -> list[SeriesInfo]:
    candidates = [one for one in series if one.is_scan]
    if any(term.partition("=")[0].strip().lower() == "part" for term in rule.split(",")):
        candidates = [volume for one in candidates for volume in (one.parts or (one,))]
    found = fitting(candidates, rule)
    if not found:
        raise GANSegmentationError(
            "unknown_series",
            f"{place} holds no series that fits {rule!r}. It holds:\n{listing(series)}\n",
            action="Choose one of these.",
        )
    return found


def _fits(series: Choosable, key: str, pattern: str) -> bool:
    value = {
        "modality": series.modality,
        "description": series.description,
        "number": series.number,
        "part": str(series.part or ""),
    }[key]
    return fnmatch.fnmatchcase(value.lower(), pattern.lower())
