"""Faults of whoever listens to a job, and of the executor: the job ends all the same, and the next one can begin."""

from __future__ import annotations

import pytest

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError
from Testing.GANSegmentation.jobs.test_job import AtOnce, two_requests
from Testing.GANSegmentation.jobs.test_job_queue import Slow


@pytest.fixture
def job_of(application):
    from GANSegmentationPanel.jobs.job import Job

    return Job


@pytest.fixture
def queue(application):
    from GANSegmentationPanel.jobs.job_queue import JobQueue

    return JobQueue()


def at(name, fault):
    def on_event(event):
        if type(event).__name__ == name:
            raise fault

    return on_event


PROGRESS = (protocol.Progress("1", "segment", 1, 2),)


@pytest.mark.parametrize("name", ["Progress", "Stage", "Result"])
@pytest.mark.parametrize("executor", [AtOnce, Slow])
def test_an_exception_in_an_event_is_what_the_job_fails_with(job_of, executor, name):
    left, ends, fault = [], [], ValueError("a fault of the panel")
    running = executor(PROGRESS) if executor is AtOnce else executor()
    job = job_of(running, two_requests(left), at(name, fault), ends.append)
    job.start()
    if executor is Slow:
        running.onEvent(PROGRESS[0])
        if running.isRunning:
            running.answer()
    assert (job.state.value, job.error) == ("failed", fault)
    assert (left, ends) == (["cleaned up"], [job])
    with pytest.raises(ValueError, match="a fault of the panel"):
        job.result()


@pytest.mark.parametrize("fault", [ValueError("a fault"), GANSegmentationError("write_failed", "The disk is full.")])
def test_an_exception_at_the_end_changes_no_result_and_keeps_it_from_nobody(job_of, fault):
    heard = []

    def fail(job):
        raise fault

    job = job_of(AtOnce(), two_requests([]), onEnd=heard.append)
    job.addEndObserver(fail)
    with pytest.raises(type(fault)):
        job.start()
    assert (job.state.value, job.result()) == ("done", "12")
    assert heard == [job]


@pytest.mark.parametrize("fault", [OSError("no more processes"), GANSegmentationError("job_running", "Busy.")])
def test_an_executor_that_fails_to_start_fails_the_job(job_of, fault):
    class Broken(Slow):
        def start(self, request, onEvent):
            raise fault

    left = []
    job = job_of(Broken(), two_requests(left))
    job.start()
    assert (job.state.value, job.error, left) == ("failed", fault, ["cleaned up"])


def test_an_interrupt_in_a_script_ends_the_job_and_goes_on_its_way(job_of, queue):
    class Interrupted(Slow):
        def start(self, request, onEvent):
            raise KeyboardInterrupt

    left = []
    job = job_of(Interrupted(), two_requests(left))
    with pytest.raises(KeyboardInterrupt):
        queue.start(job)
    assert (job.state.value, left) == ("cancelled", ["cleaned up"])
    assert not queue.isRunning
    queue.start(job_of(AtOnce(), two_requests([])))


def test_waiting_for_a_job_from_within_its_events_is_refused_and_does_not_hang(job_of):
    from GANSegmentationPanel.jobs.executor import InlineExecutor

    executor, waited = InlineExecutor(), []

    def on_event(event):
        with pytest.raises(RuntimeError, match="within an event"):
            job.wait()
        waited.append(event)

    def steps(job):
        return (yield protocol.RunProbe(id="1", folder=""))

    job = job_of(executor, steps, on_event)
    job.start()
    assert waited
    assert job.state.value == "done"
    job.wait()


def test_a_job_that_was_cancelled_by_who_asked_for_it_holds_up_nobody(job_of, queue):
    executor = Slow()
    first, second, third = (job_of(executor, two_requests([])) for _ in range(3))
    queue.start(first)
    queue.startInBackground("check", second)
    queue.startInBackground("probe", third)
    second.cancel()
    for _ in range(2):
        executor.answer()
    assert first.hasEnded
    assert third.state.value == "running"
    for _ in range(2):
        executor.answer()
    assert third.state.value == "done"
    ended = job_of(executor, two_requests([]))
    ended.cancel()
    queue.startInBackground("check", ended)
    queue.start(job_of(executor, two_requests([])))
    assert executor.isRunning


def test_a_panel_that_fails_while_a_job_is_accepted_locks_nothing(job_of, queue):
    def fail():
        raise ValueError("a fault of the panel")

    left, ends = [], []
    with pytest.raises(ValueError, match="a fault"):
        queue.start(job_of(Slow(), two_requests(left), onEnd=ends.append), onStarting=fail)
    assert not queue.isRunning
    assert [job.state.value for job in ends] == ["cancelled"]
    queue.start(job_of(AtOnce(), two_requests([])))
