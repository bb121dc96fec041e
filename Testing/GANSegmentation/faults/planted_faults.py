"""Plants one fault after the other into a copy of the module and looks whether the panel's tests find it.

``python Testing/GANSegmentation/faults/planted_faults.py`` plants all of them, ``... parameter-typo property-typo`` the
named ones, ``--file run.py`` those of the files that end so, ``--jobs 2`` two at a time; the exit code is 1 if one was
missed.
A fault is an exact piece of a file, what is put in its place, and why somebody might write that. A piece that is not
there exactly once is an error of the list, so that faults do not rot. They were chosen by reading the code and not its
tests, and are kept by file in `faults_in_panel`, `faults_in_jobs`, `faults_in_sections` and `faults_in_scene`.

The whole working tree that the tests read is copied, and pytest runs there: nothing of the real tree can be changed.
The tests that a file's name stands for run first; all of the panel's follow where these find nothing. It takes an hour
and is not part of the suite; `test_planted_faults.py` plants one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import faults_in_jobs
import faults_in_panel
import faults_in_scene
import faults_in_sections

PROJECT = Path(__file__).resolve().parents[3]
NOT_COPIED = ("prepared", "runs", "demo_output", "build", "dist")  # what was made here, besides hidden folders
SUITE = ("Testing/GANSegmentation", "Testing/host")
FORM = "Resources/UI/GANSegmentation.ui"

_PROCESS = ("process/test_process_executor", "process/test_process_cancel", "process/test_process_failures")

# Where the name of a file's tests is not its own: the files whose border it is behind.
_TESTS_OF = {
    "GANSegmentation.py": ("test_panel_life", "sections/test_run", "test_logic"),
    "Scripts/segment_batch.py": ("test_segment_batch", "test_scripting"),
    "logic.py": ("test_logic", "sections/test_batch", "sections/test_advanced", "sections/test_run", "test_panel_life"),
    "parameters.py": ("test_panel_life", "sections/test_inputs", "sections/test_output"),
    "installation/install_failures.py": ("installation/test_installing",),
    "installation/slicer_services.py": ("installation/test_installing",),
    "jobs/executor.py": ("jobs/test_executor", "test_logic"),
    "jobs/job.py": ("jobs/test_job", "jobs/test_job_faults", "jobs/test_job_queue"),
    "jobs/job_queue.py": ("jobs/test_job_queue", "sections/test_batch"),
    "jobs/steps.py": (
        "sections/test_inputs",
        "sections/test_batch",
        "sections/test_output",
        "sections/test_run",
        "test_logic",
        "test_panel_worker",
    ),
    "process/launching.py": _PROCESS,
    "process/process_executor.py": _PROCESS,
    "process/worker_process.py": _PROCESS,
    "scene/nodes.py": ("scene/test_volumes", "scene/test_segmentations", "scene/test_output"),
    "scene/comparison.py": ("scene/test_comparison", "sections/test_comparison"),
    "scene/region.py": ("scene/test_region", "scene/test_review", "sections/test_comparison"),
    "scene/reference.py": ("scene/test_comparison",),
    "scene/review.py": ("scene/test_review", "scene/test_comparison"),
    "scene/segmentations.py": ("scene/test_segmentations", "scene/test_comparison"),
    "scene/tables.py": ("scene/test_comparison", "sections/test_comparison"),
    "scene/terminology.py": ("scene/test_segmentations", "scene/test_output", "scene/test_comparison"),
    "scene/undo.py": ("scene/test_output",),
    "scene/writing.py": ("scene/test_segmentations", "scene/test_output"),
    "sections/drop.py": ("sections/test_models",),
    "sections/output.py": ("sections/test_output", "sections/test_inputs"),
    "sections/log.py": ("sections/test_advanced", "sections/test_run"),
    "sections/pairs.py": ("sections/test_comparison",),
    "sections/run.py": ("sections/test_run", "sections/test_results", "sections/test_inputs"),
    "sections/status.py": ("sections/test_status", "test_panel_worker"),
    "sections/section.py": ("sections/test_section", "sections/test_output", "sections/test_inputs"),
}


@dataclass(frozen=True)
class Fault:
    """One fault: in `file`, `text` becomes `instead`.

    `name` is for the command line, `why` says which slip of a programmer it stands for, and `tests` are the files that
    are run first; what these miss, all of the panel's tests may still find.
    """

    name: str
    file: str
    text: str
    instead: str
    why: str
    tests: tuple[str, ...] = SUITE


def tests_of(file: str) -> tuple[str, ...]:
    """The test files that belong to a file of the panel, by its name; all where there are none."""
    inner = file.removeprefix("GANSegmentation/").removeprefix("GANSegmentationPanel/")
    room, _, name = inner.removesuffix(".py").rpartition("/")
    names = _TESTS_OF.get(inner, (f"{room}/test_{name}".lstrip("/"),))
    found = tuple(f"Testing/GANSegmentation/{name}.py" for name in names)
    return tuple(path for path in found if (PROJECT / path).is_file()) or SUITE


_FORM_TESTS = ("Testing/GANSegmentation/test_ui_file.py", "Testing/host/test_panel_form.py")
_IN_FORM = (
    (
        "unknown-widget-class",
        '<widget class="ctkSearchBox" name="modelSearchBox">',
        '<widget class="ctkSearchbox" name="modelSearchBox">',
        "a class name mistyped in Designer's promotion dialog",
    ),
    (
        "parameter-typo",
        '<string notr="true">outputSegmentation</string>',
        '<string notr="true">outputSegmentaton</string>',
        "a binding to a parameter that there is not",
    ),
    (
        "scene-not-connected",
        "<receiver>roiSelector</receiver>",
        "<receiver>outputSegmentationSelector</receiver>",
        "a selector that never gets the scene and stays empty",
    ),
    (
        "property-typo",
        '<property name="placeholderText">',
        '<property name="placeholdertext">',
        "a property that Qt makes anew without a word",
    ),
    (
        "missing-widget",
        '<widget class="QToolButton" name="undoButton">',
        '<widget class="QToolButton" name="undoResultButton">',
        "a widget renamed in Designer alone",
    ),
    (
        "bound-to-another-parameter",
        '<string notr="true">resampleReference</string>',
        '<string notr="true">force</string>',
        "a widget copied with the binding of the other one",
    ),
    (
        "wrong-node-type",
        "<string>vtkMRMLMarkupsROINode</string>",
        "<string>vtkMRMLMarkupsROIsNode</string>",
        "a selector of nodes that do not exist",
    ),
    (
        "wrong-slot",
        "<slot>setEnabled(bool)</slot>",
        "<slot>setEnabled(int)</slot>",
        "a slot that there is not: Qt says so on a console that nobody reads",
    ),
)

_PANEL, _JOBS = faults_in_panel.FAULTS, faults_in_jobs.FAULTS
_SECTIONS, _SCENE = faults_in_sections.FAULTS, faults_in_scene.FAULTS

FAULTS: tuple[Fault, ...] = (
    *(Fault(name, FORM, text, instead, why, _FORM_TESTS) for name, text, instead, why in _IN_FORM),
    *(
        Fault(*(name, file, text, instead, why), tests_of(file))
        for faults in (_PANEL, _JOBS, _SECTIONS, _SCENE)
        for file, rows in faults.items()
        for name, text, instead, why in rows
    ),
)


def copy_tree(target: Path) -> None:
    """Copy what the tests read; caches and local runs stay."""
    for source in PROJECT.iterdir():
        if source.name.startswith(".") or source.name in NOT_COPIED:
            continue
        if source.is_dir():
            shutil.copytree(source, target / source.name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy2(source, target / source.name)


def plant(fault: Fault, tree: Path) -> None:
    """Put a fault into a tree; raises ValueError where the list no longer fits the file."""
    path = tree / fault.file
    content = path.read_text(encoding="utf-8")
    if content.count(fault.text) != 1:
        raise ValueError(f"{fault.name}: the text is {content.count(fault.text)} times in {fault.file}, not once")
    path.write_text(content.replace(fault.text, fault.instead), encoding="utf-8")


def finder(fault: Fault, tree: Path, tests: Sequence[str] = (), seconds: float = 900) -> str:
    """Which test finds a fault in a tree that has it; empty if none does. One that crashes or hangs has found it too.

    Parameters
    ----------
    tests:
        Files or folders of tests; those of the fault without any.
    seconds:
        How long they may take.

    Raises
    ------
    ValueError
        If the tests cannot be run.
    """
    failed = _failed(tests or fault.tests, tree, "-x", seconds=seconds)
    return failed[0] if failed else ""


def _failed(tests: Sequence[str], tree: Path, *options: str, seconds: float = 900) -> list[str]:
    """The tests that fail in a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    # The tests of this list fail wherever one of its texts is gone, which says nothing of the panel's.
    aside = ("--ignore", "Testing/GANSegmentation/faults") if set(tests) & set(SUITE) else ()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *aside, *options, *tests]
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return ["no end"]
    said = done.stdout.decode(errors="replace")
    if done.returncode in (4, 5):  # wrong use, no tests: says nothing of the fault
        raise ValueError(f"pytest could not run: {said[-500:]}")
    if done.returncode == 0:
        return []
    lines = [line for line in said.splitlines() if line.startswith(("FAILED Testing", "ERROR Testing"))]
    return [line.partition(" ")[2].partition(" - ")[0] for line in lines] or [f"exit code {done.returncode}"]


