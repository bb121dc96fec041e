"""The front door: the right command, quickly, and every failure as one paragraph with an exit code."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time

import pytest

from GANSegmentationLib import __version__
from GANSegmentationLib.cli import COMMANDS, main
from GANSegmentationLib.cli.terminal import print_table
from GANSegmentationLib.errors import GANSegmentationError

HEAVY = {"torch", "numpy", "scipy", "SimpleITK", "pydicom", "PIL", "safetensors", "tqdm", "monai", "lightning_fabric"}


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def imported_by(code: str) -> set[str]:
    """Which heavy packages a new interpreter has imported after running this."""
    done = python(f"import sys\n{code}\nprint('\\n' + ' '.join({{name.split('.')[0] for name in sys.modules}}))")
    return HEAVY & set(done.stdout.splitlines()[-1].split())


def quickest(code: str, rounds: int = 5) -> float:
    """The shortest wall time of a new interpreter running this, s: what the machine's other work adds is left out."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        python(code)
        times.append(time.perf_counter() - start)
    return min(times)


def test_a_reader_that_has_gone_hears_no_complaint(tmp_path):
    command = [sys.executable, "-m", "GANSegmentationLib", "segment", tmp_path / "no", "-o", "x.nrrd", "--json"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 1
    assert "[file_not_found]" in done.stderr
    assert "Traceback" not in done.stderr


def test_names_that_are_no_text_are_printed_with_escapes(tmp_path):
    folder = os.fsencode(tmp_path) + b"/scan-\xff"
    environment = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "GANSegmentationLib", "series", folder, "--json"]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 1
    assert rb"scan-\udcff" in done.stderr and b"[file_not_found]" in done.stderr
    assert "scan-" in json.loads(done.stdout)["error"]["message"]


def test_a_table_stays_in_shape_whatever_names_hold(capsys):
    print_table(["case", "n"], [["two\nlines \x1b[31m\u202e é", "1"]])
    assert capsys.readouterr().out.splitlines()[2] == r"two\nlines \x1b[31m\u202e é  1"


class TestStart:
    def test_importing_the_library_is_light(self):
        assert imported_by("import GANSegmentationLib") == set()
        assert quickest("import GANSegmentationLib") < 0.2

    def test_help_is_quick_and_imports_nothing_heavy(self):
        call = "from GANSegmentationLib.cli import main; main(['--help'])"
        assert imported_by(call) == set()
        assert quickest(call) < 0.3

    @pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
    def test_the_help_of_a_command_does_not_import_torch(self, name):
        assert "torch" not in imported_by(
            f"from GANSegmentationLib.cli import main; assert main(['{name}', '-h']) == 0"
        )

    def test_the_module_is_the_command(self):
        done = subprocess.run(
            [sys.executable, "-m", "GANSegmentationLib", "--version"], capture_output=True, text=True, check=True
        )
        assert done.stdout == f"ganseg {__version__}\n"


class TestDispatch:
    def test_help_lists_every_command_with_its_summary(self, capsys):
        assert main(["--help"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        for name, summary in COMMANDS:
            assert f"{name} {summary}" in shown

    @pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
    def test_every_command_has_its_file(self, name):
        module = importlib.import_module(f"GANSegmentationLib.cli.{name}")
        assert callable(module.add_parser)
        assert callable(module.run)

    @pytest.mark.parametrize(
        "arguments", [[], ["conquer"], ["segment"], ["segment", "--colour", "red"], ["models"], ["--colour"]]
    )
    def test_wrong_use_is_exit_code_2_with_the_usage_on_stderr(self, arguments, capsys):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("usage: ganseg")


class TestFailures:
    """What a command raises, whatever it is, as the person in front of the terminal sees it."""

    @pytest.fixture
    def fail(self, monkeypatch):
        """Make ``ganseg doctor`` raise."""
        module = importlib.import_module("GANSegmentationLib.cli.doctor")

        def plant(error: BaseException) -> None:
            def run(args: object) -> int:
                raise error

            monkeypatch.setattr(module, "run", run)
            monkeypatch.delenv("GANSEG_DEBUG", raising=False)

        return plant

    def test_a_known_error_is_one_paragraph_with_its_code(self, fail, capsys):
        fail(GANSegmentationError("no_ink", "The pen is dry.", cause="It was left open.", action="Take another."))
        assert main(["doctor"]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err == "Error: The pen is dry. It was left open. Take another. [no_ink]\n"

    def test_with_json_the_error_is_on_stdout_too(self, fail, capsys):
        error = GANSegmentationError("no_ink", "The pen is dry.", action="Take another.")
        fail(error)
        assert main(["doctor", "--json"]) == 1
        assert json.loads(capsys.readouterr().out) == {"error": error.to_dict()}

    def test_an_error_of_use_is_exit_code_2(self, fail, capsys):
        fail(GANSegmentationError("wrong_use", "A pen has one end."))
        assert main(["doctor"]) == 2

    def test_a_file_error_names_the_file(self, fail, capsys):
        fail(PermissionError(13, "Permission denied", "mask.nrrd"))
        assert main(["doctor"]) == 1
        assert capsys.readouterr().err == "Error: Permission denied: mask.nrrd. [file_error]\n"

    def test_a_package_that_is_not_installed_is_named(self, fail, capsys):
        fail(ModuleNotFoundError("No module named 'safetensors.numpy'", name="safetensors.numpy"))
        assert main(["doctor"]) == 1
        err = capsys.readouterr().err
        assert "safetensors is not installed" in err
        assert "[safetensors_missing]" in err

    def test_an_unforeseen_error_is_one_line_that_says_how_to_see_more(self, fail, capsys):
        fail(ZeroDivisionError("division by zero\nand more"))
        assert main(["doctor"]) == 1
        err = capsys.readouterr().err
        assert err.startswith("Error: ZeroDivisionError: division by zero ")
        assert "--debug" in err
        assert "GANSEG_DEBUG=1" in err
        assert err.count("\n") == 1

    @pytest.mark.parametrize("arguments", [["doctor", "--debug"], ["--debug", "doctor"]])
    def test_debug_shows_where_an_error_came_from(self, fail, capsys, arguments):
        fail(ZeroDivisionError("division by zero"))
        assert main(arguments) == 1
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert __file__ in err

    def test_the_environment_asks_for_the_traceback_as_well(self, fail, capsys, monkeypatch):
        fail(ZeroDivisionError("division by zero"))
        monkeypatch.setenv("GANSEG_DEBUG", "1")
        assert main(["doctor"]) == 1
        assert "Traceback" in capsys.readouterr().err

    def test_control_c_is_exit_code_1_with_a_word(self, fail, capsys):
        fail(KeyboardInterrupt())
        assert main(["doctor"]) == 1
        assert "Stopped" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [["--help"], ["models", "list", "--json"]])
    def test_a_reader_that_went_away_is_no_traceback(self, arguments):
        """As ``ganseg ... | head`` does it: nobody reads the other end of the pipe any more."""
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-m", "GANSegmentationLib", *arguments],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(writer)
        assert done.returncode in (0, 1)  # argparse keeps quiet about it on its own, without a buffer in between
        assert done.stderr == ""
