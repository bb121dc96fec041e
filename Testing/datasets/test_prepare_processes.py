"""Preparing with several processes: the same dataset, no case lost, and whatever is killed can go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.datasets import Dataset, prepare
from GANSegmentationLib.datasets.dataset import array_bytes
from GANSegmentationLib.datasets.processes import Died, in_processes
from GANSegmentationLib.errors import GANSegmentationError

PROJECT = Path(__file__).resolve().parents[2]


def _files(folder: Path) -> dict[str, bytes]:
    """All files of a dataset but the lock; none may be half-written."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != ".prepare.lock"}


def _sources(layouts: Path) -> list[tuple[str, Path]]:
    return [("lits_slices", layouts / "lits"), ("msd_slices", layouts / "msd")]


def test_any_number_of_processes_gives_the_same_files(layouts_folder: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    one = prepare(_sources(layouts_folder), tmp_path / "one", labels={1: "Liver"})
    three = prepare(
        _sources(layouts_folder),
        tmp_path / "three",
        labels={1: "Liver"},
        workers=3,
        report=lambda *progress: told.append(progress),
    )
    assert [case.id for case in one.cases] == [case.id for case in three.cases] and len(one.cases) == 8
    assert _files(tmp_path / "one") == _files(tmp_path / "three")
    assert sorted(name for _, _, name in told) == sorted(case.id for case in one.cases)
    assert all(done < total == 8 for done, total, _ in told)


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_cases_are_named_and_the_good_ones_kept(layouts_folder: Path, workers: int, tmp_path: Path) -> None:
    layouts = tmp_path / "layouts"
    shutil.copytree(layouts_folder, layouts)
    (layouts / "lits" / "v00" / "s003.jpg").write_bytes(b"no picture")
    (layouts / "msd" / "c003_s040_mask.png").unlink()
    with pytest.raises(GANSegmentationError) as caught:
        prepare(_sources(layouts), tmp_path / "out", labels={1: "Liver"}, workers=workers)
    assert caught.value.code == "bad_cases" and "2 of 8" in caught.value.message
    assert "s003.jpg" in caught.value.message and "c003_s040_mask.png" in caught.value.message
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert len(list((tmp_path / "out" / "cases").iterdir())) == 6, "the others need not be read again"

    left_out: list[tuple[str, str]] = []
    dataset = prepare(
        _sources(layouts),
        tmp_path / "out",
        labels={1: "Liver"},
        workers=workers,
        left_out=lambda name, error: left_out.append((name, error.code)),
    )
    assert left_out == [("lits_v00", "invalid_source"), ("msd_c003", "invalid_source")]
    assert len(Dataset.open(tmp_path / "out").cases) == len(dataset.cases) == 6


def test_a_dataset_of_bad_cases_alone_is_an_error(layouts_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(layouts_folder / "lits" / "v00", tmp_path / "in" / "v00")
    (tmp_path / "in" / "v00" / "s003.jpg").write_bytes(b"no picture")
    with pytest.raises(GANSegmentationError, match=r"s003\.jpg"):
        prepare([("lits_slices", tmp_path / "in")], tmp_path / "out", labels={1: "Liver"}, left_out=lambda *_: None)


def _work(folder: Path, number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 8:
        os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C does to all processes of a terminal
    if number == 5:
        raise GANSegmentationError("bad_number", "5 is bad.")
    return number * number


def test_a_process_that_dies_takes_its_own_item_alone(tmp_path: Path) -> None:
    results = dict(in_processes(partial(_work, tmp_path), [1, 2, 3, 4, 6, 8], 2))
    assert {index: result for index, result in results.items() if index != 2} == {0: 1, 1: 4, 3: 16, 4: 36, 5: 64}
    assert results[2] == Died("signal 9")


def test_an_error_in_a_process_ends_it_all(tmp_path: Path) -> None:
    with pytest.raises(GANSegmentationError, match="5 is bad"):
        list(in_processes(partial(_work, tmp_path), [5, 1], 2))


def test_arrays_are_written_as_numpy_writes_them(layouts_folder: Path, tmp_path: Path) -> None:
    dataset = prepare(_sources(layouts_folder)[:1], tmp_path, labels={1: "Liver"})
    for case in dataset.cases:
        path = dataset.path("images", case)
        assert path.read_bytes() == array_bytes(np.load(path))
        assert dataset.stored_fingerprint(case) == case.fingerprint


_RUN = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
from pathlib import Path
from GANSegmentationLib.datasets import prepare
if __name__ == "__main__":
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    prepare([("npy", folder, {"patients": "each"})], output, labels={1: "Foreground"}, workers=2)
"""


def _running(code: Path, source: Path, output: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(code), str(source), str(output)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _alive(session: int) -> list[str]:
    """The command lines of the processes of a session."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(status.parent.name)
    return found


def _wait_until_gone(session: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _alive(session):
        assert time.monotonic() < deadline, "a process is left"
        time.sleep(0.02)


_SLEEP = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
from pathlib import Path
from GANSegmentationLib.datasets.processes import in_processes

def work(path):
    path.touch()
    time.sleep(300)

if __name__ == "__main__":
    list(in_processes(work, [Path(sys.argv[1]), Path(sys.argv[2])], 2))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_in_the_middle_of_their_work_when_the_first_one_does(how: signal.Signals, tmp_path: Path) -> None:
    code = tmp_path / "sleep.py"
    code.write_text(_SLEEP)
    begun = [tmp_path / "first", tmp_path / "second"]
    run = _running(code, *begun)
    deadline = time.monotonic() + 60
    while not all(path.exists() for path in begun):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(run.pid, how)
    run.wait(20)
    _wait_until_gone(run.pid, 10)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_leaves_no_process_and_goes_on_to_the_same_dataset(
    how: signal.Signals, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    np.save(source / "images.npy", rng.integers(0, 900, (160, 64, 64)).astype(np.int16))
    np.save(source / "masks.npy", rng.integers(0, 2, (160, 64, 64)).astype(np.uint8))
    code = tmp_path / "run.py"
    code.write_text(_RUN)
    run = _running(code, source, output)
    facts = output / "cases"
    deadline = time.monotonic() + 60
    while not facts.is_dir() or len(list(facts.iterdir())) < 20:
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(run.pid, how) if how == signal.SIGINT else run.kill()  # Ctrl-C reaches all processes, kill -9 one
    said = run.communicate(timeout=30)[1].decode()
    assert said.count("Traceback") == (how == signal.SIGINT), "the other processes say nothing"
    _wait_until_gone(run.pid, 10)
    assert not (output / "manifest.json").exists() and len(list(facts.glob("*.json"))) < 160
    done = {path: path.stat().st_mtime_ns for path in (output / "images").glob("*.npy")}

    second = _running(code, source, output)
    assert second.wait(60) == 0, second.stderr and second.stderr.read().decode()
    whole = prepare([("npy", source, {"patients": "each"})], tmp_path / "whole", labels={1: "Foreground"})  # type: ignore[list-item]
    assert _files(output).keys() == _files(tmp_path / "whole").keys() and len(whole.cases) == 160
    assert json.loads((output / "manifest.json").read_text()) == json.loads(
        (tmp_path / "whole" / "manifest.json").read_text()
    )
    assert _files(output) == _files(tmp_path / "whole")
    kept = [path for path, time_ns in done.items() if path.stat().st_mtime_ns == time_ns]
    assert len(kept) >= len(done) - 2, "what was done is not done again"


def test_two_runs_do_not_write_into_one_folder(layouts_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GANSegmentationError, match="Another run") as caught:
        prepare(
            _sources(layouts_folder),
            tmp_path,
            labels={1: "Liver"},
            report=lambda *_: prepare(_sources(layouts_folder), tmp_path, labels={1: "Liver"}),  # type: ignore[arg-type,return-value]
        )
    assert caught.value.code == "folder_in_use"


def test_half_written_files_of_a_killed_run_are_swept(layouts_folder: Path, tmp_path: Path) -> None:
    left = tmp_path / "images" / ".ganseg-abc" / "lits_v00.npy"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    prepare(_sources(layouts_folder), tmp_path, labels={1: "Liver"})
    assert not left.parent.exists()
