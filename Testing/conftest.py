"""Fixtures for all tests: the real scans, where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tensors of tests are so small that threads spend their time on waiting for one another; before torch is imported, and
# for the processes that tests start, too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["Testing.layouts"]

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real scans; a test that asks for it is skipped where it is absent."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real scans (../shared/data) are not here")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """On CI with the real scans present, a real-data test that is skipped has not done its duty: a failure."""
    report = yield
    on_ci = os.environ.get("CI", "").lower() in ("1", "true", "yes")
    present = (PROJECT.parent / "shared" / "data").is_dir()
    if report.skipped and on_ci and present and item.get_closest_marker("real_data") is not None:
        report.outcome = "failed"
        report.longrepr = f"A real-data test was skipped although the data is here: {report.longrepr}"
    return report
