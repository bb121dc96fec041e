"""Whose turn it is: jobs of the user before those of the panel, one at a time."""

from __future__ import annotations

import pytest

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError


class Slow:
    """An executor that answers when it is told to; a cancel is answered later, too."""

    def __init__(self, isInBackground=True):
        self.isInBackground = isInBackground
        self.request, self.onEvent, self.cancels = None, None, 0

    @property
    def isRunning(self):
        return self.request is not None

    def start(self, request, onEvent):
        assert self.request is None, "one at a time"
        self.request, self.onEvent = request, onEvent

    def cancel(self):
        self.cancels += 1

    def answer(self, kind=protocol.Result):
        request, self.request = self.request, None
        fields = ("probe", {"of": request.id}) if kind is protocol.Result else ()
        self.onEvent(kind(request.id, *fields))


@pytest.fixture
def executor(application):
    return Slow()


@pytest.fixture
def queue(application):
    from GANSegmentationPanel.jobs.job_queue import JobQueue

    return JobQueue()


@pytest.fixture
def make(executor):
    """Makes jobs of one request, which tell how they have ended."""
    from GANSegmentationPanel.jobs.job import Job

    def made(name, ends):
        def steps(job):
            answer = yield protocol.RunProbe(id=name, folder="")
            return answer.result["of"]

        return Job(executor, steps, None, lambda job: ends.append((name, job.state.value)))

    return made


@pytest.fixture
def ends():
    return []


def test_a_second_job_of_the_user_is_refused(queue, make, ends):
    queue.start(make("first", ends))
    with pytest.raises(GANSegmentationError) as caught:
        queue.start(make("second", ends))
    assert caught.value.code == "job_running"
    assert queue.isRunning


def test_the_end_that_was_asked_for_with_the_job_is_told_when_the_queue_is_free(queue, executor, ends):
    from GANSegmentationPanel.jobs.job import Job

    def steps(job):
        answer = yield protocol.RunProbe(id="a", folder="")
        return answer.result["of"]

    queue.start(Job(executor, steps, None, lambda _job: ends.append(queue.isRunning)))
    executor.answer()
    assert ends == [False]


def test_background_jobs_wait_for_the_users(queue, executor, make, ends):
    queue.start(make("user", ends))
    queue.startInBackground("check", make("check", ends))
    assert executor.request.id == "user"
    executor.answer()
    assert executor.request.id == "check"
    assert not queue.isRunning
    executor.answer()
    assert ends == [("user", "done"), ("check", "done")]


def test_of_those_that_wait_the_last_of_a_kind_counts(queue, executor, make, ends):
    queue.start(make("user", ends))
    for name in ("old", "new"):
        queue.startInBackground("check", make(name, ends))
    queue.startInBackground("probe", make("probe", ends))
    for _ in range(3):
        executor.answer()
    assert ends == [("old", "cancelled"), ("user", "done"), ("new", "done"), ("probe", "done")]


def test_the_user_goes_before_what_runs_in_the_background(queue, executor, make, ends):
    queue.startInBackground("check", make("check", ends))
    queue.startInBackground("probe", make("probe", ends))
    queue.start(make("user", ends))
    assert queue.isRunning
    assert executor.request.id == "check" and executor.cancels == 1
    executor.answer(protocol.Cancelled)
    assert executor.request.id == "user"
    executor.answer()
    assert ends == [("probe", "cancelled"), ("check", "cancelled"), ("user", "done")]


def test_a_job_that_is_cancelled_before_its_turn_ends_at_once_and_locks_nothing(queue, executor, make, ends):
    queue.startInBackground("check", make("check", ends))
    queue.start(make("user", ends))
    queue.cancel()
    assert ends == [("user", "cancelled")]
    assert queue.job is None and not queue.isRunning
    queue.start(make("again", ends))
    executor.answer(protocol.Cancelled)
    assert executor.request.id == "again"


def test_what_waits_goes_on_after_a_job_that_was_cancelled_before_its_turn(queue, executor, make, ends):
    queue.startInBackground("check", make("check", ends))
    queue.start(make("user", ends))
    queue.startInBackground("probe", make("probe", ends))
    queue.cancel()
    executor.answer(protocol.Cancelled)
    assert executor.request.id == "probe"


def test_a_job_that_is_cancelled_while_it_is_accepted_never_begins(queue, executor, make, ends):
    queue.start(make("user", ends), onStarting=queue.cancel)
    assert executor.request is None
    assert ends == [("user", "cancelled")]
    assert not queue.isRunning


def test_cancelling_all_leaves_nothing_waiting(queue, executor, make, ends):
    queue.start(make("user", ends))
    queue.startInBackground("probe", make("probe", ends))
    queue.cancelAll()
    executor.answer(protocol.Cancelled)
    assert executor.request is None
    assert ends == [("probe", "cancelled"), ("user", "cancelled")]


def test_who_hears_of_a_cancel_may_ask_again(queue, executor, make, ends, application):
    """The panel asks what computes again when a run has pushed the question aside."""
    from GANSegmentationPanel.jobs.job import Job

    def steps(job):
        yield protocol.RunProbe(id="probe", folder="")

    queue.start(make("user", ends))
    queue.startInBackground(
        "probe", Job(executor, steps, None, lambda job: queue.startInBackground("probe", make("again", ends)))
    )
    queue.startInBackground("check", make("check", ends))
    queue.cancelAll()
    executor.answer(protocol.Cancelled)
    assert executor.request.id == "again"
