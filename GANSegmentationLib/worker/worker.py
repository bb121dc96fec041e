"""Requests to jobs, with the last model kept loaded."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import protocol
from ..errors import GANSegmentationError
from .failures import known
from .run import Cancel, Emit, RunOfJob

if TYPE_CHECKING:
    from ..inference import Predictor
    from ..models import Package


def handle(request: Mapping[str, Any], emit: Emit, cancel: Cancel, worker: Worker | None = None) -> None:
    """Do one job, by a worker that keeps its model warm or by one for this request alone; see `Worker.handle`."""
    (worker or Worker()).handle(request, emit, cancel)


class Worker:
    """Does one job after another and keeps the last model loaded, so that a second scan starts at once."""

    def __init__(self) -> None:
        self._predictor: Predictor | None = None
        self._loaded: tuple[object, ...] = ()

    def release(self) -> bool:
        """Let go of the model and its memory; gives whether a GPU driver still keeps memory for this process."""
        self._predictor, self._loaded = None, ()
        torch = sys.modules.get("torch")
        if torch is None:
            return False
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
            return True
        return False

    def handle(self, request: Mapping[str, Any], emit: Emit, cancel: Cancel) -> None:
        """Do one job; whatever happens, the last event is a result, an error or a cancelled.

        Parameters
        ----------
        request:
            A run command as `protocol.to_dict` gives it.
        emit:
            Takes each event, as plain JSON types, in the thread that called.
        cancel:
            Says whether to stop; asked between stages and between slice batches, sometimes from another thread.
        """
        run = RunOfJob(str(request.get("id", "")), emit, cancel)
        try:
            command = protocol.from_dict(request)
            if not isinstance(command, protocol.Run):
                raise GANSegmentationError("invalid_message", f"{type(command).__name__} is no job for a worker.")
            job = command.WORDS["job"]
            run.emit(protocol.Started(run.id, job))
            with run.logged():
                result = self._do(command, run)
            run.emit(protocol.Result(run.id, job, result))
        except Exception as error:  # noqa: BLE001 - the border of the process: whatever happened has to be said
            run.fail(known(error))

    def _do(self, command: protocol.Run, run: RunOfJob) -> dict[str, Any]:
        # Imported here, so that a worker is ready before numpy is.
        if isinstance(command, protocol.RunSegment):
            from .segment import segment

            return segment(command, run, self._warm)
        if isinstance(command, protocol.RunCheck):
            from .segment import check

            return check(command, run)
        if isinstance(command, protocol.RunCompare):
            from .compare import compare

            return compare(command, run)
        if isinstance(command, protocol.RunExport):
            from .compare import export

            return export(command, run)
        if isinstance(command, protocol.RunBatch):
            from .batch import batch

            self.release()  # the batch has a process of its own: two models may not fit on the device
            return batch(command, run)
        from .probe import probe

        return probe(run)

    def _warm(self, package: Package, command: protocol.RunSegment) -> Predictor:
        """The predictor of a package on a device, loaded only if it is not the one of the last job."""
        from ..inference import Predictor

        # The card, with the checksums of the files, tells a package from another that was put in its place.
        wanted = (package.path, package.card, command.device, command.batch_size)
        if self._predictor is None or self._loaded != wanted:
            self.release()  # before the next one is loaded: two may not fit on the device
            predictor = Predictor(package, command.device, batch_size=_batch_size(command.batch_size))
            self._predictor, self._loaded = predictor, wanted
        return self._predictor


def _batch_size(wanted: int | None) -> int | None:
    if wanted is not None and wanted < 1:
        raise GANSegmentationError(
            "invalid_batch_size", f"{wanted} slices cannot be computed at once.", action="Choose 1 or more."
        )
    return wanted
