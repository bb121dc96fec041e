"""The judgement after an epoch: one score, further figures, and a picture."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.datasets.slices import SliceDataset, SliceView
from GANSegmentationLib.objectives import build
from GANSegmentationLib.slicing import SliceSpec, Window
from GANSegmentationLib.training.watching.judging import Verdict, judge
from GANSegmentationLib.training.watching.run_log import sample_keys
from GANSegmentationLib.training.watching.validation import mean_dice, validate
from Testing.training.conftest import GENERATOR

SPEC = SliceSpec("axial", 1, 64, 8, Window(0, 160))
CPU = torch.device("cpu")


class _Threshold(nn.Module):
    """Foreground above so many HU, as a raw score."""

    def __init__(self, hu: float) -> None:
        super().__init__()
        self.hu = hu

    def forward(self, image: Tensor) -> Tensor:
        return (image[:, :1] - (self.hu / 80 - 1)) * 50


def _judged(dataset: Dataset, hu: float, source: str | None = None, **view: Any) -> Verdict:
    slices = SliceDataset(dataset, SPEC, view=SliceView(**view))
    objective = build("supervised", {"generator": GENERATOR})
    return judge(objective, _Threshold(hu), slices, sample_keys(slices), CPU, source=source)


def test_a_segmentation_is_judged_by_its_dice(dataset: Dataset) -> None:
    slices = SliceDataset(dataset, SPEC)
    results = validate(_Threshold(60), "pix2pix_modern", slices, CPU)
    verdict = _judged(dataset, 60, "lits_slices")
    assert verdict.score == pytest.approx(mean_dice(results, "lits_slices")) and 0 < verdict.score < 1
    assert verdict.columns == {
        "dice_lits_slices": pytest.approx(mean_dice(results, "lits_slices")),
        "dice_msd_slices": pytest.approx(mean_dice(results, "msd_slices")),
        "missed_cases": 0.0,
    }
    assert Image.open(io.BytesIO(verdict.picture)).width > 3 * 64


def test_cases_of_which_nothing_is_found_are_counted(dataset: Dataset) -> None:
    nothing = _judged(dataset, 10_000)
    assert nothing.score == 0.0 and nothing.columns["missed_cases"] == 1.0
    one_source = _judged(dataset.subset(["lits_v01"]), 60)
    assert set(one_source.columns) == {"missed_cases"}, "one source is what the score says already"


def test_cases_with_nothing_to_find_are_not_missed(dataset: Dataset) -> None:
    # No slice has a third label: there is nothing to find, and nothing found.
    verdict = _judged(dataset, 10_000, labels=(3,))
    assert math.isnan(verdict.score) and math.isnan(verdict.columns["missed_cases"])
