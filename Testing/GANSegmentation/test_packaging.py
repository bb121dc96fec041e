"""What CMake lists is what there is, and an extension installed by real CMake works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from Testing.cmake import update_lists

PROJECT = Path(__file__).resolve().parents[2]
STUB = PROJECT / "Testing" / "slicer_host" / "cmake_stub"
MODULES = Path("lib/Slicer-5.12/qt-scripted-modules")


def cmake(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run CMake: the one that pip put beside this Python, else the system's."""
    program = shutil.which("cmake", path=str(Path(sys.executable).parent)) or shutil.which("cmake")
    assert program is not None, "cmake is missing; it is in the extra dev"
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)


def configure(source: Path, build: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # Nothing is compiled, so a machine without compilers will do.
    compilers = [f"-DCMAKE_{language}_COMPILER={sys.executable}" for language in ("C", "CXX")]
    forced = [f"-DCMAKE_{language}_COMPILER_FORCED=ON" for language in ("C", "CXX")]
    return cmake("-S", source, "-B", build, f"-DSlicer_DIR={STUB}", *compilers, *forced, *options)


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """The folder with GANSegmentation.py of an installed extension."""
    folder = tmp_path_factory.mktemp("extension")
    build, prefix = folder / "build", folder / "installed"
    for done in (
        configure(PROJECT, build, f"-DCMAKE_INSTALL_PREFIX={prefix}"),
        cmake("--build", build),
        cmake("--install", build),
    ):
        assert done.returncode == 0, done.stdout + done.stderr
    (build / "unittests.txt").rename(folder / "unittests.txt")
    (build / "GANSegmentation.txt").rename(folder / "GANSegmentation.txt")
    # Without the build tree nothing can come from there.
    shutil.rmtree(build)
    return prefix / MODULES


# The lists


@pytest.mark.parametrize("name", sorted(update_lists.packaged_files(PROJECT)))
def test_the_cmake_lists_name_every_file(name):
    text = (PROJECT / update_lists.LISTS).read_text(encoding="utf-8")
    found = re.search(rf"set\({name}\n(.*?)\n  \)", text, re.DOTALL)
    assert found, f"{name} is not in {update_lists.LISTS}"
    listed = [line.strip().strip('"') for line in found.group(1).splitlines()]
    assert listed == update_lists.packaged_files(PROJECT)[name], "run: python Testing/cmake/update_lists.py"


def test_the_lists_hold_presets_typing_marker_and_panel():
    lists = update_lists.packaged_files(PROJECT)
    presets = (PROJECT / "GANSegmentationLib" / "training" / "presets").glob("*.json")
    data = set(lists["GANSegmentation_LIBRARY_DATA"])
    assert {f"GANSegmentationLib/training/presets/{path.name}" for path in presets} <= data
    assert "GANSegmentationLib/py.typed" in data
    assert "GANSegmentationPanel/scene/__init__.py" in lists["GANSegmentation_MODULE_SCRIPTS"]
    assert "GANSegmentationPanel/__init__.py" in lists["GANSegmentation_MODULE_SCRIPTS"]
    assert "Resources/UI/GANSegmentation.ui" in lists["GANSegmentation_RESOURCES"]
    assert not any("__pycache__" in file for files in lists.values() for file in files)


def small_project(folder: Path) -> Path:
    """The repository's CMake files with empty files in every place that they list."""
    for files in update_lists.packaged_files(PROJECT).values():
        for file in files:
            inside = (
                folder / "GANSegmentation"
                if file.startswith(("GANSegmentation.py", "GANSegmentationPanel", "Scripts"))
                else folder
            )
            (inside / file).parent.mkdir(parents=True, exist_ok=True)
            (inside / file).touch()
    for file in ("CMakeLists.txt", "GANSegmentation/CMakeLists.txt"):
        shutil.copy(PROJECT / file, folder / file)
    update_lists.main(folder)
    return folder


def test_updating_the_lists_finds_a_new_file_and_settles(tmp_path):
    project = small_project(tmp_path / "project")
    lists = project / update_lists.LISTS
    (project / "GANSegmentationLib" / "volumes" / "brand_new.py").touch()
    (project / "Resources" / "Models").mkdir(exist_ok=True)
    (project / "Resources" / "Models" / "new.ganseg").touch()
    update_lists.main(project)
    text = lists.read_text(encoding="utf-8")
    assert "  GANSegmentationLib/volumes/brand_new.py\n" in text
    assert "  Resources/Models/new.ganseg\n" in text
    update_lists.main(project)
    assert lists.read_text(encoding="utf-8") == text


def test_a_listed_file_that_is_missing_stops_the_configuration(tmp_path):
    project = small_project(tmp_path / "project")
    (project / "GANSegmentationLib" / "errors.py").unlink()
    done = configure(project, tmp_path / "build")
    assert done.returncode != 0
    assert "errors.py" in done.stderr


# The description


def test_the_index_checks_can_read_the_description(installed):
    described = (installed.parents[2].parent / "GANSegmentation.txt").read_text(encoding="utf-8")
    facts = dict(line.split(" ", 1) for line in described.splitlines())
    assert facts["DEPENDS"] == "PyTorch"
    assert "Apache-2.0" in facts["DESCRIPTION"]
    assert "CC BY-NC-SA 4.0" in facts["DESCRIPTION"]
    assert facts["HOMEPAGE"].startswith("https://github.com/")
    assert facts["ICONURL"].endswith("Resources/Icons/GANSegmentation.png")
    text = (PROJECT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "\n## NEXT_MODULE\n" in text
    assert text.count("github.com/${") == 1, "the repository's address comes from one variable"
    assert (PROJECT / "Resources" / "Icons" / "GANSegmentation.png").is_file()


def test_the_module_test_is_registered(installed):
    asked = (installed.parents[2].parent / "unittests.txt").read_text(encoding="utf-8")
    assert asked.split() == ["GANSegmentation.py"]


# The installed tree


def test_everything_is_installed_beside_the_module_file(installed):
    assert (installed / "GANSegmentation.py").is_file()
    for name, files in update_lists.packaged_files(PROJECT).items():
        missing = [file for file in files if not (installed / file).is_file()]
        assert missing == [], name
    assert [path.name for path in installed.glob("*.py")] == ["GANSegmentation.py"]


def test_the_installed_extension_opens_its_panel_and_segments(installed, tmp_path):
    from Testing.tiny_model import write_tiny_package

    write_tiny_package(installed / "Resources" / "Models" / "tiny-liver.ganseg")
    environment = {**os.environ, "GANSEG_MODELS": str(tmp_path), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, PROJECT / "Testing" / "slicer_host" / "drive_installed.py", PROJECT, installed, "tiny-liver"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert Path(report["library"]).is_relative_to(installed)
    assert Path(report["module"]).is_relative_to(installed)
    assert Path(report["ui"]).is_relative_to(installed)
    assert report["segments"] == ["Liver"], report["status"]
    assert report["errors"] == []
    shipped = {path.stem for path in (PROJECT / "Resources" / "Models").glob("*.ganseg")}
    assert len(report["models"]) == 2 + len(shipped)  # automatic, the tiny one, the shipped ones
