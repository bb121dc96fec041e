"""The ledger: what it says has happened, whatever happened to the one who wrote it."""

from __future__ import annotations

import json
import os

import pytest

from GANSegmentationLib.batch.ledger import Ledger, read_events, read_history
from GANSegmentationLib.errors import GANSegmentationError

OUTCOME = {"case": "a", "status": "done"}


def settle(ledger: Ledger, case: str, event: str = "done", fingerprint: str = "f") -> None:
    ledger.write("claim", case=case, fingerprint=fingerprint, why="new")
    ledger.write(event, case=case, fingerprint=fingerprint, content="c", outcome={**OUTCOME, "case": case})


def test_what_was_written_is_read_back(tmp_path):
    with Ledger(tmp_path / "l", "r1") as ledger:
        ledger.write("begin", settings={"format": "nrrd"}, version="1", cases=3)
        settle(ledger, "a")
        settle(ledger, "b", "failed")
        ledger.write("claim", case="c", fingerprint="g", why="new")
    history = read_history(tmp_path / "l")
    assert history.settings == {"format": "nrrd"}
    assert {name: record.state for name, record in history.cases.items()} == {
        "a": "done",
        "b": "failed",
        "c": "claimed",
    }
    assert history.cases["a"].outcome == OUTCOME
    assert all(event["run"] == "r1" and event["time"].endswith("+00:00") for event in read_events(tmp_path / "l"))


def test_every_line_is_on_the_disk_before_anything_else(tmp_path, monkeypatch):
    order = []
    write, sync = os.write, os.fsync
    with Ledger(tmp_path / "l", "r") as ledger, monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: (order.append("write"), write(file, data))[1])
        patch.setattr(os, "fsync", lambda file: (order.append("sync"), sync(file))[1])
        settle(ledger, "a")
    assert order == ["write", "sync"] * 2


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_line_that_was_cut_short_has_not_happened(tmp_path, kept):
    with Ledger(tmp_path / "l", "r1") as ledger:
        settle(ledger, "a")
        before = (tmp_path / "l").read_bytes()
        ledger.write("claim", case="b", fingerprint="f", why="new")
    whole = (tmp_path / "l").read_bytes()
    (tmp_path / "l").write_bytes(before + whole[len(before) :][:kept])
    assert list(read_history(tmp_path / "l").cases) == ["a"]
    with Ledger(tmp_path / "l", "r2") as ledger:
        settle(ledger, "c")
    assert list(read_history(tmp_path / "l").cases) == ["a", "c"]
    assert all(json.loads(line) for line in (tmp_path / "l").read_text().splitlines())


def test_a_full_disk_leaves_whole_lines_and_an_error(tmp_path, monkeypatch):
    write = os.write

    def full(file: int, data: memoryview) -> int:
        if len(data) < 60:
            raise OSError(28, "No space left on device")
        return write(file, bytes(data[:50]))

    with Ledger(tmp_path / "l", "r") as ledger:
        settle(ledger, "a")
        before = (tmp_path / "l").read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(GANSegmentationError, match="No space left") as caught:
                settle(ledger, "b")
        assert caught.value.code == "write_failed"
        assert (tmp_path / "l").read_bytes() == before
        settle(ledger, "c")
    assert list(read_history(tmp_path / "l").cases) == ["a", "c"]


@pytest.mark.parametrize("line", ["{", "[]", '{"no": "event"}', '{"event": 3}', ""])
def test_a_damaged_line_in_the_middle_is_named(tmp_path, line):
    good = '{"event": "end"}'
    (tmp_path / "l").write_text(f"{good}\n{line}\n{good}\n")
    with pytest.raises(GANSegmentationError, match="Line 2") as caught:
        read_history(tmp_path / "l")
    assert caught.value.code == "damaged_ledger"


def test_a_claim_after_a_result_makes_the_case_open_again(tmp_path):
    with Ledger(tmp_path / "l", "r") as ledger:
        settle(ledger, "a")
        ledger.write("claim", case="a", fingerprint="new", why="changed")
    record = read_history(tmp_path / "l").cases["a"]
    assert (record.state, record.fingerprint, record.claims) == ("claimed", "new", 2)
    assert record.outcome == OUTCOME


def test_without_a_ledger_nothing_has_happened(tmp_path):
    assert read_history(tmp_path / "l").settings is None
    assert not read_history(tmp_path / "l").cases
