"""Copies are told from new slices by how near real slices are to each other."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.datasets import Case, Dataset
from GANSegmentationLib.datasets.dataset import array_bytes, write_atomically
from GANSegmentationLib.datasets.memorisation import BOUND, memorisation, nearest
from GANSegmentationLib.errors import GANSegmentationError


def write_dataset(folder: Path, cases: dict[str, np.ndarray], derived: bool = False) -> Dataset:
    """A dataset of these slices ``(n, rows, columns)`` uint8 by case, each of a patient of its own."""
    written = []
    for name, images in cases.items():
        masks = np.zeros_like(images)
        contents = {"images": array_bytes(images), "masks": array_bytes(masks)}
        for kind, content in contents.items():
            write_atomically(folder / kind / f"{name}.npy", content)
        written.append(
            Case(
                id=name, source="synthetic" if derived else "set", patient=name, modality="OT", unit="arbitrary",
                slices=len(images), shape=images.shape[1:], slope=1.0, intercept=0.0, value_range=(0.0, 255.0),
                slice_index=tuple(range(len(images))), foreground=(0,) * len(images),
                fingerprint=hashlib.sha256(b"".join(contents.values())).hexdigest(),
                derived_from=("patient_0",) if derived else (),
            )
        )  # fmt: skip
    return Dataset(folder, tuple(written))


def stack_of(rng: np.random.Generator, slices: int = 6) -> np.ndarray:
    """Slices that change slowly from one to the next, as those of a scan do."""
    first, last = rng.normal(size=(2, 8, 8))
    shares = np.linspace(0, 1, slices)[:, None, None]
    coarse = first * np.cos(shares) + last * np.sin(shares)
    values = np.kron(coarse, np.ones((1, 8, 8)))
    return np.clip(128 + 40 * values, 0, 255).astype(np.uint8)


@pytest.fixture
def real(tmp_path: Path) -> Dataset:
    rng = np.random.default_rng(0)
    return write_dataset(tmp_path / "real", {f"patient_{number}": stack_of(rng) for number in range(4)})


def test_slices_of_new_patients_are_no_copies(real: Dataset, tmp_path: Path) -> None:
    painted = write_dataset(tmp_path / "new", {"new": stack_of(np.random.default_rng(9))}, derived=True)
    measured = memorisation(real, painted)
    assert measured.share == 0 and measured.painted_quantiles[0] > measured.real_quantiles[2]
    measured.require()


def test_copies_are_found_behind_contrast_and_grain_and_refused_with_their_share(real: Dataset, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    copied = np.asarray(real.images(real.cases[2]))[[4, 1]]
    grainy = np.clip(0.6 * copied + 70 + rng.normal(0, 6, copied.shape), 0, 255).astype(np.uint8)
    painted = write_dataset(tmp_path / "painted", {"copy": grainy, "new": stack_of(rng, 2)}, derived=True)
    measured = memorisation(real, painted)
    assert measured.share == 0.5
    assert [each.real for each in measured.neighbours[:2]] == [("patient_2", 4), ("patient_2", 1)]
    assert [each.painted for each in measured.neighbours] == [("copy", 0), ("copy", 1), ("new", 0), ("new", 1)]
    with pytest.raises(GANSegmentationError, match="50%") as caught:
        measured.require()
    assert caught.value.code == "memorised_images" and "elastic" in str(caught.value)


def test_the_share_that_is_allowed_is_allowed(real: Dataset, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    copy = np.asarray(real.images(real.cases[0]))[:1]
    painted = write_dataset(tmp_path / "painted", {"copy": copy, "new": stack_of(rng, 4)}, derived=True)
    measured = memorisation(real, painted)
    assert measured.share == BOUND == 0.2
    assert measured.neighbours[0].distance == pytest.approx(0, abs=1e-3)
    measured.require()


def test_the_yardstick_is_the_nearest_other_slice(real: Dataset, tmp_path: Path) -> None:
    measured = memorisation(real, real)
    assert measured.share == 1 and measured.painted_quantiles == pytest.approx((0, 0, 0), abs=1e-3)
    assert 0 < measured.real_quantiles[0] < measured.real_quantiles[1] < 1.4
    assert measured.threshold == pytest.approx(measured.real_quantiles[0])


def test_nearest_gives_distance_and_place_and_skips_itself() -> None:
    vectors = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32)
    distances, index = nearest(vectors[:1], vectors[1:])
    assert index.tolist() == [0] and distances[0] == pytest.approx(np.sqrt(0.8))
    distances, index = nearest(vectors, vectors, skip_self=True)
    assert index[:2].tolist() == [1, 0] and distances[2] == pytest.approx(np.sqrt(2))


def test_flat_slices_are_like_nothing_and_too_few_are_refused(real: Dataset, tmp_path: Path) -> None:
    flat = write_dataset(tmp_path / "flat", {"flat": np.full((3, 64, 64), 7, np.uint8)}, derived=True)
    with pytest.raises(GANSegmentationError) as caught:
        memorisation(real, flat)
    assert caught.value.code == "too_few_slices"
