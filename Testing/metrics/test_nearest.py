"""The nearest voxel, whichever of the two searches finds it: looking around, or asking the tree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import distance_transform_edt

from GANSegmentationLib.metrics import nearest
from GANSegmentationLib.metrics.nearest import nearest_distances

BoolArray = npt.NDArray[np.bool_]
Cases = Callable[..., Iterator[tuple[BoolArray, BoolArray, tuple[float, ...]]]]


@pytest.fixture(params=["looking as long as it can", "looking once", "tree only", "as it decides"])
def search(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which part of the search does the work: small masks would never leave it to the first."""
    worth, per_query = {
        "looking as long as it can": (0, 10**12),
        "looking once": (0, 0),
        "tree only": (10**12, 200),
        "as it decides": (nearest._QUERIES_WORTH_LOOKING, nearest._LOOKS_PER_QUERY),
    }[request.param]
    monkeypatch.setattr(nearest, "_QUERIES_WORTH_LOOKING", worth)
    monkeypatch.setattr(nearest, "_LOOKS_PER_QUERY", per_query)
    return str(request.param)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_distance_equals_brute_force(search: str, random_cases: Cases, dimensions: int) -> None:
    for queries, targets, spacing in random_cases(40, dimensions=dimensions, largest=9, seed=31):
        own, other = np.argwhere(queries) * spacing, np.argwhere(targets) * spacing
        expected = np.sqrt(((own[:, None] - other[None]) ** 2).sum(-1)).min(1)
        np.testing.assert_allclose(nearest_distances(queries, targets, spacing), expected, atol=1e-9)
        for bound in (0.0, 0.7, 2.5):
            found = nearest_distances(queries, targets, spacing, upper_bound=bound)
            np.testing.assert_allclose(found, np.where(expected < bound, expected, np.inf), atol=1e-9)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.6, 0.8), (0.2, 3.0, 0.9)])
def test_every_distance_equals_the_distance_map(search: str, spacing: tuple[float, ...]) -> None:
    """Larger than what looking around reaches, with targets from next door to far away."""
    rng = np.random.default_rng(32)
    targets = rng.random((30, 50, 40)) < np.linspace(0, 0.02, 50)[:, None] ** 2
    targets[0, 3, 3] = True
    queries = rng.random(targets.shape) < 0.2
    expected = distance_transform_edt(~targets, sampling=spacing)[queries]
    np.testing.assert_allclose(nearest_distances(queries, targets, spacing), expected, atol=1e-9)


@pytest.mark.parametrize(
    "spacing", [(1.0, 1.0, 1.0), (3.0, 0.7, 0.7), (0.001, 1.0, 1.0), (0.5, 200.0, 1.0), (0.6, 4.0)]
)
def test_shells_are_complete_and_nearest_first(spacing: tuple[float, ...]) -> None:
    shells = nearest._shells(spacing)
    distances = [distance for distance, _ in shells]
    assert distances[0] == 0
    assert distances == sorted(distances)
    offsets = np.concatenate([group for _, group in shells])
    assert len({tuple(offset) for offset in offsets}) == len(offsets) <= 1200
    for distance, group in shells:
        np.testing.assert_allclose(np.sqrt(((group * spacing) ** 2).sum(1)), distance, rtol=1e-6)
    # Nothing outside of the list is nearer than its last.
    grid = np.stack(np.meshgrid(*(np.arange(-17, 18),) * len(spacing), indexing="ij"), -1).reshape(-1, len(spacing))
    assert np.count_nonzero(np.sqrt(((grid * spacing) ** 2).sum(1)) < distances[-1] * (1 - 1e-9)) <= len(offsets)


def test_neighbours_across_the_end_of_a_row_are_not_neighbours(search: str) -> None:
    """In memory, the last voxel of a row lies beside the first of the next."""
    queries, targets = np.zeros((2, 3, 4, 5), dtype=bool)
    queries[1, 1, 4] = queries[1, 3, 2] = True
    targets[1, 2, 0] = True
    expected = [math.hypot(1, 4), math.hypot(1, 2)]
    assert nearest_distances(queries, targets, (1.0, 1.0, 1.0)) == pytest.approx(expected)


def test_without_targets_every_distance_is_infinite(search: str) -> None:
    queries = np.ones((2, 2, 2), dtype=bool)
    assert nearest_distances(queries, ~queries, (1, 1, 1)).tolist() == [math.inf] * 8
    assert nearest_distances(~queries, queries, (1, 1, 1)).size == 0
