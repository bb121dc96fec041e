"""One case from its files to its mask, in the process that does it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GANSegmentationError
from ..volumes import (
    Labelmap,
    SeriesInfo,
    Volume,
    find_series,
    read_labelmap,
    read_series,
    read_volume,
    write_labelmap,
)
from .fingerprint import content_checksum
from .outcome import CaseOutcome, SegmentOutcome, failed
from .sheets import SIGNALS, staged_sheet, write_sheet
from .task import Answer, Task, WorkSettings

if TYPE_CHECKING:
    from ..inference import Predictor, Progress, Result
    from ..models import Card, ModelLibrary, Package


@dataclass(frozen=True, eq=False)
class Loaded:
    """A case in memory: the scan, its reference on the scan's grid, the checksum of its files; `others` are the further
    channels of a model with several, `series` is where it came from if that is DICOM."""

    volume: Volume
    reference: Labelmap | None
    content: str
    seconds: float
    others: tuple[Volume, ...] = ()
    series: SeriesInfo | None = None


class CaseWorker:
    """Does one case after another with the model kept warm.

    `read` may run in another thread than `finish`, so that the next case is read while this one is segmented. Whoever
    sets `on_progress` hears in `finish` of the slices that are done.
    """

    def __init__(self, settings: WorkSettings) -> None:
        self.settings = settings
        self.on_progress: Callable[[Progress], None] | None = None
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
        tilt = self.settings.correct_tilt
        series = None
        if task.series_uid is None:
            volume = read_volume(task.path)
        else:
            series = find_series(task.path, series_uid=task.series_uid, correct_tilt=tilt)
            volume = read_series(series)
        others = tuple(read_volume(one.path, series_uid=one.series_uid, correct_tilt=tilt) for one in task.others)
        reference = None
        if task.reference is not None:
            reference = read_labelmap(task.reference, geometry=volume.geometry, series=series)
        return Loaded(volume, reference, content, time.perf_counter() - begin, others, series)

    def finish(self, task: Task, loaded: Loaded) -> Answer:
        """Segment what was read, write the mask to where the task says, compare it.

        Raises
        ------
        GANSegmentationError
            Whatever the rooms say; ``write_failed`` if the mask cannot be written.
        """
        begin = time.perf_counter()
        predictor = self._warm(self._package(loaded.volume.modality))
        volumes = (loaded.volume, *loaded.others)
        signals = SIGNALS if loaded.reference is None else ()
        result = predictor.segment(
            volumes,
            domain=self.settings.domain,
            force=self.settings.force,
            signals=signals,
            progress=self.on_progress,
        )
        card = predictor.package.card
        staged = Path(task.staged)
        _make_folder(staged.parent)
        write_labelmap(
            result.labelmap,
            staged,
            algorithm_name=card.title,
            algorithm_version=card.version,
            source=loaded.series,
        )
        outcome = _outcome(task, result, loaded, self.settings)
        outcome = replace(outcome, warnings=(*outcome.warnings, *_draw(staged, loaded, result, card, outcome)))
        seconds = loaded.seconds + time.perf_counter() - begin
        facts = {"seconds": round(seconds, 3), "model": f"{card.id} {card.version}"}
        return Answer(CaseOutcome.from_dict({**outcome.to_dict(), **facts}), loaded.content)

    def _package(self, modality: str | None) -> Package:
        """The one that was named, opened once; else the one for the modality."""
        from ..models import ModelLibrary, open_package

        if self.settings.package:
            return open_package(self.settings.package) if self._predictor is None else self._predictor.package
        self._library = self._library or ModelLibrary(user=Path(self.settings.models) if self.settings.models else None)
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


def _draw(staged: Path, loaded: Loaded, result: Result, card: Card, outcome: CaseOutcome) -> tuple[dict[str, str], ...]:
    """Make the pictures for the report. A case is not to fail for them: what goes wrong there is a warning."""
    from .montage import make_sheet

    try:
        write_sheet(make_sheet(loaded.volume, result, card, loaded.reference, outcome.scores), staged_sheet(staged))
    except Exception as error:  # noqa: BLE001 - whatever it is, the mask is there
        # Not in the words of the system, which have the paths of this computer.
        why = error.message if isinstance(error, GANSegmentationError) else type(error).__name__
        return ({"code": "no_pictures", "message": f"No pictures could be made for the report: {why}"},)
    return ()


def _outcome(task: Task, result: Result, loaded: Loaded, settings: WorkSettings) -> CaseOutcome:
    from ..metrics import compare_labelmaps
    from .flags import input_flags, mask_flags, tilt_warnings

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
        warnings=(
            *({"code": warning.code, "message": str(warning)} for warning in result.warnings),
            *tilt_warnings((loaded.volume, *loaded.others)),
        ),
        scores=scores,
    )
