"""A model is found by its id or by its path, and one never hides the other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import user_models_folder
from GANSegmentationLib.models.find import find_package


@pytest.fixture
def known(package_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package, which is in the user's library, too."""
    monkeypatch.setenv("GANSEG_MODELS", str(package_file.parent))
    assert user_models_folder() == package_file.parent
    return package_file


def _code(wanted: str) -> str:
    with pytest.raises(GANSegmentationError) as caught:
        find_package(wanted)
    return caught.value.code


def test_an_id_and_a_path_find_the_same(known: Path) -> None:
    assert find_package("liver-ct").path == known == find_package(str(known)).path


def test_what_is_nowhere_is_said_as_what_it_looks_like(known: Path) -> None:
    assert _code("spleen-ct") == "unknown_model"
    assert _code("nowhere/liver-ct") == "package_not_found" and _code("spleen-ct.ganseg") == "package_not_found"


def test_a_folder_does_not_hide_an_id_and_is_found_where_there_is_no_such_id(
    known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    for name in ("liver-ct", "mine"):
        work.joinpath(name).mkdir(parents=True)
        shutil.unpack_archive(known, work / name, "zip")
    monkeypatch.chdir(work)
    assert find_package("liver-ct").path == known
    assert find_package("mine").path.resolve() == work / "mine"
    monkeypatch.chdir(work / "mine")
    assert find_package(".").card.id == "liver-ct" and _code("..") != "unknown_model"
