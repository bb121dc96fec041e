"""The Dice that decides which weights are best."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.datasets.slices import SliceDataset, SliceView
from GANSegmentationLib.slicing import SliceSpec, Window
from GANSegmentationLib.training.watching.validation import CaseDice, mean_dice, validate

SPEC = SliceSpec("axial", 1, 64, 8, Window(0, 160))


class _Threshold(nn.Module):
    """Foreground above `hu`; remembers the mode it was called in."""

    def __init__(self, hu: float) -> None:
        super().__init__()
        self.hu = hu
        self.modes: set[bool] = set()

    def forward(self, image: Tensor) -> Tensor:
        self.modes.add(self.training)
        return image - (self.hu / 80 - 1)


def test_it_is_the_dice_of_the_whole_case_over_all_foreground(dataset: Dataset) -> None:
    network = _Threshold(70.0).train()
    results = validate(network, "pix2pix_modern", SliceDataset(dataset, SPEC), torch.device("cpu"))
    assert [result.case for result in results] == [case.id for case in dataset.cases]
    for case, result in zip(dataset.cases, results, strict=True):
        hu = np.asarray(dataset.images(case), np.float32) * np.float32(case.slope) + np.float32(case.intercept)
        found, truth = hu > 70, np.asarray(dataset.masks(case)) > 0
        assert result.dice == pytest.approx(2 * (found & truth).sum() / (found.sum() + truth.sum()), abs=2e-3)
        assert (result.patient, result.source) == (case.patient, case.source)
    assert network.modes == {False} and network.training, "judged in eval mode, and left as it was"


def test_finding_nothing_of_something_is_zero(dataset: Dataset) -> None:
    slices = SliceDataset(dataset.subset(["lits_v01"]), SPEC)
    assert validate(_Threshold(1000.0), "pix2pix_modern", slices, torch.device("cpu"))[0].dice == 0.0


def _result(case: str, dice: float, patient: str = "", source: str = "lits_slices") -> CaseDice:
    return CaseDice(case, patient or case, source, dice)


def test_means_are_over_patients_of_the_source() -> None:
    results = [
        _result("a1", 0.9, "a"),
        _result("a2", 0.7, "a"),
        _result("b", 0.4),
        _result("c", math.nan),
        _result("d", 0.1, source="msd_slices"),
    ]
    assert mean_dice(results, "lits_slices") == pytest.approx((0.8 + 0.4) / 2)
    assert mean_dice(results) == pytest.approx((0.8 + 0.4 + 0.1) / 3)
    assert math.isnan(mean_dice(results, "chaos_ct")) and math.isnan(mean_dice([_result("c", math.nan)]))


class _Classes(nn.Module):
    """Finds class 1 everywhere that `masks` has class 1, and class 2 nowhere."""

    def forward(self, image: Tensor) -> Tensor:
        first = (image > 0).float() * 4 - 2
        return torch.cat((torch.zeros_like(first), first, torch.full_like(first, -5.0)), dim=1)


def test_several_classes_count_one_by_one(dataset: Dataset) -> None:
    case = dataset.by_id["lits_v01"]
    slices = SliceDataset(dataset.subset([case.id]), SPEC, view=SliceView(labels=(1, 2)))
    hu = np.asarray(dataset.images(case), np.float32) * np.float32(case.slope) + np.float32(case.intercept)
    found, truth = hu > 80, np.asarray(dataset.masks(case)) == 1
    dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    # Class 2 is in no mask of this case and never found: it says nothing, and does not halve the mean.
    result = validate(_Classes(), "unet", slices, torch.device("cpu"))
    assert result[0].dice == pytest.approx(dice, abs=3e-3)
    swapped = SliceDataset(dataset.subset([case.id]), SPEC, view=SliceView(labels=(2, 1)))
    assert validate(_Classes(), "unet", swapped, torch.device("cpu"))[0].dice == 0.0


class _Domain(nn.Module):
    """Remembers the domain vectors it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[float]] = []

    def forward(self, image: Tensor, domain: Tensor) -> Tensor:
        self.seen += domain.tolist()
        return image


def test_a_network_of_domains_is_told_each_case_s_own(dataset: Dataset) -> None:
    network = _Domain()
    slices = SliceDataset(dataset.subset(["lits_v01"]), SPEC, view=SliceView(domains=("MR", "CT")))
    validate(network, "uagan_generator", slices, torch.device("cpu"))
    assert network.seen == [[0.0, 1.0]] * 6
