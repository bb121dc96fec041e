"""One batch at a time: the lock is the system's, and a killed process does not hold it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from GANSegmentationLib.batch.lock import locked
from GANSegmentationLib.errors import GANSegmentationError

# Holds the lock, starts a process that lives on, and says so.
HOLDER = """
import subprocess, sys, pathlib
from GANSegmentationLib.batch.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    print(child.pid, flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_refused_and_told_who_holds_it(tmp_path):
    path = tmp_path / "private" / "lock"
    path.parent.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        holder.stdout.readline()
        with pytest.raises(GANSegmentationError, match=f"process {holder.pid} on") as caught, locked(path):
            pass
        assert caught.value.code == "batch_running"
    finally:
        holder.kill()
        holder.communicate()


def test_the_lock_of_a_killed_process_is_free_although_its_child_lives(tmp_path):
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline()
    holder.kill()
    holder.wait()
    assert path.exists()
    with locked(path):
        pass
    holder.communicate()


def test_it_can_be_taken_again_and_again(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "lock"):
            pass


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(GANSegmentationError) as caught, locked(tmp_path / "nowhere" / "lock"):
        pass
    assert caught.value.code == "write_failed"
