"""Two processes on this machine learn what one does, write once, and go on exactly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.training import Preset, RunOptions, Trainer
from GANSegmentationLib.training.checkpoint import load_checkpoint
from Testing.training.conftest import assert_same_state, tiny_preset

PROJECT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


def _plain_preset() -> dict[str, Any]:
    """Nothing that depends on who shares a batch: no batch normalisation, dropout, noise or augmentation.

    The optimiser is gradient descent: Adam divides by the gradient's own size and makes whole steps of rounding errors.
    """
    plain = tiny_preset()
    config = plain["objective"]["config"]
    config["generator"] = {
        "name": "pix2pix_modern",
        "config": {"channels": [8, 8, 8], "full_resolution": 8, "dropout": 0.0, "norm": "group"},
    }
    config["discriminator"] = {"name": "patch70", "config": {"width": 4, "norm": "none"}}
    config |= {"instance_noise": 0.0, "dice_over": "sample", "adversarial_weight": 0.5}
    sgd = {"name": "sgd", "lr": 0.02, "momentum": 0.9}
    return plain | {
        "augmentation": {}, "epochs": 2, "clip_norm": 1.0, "accumulate": 2, "schedule": {},
        "optimisers": {"generator": sgd, "discriminator": sgd},
    }  # fmt: skip


def _random_preset() -> dict[str, Any]:
    """Everything that a process has for itself: dropout, noise, statistics of batch normalisation."""
    return tiny_preset() | {"epochs": 2, "steps_per_epoch": 2}


def _launch(command: list[str], folder: Path, dataset: Dataset, runs: list[dict[str, Any]]) -> None:
    job = folder / "job.json"
    job.write_text(json.dumps({"dataset": str(dataset.folder), "runs": runs}))
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command, "-m", "Testing.training.several_processes", str(job)],
        cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def _run(folder: Path, preset: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"folder": str(folder), "preset": preset, "options": options}


@pytest.fixture(scope="module")
def two(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs of two processes under torchrun: plain, whole, and parts (stopped and resumed)."""
    folder = tmp_path_factory.mktemp("two")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    runs = [
        _run(folder / "plain", _plain_preset()),
        _run(folder / "whole", _random_preset()),
        _run(folder / "parts", _random_preset(), stop_after=1),
        _run(folder / "parts", _random_preset(), resume=True),
    ]
    _launch(torchrun, folder, dataset, runs)
    return folder


@pytest.fixture(scope="module")
def one(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """The plain run in this process."""
    preset = Preset.from_dict(_plain_preset())
    trainer = Trainer(preset, dataset, tmp_path_factory.mktemp("one"), RunOptions(accelerator="cpu"))
    trainer.run()
    return trainer


def _facts(folder: Path, name: str, rank: int) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / f"{name}_{rank}.json").read_text())
    return facts


def _assert_learnt_alike(history: list[dict[str, float]], one: Trainer) -> None:
    compared = 0
    for ours, theirs in zip(history, one.log.rows, strict=True):
        for name, value in theirs.items():
            if "/" in name and "share" not in name:
                assert ours[name] == pytest.approx(value, rel=1e-5, abs=1e-5), name
                compared += 1
        assert ours["dice"] == pytest.approx(theirs["dice"], abs=1e-3)
    assert compared >= 2 * 10


def test_two_processes_have_the_losses_of_one(two: Path, one: Trainer) -> None:
    state = load_checkpoint(two / "plain" / "last.ckpt")
    _assert_learnt_alike(state["history"], one)
    for role, network in one.learners.networks.items():
        for name, value in network.state_dict().items():
            torch.testing.assert_close(state["networks"][role][name], value, rtol=1e-4, atol=1e-5)
    assert [_facts(two, "plain", rank)["count"] for rank in (0, 1)] == [2, 2]


def test_one_process_speaks_and_writes(two: Path) -> None:
    said = [_facts(two, "plain", rank)["said"] for rank in (0, 1)]
    assert sum(line.startswith("epoch") for line in said[0]) == 2 and said[1] == []
    assert not list((two / "plain").glob("**/.*")), "nobody left half a file"
    assert _facts(two, "plain", 0)["score"] == _facts(two, "plain", 1)["score"], "all know how well it went"


def test_what_sees_less_than_a_batch_is_said(two: Path) -> None:
    plain, whole = (_facts(two, name, 0)["said"] for name in ("plain", "whole"))
    shared = "A batch of 4 slices is computed by 2 processes in {}: losses over a whole batch see {} slices at a time."
    assert plain[0] == shared.format("2 parts", 1) and not any("normalisation" in line for line in plain)
    assert whole[0] == shared.format("1 part", 2)
    assert whole[1] == "Batch normalisation of generator, discriminator sees 2 slices at a time."
    assert whole[1] in (two / "whole" / "report.html").read_text()


def test_two_processes_go_on_to_the_last_bit(two: Path) -> None:
    whole, parts = (load_checkpoint(two / name / "last.ckpt") for name in ("whole", "parts"))
    first, second = whole["random"]["torch"], whole["other_processes"][0]["random"]["torch"]
    assert not torch.equal(first, second), "each has random numbers of its own"
    # The statistics that the second process had for itself are not kept, so only the first one's are compared.
    assert_same_state(whole, parts)


def test_lightning_starts_the_processes_where_nobody_has(dataset: Dataset, one: Trainer, tmp_path: Path) -> None:
    _launch([], tmp_path, dataset, [_run(tmp_path / "plain", _plain_preset(), devices=2)])
    _assert_learnt_alike(load_checkpoint(tmp_path / "plain" / "last.ckpt")["history"], one)
