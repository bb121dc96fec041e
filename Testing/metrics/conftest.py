"""Masks that many tests of this folder use."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

BoolArray = npt.NDArray[np.bool_]
Case = tuple[BoolArray, BoolArray, tuple[float, ...]]


def _blob(rng: np.random.Generator, shape: tuple[int, ...]) -> BoolArray:
    centre = [rng.uniform(0, n - 1) for n in shape]
    radii = [rng.uniform(0.6, 0.6 + n / 2) for n in shape]
    grids = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij", sparse=True)
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grids, centre, radii, strict=True)) <= 1


def _mask(rng: np.random.Generator, shape: tuple[int, ...]) -> BoolArray:
    kind = rng.integers(4)
    if kind == 0:  # noise from sparse to dense
        return rng.random(shape) < rng.uniform(0.02, 0.98)
    mask = _blob(rng, shape)
    if kind == 1:
        mask = mask | _blob(rng, shape)
    if kind == 2:
        mask = mask ^ (rng.random(shape) < 0.05)
    mask.flat[rng.integers(mask.size)] = True
    return mask


@pytest.fixture
def random_cases() -> Callable[..., Iterator[Case]]:
    """A generator of pairs of masks, neither empty, with anisotropic spacing: ``random_cases(count, dimensions=3)``.

    Noise, blobs, blobs with holes and crumbs; many touch the border of the image. The same in every run.
    """

    def cases(count: int, *, dimensions: int = 3, largest: int = 11, seed: int = 0) -> Iterator[Case]:
        rng = np.random.default_rng(seed)
        while count:
            shape = tuple(int(n) for n in rng.integers(1, largest + 1, dimensions))
            mask, reference = _mask(rng, shape), _mask(rng, shape)
            if rng.random() < 0.3:  # mostly the same surface
                reference = mask ^ (rng.random(shape) < 0.05)
            if mask.any() and reference.any():
                yield mask, reference, tuple(float(step) for step in rng.uniform(0.3, 4.0, dimensions))
                count -= 1

    return cases
