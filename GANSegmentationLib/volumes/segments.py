"""The structures a labelmap shows: value, name, colour and what they are in SNOMED CT."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A coded concept as DICOM writes it: coding scheme (``"SCT"``), value and meaning."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Segment:
    """One structure of a labelmap.

    Parameters
    ----------
    value:
        Its voxel value in the labelmap, 1 or more.
    name:
        What a person calls it, in English: ``"Liver"``.
    colour:
        Red, green, blue, 0 to 255.
    category, type, region:
        Its terminology: segmented property category and type, and anatomic region where the type is not the anatomy
        itself (DICOM PS3.3 C.8.20). None where not known.
    """

    value: int
    name: str
    colour: tuple[int, int, int]
    category: Code | None = None
    type: Code | None = None
    type_modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None