def failing_anyway(tests: Sequence[str]) -> list[str]:
    """Which tests fail without any fault: what they find proves nothing."""
    named = sorted({test for test in tests if test.startswith("Testing/")})
    if not named:
        return []
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        copy_tree(Path(folder))
        return _failed(named, Path(folder))


def is_caught(fault: Fault, tree: Path) -> bool:
    """Whether the fault's own tests find it in a tree that has it."""
    return bool(finder(fault, tree))


def try_fault(fault: Fault, *, widen: bool = True) -> str:
    """Which test finds a fault in a fresh copy of the tree, of all tests if its own do not; empty if none does."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        plant(fault, tree)
        return finder(fault, tree) or (finder(fault, tree, SUITE) if widen and fault.tests != SUITE else "")


def main(faults: Sequence[Fault], jobs: int = 1, *, widen: bool = True) -> int:
    """Plant faults; prints a line for each, a table by file, and gives the exit code.

    What was found by a test that fails without a fault, too, counts as missed.
    """
    found: dict[str, str] = {}
    begin = time.monotonic()

    def attempt(fault: Fault) -> tuple[Fault, str, float]:
        since = time.monotonic()
        return fault, try_fault(fault, widen=widen), time.monotonic() - since

    with ThreadPoolExecutor(jobs) as pool:
        for fault, test, seconds in pool.map(attempt, faults):
            found[fault.name] = test
            said = test.rpartition("/")[2] or fault.why
            _say(f"{'caught' if test else 'MISSED'}  {fault.name}  ({seconds:.0f} s): {said}")
    broken = failing_anyway(list(found.values()))
    for test in broken:
        _say(f"FAILS WITHOUT A FAULT  {test}")
    found = {name: "" if test in broken else test for name, test in found.items()}
    _say("")
    for file in dict.fromkeys(fault.file for fault in faults):
        names = [fault.name for fault in faults if fault.file == file]
        missed = [name for name in names if not found[name]]
        _say(f"{len(names) - len(missed):3d} of {len(names):2d}  {file}  {', '.join(missed)}".rstrip())
    _say(f"{sum(map(bool, found.values()))} of {len(found)} caught in {(time.monotonic() - begin) / 60:.1f} min")
    return 0 if all(found.values()) else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def chosen(names: Sequence[str], files: Sequence[str]) -> list[Fault]:
    """The faults of some names and those of files whose paths end so; all without either."""
    unknown = set(names) - {fault.name for fault in FAULTS}
    if unknown:
        raise SystemExit(f"There is no fault called {', '.join(sorted(unknown))}.")
    wanted = [fault for fault in FAULTS if fault.name in names or (files and fault.file.endswith(tuple(files)))]
    return wanted if names or files else list(FAULTS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="which faults; all without a name")
    parser.add_argument("--file", action="append", default=[], help="all faults of files that end so")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument("--narrow", action="store_true", help="run only the tests that belong to a file")
    given = parser.parse_args()
    sys.exit(main(chosen(given.names, given.file), given.jobs, widen=not given.narrow))
