"""The slices of the case in hand: told by the child, handed on by the engine, without stopping its clock."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from GANSegmentationLib.batch import child
from GANSegmentationLib.batch.local import LocalEngine
from GANSegmentationLib.batch.outcome import CaseOutcome
from GANSegmentationLib.batch.runner import run_batch
from GANSegmentationLib.batch.task import Answer, SliceProgress, Task, WorkSettings
from GANSegmentationLib.inference import Progress


class Telling:
    """Says of every slice that it is done."""

    on_progress = None

    def __init__(self, settings: WorkSettings) -> None:
        pass

    def prepare(self) -> None:
        pass

    def read(self, task: Task) -> str:
        return task.case

    def finish(self, task: Task, loaded: str) -> Answer:
        assert self.on_progress is not None
        self.on_progress(Progress("prepare", 0, 500, None))
        for done in range(501):
            self.on_progress(Progress("segment", done, 500, 1.5 if done else None))
        self.on_progress(Progress("postprocess", 500, 500, None))
        return Answer(CaseOutcome(loaded, "done"))


def test_the_child_tells_the_first_and_the_last_slice_and_few_between():
    answers = io.StringIO()
    lines = [json.dumps(Task(case, "", None, (), None, "").to_dict()) for case in "ab"]
    child.serve(WorkSettings().to_dict(), iter(lines), answers, make=Telling)
    said = [json.loads(line) for line in answers.getvalue().splitlines()]
    told = [message for message in said if message["event"] == "progress"]
    assert [message["event"] for message in said][-1] == "end"
    assert {(message["done"], message["total"]) for message in told} >= {(0, 500), (500, 500)}
    assert told[0] == {"event": "progress", "done": 0, "total": 500, "seconds_left": None}
    assert len(told) < 20


def saying(tmp_path: Path, *lines: str) -> tuple[str, ...]:
    """A child that says some lines, the last one again and again."""
    script = tmp_path / "saying.py"
    script.write_text(
        "import sys, time\n"
        "sys.stdin.readline()\n"
        f"for line in {list(lines)!r}: print(line, flush=True)\n"
        f"while True: time.sleep(0.02); print({lines[-1]!r}, flush=True)\n",
        encoding="utf-8",
    )
    return sys.executable, str(script)


SLICE = '{"event": "progress", "done": 3, "total": 8, "seconds_left": 2.5}'


def test_a_case_that_tells_its_slices_for_ever_is_late_all_the_same(tmp_path):
    heard: list[SliceProgress] = []
    engine = LocalEngine(
        WorkSettings(),
        tmp_path,
        time_limit=0.6,
        command=saying(tmp_path, '{"event": "ready"}', SLICE),
        progress=heard.append,
    )
    try:
        engine.submit(Task("a", "", None, (), None, ""))
        outcome = engine.answer().outcome
    finally:
        engine.close()
    assert outcome.error is not None
    assert outcome.error["code"] == "time_limit"
    assert heard[0] == SliceProgress("a", 3, 8, 2.5)


def test_an_engine_that_nobody_listens_to_takes_no_offence(tmp_path):
    end = json.dumps({"event": "end", "answer": Answer(CaseOutcome("a", "done")).to_dict()})
    engine = LocalEngine(WorkSettings(), tmp_path, command=saying(tmp_path, '{"event": "ready"}', SLICE, end))
    try:
        engine.submit(Task("a", "", None, (), None, ""))
        assert engine.answer().outcome.status == "done"
    finally:
        engine.close()


def test_what_a_listener_raises_stops_the_batch_and_it_goes_on_later(batch_options):
    def stop(progress: SliceProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(batch_options, slices=stop)
    heard: list[SliceProgress] = []
    summary = run_batch(replace(batch_options), slices=heard.append)
    assert len(summary.of_status("done")) == 2
    assert [each.case for each in heard if each.done == each.total] == ["a", "b"]
    assert {each.total for each in heard} == {6}


@pytest.fixture
def batch_options(tmp_path):
    from GANSegmentationLib.batch import BatchOptions
    from GANSegmentationLib.volumes import write_volume
    from Testing.tiny_model import tiny_scan, write_tiny_package

    scans = tmp_path / "scans"
    scans.mkdir()
    for name in "ab":
        write_volume(tiny_scan(), scans / f"{name}.nrrd")
    package = write_tiny_package(tmp_path / "tiny.ganseg")
    return BatchOptions(scans, tmp_path / "masks", package=package, device="cpu", names="original")
