"""Seed 001's number is reproduced, and shown to be no distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import directed_hausdorff

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.metrics import count_overlap, row_hausdorff, slicewise, surface_distances


def disk(row: float, column: float, radius: float = 60.0) -> np.ndarray:
    rows, columns = np.mgrid[0:256, 0:256]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def test_a_disk_moved_down_is_forty_pixels_away_and_the_seed_says_nothing() -> None:
    reference, moved = disk(108, 128), disk(148, 128)
    assert count_overlap(moved, reference).dice == pytest.approx(0.58, abs=0.005)
    assert surface_distances(moved, reference, (1, 1)).hd_mm == pytest.approx(40, abs=0.01)
    assert row_hausdorff(moved, reference) == 0.0


def test_a_stray_island_is_far_away_and_the_seed_says_next_to_nothing() -> None:
    reference = disk(128, 128)
    with_island = reference.copy()
    with_island[6:9, 5:8] = True
    assert surface_distances(with_island, reference, (1, 1)).hd_mm == pytest.approx(113.9, abs=0.1)
    assert row_hausdorff(with_island, reference) == pytest.approx(math.sqrt(3), abs=1e-12)


def test_it_is_scipy_s_number_on_the_masks_themselves_the_larger_of_both_directions() -> None:
    rng = np.random.default_rng(0)
    for density in (0.1, 0.5, 0.9):
        mask, reference = rng.random((2, 24, 40)) < density
        directed = [directed_hausdorff(*pair)[0] for pair in ((mask, reference), (reference, mask))]
        assert row_hausdorff(mask, reference) == pytest.approx(max(directed), abs=1e-9)


def test_columns_are_no_rows() -> None:
    assert row_hausdorff(disk(128, 108), disk(128, 148)) > 5


def test_an_empty_mask_is_not_infinitely_far() -> None:
    nothing = np.zeros((256, 256), bool)
    assert row_hausdorff(nothing, disk(128, 128)) == pytest.approx(math.sqrt(121))
    assert row_hausdorff(nothing, nothing) == 0.0


def test_only_slices_with_reference_count() -> None:
    reference, mask = np.zeros((4, 8, 8), bool), np.zeros((4, 8, 8), bool)
    reference[1:3, 2:6, 2:6] = True
    mask[1, 2:6, 2:4] = True  # half of it
    mask[3, 0, 0] = True  # where there is nothing: the seeds had no such slice
    scores = slicewise(mask, reference)
    np.testing.assert_allclose(scores["dice"], [2 * 8 / (8 + 16), 0.0])
    np.testing.assert_allclose(scores["iou"], [0.5, 0.0])
    np.testing.assert_allclose(scores["row_hausdorff"], [math.sqrt(2), 2.0])
    assert all(len(column) == 0 for column in slicewise(mask, np.zeros_like(mask)).values())


def test_other_shapes_are_refused() -> None:
    for call, shape in ((row_hausdorff, (4, 4)), (slicewise, (2, 4, 4))):
        with pytest.raises(GANSegmentationError) as caught:
            call(np.zeros(shape, bool), np.zeros((*shape[:-1], 5), bool))
        assert caught.value.code == "shape_mismatch"
