"""The process that does the cases of a local batch: ``python -m GANSegmentationLib.batch.child``.

It reads lines of JSON, the settings first and then tasks, and answers with lines of JSON: ``ready`` or ``refused``
once, then ``end`` for every task in their order, and before it ``progress`` while its slices are segmented. The next
task is read in a thread while this one is segmented. It ends when its input does, at once: whoever gave the tasks has
gone, and a mask that is still written is nobody's.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

from ..errors import GANSegmentationError
from .task import Answer, Task, WorkSettings
from .work import CaseWorker, Loaded, failure

PROGRESS_EVERY_S = 0.1
"""Slices are told no more often."""

_Waiting = queue.Queue["tuple[Task, Future[Loaded]] | None"]


def main(make: Callable[[WorkSettings], Any] = CaseWorker) -> None:
    """Serve standard input until it ends; `make` as `serve` has it."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints must not get between the answers
    _be_the_first_to_go()
    first = json.loads(sys.stdin.readline())
    with Path(first["crash"]).open("w") as crash:
        faulthandler.enable(crash)
        # Ending without waiting: a thread may hang in a file system.
        serve(first["settings"], sys.stdin, answers, make=make, when_ready=_be_silent, when_over=_leave)


def serve(
    settings: dict[str, Any],
    tasks: Iterable[str],
    answers: TextIO,
    *,
    make: Callable[[WorkSettings], Any] = CaseWorker,
    when_ready: Callable[[], None] = lambda: None,
    when_over: Callable[[], None] = lambda: None,
) -> None:
    """Answer every task of some lines.

    Parameters
    ----------
    make:
        Makes the worker, which has the methods of `CaseWorker`.
    when_ready, when_over:
        Called before the first case is read, and as soon as the lines end, in whatever state the cases are.
    """
    worker = make(WorkSettings.from_dict(settings))
    try:
        worker.prepare()
    except GANSegmentationError as error:
        _say(answers, {"event": "refused", "error": error.to_dict()})
        return
    worker.on_progress = _teller(answers)
    when_ready()
    _say(answers, {"event": "ready"})
    waiting: _Waiting = queue.Queue()
    with ThreadPoolExecutor(1, "read") as reader:

        def take() -> None:
            for line in tasks:
                task = Task.from_dict(json.loads(line))
                waiting.put((task, reader.submit(worker.read, task)))
            when_over()
            waiting.put(None)

        threading.Thread(target=take, daemon=True).start()
        while (following := waiting.get()) is not None:
            answer = _finish(worker, *following)
            del following  # or this scan would stay in memory while the one after the next is read
            _say(answers, {"event": "end", "answer": answer.to_dict()})


def _finish(worker: Any, task: Task, loaded: Future[Loaded]) -> Answer:
    try:
        answer: Answer = worker.finish(task, loaded.result())
    except Exception as error:  # noqa: BLE001 - one case must not end the others, whatever it is
        return failure(task, error)
    return answer


def _teller(answers: TextIO) -> Callable[[Any], None]:
    """What tells how many slices of the case in hand are done: the first and the last, and now and then in between."""
    told = -PROGRESS_EVERY_S

    def tell(progress: Any) -> None:
        nonlocal told
        now = time.monotonic()
        if progress.stage != "segment" or (0 < progress.done < progress.total and now - told < PROGRESS_EVERY_S):
            return
        told = now
        facts = {"done": progress.done, "total": progress.total, "seconds_left": progress.seconds_left}
        _say(answers, {"event": "progress", **facts})

    return tell


def _say(stream: TextIO, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message, allow_nan=False) + "\n")
    stream.flush()


def _leave() -> None:
    os._exit(0)


def _be_silent() -> None:
    """Libraries warn of odd files with what is in them, and that is about a patient."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.dup2(nowhere, 1)


def _be_the_first_to_go() -> None:
    """Where memory runs out, Linux shall end this process and not the one that keeps the ledger."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")


if __name__ == "__main__":
    main()
