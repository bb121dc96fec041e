"""A worker that dies, never comes up or talks nonsense is a failure of its job, in words, and of nothing else."""

from __future__ import annotations

import os
import signal
import time

import pytest

from GANSegmentationLib import protocol
from GANSegmentationLib.volumes.exchange import save_volume
from Testing.GANSegmentation.executing import (
    at_stage,
    compare,
    events_of,
    failure,
    needs_proc,
    probe,
    pump,
    segment,
)
from Testing.tiny_model import tiny_scan
from Testing.worker.test_process import is_gone

pytest_plugins = ["Testing.GANSegmentation.executors"]
pytestmark = needs_proc


STAGES = ("read", "segment")


# Killed


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_that_is_killed_is_reported_and_the_next_job_works(slow, executors, package, tmp_path, stage):
    executor = slow(stage)
    kill = at_stage(stage, lambda: os.kill(executor._worker.pid, signal.SIGKILL))
    error = failure(events_of(executor, segment(tmp_path, package), kill))
    assert error.code == "worker_crashed"
    assert "SIGKILL" in error.message
    assert "memory" in error.cause
    assert str(executor.log.path) in error.details
    assert not (tmp_path / "labels.npy").exists()
    executor._command = executors()._command
    assert isinstance(events_of(executor, compare(tmp_path, "2"))[-1], protocol.Result)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_says_its_signal_a_cause_and_its_last_words(hostile, number):
    executor = hostile("crashes", int(number))
    error = failure(events_of(executor, probe()))
    assert error.code == "worker_crashed"
    assert number.name in error.message
    assert "driver" in error.cause
    assert "last words of" in error.details
    assert "without an end" in error.details
    assert executor.log.path.is_file()


def test_a_launcher_hands_the_signal_on_as_a_code(hostile):
    error = failure(events_of(hostile("launches", "crashes 9"), probe()))
    assert "SIGKILL" in error.message
    assert "memory" in error.cause


def test_neither_log_nor_error_names_a_patient(hostile, tmp_path):
    executor = hostile("crashes", 6)
    scan = tiny_scan()
    described = {**save_volume(scan, tmp_path, "volume"), "name": "Mueller Eva", "facts": {"StudyID": "S-77123"}}
    request = protocol.RunSegment("1", str(tmp_path), volumes=(described,), inputs=("/data/Mueller^Eva/CT",))
    error = failure(events_of(executor, request))
    log = executor.log.path.read_text(encoding="utf-8")
    for words in ("Mueller", "S-77123", "somebody", str(tmp_path)):
        assert words not in log
        assert words not in str(error) + error.details.replace(str(executor.log.path), "")
    assert "last words" in log


def test_a_worker_that_ends_with_a_code_is_a_failure(hostile):
    error = failure(events_of(hostile("leaves", 3), probe()))
    assert "exit code 3" in error.message


def test_a_warm_worker_that_died_while_idle_is_replaced(hostile):
    executor = hostile("answers")
    first = events_of(executor, probe())[-1].result["pid"]
    os.kill(first, signal.SIGKILL)
    assert is_gone(first)
    again = events_of(executor, probe("2"))[-1]
    assert again.result["pid"] != first


def test_a_worker_that_ends_before_the_job_has_begun_is_tried_again_once(hostile, tmp_path):
    result = events_of(hostile("dies-idle", tmp_path / "tried"), probe())[-1]
    assert isinstance(result, protocol.Result)
    error = failure(events_of(hostile("leaves", 0), probe()))
    assert error.code == "worker_crashed"  # that one had begun


