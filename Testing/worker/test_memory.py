"""Memory that runs out: a smaller batch with a word of it, else an error that offers the processor."""

from __future__ import annotations

import logging

import pytest
import torch

from GANSegmentationLib import protocol, worker
from GANSegmentationLib.volumes.exchange import save_volume
from Testing.inference.test_predictor import Narrow
from Testing.tiny_model import tiny_scan, write_tiny_package
from Testing.worker.requests import failure, result, run


@pytest.fixture
def narrow(tmp_path, monkeypatch):
    """A request to a worker whose device has room for so many slices, and is called so."""
    from GANSegmentationLib.inference import Predictor

    package = write_tiny_package(tmp_path / "tiny.ganseg")
    volumes = (save_volume(tiny_scan(), tmp_path, "volume"),)
    request = protocol.RunSegment("1", str(tmp_path), volumes=volumes, package=str(package), device="cpu", batch_size=4)

    def make(room, device="cpu"):
        made = Predictor.__init__

        def narrowed(self, *arguments, **options):
            made(self, *arguments, **options)
            self._network = Narrow(self._network, room)

        monkeypatch.setattr(Predictor, "__init__", narrowed)
        if device != "cpu":
            tell = worker.run.RunOfJob.computes_on
            monkeypatch.setattr(
                worker.run.RunOfJob, "computes_on", lambda self, _device, name: tell(self, device, name)
            )
        return request

    return make


def test_a_smaller_batch_is_tried_and_said(narrow):
    events = run(narrow(2))
    warnings = [event.code for event in events if isinstance(event, protocol.Warn)]
    assert warnings == ["smaller_batches"]
    assert result(events)["batch_size"] == 2
    assert [event.level for event in events if isinstance(event, protocol.Log)] == ["WARNING"]


@pytest.mark.parametrize(("device", "retry"), [("cuda:0", {"device": "cpu"}), ("mps", {"device": "cpu"}), ("cpu", {})])
def test_no_room_for_one_slice_offers_the_processor_after_a_gpu(narrow, device, retry):
    events = run(narrow(0, device))
    assert failure(events)["code"] == "out_of_memory"
    assert events[-1].retry == retry


def test_a_model_that_does_not_fit_is_no_fault_of_the_program(narrow, monkeypatch):
    from GANSegmentationLib.inference import predictor

    def full(*_arguments):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    request = narrow(4)
    monkeypatch.setattr(predictor, "load_network", full)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    events = run(request)
    assert failure(events)["code"] == "out_of_memory"
    assert events[-1].retry == {"device": "cpu"}


def test_the_log_is_as_it_was_after_a_run(narrow):
    logger = logging.getLogger("GANSegmentationLib")
    before = (logger.level, list(logger.handlers))
    run(narrow(2))
    assert (logger.level, list(logger.handlers)) == before


def test_release_says_whether_the_process_has_to_end(narrow, monkeypatch):
    keeper = worker.Worker()
    run(narrow(4), worker=keeper)
    assert keeper.release() is False
    assert keeper._predictor is None
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    assert keeper.release() is True
