"""Requests and waiting, for the tests of jobs in a process of their own."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes.exchange import save_labelmap, save_volume
from Testing.tiny_model import tiny_scan

WORKERS = Path(__file__).resolve().parents[1] / "worker"

needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")


def probe(identifier="1"):
    return protocol.RunProbe(identifier, "")


def segment(folder, package, identifier="1", **fields):
    volumes = (save_volume(tiny_scan(), folder, "volume"),)
    return protocol.RunSegment(identifier, str(folder), volumes=volumes, package=str(package), device="cpu", **fields)


def compare(folder, identifier="1"):
    from GANSegmentationLib.volumes import Labelmap

    labels = Labelmap((tiny_scan().array > 100).astype("uint8"), tiny_scan().geometry)
    described = save_labelmap(labels, folder, "labels0")
    return protocol.RunCompare(identifier, str(folder), mask=described, reference=described)


def export(folder, identifier="1"):
    request = compare(folder)
    return protocol.RunExport(identifier, str(folder), labelmap=request.mask, path=str(folder / "out.seg.nrrd"))


def events_of(executor, request, on_event=lambda event: None, seconds=30):
    """Every event of a job; it has to end."""
    events = []

    def observe(event):
        events.append(event)
        on_event(event)

    executor.start(request, observe)
    assert executor.wait(seconds), f"no end after {events}"
    assert not executor.isRunning
    return events


def failure(events):
    assert isinstance(events[-1], protocol.Failed), events
    return GANSegmentationError.from_dict(events[-1].error)


def at_stage(name, do):
    return lambda event: do() if event == protocol.Stage("1", name) else None


def pump(until, seconds=10):
    import slicer

    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.005)
    assert until()
