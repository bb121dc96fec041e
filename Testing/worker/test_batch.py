"""A batch for the panel: every case is told, and a cancel stops it in the middle of one."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from GANSegmentationLib import protocol
from GANSegmentationLib.batch.ledger import LEDGER_NAME
from GANSegmentationLib.volumes import read_labelmap, write_volume
from GANSegmentationLib.worker.run import RunOfJob
from Testing.tiny_model import tiny_scan, write_tiny_package
from Testing.worker.requests import failure, result, run
from Testing.worker.serving import serving
from Testing.worker.test_process import is_gone


@pytest.fixture
def request_(tmp_path):
    """Three scans, one of which is none."""
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("a", "b"):
        write_volume(tiny_scan(), scans / f"{name}.nrrd")
    (scans / "c.nrrd").write_bytes(b"no scan")
    package = write_tiny_package(tmp_path / "tiny.ganseg")
    return protocol.RunBatch(
        "1", "", input=str(scans), output=str(tmp_path / "masks"), package=str(package), device="cpu", names="original"
    )


def test_every_case_is_told_and_one_that_fails_stops_no_other(request_, tmp_path):
    events = run(request_)
    outcomes = {event.outcome["case"]: event.outcome for event in events if isinstance(event, protocol.CaseDone)}
    assert {case: outcome["status"] for case, outcome in outcomes.items()} == {"a": "done", "b": "done", "c": "failed"}
    told = [event for event in events if isinstance(event, protocol.Progress)]
    progress = [(event.done, event.total) for event in told if event.stage == "batch"]
    assert (progress[0], progress[-1]) == ((0, 3), (3, 3))
    slices = [(event.done, event.total) for event in told if event.stage == "segment"]
    assert slices.count((6, 6)) == 2  # of the two cases that can be segmented
    assert slices[0][0] < 6
    found = result(events)
    assert (found["done"], found["failed"], found["pending"]) == (2, 1, 0)
    assert found["summary"] == str(tmp_path / "masks" / "summary.csv")
    assert (read_labelmap(tmp_path / "masks" / "a.seg.nrrd").array == (tiny_scan().array > 100)).all()


def test_a_dry_run_lists_and_writes_nothing(request_, tmp_path):
    from dataclasses import replace

    found = result(run(replace(request_, dry_run=True)))
    assert [(case["case"], case["to_do"]) for case in found["cases"]] == [("a", True), ("b", True), ("c", True)]
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("wrong", [{"format": "jpg"}, {"input": "/nowhere"}, {"time_limit": 0.0}])
def test_what_cannot_be_is_refused(request_, wrong):
    from dataclasses import replace

    assert failure(run(replace(request_, **wrong)))["code"] in ("wrong_use", "folder_not_found", "file_not_found")


def test_a_cancel_between_slices_stops_where_no_interrupt_can_be_raised(request_, monkeypatch):
    """In an application that keeps Ctrl-C to itself."""
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_IGN)
    heard = []
    told = RunOfJob.emit

    def emit(job, event):
        told(job, event)
        heard.append(event)

    monkeypatch.setattr(RunOfJob, "emit", emit)
    in_slices = lambda event: isinstance(event, protocol.Progress) and event.stage == "segment"  # noqa: E731
    events = run(request_, cancel=lambda: any(map(in_slices, heard)))
    assert isinstance(events[-1], protocol.Cancelled)
    assert not any(isinstance(event, protocol.CaseDone) for event in events)


def test_a_cancel_between_cases_does_not_interrupt_the_summary_of_what_is_done(request_, tmp_path, monkeypatch):
    from GANSegmentationLib.batch.summary import BatchSummary

    told, written, heard = RunOfJob.emit, BatchSummary.write, []

    def emit(job, event):
        told(job, event)
        heard.append(event)

    def slowly(summary, folder):
        time.sleep(0.5)  # several times as long as the watcher waits between two looks
        written(summary, folder)

    monkeypatch.setattr(RunOfJob, "emit", emit)
    monkeypatch.setattr(BatchSummary, "write", slowly)
    events = run(request_, cancel=lambda: any(isinstance(event, protocol.CaseDone) for event in heard))
    assert isinstance(events[-1], protocol.Cancelled)
    assert (tmp_path / "masks" / "summary.csv").read_text(encoding="utf-8").count("pending") == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
def test_a_cancel_stops_in_the_middle_of_a_case_with_its_process(request_, tmp_path, monkeypatch):
    """The process of the batch is stopped here, as one that computes for long."""
    hang = (
        "import subprocess, sys\n"
        "from GANSegmentationLib.batch import local\n"
        "from GANSegmentationLib.worker import process\n"
        "local.LocalEngine.__init__.__kwdefaults__['command'] = (sys.executable, '-c', "
        '\'import os, time; os.write(2, b"x"); open(os.environ["PID_FILE"], "w").write(str(os.getpid())); '
        "time.sleep(60)')\n"
        "process.main()\n"
    )
    pid_file = tmp_path / "pid"
    monkeypatch.setenv("PID_FILE", str(pid_file))
    with serving(("-c", hang)) as worker:
        worker.next(protocol.Ready)
        worker.send(request_)
        until = time.monotonic() + 20
        while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < until:
            time.sleep(0.02)
        child = int(pid_file.read_text())
        begin = time.monotonic()
        worker.send(protocol.Cancel("1"))
        assert isinstance(worker.next((protocol.Cancelled, protocol.Failed)), protocol.Cancelled)
        assert time.monotonic() - begin < 3
        assert is_gone(child)
        worker.send(protocol.RunProbe("2", ""))  # and the worker is there for the next job
        assert worker.next(protocol.Started).id == "2"
    assert "stopped" in (tmp_path / "masks" / LEDGER_NAME).read_text(encoding="utf-8")


def test_an_interrupt_that_nobody_asked_for_is_none_of_the_cancels(request_, monkeypatch):
    import GANSegmentationLib.batch

    def interrupted(*_arguments, **_options):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(GANSegmentationLib.batch, "run_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(request_)
