"""``ganseg batch``: what it says, and its exit codes; how a batch behaves is tested in ``Testing/batch``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from GANSegmentationLib.batch import runner
from GANSegmentationLib.batch.task import Task, WorkSettings
from GANSegmentationLib.errors import GANSegmentationError
from Testing.batch.conftest import InlineEngine, events, numbered_scan, tree, write_reference, write_scans
from Testing.tiny_model import write_tiny_package


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    return write_tiny_package(tmp_path_factory.mktemp("model") / "tiny.ganseg")


@pytest.fixture
def scans(tmp_path) -> Path:
    return write_scans(tmp_path / "in", 4)


@pytest.fixture
def inline(monkeypatch) -> Callable[[Callable[[Task], None]], None]:
    """Cases are done in this process, with something before each."""

    def use(before: Callable[[Task], None] = lambda task: None) -> None:
        def make(options, folder, slices):
            return InlineEngine(WorkSettings(str(options.package), device="cpu"), before)

        monkeypatch.setattr(runner, "_engine", make)

    use()
    return use


def break_second(task: Task) -> None:
    if task.case == "site-1/scan-01":
        raise GANSegmentationError("damaged_file", "The file is damaged.")


def test_a_batch_says_what_it_found_and_a_failure_is_exit_code_3(ganseg, tiny, scans, inline, tmp_path):
    write_reference(numbered_scan(0), tmp_path / "truth" / "site-0" / "scan-00.nrrd")
    inline(break_second)
    command = ("batch", scans, "-o", tmp_path / "out", "--model", tiny, "--references", tmp_path / "truth")
    done = ganseg(*command)
    assert done.code == 3
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0] == "structure cases mean ml scored Dice HD95 mm ASSD mm missed".split()  # noqa: SIM905
    assert (rows[2][:2], rows[2][3:]) == (["Liver", "3"], ["1", "1.000", "0.0", "0.00", "0"])
    assert "3 done, 1 failed" in done.out
    assert "site-1/scan-01: The file is damaged. [damaged_file]" in done.out
    assert f"report   {tmp_path / 'out' / 'report.html'}" in done.out
    assert "4 cases, 4 to do." in done.err
    assert "[4/4]" in done.err
    inline()
    assert ganseg(*command).code == 3, "what failed is still failed"
    assert ganseg(*command, "--retry-failed").code == 0


def test_json_is_the_summary(ganseg, tiny, scans, inline, tmp_path):
    done = ganseg("batch", scans, "-o", tmp_path / "out", "--model", tiny, "--json")
    assert done.code == 0
    assert json.loads(done.out) == json.loads((tmp_path / "out" / "summary.json").read_text())


def test_a_dry_run_lists_and_writes_nothing(ganseg, tiny, scans, tmp_path):
    done = ganseg("batch", scans, "-o", tmp_path / "out", "--model", tiny, "--dry-run", "--exclude", "site-0")
    assert done.code == 0
    assert ["site-1/scan-01", "-", "new", "-", "1"] in [line.split() for line in done.out.splitlines()]
    assert "2 cases, 2 to do" in done.out
    assert not (tmp_path / "out").exists()
    listed = json.loads(ganseg("batch", scans, "-o", tmp_path / "out", "--dry-run", "--json").out)
    assert [each["case"] for each in listed["cases"]][:1] == ["site-0/scan-00"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("--time-limit", "0"), 2),
        (("--workers", "2"), 2),
        (("--format", "jpeg"), 2),
        (("--format", "dicom-seg"), 1),
        (("--model", "unknown-model"), 1),
        (("--include", "nothing"), 1),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(ganseg, scans, tmp_path, arguments, code):
    output = ("-o", tmp_path / "out") if arguments else ()
    done = ganseg("batch", scans, *output, *arguments)
    assert done.code == code
    assert not list(tmp_path.glob("out/**/*.nrrd"))


def test_pseudonyms_are_announced(ganseg, tiny, scans, inline, tmp_path):
    done = ganseg("batch", scans, "-o", tmp_path / "out", "--model", tiny, "--names", "pseudonyms")
    assert done.code == 0
    assert "7 names of folders and files" in done.err
    assert "scan-0" not in done.err + done.out.replace(str(tmp_path), "")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_cleanly_and_resumably(ganseg, tiny, scans, inline, tmp_path, number):
    def interrupt(task: Task) -> None:
        if task.case == "site-1/scan-01":
            os.kill(os.getpid(), number)
            threading.Event().wait(5)

    inline(interrupt)
    command = ("batch", scans, "-o", tmp_path / "out", "--model", tiny)
    # As a shell starts it; tests that run side by side ignore the keyboard's interrupt.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = ganseg(*command)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.code == 1
    assert "the same command goes on" in done.err
    assert events(tmp_path / "out")[-1]["why"] == "KeyboardInterrupt"
    inline()
    assert ganseg(*command).code == 0
    assert len(events(tmp_path / "out", "done")) == 4


# Real processes, real ends


def command_of(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "GANSegmentationLib", "batch", *map(str, arguments)]


LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
runpy.run_module("GANSegmentationLib", run_name="__main__")
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of file sizes")
def test_where_nothing_can_be_written_any_more_it_stops_with_whole_lines_and_goes_on_later(
    project, tiny, scans, tmp_path
):
    """A limit on the size of files stands for a full disk: the ledger is the first to reach it, within a line."""
    arguments = [str(scans), "-o", str(tmp_path / "out"), "--model", str(tiny), "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    limited = [sys.executable, "-c", LIMITED, "2500", "batch", *arguments]
    done = subprocess.run(limited, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1, done.stderr
    assert "[write_failed]" in done.stderr and "Traceback" not in done.stderr
    ledger = (tmp_path / "out" / "batch.jsonl").read_text()
    assert ledger.endswith("\n") and 1000 < len(ledger) <= 2500
    kept = events(tmp_path / "out", "done")
    assert 0 < len(kept) < 4

    done = subprocess.run(command_of(*arguments), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(event["case"] for event in events(tmp_path / "out", "done")) == [
        *("site-0/scan-00", "site-0/scan-03", "site-1/scan-01", "site-2/scan-02"),
    ]
    assert len(tree(tmp_path / "out")) == 4
