"""The engine of a cluster, on a real one of this computer alone: a worker that is lost takes no case with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from GANSegmentationLib.batch import BatchOptions, run_batch
from GANSegmentationLib.batch.ledger import LEDGER_NAME
from GANSegmentationLib.batch.ray_engine import MOST_LOSSES, RayEngine, _Worker
from GANSegmentationLib.batch.task import Task, WorkSettings
from GANSegmentationLib.errors import GANSegmentationError
from Testing.batch.conftest import Run, events, tree, write_scans

CASES = 10


def test_a_killed_worker_is_replaced_and_every_case_is_done_once(tmp_path: Path, tiny_package: Path, run: Run) -> None:
    pytest.importorskip("ray")  # the extra batch
    scans = write_scans(tmp_path / "in", CASES)
    options = BatchOptions(scans, tmp_path / "out", package=tiny_package, device="cpu", engine="ray", workers=2)
    engines: list[RayEngine] = []
    killed: list[int] = []

    def make(options: BatchOptions, folder: Path) -> RayEngine:
        engines.append(RayEngine(WorkSettings(str(tiny_package), device="cpu"), folder, options))
        return engines[0]

    def kill_one(progress: object) -> None:
        busy = [worker.process for worker in engines[0]._workers if worker.process and worker.tasks]
        if not killed and busy:
            killed.append(busy[0])
            os.kill(busy[0], signal.SIGKILL)

    summary = run_batch(options, make_engine=make, report=kill_one)
    assert killed
    assert len(summary.of_status("done")) == CASES
    done = [event["case"] for event in events(options.output, "done")]
    assert len(done) == len(set(done)) == CASES
    run(replace(options, output=tmp_path / "local", engine="local", workers=None))
    assert tree(options.output) == tree(tmp_path / "local")


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_batch_on_a_cluster_that_is_killed_goes_on_with_the_rest(
    tmp_path: Path, tiny_package: Path, run: Run
) -> None:
    pytest.importorskip("ray")  # the extra batch
    options = BatchOptions(
        write_scans(tmp_path / "in", 30), tmp_path / "out", package=tiny_package, device="cpu", engine="ray", workers=1
    )
    command = ["batch", options.input, "-o", options.output, "--model", tiny_package, "--device", "cpu"]
    command += ["--engine", "ray", "--workers", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "GANSegmentationLib", *map(str, command)],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 120
        while not (options.output / LEDGER_NAME).exists() or len(events(options.output, "done")) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    before = {event["case"] for event in events(options.output, "done")}
    assert 2 <= len(before) < 30
    try:
        # Here and not on another cluster: only what is left, whatever the orphans of the first one still do.
        summary = run(replace(options, engine="local", workers=None))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert len(summary.of_status("done")) == 30
    assert before.isdisjoint(run.engine.done)
    done = [event["case"] for event in events(options.output, "done")]
    assert len(done) == len(set(done)) == 30
    run(replace(options, output=tmp_path / "local", engine="local", workers=None))
    assert tree(options.output) == tree(tmp_path / "local")


class _Actor:
    """Takes calls and never answers."""

    class submit:  # noqa: N801 - as Ray calls methods of actors
        remote = staticmethod(lambda task: None)


def test_a_case_whose_worker_is_lost_again_and_again_fails(monkeypatch, tmp_path, options):
    engine = RayEngine(WorkSettings(), tmp_path, replace(options, engine="ray"))
    monkeypatch.setattr(engine, "_start", lambda: None)
    monkeypatch.setattr(engine, "_new_worker", lambda: _Worker(_Actor()))
    engine._workers = [_Worker(_Actor())]
    engine.submit(Task("case", "", None, (), None, ""))
    for _ in range(MOST_LOSSES):
        assert not engine._ready
        assert list(engine._workers[0].tasks) == ["case"]
        engine._lost(engine._workers[0])
        engine._give()
    assert engine.answer().outcome.error["code"] == "worker_lost"
    assert not engine._workers[0].tasks


def test_without_ray_it_is_said_what_to_install(monkeypatch, options):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(GANSegmentationError, match=r"gansegmentation\[batch\]") as caught:
        run_batch(replace(options, engine="ray"))
    assert caught.value.code == "ray_missing"
