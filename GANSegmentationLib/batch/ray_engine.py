"""The engine of a cluster: Ray places workers on its computers and says when one is lost.

Every worker is an actor that holds a `LocalEngine`, so that crashes and time limits are those of one computer; Ray is
there for what happens to computers. Input and output folders have to be the same paths on all of them.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GANSegmentationError
from .options import BatchOptions
from .outcome import failed
from .task import Answer, Task, WorkSettings

MOST_LOSSES = 3
"""A case whose worker was lost so often, without a word of why, fails: it may be what takes the computers down."""


class RayEngine:
    """Does cases on a Ray cluster.

    A worker takes a graphics card where the cluster has some, else one processor by Ray's count.
    The cases of a lost worker are given to another one.

    Parameters
    ----------
    settings:
        How to work.
    folder:
        Not used: workers keep their own files where they are.
    options:
        ``workers``, ``address`` and ``time_limit``.
    """

    def __init__(self, settings: WorkSettings, folder: Path, options: BatchOptions) -> None:
        del folder
        self._settings = settings
        self._options = options
        self._ray: Any = None
        self._owns_cluster = False
        self._workers: list[_Worker] = []
        self._waiting: deque[Task] = deque()
        self._losses: dict[str, int] = {}
        self._ready: deque[Answer] = deque()

    @property
    def room(self) -> int:
        """As `task.Engine.room`."""
        self._start()
        return max(0, sum(worker.room for worker in self._workers) - len(self._waiting))

    def submit(self, task: Task) -> None:
        """As `task.Engine.submit`."""
        self._start()
        self._waiting.append(task)
        self._give()

    def answer(self) -> Answer:
        """As `task.Engine.answer`."""
        while not self._ready:
            self._give()
            asked = {worker.ask(): worker for worker in self._workers if worker.tasks}
            done, _ = self._ray.wait(list(asked), num_returns=1, timeout=1.0)
            for reference in done:
                self._take(reference, asked[reference])
        return self._ready.popleft()

    def close(self) -> None:
        """As `task.Engine.close`; a cluster that was made for the occasion ends, another one stays."""
        for worker in self._workers:
            self._ray.kill(worker.actor)  # its child ends with it
        self._workers.clear()
        if self._ray is not None and self._owns_cluster:
            self._ray.shutdown()
            self._owns_cluster = False

    def _start(self) -> None:
        if self._workers:
            return
        self._ray = _import_ray()
        if not self._ray.is_initialized():
            self._owns_cluster = True
            _connect(self._ray, self._options.address)
        self._workers = [self._new_worker() for _ in range(self._options.workers or self._suitable_number())]

    def _suitable_number(self) -> int:
        """One worker for every graphics card, else one for every computer: torch uses all processors of it."""
        cards = int(self._ray.cluster_resources().get("GPU", 0))
        return cards or sum(node["Alive"] for node in self._ray.nodes())

    def _new_worker(self) -> _Worker:
        has_cards = self._ray.cluster_resources().get("GPU", 0) >= 1 and self._settings.device != "cpu"
        actor = self._ray.remote(_Actor).options(
            num_cpus=1,
            num_gpus=1 if has_cards else 0,
            max_restarts=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": {"PYTHONPATH": _python_path()}},
        )
        return _Worker(actor.remote(self._settings.to_dict(), self._options.time_limit))

    def _give(self) -> None:
        """Hand on what is waiting, to the worker with the least to do first."""
        while self._waiting:
            worker = max(self._workers, key=lambda each: each.room)
            if worker.room == 0:
                return
            worker.give(self._waiting.popleft())

    def _take(self, reference: Any, worker: _Worker) -> None:
        worker.asked = None
        try:
            reply = self._ray.get(reference)
        except self._ray.exceptions.RayActorError:
            self._lost(worker)
            return
        if "error" in reply:
            raise GANSegmentationError.from_dict(reply["error"])
        answer = Answer.from_dict(reply["answer"])
        worker.process = reply["process"]
        worker.tasks.pop(answer.outcome.case)
        self._ready.append(answer)

    def _lost(self, worker: _Worker) -> None:
        """Another worker takes the place of a lost one, and its cases go to whoever has room."""
        for task in worker.tasks.values():
            self._losses[task.case] = self._losses.get(task.case, 0) + 1
            if self._losses[task.case] < MOST_LOSSES:
                self._waiting.appendleft(task)
            else:
                self._ready.append(Answer(failed(task.case, _worker_lost(self._losses[task.case]))))
        self._workers[self._workers.index(worker)] = self._new_worker()


@dataclass(eq=False)
class _Worker:
    """An actor, what it was given, the answer it was asked for, and the id of its process once it has answered."""

    actor: Any
    tasks: dict[str, Task] = field(default_factory=dict)
    asked: Any = None
    process: int = 0

    @property
    def room(self) -> int:
        return max(0, 2 - len(self.tasks))

    def give(self, task: Task) -> None:
        self.tasks[task.case] = task
        self.actor.submit.remote(task.to_dict())

    def ask(self) -> Any:
        if self.asked is None:
            self.asked = self.actor.answer.remote()
        return self.asked


class _Actor:
    """The far end: a local engine behind two calls that come one after the other."""

    def __init__(self, settings: dict[str, Any], time_limit: float | None) -> None:
        from GANSegmentationLib.batch.local import LocalEngine

        # Not in the output folder: what says of a crash where it was is for this computer alone.
        self._folder = tempfile.TemporaryDirectory(prefix="ganseg-batch-")
        folder = Path(self._folder.name)
        self._engine = LocalEngine(WorkSettings.from_dict(settings), folder, time_limit=time_limit)

    def submit(self, task: dict[str, Any]) -> None:
        """Take on a task; its files are read while the one before is still segmented."""
        self._engine.submit(Task.from_dict(task))

    def answer(self) -> dict[str, Any]:
        """The next answer, or the error because of which there are none."""
        try:
            return {"answer": self._engine.answer().to_dict(), "process": os.getpid()}
        except GANSegmentationError as error:
            return {"error": error.to_dict()}


def _import_ray() -> Any:
    # Before the import: Ray would report on how it is used, and watch over memory that is not only its own.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise GANSegmentationError(
            "ray_missing",
            "The engine ray needs the Python package ray, which is not installed.",
            action='Install it with pip install "gansegmentation[batch]", or use the local engine.',
        ) from error


def _connect(ray: Any, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    try:
        if address is None:
            ray.init(address="local", include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise GANSegmentationError(
            "no_cluster",
            f"There is no Ray cluster at {address}." if address else "No Ray cluster could be started here.",
            cause="The address is wrong, or the cluster does not run." if address else "",
            action="Start one with ray start --head, or leave the address out." if address else "Use the local engine.",
            details=repr(error),
        ) from error


def _python_path() -> str:
    library = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([library, *filter(None, [os.environ.get("PYTHONPATH")])])


def _worker_lost(times: int) -> GANSegmentationError:
    return GANSegmentationError(
        "worker_lost",
        f"The worker that had the case was lost {times} times.",
        cause="The computers of the cluster were taken away, or this scan is too much for them.",
        action="Look at the cluster, and give the command again with --retry-failed.",
    )
