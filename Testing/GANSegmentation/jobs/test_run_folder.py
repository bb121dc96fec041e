"""The private folder of a run is private, and gone in the end."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time

import pytest


@pytest.fixture
def run_folder(application):
    from GANSegmentationPanel.jobs import run_folder

    return run_folder


posix = pytest.mark.skipif(os.name != "posix", reason="about POSIX's modes and processes")


@posix
def test_only_its_user_may_look_in(run_folder, tmp_path):
    with run_folder.RunFolder(tmp_path) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.parent == tmp_path


@pytest.mark.parametrize("end", ["well", "by an error", "twice"])
def test_it_is_gone_in_the_end(run_folder, tmp_path, end):
    folder = run_folder.RunFolder(tmp_path)
    (folder.path / "volume.npy").write_bytes(b"voxels")
    if end == "by an error":
        with pytest.raises(KeyError), folder:
            raise KeyError
    else:
        folder.remove()
        if end == "twice":
            folder.remove()
    assert list(tmp_path.iterdir()) == []


@posix
def test_what_a_dead_panel_left_is_swept_and_what_a_living_one_has_is_not(run_folder, tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    ours = run_folder.RunFolder(tmp_path)
    left = tmp_path / f"{run_folder.PREFIX}{run_folder._host()}-{dead.pid}-abc"
    living = tmp_path / f"{run_folder.PREFIX}{run_folder._host()}-{os.getppid()}-abc"
    elsewhere = tmp_path / f"{run_folder.PREFIX}0badcafe-{dead.pid}-abc"
    foreign = tmp_path / "somebody-elses"
    for folder in (left, living, elsewhere, foreign):
        folder.mkdir()
        (folder / "volume.npy").write_bytes(b"voxels")
    assert run_folder.sweep(tmp_path) == [left]
    assert all(folder.exists() for folder in (ours.path, living, elsewhere, foreign))
    os.utime(elsewhere, (time.time() - 2 * 24 * 3600,) * 2)  # a long batch of another computer
    assert run_folder.sweep(tmp_path) == []
    old = time.time() - run_folder.OLD_S - 60
    for folder in (elsewhere, foreign, living):
        os.utime(folder, (old, old))
    assert run_folder.sweep(tmp_path) == [elsewhere]
    ours.remove()


@posix
def test_a_link_with_such_a_name_is_not_followed(run_folder, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    link = tmp_path / f"{run_folder.PREFIX}{run_folder._host()}-999999999-abc"
    link.symlink_to(precious)
    assert run_folder.sweep(tmp_path) == []
    assert precious.exists()


def test_a_folder_with_other_letters_in_its_name_will_do(run_folder, tmp_path):
    place = tmp_path / "Größe Ω 漢字"
    place.mkdir()
    with run_folder.RunFolder(place) as folder:
        (folder / "volume.npy").write_bytes(b"voxels")
    assert list(place.iterdir()) == []


def test_nothing_is_left_by_a_panel_that_ends_without_removing_it(tmp_path, run_folder):
    module = run_folder.__file__
    program = (
        "import importlib.util, pathlib, sys\n"
        f"spec = importlib.util.spec_from_file_location('run_folder', {module!r})\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        f"folder = module.RunFolder(pathlib.Path({str(tmp_path)!r})); print(folder.path.exists())\n"
    )
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == "True"
    assert list(tmp_path.iterdir()) == []


@posix
def test_what_a_panel_left_that_was_killed_is_known_by_its_name(tmp_path, run_folder):
    program = (
        "import importlib.util, os, pathlib\n"
        f"spec = importlib.util.spec_from_file_location('run_folder', {run_folder.__file__!r})\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        f"folder = module.RunFolder(pathlib.Path({str(tmp_path)!r})); os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    (left,) = tmp_path.iterdir()
    assert run_folder.sweep(tmp_path) == [left]
