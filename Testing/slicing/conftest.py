"""A small asymmetric patient, stored in any of the 48 ways an array can lie, straight or oblique."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from GANSegmentationLib.volumes import Geometry, Volume

STORAGE_ORDERS = [
    (permutation, flips)
    for permutation in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]
# LPS unit vectors of the axes (superior, posterior, left) of a canonical array.
_CANONICAL_AXES = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])

Store = Callable[..., Volume]


@pytest.fixture(params=STORAGE_ORDERS, ids=lambda order: f"{order[0]}{order[1]}")
def storage(request: pytest.FixtureRequest) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """One of the 48 axis permutations and flips."""
    order: tuple[tuple[int, ...], tuple[bool, ...]] = request.param
    return order


@pytest.fixture(scope="session")
def store() -> Store:
    """``store(canonical, spacing, order, rotation)``: a canonical array ``(superior, posterior, left)``, spacing in the
    same order, written in a storage order; `rotation` turns the patient's axes (3 x 3, LPS)."""

    def store_as(
        canonical: npt.NDArray[Any],
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
        order: tuple[tuple[int, ...], tuple[bool, ...]] = ((0, 1, 2), (False, False, False)),
        rotation: npt.NDArray[np.float64] | None = None,
    ) -> Volume:
        permutation, flips = order
        array = canonical.transpose(permutation)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
        directions = [
            _CANONICAL_AXES[axis] * (-1 if flip else 1) for axis, flip in zip(permutation, flips, strict=True)
        ]
        matrix = np.stack(directions[::-1], axis=1)  # columns: index axes x, y, z = array axes reversed
        if rotation is not None:
            matrix = rotation @ matrix
        geometry = Geometry(
            size=(array.shape[2], array.shape[1], array.shape[0]),
            spacing=tuple(spacing[axis] for axis in permutation)[::-1],  # type: ignore[arg-type]
            origin=(10.0, -20.0, 30.0),
            direction=tuple(matrix.ravel().tolist()),
        )
        return Volume(np.ascontiguousarray(array), geometry, "CT")

    return store_as


@pytest.fixture(scope="session")
def rotation_about() -> Callable[..., npt.NDArray[np.float64]]:
    """``rotation_about(axis, degrees)``: a rotation matrix (Rodrigues)."""

    def rotate(axis: tuple[float, float, float], degrees: float) -> npt.NDArray[np.float64]:
        x, y, z = np.array(axis) / np.linalg.norm(axis)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        angle = np.radians(degrees)
        return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross

    return rotate
