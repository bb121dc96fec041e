"""The job ``batch``: a folder of scans."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .. import protocol
from ..errors import GANSegmentationError

if TYPE_CHECKING:
    from ..batch import BatchOptions, BatchPlan, BatchProgress
    from ..batch.task import SliceProgress
    from .run import RunOfJob

_ASK_EVERY_S = 0.1


def batch(command: protocol.RunBatch, run: RunOfJob) -> dict[str, Any]:
    """Segment every scan of a folder that is not done yet; a cancelled batch goes on when it is asked for again.

    Raises
    ------
    GANSegmentationError
        ``cancelled``; as `batch.run_batch`.
    """
    from ..batch import plan_batch, run_batch
    from ..batch.summary import SUMMARY_CSV

    options = _options(command)
    run.enter("batch")
    if command.dry_run:
        return _listed(plan_batch(options))

    def started(plan: BatchPlan) -> None:
        to_do = sum(bool(each.why) for each in plan.cases)
        run.progress("batch", len(plan.cases) - to_do, len(plan.cases), None)
        if plan.renamed:
            run.warn("names_replaced", f"{plan.renamed} names that may identify a patient were replaced.")

    def report(progress: BatchProgress) -> None:
        with uninterrupted():
            run.emit(protocol.CaseDone(run.id, progress.outcome.to_dict()))
            run.progress("batch", progress.settled, progress.total, progress.seconds_left)
            run.check()

    def slices(progress: SliceProgress) -> None:
        with uninterrupted():
            run.check()
            run.emit(protocol.Progress(run.id, "segment", progress.done, progress.total, progress.seconds_left))

    with _interrupted_by_cancel(run) as uninterrupted:
        summary = run_batch(options, started=started, report=report, slices=slices)
    counts = {status: len(summary.of_status(cast(Any, status))) for status in ("done", "failed", "pending")}
    return {**counts, "seconds": summary.seconds, "summary": str(options.output / SUMMARY_CSV)}


def _options(command: protocol.RunBatch) -> BatchOptions:
    from ..batch import BatchOptions, CaseFilter

    package = Path(command.package) if command.package else None
    models = Path(command.models) if command.models else None
    if command.model:
        from ..models import ModelLibrary

        package = ModelLibrary(user=models).get(command.model).path
    return BatchOptions(
        input=Path(command.input),
        output=Path(command.output),
        references=Path(command.references) if command.references else None,
        package=package,
        models=models,
        format=command.format,
        domain=command.domain,
        device=command.device,
        force=command.force,
        surface_tolerance_mm=command.surface_tolerance_mm,
        time_limit=command.time_limit,
        retry_failed=command.retry_failed,
        names=cast(Any, command.names),  # checked where it is used
        wanted=CaseFilter(command.include, command.exclude, tuple(each.upper() for each in command.modalities)),
        correct_tilt=command.correct_tilt,
        channels=command.channels,
    )


def _listed(plan: BatchPlan) -> dict[str, Any]:
    cases = [
        {
            "case": each.case.name,
            "state": each.why or (each.outcome.status if each.outcome is not None else "done"),
            "to_do": bool(each.why),
            "reference": each.case.reference is not None,
        }
        for each in plan.cases
    ]
    return {"cases": cases, "renamed": plan.renamed}


@contextlib.contextmanager
def _interrupted_by_cancel(run: RunOfJob) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Within the context a cancel interrupts the batch as Ctrl-C does, in the middle of a case.

    Gives a context for what the batch tells between slices and cases, which may raise ``cancelled``: from then on
    nothing is interrupted any more, for the batch is writing down what is done. Where interrupting cannot be done
    (another thread, or an application with a handler of its own for Ctrl-C), the batch stops at the next slice that it
    hears of.
    """
    main = threading.current_thread() is threading.main_thread()
    if not (main and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        yield contextlib.nullcontext
        return
    over = threading.Event()
    interrupting = threading.Lock()

    @contextlib.contextmanager
    def uninterrupted() -> Iterator[None]:
        with interrupting:
            try:
                yield
            except GANSegmentationError:
                over.set()
                raise

    def watch() -> None:
        while not over.wait(_ASK_EVERY_S):
            if run.is_cancelled():
                with interrupting:
                    if not over.is_set():
                        over.set()
                        signal.raise_signal(signal.SIGINT)
                return

    watcher = threading.Thread(target=watch, name="cancel", daemon=True)
    watcher.start()
    try:
        try:
            yield uninterrupted
        finally:
            with interrupting:
                over.set()
            watcher.join()
    except KeyboardInterrupt as error:
        if not run.is_cancelled():
            raise
        raise GANSegmentationError(
            "cancelled", "The batch was cancelled.", action="Start it again to go on with the cases that are left."
        ) from error
