"""What is odd about a mask is told from the mask."""

from __future__ import annotations

import numpy as np
import pytest

from GANSegmentationLib.batch.flags import input_flags, mask_flags
from GANSegmentationLib.inference import Warning_
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment
from Testing.tiny_model import LIVER

SPLEEN = Segment(2, "Spleen", (0, 0, 255))


def flags(*boxes: tuple[slice, ...], spacing: float = 5.0) -> tuple[str, ...]:
    array = np.zeros((20, 20, 20), np.uint8)
    for box in boxes:
        array[box] = 1
    return mask_flags(Labelmap(array, Geometry((20, 20, 20), (spacing,) * 3), (LIVER,)))[1]


def box(start: int, stop: int) -> tuple[slice, ...]:
    return (slice(start, stop),) * 3


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([], ("empty",)),
        ([box(5, 10)], ()),
        ([box(5, 6)], ("tiny",)),
        ([box(0, 5)], ("border",)),
        ([box(15, 20)], ("border",)),
        ([(slice(5, 10), slice(0, 5), slice(5, 10))], ("border",)),
        ([box(2, 8), box(10, 15)], ("islands",)),
        ([box(2, 8), box(10, 11)], ()),
        ([box(0, 1), box(3, 4)], ("tiny", "border", "islands")),
    ],
)
def test_a_mask_is_empty_tiny_at_the_border_or_in_pieces(boxes, expected):
    assert flags(*boxes) == expected


def test_tiny_is_a_matter_of_millilitres_not_of_voxels():
    assert flags(box(5, 10), spacing=2.01) == ()
    assert flags(box(5, 10), spacing=1.99) == ("tiny",)


def test_every_structure_has_flags_of_its_own():
    array = np.zeros((20, 20, 20), np.uint8)
    array[:5, 5:10, 5:10] = 2
    found = mask_flags(Labelmap(array, Geometry((20, 20, 20), (5.0,) * 3), (LIVER, SPLEEN)))
    assert found == {1: ("empty",), 2: ("border",)}


@pytest.mark.parametrize(
    ("code", "expected"),
    [("spacing_out_of_range", ("out_of_range",)), ("intensity_8bit", ("out_of_range",)), ("modality_unknown", ())],
)
def test_a_scan_that_the_model_was_not_made_for_is_flagged(code, expected):
    assert input_flags([Warning_(code, "text"), Warning_("other", "text")]) == expected
