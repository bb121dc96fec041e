"""One case from its files to its mask, in the process that does it."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GANSegmentationError
from ..volumes import Labelmap, Volume, find_series, read_labelmap, read_volume, write_labelmap
from .fingerprint import content_checksum
from .outcome import CaseOutcome, SegmentOutcome, failed
from .task import Answer, Task, WorkSettings

if TYPE_CHECKING:
    from ..inference import Predictor, Result
    from ..models import ModelLibrary, Package


@dataclass(frozen=True, eq=False)
class Loaded:
    """A case in memory: the scan, its reference on the scan's grid, the checksum of its files."""

    volume: Volume
    reference: Labelmap | None
    content: str
    seconds: float


class CaseWorker:
    """Does one case after another with the model kept warm.

    `read` may run in another thread than `finish`, so that the next case is read while this one is segmented.
    """

    def __init__(self, settings: WorkSettings) -> None:
        self.settings = settings
        self._library: ModelLibrary | None = None
        self._predictor: Predictor | None = None

    def prepare(self) -> None:
        """Load the model, or where it depends on the case, only look for the device.

        Raises
        ------
        GANSegmentationError
            What no case could be done with: `open_package`, `Predictor` and `choose_device` say it.
        """
        from ..inference import choose_device

        if self.settings.package:
            self._warm(self._package(None))
        else:
            choose_device(self.settings.device)

    def read(self, task: Task) -> Loaded:
        """Read a case's files; raises as `volumes.read_volume` and `volumes.read_labelmap`."""
        begin = time.perf_counter()
        content = _checksum(task)
        volume = read_volume(task.path, series_uid=task.series_uid)
        reference = None
        if task.reference is not None:
            path = Path(task.reference)
            series = find_series(task.path, series_uid=task.series_uid) if path.is_dir() and task.series_uid else None
            reference = read_labelmap(path, geometry=volume.geometry, series=series)
        return Loaded(volume, reference, content, time.perf_counter() - begin)

    def finish(self, task: Task, loaded: Loaded) -> Answer:
        """Segment what was read, write the mask to where the task says, compare it.

        Raises
        ------
        GANSegmentationError
            Whatever the rooms say; ``write_failed`` if the mask cannot be written.
        """
        begin = time.perf_counter()
        predictor = self._warm(self._package(loaded.volume.modality))
        result = predictor.segment((loaded.volume,), domain=self.settings.domain, force=self.settings.force)
        card = predictor.package.card
        staged = Path(task.staged)
        _make_folder(staged.parent)
        write_labelmap(result.labelmap, staged, algorithm_name=f"{card.title} {card.version}")
        outcome = _outcome(task, result, loaded, self.settings)
        seconds = loaded.seconds + time.perf_counter() - begin
        facts = {"seconds": round(seconds, 3), "model": f"{card.id} {card.version}"}
        return Answer(CaseOutcome.from_dict({**outcome.to_dict(), **facts}), loaded.content)

    def _package(self, modality: str | None) -> Package:
        """The one that was named, opened once; else the one for the modality."""
        from ..models import ModelLibrary, open_package

        if self.settings.package:
            return open_package(self.settings.package) if self._predictor is None else self._predictor.package
        self._library = self._library or ModelLibrary()
        return self._library.choose(modality, any_modality=self.settings.force)

    def _warm(self, package: Package) -> Predictor:
        from ..inference import Predictor

        if self._predictor is None or self._predictor.package != package:
            self._predictor = None  # before the next one is loaded: two may not fit on the device
            self._predictor = Predictor(package, self.settings.device)
        return self._predictor


def failure(task: Task, error: Exception) -> Answer:
    """The answer to a task that came to nothing; what was not foreseen is said with its place in the program."""
    if isinstance(error, GANSegmentationError):
        return Answer(failed(task.case, error))
    known = GANSegmentationError(
        "internal_error",
        f"Something unexpected went wrong: {type(error).__name__}: {error}",
        cause="This is a fault of the program, or the file is of a kind that it does not know.",
        action="Segment the scan alone with ganseg segment --debug; report what comes out.",
        details="".join(traceback.format_tb(error.__traceback__)[-3:]),
    )
    return Answer(failed(task.case, known))


def _checksum(task: Task) -> str:
    """Of the case's files; empty where one of them cannot be read, which reading the scan will explain."""
    try:
        return content_checksum(map(Path, task.files))
    except OSError:
        return ""


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)  # the one above went with its batch: then nobody waits for this mask
    except OSError as error:
        raise GANSegmentationError(
            "write_failed",
            f"The folder {folder} cannot be made: {error.strerror or error}.",
            cause="The disk may be full, or the folder was removed.",
            action="Make room and give the same command again.",
            details=repr(error),
        ) from error


def _outcome(task: Task, result: Result, loaded: Loaded, settings: WorkSettings) -> CaseOutcome:
    from ..metrics import compare_labelmaps
    from .flags import input_flags, mask_flags

    odd = mask_flags(result.labelmap)
    scores = None
    if loaded.reference is not None:
        tolerance = settings.surface_tolerance_mm
        rows = compare_labelmaps(result.labelmap, loaded.reference, surface_tolerance_mm=tolerance, chaos=True)
        scores = tuple(row.to_dict() for row in rows)
    segments = tuple(
        SegmentOutcome(segment.name, segment.value, result.volumes_ml[segment.value], odd[segment.value])
        for segment in result.labelmap.segments
    )
    found = (*input_flags(result.warnings), *(flag for segment in segments for flag in segment.flags))
    return CaseOutcome(
        case=task.case,
        status="done",
        device=result.device,
        modality=loaded.volume.modality,
        segments=segments,
        flags=tuple(dict.fromkeys(found)),
        warnings=tuple({"code": warning.code, "message": str(warning)} for warning in result.warnings),
        scores=scores,
    )
