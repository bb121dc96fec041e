"""Fixtures of jobs in a process of their own: executors with the real worker, a slow one and hostile ones."""

from __future__ import annotations

import sys

import pytest

from Testing.GANSegmentation.executing import WORKERS
from Testing.tiny_model import write_tiny_package


@pytest.fixture
def executors(application, tmp_path):
    """Makes executors; all are shut down at the end, and no slot may have failed or waited."""
    from GANSegmentationPanel.process.process_executor import ProcessExecutor

    from Testing.slicer_host import processes, pythonqt

    pythonqt.slot_errors.clear()
    processes.blocking_calls.clear()
    made = []

    def make(*command, **options):
        options = {"logFolder": tmp_path / "logs", "graceMs": 300, **options}
        made.append(ProcessExecutor([sys.executable, *map(str, command)] if command else None, **options))
        return made[-1]

    yield make
    assert not processes.blocking_calls
    for executor in made:
        executor.shutdown()
    assert not pythonqt.slot_errors


@pytest.fixture
def hostile(executors):
    def make(mode, *arguments, **options):
        return executors(WORKERS / "hostile_worker.py", mode, *arguments, **options)

    return make


@pytest.fixture
def slow(executors):
    """The real worker, which stays in a stage for a minute."""

    def make(stage, *how, **options):
        return executors("-P", WORKERS / "slow_worker.py", stage, 60, *how, **options)

    return make


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    return write_tiny_package(tmp_path_factory.mktemp("model") / "tiny-liver.ganseg")
