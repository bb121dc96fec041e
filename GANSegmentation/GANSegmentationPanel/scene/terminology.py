"""What a segment of the scene is: name, colour and codes, and when two of them are the same structure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Hashable, Sequence

import slicer
import vtk

from GANSegmentationLib.volumes import Code, Segment, serialise_terminology

# What the exporter of DICOM SEG reads from a segment (DICOM PS3.3 C.8.20.2, Segment Algorithm Type and Name).
ALGORITHM_TYPE_TAG = "DICOM.SegmentAlgorithmType"
ALGORITHM_NAME_TAG = "DICOM.SegmentAlgorithmName"

_LONG_STRING_LENGTH = 64  # DICOM's value representation LO
_UNSPECIFIC_TYPE = "85756007"  # SCT Tissue: what Slicer writes into a segment that nobody has given a terminology


def segmentFromNode(node, value: int) -> Segment:
    """Name, colour and codes of a vtkSegment, for a label value."""
    red, green, blue = (round(255 * channel) for channel in node.GetColor())
    return Segment(value, node.GetName(), (red, green, blue), *_codes(tagOf(node, node.GetTerminologyEntryTagName())))


def segmentOfColour(table, value: int) -> Segment | None:
    """What a vtkMRMLColorTableNode says of a label value; None if it has no name for it."""
    if value >= table.GetNumberOfColors() or not table.GetColorName(value):
        return None
    if hasattr(table, "GetColorDefined") and not table.GetColorDefined(value):
        return None
    colour = [0.0] * 4
    table.GetColor(value, colour)
    red, green, blue = (round(255 * channel) for channel in colour[:3])
    codes = _codes(table.GetTerminologyAsString(value)) if hasattr(table, "GetTerminologyAsString") else [None] * 5
    return Segment(value, table.GetColorName(value), (red, green, blue), *codes)


def tagOf(node, name: str) -> str:
    """The tag of a vtkSegment; empty if it has none of that name."""
    value = vtk.reference("")
    return str(value) if node.GetTag(name, value) else ""


def tagAsAutomatic(node, segment: Segment, algorithmName: str, *, oldVoxelsRemain: bool = False) -> None:
    """Write what a segment is, and that an algorithm made it, into the tags of a vtkSegment.

    Codes that the node has already stay; Slicer's own default (tissue) stays where the segment has no codes, either.
    A segment of which a person drew a part (`oldVoxelsRemain`, and it was not automatic before) is semi-automatic.
    """
    terminology = serialise_terminology(segment)
    if terminology is not None and _codeKey(segmentFromNode(node, 1)) is None:
        node.SetTag(node.GetTerminologyEntryTagName(), terminology)
    isMixed = oldVoxelsRemain and tagOf(node, ALGORITHM_TYPE_TAG) != "AUTOMATIC"
    node.SetTag(ALGORITHM_TYPE_TAG, "SEMIAUTOMATIC" if isMixed else "AUTOMATIC")
    node.SetTag(ALGORITHM_NAME_TAG, (algorithmName or "GANSegmentation")[:_LONG_STRING_LENGTH])


# The same structure


def matchSegments(segments: Sequence[Segment], others: Sequence[Segment]) -> list[int | None]:
    """For each segment, the index of the other one that is the same structure, or None.

    By the codes of type, region and their modifiers first (of several with the same codes, the one of the same name),
    then by name as `normalName` has it. What is ambiguous stays unmatched: a wrong pair is worse than none. Each of the
    others is taken once.
    """
    partners: list[int | None] = [None] * len(segments)
    for key in (_codeAndNameKey, _codeKey, _nameKey):
        _match(segments, others, partners, key)
    return partners


def _match(
    segments: Sequence[Segment],
    others: Sequence[Segment],
    partners: list[int | None],
    key: Callable[[Segment], Hashable | None],
) -> None:
    """Pair what has a key that occurs once on either side, among what is not paired yet."""
    taken = {partner for partner in partners if partner is not None}
    own: dict[Hashable, list[int]] = {}
    other: dict[Hashable, list[int]] = {}
    for index, segment in enumerate(segments):
        if partners[index] is None:
            own.setdefault(key(segment), []).append(index)
    for index, segment in enumerate(others):
        if index not in taken:
            other.setdefault(key(segment), []).append(index)
    for shared, indices in own.items():
        if shared is not None and len(indices) == 1 and len(other.get(shared, [])) == 1:
            partners[indices[0]] = other[shared][0]


def _codeKey(segment: Segment) -> Hashable | None:
    """The codes that say which structure it is; the category only says of what kind, and differs between lists."""
    if segment.type is None or segment.type.value == _UNSPECIFIC_TYPE:
        return None
    codes = (segment.type, segment.type_modifier, segment.region, segment.region_modifier)
    return tuple((code.scheme, code.value) if code is not None else None for code in codes)


def _codeAndNameKey(segment: Segment) -> Hashable | None:
    codes, name = _codeKey(segment), normalName(segment.name)
    return (codes, name) if codes is not None and name else None


def _nameKey(segment: Segment) -> Hashable | None:
    return normalName(segment.name) or None


def normalName(name: str) -> str:
    """A name without what differs between people and programs: case, accents, separators, word order, plural.

    Example
    -------
    >>> normalName("Kidneys, left") == normalName("left_kidney")
    True
    """
    # Only the accents of alphabets; the voicing marks of other scripts make other letters.
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not "\u0300" <= c <= "\u036f")
    parted = "".join(" " if unicodedata.category(c)[0] in "PSZ" else c for c in unicodedata.normalize("NFC", plain))
    return " ".join(sorted(_singular(word) for word in parted.split()))


def _singular(word: str) -> str:
    """An English word without its plural's ending and in one of its spellings; only to compare with another."""
    word = re.sub("our$", "or", word.replace("oe", "e").replace("ae", "e"))
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] not in "sui" else word


def _codes(entry: str) -> list[Code | None]:
    """Category, type, type modifier, region and region modifier of a serialised terminology entry."""
    parsed = slicer.vtkSlicerTerminologyEntry()
    slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(entry, parsed)
    return [
        _code(parsed.GetCategoryObject()),
        _code(parsed.GetTypeObject()),
        _code(parsed.GetTypeModifierObject()),
        _code(parsed.GetRegionObject()),
        _code(parsed.GetRegionModifierObject()),
    ]


def _code(coded) -> Code | None:
    if coded is None or not coded.GetCodeValue():
        return None
    return Code(coded.GetCodingSchemeDesignator(), coded.GetCodeValue(), coded.GetCodeMeaning() or "")
