"""The log of a run and its pictures."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.datasets.slices import SliceDataset, SliceKey
from GANSegmentationLib.slicing import SliceSpec, Window
from GANSegmentationLib.training.watching.run_log import RunLog, sample_keys, sample_picture

SPEC = SliceSpec("axial", 1, 64, 8, Window(0, 160))


def _row(epoch: int, **more: float) -> dict[str, float]:
    return {"epoch": epoch, "dice": 0.1 * epoch, "generator/total": 1.0 / epoch, **more}


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_epoch_is_a_line_in_the_order_of_the_run(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for epoch in (1, 2, 3):
        log.add(_row(epoch))
        assert [float(row["epoch"]) for row in _rows(tmp_path)] == list(range(1, epoch + 1))
    assert float(_rows(tmp_path)[1]["generator/total"]) == 0.5
    assert next(iter(_rows(tmp_path)[0])) == "epoch"


def test_a_resumed_log_repeats_nothing_and_forgets_nothing(tmp_path: Path) -> None:
    first = RunLog(tmp_path)
    first.add(_row(1))
    first.add(_row(2))  # an epoch that was logged and then lost with the process
    again = RunLog(tmp_path, first.rows[:1])
    again.add(_row(2, extra=4.0))
    rows = _rows(tmp_path)
    assert [float(row["epoch"]) for row in rows] == [1, 2]
    assert float(rows[1]["extra"]) == 4.0 and rows[0]["extra"] in ("", "nan")


def test_the_history_is_a_copy() -> None:
    history = [_row(1)]
    log = RunLog(Path(), history)
    history[0]["dice"] = 9.0
    history.append(_row(2))
    assert log.rows == [_row(1)]


def test_curves_are_drawn_of_losses_and_of_scores(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.add(_row(1, dice_lits_slices=0.2))
    log.add(_row(2, dice_lits_slices=float("nan")))
    losses, scores = ((tmp_path / name).read_text() for name in ("losses.svg", "scores.svg"))
    assert losses.startswith("<svg") and "generator/total" in losses and "dice" not in losses
    assert "dice_lits_slices" in scores and "generator/total" not in scores


def test_a_loss_that_becomes_negative_is_drawn_too(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.add(_row(1, **{"critic/total": 0.5}))
    log.add(_row(2, **{"critic/total": -3.0}))
    drawn = (tmp_path / "losses.svg").read_text()
    assert drawn.count("<circle") == 4, "two points of either"


class _Threshold(nn.Module):
    """Foreground above 110 HU, as a raw score."""

    def forward(self, image: Tensor) -> Tensor:
        return (image[:, :1] - (110 / 80 - 1)) * 50


def test_a_sample_shows_image_mask_and_what_was_found(dataset: Dataset) -> None:
    slices = SliceDataset(dataset, SPEC)
    keys = [SliceKey("lits_v01", 2), SliceKey("msd_c002", 0)]
    network = _Threshold().train()
    png = sample_picture(network, "pix2pix_modern", slices, keys, torch.device("cpu"))
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("L"), dtype=float)
    assert picture.shape[0] > 2 * 64 and picture.shape[1] > 3 * 64
    assert network.training, "the network is left as it was"
    again = sample_picture(network, "pix2pix_modern", slices, keys, torch.device("cpu"))
    assert again == png, "the same weights make the same picture"


def test_samples_are_the_fullest_slices_of_different_cases_and_always_the_same(dataset: Dataset) -> None:
    slices = SliceDataset(dataset, SPEC)
    keys = sample_keys(slices, 4)
    assert keys == sample_keys(slices, 4) and len({key.case for key in keys}) == 4
    for key in keys:
        counts = dataset.by_id[key.case].foreground
        assert counts[key.position] == max(counts) and key.seed is None
    assert len(sample_keys(slices, 100)) == len(dataset.cases)


def test_cases_without_foreground_are_no_samples(dataset: Dataset) -> None:
    empty = replace(dataset.by_id["lits_v01"], foreground=(0,) * 6)
    only = Dataset(dataset.folder, (empty, dataset.by_id["lits_v02"]), dataset.labels)
    assert [key.case for key in sample_keys(SliceDataset(only, SPEC))] == ["lits_v02"]
