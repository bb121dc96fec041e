"""A cancel always ends the job, by the worker's answer or without it."""

from __future__ import annotations

import os
import signal
import time

import pytest

from GANSegmentationLib import protocol
from Testing.GANSegmentation.executing import (
    at_stage,
    compare,
    events_of,
    export,
    needs_proc,
    probe,
    segment,
)
from Testing.worker.test_process import is_alive, is_gone

pytest_plugins = ["Testing.GANSegmentation.executors"]
pytestmark = needs_proc


# Cancelling


def test_a_cancel_is_answered_within_a_slice_batch_and_the_worker_stays(slow, package, tmp_path):
    executor = slow("segment", graceMs=5000)
    events = events_of(executor, segment(tmp_path, package), at_stage("segment", executor.cancel))
    assert events[-1] == protocol.Cancelled("1")
    assert not (tmp_path / "labels.npy").exists()
    pid = executor._worker.pid
    assert isinstance(events_of(executor, compare(tmp_path, "2"))[-1], protocol.Result)
    assert executor._worker.pid == pid


@pytest.mark.parametrize("stage", ["read", "load", "segment", "postprocess", "save", "compare", "export"])
def test_a_cancel_that_is_not_answered_kills_the_process(slow, package, tmp_path, stage):
    executor = slow(stage, "deaf", graceMs=100)
    make = {"compare": compare, "export": export}.get(stage)
    request = segment(tmp_path, package) if make is None else make(tmp_path)
    pids, times = [], []

    def cancel():
        pids.append(executor._worker.pid)
        times.append(time.monotonic())
        executor.cancel()

    events = events_of(executor, request, at_stage(stage, cancel))
    assert time.monotonic() - times[0] < 3
    assert events[-1] == protocol.Cancelled("1")
    assert events[-2] == protocol.Stage("1", stage)
    assert not (tmp_path / "out.seg.nrrd").exists()
    assert is_gone(pids[0])
    assert executor._worker is None


@pytest.mark.parametrize("how", [("deaf",), ("launches", "deaf")], ids=["alone", "behind a launcher"])
def test_killing_takes_what_the_worker_started_with_it(hostile, how):
    """PythonSlicer is a launcher: the process that Qt knows is not the worker's, and does not lead its group."""
    executor = hostile(*how, graceMs=100)
    seen = []

    def cancel(event):
        if isinstance(event, protocol.Log):
            seen.extend(map(int, event.text.split()))
            assert all(map(is_alive, seen))
            executor.cancel()

    assert events_of(executor, probe(), cancel)[-1] == protocol.Cancelled("1")
    assert len(seen) == 2
    assert all(map(is_gone, seen))
    assert isinstance(events_of(hostile("answers"), probe("2"))[-1], protocol.Result)


def test_a_cancel_before_the_process_listens_asks_nothing_of_it(hostile):
    executor = hostile("answers")
    executor.start(probe(), (events := []).append)
    executor.cancel()
    assert events == []  # told by the event loop, as everything
    assert executor.wait(5)
    assert events == [protocol.Cancelled("1")]
    assert isinstance(events_of(executor, probe("2"))[-1], protocol.Result)


def test_a_result_that_comes_after_the_cancel_is_none(hostile):
    executor = hostile("late")
    events = events_of(executor, probe(), lambda event: executor.cancel())
    assert events == [protocol.Started("1", "probe"), protocol.Cancelled("1")]
    assert executor.isWarm


def test_a_crash_after_the_cancel_is_a_cancel(hostile):
    executor = hostile("deaf", graceMs=5000)

    def cancel_and_kill(event):
        if isinstance(event, protocol.Log):
            executor.cancel()
            executor.cancel()
            for pid in map(int, event.text.split()):
                os.kill(pid, signal.SIGKILL)

    assert events_of(executor, probe(), cancel_and_kill)[-1] == protocol.Cancelled("1")
