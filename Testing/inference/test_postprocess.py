"""Cleaning removes what the card says, label by label, and equals the same steps done with scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from GANSegmentationLib.inference import postprocess
from GANSegmentationLib.inference.postprocess import bounding_box, fill_holes, present_labels, voxel_counts
from GANSegmentationLib.models import PostProcessing
from GANSegmentationLib.volumes import Geometry

MM10 = (10.0, 10.0, 10.0)  # a voxel of 1 ml


def clean(labels, spacing=MM10, **spec):
    return postprocess(labels, PostProcessing(**spec), Geometry(labels.shape[::-1], spacing))


def random_labels(seed, shape=(4, 9, 11), values=3, density=0.6):
    generator = np.random.default_rng(seed)
    return (generator.random(shape) < density) * generator.integers(1, values + 1, shape, dtype=np.uint8)


def two_pieces():
    labels = np.zeros((4, 8, 8), np.uint8)
    labels[1:3, 1:4, 1:4] = 1  # 18 voxels
    labels[1, 6, 5:7] = 1  # 2 voxels
    return labels


def test_nothing_asked_changes_nothing():
    labels = random_labels(0)
    cleaned, report = clean(labels)
    np.testing.assert_array_equal(cleaned, labels)
    assert report.removed_ml == report.filled_ml == {}


def test_the_largest_piece_stays_and_what_went_is_reported():
    labels = two_pieces()
    cleaned, report = clean(labels, largest_component=True)
    assert cleaned.sum() == 18
    assert cleaned[1, 6].sum() == 0
    assert report.removed_ml == {1: pytest.approx(2.0)}
    assert report.removed_pieces == {1: 1}


def test_the_input_is_left_alone_unless_asked():
    labels = two_pieces()
    clean(labels, largest_component=True)
    np.testing.assert_array_equal(labels, two_pieces())
    cleaned, _ = postprocess(labels, PostProcessing(largest_component=True), Geometry((8, 8, 4), MM10), in_place=True)
    assert cleaned is labels
    assert labels.sum() == 18


@pytest.mark.parametrize(("minimum", "left"), [(1.9, 20), (2.0, 20), (2.1, 18), (18.0, 18), (18.5, 0)])
def test_pieces_below_the_minimum_volume_go(minimum, left):
    cleaned, _ = clean(two_pieces(), minimum_volume_ml=minimum)
    assert cleaned.sum() == left


def test_the_minimum_volume_is_in_millilitres_of_the_scan():
    cleaned, _ = clean(two_pieces(), spacing=(5.0, 5.0, 4.0), minimum_volume_ml=0.25)  # two voxels are 0.2 ml
    assert cleaned.sum() == 18


def test_a_largest_piece_below_the_minimum_goes_too():
    cleaned, report = clean(two_pieces(), largest_component=True, minimum_volume_ml=100.0)
    assert not cleaned.any()
    assert report.removed_pieces == {1: 2}


def test_diagonal_neighbours_are_separate_pieces():
    labels = np.zeros((2, 3, 3), np.uint8)
    labels[0, 0, :2] = 1
    labels[0, 1, 2] = 1  # touches by an edge only
    labels[1, 2, 2] = 1
    assert clean(labels, largest_component=True)[0].sum() == 2


def test_each_label_keeps_its_own_largest_piece():
    labels = np.zeros((2, 6, 6), np.uint8)
    labels[0, :2, :2], labels[0, 5, 5] = 1, 1
    labels[1, 3:, 3:], labels[1, 0, 0] = 2, 2
    cleaned, report = clean(labels, largest_component=True)
    assert np.bincount(cleaned.ravel()).tolist()[1:] == [4, 9]
    assert report.removed_pieces == {1: 1, 2: 1}


def test_a_hole_is_filled_in_its_slice_and_an_open_bay_is_not():
    labels = np.zeros((2, 6, 6), np.uint8)
    labels[:, :5, :5] = 1
    labels[0, 2, 2] = 0  # enclosed
    labels[1, 2, 2:5] = 0  # open to the right
    cleaned, report = clean(labels, fill_holes=True)
    assert cleaned[0, 2, 2] == 1
    assert cleaned[1, 2, 2:5].sum() == 0
    assert report.filled_ml == {1: pytest.approx(1.0)}


def test_a_hole_that_another_label_fills_stays_that_label_s():
    labels = np.zeros((1, 7, 7), np.uint8)
    labels[0, 1:6, 1:6] = 1
    labels[0, 2:5, 2:5] = 2
    labels[0, 3, 3] = 0
    cleaned, _ = clean(labels, fill_holes=True)
    expected = labels.copy()
    expected[0, 3, 3] = 1  # labels are cleaned in ascending order
    np.testing.assert_array_equal(cleaned, expected)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), density=st.floats(0.2, 0.95))
def test_filling_equals_scipy_slice_by_slice(seed, density):
    labels = random_labels(seed, values=1, density=density)
    expected = np.stack([ndimage.binary_fill_holes(part) for part in labels])
    filled = labels.copy()
    count = fill_holes(filled, 1)
    np.testing.assert_array_equal(filled, expected)
    assert count == expected.sum() - labels.sum()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), density=st.floats(0.2, 0.9))
def test_the_largest_component_equals_scipy(seed, density):
    labels = random_labels(seed, density=density)
    cleaned, _ = clean(labels, largest_component=True)
    for value in present_labels(labels):
        component, _ = ndimage.label(labels == value)
        sizes = np.bincount(component.ravel())[1:]
        assert (cleaned == value).sum() == sizes.max()
        assert len(np.unique(component[cleaned == value])) == 1


@pytest.mark.parametrize("highest", [0, 1, 3, 8, 9, 255])
def test_voxels_are_counted_by_value(highest):
    labels = np.random.default_rng(highest).integers(0, highest + 1, (3, 40, 50)).astype(np.uint8)
    np.testing.assert_array_equal(voxel_counts(labels), np.bincount(labels.ravel(), minlength=256))


def test_the_bounding_box_is_the_smallest():
    labels = np.zeros((5, 6, 7), np.uint8)
    labels[1, 2, 3] = labels[3, 4, 5] = 2
    assert bounding_box(labels, 2) == (slice(1, 4), slice(2, 5), slice(3, 6))
    assert bounding_box(labels, 1) is None


def test_cleaning_stops_when_asked():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        postprocess(two_pieces(), PostProcessing(largest_component=True), Geometry((8, 8, 4), MM10), cancelled=stop)
