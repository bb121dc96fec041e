"""Side-by-side pairs: those of others read, ours written and read back to the same dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from GANSegmentationLib.datasets import Dataset, Source, labels_of, prepare
from GANSegmentationLib.datasets.pair_export import write_pairs
from GANSegmentationLib.errors import GANSegmentationError
from Testing.scan_layouts import patient, write_chaos_ct, write_chaos_mr

IMAGE = np.random.default_rng(0).integers(0, 256, (8, 10)).astype(np.uint8)
MASK = np.zeros((8, 10), np.uint8)
MASK[2:5, 1:4] = 255


def _read(folder: Path, output: Path, **options: str) -> Dataset:
    source = Source("pairs", folder, options)
    return prepare([source], output, labels=labels_of([source]))


def _pair(path: Path, left: np.ndarray, right: np.ndarray, *, colour: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pair = np.concatenate([left, right], axis=1)
    Image.fromarray(np.stack([pair] * 3, axis=-1) if colour else pair).save(path)


@pytest.mark.parametrize("colour", [False, True])
def test_a_pair_is_an_image_on_the_left_and_its_mask_on_the_right(colour: bool, tmp_path: Path) -> None:
    _pair(tmp_path / "in" / "train" / "p1_7.png", IMAGE, MASK, colour=colour)
    _pair(tmp_path / "in" / "test" / "p1_7.png", IMAGE[::-1], MASK[::-1], colour=colour)
    dataset = _read(tmp_path / "in", tmp_path / "out", label="Liver", modality="CT")
    assert [case.id for case in dataset.cases] == ["in_test_p1_7", "in_train_p1_7"] and dataset.labels == {1: "Liver"}
    case = dataset.by_id["in_train_p1_7"]
    np.testing.assert_array_equal(dataset.images(case)[0], IMAGE)
    np.testing.assert_array_equal(dataset.masks(case)[0], MASK > 0)
    assert len({case.patient for case in dataset.cases}) == 2
    named = _read(tmp_path / "in", tmp_path / "named", patient=r"^(p\d+)_")
    assert {case.patient for case in named.cases} == {"in_p1"}, "a patient of both folders stays one"
    other = _read(tmp_path / "in", tmp_path / "other", mask_side="left", values="nonzero")
    np.testing.assert_array_equal(other.images(other.by_id["in_train_p1_7"])[0], MASK)


@pytest.mark.parametrize(
    ("left", "right", "name", "said"),
    [
        (IMAGE, MASK // 3 * 2 + IMAGE // 9, "a.png", "what they mean"),
        (IMAGE, MASK[:, 1:], "a.png", "19 columns"),
        (IMAGE.astype(np.uint16), MASK.astype(np.uint16), "a.png", "uint16"),
        (IMAGE, MASK, "a.jpg", "JPEG"),
    ],
)
def test_what_is_no_pair_is_refused(left: np.ndarray, right: np.ndarray, name: str, said: str, tmp_path: Path) -> None:
    _pair(tmp_path / "in" / name, left, right)
    with pytest.raises(GANSegmentationError, match=said) as caught:
        _read(tmp_path / "in", tmp_path / "out")
    assert caught.value.code == "invalid_source"


def _same(first: Dataset, second: Dataset) -> None:
    for case in first.cases:
        other = second.by_id[case.id]
        np.testing.assert_array_equal(first.masks(case), second.masks(other))
        for name in ("patient", "modality", "unit", "slice_index", "is_volume", "licence"):
            assert getattr(case, name) == getattr(other, name), name
    assert dict(first.labels) == dict(second.labels) and len(first.cases) == len(second.cases)


def test_eight_bit_slices_come_back_exactly(layouts_folder: Path, tmp_path: Path) -> None:
    dataset = prepare([("lits_slices", layouts_folder / "lits")], tmp_path / "out", labels={1: "Liver"})
    write_pairs(dataset, tmp_path / "pairs", validation={"lits_v02"})
    assert {path.name for path in (tmp_path / "pairs").iterdir()} == {"train", "val", "pairs.json"}
    assert len(list((tmp_path / "pairs" / "val").iterdir())) == 6
    pair = np.asarray(Image.open(tmp_path / "pairs" / "train" / "lits_v01_0002.png"))
    np.testing.assert_array_equal(pair[:, :64], dataset.images(dataset.by_id["lits_v01"])[2])
    np.testing.assert_array_equal(pair[:, 64:], np.asarray(dataset.masks(dataset.by_id["lits_v01"])[2]) * 255)
    again = _read(tmp_path / "pairs", tmp_path / "again")
    _same(dataset, again)
    assert [case.fingerprint for case in again.cases] == [case.fingerprint for case in dataset.cases]
    assert [(case.slope, case.intercept) for case in again.cases] == [(200 / 255, -40.0)] * 4
    foreign = json.loads((tmp_path / "pairs" / "pairs.json").read_text())
    assert "grey values as they were stored" in foreign["window"]


def test_hounsfield_units_go_through_the_window_that_is_said(tmp_path: Path) -> None:
    write_chaos_ct(tmp_path / "in" / "1")
    dataset = prepare([("chaos_ct", tmp_path / "in")], tmp_path / "out", labels={1: "Liver"})
    with pytest.raises(GANSegmentationError, match="--window") as caught:
        write_pairs(dataset, tmp_path / "pairs")
    assert caught.value.code == "no_pairs" and not (tmp_path / "pairs").exists()
    write_pairs(dataset, tmp_path / "pairs", window=(-100.0, 300.0))
    again = _read(tmp_path / "pairs", tmp_path / "again")
    _same(dataset, again)
    case = again.cases[0]
    values = again.images(case) * case.slope + case.intercept
    step = 400 / 255
    assert np.abs(values - np.clip(patient()[0], -100, 300)).max() <= step / 2 + 1e-6
    assert case.value_range == (-100.0, 300.0) and case.spacing_zyx == pytest.approx((4.0, 1.5, 1.25))
    assert "-100 to 300 HU" in json.loads((tmp_path / "pairs" / "pairs.json").read_text())["window"]


def test_four_organs_have_the_grey_values_of_the_challenge(tmp_path: Path) -> None:
    write_chaos_mr(tmp_path / "in" / "1")
    source = ("chaos_mr", tmp_path / "in")
    dataset = prepare([source], tmp_path / "out", labels=labels_of(["chaos_mr"]))
    write_pairs(dataset, tmp_path / "pairs")
    greys = {
        value
        for path in (tmp_path / "pairs").glob("*.png")
        for value in np.unique(np.asarray(Image.open(path))[:, 10:])
    }
    assert greys == {0, 63, 126, 189, 252}
    again = _read(tmp_path / "pairs", tmp_path / "again")
    _same(dataset, again)
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in (tmp_path / "pairs").glob("*.png"):
        (plain / path.name).write_bytes(path.read_bytes())
    foreign = _read(plain, tmp_path / "foreign", values="63=Liver,126=Right kidney,189=Left kidney,252=Spleen")
    assert dict(foreign.labels) == dict(dataset.labels) and len(foreign.cases) == 5


def test_a_folder_that_holds_something_is_left_alone(layouts_folder: Path, tmp_path: Path) -> None:
    dataset = prepare([("lits_slices", layouts_folder / "lits")], tmp_path / "out", labels={1: "Liver"})
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "mine.txt").write_text("mine")
    with pytest.raises(GANSegmentationError) as caught:
        write_pairs(dataset, tmp_path / "pairs")
    assert caught.value.code == "folder_not_empty" and [p.name for p in (tmp_path / "pairs").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "change",
    [
        lambda listing: listing.update(schema=2),
        lambda listing: listing["cases"][0].update(files=["../x.png"] * 6),
        lambda listing: listing["cases"][0].update(id="../x"),
        lambda listing: listing["cases"][0]["slice_index"].pop(),
        lambda listing: listing["cases"][0].update(slope="1"),
    ],
)
def test_a_listing_that_makes_no_sense_is_refused(layouts_folder: Path, change, tmp_path: Path) -> None:
    dataset = prepare([("lits_slices", layouts_folder / "lits")], tmp_path / "out", labels={1: "Liver"})
    write_pairs(dataset, tmp_path / "pairs")
    listing = json.loads((tmp_path / "pairs" / "pairs.json").read_text())
    change(listing)
    (tmp_path / "pairs" / "pairs.json").write_text(json.dumps(listing))
    with pytest.raises(GANSegmentationError, match=r"pairs\.json") as caught:
        _read(tmp_path / "pairs", tmp_path / "again")
    assert caught.value.code == "invalid_source"


def test_pairs_in_other_folders_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    _pair(tmp_path / "in" / "train" / "a.png", IMAGE, MASK)
    _pair(tmp_path / "in" / "site" / "b.png", IMAGE, MASK)
    with pytest.raises(GANSegmentationError, match=r"1 files in sub-folders .* site/b.png"):
        _read(tmp_path / "in", tmp_path / "out")
