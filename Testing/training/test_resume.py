"""A run that was stopped and goes on is the run that was never stopped, to the last bit, whatever it remembers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.training import Preset, RunOptions, Trainer
from GANSegmentationLib.training.checkpoint import load_checkpoint, save_checkpoint
from GANSegmentationLib.training.folder import LOCK
from GANSegmentationLib.volumes.lock import locked
from Testing.training.conftest import GENERATOR, assert_same_state, tiny_preset

OPTIMISER: dict[str, Any] = {"name": "adam", "lr": 0.002, "betas": [0.5, 0.999]}


def _conditional() -> dict[str, Any]:
    """Dropout, noise, augmentation, momentum of every kind, an average, and a batch in parts."""
    optimisers = {
        "generator": {"name": "rmsprop", "lr": 0.001, "momentum": 0.9, "encoder_lr_factor": 0.1},
        "discriminator": {"name": "sgd", "lr": 0.001, "momentum": 0.9},
    }
    return tiny_preset() | {"accumulate": 2, "optimisers": optimisers}


def _cycle() -> dict[str, Any]:
    """Four networks, buffers of what was painted before, a second stream of samples, and a patient without masks."""
    config = {
        "generator": GENERATOR,
        "painter": {"name": "cyclegan_resnet_image", "config": {"width": 4, "blocks": 1}},
        "mask_discriminator": {"name": "cyclegan_discriminator", "config": {"width": 4}},
        "image_discriminator": {"name": "cyclegan_image_discriminator", "config": {"width": 4}},
        "buffer": 3,
    }
    plain = tiny_preset("supervised") | {"objective": {"name": "cycle", "config": config}}
    plain["data"] |= {"streams": {"unpaired": [{"labelled": True}]}, "unlabelled_patients": ["lits_v01"]}
    roles = ("generator", "painter", "mask_discriminator", "image_discriminator")
    return plain | {"optimisers": dict.fromkeys(roles, OPTIMISER)}


def _wasserstein() -> dict[str, Any]:
    """Phases of different rhythm, a penalty that draws random numbers, and a rate that follows the scores."""
    config = {"generator": GENERATOR, "critic": {"name": "lgan_product", "config": {"width": 4}}, "n_critic": 2}
    plain = tiny_preset("supervised") | {"objective": {"name": "wasserstein", "config": config}}
    return plain | {
        "optimisers": {"generator": OPTIMISER, "critic": OPTIMISER},
        "schedule": {"kind": "plateau", "patience": 0, "decay": 0.5},
    }


def _train(plain: dict[str, Any], dataset: Dataset, folder: Path, **options: Any) -> Trainer:
    trainer = Trainer(Preset.from_dict(plain), dataset, folder, replace(RunOptions(accelerator="cpu"), **options))
    trainer.run()
    return trainer


def _disturb() -> None:
    """Whatever happens between two processes must not matter: the checkpoint carries the random generators."""
    torch.manual_seed(99)
    torch.rand(10)
    np.random.seed(99)  # noqa: NPY002 - the global generator is what is tested
    random.seed(99)


@pytest.mark.parametrize("preset", [_conditional, _cycle, _wasserstein])
def test_parts_of_a_run_are_the_whole_to_the_last_bit(
    preset: Callable[[], dict[str, Any]], dataset: Dataset, tmp_path: Path
) -> None:
    # The third step of an epoch of three is not the end of a rhythm of two: the count goes on over the stop.
    plain = preset() | {"epochs": 3, "steps_per_epoch": 3}
    _train(plain, dataset, tmp_path / "whole")
    _train(plain, dataset, tmp_path / "parts", stop_after=1)
    _disturb()
    _train(plain, dataset, tmp_path / "parts", resume=True, stop_after=2, workers=1)
    _disturb()
    _train(plain, dataset, tmp_path / "parts", resume=True)
    for name in ("last.ckpt", "best.ckpt"):
        assert_same_state(*(load_checkpoint(tmp_path / way / name) for way in ("whole", "parts")))
    for column in ("dice", "notes"):
        logs = [(tmp_path / way / "log.csv").read_text().splitlines() for way in ("whole", "parts")]
        place = logs[0][0].split(",").index(column)
        assert [line.split(",")[place] for line in logs[0]] == [line.split(",")[place] for line in logs[1]]


def test_what_an_objective_remembers_is_part_of_it(dataset: Dataset, tmp_path: Path) -> None:
    plain = _cycle() | {"epochs": 2, "steps_per_epoch": 2}
    for way in ("whole", "forgetful"):
        _train(plain, dataset, tmp_path / way, stop_after=1)
    path = tmp_path / "forgetful" / "last.ckpt"
    state = load_checkpoint(path)
    empty = Trainer(Preset.from_dict(plain), dataset, tmp_path / "new", RunOptions(accelerator="cpu"))
    save_checkpoint(path, state | {"objective": empty.objective.state_dict()})
    ends = [_train(plain, dataset, tmp_path / way, resume=True) for way in ("whole", "forgetful")]
    one, two = (end.log.rows[-1]["discriminators/total"] for end in ends)
    assert one != two


def test_skipped_steps_are_still_counted_after_a_stop(dataset: Dataset, tmp_path: Path) -> None:
    plain = tiny_preset("supervised") | {"epochs": 2}
    trainer = _train(plain, dataset, tmp_path, stop_after=1)
    trainer.learners.skipped = {"generator": 19}
    trainer.learners.skipped_in_all = 21
    save_checkpoint(tmp_path / "last.ckpt", trainer._state())
    later = Trainer(Preset.from_dict(plain), dataset, tmp_path, RunOptions(accelerator="cpu", resume=True))
    later._load()
    assert later.learners.skipped == {"generator": 19} and later.learners.skipped_in_all == 21


def test_a_run_that_has_stopped_early_stays_so(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.2, 0.6, 0.5, 0.6, 0.9])
    monkeypatch.setattr(
        "GANSegmentationLib.training.watching.judging.mean_dice", lambda results, source=None: next(scores)
    )
    plain = tiny_preset("supervised") | {
        "epochs": 10,
        "steps_per_epoch": 1,
        "early_stop": 2,
        "schedule": {"kind": "plateau", "patience": 0, "floor": 0.3},
    }
    plain["data"] |= {"groups": [{}], "excluded_sources": ["msd_slices"], "validation_patients": ["lits_v00"]}
    trainer = _train(plain, dataset, tmp_path)
    assert (trainer.epoch, trainer.best_epoch) == (4, 2), "0.6 again is no rise"
    assert [row["lr_factor"] for row in trainer.log.rows] == [1.0, 1.0, 1.0, 0.5]
    preset = Preset.from_dict(plain)
    again = Trainer(preset, dataset, tmp_path, RunOptions(accelerator="cpu", resume=True)).run()
    assert (again.epochs, again.best_epoch, again.finished) == (4, 2, True)


def test_other_numbers_of_processes_are_said(dataset: Dataset, tmp_path: Path) -> None:
    plain = tiny_preset("supervised") | {"epochs": 2, "steps_per_epoch": 1}
    trainer = _train(plain, dataset, tmp_path, stop_after=1)
    own = {"random": trainer._state()["random"], "objective": {}}
    save_checkpoint(tmp_path / "last.ckpt", {**trainer._state(), "other_processes": [own]})
    said: list[str] = []
    _train(plain, dataset, tmp_path, resume=True, say=said.append)
    assert any("saved by 2 processes and goes on with 1" in line for line in said)


def test_a_run_keeps_the_precision_that_was_asked_for_beside_its_preset(dataset: Dataset, tmp_path: Path) -> None:
    plain = tiny_preset("supervised") | {"epochs": 3, "steps_per_epoch": 1}
    _train(plain, dataset, tmp_path, stop_after=1, precision="bf16-mixed")
    resumed = _train(plain, dataset, tmp_path, resume=True, stop_after=2)
    assert resumed.precision == load_checkpoint(tmp_path / "last.ckpt")["precision"][1] == "bf16-mixed"
    with pytest.raises(GANSegmentationError, match="bf16-mixed so far, and 32-true") as caught:
        _train(plain, dataset, tmp_path, resume=True, precision="32-true")
    assert caught.value.code == "precision_changed"
    assert _train(plain, dataset, tmp_path, resume=True, precision="bf16-mixed").epoch == 3


def test_a_folder_in_use_is_refused_to_a_second_run(dataset: Dataset, tmp_path: Path) -> None:
    plain = tiny_preset("supervised") | {"epochs": 1, "steps_per_epoch": 1}
    first, second = (
        Trainer(Preset.from_dict(plain), dataset, tmp_path, RunOptions(accelerator="cpu")) for _ in range(2)
    )
    codes: list[str] = []

    def meanwhile(*_: object) -> None:
        with pytest.raises(GANSegmentationError, match="process") as caught:
            second.run()
        codes.append(caught.value.code)

    first.options = replace(first.options, progress=meanwhile)
    assert first.run().finished and codes == ["folder_in_use"]
    with pytest.raises(GANSegmentationError) as caught:
        second.run()
    assert caught.value.code == "run_exists", "it was made ready before the other one had saved anything"
    with locked(tmp_path / LOCK, lambda who: GANSegmentationError("held", who)) as free:
        assert free, "whoever has ended holds nothing"


def test_a_folder_without_a_run_is_said(dataset: Dataset, tmp_path: Path) -> None:
    plain = tiny_preset("supervised") | {"epochs": 1, "steps_per_epoch": 1}
    said: list[str] = []
    _train(plain, dataset, tmp_path, resume=True, say=said.append)
    assert any("no run" in line and "a new one starts" in line for line in said)
