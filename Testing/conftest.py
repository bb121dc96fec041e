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


def _must_run(report: pytest.CollectReport | pytest.TestReport, *, real_data: bool = False) -> None:
    """On CI, a test that is skipped for want of a package or of scans that are there has not done its duty: a failure.

    The environment of `make test` has every package that a test asks for.
    """
    if not report.skipped or os.environ.get("CI", "").lower() not in ("1", "true", "yes"):
        return
    why = str(report.longrepr)
    if "could not import" in why:
        report.outcome = "failed"
        report.longrepr = f"A test was skipped because a package is missing: {why}"
    elif real_data and (PROJECT.parent / "shared" / "data").is_dir():
        report.outcome = "failed"
        report.longrepr = f"A real-data test was skipped although the data is here: {why}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    report = yield
    _must_run(report, real_data=item.get_closest_marker("real_data") is not None)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):  # type: ignore[no-untyped-def]
    report = yield
    _must_run(report)  # `pytest.importorskip` at the top of a file
    return report
