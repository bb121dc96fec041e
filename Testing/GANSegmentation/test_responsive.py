"""The application lives while the worker works: a heartbeat in its thread hardly misses a beat."""

from __future__ import annotations

import time

import numpy as np

from GANSegmentationLib import protocol
from GANSegmentationLib.volumes import Geometry, Volume
from GANSegmentationLib.volumes.exchange import load_labelmap, save_volume
from Testing.GANSegmentation.executing import needs_proc

pytest_plugins = ["Testing.GANSegmentation.executors"]
pytestmark = needs_proc

LONGEST_BREAK_S = 0.1
TRIES = 3


def scan(slices: int) -> Volume:
    array = np.full((slices, 512, 512), -1000, np.int16)
    array[:, 100:400, 100:400] = 50
    array[:, 200:300, 150:250] = 150
    return Volume(array, Geometry((512, 512, slices), (0.8, 0.8, 1.5)), "CT", "large")


def breaks_of(executor, request) -> tuple[list[float], list[protocol.Message]]:
    """The breaks between the beats of a timer while a job runs under the application's own event loop, seconds."""
    import qt

    beats, events = [], []
    loop, timer = qt.QEventLoop(), qt.QTimer()

    def on_event(event):
        events.append(event)
        if isinstance(event, (protocol.Result, protocol.Failed, protocol.Cancelled)):
            loop.quit()

    timer.setInterval(10)
    timer.connect("timeout()", lambda: beats.append(time.perf_counter()))
    timer.start()
    executor.start(request, on_event)
    loop.exec()
    timer.stop()
    return list(np.diff(beats)), events


def test_the_heartbeat_goes_on_through_start_model_slices_and_cleaning(executors, package, tmp_path):
    """Another program may hold up this one for a moment, so that one good try of a few is enough; a call that blocks
    does so in each."""
    executor = executors()
    volumes = (save_volume(scan(40), tmp_path, "volume"),)
    longest = []
    for number in range(TRIES):
        request = protocol.RunSegment(str(number), str(tmp_path), volumes=volumes, package=str(package), device="cpu")
        breaks, events = breaks_of(executor, request)
        assert isinstance(events[-1], protocol.Result), events[-1]
        assert len(breaks) > 5
        longest.append(max(breaks))
        if longest[-1] < LONGEST_BREAK_S:
            break
        executor.shutdown()  # so that the next try begins with the start of the process, too
        _forget_waiting()
    assert min(longest) < LONGEST_BREAK_S, longest


def test_voxels_cross_the_border_in_less_than_a_second(tmp_path):
    """512 x 512 x 200: 105 MB of int16 out, 52 MB of labels back; the best of a few, for the disk is not ours alone."""
    volume = scan(200)
    labels = (volume.array > 100).astype(np.uint8)
    there, back = [], []
    for _ in range(3):
        begin = time.perf_counter()
        save_volume(volume, tmp_path, "volume")
        there.append(time.perf_counter() - begin)
    from GANSegmentationLib.volumes import Labelmap
    from GANSegmentationLib.volumes.exchange import save_labelmap

    described = save_labelmap(Labelmap(labels, volume.geometry), tmp_path, "labels")
    for _ in range(3):
        begin = time.perf_counter()
        found = load_labelmap(described, tmp_path)
        back.append(time.perf_counter() - begin)
    assert np.array_equal(found.array, labels)
    assert min(there) < 1, there
    assert min(back) < 1, back


def _forget_waiting():
    from Testing.slicer_host import processes

    processes.blocking_calls.clear()
