"""A job: steps that wait for an executor, and the ways in which it ends."""

from __future__ import annotations

import pytest

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError
from Testing.GANSegmentation.jobs.test_job_queue import Slow


class AtOnce(Slow):
    """An executor that answers within `start`, as `InlineExecutor`."""

    def __init__(self, events=(), kind=protocol.Result):
        super().__init__(isInBackground=False)
        self.events, self.kind = events, kind

    def start(self, request, onEvent):
        super().start(request, onEvent)
        for event in self.events:
            onEvent(event)
        self.answer(self.kind)


@pytest.fixture
def job_of(application):
    from GANSegmentationPanel.jobs.job import Job

    return Job


def two_requests(left):
    def steps(job):
        try:
            first = yield protocol.RunProbe(id="1", folder="")
            second = yield protocol.RunProbe(id="2", folder="")
            return first.result["of"] + second.result["of"]
        finally:
            left.append("cleaned up")

    return steps


@pytest.mark.parametrize("executor", [AtOnce(), Slow()], ids=["at once", "later"])
def test_the_steps_get_the_answers_in_their_order(job_of, executor):
    ends, left = [], []
    job = job_of(executor, two_requests(left), onEnd=ends.append)
    job.start()
    while executor.isRunning:
        assert job.state.value == "running" and not job.hasEnded
        executor.answer()
    assert (job.state.value, job.value, job.result()) == ("done", "12", "12")
    assert ends == [job] and left == ["cleaned up"]


def test_a_failure_is_raised_in_the_steps_and_told_by_the_result(job_of):
    executor, left = Slow(), []
    job = job_of(executor, two_requests(left))
    job.start()
    error = GANSegmentationError("out_of_memory", "The memory ran out.")
    executor.request, on_event = None, executor.onEvent
    on_event(protocol.Failed("1", error.to_dict(), {"device": "cpu"}))
    assert job.state.value == "failed" and left == ["cleaned up"]
    assert job.retry == {"device": "cpu"}
    with pytest.raises(GANSegmentationError, match="The memory ran out"):
        job.result()


def test_a_fault_of_the_steps_fails_the_job_and_nothing_else(job_of):
    def steps(job):
        yield protocol.RunProbe(id="1", folder="")
        raise RuntimeError("the roof fell in")

    ends = []
    job = job_of(AtOnce(), steps, onEnd=ends.append)
    job.start()
    assert job.state.value == "failed" and ends == [job]
    with pytest.raises(RuntimeError, match="the roof"):
        job.result()


def test_a_cancelled_job_has_no_result_even_if_one_comes(job_of):
    executor, left, heard = Slow(), [], []
    job = job_of(executor, two_requests(left), heard.append)
    job.start()
    job.cancel()
    assert (job.state.value, executor.cancels) == ("cancelling", 1)
    executor.onEvent(protocol.Progress("1", "segment", 1, 2))
    executor.answer()
    assert job.state.value == "cancelled" and left == ["cleaned up"]
    assert heard == []
    with pytest.raises(GANSegmentationError) as caught:
        job.result()
    assert caught.value.code == "cancelled"


def test_a_cancel_within_an_event_reaches_an_executor_that_answers_at_once(job_of):
    executor = AtOnce(events=[protocol.Progress("1", "segment", 1, 2)])
    job = job_of(executor, two_requests([]), lambda event: job.cancel())
    job.start()
    assert (job.state.value, executor.cancels) == ("cancelled", 1)


def test_a_job_that_waits_is_cancelled_without_the_executor(job_of):
    executor = Slow()
    job = job_of(executor, two_requests([]))
    job.cancel()
    job.start()
    assert job.state.value == "cancelled" and executor.request is None and executor.cancels == 0


def test_a_cancel_while_nodes_are_read_stops_before_the_worker(job_of):
    def steps(job):
        job.cancel()
        yield protocol.RunProbe(id="1", folder="")

    executor = Slow()
    job = job_of(executor, steps)
    job.start()
    assert job.state.value == "cancelled" and executor.request is None


def test_a_cancel_at_the_last_stage_keeps_the_result_out(job_of):
    from GANSegmentationPanel.jobs.job import IMPORT_STAGE

    imported, executor = [], Slow()

    def steps(job):
        imported.append((yield protocol.RunProbe(id="1", folder="")))

    def on_event(event):
        if event == protocol.Stage("1", IMPORT_STAGE):
            job.cancel()

    job = job_of(executor, steps, on_event)
    job.start()
    executor.answer()
    assert job.state.value == "cancelled" and imported == []


def test_the_last_stage_is_told_before_the_result_is_imported(job_of):
    from GANSegmentationPanel.jobs.job import IMPORT_STAGE

    seen = []

    def steps(job):
        yield protocol.RunProbe(id="1", folder="")
        seen.append("imported")

    job_of(AtOnce(), steps, lambda event: seen.append(getattr(event, "name", type(event).__name__))).start()
    assert seen == [IMPORT_STAGE, "Result", "imported"]


def test_an_executor_that_takes_no_job_fails_it(job_of):
    class Full(Slow):
        def start(self, request, onEvent):
            raise GANSegmentationError("job_running", "Another job is running.")

    left = []
    job = job_of(Full(), two_requests(left))
    job.start()
    assert job.state.value == "failed" and left == ["cleaned up"]


def test_identifiers_are_of_one_request_alone(job_of):
    jobs = [job_of(Slow(), two_requests([])) for _ in range(2)]
    assert len({job.nextId() for job in jobs for _ in range(3)}) == 6
