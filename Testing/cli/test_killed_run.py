"""A training run that was killed goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from GANSegmentationLib.datasets import prepare
from GANSegmentationLib.training.checkpoint import load_checkpoint
from Testing.training.conftest import assert_same_state, tiny_preset


def test_a_run_killed_between_epochs_goes_on_as_if_nothing_had_happened(layouts_folder: Path, tmp_path: Path) -> None:
    prepared = tmp_path / "prepared"
    sources = [("lits_slices", layouts_folder / "lits"), ("msd_slices", layouts_folder / "msd")]
    prepare(sources, prepared, labels={1: "Liver"})
    preset = tmp_path / "tiny.json"
    plain = tiny_preset("conditional")
    preset.write_text(json.dumps(plain | {"epochs": 3, "steps_per_epoch": 4}))
    command = [sys.executable, "-m", "GANSegmentationLib", "train", str(preset), "--data", str(prepared),
               "--device", "cpu", "--workers", "1", "--output"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    # All in processes of their own: sums over another number of threads differ in the last bits. --stop-after takes the
    # export away, which is not what is asked here; 0 workers must make no difference.
    finish = ["--stop-after", "2"]
    undisturbed = [*command[:-2], "0", "--output", str(tmp_path / "whole"), *finish]
    whole = subprocess.Popen(undisturbed, env=environment)
    killed = subprocess.Popen([*command, str(tmp_path / "killed")], env=environment, stderr=subprocess.DEVNULL)
    first = tmp_path / "killed" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not first.exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert first.exists() and load_checkpoint(first)["epoch"] < 3, "it was killed on the way"

    subprocess.run([*command, str(tmp_path / "killed"), "--resume", *finish], env=environment, check=True)
    assert whole.wait(timeout=120) == 0
    assert_same_state(load_checkpoint(first), load_checkpoint(tmp_path / "whole" / "last.ckpt"))
    killed_log, whole_log = ((tmp_path / run / "log.csv").read_text().splitlines() for run in ("killed", "whole"))
    assert len(killed_log) == len(whole_log) == 3
