"""Slices are shown as a radiologist sees them, whatever way the volume is stored."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.slicing import PLANES, orient
from GANSegmentationLib.volumes import Geometry

CANONICAL = np.arange(3 * 4 * 5).reshape(3, 4, 5)  # (superior, posterior, left)
SHOWN = {
    "axial": CANONICAL,
    "coronal": CANONICAL.transpose(1, 0, 2)[:, ::-1],
    "sagittal": CANONICAL.transpose(2, 0, 1)[:, ::-1],
}


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_every_storage_order_shows_the_same_radiological_slices(plane, storage, store):
    volume = store(CANONICAL, order=storage)
    orientation = orient(volume.geometry, plane)
    np.testing.assert_array_equal(orientation.apply(volume.array), SHOWN[plane])


@pytest.mark.parametrize("plane", PLANES)
def test_invert_is_the_exact_inverse_and_copies_nothing(plane, storage, store):
    volume = store(CANONICAL, order=storage)
    orientation = orient(volume.geometry, plane)
    back = orientation.invert(orientation.apply(volume.array))
    np.testing.assert_array_equal(back, volume.array)
    assert np.shares_memory(back, volume.array)


def test_acquisition_is_the_volume_s_own_slice_axis_under_the_name_of_the_nearest_plane(storage, store):
    volume = store(CANONICAL, order=storage)
    orientation = orient(volume.geometry, "acquisition")
    assert orientation.axes[0] == 0
    assert orientation.plane == ("axial", "coronal", "sagittal")[storage[0][0]]
    np.testing.assert_array_equal(orientation.apply(volume.array), SHOWN[orientation.plane])


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 2, 3), (-2, 1, 1)])
@pytest.mark.parametrize("degrees", [-40, -12.5, 7, 40])
def test_an_oblique_volume_is_shown_along_its_nearest_axes(axis, degrees, storage, store, rotation_about):
    volume = store(CANONICAL, order=storage, rotation=rotation_about(axis, degrees))
    np.testing.assert_array_equal(orient(volume.geometry, "axial").apply(volume.array), CANONICAL)


def test_axes_are_assigned_optimally_for_any_rotation():
    generator = np.random.default_rng(7)
    greedy_differs = 0
    for _ in range(300):
        matrix, _ = np.linalg.qr(generator.normal(size=(3, 3)))
        geometry = Geometry((5, 4, 3), (1, 1, 1), direction=tuple(matrix.ravel()))
        cosines = np.abs(matrix[:, ::-1])  # patient axis x array axis
        best = cosines[linear_sum_assignment(cosines, maximize=True)].sum()
        orientation = orient(geometry, "axial")
        chosen = sum(
            cosines[patient, array] for patient, array in zip((2, 1, 0), orientation.axes, strict=True)
        )  # axial shows (superior, posterior, left)
        assert chosen == pytest.approx(best)
        greedy_differs += len(set(cosines.argmax(axis=0).tolist())) < 3
    assert greedy_differs > 0  # or this test would prove nothing about the hard cases


def test_an_unknown_plane_is_refused():
    with pytest.raises(GANSegmentationError) as caught:
        orient(Geometry((1, 1, 1), (1, 1, 1)), "transverse")
    assert caught.value.code == "invalid_slicing"


@pytest.mark.parametrize(
    ("plane", "flip", "dimension"),
    [
        ("axial", "left_right", -1),
        ("axial", "anterior_posterior", -2),
        ("axial", "superior_inferior", None),
        ("coronal", "left_right", -1),
        ("coronal", "superior_inferior", -2),
        ("sagittal", "anterior_posterior", -1),
        ("sagittal", "left_right", None),
    ],
)
def test_a_named_flip_is_a_dimension_of_the_slice_or_none(plane, flip, dimension):
    assert orient(Geometry((3, 3, 3), (1, 1, 1)), plane).flip_dimension(flip) == dimension
