"""Processes are started with a Python, never with the application that embeds one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from GANSegmentationLib import interpreter
from GANSegmentationLib.errors import GANSegmentationError


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["python", "python3.12", "python-real", "PythonSlicer", "Python"])
def test_a_python_is_its_own_interpreter(name: str, tmp_path: Path) -> None:
    program(tmp_path / "PythonSlicer")
    running = f"/srv/somewhere/{name}"
    assert interpreter.python_executable(running, str(tmp_path)) == running


@pytest.mark.parametrize("name", ["SlicerApp-real", "Slicer", ""])
def test_within_slicer_it_is_slicers_python(name: str, tmp_path: Path) -> None:
    wanted = program(tmp_path / "PythonSlicer")
    assert interpreter.python_executable(name and f"/srv/Slicer/bin/{name}", str(tmp_path)) == str(wanted)


@pytest.mark.parametrize("place", ["bin/SlicerApp-real", "Slicer", "MacOS/Slicer"])
def test_it_is_found_beside_the_application_without_the_path(place: str, tmp_path: Path) -> None:
    wanted = program(tmp_path / "bin" / "PythonSlicer")
    running = program(tmp_path / place)
    assert Path(interpreter.python_executable(str(running), "")).samefile(wanted)


def test_no_python_is_said_and_the_application_never_started(tmp_path: Path) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        interpreter.python_executable(str(tmp_path / "SlicerApp-real"), str(tmp_path))
    assert caught.value.code == "interpreter_missing"
    assert "PythonSlicer" in caught.value.action


def test_a_child_finds_this_copy_of_the_library_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "GANSegmentationLib").mkdir()
    (tmp_path / "GANSegmentationLib" / "__init__.py").write_text("raise ImportError('an older copy')")
    environment = interpreter.child_environment({**os.environ, "PYTHONPATH": str(tmp_path)})
    asked = "import GANSegmentationLib as g; print(g.__file__)"
    done = subprocess.run(
        [interpreter.python_executable(), "-c", asked], env=environment, cwd="/", capture_output=True, text=True
    )
    assert Path(done.stdout.strip()) == Path(interpreter.__file__).with_name("__init__.py"), done.stderr
    assert str(tmp_path) in environment["PYTHONPATH"]


def test_the_path_does_not_grow_from_child_to_child() -> None:
    once = interpreter.child_environment({"PYTHONPATH": "/a"})
    assert interpreter.child_environment(once) == once
    assert once["PYTHONPATH"].split(os.pathsep)[1:] == ["/a"]
    assert sys.executable == interpreter.python_executable()
