"""The segments of a DICOM SEG: what its Segment Sequence says (PS3.3 C.8.20.2), as `Segment` and back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import GANSegmentationError
from .segments import Code, Segment

MAKER = "GANSegmentation"
"""What the file calls the equipment that made it."""

TISSUE = Code("SCT", "85756007", "Tissue")
"""Category and type of a segment of which neither is known: both are required, and 3D Slicer's choice is this, too."""

_LABEL_VALUE = re.compile(r"Label value (\d+)")

_GREY = (128, 128, 128)

# Linear sRGB to CIE XYZ under D65 (IEC 61966-2-1), white = 1.
_RGB_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
_XYZ_TO_RGB = ((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570))
_WHITE = (0.9505, 1.0, 1.0889)
_EPSILON = 6.0 / 29.0


@dataclass(frozen=True)
class Algorithm:
    """What made a segmentation: name and version of the model."""

    name: str
    version: str


def describe_segments(segments: Sequence[Segment], algorithm: Algorithm | None) -> Iterator[Any]:
    """The items of a Segment Sequence for segments 1, 2, ..., as highdicom takes them; without algorithm, manual.

    Numbers have no gaps (C.8.20.2): the Segment Description keeps a label value that is another.
    """
    import highdicom
    from pydicom.sequence import Sequence as Items

    made_by = None
    if algorithm is not None:
        made_by = highdicom.AlgorithmIdentificationSequence(
            name=long_string(algorithm.name),
            family=coded(Code("DCM", "123110", "Artificial Intelligence")),
            version=long_string(algorithm.version),
            source=MAKER,
        )
    for number, segment in enumerate(segments, 1):
        known = segment.category is not None and segment.type is not None
        item = highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=long_string(segment.name) or f"Segment {number}",
            segmented_property_category=coded(segment.category if known and segment.category else TISSUE),
            segmented_property_type=coded(segment.type if known and segment.type else TISSUE),
            algorithm_type="MANUAL" if made_by is None else "AUTOMATIC",
            algorithm_identification=made_by,
            anatomic_regions=None if segment.region is None else [coded(segment.region)],
        )
        item.RecommendedDisplayCIELabValue = list(lab_of(segment.colour))
        if segment.value != number:
            item.SegmentDescription = f"Label value {segment.value}"
        if segment.type_modifier is not None:
            kind = item.SegmentedPropertyTypeCodeSequence[0]
            kind.SegmentedPropertyTypeModifierCodeSequence = Items([coded(segment.type_modifier)])
        if segment.region_modifier is not None and segment.region is not None:
            region = item.AnatomicRegionSequence[0]
            region.AnatomicRegionModifierSequence = Items([coded(segment.region_modifier)])
        yield item


def coded(code: Code) -> Any:
    """A code as an item of a sequence."""
    import highdicom

    return highdicom.sr.CodedConcept(
        value=code.value, scheme_designator=code.scheme[:16], meaning=long_string(code.meaning)
    )


def long_string(text: str) -> str:
    """Text as the value representation LO takes it: one line of at most 64 characters, without backslashes."""
    plain = " ".join("".join(each if each.isprintable() and each != "\\" else " " for each in text).split())
    return plain[:64].strip()


def read_segments(dataset: Any) -> dict[int, Segment]:
    """The segments of a DICOM SEG by segment number, the background (number 0) left out.

    The label value is the segment number, or for a file that was written here the label that was written.

    Raises
    ------
    GANSegmentationError
        ``damaged_file`` if the sequence is not there or cannot be understood.
    """
    try:
        items = [item for item in dataset.SegmentSequence if int(item.SegmentNumber)]
        numbers = [int(item.SegmentNumber) for item in items]
        notes = [_LABEL_VALUE.fullmatch(str(item.get("SegmentDescription", "")).strip()) for item in items]
        values = [int(note[1]) if note else number for note, number in zip(notes, numbers, strict=True)]
        if len(set(values)) < len(values) or not all(1 <= value <= 65535 for value in values):
            values = numbers
        if len(set(numbers)) < len(numbers):
            raise ValueError("two segments share a number")
        return {number: _segment(item, value) for item, number, value in zip(items, numbers, values, strict=True)}
    except Exception as error:  # a damaged sequence raises almost anything in pydicom; its words may quote the patient
        raise GANSegmentationError(
            "damaged_file",
            "The description of the segments in the DICOM SEG file cannot be read.",
            cause="The file is damaged, or written by a program that does not follow the standard.",
            action="Export the segmentation again.",
            details=type(error).__name__,
        ) from error


