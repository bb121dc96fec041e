"""Surface Dice: areas by hand, the definition by brute force, and figures of the definition's authors' own program."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.metrics import surface_dice
from GANSegmentationLib.metrics.surface_dice import neighbourhood_codes, surface_element_areas

BoolArray = npt.NDArray[np.bool_]
Cases = Callable[..., Iterator[tuple[BoolArray, BoolArray, tuple[float, ...]]]]


def _code(*corners: tuple[int, ...]) -> int:
    """Bit x + 2 y + 4 z of every corner (z, y, x)."""
    return sum(1 << sum(offset << axis for axis, offset in enumerate(reversed(corner))) for corner in corners)


def _triangle(*points: tuple[float, float, float]) -> float:
    a, b, c = (np.array(point) for point in points)
    return float(np.linalg.norm(np.cross(b - a, c - a)) / 2)


def _elements(mask: BoolArray, spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Positions and areas of the surface elements, neighbourhood by neighbourhood."""
    padded, areas = np.pad(mask, 1), surface_element_areas(spacing)
    offsets = list(itertools.product((0, 1), repeat=mask.ndim))
    points, sizes = [], []
    for index in itertools.product(*(range(n + 1) for n in mask.shape)):
        inside = [offset for offset in offsets if padded[tuple(i + o for i, o in zip(index, offset, strict=True))]]
        if 0 < len(inside) < len(offsets):
            points.append(np.array(index) * spacing)
            sizes.append(areas[_code(*inside)])
    return np.array(points), np.array(sizes)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("tolerance", [0.0, 0.4, 1.3, 5.0])
def test_equals_brute_force(random_cases: Cases, dimensions: int, tolerance: float) -> None:
    for mask, reference, spacing in random_cases(25, dimensions=dimensions, largest=7, seed=int(tolerance * 10)):
        (own, sizes), (other, other_sizes) = _elements(mask, spacing), _elements(reference, spacing)
        apart = np.sqrt(((own[:, None] - other[None]) ** 2).sum(-1))
        within = sizes[apart.min(1) <= tolerance].sum() + other_sizes[apart.min(0) <= tolerance].sum()
        expected = within / (sizes.sum() + other_sizes.sum())
        assert surface_dice(mask, reference, spacing, surface_tolerance_mm=tolerance) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("shape", "spacing", "expected"),
    [
        ((12, 14, 13), (3.0, 0.7, 1.1), {0.0: 0.446460174638, 0.9: 0.688588763352, 1.5: 0.923815146232}),
        ((10, 10, 10), (1.0, 1.0, 1.0), {0.0: 0.468997211790, 0.9: 0.468997211790, 1.5: 0.943230396627}),
        ((16, 15), (0.8, 1.7), {0.0: 0.264866999661, 0.9: 0.483627172830, 1.5: 0.483627172830}),
    ],
)
def test_equals_the_program_of_the_definitions_authors(
    shape: tuple[int, ...], spacing: tuple[float, ...], expected: dict[float, float]
) -> None:
    """Figures of the package surface-distance 0.1 for the same masks; it does not run on NumPy 2 as it is."""
    rng = np.random.default_rng(2018)
    mask, reference = rng.random(shape) < 0.08, rng.random(shape) < 0.12
    for tolerance, value in expected.items():
        found = surface_dice(mask, reference, spacing, surface_tolerance_mm=tolerance)
        assert found == pytest.approx(value, abs=1e-11)


def test_areas_are_those_of_marching_cubes() -> None:
    z, y, x = spacing = (3.0, 0.7, 1.1)
    areas = surface_element_areas(spacing)
    corner = _triangle((z / 2, 0, 0), (0, y / 2, 0), (0, 0, x / 2))
    edge = x * math.hypot(z / 2, y / 2)
    # Three corners of the lower face: a triangle half way up, and a flat trapezium down to the missing corner (1, 1).
    up, right = (z / 2, 0, x), (z / 2, y, 0)
    low_right, low_up = (0, y, x / 2), (0, y / 2, x)
    ell = _triangle((z / 2, 0, 0), up, right) + _triangle(up, right, low_right) + _triangle(up, low_right, low_up)
    assert areas[_code((0, 0, 0))] == pytest.approx(corner)
    assert areas[_code((0, 1, 0), (0, 1, 1))] == pytest.approx(edge)
    assert areas[_code((0, 0, 0), (0, 1, 1))] == pytest.approx(2 * corner)
    assert areas[_code((0, 0, 0), (0, 0, 1), (0, 1, 0))] == pytest.approx(ell)
    assert areas[_code(*itertools.product((0,), (0, 1), (0, 1)))] == pytest.approx(y * x)
    assert areas[_code(*itertools.product((0, 1), (0, 1), (1,)))] == pytest.approx(z * y)
    assert areas[_code((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))] == pytest.approx(6 * corner)
    # A path of four: the polygon through the middles of the six cut edges is not flat; the authors' table has 1.5731
    # for a unit cube.
    path = _code((0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1))
    assert surface_element_areas((1.0, 1.0, 1.0))[path] == pytest.approx(math.sqrt(3) / 2 + math.sqrt(2) / 2)
    assert areas[_code((0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1))] == pytest.approx(2 * edge)
    assert areas[0] == areas[255] == 0


