"""Components found on run lengths are those that scipy finds voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from GANSegmentationLib.inference.run_length import find_components, find_runs

FACES = ndimage.generate_binary_structure(3, 1)
IN_PLANE = FACES.copy()
IN_PLANE[[0, 2]] = False


@st.composite
def label_volumes(draw):
    shape = draw(st.tuples(*[st.integers(1, 8)] * 3))
    density = draw(st.floats(0.05, 0.95))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return (generator.random(shape) < density).astype(np.uint8) * generator.integers(1, 4, shape, dtype=np.uint8)


def partition(labels, value, components):
    """Component numbers voxel by voxel, each painted on its own."""
    painted = np.zeros(labels.shape, np.int64)
    for number in range(len(components.sizes)):
        canvas = labels.copy()
        chosen = np.zeros(len(components.sizes), np.bool_)
        chosen[number] = True
        components.paint(canvas, chosen, 99)
        assert not painted[canvas == 99].any()
        painted[canvas == 99] = number + 1
    return painted


@settings(deadline=None, max_examples=150)
@given(labels=label_volumes(), in_plane=st.booleans(), most_runs=st.sampled_from([0, 3_000_000]))
def test_components_equal_scipy_s_on_random_volumes(labels, in_plane, most_runs):
    components = find_components(labels, 1, in_plane=in_plane, most_runs=most_runs)
    expected, count = ndimage.label(labels == 1, IN_PLANE if in_plane else FACES)
    found = partition(labels, 1, components)
    assert len(components.sizes) == count
    pairs = np.unique(np.stack([expected.ravel(), found.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(expected))  # one to one
    np.testing.assert_array_equal(np.bincount(found.ravel(), minlength=count + 1)[1:], components.sizes)


@settings(deadline=None, max_examples=60)
@given(labels=label_volumes(), most_runs=st.sampled_from([0, 3_000_000]))
def test_every_voxel_knows_its_component(labels, most_runs):
    components = find_components(labels, 1, most_runs=most_runs)
    voxels = np.flatnonzero(labels == 1)
    found = partition(labels, 1, components)
    np.testing.assert_array_equal(components.at(voxels) + 1, found.ravel()[voxels])


@settings(deadline=None, max_examples=60)
@given(labels=label_volumes())
def test_runs_cover_exactly_the_label_and_stay_within_their_row(labels):
    runs = find_runs(labels, 1)
    covered = np.zeros(labels.size, np.int64)
    for start, stop in zip(runs.start, runs.stop, strict=True):
        assert start // labels.shape[2] == (stop - 1) // labels.shape[2]
        covered[start:stop] += 1
    np.testing.assert_array_equal(covered.reshape(labels.shape), labels == 1)


def test_a_volume_larger_than_a_block_is_found_whole():
    generator = np.random.default_rng(5)
    smooth = ndimage.gaussian_filter(generator.normal(size=(12, 420, 512)), (1, 6, 6))
    labels = (smooth > 0.01).astype(np.uint8)
    components = find_components(labels, 1)
    expected, count = ndimage.label(labels, FACES)
    assert sorted(components.sizes) == sorted(np.bincount(expected.ravel())[1:])
    assert count > 20
    components.paint(labels, components.sizes > 0, 0)
    assert not labels.any()


@pytest.mark.parametrize("most_runs", [0, 3_000_000])
def test_an_absent_label_has_no_components(most_runs):
    components = find_components(np.zeros((3, 4, 5), np.uint8), 1, most_runs=most_runs)
    assert len(components.sizes) == 0


@pytest.mark.parametrize("row", [0, 1, 2])
def test_the_same_row_of_two_slices_hangs_together(row):
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[:, row, 1:3] = 1
    assert find_components(labels, 1).sizes.tolist() == [4]


@pytest.mark.parametrize("plane", [0, 1])
def test_neighbouring_rows_hang_together(plane):
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[plane, 0, 3] = labels[plane, 1, 2:] = labels[plane, 2, 2] = 1
    assert find_components(labels, 1).sizes.tolist() == [4]


def test_row_ends_do_not_touch_the_next_row_s_start():
    labels = np.zeros((1, 2, 4), np.uint8)
    labels[0, 0, 3] = labels[0, 1, 0] = 1
    assert len(find_components(labels, 1).sizes) == 2


def test_the_last_row_of_a_slice_does_not_touch_the_first_of_the_next():
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[0, 2] = labels[1, 0] = 1
    assert len(find_components(labels, 1).sizes) == 2