def choose_segments(segments: Mapping[int, Segment], wanted: Sequence[str | int] | None) -> dict[int, Segment]:
    """The segments that are named, by segment number or by name, in that order; all of them without names.

    Raises
    ------
    GANSegmentationError
        ``unknown_segment`` if there is none of a name, or more than one.
    """
    if wanted is None:
        return dict(segments)
    chosen: dict[int, Segment] = {}
    for name in wanted:
        found = [
            number
            for number, segment in segments.items()
            if (number if isinstance(name, int) else segment.name) == name
        ]
        if len(found) != 1:
            listed = ", ".join(f"{number} {segment.name}" for number, segment in segments.items())
            raise GANSegmentationError(
                "unknown_segment",
                f"The file has {'no' if not found else 'more than one'} segment {name!r}. It has: {listed}.",
                action="Choose among these, by number where names repeat.",
            )
        chosen[found[0]] = segments[found[0]]
    return chosen


def _segment(item: Any, value: int) -> Segment:
    kind = _first(item, "SegmentedPropertyTypeCodeSequence")
    region = _first(item, "AnatomicRegionSequence")
    label = str(item.get("SegmentLabel", "") or "").strip()
    lab = item.get("RecommendedDisplayCIELabValue")
    return Segment(
        value=value,
        name=label or f"Segment {item.SegmentNumber}",
        colour=_GREY if lab is None or len(lab) != 3 else rgb_of(lab),
        category=_code(_first(item, "SegmentedPropertyCategoryCodeSequence")),
        type=_code(kind),
        type_modifier=_code(_first(kind, "SegmentedPropertyTypeModifierCodeSequence")),
        region=_code(region),
        region_modifier=_code(_first(region, "AnatomicRegionModifierSequence")),
    )


def _first(item: Any, keyword: str) -> Any:
    sequence = item.get(keyword) if item is not None else None
    return sequence[0] if sequence else None


def _code(item: Any) -> Code | None:
    if item is None:
        return None
    parts = (item.get(keyword) for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue"))
    value = next((str(part).strip() for part in parts if part), "")
    scheme, meaning = (
        str(item.get(keyword, "") or "").strip() for keyword in ("CodingSchemeDesignator", "CodeMeaning")
    )
    return Code(scheme, value, meaning) if value else None


def lab_of(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """An sRGB colour, 0 to 255, as Recommended Display CIELab Value (PS3.3 C.10.7.1.1): 16 bits each, white D65.

    DICOM means the D50 white of ICC profiles; dcmqi, DCMTK, 3D Slicer and highdicom all write D65, and colours come
    back right only if everybody does the same.
    """
    linear = [_to_linear(channel / 255.0) for channel in colour]
    x, y, z = (
        _lightness(sum(a * b for a, b in zip(row, linear, strict=True)) / white)
        for row, white in zip(_RGB_TO_XYZ, _WHITE, strict=True)
    )
    scaled = (
        (116.0 * y - 16.0) * 65535.0 / 100.0,
        (500.0 * (x - y) + 128.0) * 65535.0 / 255.0,
        (200.0 * (y - z) + 128.0) * 65535.0 / 255.0,
    )
    lightness, a, b = (min(max(round(value), 0), 65535) for value in scaled)
    return lightness, a, b


def rgb_of(lab: Sequence[int]) -> tuple[int, int, int]:
    """The sRGB colour, 0 to 255, of a Recommended Display CIELab Value; see `lab_of`."""
    lightness, a, b = (float(value) for value in lab)
    y = (lightness * 100.0 / 65535.0 + 16.0) / 116.0
    x, z = y + (a * 255.0 / 65535.0 - 128.0) / 500.0, y - (b * 255.0 / 65535.0 - 128.0) / 200.0
    xyz = [_unlightness(value) * white for value, white in zip((x, y, z), _WHITE, strict=True)]
    red, green, blue = (
        min(max(round(255.0 * _from_linear(sum(p * q for p, q in zip(row, xyz, strict=True)))), 0), 255)
        for row in _XYZ_TO_RGB
    )
    return red, green, blue


def _to_linear(value: float) -> float:
    return float(((value + 0.055) / 1.055) ** 2.4) if value > 0.04045 else value / 12.92


def _from_linear(value: float) -> float:
    return 1.055 * float(value ** (1 / 2.4)) - 0.055 if value > 0.0031308 else 12.92 * value


def _lightness(value: float) -> float:
    return float(value ** (1 / 3)) if value > _EPSILON**3 else value / (3 * _EPSILON**2) + 4.0 / 29.0


def _unlightness(value: float) -> float:
    return value**3 if value > _EPSILON else 3 * _EPSILON**2 * (value - 4.0 / 29.0)
