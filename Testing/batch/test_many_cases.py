"""Many cases through the real child process: its memory does not grow with their number."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from GANSegmentationLib.batch.local import LocalEngine
from GANSegmentationLib.batch.task import Task, WorkSettings
from GANSegmentationLib.volumes import Geometry, Volume, write_volume
from Testing.batch.conftest import write_reference
from Testing.tiny_model import tiny_scan

CASES = 60
WARM = 12
"""After so many, all that is kept on purpose is there: the model, torch's and numpy's own pools."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")

LEAKY = (sys.executable, str(Path(__file__)))


def resident(process: int) -> int:
    """Bytes of memory that a process holds: numpy's, torch's and everybody else's."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


@pytest.fixture
def scan(tmp_path: Path) -> tuple[Path, Path, int]:
    """A scan of two megabytes with its reference, small for a scan and large for what a process may forget."""
    array = np.tile(tiny_scan().array, (10, 8, 8))
    volume = Volume(array, Geometry(array.shape[::-1], (1.5, 1.5, 5.0)), "CT")
    path = write_volume(replace(volume, name="scan"), tmp_path / "scan.nii")
    return path, write_reference(volume, tmp_path / "truth.nii"), array.nbytes


def growth(tmp_path: Path, tiny_package: Path, scan: tuple[Path, Path, int], cases: int, **options: object) -> int:
    """By how many bytes the child process has grown since it was warm."""
    path, truth, _ = scan
    engine = LocalEngine(WorkSettings(str(tiny_package), device="cpu"), tmp_path, **options)
    held: list[int] = []
    given = 0
    try:
        while len(held) < cases:
            while given < cases and engine.room:
                staged = tmp_path / "staged" / str(given) / "mask.seg.nrrd"
                staged.parent.parent.mkdir(exist_ok=True)
                engine.submit(Task(f"case-{given}", str(path), None, (str(path),), str(truth), str(staged)))
                given += 1
            answer = engine.answer()
            assert answer.outcome.status == "done", answer.outcome.error
            held.append(resident(engine._running()._process.pid))
    finally:
        engine.close()
    return max(held[-5:]) - max(held[:WARM])


def test_the_memory_of_the_worker_stays_after_many_cases(tmp_path, tiny_package, scan):
    # Were one array of each case kept, the smallest being the mask of a byte a voxel, it would be 48 of them.
    assert growth(tmp_path, tiny_package, scan, CASES) < 6 * scan[2]


def test_a_worker_that_keeps_what_it_reads_would_be_noticed(tmp_path, tiny_package, scan):
    assert growth(tmp_path, tiny_package, scan, WARM + 16, command=LEAKY) > 12 * scan[2]


if __name__ == "__main__":
    from GANSegmentationLib.batch import child
    from GANSegmentationLib.batch.work import CaseWorker

    class Leaky(CaseWorker):
        kept: ClassVar[list[object]] = []

        def read(self, task: Task) -> object:
            loaded = super().read(task)
            self.kept.append(loaded)
            return loaded

    child.main(Leaky)
