"""The same work for many things, in several processes that can be killed at any time."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Died:
    """In the place of a result: the process that worked on it is gone; `how` says what ended it."""

    how: str


@dataclass
class _Worker(Generic[Item]):
    process: SpawnProcess
    connection: Connection
    item: int


def in_processes(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    count: int,
    *,
    begun: Callable[[int], None] = lambda index: None,
) -> Generator[tuple[int, Result | Died], None, None]:
    """The results of ``work(item)``, each with the index of its item, as they are done.

    A process has one item at a time, so memory is that of `count` items however many there are. Where a process dies,
    its item alone is lost. When this generator is closed (Ctrl-C among the reasons) the processes are killed, and when
    this process is killed they end with it.

    Parameters
    ----------
    work:
        A function at the top level of a file; it, items and results are pickled.
    begun:
        Called with the index of an item when it is handed out.

    Raises
    ------
    Exception
        Whatever `work` raises ends it all.
    """
    # A forked process would have the locks of this one's threads, in whatever state they were.
    context = multiprocessing.get_context("spawn")
    waiting = iter(range(len(items)))
    team: dict[Connection, _Worker[Item]] = {}

    def hire(index: int) -> None:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(work, theirs), daemon=True)
        process.start()
        theirs.close()  # else nobody would notice that the process has gone
        team[ours] = _Worker(process, ours, index)
        begun(index)
        ours.send(items[index])

    try:
        for index in islice(waiting, count):
            hire(index)
        while team:
            for ready in wait(list(team)):
                assert isinstance(ready, Connection)
                worker = team[ready]
                (raised, result), following = _answer(worker), next(waiting, None)
                if raised:
                    raise result
                yield worker.item, result
                if isinstance(result, Died):
                    del team[ready]
                    if following is not None:
                        hire(following)
                elif following is None:
                    ready.close()
                    worker.process.join(_PATIENCE_S)
                    del team[ready]
                else:
                    worker.item = following
                    begun(following)
                    ready.send(items[following])
    finally:
        for worker in team.values():
            worker.process.kill()
        for worker in team.values():
            worker.process.join(_PATIENCE_S)


def _answer(worker: _Worker[Any]) -> tuple[bool, Any]:
    """Whether the work raised, and what it raised or gave; a result may be an exception that nobody has raised."""
    try:
        raised, result = worker.connection.recv()
        return raised, result
    except (EOFError, OSError):
        worker.process.join(_PATIENCE_S)
        worker.process.kill()
        code = worker.process.exitcode
        return False, Died(f"signal {-code}" if code is not None and code < 0 else f"exit code {code}")


def _serve(work: Callable[[Any], Any], connection: Connection) -> None:
    """The life of a process: item for item, until nobody gives any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of them; the first process decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            item = connection.recv()
            try:
                result = work(item)
            except Exception as error:  # noqa: BLE001 - the other side raises it
                connection.send((True, error))
            else:
                connection.send((False, result))


def _end_with_parent() -> None:
    """Where the first process is killed, nobody would take the result: end at once, whatever is being done."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        sys.stderr.flush()
        os._exit(1)
