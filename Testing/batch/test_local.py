"""The engine of one computer: whatever a case does to its process, the case alone fails."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from GANSegmentationLib.batch import local
from GANSegmentationLib.batch.local import LocalEngine
from GANSegmentationLib.batch.outcome import CaseOutcome
from GANSegmentationLib.batch.task import Task, WorkSettings
from GANSegmentationLib.errors import GANSegmentationError

HOSTILE = (sys.executable, str(Path(__file__).with_name("hostile_worker.py")))
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals")

Make = Callable[..., LocalEngine]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Make]:
    made: list[LocalEngine] = []

    def make(device: str = "cpu", time_limit: float | None = None) -> LocalEngine:
        settings = WorkSettings(device=device)
        made.append(LocalEngine(settings, tmp_path, time_limit=time_limit, command=HOSTILE))
        return made[-1]

    yield make
    for each in made:
        each.close()


def do(engine: LocalEngine, tmp_path: Path, *cases: str) -> dict[str, CaseOutcome]:
    """All cases, as the runner gives them out."""
    left = [Task(case, "path", None, (), None, str(tmp_path / case)) for case in cases]
    outcomes: dict[str, CaseOutcome] = {}
    while len(outcomes) < len(cases):
        while left and engine.room:
            engine.submit(left.pop(0))
        outcome = engine.answer().outcome
        assert outcome.case not in outcomes, "a case was answered twice"
        outcomes[outcome.case] = outcome
    return outcomes


def codes(outcomes: dict[str, CaseOutcome]) -> dict[str, str]:
    return {case: outcome.error["code"] for case, outcome in outcomes.items() if outcome.error}


def test_one_warm_process_does_all_cases_in_their_order(engine, tmp_path):
    outcomes = do(engine(), tmp_path, "a", "b", "c", "d")
    assert list(outcomes) == ["a", "b", "c", "d"]
    assert len({outcome.device.split()[0] for outcome in outcomes.values()}) == 1
    assert [outcome.device.split()[1] for outcome in outcomes.values()] == ["1", "2", "3", "4"]


def test_no_more_than_two_cases_are_in_memory(engine, tmp_path):
    made = engine()
    rooms = [made.room]
    for case in ("a", "b"):
        made.submit(Task(case, "", None, (), None, ""))
        rooms.append(made.room)
    assert rooms == [2, 1, 0]
    made.answer()
    assert made.room == 1


def test_errors_and_faults_fail_their_case_and_the_process_stays(engine, tmp_path):
    outcomes = do(engine(), tmp_path, "a", "unreadable", "fault", "b")
    assert codes(outcomes) == {"unreadable": "damaged_file", "fault": "internal_error"}
    assert outcomes["a"].device.split()[0] == outcomes["b"].device.split()[0]


@POSIX
@pytest.mark.parametrize("bad", ["segfault", "killed", "crash-in-reading"])
def test_a_crash_fails_its_case_alone_and_every_other_is_done_once(engine, tmp_path, bad):
    outcomes = do(engine(), tmp_path, "slow-a", "slow-b", bad, "c", "d")
    assert codes(outcomes) == {bad: "worker_crashed"}
    assert "SIGKILL" in outcomes[bad].error["message"] or "SIGSEGV" in outcomes[bad].error["message"]


@POSIX
def test_two_that_crash_one_after_the_other_both_fail(engine, tmp_path):
    assert codes(do(engine(), tmp_path, "segfault-1", "killed-2", "a")) == {
        "segfault-1": "worker_crashed",
        "killed-2": "worker_crashed",
    }


@POSIX
def test_a_crash_is_told_with_its_place_in_the_program_and_nothing_that_libraries_said(engine, tmp_path):
    details = do(engine(), tmp_path, "segfault")["segfault"].error["details"]
    assert "hostile_worker.py" in details
    assert "MUSTERMANN" not in details


@POSIX
def test_a_case_beyond_its_time_limit_fails_and_its_process_is_gone(engine, tmp_path):
    begin = time.monotonic()
    outcomes = do(engine(time_limit=0.8), tmp_path, "hang", "a", "b")
    assert codes(outcomes) == {"hang": "time_limit"}
    assert time.monotonic() - begin < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "hang").read_text()), 0)


def test_the_time_limit_is_for_each_case(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_POLL_S", 0.05)  # the clock is looked at while a case is done
    # All of them together take longer than that.
    assert not codes(do(engine(time_limit=2.5), tmp_path, *(f"slow-{number}" for number in range(9))))


@pytest.mark.parametrize(("device", "code"), [("none", "no_device"), ("dead", "worker_not_started")])
def test_where_no_case_can_be_done_the_batch_is_told(engine, tmp_path, device, code):
    with pytest.raises(GANSegmentationError) as caught:
        do(engine(device), tmp_path, "a", "b")
    assert caught.value.code == code
    if device == "dead":
        assert "a broken installation" in caught.value.details


def test_a_process_that_is_never_ready_is_given_up(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "START_LIMIT_S", 0.0)
    monkeypatch.setattr(local, "_POLL_S", 0.001)
    with pytest.raises(GANSegmentationError, match="not ready"):
        do(engine(), tmp_path, "a")


@POSIX
def test_closing_ends_the_process_whatever_it_does(engine, tmp_path):
    made = engine()
    made.submit(Task("hang", "", None, (), None, str(tmp_path / "hang")))
    deadline = time.monotonic() + 60
    while not (tmp_path / "hang").is_file() or not (tmp_path / "hang").read_text():
        made._send()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    made.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "hang").read_text()), 0)


def test_within_an_application_the_child_is_run_by_its_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slicer_python = tmp_path / "PythonSlicer"
    slicer_python.write_text("#!/bin/sh\n")
    slicer_python.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/srv/Slicer/bin/SlicerApp-real")
    engine = LocalEngine(WorkSettings(device="cpu"), tmp_path)
    assert engine._command == (str(slicer_python), "-m", "GANSegmentationLib.batch.child")
