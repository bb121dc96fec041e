"""A request goes in, events come out; whatever happens, the last event says it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from GANSegmentationLib import protocol, worker
from GANSegmentationLib.models import open_package
from GANSegmentationLib.volumes import Geometry, Labelmap
from GANSegmentationLib.volumes.exchange import load_labelmap, save_labelmap, save_volume
from Testing.tiny_model import LIVER, tiny_scan, write_tiny_package
from Testing.worker.requests import failure, run


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    return write_tiny_package(tmp_path_factory.mktemp("model") / "tiny-liver.ganseg")


def segment_request(folder, package, volume=None, **fields) -> protocol.RunSegment:
    volumes = (save_volume(volume or tiny_scan(), folder, "volume0"),)
    return protocol.RunSegment(
        id="7", folder=str(folder), volumes=volumes, package=str(package), device="cpu", **fields
    )


def test_a_scan_becomes_a_labelmap_in_the_runs_folder(tmp_path, package):
    events = run(segment_request(tmp_path, package))
    result = events[-1].result
    labelmap = load_labelmap(result["labelmap"], tmp_path)
    assert np.array_equal(labelmap.array, tiny_scan().array > 100)
    assert labelmap.geometry == tiny_scan().geometry
    assert labelmap.segments == (LIVER,)
    assert result["model"] == {"id": "tiny-liver", "title": "Tiny liver", "version": "1.0.0"}
    assert result["segments"][0]["volume_ml"] == pytest.approx(45 * 1.5 * 1.5 * 5 / 1000)
    assert result["seconds"] > 0
    assert result["device"]


def test_the_events_tell_the_run_in_order(tmp_path, package):
    events = run(segment_request(tmp_path, package))
    assert events[0] == protocol.Started("7", "segment")
    assert isinstance(events[-1], protocol.Result)
    stages = [event.name for event in events if isinstance(event, protocol.Stage)]
    assert stages == ["read", "load", "prepare", "segment", "postprocess", "save"]
    assert len(stages) == len(set(stages))
    done = [event for event in events if isinstance(event, protocol.Progress) and event.stage == "segment"]
    assert (done[-1].done, done[-1].total) == (6, 6)
    assert [event.done for event in done] == sorted(event.done for event in done)
    assert {event.id for event in events} == {"7"}


def test_a_file_is_read_where_no_voxels_are_given(tmp_path, package):
    import SimpleITK

    image = SimpleITK.GetImageFromArray(tiny_scan().array)
    image.SetSpacing((1.5, 1.5, 5.0))
    image.SetOrigin((-10.0, 20.0, 30.0))
    SimpleITK.WriteImage(image, str(tmp_path / "scan.nrrd"))
    request = protocol.RunSegment(
        id="1", folder=str(tmp_path), inputs=(str(tmp_path / "scan.nrrd"),), package=str(package), device="cpu"
    )
    events = run(request)
    labelmap = load_labelmap(events[-1].result["labelmap"], tmp_path)
    assert np.array_equal(labelmap.array, tiny_scan().array > 100)
    # The file does not say its modality.
    assert [event.code for event in events if isinstance(event, protocol.Warn)] == ["modality_unknown"]


def test_the_model_is_found_by_its_id_or_by_the_modality(tmp_path, package, monkeypatch):
    monkeypatch.setenv("GANSEG_MODELS", str(package.parent))
    by_id = protocol.to_dict(segment_request(tmp_path, "")) | {"model": "tiny-liver"}
    assert run(by_id)[-1].result["model"]["id"] == "tiny-liver"
    by_modality = protocol.to_dict(segment_request(tmp_path, "", tiny_scan("MR")))
    assert failure(run(by_modality))["code"] == "no_model"


def test_a_wrong_modality_is_refused_unless_forced(tmp_path, package):
    error = failure(run(segment_request(tmp_path, package, tiny_scan("MR"))))
    assert error["code"] == "modality_mismatch"
    assert error["action"]
    events = run(segment_request(tmp_path, package, tiny_scan("MR"), force=True))
    assert isinstance(events[-1], protocol.Result)
    assert "modality_mismatch" in [event.code for event in events if isinstance(event, protocol.Warn)]


def test_a_check_warns_without_segmenting(tmp_path, package):
    volumes = (save_volume(tiny_scan(None), tmp_path, "volume0"),)
    events = run(protocol.RunCheck(id="1", folder=str(tmp_path), volumes=volumes, package=str(package)))
    assert [warning["code"] for warning in events[-1].result["warnings"]] == ["modality_unknown"]
    assert [path.name for path in tmp_path.iterdir()] == ["volume0.npy"]


def test_cancelling_stops_before_the_result(tmp_path, package):
    asked = []

    def cancel() -> bool:
        asked.append(1)
        return len(asked) > 1

    events = run(segment_request(tmp_path, package), cancel)
    assert events[-1] == protocol.Cancelled("7")
    assert not (tmp_path / "labels.npy").exists()


def test_a_worker_keeps_its_model_until_another_is_asked_for(tmp_path, package):
    keeper = worker.Worker()
    run(segment_request(tmp_path, package), worker=keeper)
    first = keeper._predictor
    run(segment_request(tmp_path, package), worker=keeper)
    assert keeper._predictor is first
    other = write_tiny_package(tmp_path / "other.ganseg", version="2.0.0")
    assert run(segment_request(tmp_path, other), worker=keeper)[-1].result["model"]["version"] == "2.0.0"
    assert keeper._predictor is not first
    keeper.release()
    assert keeper._predictor is None


def test_a_model_replaced_in_its_place_is_loaded_anew(tmp_path):
    path = tmp_path / "tiny.ganseg"
    keeper = worker.Worker()
    write_tiny_package(path)
    run(segment_request(tmp_path, path), worker=keeper)
    write_tiny_package(path, version="1.0.1")
    assert run(segment_request(tmp_path, path), worker=keeper)[-1].result["model"]["version"] == "1.0.1"
    assert keeper._predictor.card.version == "1.0.1"


def compare_request(folder, mask, reference, **fields) -> protocol.RunCompare:
    return protocol.RunCompare(
        id="3",
        folder=str(folder),
        mask=save_labelmap(mask, folder, "mask"),
        reference=save_labelmap(reference, folder, "reference"),
        **fields,
    )


def two_labelmaps() -> tuple[Labelmap, Labelmap]:
    scan = tiny_scan()
    reference = (scan.array > 100).astype(np.uint8)
    mask = reference.copy()
    mask[1] = 0
    return Labelmap(mask, scan.geometry, (LIVER,)), Labelmap(reference, scan.geometry, (LIVER,))


def test_a_comparison_gives_all_scores_and_the_challenges(tmp_path):
    events = run(compare_request(tmp_path, *two_labelmaps(), surface_tolerance_mm=5.0, per_slice=True))
    (scores,) = events[-1].result["labels"]
    assert scores["name"] == "Liver"
    assert scores["dice"] == pytest.approx(2 * 30 / (30 + 45))
    assert scores["hd_mm"] == pytest.approx(5.0)
    assert scores["chaos"]["dice"] == pytest.approx(scores["dice"])
    assert 0 < scores["surface_dice"] <= 1
    assert len(scores["slices"]) == 6


def test_undefined_scores_are_null(tmp_path):
    mask, reference = two_labelmaps()
    empty = Labelmap(np.zeros_like(mask.array), mask.geometry, (LIVER,))
    (scores,) = run(compare_request(tmp_path, empty, reference))[-1].result["labels"]
    assert scores["status"] == "mask_empty"
    assert scores["hd_mm"] is None
    assert scores["dice"] == 0


def test_labelmaps_of_two_grids_are_not_compared(tmp_path):
    mask, reference = two_labelmaps()
    moved = Geometry(mask.geometry.size, mask.geometry.spacing, (0.0, 0.0, 0.0))
    events = run(compare_request(tmp_path, mask, Labelmap(reference.array, moved, (LIVER,))))
    assert failure(events)["code"] == "geometry_mismatch"


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"command": "run", "job": "cook"},
        {"command": "quit"},
        {"command": "run", "job": "segment", "id": "1", "folder": 5},
    ],
)
def test_a_request_that_cannot_be_understood_is_answered(request_):
    assert failure(run(request_))["code"] == "invalid_message"


def test_a_request_without_a_volume_is_answered(tmp_path, package):
    request = protocol.RunSegment(id="1", folder=str(tmp_path), package=str(package))
    assert failure(run(request))["code"] == "no_volume"


def test_a_missing_voxel_file_is_answered(tmp_path, package):
    request = segment_request(tmp_path, package)
    (tmp_path / "volume0.npy").unlink()
    assert failure(run(request))["code"] == "invalid_exchange"


def test_a_fault_of_the_program_carries_its_traceback(tmp_path, package, monkeypatch):
    def broken(*_arguments, **_options):
        raise ZeroDivisionError("seven by nothing")

    monkeypatch.setattr("GANSegmentationLib.volumes.exchange.load_volume", broken)
    error = failure(run(segment_request(tmp_path, package)))
    assert error["code"] == "internal_error"
    assert "seven by nothing" in error["message"]
    assert "in broken" in error["details"]


def test_a_missing_torch_is_named(tmp_path, package):
    """In Slicer torch comes with another extension; a user without it has to be told."""
    request = json.dumps(protocol.to_dict(segment_request(tmp_path, package)))
    program = (
        "import sys, json; sys.modules['torch'] = None\n"
        "from GANSegmentationLib import worker\n"
        f"worker.handle(json.loads({request!r}), lambda event: print(json.dumps(event)), lambda: False)\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    error = failure([protocol.decode(line) for line in answer.stdout.splitlines()])
    assert error["code"] == "torch_missing"
    assert "PyTorch extension" in error["action"]


def test_importing_the_worker_loads_neither_torch_nor_numpy():
    program = (
        "import sys; import GANSegmentationLib.worker, GANSegmentationLib.protocol\n"
        "heavy = {'torch', 'numpy', 'scipy', 'SimpleITK', 'monai', 'lightning'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_of_these_tests_is_sound(package):
    open_package(package).verify()
