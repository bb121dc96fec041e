"""Whatever computes for the panel: a request goes in, events come out, voxels stay in the run's private folder.

`handle` is the same whether it runs in a process of its own or inside the application; `GANSegmentationLib.protocol`
has the words. What a `Result` holds, by job:

``segment``
    All of `inference.Result.to_dict` (``seconds``, ``device``, ``warnings``, ``segments`` with their ``volume_ml``),
    ``labelmap`` (as `volumes.exchange.save_labelmap` describes it) and ``model`` (``id``, ``title``, ``version``).
``check``
    ``warnings`` and ``model``.
``compare``
    ``labels``: a list with the scores of each structure, `LabelScores.to_dict` with those of the CHAOS challenge.

torch and the models are imported when a job needs them, not before.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import protocol
from .errors import GANSegmentationError

if TYPE_CHECKING:
    from .inference import Predictor
    from .models import Package
    from .volumes import Volume

Emit = Callable[[dict[str, Any]], None]
Cancel = Callable[[], bool]


def handle(request: Mapping[str, Any], emit: Emit, cancel: Cancel, worker: Worker | None = None) -> None:
    """Do one job, by a worker that keeps its model warm or by one for this request alone; see `Worker.handle`."""
    (worker or Worker()).handle(request, emit, cancel)


class Worker:
    """Does one job after another and keeps the last model loaded, so that a second scan starts at once."""

    def __init__(self) -> None:
        self._predictor: Predictor | None = None
        self._loaded: tuple[object, ...] = ()

    def release(self) -> None:
        """Let go of the model and its memory."""
        self._predictor, self._loaded = None, ()

    def handle(self, request: Mapping[str, Any], emit: Emit, cancel: Cancel) -> None:
        """Do one job; whatever happens, the last event is a result, an error or a cancelled.

        Parameters
        ----------
        request:
            A run command as `protocol.to_dict` gives it.
        emit:
            Takes each event, as plain JSON types, in the thread that called.
        cancel:
            Says whether to stop; asked between slice batches.
        """
        run = _Run(str(request.get("id", "")), emit)
        try:
            command = protocol.from_dict(request)
            if isinstance(command, protocol.RunSegment):
                self._segment(command, run, cancel)
            elif isinstance(command, protocol.RunCheck):
                self._check(command, run)
            elif isinstance(command, protocol.RunCompare):
                self._compare(command, run, cancel)
            else:
                raise GANSegmentationError("invalid_message", f"{type(command).__name__} is no job for a worker.")
        except GANSegmentationError as error:
            run.fail(error)
        except ModuleNotFoundError as error:
            run.fail(_missing(error))
        except Exception as error:  # noqa: BLE001 - the border of the process: whatever happened has to be said
            run.fail(_unexpected(error))

    def _segment(self, command: protocol.RunSegment, run: _Run, cancel: Cancel) -> None:
        from .inference import Progress
        from .volumes.exchange import save_labelmap

        run.emit(protocol.Started(run.id, "segment"))
        run.enter("read")
        folder = Path(command.folder)
        volumes = _volumes(command, folder)
        package = _package(command, volumes)
        run.enter("load")
        predictor = self._warm(package, command.device)

        def report(progress: Progress) -> None:
            run.enter(progress.stage)
            left = progress.seconds_left
            run.emit(protocol.Progress(run.id, progress.stage, progress.done, progress.total, left))

        result = predictor.segment(volumes, domain=command.domain, force=command.force, progress=report, cancel=cancel)
        for warning in result.warnings:
            run.emit(protocol.Warn(run.id, warning.code, str(warning)))
        payload = {
            **result.to_dict(),
            "labelmap": save_labelmap(result.labelmap, folder, "labels"),
            "model": _model(package),
        }
        run.emit(protocol.Result(run.id, "segment", payload))

    def _check(self, command: protocol.RunCheck, run: _Run) -> None:
        from .inference import check_input

        run.emit(protocol.Started(run.id, "check"))
        volumes = _volumes(command, Path(command.folder))
        package = _package(command, volumes)
        found = check_input(package.card, volumes, command.domain, force=command.force)
        warnings = [{"code": warning.code, "message": str(warning)} for warning in found]
        run.emit(protocol.Result(run.id, "check", {"warnings": warnings, "model": _model(package)}))

    def _compare(self, command: protocol.RunCompare, run: _Run, cancel: Cancel) -> None:
        from .metrics import compare_labelmaps
        from .volumes.exchange import load_labelmap

        run.emit(protocol.Started(run.id, "compare"))
        run.enter("read")
        mask, reference = (load_labelmap(each, Path(command.folder)) for each in (command.mask, command.reference))
        run.enter("compare")
        labels = compare_labelmaps(
            mask,
            reference,
            surface_tolerance_mm=command.surface_tolerance_mm,
            per_slice=command.per_slice,
            chaos=True,
        )
        if cancel():
            raise GANSegmentationError("cancelled", "The comparison was cancelled.")
        run.emit(protocol.Result(run.id, "compare", {"labels": [scores.to_dict() for scores in labels]}))

    def _warm(self, package: Package, device: str) -> Predictor:
        """The predictor of a package on a device, loaded only if it is not the one of the last job."""
        from .inference import Predictor

        # The card, with the checksums of the files, tells a package from another that was put in its place.
        wanted = (package.path, package.card, device)
        if self._predictor is None or self._loaded != wanted:
            self.release()  # before the next one is loaded: two may not fit on the device
            self._predictor, self._loaded = Predictor(package, device), wanted
        return self._predictor


class _Run:
    """The events of one run."""

    def __init__(self, identifier: str, emit: Emit) -> None:
        self.id = identifier
        self._emit = emit
        self._stage = ""

    def emit(self, event: protocol.Message) -> None:
        self._emit(protocol.to_dict(event))

    def enter(self, stage: str) -> None:
        """Say that another part of the work begins, once."""
        if stage != self._stage:
            self._stage = stage
            self.emit(protocol.Stage(self.id, stage))

    def fail(self, error: GANSegmentationError) -> None:
        if error.code == "cancelled":
            self.emit(protocol.Cancelled(self.id))
        else:
            self.emit(protocol.Failed(self.id, error.to_dict()))


def _volumes(command: protocol.RunSegment | protocol.RunCheck, folder: Path) -> list[Volume]:
    from .volumes import read_volume
    from .volumes.exchange import load_volume

    volumes = [load_volume(description, folder) for description in command.volumes]
    volumes += [read_volume(path) for path in command.inputs]
    if not volumes:
        raise GANSegmentationError("no_volume", "There is no volume to segment.", action="Choose a volume.")
    return volumes


def _package(command: protocol.RunSegment | protocol.RunCheck, volumes: list[Volume]) -> Package:
    from .models import ModelLibrary, open_package

    if command.package:
        return open_package(Path(command.package))
    library = ModelLibrary()
    if command.model:
        return library.get(command.model)
    return library.choose(volumes[0].modality, any_modality=command.force)


def _model(package: Package) -> dict[str, str]:
    return {"id": package.card.id, "title": package.card.title, "version": package.card.version}


def _missing(error: ModuleNotFoundError) -> GANSegmentationError:
    name = (error.name or "").partition(".")[0]
    title, source = {
        "torch": ("PyTorch", "Install the PyTorch extension, or torch by pip outside of Slicer"),
        "safetensors": ("safetensors", "Install it with pip"),
    }.get(name, (name, "Install GANSegmentation again"))
    return GANSegmentationError(
        f"{name}_missing" if name else "internal_error",
        f"{title or 'A package'} is not installed.",
        cause="A network cannot run without it." if name == "torch" else "",
        action=f"{source}, then run again.",
        details=traceback.format_exc(),
    )


def _unexpected(error: Exception) -> GANSegmentationError:
    return GANSegmentationError(
        "internal_error",
        f"Something unexpected went wrong: {type(error).__name__}: {error}",
        cause="This is a fault of the program, or the computer ran out of memory or disk space.",
        action="Run again; report the details if it comes back.",
        details="".join(traceback.format_exception(error)),
    )