def test_an_end_that_qt_did_not_hear_of_is_found(hostile):
    """Scripted command line modules take Qt's signal of dead children away."""
    executor = hostile("waits")
    executor.start(probe(), (events := []).append)
    pump(lambda: events)
    worker = executor._worker
    worker._process.disconnect("finished(int,QProcess::ExitStatus)", worker._finished)
    os.kill(worker.pid, signal.SIGSTOP)
    worker._watch.setInterval(20)
    worker._process.blockSignals(True)
    from GANSegmentationPanel.process import worker_process

    worker_process.endOf, original = (lambda pid: -9), worker_process.endOf
    try:
        assert executor.wait(5)
    finally:
        worker_process.endOf = original
        os.kill(worker.pid, signal.SIGKILL)
        worker._process.blockSignals(False)
    pump(lambda: worker._process.state() == 0)
    assert failure(events).code == "worker_crashed"


# Not started


def test_a_program_that_is_not_there_is_reported(executors):
    executor = executors()
    executor._command = ("/nowhere/PythonSlicer", "-m", "GANSegmentationLib.worker")
    error = failure(events_of(executor, probe()))
    assert error.code == "worker_not_started"
    assert "PythonSlicer" in error.cause
    assert not executor.isRunning


def test_a_process_that_ends_before_it_listens_is_reported(hostile):
    error = failure(events_of(hostile("exits", 7), probe()))
    assert error.code == "worker_not_started"
    assert "exit code 7" in error.message
    assert "cannot go on: <path>" in error.details


def test_a_process_that_never_listens_is_given_up(hostile):
    executor = hostile("not-listening", startMs=200)
    error = failure(events_of(executor, probe()))
    assert error.code == "worker_not_started"
    assert executor._worker is None


def test_a_worker_of_another_version_is_refused(hostile):
    error = failure(events_of(hostile("old"), probe()))
    assert error.code == "worker_version"
    assert "1" in error.message


# Output that is none


@pytest.mark.parametrize("mode", ["garbage", "noisy-start"])
def test_what_is_no_message_is_left_out(hostile, mode):
    events = events_of(hostile(mode), probe())
    assert isinstance(events[-1], protocol.Result)
    if mode == "garbage":
        assert [event.text for event in events if isinstance(event, protocol.Log)] == ["grö"]


@pytest.mark.parametrize("mode", ["damaged", "too-long"])
def test_a_damaged_message_ends_the_job_and_not_the_panel(hostile, mode, monkeypatch):
    monkeypatch.setattr(protocol, "MAX_LINE_BYTES", 100_000)
    executor = hostile(mode)
    assert failure(events_of(executor, probe())).code == "invalid_message"
    assert executor._worker is None


def test_events_of_other_runs_are_dropped(hostile):
    events = events_of(hostile("of-another-run"), probe("1"))
    assert [type(event).__name__ for event in events] == ["Started", "Result"]


def test_a_result_whose_files_are_not_there_is_a_failure(hostile, tmp_path):
    request = protocol.RunProbe("1", str(tmp_path))
    assert failure(events_of(hostile("without-files"), request)).code == "result_missing"


def test_many_events_do_not_block_the_application(hostile):
    """20 000 events arrive at once; between pieces of them the application has its turn."""
    import qt

    executor = hostile("flood", 6_000)
    turns = []
    timer = qt.QTimer()
    timer.setInterval(5)
    timer.connect("timeout()", lambda: turns.append(time.perf_counter()))
    timer.start()
    events = events_of(executor, probe())
    timer.stop()
    done = [event.done for event in events if isinstance(event, protocol.Progress)]
    assert done == list(range(6_000))
    assert isinstance(events[-1], protocol.Result)
    assert len(turns) > 20


def test_a_worker_that_says_much_on_standard_error_is_not_held_up(hostile):
    executor = hostile("loud")
    assert isinstance(events_of(executor, probe())[-1], protocol.Result)
    assert len(executor.log.lastLines) < 10_000


def test_a_worker_that_says_too_much_is_ended(hostile, monkeypatch):
    from GANSegmentationPanel.process import worker_process

    monkeypatch.setattr(worker_process, "LARGEST_BACKLOG_BYTES", 100_000)
    assert failure(events_of(hostile("flood", 6_000), probe())).code == "invalid_message"
