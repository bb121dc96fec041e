"""Electron micrographs: labels from the masks' two conventions, and blocks of sections in the place of patients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from GANSegmentationLib.datasets import Dataset, check_dataset, labels_of, prepare, random_patient_split
from GANSegmentationLib.datasets.importers.microscopy import BLOCK
from GANSegmentationLib.errors import GANSegmentationError
from Testing.layouts import write_isbi_section, write_vnc_section


@pytest.fixture
def vnc(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(10):
        write_vnc_section(tmp_path / "vnc", number, rng)
    return tmp_path / "vnc"


@pytest.fixture
def isbi(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for number in range(11):
        write_isbi_section(tmp_path / "isbi", number, rng)
    return tmp_path / "isbi"


def _prepared(layout: str, folder: Path, output: Path) -> Dataset:
    return prepare([(layout, folder)], output, labels=labels_of([layout]))


def test_mitochondria_are_one_membranes_two_and_a_pixel_of_both_is_mitochondrion(vnc: Path, tmp_path: Path) -> None:
    dataset = _prepared("em_vnc", vnc, tmp_path / "out")
    assert dataset.labels == {1: "Mitochondria", 2: "Membranes"} and check_dataset(dataset) == []
    case = dataset.cases[1]
    mask = dataset.masks(case)[1]  # section 5
    mitochondria = np.asarray(Image.open(vnc / "05_mito.png")) > 0
    membranes = np.asarray(Image.open(vnc / "05_membrane.png"))
    assert (mitochondria & membranes).any()
    np.testing.assert_array_equal(mask == 1, mitochondria)
    np.testing.assert_array_equal(mask == 2, membranes & ~mitochondria)
    np.testing.assert_array_equal(dataset.images(case)[1], np.asarray(Image.open(vnc / "05.png")))


def test_what_is_not_a_cells_interior_is_membrane(isbi: Path, tmp_path: Path) -> None:
    dataset = _prepared("em_isbi2012", isbi, tmp_path / "out")
    case = dataset.by_id["isbi2012_08_11"]
    assert case.slices == 3 and case.slice_index == (8, 9, 10), "numbers and not words decide the order"
    np.testing.assert_array_equal(
        dataset.masks(case)[2], np.where(np.asarray(Image.open(isbi / "label" / "10.png")) == 0, 2, 0)
    )
    assert set(np.unique(dataset.masks(case))) == {0, 2}


def test_blocks_of_neighbouring_sections_stand_for_patients(vnc: Path, tmp_path: Path) -> None:
    dataset = _prepared("em_vnc", vnc, tmp_path / "out")
    assert [case.id for case in dataset.cases] == ["vnc_00_03", "vnc_04_07", "vnc_08_11"]
    assert [case.slice_index for case in dataset.cases] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]
    assert all(case.patient == case.id and case.is_volume and case.modality == "OT" for case in dataset.cases)
    assert all(case.spacing_zyx is None for case in dataset.cases), "nothing is measured in millimetres"
    split = random_patient_split(dataset, fraction=0.34, seed=0)
    held_out = {index for name in split.validation for index in dataset.by_id[name].slice_index}
    for start in sorted(held_out):
        block = {number for number in range(start // BLOCK * BLOCK, start // BLOCK * BLOCK + BLOCK) if number < 10}
        assert block <= held_out


def test_a_section_is_in_the_same_block_in_every_copy(vnc: Path, tmp_path: Path) -> None:
    for number in (0, 1, 2):
        for path in vnc.glob(f"{number:02d}*"):
            path.unlink()
    dataset = _prepared("em_vnc", vnc, tmp_path / "out")
    assert dataset.by_id["vnc_00_03"].slice_index == (3,) and dataset.by_id["vnc_04_07"].slices == 4


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "02_mito.png").unlink(), "02_mito"),
        (lambda folder: (folder / "02.png").write_bytes(b"none"), "02.png"),
        (lambda folder: Image.fromarray(np.full((64, 64), 90, np.uint8)).save(folder / "02_membrane.png"), "90"),
        (lambda folder: Image.fromarray(np.zeros((64, 60), np.uint8)).save(folder / "02.png"), "one size"),
        (lambda folder: Image.fromarray(np.zeros((64, 64), np.uint16)).save(folder / "02.png"), "8-bit"),
        (lambda folder: Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "02.png"), "dimensions"),
    ],
)
def test_a_damaged_section_is_refused_by_name(
    vnc: Path, tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(vnc)
    with pytest.raises(GANSegmentationError, match=said) as caught:
        _prepared("em_vnc", vnc, tmp_path / "out")
    assert caught.value.code == "invalid_source" and "02" in str(caught.value)
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.real_data
def test_the_real_sections_are_read_whole(shared_data: Path, tmp_path: Path) -> None:
    sources = [("em_vnc", shared_data / "em_vnc"), ("em_isbi2012", shared_data / "em_isbi2012")]
    dataset = prepare(sources, tmp_path, labels=labels_of(["em_vnc", "em_isbi2012"]))
    assert check_dataset(dataset) == []
    slices = {source: sum(case.slices for case in dataset.cases if case.source == source) for source, _ in sources}
    assert slices == {"em_vnc": 14, "em_isbi2012": 15}
    assert len(dataset.cases) == 8
    for case in dataset.cases:
        image, mask = np.asarray(dataset.images(case)), np.asarray(dataset.masks(case))
        assert case.shape == ((1024, 1024) if case.source == "em_vnc" else (512, 512))
        assert image[mask == 2].mean() < image[mask == 0].mean() - 20, "membranes are stained dark"
        assert 0.15 < (mask == 2).mean() < 0.3
        assert ((mask == 1).mean() > 0.02) == (case.source == "em_vnc")
