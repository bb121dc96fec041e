"""A batch that is killed again and again loses nothing and does nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from GANSegmentationLib.batch import BatchOptions, run_batch
from GANSegmentationLib.batch.runner import PRIVATE_FOLDER
from GANSegmentationLib.batch.task import WorkSettings
from GANSegmentationLib.volumes import read_labelmap
from Testing.batch.conftest import InlineEngine, events, tree, write_scans
from Testing.tiny_model import write_tiny_package

CASES = 40


def wait_for_done(output: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    ledger = output / "batch.jsonl"
    while not ledger.exists() or ledger.read_bytes().count(b'"event": "done"') < count:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_forty_cases_killed_three_times_end_as_if_nothing_had_happened(tmp_path, project):
    scans = write_scans(tmp_path / "in", CASES)
    package = write_tiny_package(tmp_path / "tiny.ganseg")
    output, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "GANSegmentationLib", "batch", str(scans), "-o", str(output)]
    command += ["--model", str(package), "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"}

    for count in (3, 14, 27):
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            wait_for_done(output, count, process)
            process.send_signal(signal.SIGKILL)
        assert count <= len(events(output, "done")) < CASES
        for path in output.rglob("*.seg.nrrd"):
            if PRIVATE_FOLDER not in path.parts:
                read_labelmap(path)  # whole, or it would not be there
    last = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr

    run_batch(
        BatchOptions(scans, whole, package=package, device="cpu"),
        make_engine=lambda options, folder: InlineEngine(WorkSettings(str(package), device="cpu")),
    )
    assert len(tree(whole)) == CASES
    assert tree(output) == tree(whole)
    done = [event["case"] for event in events(output, "done")]
    assert len(done) == len(set(done)) == CASES
    assert [path.name for path in (output / PRIVATE_FOLDER).iterdir() if path.is_dir()] == []
    assert len({event["run"] for event in events(output, "begin")}) == 4
