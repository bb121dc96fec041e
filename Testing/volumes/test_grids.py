from __future__ import annotations

import itertools

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment, place_on_grid

OBLIQUE = np.array([[0.8, 0.0, -0.6], [0.36, 0.8, 0.48], [0.48, -0.6, 0.64]])
SCAN = Geometry((9, 8, 7), (0.7, 0.8, 2.5), (-12.5, 30.0, 101.25), tuple(OBLIQUE.ravel()))
LABELS = np.random.default_rng(0).integers(0, 3, SCAN.shape).astype(np.uint8)


def stored_as(order: list[int], signs: tuple[int, ...], crop: tuple[slice, ...] = (slice(None),) * 3) -> Labelmap:
    """`LABELS`, cropped (x, y, z), with its index axes swapped and flipped; each voxel at the same place."""
    labels = LABELS.transpose(2, 1, 0)
    start = [part.indices(size)[0] for part, size in zip(crop, labels.shape, strict=True)]
    labels = labels[crop].transpose(order)
    to_scan = np.eye(4)
    to_scan[:3, 3] = start
    to_scan[:3, :3] = np.eye(3)[:, order]
    for axis, sign in enumerate(signs):
        if sign < 0:
            labels = np.flip(labels, axis)
            to_scan[:3, 3] += to_scan[:3, axis] * (labels.shape[axis] - 1)
            to_scan[:3, axis] *= -1
    grid = Geometry.from_index_to_lps(SCAN.index_to_lps @ to_scan, labels.shape)
    return Labelmap(np.ascontiguousarray(labels.transpose(2, 1, 0)), grid, [Segment(1, "Liver", (1, 2, 3))])


@pytest.mark.parametrize("order", [list(order) for order in itertools.permutations(range(3))])
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_any_order_and_sign_of_axes_comes_back_to_the_scan(order: list[int], signs: tuple[int, ...]) -> None:
    placed = place_on_grid(stored_as(order, signs), SCAN)
    np.testing.assert_array_equal(placed.array, LABELS)
    assert placed.geometry == SCAN
    assert placed.segments[0].name == "Liver"


def test_a_flipped_crop_is_put_at_its_place() -> None:
    crop = (slice(2, 6), slice(0, 5), slice(3, 7))
    placed = place_on_grid(stored_as([2, 0, 1], (-1, 1, -1), crop), SCAN)
    expected = np.zeros_like(LABELS)
    expected[3:7, 0:5, 2:6] = LABELS[3:7, 0:5, 2:6]
    np.testing.assert_array_equal(placed.array, expected)


def test_the_same_grid_is_handed_through() -> None:
    labelmap = Labelmap(LABELS, SCAN)
    assert place_on_grid(labelmap, SCAN) is labelmap


def test_a_rounded_header_is_snapped_to_the_scan() -> None:
    rounded = Geometry(SCAN.size, np.float32(SCAN.spacing), np.float32(SCAN.origin), np.round(SCAN.direction, 7))
    placed = place_on_grid(Labelmap(LABELS, rounded), SCAN)
    np.testing.assert_array_equal(placed.array, LABELS)
    assert placed.geometry == SCAN


def test_a_larger_grid_is_cut_if_no_label_is_lost() -> None:
    larger = np.zeros((7, 8, 12), np.uint8)
    larger[..., 1:10] = LABELS
    origin = (SCAN.index_to_lps @ [-1, 0, 0, 1])[:3]
    grid = Geometry((12, 8, 7), SCAN.spacing, origin, SCAN.direction)
    np.testing.assert_array_equal(place_on_grid(Labelmap(larger, grid), SCAN).array, LABELS)
    larger[0, 0, 11] = 1
    with pytest.raises(GANSegmentationError) as caught:
        place_on_grid(Labelmap(larger, grid), SCAN)
    assert caught.value.code == "geometry_mismatch"


@pytest.mark.parametrize(
    "other",
    [
        Geometry(SCAN.size, SCAN.spacing, (SCAN.origin[0] + 0.1, *SCAN.origin[1:]), SCAN.direction),
        Geometry(SCAN.size, (0.7, 0.8, 2.6), SCAN.origin, SCAN.direction),
        Geometry(SCAN.size, (1.4, 1.6, 5.0), SCAN.origin, SCAN.direction),
        Geometry(SCAN.size, SCAN.spacing, SCAN.origin),
    ],
    ids=["shifted", "stretched", "coarser", "turned"],
)
def test_voxels_that_do_not_coincide_are_refused(other: Geometry) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        place_on_grid(Labelmap(LABELS, other), SCAN)
    assert caught.value.code == "geometry_mismatch"


def test_a_grid_far_away_is_refused_if_it_has_labels_and_empty_if_not() -> None:
    far = Geometry(SCAN.size, SCAN.spacing, (SCAN.index_to_lps @ [100, 0, 0, 1])[:3], SCAN.direction)
    with pytest.raises(GANSegmentationError):
        place_on_grid(Labelmap(LABELS, far), SCAN)
    assert not place_on_grid(Labelmap(np.zeros_like(LABELS), far), SCAN).array.any()
