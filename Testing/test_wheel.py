"""The wheel carries all that the library needs, and finds it where pip puts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from Testing.cmake import update_lists

PROJECT = Path(__file__).resolve().parents[1]
ASK = """
import json
from GANSegmentationLib import __file__ as place
from GANSegmentationLib.models import ModelLibrary
from GANSegmentationLib.resources import resource_path
from GANSegmentationLib.training.preset import preset_names
print(json.dumps({
    "library": place,
    "resources": str(resource_path("UI", "GANSegmentation.ui")),
    "models": [package.card.id for package in ModelLibrary().list()],
    "presets": list(preset_names()),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the backend that pip would call."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", build, folder], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_library_and_its_resources(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    lists = update_lists.packaged_files(PROJECT)
    library = {*lists["GANSegmentation_LIBRARY_SCRIPTS"], *lists["GANSegmentation_LIBRARY_DATA"]}
    resources = {f"GANSegmentationLib/{file}" for file in lists["GANSegmentation_RESOURCES"]}
    assert library | resources <= names
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"GANSegmentationLib", "gansegmentation"}
    assert not any("__pycache__" in name for name in names)


def test_an_installed_wheel_finds_its_models_and_presets(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "Resources" / "Models").mkdir(parents=True)  # another distribution's, with a name as common as this
    environment = {**os.environ, "PYTHONPATH": str(site), "GANSEG_MODELS": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found["library"]).is_relative_to(site)
    assert Path(found["resources"]).is_file()
    assert set(found["models"]) == {path.stem for path in (PROJECT / "Resources" / "Models").glob("*.ganseg")}
    assert set(found["presets"]) == {
        path.stem for path in (PROJECT / "GANSegmentationLib" / "training" / "presets").glob("*.json")
    }
