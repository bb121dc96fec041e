"""Which label of a mask is compared with which label of its reference."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..errors import GANSegmentationError
from ..volumes import Labelmap

LabelKey = int | str
"""A label as a person says it: its value, or its segment's name in any case."""


@dataclass(frozen=True)
class Pair:
    """One structure: its value and name on either side. A value of None: that side does not have it."""

    value: int | None
    name: str | None
    reference_value: int | None
    reference_name: str | None

    @property
    def title(self) -> str:
        """What to call the structure: the mask's name for it, else the reference's, else its value."""
        number = self.value if self.value is not None else self.reference_value
        return self.name or self.reference_name or f"label {number}"


def given_pairs(mask: Labelmap, reference: Labelmap, pairs: Sequence[tuple[LabelKey, LabelKey]]) -> list[Pair]:
    """The pairs that a person asked for, as ``(label of the mask, label of the reference)``.

    Raises
    ------
    GANSegmentationError
        ``unknown_label`` if a name is not in the table of segments. A value without voxels is an empty mask.
    """
    return [Pair(*_find(mask, own, "mask"), *_find(reference, other, "reference")) for own, other in pairs]


def natural_pairs(
    mask: Labelmap, mask_values: Collection[int], reference: Labelmap, reference_values: Collection[int]
) -> list[Pair]:
    """The pairs that two labelmaps suggest; every label of either is in one of them, the mask's first.

    1. Labels of the same name (upper and lower case alike) belong together.
    2. Of the others, labels of the same value do, unless both have a name and the two labelmaps use the same names
       elsewhere: then different names mean different structures.
    3. If each side has one label only, the two belong together.

    Parameters
    ----------
    mask_values, reference_values:
        The values that voxels have; the labels of the tables of segments join them.
    """
    own, other = _labels(mask, mask_values), _labels(reference, reference_values)
    partners = _by_name(own, other)
    share_names = bool(partners)
    taken = set(partners.values())
    for value, name in own.items():
        if value in partners or value not in other or value in taken:
            continue
        if not (share_names and name and other[value]):
            partners[value] = value
    if not partners and len(own) == len(other) == 1:
        partners = {next(iter(own)): next(iter(other))}
    pairs = [_pair(own, value, other, partners.get(value)) for value in sorted(own)]
    alone = sorted(set(other) - set(partners.values()))
    return pairs + [_pair(own, None, other, value) for value in alone]


def _labels(labelmap: Labelmap, values: Collection[int]) -> dict[int, str | None]:
    named: dict[int, str | None] = {segment.value: segment.name or None for segment in labelmap.segments}
    return {**dict.fromkeys(values), **named}


def _by_name(own: dict[int, str | None], other: dict[int, str | None]) -> dict[int, int]:
    by_name: dict[str, int] = {}
    for value, name in other.items():
        if name:
            by_name.setdefault(_normal(name), value)
    partners: dict[int, int] = {}
    for value, name in own.items():
        partner = by_name.pop(_normal(name), None) if name else None
        if partner is not None:
            partners[value] = partner
    return partners


def _pair(own: dict[int, str | None], value: int | None, other: dict[int, str | None], partner: int | None) -> Pair:
    return Pair(
        value=value,
        name=own[value] if value is not None else None,
        reference_value=partner,
        reference_name=other[partner] if partner is not None else None,
    )


def _find(labelmap: Labelmap, key: LabelKey, side: str) -> tuple[int, str | None]:
    for segment in labelmap.segments:
        if key == segment.value or (isinstance(key, str) and _normal(key) == _normal(segment.name)):
            return segment.value, segment.name
    if isinstance(key, int):
        return key, None
    names = ", ".join(f"{segment.name} ({segment.value})" for segment in labelmap.segments) or "none"
    raise GANSegmentationError(
        "unknown_label",
        f"The {side} has no segment named {key!r}; its segments are: {names}.",
        action="Give one of these names, or the label's value.",
    )


def _normal(name: str) -> str:
    return name.strip().casefold()
