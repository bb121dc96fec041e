"""The script that plants faults finds one, and its list fits the files as they are."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import planted_faults

sys.path.pop(0)


@pytest.mark.parametrize("fault", planted_faults.FAULTS, ids=lambda fault: fault.name)
def test_every_fault_of_the_list_can_still_be_planted(fault):
    content = (planted_faults.PROJECT / fault.file).read_text(encoding="utf-8")
    assert content.count(fault.text) == 1
    assert fault.text != fault.instead
    assert fault.why


def test_names_of_faults_are_given_once():
    names = [fault.name for fault in planted_faults.FAULTS]
    assert len(names) == len(set(names))


def test_every_file_of_the_panel_has_two_faults_or_more():
    module = planted_faults.PROJECT / "GANSegmentation"
    files = [path.relative_to(planted_faults.PROJECT).as_posix() for path in module.rglob("*.py")]
    trivial = ("__init__.py", "GANSegmentationPanel/jobs/options.py")  # names and defaults, no statements
    wanted = {planted_faults.FORM, *(file for file in files if not file.endswith(trivial))}
    counts = Counter(fault.file for fault in planted_faults.FAULTS)
    assert {file for file in wanted if counts[file] < 2} == set()


def test_the_tests_of_a_file_are_found_by_its_name():
    of = planted_faults.tests_of
    check = ("Testing/GANSegmentation/sections/test_check.py",)
    assert of("GANSegmentation/GANSegmentationPanel/sections/check.py") == check
    assert of("GANSegmentation/GANSegmentationPanel/scene/undo.py") == ("Testing/GANSegmentation/scene/test_output.py",)
    assert of("GANSegmentation/GANSegmentationPanel/nothing_of_the_sort.py") == planted_faults.SUITE
    assert all((planted_faults.PROJECT / test).exists() for fault in planted_faults.FAULTS for test in fault.tests)


def test_a_table_by_file_and_the_exit_code_tell_what_was_missed(monkeypatch, capsys):
    faults = planted_faults.chosen(["region-forgotten", "undone-twice"], [])
    monkeypatch.setattr(
        planted_faults, "try_fault", lambda fault, widen: "test_x" if fault.name == "undone-twice" else ""
    )
    assert planted_faults.main(faults, jobs=2) == 1
    said = capsys.readouterr().out
    assert "caught  undone-twice" in said and "MISSED  region-forgotten" in said
    assert "0 of  1  GANSegmentation/GANSegmentationPanel/sections/run.py  region-forgotten" in said
    assert "1 of 2 caught" in said
    monkeypatch.setattr(planted_faults, "try_fault", lambda fault, widen: "test_x.py::test_y")
    monkeypatch.setattr(planted_faults, "failing_anyway", lambda tests: ["test_x.py::test_y"])
    assert planted_faults.main(faults) == 1
    assert "0 of 2 caught" in capsys.readouterr().out
    assert planted_faults.main(faults[:0]) == 0
    with pytest.raises(SystemExit, match="no fault called nonsense"):
        planted_faults.chosen(["nonsense"], [])


@pytest.fixture
def small_tree(tmp_path):
    """As much of the tree as one of the tests reads."""
    for name in ("Resources/UI", "Resources/Icons", "GANSegmentation", "Testing/GANSegmentation"):
        shutil.copytree(planted_faults.PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(planted_faults.PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def test_a_planted_fault_is_caught_and_the_tree_without_it_passes(small_tree):
    (fault,) = planted_faults.chosen(["parameter-typo"], [])
    fault = dataclasses.replace(fault, tests=("Testing/GANSegmentation/test_ui_file.py",))
    assert not planted_faults.is_caught(fault, small_tree)
    planted_faults.plant(fault, small_tree)
    assert planted_faults.is_caught(fault, small_tree)


def test_a_fault_that_no_longer_fits_is_an_error_of_the_list(small_tree):
    fault = dataclasses.replace(planted_faults.FAULTS[0], text="nothing of the file")
    with pytest.raises(ValueError, match="0 times"):
        planted_faults.plant(fault, small_tree)
