"""NumPy stacks: values and patients kept, pickles never loaded, shapes checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.datasets import Dataset, Source, labels_of, prepare
from GANSegmentationLib.errors import GANSegmentationError

IMAGES = np.random.default_rng(0).normal(size=(6, 8, 9)).astype(np.float32)
MASKS = (IMAGES > 1).astype(np.uint8)
OWNERS = ["b", "a", "b", "a", "a", "c"]


def _prepare(folder: Path, output: Path, **options: str) -> Dataset:
    source = Source("npy", folder, options)
    return prepare([source], output, labels=labels_of([source]))


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    np.save(folder / "images.npy", IMAGES)
    np.save(folder / "masks.npy", MASKS)
    return folder


@pytest.mark.parametrize("listed", ["npy", "txt"])
def test_slices_go_to_their_patients(stack: Path, listed: str, tmp_path: Path) -> None:
    if listed == "npy":
        np.save(stack / "patients.npy", np.array(OWNERS))
    else:
        (stack / "patients.txt").write_text("\n".join(OWNERS) + "\n")
    dataset = _prepare(stack, tmp_path / "out")
    assert [(case.id, case.slice_index, case.is_volume) for case in dataset.cases] == [
        ("set_a", (1, 3, 4), False),
        ("set_b", (0, 2), False),
        ("set_c", (5,), False),
    ]
    for case in dataset.cases:
        np.testing.assert_array_equal(dataset.images(case), IMAGES[list(case.slice_index)])
        np.testing.assert_array_equal(dataset.masks(case), MASKS[list(case.slice_index)])


def test_without_patients_all_slices_are_one_patients_or_by_request_each_anothers(stack: Path, tmp_path: Path) -> None:
    (case,) = _prepare(stack, tmp_path / "out").cases
    assert case.slices == 6 and "cannot be split" in case.notes[0]
    dataset = _prepare(stack, tmp_path / "each", patients="each")
    assert len({case.patient for case in dataset.cases}) == 6 and dataset.cases[0].notes == ()
    with pytest.raises(GANSegmentationError, match="'file', 'each'") as caught:
        _prepare(stack, tmp_path / "other", patients="none")
    assert caught.value.code == "wrong_option"


def test_a_channel_at_the_end_and_masks_of_floats_are_understood(stack: Path, tmp_path: Path) -> None:
    np.save(stack / "X_train.npy", IMAGES[..., None])
    np.save(stack / "y_train.npy", MASKS[..., None].astype(np.float64))
    dataset = _prepare(stack, tmp_path / "out", images="X_train.npy", masks="y_train.npy", label="Prostate")
    np.testing.assert_array_equal(dataset.masks(dataset.cases[0]), MASKS)
    np.testing.assert_array_equal(dataset.images(dataset.cases[0]), IMAGES)
    assert dataset.labels == {1: "Prostate"}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: np.save(folder / "images.npy", np.array([{"a": 1}], object)), "pickled"),
        (lambda folder: np.save(folder / "masks.npy", np.array([[None]], object)), "pickled"),
        (lambda folder: np.save(folder / "masks.npy", MASKS[:5]), r"masks\.npy.*\(5, 8, 9\)"),
        (lambda folder: np.save(folder / "masks.npy", MASKS * 0.5), None),
        (lambda folder: np.save(folder / "images.npy", IMAGES[0]), "slices x rows"),
        (lambda folder: np.save(folder / "images.npy", np.full_like(IMAGES, np.nan)), "finite"),
        (lambda folder: np.save(folder / "masks.npy", np.arange(MASKS.size).reshape(MASKS.shape)), "what they mean"),
        (lambda folder: (folder / "patients.txt").write_text("a\nb\n"), r"patients\.txt.*names 2 .* 6 slices"),
        (lambda folder: (folder / "masks.npy").unlink(), r"masks\.npy"),
        (lambda folder: (folder / "images.npy").write_bytes(b"no array"), r"images\.npy"),
    ],
)
def test_what_is_no_stack_is_refused(stack: Path, damage, said: str | None, tmp_path: Path) -> None:
    damage(stack)
    if said is None:  # one value that is not 0 is a mask, whatever the value
        assert _prepare(stack, tmp_path / "out").cases[0].slices == 6
        return
    with pytest.raises(GANSegmentationError, match=said) as caught:
        _prepare(stack, tmp_path / "out")
    assert caught.value.code == "invalid_source"
