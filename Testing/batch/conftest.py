"""Folders of tiny scans, a tiny model, and an engine that does cases in this process, for all that is no matter of
processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from GANSegmentationLib.batch import BatchOptions, BatchSummary, run_batch
from GANSegmentationLib.batch.ledger import LEDGER_NAME, read_events
from GANSegmentationLib.batch.task import Answer, Task, WorkSettings
from GANSegmentationLib.batch.work import CaseWorker, failure
from GANSegmentationLib.volumes import Geometry, Labelmap, Volume, write_labelmap, write_volume
from Testing.cli.conftest import write_series
from Testing.tiny_model import LIVER, tiny_scan, write_tiny_package


class InlineEngine:
    """Cases one after the other in this process, with the real worker; `before` is called with every task."""

    def __init__(self, settings: WorkSettings, before: Callable[[Task], None] = lambda task: None) -> None:
        self.done: list[str] = []
        self._before = before
        self._worker = CaseWorker(settings)
        self._tasks: deque[Task] = deque()

    @property
    def room(self) -> int:
        return 2 - len(self._tasks)

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def answer(self) -> Answer:
        task = self._tasks.popleft()
        self.done.append(task.case)
        try:
            self._before(task)
            return self._worker.finish(task, self._worker.read(task))
        except Exception as error:
            return failure(task, error)

    def close(self) -> None:
        self._tasks.clear()


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_package(tmp_path_factory.mktemp("model") / "tiny.ganseg")


def numbered_scan(number: int) -> Volume:
    """A scan whose liver is larger the larger its number, so that no two masks are the same."""
    volume = tiny_scan()
    array = np.array(volume.array)
    array[4, 3, 2 : 3 + number % 11] = 150
    array[5, 4 + number // 11, 2:5] = 150
    return replace(volume, array=array)


def write_scans(folder: Path, count: int) -> Path:
    """Scans in three sub-folders, as NRRD, NIfTI and MetaImage by turns."""
    for number in range(count):
        place = folder / f"site-{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        write_volume(numbered_scan(number), place / f"scan-{number:02}{('.nrrd', '.nii.gz', '.mha')[number % 3]}")
    return folder


def write_reference(volume: Volume, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_labelmap(Labelmap((volume.array > 100).astype(np.uint8), volume.geometry, (LIVER,)), path)


def write_patient(folder: Path, volume: Volume | None = None, **tags: str) -> Path:
    """A DICOM series whose headers say who it is of."""
    write_series(volume or tiny_scan(), folder)
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        dataset.save_as(file)
    return folder


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Five scans."""
    return write_scans(tmp_path / "in", 5)


@pytest.fixture
def options(tmp_path: Path, scans: Path, tiny_package: Path) -> BatchOptions:
    return BatchOptions(scans, tmp_path / "out", package=tiny_package, device="cpu")


class Run:
    """Runs a batch in this process and remembers the engine."""

    engine: InlineEngine
    settings: WorkSettings | None = None
    """How the engine works; None for the package of the options alone."""

    def __call__(
        self, options: BatchOptions, before: Callable[[Task], None] = lambda task: None, **more: Any
    ) -> BatchSummary:
        def make(options: BatchOptions, folder: Path) -> InlineEngine:
            package = "" if options.package is None else str(options.package)
            self.engine = InlineEngine(self.settings or WorkSettings(package, device="cpu"), before)
            return self.engine

        return run_batch(options, make_engine=make, **more)


@pytest.fixture
def run() -> Run:
    return Run()


def events(output: Path, *kinds: str) -> list[Mapping[str, Any]]:
    return [event for event in read_events(output / LEDGER_NAME) if not kinds or event["event"] in kinds]


def tree(folder: Path) -> dict[str, bytes]:
    """Every mask below a folder."""
    found = sorted(folder.rglob("*.seg.nrrd"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


GEOMETRY = Geometry((16, 16, 6), (1.5, 1.5, 5.0))
