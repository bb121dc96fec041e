"""The script for ``Slicer --python-script``: exit codes, one line a case, no dialogs, and a scene that never grows."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from GANSegmentationLib.volumes import read_labelmap, write_volume
from Testing.tiny_model import tiny_scan, write_tiny_package

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = PROJECT / "GANSegmentation" / "Scripts" / "segment_batch.py"


@pytest.fixture
def script():
    """The script as a module; read anew, as Slicer does."""
    spec = importlib.util.spec_from_file_location("segment_batch", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scans(tmp_path, monkeypatch) -> Path:
    """Two scans with names that are not ASCII, and a model for them."""
    monkeypatch.setenv("GANSEG_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    write_tiny_package(tmp_path / "models" / "tiny-liver.ganseg")
    folder = tmp_path / "Bäuche 肝"
    (folder / "b").mkdir(parents=True)
    for name in ("a.nrrd", "b/zwei ö.nrrd"):
        write_volume(tiny_scan(), folder / name)
    return folder


@pytest.fixture
def commanded(monkeypatch):
    """What `ganseg` is asked for, which then does nothing but what a test says."""
    from GANSegmentationLib import cli

    asked = types.SimpleNamespace(commands=[], code=0, printed="", tty=None)

    def main(command):
        asked.commands.append(command)
        asked.tty = sys.stderr.isatty()
        print(asked.printed, end="")  # noqa: T201 - what the command prints
        return asked.code

    monkeypatch.setattr(cli, "main", main)
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONIOENCODING", "")
    return asked


def run(*arguments: object, interpreter: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *interpreter, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", encoding="utf-8")


# The real thing


def test_a_folder_is_segmented_with_a_line_a_case_and_a_bad_case_fails_alone(scans, tmp_path):
    output, report = tmp_path / "Masken", tmp_path / "bericht.json"
    (scans / "kaputt.nrrd").write_bytes(b"NRRD0004\nno more")
    (tmp_path / "truth").mkdir()
    done = run(
        *("--", "--input", scans, "--output", output, "--model", "tiny-liver", "--device", "cpu"),
        *("--format", "nii.gz", "--reference", tmp_path / "truth", "--json", report),
    )
    assert done.returncode == 3, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert [line[:5] for line in lines] == ["[1/3]", "[2/3]", "[3/3]"]
    assert sum("Liver" in line and " ml" in line for line in lines) == 2
    assert "Traceback" not in done.stderr
    for name in ("a.nii.gz", "b/zwei ö.nii.gz"):
        assert read_labelmap(output / name).array.any()
    assert len(json.loads(report.read_text(encoding="utf-8"))["cases"]) == 3


def test_a_folder_of_references_that_is_not_there_stops_before_anything_is_done(scans, tmp_path):
    done = run("--input", scans, "--output", tmp_path / "out", "--reference", tmp_path / "none")
    assert done.returncode == 2
    assert not (tmp_path / "out").exists()


# Arguments


def test_slicer_names_become_those_of_the_command(script, commanded, tmp_path):
    arguments = ["--input", "in", "--output", "out", "--model", "m", "--reference", "ref", "--format", "nii.gz"]
    assert script.main([*arguments, "--device", "cpu", "--retry-failed"]) == 0
    assert commanded.commands == [
        [
            *("batch", "in", "--output", "out", "--model", "m", "--format", "nii.gz", "--device", "cpu"),
            *("--retry-failed", "--references", "ref"),
        ]
    ]


@pytest.mark.parametrize(
    ("argv", "own"),
    [
        (["s.py", "--", "--input", "a"], ["--input", "a"]),  # Slicer has left the sign in
        (["s.py", "--input", "a"], ["--input", "a"]),  # Slicer has taken it, or it is another Python
        (["Slicer", "--no-splash", "--python-script", "s.py", "--", "--input", "a"], ["--input", "a"]),
        (["s.py"], []),
    ],
)
def test_its_own_arguments_are_found_in_slicers(script, argv, own):
    assert script.ownArguments(argv) == own


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_the_exit_code_is_the_commands(script, commanded, code):
    commanded.code = code
    assert script.main(["--input", "in", "--output", "out"]) == code


@pytest.mark.parametrize("wrong", [[], ["--input", "x"], ["--inp", "x", "--output", "y"]])
def test_wrong_use_is_exit_code_2(script, commanded, wrong, capsys):
    assert script.main(wrong) == 2
    assert "usage" in capsys.readouterr().err
    assert commanded.commands == []


def test_an_option_that_nobody_knows_is_wrong_use_too(tmp_path):
    done = run("--input", tmp_path, "--output", tmp_path / "o", "--wrong-option")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


# JSON


def test_the_outcome_is_written_whole(script, commanded, tmp_path, capsys):
    commanded.printed, commanded.code = '{"cases": ["肝"]}\n', 3
    target = tmp_path / "Ö" / "report.json"
    target.parent.mkdir()
    assert script.main(["--input", "in", "--output", "out", "--json", str(target)]) == 3
    assert commanded.commands[0][-1] == "--json"
    assert json.loads(target.read_text(encoding="utf-8")) == {"cases": ["肝"]}
    assert capsys.readouterr().out == ""
    assert [path.name for path in target.parent.iterdir()] == ["report.json"]


def test_a_report_that_cannot_be_written_is_a_failure_that_is_said(script, commanded, tmp_path, capsys):
    commanded.printed = "{}"
    assert script.main(["--input", "in", "--output", "out", "--json", str(tmp_path / "none" / "r.json")]) == 1
    assert "folder_not_found" in capsys.readouterr().err


# Within Slicer


def test_without_an_interpreter_it_says_so_at_once(script, commanded, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "SlicerApp-real"))
    assert script.main(["--input", "in", "--output", "out"]) == 1
    assert "interpreter_missing" in capsys.readouterr().err
    assert not commanded.commands


def test_what_is_started_finds_this_library(script, commanded):
    script.main(["--input", "in", "--output", "out"])
    assert os.environ["PYTHONPATH"].split(os.pathsep)[0] == str(PROJECT)


def test_slicers_poor_streams_are_enough(script, commanded, monkeypatch):
    written = []
    monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(write=written.append))
    assert script.main(["--input", "in", "--output", "out"]) == 0
    assert commanded.tty is False


def test_slicer_is_left_by_its_own_exit_with_the_code(script, monkeypatch):
    left = []
    slicer = types.ModuleType("slicer")
    slicer.app = object()
    slicer.util = types.ModuleType("slicer.util")
    slicer.util.exit = left.append
    monkeypatch.setitem(sys.modules, "slicer", slicer)
    monkeypatch.setitem(sys.modules, "slicer.util", slicer.util)
    script.end(3)
    assert left == [3]


def test_pythonslicer_and_any_python_end_by_themselves(script, monkeypatch):
    monkeypatch.setitem(sys.modules, "slicer", types.ModuleType("slicer"))  # PythonSlicer: no application
    with pytest.raises(SystemExit) as stopped:
        script.end(3)
    assert stopped.value.code == 3


def test_the_scene_never_grows_and_no_dialog_is_opened(script, scene, scans, tmp_path, application):
    from Testing.slicer_host.dialogs import dialogs

    dialogs.clear()
    before = scene.GetNumberOfNodes()
    code = script.main(["--input", str(scans), "--output", str(tmp_path / "out"), "--dry-run"])
    assert code == 0
    assert scene.GetNumberOfNodes() == before
    assert dialogs.shown == []


def test_it_knows_neither_qt_nor_the_scene():
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert names - set(sys.stdlib_module_names) == {"slicer.util"}
    assert "mrmlScene" not in SCRIPT.read_text(encoding="utf-8")
    assert "Display(" not in SCRIPT.read_text(encoding="utf-8")


def test_it_is_installed_in_a_folder_where_slicer_takes_it_for_no_module():
    assert SCRIPT.parent != PROJECT / "GANSegmentation"
    listed = (PROJECT / "PackagedFiles.cmake").read_text(encoding="utf-8")
    assert "Scripts/segment_batch.py" in listed
    assert "${GANSegmentation_MODULE_FILES}" in (PROJECT / "GANSegmentation" / "CMakeLists.txt").read_text(
        encoding="utf-8"
    )
