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

from ..errors import GANSegmentationError
from .dicom_series import SeriesInfo

KEYS = ("modality", "description", "number", "part")
RANKS: Mapping[str, Callable[[SeriesInfo], float]] = {
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


def _by_rule(series: Sequence[SeriesInfo], rule: str, place: Path) -> list[SeriesInfo]:
    terms = [term.strip() for term in rule.split(",")]
    candidates = [volume for one in series if one.is_scan for volume in (*one.parts, one)[: len(one.parts) or 1]]
    if not any(term.partition("=")[0].lower() == "part" for term in terms):
        candidates = [one for one in series if one.is_scan]
    for term in terms:
        key, equals, pattern = (piece.strip() for piece in term.partition("="))
        if equals and key.lower() in KEYS:
            candidates = [one for one in candidates if _fits(one, key.lower(), pattern)]
        elif not equals and key.lower() in RANKS:
            rank = RANKS[key.lower()]
            best = min((rank(one) for one in candidates), default=0.0)
            candidates = [one for one in candidates if rank(one) == best]
        else:
            raise GANSegmentationError(
                "wrong_rule",
                f"{rule!r} chooses no series: {term!r} is not understood.",
                action=f"Give {RULE_HELP}.",
            )
    if not candidates:
        raise GANSegmentationError(
            "unknown_series",
            f"{place} holds no series that fits {rule!r}. It holds:\n{listing(series)}\n",
            action="Choose one of these.",
        )
    return candidates


def _fits(series: SeriesInfo, key: str, pattern: str) -> bool:
    value = {
        "modality": series.modality,
        "description": series.description,
        "number": series.number,
        "part": str(series.part or ""),
    }[key]
    return fnmatch.fnmatchcase(value.lower(), pattern.lower())
