"""Painting with a package: bounded, by seed, whatever else is painted with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from GANSegmentationLib.datasets import Dataset, prepare, same_patients
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference.synthesise import Synthesiser
from GANSegmentationLib.models import open_package
from Testing.painter import write_painter
from Testing.tiny_model import write_tiny_package


@pytest.fixture(scope="module")
def dataset(layouts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare(
        [("lits_slices", layouts_folder / "lits"), ("msd_slices", layouts_folder / "msd")],
        tmp_path_factory.mktemp("prepared"),
        labels={1: "Liver"},
        msd_to_lits=same_patients(layouts_folder / "same.json"),
    )


@pytest.fixture
def masks() -> torch.Tensor:
    masks = torch.zeros(5, 64, 64, dtype=torch.int64)
    for number in range(5):
        masks[number, 10 : 30 + 4 * number, 20:40] = 1
    return masks


def test_a_mask_and_a_seed_make_one_picture_whatever_is_painted_with_it(dataset, masks, tmp_path: Path):
    synthesiser = Synthesiser(write_painter(tmp_path / "painter.ganseg", dataset), "cpu")
    assert synthesiser.varies and synthesiser.noise_channels == 1
    together = synthesiser.paint(masks, [3, 1, 4, 1, 5])
    assert together.shape == (5, 64, 64) and together.dtype == torch.float32 and together.abs().max() <= 1
    torch.testing.assert_close(synthesiser.paint(masks[2:3], [4])[0], together[2], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(synthesiser.paint(masks[2:3], [5])[0], together[2], atol=1e-3)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_large_slices_are_painted_in_parts(dataset, masks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synthesiser = Synthesiser(write_painter(tmp_path / "painter.ganseg", dataset), "cpu")
    expected = synthesiser.paint(masks, [1, 2, 3, 4, 5])
    monkeypatch.setattr("GANSegmentationLib.inference.synthesise._PIXELS_AT_ONCE", 2 * 64 * 64)
    torch.testing.assert_close(synthesiser.paint(masks, [1, 2, 3, 4, 5]), expected, rtol=1e-4, atol=1e-5)


def test_without_noise_a_mask_has_one_picture_unless_dropout_is_left_on(dataset, masks, tmp_path: Path):
    package = write_painter(tmp_path / "painter.ganseg", dataset, noise_channels=0)
    still = Synthesiser(package, "cpu")
    assert not still.varies
    torch.testing.assert_close(still.paint(masks, [1, 2, 3, 4, 5]), still.paint(masks, [9] * 5))
    lively = Synthesiser(package, "cpu", stochastic=True)
    assert lively.varies
    before = torch.random.get_rng_state()
    one, two = lively.paint(masks[:2], [1, 2]), lively.paint(masks[:2], [1, 7])
    torch.testing.assert_close(one[0], two[0])
    assert not torch.allclose(one[1], two[1], atol=1e-3)
    assert torch.equal(torch.random.get_rng_state(), before), "nobody else's random numbers have moved"


def test_a_model_that_segments_cannot_paint(tmp_path: Path):
    with pytest.raises(GANSegmentationError, match="finds masks") as caught:
        Synthesiser(open_package(write_tiny_package(tmp_path / "tiny.ganseg")), "cpu")
    assert caught.value.code == "wrong_task"


def test_every_mask_needs_its_seed(dataset, masks, tmp_path: Path):
    synthesiser = Synthesiser(write_painter(tmp_path / "painter.ganseg", dataset), "cpu")
    with pytest.raises(ValueError, match="5 masks and 2 seeds"):
        synthesiser.paint(masks, [1, 2])
