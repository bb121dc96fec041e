"""Chest X-rays: both lungs to one label, 8 and 16 bit as they are, masks that are missing or soft refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from GANSegmentationLib.datasets import Dataset, prepare
from GANSegmentationLib.errors import GANSegmentationError

LEFT, RIGHT = np.zeros((20, 24), np.uint8), np.zeros((20, 24), np.uint8)
LEFT[5:15, 14:20] = 255
RIGHT[4:16, 3:15] = 255  # they overlap by a column


def _picture(kind: type, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(kind).max, LEFT.shape).astype(kind)


def _write(folder: Path, name: str, picture: np.ndarray) -> None:
    for place, array in (("CXR_png", picture), ("ManualMask/leftMask", LEFT), ("ManualMask/rightMask", RIGHT)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / place / f"{name}.png")


def _prepare(folder: Path, output: Path) -> Dataset:
    return prepare([("chest_xray", folder)], output, labels={1: "Lung"})


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_both_lungs_are_one_label_and_grey_values_stay(kind: type, tmp_path: Path) -> None:
    picture = _picture(kind)
    _write(tmp_path / "in", "MCUCXR_0001_0", picture)
    Image.fromarray(RIGHT > 0).save(tmp_path / "in" / "ManualMask" / "rightMask" / "MCUCXR_0001_0.png")  # 1 bit
    dataset = _prepare(tmp_path / "in", tmp_path / "out")
    (case,) = dataset.cases
    assert (case.id, case.patient, case.modality, case.is_volume) == (
        "cxr_MCUCXR_0001_0",
        "cxr_MCUCXR_0001_0",
        "DX",
        False,
    )
    assert dataset.images(case).dtype == kind
    np.testing.assert_array_equal(dataset.images(case)[0], picture)
    np.testing.assert_array_equal(dataset.masks(case)[0], (LEFT > 0) | (RIGHT > 0))


def test_masks_of_both_lungs_together_are_read_too(tmp_path: Path) -> None:
    for name, mask in (("CHNCXR_0001_0", "CHNCXR_0001_0_mask"), ("MCUCXR_0002_0", "MCUCXR_0002_0")):
        for place, file, array in (("CXR_png", name, np.stack([_picture(np.uint8)] * 3, -1)), ("masks", mask, LEFT)):
            (tmp_path / "in" / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / "in" / place / f"{file}.png")
    dataset = _prepare(tmp_path / "in", tmp_path / "out")
    assert len(dataset.cases) == 2
    for case in dataset.cases:
        np.testing.assert_array_equal(dataset.images(case)[0], _picture(np.uint8))
        np.testing.assert_array_equal(dataset.masks(case)[0], LEFT > 0)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda side: side.unlink(), "leftMask/a.png is not there"),
        (lambda side: Image.fromarray(LEFT // 2).save(side), "127"),
        (lambda side: Image.fromarray(LEFT[:, 1:]).save(side), r"a\.png.*20, 23"),
        (lambda side: Image.fromarray(np.stack([LEFT, RIGHT, LEFT], -1)).save(side), "colours"),
    ],
)
def test_a_mask_that_is_missing_soft_or_of_another_size_is_refused(damage, said: str, tmp_path: Path) -> None:
    _write(tmp_path / "in", "a", _picture(np.uint8))
    damage(tmp_path / "in" / "ManualMask" / "leftMask" / "a.png")
    with pytest.raises(GANSegmentationError, match=said) as caught:
        _prepare(tmp_path / "in", tmp_path / "out")
    assert caught.value.code == "invalid_source"


def test_a_picture_with_its_ending_in_capitals_is_found(tmp_path: Path) -> None:
    _write(tmp_path / "in", "a", _picture(np.uint8))
    for path in list((tmp_path / "in").rglob("a.png")):
        path.rename(path.with_suffix(".PNG"))
    assert [case.id for case in _prepare(tmp_path / "in", tmp_path / "out").cases] == ["cxr_a"]
