from __future__ import annotations

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment

GRID = Geometry((4, 3, 2), (1.0, 1.0, 1.0))
LIVER = Segment(1, "Liver", (221, 130, 101))


def test_nothing_in_a_labelmap_can_be_changed() -> None:
    segments = [LIVER]
    labelmap = Labelmap(np.zeros(GRID.shape, np.uint8), GRID, segments)
    with pytest.raises(ValueError, match="read-only"):
        labelmap.array[0, 0, 0] = 1
    segments.clear()
    assert labelmap.segments == (LIVER,)


def test_a_boolean_mask_is_label_one_without_a_copy() -> None:
    mask = np.zeros(GRID.shape, bool)
    mask[1, 2, 3] = True
    labelmap = Labelmap(mask, GRID)  # type: ignore[arg-type]
    assert labelmap.array.dtype == np.uint8
    assert labelmap.array[1, 2, 3] == 1
    assert np.shares_memory(labelmap.array, mask)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_signed_and_fractional_types_are_refused(dtype: type) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        Labelmap(np.zeros(GRID.shape, dtype), GRID)
    assert caught.value.code == "invalid_labelmap"


def test_another_shape_than_the_grid_is_refused() -> None:
    with pytest.raises(GANSegmentationError) as caught:
        Labelmap(np.zeros((4, 3, 2), np.uint8), GRID)
    assert caught.value.code == "invalid_labelmap"


def test_two_segments_with_one_value_are_refused() -> None:
    with pytest.raises(GANSegmentationError) as caught:
        Labelmap(np.zeros(GRID.shape, np.uint8), GRID, [LIVER, Segment(1, "Spleen", (0, 0, 0))])
    assert caught.value.code == "invalid_labelmap"
