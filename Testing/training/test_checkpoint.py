"""Checkpoints: whole or not there, plain types only, and the random generators exactly where they were."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.training.checkpoint import (
    load_checkpoint,
    random_state,
    save_checkpoint,
    seed_everything,
    set_random_state,
)

STATE = {"epoch": 3, "weights": {"a": torch.arange(4.0)}, "history": [{"dice": 0.5}], "best": float("-inf")}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run" / "last.ckpt"
    save_checkpoint(path, STATE)
    loaded = load_checkpoint(path, needs=("epoch", "weights"))
    assert loaded["epoch"] == 3 and loaded["history"] == [{"dice": 0.5}] and loaded["best"] == float("-inf")
    torch.testing.assert_close(loaded["weights"]["a"], torch.arange(4.0))
    assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, STATE)
    with pytest.raises((AttributeError, pickle.PicklingError, TypeError)):
        save_checkpoint(path, {"epoch": 4, "cannot": lambda: None})
    assert load_checkpoint(path)["epoch"] == 3 and [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_full_disk_is_said_and_leaves_the_last_checkpoint_alone(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="only POSIX limits the size of files")
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, STATE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(GANSegmentationError, match=r"last\.ckpt could not be written") as caught:
            save_checkpoint(path, {"epoch": 4, "weights": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "write_failed"
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"] and load_checkpoint(path)["epoch"] == 3


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("evil"),))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"schema": 1, "epoch": _Evil()}, tmp_path / "last.ckpt")
    with pytest.raises(GANSegmentationError) as caught:
        load_checkpoint(tmp_path / "last.ckpt")
    assert caught.value.code == "invalid_checkpoint" and not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [{"epoch": 1}, {"schema": 99, "epoch": 1}, [1, 2], torch.zeros(2)])
def test_another_schema_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(GANSegmentationError, match="another version") as caught:
        load_checkpoint(tmp_path / "last.ckpt")
    assert caught.value.code == "invalid_checkpoint"


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, STATE)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"not a checkpoint"}[damage])
    with pytest.raises(GANSegmentationError, match=r"last\.ckpt") as caught:
        load_checkpoint(path)
    assert caught.value.code == "invalid_checkpoint"


def test_whoever_meets_a_damaged_file_is_told_a_way_on(tmp_path: Path) -> None:
    path, best = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    path.write_bytes(b"")
    with pytest.raises(GANSegmentationError, match="the file is empty") as caught:
        load_checkpoint(path)
    assert "another folder" in caught.value.action and "best" not in caught.value.action
    save_checkpoint(best, STATE)
    with pytest.raises(GANSegmentationError, match=r"are still in .*best\.ckpt"):
        load_checkpoint(path)


def test_what_is_needed_and_not_there_is_named(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.ckpt", STATE)
    with pytest.raises(GANSegmentationError, match="optimisers, random") as caught:
        load_checkpoint(tmp_path / "last.ckpt", needs=("epoch", "optimisers", "random"))
    assert caught.value.code == "invalid_checkpoint"


def _draw() -> list[float]:
    numpy = float(np.random.normal())  # noqa: NPY002 - the global generator is what is tested
    return [float(torch.randn(1)), numpy, random.gauss(0, 1), random.random()]


def test_every_generator_goes_on_where_it_was_through_a_file(tmp_path: Path) -> None:
    seed_everything(5)
    _draw()  # an odd number of normal deviates: the second of the pair is part of the state
    save_checkpoint(tmp_path / "last.ckpt", {"random": random_state()})
    expected = [_draw() for _ in range(3)]
    seed_everything(6)
    set_random_state(load_checkpoint(tmp_path / "last.ckpt")["random"])
    assert [_draw() for _ in range(3)] == expected


def test_a_seed_fixes_every_generator() -> None:
    seed_everything(2**40 + 1)
    first = _draw()
    seed_everything(2**40 + 1)
    assert _draw() == first
    seed_everything(2**40 + 2)
    assert all(one != two for one, two in zip(first, _draw(), strict=True))
