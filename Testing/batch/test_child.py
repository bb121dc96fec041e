"""The child's loop: the next case is read while this one is segmented, and never more than that one."""

from __future__ import annotations

import io
import json
import threading
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
