"""Bounding boxes: against coordinates, and for label values that would make a list of boxes explode."""

from __future__ import annotations

import numpy as np
import pytest

from GANSegmentationLib.metrics.boxes import foreground_box, label_boxes, touches_border, union_box


def _by_coordinates(where: np.ndarray) -> tuple[slice, ...] | None:
    index = np.argwhere(where)
    if not len(index):
        return None
    return tuple(slice(int(low), int(high) + 1) for low, high in zip(index.min(0), index.max(0), strict=True))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_foreground_box_holds_exactly_the_foreground(dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    for _ in range(60):
        array = rng.random(rng.integers(1, 9, dimensions)) < rng.choice([0.0, 0.03, 0.3])
        for stored in (array, array.astype(np.uint16) * 300, np.asfortranarray(array), array[::-1]):
            assert foreground_box(stored) == _by_coordinates(stored)


def test_an_array_without_voxels_has_no_box() -> None:
    assert foreground_box(np.zeros((0, 3, 3), dtype=bool)) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_label_boxes_finds_every_value(dtype: type[np.unsignedinteger]) -> None:
    rng = np.random.default_rng(3)
    labels = rng.choice([0, 1, 7, 200], p=[0.9, 0.05, 0.03, 0.02], size=(9, 8, 7)).astype(dtype)
    assert label_boxes(labels) == {value: _by_coordinates(labels == value) for value in (1, 7, 200)}


def test_label_boxes_of_one_label_of_any_value() -> None:
    for value in (1, 255):
        labels = np.zeros((4, 5, 6), dtype=np.uint8)
        labels[1:3, 2, 3:5] = value
        assert label_boxes(labels) == {value: np.s_[1:3, 2:3, 3:5]}
    assert label_boxes(np.zeros((2, 2, 2), dtype=np.uint8)) == {}


@pytest.mark.parametrize("background", [True, False])
def test_huge_label_values_cost_no_memory(background: bool) -> None:
    labels = np.full((3, 3, 3), 0 if background else 5, dtype=np.uint32)
    labels[0, 0] = 4_000_000_000
    labels[2, 1:, 2] = 70_000
    values = (70_000, 4_000_000_000) if background else (5, 70_000, 4_000_000_000)
    assert label_boxes(labels) == {value: _by_coordinates(labels == value) for value in values}


def test_union_of_boxes() -> None:
    first, second = np.s_[1:3, 4:5], np.s_[2:6, 0:1]
    assert union_box(first, second) == np.s_[1:6, 0:5]
    assert union_box(None, second) == second
    assert union_box(first, None) == first
    assert union_box(None, None) is None


def test_touching_the_border_is_seen_on_every_face() -> None:
    assert not touches_border(np.s_[1:3, 1:3], (4, 4))
    for box in (np.s_[0:3, 1:3], np.s_[1:4, 1:3], np.s_[1:3, 0:3], np.s_[1:3, 1:4]):
        assert touches_border(box, (4, 4))
