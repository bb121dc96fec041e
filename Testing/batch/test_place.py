"""A mask on its way to its place: whole, or not there; and a full disk is nobody's fault."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from GANSegmentationLib.batch import runner
from GANSegmentationLib.batch.place import put_in_place, remove_mask
from GANSegmentationLib.batch.task import WorkSettings
from GANSegmentationLib.cli import main
from GANSegmentationLib.errors import GANSegmentationError
from Testing.batch.conftest import InlineEngine, events, tree


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    folder = tmp_path / "staging" / "0"
    folder.mkdir(parents=True)
    (folder / "mask.mhd").write_bytes(b"header")
    (folder / "mask.zraw").write_bytes(b"voxels")
    return folder / "mask.mhd"


class Disk:
    """Lets some calls through, and refuses those that follow with an error of the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int, code: int) -> None:
        self.left = after
        real_sync, real_replace = os.fsync, Path.replace

        def sync(handle: int) -> None:
            self.refuse(code)
            real_sync(handle)

        def replace(path: Path, target: Path) -> Path:
            self.refuse(code)
            return real_replace(path, target)

        monkeypatch.setattr(os, "fsync", sync)
        monkeypatch.setattr(Path, "replace", replace)

    def refuse(self, code: int) -> None:
        if self.left <= 0:
            raise OSError(code, os.strerror(code))
        self.left -= 1


def test_the_data_file_comes_first_and_nothing_is_left_behind(tmp_path, staged):
    put_in_place(staged, tmp_path / "out" / "a" / "mask.mhd")
    assert {path.name for path in (tmp_path / "out" / "a").iterdir()} == {"mask.mhd", "mask.zraw"}
    assert not staged.parent.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG])
@pytest.mark.parametrize("after", range(4))
def test_a_disk_that_takes_no_more_is_said_so_and_leaves_no_half_mask(tmp_path, staged, monkeypatch, code, after):
    Disk(monkeypatch, after, code)
    with pytest.raises(GANSegmentationError) as caught:
        put_in_place(staged, tmp_path / "out" / "mask.mhd")
    assert caught.value.code == "disk_full"
    assert not (tmp_path / "out" / "mask.mhd").exists()
    assert not staged.parent.exists()


def test_trouble_with_one_name_is_said_to_be_that(tmp_path, staged):
    (tmp_path / "out").write_bytes(b"a file where a folder has to be")
    with pytest.raises(GANSegmentationError) as caught:
        put_in_place(staged, tmp_path / "out" / "mask.mhd")
    assert caught.value.code == "write_failed"


def test_removing_what_is_not_there_is_no_error(tmp_path):
    remove_mask(tmp_path / "none.nrrd")


class TestFullDisk:
    @pytest.fixture
    def full(self, monkeypatch):
        """Fills the disk when a number of masks are in their places; None makes room again."""
        room = {"masks": 10**6}
        real = Path.replace

        def replace(path: Path, target: Path) -> Path:
            if path.name.endswith(".seg.nrrd") and "staging" not in str(target):
                if room["masks"] <= 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                room["masks"] -= 1
            return real(path, target)

        monkeypatch.setattr(Path, "replace", replace)
        return room

    def test_the_batch_stops_no_case_is_blamed_and_the_same_command_goes_on(self, run, options, full):
        full["masks"] = 2
        with pytest.raises(GANSegmentationError) as caught:
            run(options)
        assert caught.value.code == "disk_full"
        assert len(events(options.output, "done")) == len(tree(options.output)) == 2
        assert not events(options.output, "failed")
        assert events(options.output)[-1]["why"] == "disk_full"
        full["masks"] = 10**6
        summary = run(options)
        assert len(summary.of_status("done")) == 5
        cases = [event["case"] for event in events(options.output, "done")]
        assert len(cases) == len(set(cases)) == 5

    def test_the_command_ends_with_exit_code_1_and_says_what_to_do(self, options, full, monkeypatch, capsys):
        full["masks"] = 1
        monkeypatch.setattr(
            runner,
            "_engine",
            lambda options, folder, slices: InlineEngine(WorkSettings(str(options.package), device="cpu")),
        )
        command = ["batch", str(options.input), "-o", str(options.output), "--model", str(options.package)]
        assert main(command) == 1
        said = capsys.readouterr().err
        assert "The disk is full" in said
        assert "what is done is done" in said
        full["masks"] = 10**6
        assert main(command) == 0


def test_a_worker_that_cannot_write_stops_the_batch_too(run, options):
    def before(task):
        if task.case == "site-1/scan-01":
            raise GANSegmentationError("write_failed", "The mask cannot be written: no space left on device.")

    with pytest.raises(GANSegmentationError, match="no space"):
        run(options, before)
    assert not events(options.output, "failed")
    assert len(run(options).of_status("done")) == 5
