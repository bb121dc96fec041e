"""The score of a painter on validation patients, and the picture of what it paints."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from GANSegmentationLib.datasets import Dataset, patient_split
from GANSegmentationLib.datasets.slices import SliceDataset
from GANSegmentationLib.objectives import build
from GANSegmentationLib.training import Preset
from GANSegmentationLib.training.data import validation_slices
from GANSegmentationLib.training.watching.judging import judge
from GANSegmentationLib.training.watching.run_log import sample_keys
from GANSegmentationLib.training.watching.validation_synthesis import (
    case_similarities,
    patient_scores,
    synthesis_picture,
    validate_synthesis,
)
from Testing.painter import painter_preset

CPU = torch.device("cpu")


class Painter(nn.Module):
    """Paints by a rule, and keeps what it was given."""

    def __init__(self, rule: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rule = rule
        self.given: list[Tensor] = []
        self.modes: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.given.append(x)
        self.modes.append(self.training)
        return self.rule(x)


def tissue(x: Tensor) -> Tensor:
    """Liver as bright as the miniature's, the rest as its body, with a grain."""
    grain = 0.05 * torch.randn(len(x), 1, *x.shape[2:], generator=torch.Generator().manual_seed(0))
    return (-0.4 + 0.6 * x[:, :1] + grain).clamp(-1, 1)


@pytest.fixture(scope="module")
def slices(dataset: Dataset) -> SliceDataset:
    preset = Preset.from_dict(painter_preset())
    return validation_slices(preset, dataset, patient_split(dataset, validation=preset.data.validation_patients))


@pytest.fixture
def objective():
    return build("synthesis", painter_preset()["objective"]["config"])


def test_who_paints_organs_scores_higher_than_who_paints_fog_or_noise(slices, objective):
    scores = {}
    for name, rule in {
        "tissue": tissue,
        "fog": lambda x: torch.full_like(x[:, :1], -0.2),
        "noise": lambda x: torch.rand(len(x), 1, *x.shape[2:], generator=torch.Generator().manual_seed(1)) * 2 - 1,
    }.items():
        found = validate_synthesis(Painter(rule), objective, slices, CPU)
        assert set(found) == {"lits_v00", "msd_c004"} and max(found.values()) <= 1
        scores[name] = np.mean(list(found.values()))
    assert scores["tissue"] > scores["fog"] + 0.05 and scores["tissue"] > scores["noise"] + 0.05


def test_only_slices_with_a_mask_count_and_a_patients_cases_are_averaged(slices, objective):
    painter = Painter(tissue)
    similarities = case_similarities(painter, objective, slices, CPU)
    # lits_v00 has six slices, the middle four with liver; msd_c001 is the same patient.
    assert {each.case: each.slices for each in similarities} == {"lits_v00": 4, "msd_c001": 2, "msd_c004": 2}
    assert all(given[:, 0].flatten(1).any(dim=1).all() for given in painter.given)
    scores = {each.case: each.score for each in similarities}
    assert patient_scores(similarities)["lits_v00"] == pytest.approx((scores["lits_v00"] + scores["msd_c001"]) / 2)
    assert patient_scores(similarities, "lits_slices") == {"lits_v00": scores["lits_v00"]}
    assert validate_synthesis(painter, objective, slices, CPU, source="nothing") == {}


def test_noise_is_the_same_every_time_and_the_generators_mode_comes_back(slices, objective):
    painter = Painter(tissue).train()
    first = case_similarities(painter, objective, slices, CPU)
    given = painter.given.copy()
    assert case_similarities(painter, objective, slices, CPU) == first
    for one, two in zip(given, painter.given[len(given) :], strict=True):
        torch.testing.assert_close(one, two)
        assert one[:, 1].std() > 0.9, "the second channel is noise"
    assert painter.training and not any(painter.modes)


def test_the_picture_shows_mask_painted_and_real(slices, objective):
    keys = sample_keys(slices, 2)
    png = synthesis_picture(Painter(lambda x: 0 * x[:, :1] + 0.5), objective, slices, keys, CPU)
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    # Slices of 64 pixels are shown three times as large, beside each other.
    assert picture.shape[1] > 3 * 192 and picture.shape[0] > 2 * 192
    assert (picture == 191).sum() >= 2 * 192 * 192, "the painted column has one grey, 0.75 of white"


def test_the_loops_judge_takes_the_score_and_the_picture(slices, objective):
    painter = Painter(tissue)
    verdict = judge(objective, painter, slices, sample_keys(slices, 2), CPU, source="lits_slices")
    expected = validate_synthesis(painter, objective, slices, CPU, source="lits_slices")
    assert verdict.score == pytest.approx(expected["lits_v00"])
    assert verdict.picture.startswith(b"\x89PNG")


def test_an_objective_that_paints_nothing_is_refused(slices, supervised_json):
    objective = build("supervised", supervised_json["objective"]["config"])
    with pytest.raises(TypeError, match="supervised"):
        validate_synthesis(Painter(tissue), objective, slices, CPU)
