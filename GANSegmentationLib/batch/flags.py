"""What is odd about a mask and worth a look before it is used, told from the mask and the warnings alone.

``empty``
    The structure was not found.
``tiny``
    It was, but with less than `TINY_ML`.
``border``
    It reaches a face of the scan: part of it may lie outside.
``islands``
    It has several large pieces: the second largest has at least `LARGE_ISLAND` of the largest.
``out_of_range``
    The scan is not what the model was made for: modality, intensities, spacing or number of slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ..inference import Warning_
from ..inference.run_length import find_components
from ..metrics.boxes import Box, label_boxes, touches_border
from ..volumes import TILT_FACT, Labelmap, Volume

TINY_ML = 1.0
LARGE_ISLAND = 0.1

OUT_OF_RANGE_CODES = frozenset(
    (
        "modality_mismatch",
        "domain_contradicts",
        "intensity_constant",
        "intensity_8bit",
        "intensity_range",
        "intensity_unit",
        "few_slices",
        "spacing_out_of_range",
    )
)
"""Of `inference.check_input`."""


def mask_flags(labelmap: Labelmap) -> dict[int, tuple[str, ...]]:
    """The flags of every segment of a labelmap, by label value."""
    boxes = label_boxes(labelmap.array)
    return {segment.value: _flags(labelmap, segment.value, boxes.get(segment.value)) for segment in labelmap.segments}


def input_flags(warnings: Iterable[Warning_]) -> tuple[str, ...]:
    """The flags that the input's warnings are worth."""
    return ("out_of_range",) if any(warning.code in OUT_OF_RANGE_CODES for warning in warnings) else ()


def tilt_warnings(volumes: Iterable[Volume]) -> tuple[Mapping[str, str], ...]:
    """What has to be said of scans that were resampled because their gantry was tilted: code and message."""
    facts = dict.fromkeys(volume.facts[TILT_FACT] for volume in volumes if TILT_FACT in volume.facts)
    return tuple({"code": "tilt_corrected", "message": f"{fact}; the mask lies on that grid."} for fact in facts)


def _flags(labelmap: Labelmap, value: int, box: Box | None) -> tuple[str, ...]:
    if box is None:
        return ("empty",)
    inside = np.ascontiguousarray(labelmap.array[box] == value).view(np.uint8)
    flags = []
    if int(np.count_nonzero(inside)) * labelmap.geometry.voxel_volume_ml < TINY_ML:
        flags.append("tiny")
    if touches_border(box, labelmap.array.shape):
        flags.append("border")
    sizes = np.sort(find_components(inside, 1).sizes)
    if len(sizes) > 1 and sizes[-2] >= LARGE_ISLAND * sizes[-1]:
        flags.append("islands")
    return tuple(flags)
