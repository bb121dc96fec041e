"""The means of an epoch's steps."""

from __future__ import annotations

import pytest
import torch

from GANSegmentationLib.training.steps.means import Means
from GANSegmentationLib.training.steps.processes import Processes


def test_each_term_has_the_mean_of_the_steps_that_had_it() -> None:
    means = Means()
    means.add({"critic/gap": torch.tensor(1.0)})
    means.add({"critic/gap": torch.tensor(2.0), "generator/total": torch.tensor(8.0)})
    means.add({})
    means.add({"critic/gap": torch.tensor(6.0)})
    found = means.over(Processes(torch.device("cpu")))
    assert found == {"critic/gap": pytest.approx(3.0), "generator/total": pytest.approx(8.0)}


def test_without_a_step_there_is_nothing() -> None:
    assert Means().over(Processes(torch.device("cpu"))) == {}
