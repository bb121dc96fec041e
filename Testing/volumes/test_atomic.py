from __future__ import annotations

from pathlib import Path

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes.atomic import written_beside


def test_a_file_appears_whole_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "mask.bin"
    with written_beside(target) as folder:
        (folder / "mask.bin").write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["mask.bin"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "mask.bin"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), written_beside(target) as folder:
        (folder / "mask.bin").write_bytes(b"half")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["mask.bin"]


def test_an_existing_file_is_replaced_only_if_allowed(tmp_path: Path) -> None:
    target = tmp_path / "mask.bin"
    target.write_bytes(b"old")
    with pytest.raises(GANSegmentationError) as caught, written_beside(target, overwrite=False):
        pass
    assert caught.value.code == "file_exists"
    with written_beside(target) as folder:
        (folder / "mask.bin").write_bytes(b"new")
    assert target.read_bytes() == b"new"


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mask.bin").mkdir()
    with pytest.raises(GANSegmentationError) as caught, written_beside(tmp_path / "mask.bin"):
        pass
    assert caught.value.code == "file_exists"


def test_what_the_file_system_refuses_is_said(tmp_path: Path) -> None:
    with pytest.raises(GANSegmentationError) as caught, written_beside(tmp_path / "mask.bin"):
        raise OSError(28, "No space left on device")
    assert caught.value.code == "write_failed"
    assert "No space left on device" in caught.value.message
