"""The frames of an enhanced multi-frame image: many slices in one file, each with its own place (PS3.3 C.7.6.16).

What a frame says of itself stands in its functional groups, or in those that all frames share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .dicom_facts import facts_of

Vector: TypeAlias = tuple[float, ...]

_SHARED = "SharedFunctionalGroupsSequence"
_PER_FRAME = "PerFrameFunctionalGroupsSequence"

# What tells the volumes of a multi-dimensional object apart: the group and its keywords.
_DIMENSIONS = {
    "FrameContentSequence": ("TemporalPositionIndex", "StackID", "FrameAcquisitionNumber", "FrameReferenceDateTime"),
    "MREchoSequence": ("EffectiveEchoTime",),
    "MRDiffusionSequence": ("DiffusionBValue",),
    "MRModifierSequence": ("InversionTimes",),
    "MRTimingAndRelatedParametersSequence": ("FlipAngle",),
    "CardiacSynchronizationSequence": ("NominalCardiacTriggerDelayTime",),
    "MRImageFrameTypeSequence": ("FrameType", "ComplexImageComponent"),
    "CTImageFrameTypeSequence": ("FrameType",),
    "CTReconstructionSequence": ("ConvolutionKernel",),
}


@dataclass(frozen=True)
class Frame:
    """One frame of a multi-frame image; what is None the file does not say for it.

    Parameters
    ----------
    position, orientation, pixel_spacing, slice_spacing, slope, intercept:
        As in `dicom_header.SliceHeader` and `dicom_header.ImageFormat`.
    frame_type:
        Frame Type, the Image Type of this frame alone.
    facts:
        What may tell the volumes of a multi-dimensional object apart, by DICOM keyword.
    """

    position: tuple[float, float, float] | None
    orientation: Vector | None
    pixel_spacing: Vector | None
    slice_spacing: float | None
    slope: float | None
    intercept: float | None
    frame_type: tuple[str, ...]
    facts: Mapping[str, str]


def read_frames(dataset: Any, count: int) -> tuple[Frame, ...]:
    """The `count` frames of a dataset in their order; none if it does not say where each frame lies.

    Raises
    ------
    ValueError
        If the functional groups cannot be read or describe another number of frames.
    """
    if _PER_FRAME not in dataset:
        return ()
    try:
        groups = list(dataset[_PER_FRAME].value)
        shared = next(iter(dataset[_SHARED].value), None) if _SHARED in dataset else None
        if len(groups) != count:
            raise ValueError(f"{count} frames are announced and {len(groups)} described")
        return tuple(_frame(group, shared) for group in groups)
    except ValueError:
        raise
    except Exception as error:  # a damaged sequence raises almost anything in pydicom
        raise ValueError(f"the functional groups cannot be read ({type(error).__name__})") from error


def _frame(group: Any, shared: Any) -> Frame:
    def numbers(sequence: str, keyword: str, count: int) -> Vector | None:
        return _numbers(_value(group, shared, sequence, keyword), count)

    position = numbers("PlanePositionSequence", "ImagePositionPatient", 3)
    spacing = numbers("PixelMeasuresSequence", "PixelSpacing", 2)
    between = numbers("PixelMeasuresSequence", "SpacingBetweenSlices", 1)
    slope = numbers("PixelValueTransformationSequence", "RescaleSlope", 1)
    intercept = numbers("PixelValueTransformationSequence", "RescaleIntercept", 1)
    facts: dict[str, str] = {}
    for sequence, keywords in _DIMENSIONS.items():
        item = _item(group, shared, sequence)
        if item is not None:
            facts.update(facts_of(item, keywords))
    return Frame(
        position=(position[0], position[1], position[2]) if position is not None else None,
        orientation=numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6),
        pixel_spacing=spacing if spacing is not None and min(spacing) > 0 else None,
        slice_spacing=abs(between[0]) if between is not None and between[0] else None,
        slope=slope[0] if slope is not None else None,
        intercept=intercept[0] if intercept is not None else None,
        frame_type=tuple(facts.get("FrameType", "").split("\\")),
        facts=facts,
    )


def _item(group: Any, shared: Any, sequence: str) -> Any:
    """The one item of a functional group: the frame's own, else the shared one, else None."""
    for source in (group, shared):
        if source is not None and sequence in source and len(source[sequence].value):
            return source[sequence].value[0]
    return None


def _value(group: Any, shared: Any, sequence: str, keyword: str) -> Any:
    item = _item(group, shared, sequence)
    return item.get(keyword) if item is not None else None


def _numbers(value: Any, count: int) -> Vector | None:
    if value is None or value == "":
        return None
    parts = tuple(float(part) for part in value) if count > 1 else (float(value),)
    if len(parts) != count:
        return None
    if not all(math.isfinite(part) for part in parts):
        raise ValueError(f"a position or spacing of a frame is {parts}")
    return parts
