"""The child's loop: the next case is read while this one is segmented, and never more than that one."""

from __future__ import annotations

import gc
import io
import json
import threading
import time
import weakref
from collections.abc import Iterator

from GANSegmentationLib.batch.child import serve
from GANSegmentationLib.batch.outcome import CaseOutcome
from GANSegmentationLib.batch.task import Answer, Task, WorkSettings


def lines(*cases: str) -> Iterator[str]:
    for case in cases:
        yield json.dumps(Task(case, "", None, (), None, "").to_dict())


class Rendezvous:
    """Finishes a case only once the next one has been read: without the overlap, nobody would ever come."""

    def __init__(self, settings: WorkSettings) -> None:
        self.read_events = {case: threading.Event() for case in "abc"}
        self.threads: set[int] = set()

    def prepare(self) -> None:
        pass

    def read(self, task: Task) -> str:
        self.threads.add(threading.get_ident())
        self.read_events[task.case].set()
        return task.case

    def finish(self, task: Task, loaded: str) -> Answer:
        following = {"a": "b", "b": "c", "c": "c"}[task.case]
        assert self.read_events[following].wait(20), "the next case was not read meanwhile"
        assert threading.get_ident() not in self.threads
        return Answer(CaseOutcome(loaded, "done"))


def test_the_next_case_is_read_while_this_one_is_segmented():
    answers = io.StringIO()
    serve(WorkSettings().to_dict(), lines("a", "b", "c"), answers, make=Rendezvous)
    said = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert [message["event"] for message in said] == ["ready", "end", "end", "end"]
    outcomes = [message["answer"]["outcome"] for message in said[1:]]
    assert [(outcome["case"], outcome["status"]) for outcome in outcomes] == [(case, "done") for case in "abc"]


class Scan:
    """Something whose end can be seen."""


class Forgetful:
    """Reads a scan that ought to be forgotten once its case is done."""

    read_scans: list[weakref.ref[Scan]]

    def __init__(self, settings: WorkSettings) -> None:
        Forgetful.read_scans = []

    def prepare(self) -> None:
        pass

    def read(self, task: Task) -> Scan:
        scan = Scan()
        self.read_scans.append(weakref.ref(scan))
        return scan

    def finish(self, task: Task, loaded: Scan) -> Answer:
        return Answer(CaseOutcome(task.case, "done"))


def test_a_scan_is_forgotten_before_the_next_one_comes():
    answers = io.StringIO()
    kept = []

    def one_by_one() -> Iterator[str]:
        for number, line in enumerate(lines("a", "b", "c"), 1):
            yield line
            deadline = time.monotonic() + 20
            while answers.getvalue().count('"end"') < number:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            time.sleep(0.05)  # the answer is said, and the loop waits for the next line
            gc.collect()
            kept.append(sum(scan() is not None for scan in Forgetful.read_scans))

    serve(WorkSettings().to_dict(), one_by_one(), answers, make=Forgetful)
    assert kept == [0, 0, 0]
