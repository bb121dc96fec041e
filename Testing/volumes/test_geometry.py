from __future__ import annotations

import itertools
import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import LPS_TO_RAS, Geometry

SIGNED_PERMUTATIONS = [
    np.eye(3)[:, order] * signs
    for order in map(list, itertools.permutations(range(3)))
    for signs in itertools.product((1, -1), repeat=3)
]


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        result = turn @ result
    return result


def geometry(direction: np.ndarray) -> Geometry:
    return Geometry((7, 6, 5), (0.7, 0.8, 2.5), (-12.5, 30.0, 101.25), tuple(direction.ravel()))


@pytest.mark.parametrize("direction", SIGNED_PERMUTATIONS)
def test_all_48_orientations_put_a_voxel_where_origin_spacing_and_direction_say(direction: np.ndarray) -> None:
    grid = geometry(direction)
    index = np.array([3, 1, 4])
    expected = np.array(grid.origin) + sum(direction[:, axis] * grid.spacing[axis] * index[axis] for axis in range(3))
    np.testing.assert_allclose((grid.index_to_lps @ [*index, 1])[:3], expected, atol=1e-12)
    np.testing.assert_allclose((grid.index_to_ras @ [*index, 1])[:3], expected * [-1, -1, 1], atol=1e-12)


@pytest.mark.parametrize("direction", SIGNED_PERMUTATIONS)
def test_all_48_orientations_survive_the_matrix_exactly(direction: np.ndarray) -> None:
    grid = geometry(direction)
    assert Geometry.from_index_to_lps(grid.index_to_lps, grid.size).corner_distance(grid) < 1e-12
    assert Geometry.from_index_to_ras(grid.index_to_ras, grid.size).corner_distance(grid) < 1e-12


@given(
    angles=st.tuples(*[st.floats(-np.pi, np.pi)] * 3),
    spacing=st.tuples(*[st.floats(0.1, 10)] * 3),
    origin=st.tuples(*[st.floats(-1000, 1000)] * 3),
    flip=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_oblique_grids_survive_the_matrix(angles, spacing, origin, flip) -> None:  # type: ignore[no-untyped-def]
    direction = rotation(angles) * [1, 1, -1 if flip else 1]
    grid = Geometry((300, 511, 40), spacing, origin, tuple(direction.ravel()))
    assert Geometry.from_index_to_ras(grid.index_to_ras, grid.size).corner_distance(grid) < 1e-8


def test_lps_to_ras_is_its_own_inverse() -> None:
    np.testing.assert_array_equal(LPS_TO_RAS @ LPS_TO_RAS, np.eye(4))
    np.testing.assert_array_equal(LPS_TO_RAS @ [1, 2, 3, 1], [-1, -2, 3, 1])


def test_shape_and_spacing_of_arrays_are_the_reverse_of_the_index_order() -> None:
    grid = Geometry((7, 6, 5), (0.7, 0.8, 2.5))
    assert grid.shape == (5, 6, 7)
    assert grid.spacing_zyx == (2.5, 0.8, 0.7)
    assert grid.voxel_volume_ml == pytest.approx(0.0014)


def test_corners_lie_half_a_voxel_beyond_the_outer_voxel_centres() -> None:
    corners = Geometry((2, 3, 4), (1.0, 2.0, 3.0), (10.0, 20.0, 30.0)).corners()
    assert corners.shape == (8, 3)
    np.testing.assert_allclose(corners.min(axis=0), [9.5, 19.0, 28.5])
    np.testing.assert_allclose(corners.max(axis=0), [11.5, 25.0, 40.5])


def test_corner_distance_is_the_largest_displacement() -> None:
    grid = Geometry((10, 10, 10), (1.0, 1.0, 1.0))
    wider = Geometry((10, 10, 10), (1.0, 1.0, 1.1))
    assert grid.corner_distance(wider) == pytest.approx(0.95)  # 9.5 voxels x 0.1 mm
    assert grid.corner_distance(Geometry((10, 10, 11), (1.0, 1.0, 1.0))) == float("inf")


def test_matches_allows_single_precision_and_nothing_that_matters() -> None:
    grid = Geometry((512, 512, 100), (0.7265625, 0.7265625, 2.0), (-185.3, -98.1, 1536.5))
    rounded = Geometry(grid.size, np.float32(grid.spacing), np.float32(grid.origin))
    assert grid.matches(rounded)
    shifted = Geometry(grid.size, grid.spacing, (-185.3, -98.1, 1536.51))
    assert not grid.matches(shifted)
    assert grid.matches(shifted, tolerance_voxels=0.02)


def test_numbers_become_plain_python_numbers() -> None:
    grid = Geometry(np.array([4, 5, 6]), np.float32([1, 2, 3]), np.zeros(3), np.eye(3).ravel())
    assert grid == Geometry((4, 5, 6), (1.0, 2.0, 3.0))
    assert hash(grid) == hash(Geometry((4, 5, 6), (1.0, 2.0, 3.0)))
    assert json.loads(json.dumps(asdict(grid)))["size"] == [4, 5, 6]


@pytest.mark.parametrize(
    "fields",
    [
        {"size": (0, 5, 5)},
        {"size": (5, 5)},
        {"spacing": (1.0, 0.0, 1.0)},
        {"spacing": (1.0, -1.0, 1.0)},
        {"spacing": (1.0, float("nan"), 1.0)},
        {"origin": (0.0, float("inf"), 0.0)},
        {"direction": (1, 0, 0, 0, 1, 0.01, 0, 0, 1)},
        {"direction": (2, 0, 0, 0, 1, 0, 0, 0, 1)},
        {"direction": (1, 0, 0, 0, 1, 0)},
    ],
)
def test_impossible_grids_are_refused(fields) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(GANSegmentationError) as caught:
        Geometry(**{"size": (5, 5, 5), "spacing": (1.0, 1.0, 1.0), **fields})
    assert caught.value.code == "invalid_geometry"


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),
        np.diag([1, 1, 1, 2.0]),
        np.diag([1, 0, 1, 1.0]),
        np.eye(4) + 0.2 * np.eye(4, k=1) * (np.arange(4) < 2),
    ],
)
def test_matrices_that_are_no_grid_are_refused(matrix: np.ndarray) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        Geometry.from_index_to_lps(matrix, (5, 5, 5))
    assert caught.value.code == "invalid_geometry"
