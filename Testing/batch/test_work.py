"""One case in the process that does it: the mask is right, and nothing of it stays behind."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.batch.task import Task, WorkSettings
from GANSegmentationLib.batch.work import CaseWorker, failure
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import ModelLibrary
from GANSegmentationLib.volumes import Geometry, Volume, read_labelmap, write_volume
from Testing.batch.conftest import write_reference
from Testing.tiny_model import tiny_scan, write_tiny_package


def task(tmp_path: Path, scan: Path, reference: Path | None = None, name: str = "mask.seg.nrrd") -> Task:
    staged = tmp_path / "staged" / scan.stem / name
    staged.parent.parent.mkdir(exist_ok=True)
    files = tuple(str(path) for path in (scan, reference) if path is not None)
    return Task("case", str(scan), None, files, None if reference is None else str(reference), str(staged))


def do(worker: CaseWorker, given: Task):
    return worker.finish(given, worker.read(given))


def test_the_mask_and_all_that_is_told_of_it(tmp_path, tiny_package):
    scan = write_volume(tiny_scan(), tmp_path / "scan.nrrd")
    given = task(tmp_path, scan, write_reference(tiny_scan(), tmp_path / "truth.nrrd"))
    answer = do(CaseWorker(WorkSettings(str(tiny_package), device="cpu", surface_tolerance_mm=1.0)), given)
    mask = read_labelmap(given.staged)
    assert np.array_equal(mask.array, tiny_scan().array > 100)
    assert mask.geometry.corner_distance(tiny_scan().geometry) < 1e-4
    outcome = answer.outcome
    assert (outcome.status, outcome.model, outcome.modality) == ("done", "tiny-liver 1.0.0", "CT")
    (segment,) = outcome.segments
    assert (segment.name, segment.volume_ml) == ("Liver", pytest.approx(45 * 1.5 * 1.5 * 5 / 1000))
    (scores,) = outcome.scores
    assert (scores["dice"], scores["hd_mm"], scores["surface_dice"]) == (1.0, 0.0, 1.0)
    assert len(answer.content) == 64
    assert outcome.seconds > 0


def test_without_a_model_the_modality_of_each_case_chooses(tmp_path, monkeypatch):
    monkeypatch.setenv("GANSEG_MODELS", str(tmp_path / "models"))
    ModelLibrary().import_package(
        write_tiny_package(tmp_path / "pt.ganseg", id="tiny-pt", modalities=["PT"], default_for=[])
    )
    ModelLibrary().import_package(
        write_tiny_package(tmp_path / "us.ganseg", id="tiny-us", modalities=["US"], default_for=[])
    )
    worker = CaseWorker(WorkSettings(device="cpu"))
    worker.prepare()
    for modality, model in (("US", "tiny-us 1.0.0"), ("PT", "tiny-pt 1.0.0"), ("US", "tiny-us 1.0.0")):
        scan = write_volume(tiny_scan(modality), tmp_path / f"{len(list(tmp_path.iterdir()))}.nrrd")
        assert do(worker, task(tmp_path, scan)).outcome.model == model
    scan = write_volume(tiny_scan("NM"), tmp_path / "nm.nrrd")
    with pytest.raises(GANSegmentationError, match="no model for NM"):
        do(worker, task(tmp_path, scan))


def test_a_device_or_a_model_that_is_not_there_is_said_before_any_case(tmp_path, tiny_package):
    for settings in (
        WorkSettings(str(tiny_package), device="cuda:99"),
        WorkSettings(device="nonsense"),
        WorkSettings(str(tmp_path / "none.ganseg"), device="cpu"),
    ):
        with pytest.raises(GANSegmentationError):
            CaseWorker(settings).prepare()


def test_a_mask_for_a_batch_that_is_gone_is_not_written(tmp_path, tiny_package):
    scan = write_volume(tiny_scan(), tmp_path / "scan.nrrd")
    given = task(tmp_path, scan)
    (tmp_path / "staged").rmdir()
    with pytest.raises(GANSegmentationError) as caught:
        do(CaseWorker(WorkSettings(str(tiny_package), device="cpu")), given)
    assert caught.value.code == "write_failed"
    assert not (tmp_path / "staged").exists()


def test_an_unforeseen_error_is_told_with_its_place(tmp_path):
    scan = write_volume(tiny_scan(), tmp_path / "scan.nrrd")
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError as error:
        answer = failure(task(tmp_path, scan), error)
    assert answer.outcome.error["code"] == "internal_error"
    assert "ZeroDivisionError: by nothing" in answer.outcome.error["message"]
    assert "test_work.py" in answer.outcome.error["details"]


def test_memory_does_not_grow_with_the_number_of_cases(tmp_path, tiny_package):
    array = np.tile(tiny_scan().array, (8, 4, 4))
    volume = Volume(array, Geometry(array.shape[::-1], (1.5, 1.5, 5.0)), "CT")
    scans = [write_volume(replace(volume, name=str(n)), tmp_path / f"{n}.nrrd") for n in range(8)]
    worker = CaseWorker(WorkSettings(str(tiny_package), device="cpu"))
    held = []
    tracemalloc.start()
    for scan in scans:
        do(worker, task(tmp_path, scan))
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[-1] - held[2] < array.nbytes / 2
