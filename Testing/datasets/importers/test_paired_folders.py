"""Folders of one's own: images and masks joined by name, values declared, patients found in names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from GANSegmentationLib.datasets import Dataset, Source, labels_of, prepare
from GANSegmentationLib.errors import GANSegmentationError

RNG = np.random.default_rng(0)


def _prepare(folder: Path, output: Path, **options: str) -> Dataset:
    source = Source("paired", folder, options)
    return prepare([source], output, labels=labels_of([source]))


def _write(path: Path, array: np.ndarray, **options: object) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return array


def _mask(*values: int) -> np.ndarray:
    mask = np.zeros((8, 9), np.uint8)
    for row, value in enumerate(values):
        mask[row + 1, 2:6] = value
    return mask


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32])
def test_pictures_keep_their_values(suffix: str, kind: type, tmp_path: Path) -> None:
    if suffix == ".png" and kind not in (np.uint8, np.uint16):
        kind = np.uint8
    image = _write(tmp_path / "in" / "images" / f"a{suffix}", RNG.integers(0, 250, (8, 9)).astype(kind))
    _write(tmp_path / "in" / "masks" / "a.png", _mask(255))
    dataset = _prepare(tmp_path / "in", tmp_path / "out", label="Vessel")
    (case,) = dataset.cases
    np.testing.assert_array_equal(dataset.images(case)[0], image)
    np.testing.assert_array_equal(dataset.masks(case)[0], _mask(1))
    assert dataset.labels == {1: "Vessel"} and case.id == "in_a" and case.patient == "in_a"


def test_a_palette_is_grey_values_of_an_image_and_numbers_of_a_mask(tmp_path: Path) -> None:
    numbers = RNG.integers(0, 3, (8, 9)).astype(np.uint8)
    for kind, greys in (("images", (10, 200, 90)), ("masks", (7, 8, 9))):
        picture = Image.new("P", (9, 8))
        picture.putdata(numbers.ravel().tolist())
        picture.putpalette([channel for grey in greys for channel in (grey, grey, grey)])
        (tmp_path / "in" / kind).mkdir(parents=True)
        picture.save(tmp_path / "in" / kind / "a.png")
    dataset = _prepare(tmp_path / "in", tmp_path / "out", values="1=A,2=B")
    np.testing.assert_array_equal(dataset.images(dataset.cases[0])[0], np.array([10, 200, 90])[numbers])
    np.testing.assert_array_equal(dataset.masks(dataset.cases[0])[0], numbers)


def test_declared_values_become_labels_in_their_order(tmp_path: Path) -> None:
    _write(tmp_path / "in" / "images" / "a.jpg", np.full((8, 9), 90, np.uint8))
    _write(tmp_path / "in" / "masks" / "a.png", _mask(200, 63))
    dataset = _prepare(tmp_path / "in", tmp_path / "out", values="63=Liver, 200=Left kidney, 7=Spleen", modality="MR")
    assert dataset.labels == {1: "Liver", 2: "Left kidney", 3: "Spleen"} and dataset.cases[0].modality == "MR"
    np.testing.assert_array_equal(dataset.masks(dataset.cases[0])[0], _mask(2, 1))
    with pytest.raises(GANSegmentationError, match=r"a\.png.*\[0, 63, 200\], expected 0 and \[63\]"):
        _prepare(tmp_path / "in", tmp_path / "other", values="63=Liver")


def test_several_values_that_nobody_has_declared_are_refused_unless_all_mean_one_thing(tmp_path: Path) -> None:
    _write(tmp_path / "in" / "images" / "a.png", np.full((8, 9), 90, np.uint8))
    _write(tmp_path / "in" / "masks" / "a.png", _mask(1, 2))
    with pytest.raises(GANSegmentationError, match=r"\[0, 1, 2\]"):
        _prepare(tmp_path / "in", tmp_path / "out")
    dataset = _prepare(tmp_path / "in", tmp_path / "out", values="nonzero")
    np.testing.assert_array_equal(dataset.masks(dataset.cases[0])[0], _mask(1, 1))


@pytest.mark.parametrize("values", ["liver", "0=Liver", "1=", "1=a,1=b", "nonzero,1=a"])
def test_values_that_say_nothing_are_refused(values: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(GANSegmentationError, match="values") as caught:
        _prepare(tmp_path, tmp_path / "out", values=values)
    assert caught.value.code == "wrong_option"


def test_patients_are_found_in_names_by_a_regular_expression(tmp_path: Path) -> None:
    for name in ("p1_a", "p1_b", "p2_a"):
        _write(tmp_path / "in" / "images" / f"{name}.png", RNG.integers(0, 250, (8, 9)).astype(np.uint8))
        _write(tmp_path / "in" / "images" / f"{name}_seg.png", _mask(1))
    options = {"masks": "images", "suffix": "_seg", "name": "x"}
    dataset = _prepare(tmp_path / "in", tmp_path / "out", patient=r"^(p\d+)_", **options)
    assert [(case.id, case.patient) for case in dataset.cases] == [
        ("x_p1_a", "x_p1"),
        ("x_p1_b", "x_p1"),
        ("x_p2_a", "x_p2"),
    ]
    with pytest.raises(GANSegmentationError, match="no patient is found"):
        _prepare(tmp_path / "in", tmp_path / "other", patient=r"^(q\d+)_", **options)
    with pytest.raises(GANSegmentationError, match="regular expression") as caught:
        _prepare(tmp_path / "in", tmp_path / "other", patient="(", **options)
    assert caught.value.code == "wrong_option"


def _pages(path: Path) -> None:
    pages = [Image.fromarray(np.zeros((8, 9), np.uint8)) for _ in range(2)]
    pages[0].save(path, save_all=True, append_images=pages[1:])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "masks" / "a.png").unlink(), r"masks.*one mask \(none\)"),
        (lambda folder: (folder / "images" / "a.png").unlink(), r"images.*one image \(none\)"),
        (lambda folder: _write(folder / "images" / "a.tif", _mask(1)), r"images.*a\.png, a\.tif"),
        (lambda folder: _write(folder / "masks" / "a.png", _mask(1)[1:]), r"a\.png.*7, 9"),
        (lambda folder: (folder / "masks" / "a.png").rename(folder / "masks" / "a.jpg"), "JPEG"),
        (
            lambda folder: _write(folder / "images" / "a.png", RNG.integers(0, 9, (8, 9, 3)).astype(np.uint8)),
            "colours",
        ),
        (lambda folder: ((folder / "images" / "a.png").unlink(), _pages(folder / "images" / "a.tif")), "2 pictures"),
    ],
)
def test_an_incomplete_or_damaged_pair_is_named(damage, said: str, tmp_path: Path) -> None:
    _write(tmp_path / "in" / "images" / "a.png", RNG.integers(0, 250, (8, 9)).astype(np.uint8))
    _write(tmp_path / "in" / "masks" / "a.png", _mask(1))
    damage(tmp_path / "in")
    with pytest.raises(GANSegmentationError, match=said) as caught:
        _prepare(tmp_path / "in", tmp_path / "out")
    assert caught.value.code == "invalid_source"


def test_an_option_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GANSegmentationError, match="colour") as caught:
        _prepare(tmp_path, tmp_path / "out", colour="red")
    assert caught.value.code == "wrong_option"


def test_files_in_sub_folders_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    for name in ("a.png", "site/b.png", ".cache/c.png"):
        _write(tmp_path / "in" / "images" / name, RNG.integers(0, 250, (8, 9)).astype(np.uint8))
        _write(tmp_path / "in" / "masks" / name, _mask(255))
    with pytest.raises(GANSegmentationError, match=r"2 files in sub-folders .* images/site/b.png"):
        _prepare(tmp_path / "in", tmp_path / "out")
