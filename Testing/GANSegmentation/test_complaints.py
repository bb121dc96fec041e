"""Every complaint that docs/complaints.md lists has tests that are there, and steps that the release protocol has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
TABLE = PROJECT / "docs" / "complaints.md"
PROTOCOL = PROJECT / "docs" / "release-protocol.md"
COMPLAINTS = 20


def rows() -> list[list[str]]:
    """The cells of each complaint."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named_in(row: list[str]) -> list[str]:
    return re.findall(r"`([^`]*)`", row[3])


def test_there_is_a_row_with_an_answer_and_a_test_for_each_complaint():
    assert [int(row[0]) for row in rows()] == list(range(1, COMPLAINTS + 1))
    for row in rows():
        assert row[1] and row[2], row[0]
        assert named_in(row), row[0]


def test_every_test_that_is_named_is_collected():
    named = sorted({f"Testing/{test}" for row in rows() for test in named_in(row)})
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *named]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    collected = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert [test for test in named if test not in collected] == [], done.stdout[-2000:] + done.stderr[-2000:]
    assert done.returncode == 0, done.stdout[-2000:]


def test_every_step_that_is_named_is_in_the_release_protocol():
    headings = re.findall(r"^#+ (.*)$", PROTOCOL.read_text(encoding="utf-8"), re.MULTILINE)
    places = [*headings, *re.findall(r"^(\w+), each", PROTOCOL.read_text(encoding="utf-8"), re.MULTILINE)]
    for row in rows():
        if row[4]:
            assert any(place.startswith(row[4]) for place in places), row[4]
