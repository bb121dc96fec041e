"""What both executors promise, tried on the one in the calling thread; and what comes of a job's last event."""

from __future__ import annotations

import pytest

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes.exchange import save_volume
from Testing.tiny_model import tiny_scan, write_tiny_package


@pytest.fixture
def jobs(application):
    from GANSegmentationPanel.jobs import executor as jobs

    return jobs


@pytest.fixture
def request_(tmp_path):
    package = write_tiny_package(tmp_path / "tiny.ganseg")
    volumes = (save_volume(tiny_scan(), tmp_path, "volume"),)
    return protocol.RunSegment("1", str(tmp_path), volumes=volumes, package=str(package), device="cpu")


def test_the_executor_is_idle_when_the_result_is_told(jobs, request_):
    executor = jobs.InlineExecutor()
    states = []
    executor.start(request_, lambda event: states.append((type(event), executor.state)))
    assert states[-1] == (protocol.Result, jobs.State.IDLE)
    assert {state for _, state in states[:-1]} == {jobs.State.RUNNING}
    assert executor.wait()


def test_the_next_job_may_be_started_at_the_end_of_one_and_not_before(jobs, request_):
    executor = jobs.InlineExecutor()
    ends = []

    def chain(event):
        if isinstance(event, protocol.Started):
            with pytest.raises(GANSegmentationError) as caught:
                executor.start(request_, chain)
            assert caught.value.code == "job_running"
        if isinstance(event, protocol.Result):
            ends.append(event)
            if len(ends) < 2:
                executor.start(request_, chain)

    executor.start(request_, chain)
    assert len(ends) == 2


def test_nothing_but_the_cancelled_is_told_after_a_cancel(jobs, request_):
    executor = jobs.InlineExecutor()
    events = []

    def cancel(event):
        events.append(event)
        executor.cancel()

    executor.start(request_, cancel)
    assert events == [protocol.Started("1", "segment"), protocol.Cancelled("1")]
    assert executor.state is jobs.State.IDLE


def test_an_executor_is_idle_after_a_handler_that_failed(jobs, request_):
    executor = jobs.InlineExecutor()

    def fail(event):
        if isinstance(event, protocol.Stage):
            raise ZeroDivisionError

    executor.start(request_, fail)  # the border of the worker makes a failure of it
    assert not executor.isRunning


def test_an_executor_is_idle_after_somebody_pressed_control_c(jobs, request_):
    executor = jobs.InlineExecutor()

    def interrupt(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executor.start(request_, interrupt)
    assert executor.state is jobs.State.IDLE


def test_a_result_that_comes_in_spite_of_a_cancel_is_not_told(jobs, monkeypatch):
    from GANSegmentationLib import worker

    def handle(request, *, emit, cancel, worker):
        emit(protocol.to_dict(protocol.Progress(request["id"], "probe", 1, 1)))
        assert cancel()
        emit(protocol.to_dict(protocol.Result(request["id"], "probe", {})))

    monkeypatch.setattr(worker, "handle", handle)
    executor, events = jobs.InlineExecutor(), []

    def cancel(event):
        events.append(type(event))
        executor.cancel()

    executor.start(protocol.RunProbe("1", ""), cancel)
    assert events == [protocol.Progress, protocol.Cancelled]


def test_release_lets_go_of_the_model(jobs, request_):
    executor = jobs.InlineExecutor()
    jobs.run(executor, request_)
    assert executor._worker._predictor is not None
    executor.release()
    assert executor._worker._predictor is None
    executor.shutdown()


def test_a_result_without_its_files_is_a_failure(jobs, tmp_path):
    request = protocol.RunSegment("1", str(tmp_path))
    result = protocol.Result("1", "segment", {"labelmap": {"file": "labels.npy"}})
    assert jobs.checkedResult(request, result).error["code"] == "result_missing"
    (tmp_path / "labels.npy").write_bytes(b"voxels")
    assert jobs.checkedResult(request, result) == result


def test_a_result_of_another_kind_of_job_is_a_failure(jobs, tmp_path):
    result = protocol.Result("1", "compare", {})
    assert isinstance(jobs.checkedResult(protocol.RunProbe("1", ""), result), protocol.Failed)


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (protocol.Cancelled("1"), "cancelled"),
        (protocol.Failed("1", {"code": "out_of_memory", "message": "Full."}), "out_of_memory"),
        (None, "no_answer"),
    ],
)
def test_an_end_without_a_result_is_an_error(jobs, last, code):
    assert jobs.failureOf(last).code == code