def test_foreground_and_background_share_one_surface() -> None:
    for spacing, codes in (((3.0, 0.7, 1.1), 256), ((3.0, 0.7), 16)):
        areas = surface_element_areas(spacing)
        np.testing.assert_array_equal(areas, areas[::-1])
        assert areas.shape == (codes,)
        assert (areas[1:-1] > 0).all()


def test_lengths_in_two_dimensions() -> None:
    y, x = 3.0, 0.8
    lengths = surface_element_areas((y, x))
    assert lengths[_code((0, 0))] == pytest.approx(math.hypot(y, x) / 2)
    assert lengths[_code((0, 0), (0, 1))] == pytest.approx(x)
    assert lengths[_code((0, 0), (1, 0))] == pytest.approx(y)
    assert lengths[_code((0, 0), (1, 1))] == pytest.approx(math.hypot(y, x))


def test_the_surface_of_a_large_ball_has_its_area() -> None:
    spacing, radius = (1.0, 0.8, 0.6), 24.0
    grids = np.meshgrid(*(np.arange(-30, 30, step) for step in spacing), indexing="ij", sparse=True)
    ball = sum(grid**2 for grid in grids) <= radius**2
    codes = neighbourhood_codes(ball)
    # Cut half way between voxels, a surface has small steps: a tenth more than smooth.
    assert 1.05 < surface_element_areas(spacing)[codes].sum() / (4 * math.pi * radius**2) < 1.13


def test_a_shifted_box_by_hand() -> None:
    """Two plates, one slice thick, one slice apart: half of either lies on the plane between them."""
    plates = np.zeros((2, 7, 40, 40), dtype=bool)
    plates[0, 2, 5:35, 5:35] = plates[1, 3, 5:35, 5:35] = True
    assert surface_dice(*plates, (3.0, 1.0, 1.0), surface_tolerance_mm=0) == pytest.approx(0.5, abs=0.01)
    assert surface_dice(*plates, (3.0, 1.0, 1.0), surface_tolerance_mm=2.9) == pytest.approx(0.5, abs=0.05)
    assert surface_dice(*plates, (3.0, 1.0, 1.0), surface_tolerance_mm=3.0) == 1.0


def test_a_distance_equal_to_the_tolerance_counts_whatever_the_rounding() -> None:
    points = np.zeros((2, 1, 1, 40), dtype=bool)
    points[0, 0, 0, :20] = points[1, 0, 0, :23] = True
    for step in (0.1, 0.3, 0.7, 1 / 3):
        assert surface_dice(*points, (1.0, 1.0, step), surface_tolerance_mm=3 * step) == 1.0
        assert surface_dice(*points, (1.0, 1.0, step), surface_tolerance_mm=2.99 * step) < 1.0


def test_empty_masks() -> None:
    empty, mask = np.zeros((3, 4, 5), dtype=bool), np.ones((3, 4, 5), dtype=bool)
    assert math.isnan(surface_dice(empty, empty, (1, 1, 1), surface_tolerance_mm=1))
    assert surface_dice(empty, mask, (1, 1, 1), surface_tolerance_mm=100) == 0
    assert surface_dice(mask, empty, (1, 1, 1), surface_tolerance_mm=100) == 0
    assert surface_dice(mask, mask, (1, 1, 1), surface_tolerance_mm=0) == 1


@pytest.mark.parametrize("tolerance", [-0.1, math.nan, math.inf])
@pytest.mark.parametrize("foreground", [False, True])
def test_a_tolerance_that_is_no_distance_is_refused(tolerance: float, foreground: bool) -> None:
    mask = np.full((2, 2, 2), foreground)
    with pytest.raises(GANSegmentationError) as caught:
        surface_dice(mask, mask, (1, 1, 1), surface_tolerance_mm=tolerance)
    assert caught.value.code == "invalid_tolerance"


def test_there_is_no_default_tolerance() -> None:
    with pytest.raises(TypeError):
        surface_dice(np.ones((2, 2, 2), bool), np.ones((2, 2, 2), bool), (1, 1, 1))  # type: ignore[call-arg]
