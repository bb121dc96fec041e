"""Jobs in a process of their own: the real worker, and the life of an executor."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes.exchange import load_labelmap
from Testing.GANSegmentation.executing import (
    compare,
    events_of,
    needs_proc,
    probe,
    pump,
    segment,
)
from Testing.tiny_model import tiny_scan
from Testing.worker.test_process import is_gone

pytest_plugins = ["Testing.GANSegmentation.executors"]
pytestmark = needs_proc


# The real worker


def test_jobs_run_one_after_another_in_a_warm_process(executors, package, tmp_path):
    from GANSegmentationPanel.jobs.executor import State

    executor = executors()
    states = []
    assert executor.state is State.IDLE
    for identifier in ("1", "2"):
        events = events_of(
            executor, segment(tmp_path, package, identifier), lambda event: states.append((event, executor.state))
        )
        assert isinstance(events[0], protocol.Started)
        labelmap = load_labelmap(events[-1].result["labelmap"], tmp_path)
        assert (labelmap.array == (tiny_scan().array > 100)).all()
        assert labelmap.geometry == tiny_scan().geometry
        assert {event.id for event in events} == {identifier}
    pid = executor._worker.pid
    assert isinstance(events_of(executor, compare(tmp_path, "3"))[-1], protocol.Result)
    assert executor._worker.pid == pid
    assert all(
        state is (State.IDLE if isinstance(event, protocol.Result) else State.RUNNING) for event, state in states
    )


def test_the_logic_works_through_a_process(executors, module, scene, tiny_model):
    """As a script does it: segment a node, compare the segmentation with itself, a model that is not there."""
    from GANSegmentationPanel import scene as border

    logic = module.GANSegmentationLogic(executors())
    node = logic.process(border.addVolumeNode(tiny_scan()), tiny_model)
    assert (border.labelmapFromNode(node).array == (tiny_scan().array > 100)).all()
    (scores,) = logic.compare(node, node)
    assert scores["dice"] == 1
    with pytest.raises(GANSegmentationError, match="nowhere"):
        logic.process(border.addVolumeNode(tiny_scan()), "nowhere")
    assert not logic.isRunning


def test_start_returns_at_once_and_a_second_one_is_refused(executors):
    from GANSegmentationPanel.jobs.executor import State

    executor = executors()
    events = []
    begin = time.perf_counter()
    executor.start(probe(), events.append)
    assert time.perf_counter() - begin < 0.5
    assert executor.state is State.STARTING
    assert events == []
    with pytest.raises(GANSegmentationError) as caught:
        executor.start(probe("2"), events.append)
    assert caught.value.code == "job_running"
    assert executor.wait(30)
    assert isinstance(events[-1], protocol.Result)
    assert {event.id for event in events} == {"1"}


def test_run_gives_the_result_or_raises(executors, hostile):
    from GANSegmentationPanel.jobs import executor as jobs

    assert "pid" in jobs.run(hostile("answers"), probe()).result
    with pytest.raises(GANSegmentationError) as caught:
        jobs.run(hostile("leaves", 3), probe())
    assert caught.value.code == "worker_crashed"


def test_two_executors_work_at_the_same_time(hostile):
    events = {name: [] for name in "ab"}
    both = {name: hostile("flood", 300) for name in events}
    for name, executor in both.items():
        executor.start(probe(name), events[name].append)
    assert all(executor.wait(20) for executor in both.values())
    for name, found in events.items():
        assert {event.id for event in found} == {name}
        assert isinstance(found[-1], protocol.Result)
    assert both["a"]._worker.pid != both["b"]._worker.pid


def test_a_handler_of_the_end_may_start_the_next_job_and_wait_for_it(hostile):
    from GANSegmentationPanel.jobs import executor as jobs

    executor = hostile("answers")
    later = []

    def chain(event):
        if isinstance(event, protocol.Result):
            later.append(jobs.run(executor, probe("2")))

    events = events_of(executor, probe("1"), chain)
    assert events[-1].id == "1"
    assert [result.id for result in later] == ["2"]


# Its end


def test_the_end_of_the_application_ends_worker_and_job(hostile):
    import slicer

    executor = hostile("deaf")
    executor.start(probe(), (events := []).append)
    pump(lambda: len(events) == 2)
    slicer.app.aboutToQuit.emit()
    assert events[-1] == protocol.Cancelled("1")
    assert all(map(is_gone, map(int, events[1].text.split())))
    from Testing.slicer_host import processes

    processes.blocking_calls.clear()  # at the end of the application it may wait a moment


def test_an_executor_that_was_shut_down_can_be_used_again(hostile):
    executor = hostile("answers")
    first = events_of(executor, probe())[-1].result["pid"]
    executor.shutdown()
    executor.shutdown()
    from Testing.slicer_host import processes

    processes.blocking_calls.clear()
    assert is_gone(first)
    assert events_of(executor, probe("2"))[-1].result["pid"] != first


def test_a_worker_that_idles_for_long_ends(hostile):
    executor = hostile("answers", idleMinutes=0.1 / 60)
    pid = events_of(executor, probe())[-1].result["pid"]
    pump(lambda: executor._worker is None)
    assert is_gone(pid)


def test_release_lets_go_of_the_model_and_is_refused_while_a_job_runs(executors, package, tmp_path):
    executor = executors()
    executor.release()  # nothing is there
    events_of(executor, segment(tmp_path, package))
    executor.release()
    events = events_of(executor, segment(tmp_path, package, "2"))
    assert isinstance(events[-1], protocol.Result)


def test_a_job_does_not_wait_for_a_worker_that_is_leaving(hostile):
    """After `release` on a GPU the process ends of itself; whoever starts a job meanwhile gets a fresh one."""
    executor = hostile("leaves-slowly")
    first = events_of(executor, probe())[-1].result["pid"]
    executor.release()
    pump(lambda: not executor.isWarm)
    begin = time.monotonic()
    assert events_of(executor, probe("2"))[-1].result["pid"] != first
    assert time.monotonic() - begin < 0.9
    assert is_gone(first)


def test_the_time_to_idle_is_in_minutes(hostile):
    executor = hostile("answers", idleMinutes=7)
    events_of(executor, probe())
    assert executor._timers["idle"].interval == 7 * 60 * 1000


def test_a_worker_that_ends_with_its_job_where_no_time_is_given_to_idle(hostile):
    executor = hostile("answers", idleMinutes=0)
    for identifier in ("1", "2"):
        pid = events_of(executor, probe(identifier))[-1].result["pid"]
        pump(lambda: executor._worker is None)
        assert is_gone(pid)


def test_the_worker_finds_the_library_and_modules_from_nowhere_else(executors, tmp_path, monkeypatch):
    """With `-m` Python looks into the working directory first, and there a file may be called numpy.py."""
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong one')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert isinstance(events_of(executors(), compare(tmp_path))[-1], protocol.Result)


def test_the_environment_of_the_worker(monkeypatch, application):
    from GANSegmentationPanel.process import launching

    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    environment = launching.workerEnvironment()
    first, *others = environment["PYTHONPATH"].split(os.pathsep)
    assert (Path(first) / "GANSegmentationLib").is_dir()
    assert others == ["/elsewhere"]
    assert environment["PYTHONUTF8"] == "1"
    monkeypatch.setattr(launching.site, "ENABLE_USER_SITE", False)
    assert launching.workerEnvironment()["PYTHONNOUSERSITE"] == "1"
    monkeypatch.setattr(launching.site, "ENABLE_USER_SITE", True)
    monkeypatch.delenv("PYTHONNOUSERSITE", raising=False)
    assert "PYTHONNOUSERSITE" not in launching.workerEnvironment()


def test_in_slicer_the_interpreter_is_pythonslicer(monkeypatch, application, tmp_path):
    from GANSegmentationPanel.process import launching

    assert launching.interpreter() == sys.executable
    program = tmp_path / "PythonSlicer"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert launching.interpreter() == str(program)


def test_on_windows_the_tree_is_ended_by_taskkill_without_waiting(application, monkeypatch):
    import types

    from GANSegmentationPanel.process import launching

    calls = []
    monkeypatch.setattr(launching, "os", types.SimpleNamespace(name="nt"))
    monkeypatch.setattr(launching.subprocess, "Popen", lambda command, **options: calls.append(command))
    launching.killTree(4711)
    assert calls == [["taskkill", "/F", "/T", "/PID", "4711"]]


def test_killing_never_reaches_the_own_group(application):
    """A process that does not lead a group yet is in the group of the application."""
    import subprocess

    from GANSegmentationPanel.process import launching

    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert os.getpgid(child.pid) == os.getpgrp()
    launching.killTree(child.pid)
    assert child.wait(5) == -signal.SIGKILL
    launching.killTree(child.pid)  # gone: nothing happens
    launching.killTree(0)


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="the system cannot say how a child has ended")
@pytest.mark.parametrize("end", ["exit", "signal"])
def test_the_end_of_a_child_is_read_without_taking_it_away(application, end):
    import subprocess

    from GANSegmentationPanel.process import launching

    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)" if end == "signal" else "exit(3)"])
    if end == "signal":
        assert launching.endOf(child.pid) is None
        child.send_signal(signal.SIGSEGV)
    until = time.monotonic() + 10
    while (found := launching.endOf(child.pid)) is None and time.monotonic() < until:
        time.sleep(0.01)
    assert found == child.wait(5) == (-signal.SIGSEGV if end == "signal" else 3)


def test_what_the_scan_is_called_stays_out_of_the_log(hostile, package, tmp_path):
    executor = hostile("answers")
    request = segment(tmp_path, package)
    request.volumes[0]["name"] = "Erika Muster"
    events_of(executor, request)
    executor.log.said("reading Erika Muster and what follows")
    text = executor.log.path.read_text(encoding="utf-8")
    assert "and what follows" in text
    assert "Erika" not in text and "Muster" not in text
