"""What the worker said is kept for whoever looks for a fault, without anything of patients."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def worker_log(application):
    from GANSegmentationPanel.process import worker_log

    return worker_log


def test_the_log_is_a_file_of_this_application_in_the_users_folder(worker_log, tmp_path, monkeypatch):
    monkeypatch.setenv("GANSEG_LOGS", str(tmp_path / "größer" / "logs"))
    log = worker_log.WorkerLog()
    log.begin("starting")
    log.said("words – größer")
    log.close()
    assert log.path.parent == tmp_path / "größer" / "logs"
    assert str(os.getpid()) in log.path.name
    assert "words – größer" in log.path.read_text(encoding="utf-8")


def test_a_long_log_goes_on_in_a_second_file_and_old_ones_are_removed(worker_log, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_log, "LARGEST_LOG_BYTES", 2000)
    for number in range(20):
        old = tmp_path / f"worker-{900000 + number}.log"
        old.write_text("old", encoding="utf-8")
        os.utime(old, (number, number))
    log = worker_log.WorkerLog(tmp_path)
    for number in range(500):
        log.write(f"line {number}")
    log.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert sum(sizes) < 10_000
    assert len(sizes) <= worker_log.KEPT_LOGS + 2
    assert "line 499" in log.path.read_text(encoding="utf-8")
    kept = {path.name for path in tmp_path.glob("worker-9000*.log")}
    assert kept == {f"worker-{900000 + number}.log" for number in range(20 - worker_log.KEPT_LOGS, 20)}


def test_without_a_place_for_the_file_the_last_lines_are_still_there(worker_log, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    log = worker_log.WorkerLog(tmp_path / "file" / "logs")
    for number in range(100):
        log.said(f"line {number}")
    assert log.lastLines.splitlines() == [f"line {number}" for number in range(70, 100)]


def test_the_words_of_an_earlier_process_are_not_those_of_the_next(worker_log, tmp_path):
    log = worker_log.WorkerLog(tmp_path)
    log.said("of the first")
    log.begin("starting")
    assert log.lastLines == ""
    log.close()


def test_paths_and_names_are_left_out_of_the_file_and_of_the_last_lines(worker_log, tmp_path):
    log = worker_log.WorkerLog(tmp_path)
    log.hide(["Mueller^Eva", "S-77123"])
    log.begin("starting /srv/Slicer/bin/PythonSlicer")
    log.said("could not read '/srv/scans of Mueller/a scan.nrrd': no")
    log.said("could not read D:\\scans of Mueller\\a scan.nrrd")
    log.said("series S-77123 of MUELLER is odd")
    log.said('  File "/srv/x/site-packages/torch/nn/a.py", line 3')
    log.write("12/14 slices")
    log.close()
    written = log.path.read_text(encoding="utf-8")
    for text in (log.lastLines, written):
        assert not any(words in text for words in ("ueller", "UELLER", "77123", "/srv", "D:", "/opt", "scan.nrrd"))
        assert "is odd" in text
        assert 'File "site-packages/torch/nn/a.py", line 3' in text
    assert "12/14 slices" in written


@pytest.mark.parametrize(
    ("code", "said", "cause"),
    [
        (-9, "SIGKILL", "out of memory"),
        (137, "SIGKILL", "out of memory"),
        (-11, "SIGSEGV", "driver"),
        (139, "SIGSEGV", "driver"),
        (-6, "SIGABRT", "driver"),
        (1, "exit code 1", ""),
        (-63, "63", ""),
    ],
)
def test_a_crash_says_how_it_ended_and_why_probably(worker_log, tmp_path, code, said, cause):
    error = worker_log.crashed(worker_log.Ending(code), worker_log.WorkerLog(tmp_path))
    assert error.code == "worker_crashed"
    assert said in error.message
    assert cause in error.cause
    assert error.action
    assert "worker-" in error.details


@pytest.mark.parametrize(
    ("code", "said", "cause"),
    [
        (-1073741819, "0xC0000005", "driver"),
        (0xC0000005, "0xC0000005", "driver"),
        (0xC0000017, "0xC0000017", "memory"),
        (0xC0000135, "0xC0000135", "missing"),
    ],
)
def test_the_codes_of_windows_are_known(worker_log, tmp_path, monkeypatch, code, said, cause):
    log = worker_log.WorkerLog(tmp_path)
    monkeypatch.setattr(worker_log, "_onWindows", lambda: True)
    error = worker_log.crashed(worker_log.Ending(code), log)
    assert said in error.message
    assert cause in error.cause
