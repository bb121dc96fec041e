"""The lock on a folder is its holder's alone."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import lock


def _refusal(who: str) -> GANSegmentationError:
    return GANSegmentationError("in_use", f"It is in use by {who}.")


def test_whoever_comes_second_is_told_who_was_first(tmp_path: Path) -> None:
    with lock.locked(tmp_path / "lock", _refusal) as held:
        assert held
        with pytest.raises(GANSegmentationError, match=f"process {os.getpid()} on") as caught:
            lock.locked(tmp_path / "lock", _refusal).__enter__()
    assert caught.value.code == "in_use"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_does_not_hold_it_on(tmp_path: Path) -> None:
    waiting, done = os.pipe()
    beginning, begun = os.pipe()
    with lock.locked(tmp_path / "lock", _refusal):
        child = os.fork()
        if not child:
            os.close(done)
            os.write(begun, b"1")
            os.read(waiting, 1)  # until the parent closes its end
            os._exit(0)
        os.read(beginning, 1)
    for end in (waiting, beginning, begun):
        os.close(end)
    try:
        with lock.locked(tmp_path / "lock", _refusal) as held:
            assert held, "the child lives, and the parent has let go"
    finally:
        os.close(done)
        os.waitpid(child, 0)


def test_where_there_are_no_locks_only_those_who_need_one_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(file: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", nowhere)
    with lock.locked(tmp_path / "lock", _refusal, needed=False) as held:
        assert not held
    with pytest.raises(GANSegmentationError, match="No locks available") as caught:
        lock.locked(tmp_path / "lock", _refusal).__enter__()
    assert caught.value.code == "write_failed"
