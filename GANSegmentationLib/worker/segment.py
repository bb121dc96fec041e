"""The jobs ``segment`` and ``check``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import protocol
from ..errors import GANSegmentationError
from ..settings import read_settings
from .inputs import describe_model, find_package, read_volumes

if TYPE_CHECKING:
    from ..inference import Predictor, Progress, Result
    from ..models import Package, PostProcessing
    from .run import RunOfJob

Warm = Callable[["Package", protocol.RunSegment], "Predictor"]


def segment(command: protocol.RunSegment, run: RunOfJob, warm: Warm) -> dict[str, Any]:
    """Segment volumes; the labels lie in the run's folder when it returns.

    Parameters
    ----------
    warm:
        Gives the predictor for a package, loaded or kept from the last run.

    Raises
    ------
    GANSegmentationError
        ``cancelled``; whatever the rooms say.
    """
    from ..volumes.exchange import save_labelmap

    volumes = read_volumes(command, run)
    run.enter("load")
    package = find_package(command, volumes[0].modality)
    cleaning = _cleaning(command, package)
    _check_segments(command.segments, package)
    run.check()
    predictor = warm(package, command)
    run.computes_on(str(predictor.choice.device), predictor.choice.name)

    def report(progress: Progress) -> None:
        run.progress(progress.stage, progress.done, progress.total, progress.seconds_left)

    options: dict[str, Any] = {
        "domain": command.domain,
        "force": command.force,
        "progress": report,
        "cancel": run.is_cancelled,
    }
    if command.region is None:
        result = predictor.segment(volumes, postprocessing=cleaning, **options)
    else:
        from .region import segment_region

        result = segment_region(predictor, volumes, command.region, cleaning or package.card.postprocessing, **options)
    for warning in result.warnings:
        run.warn(warning.code, str(warning))
    run.enter("save")
    result = _only(result, command.segments)
    payload = {
        **result.to_dict(),
        "labelmap": save_labelmap(result.labelmap, Path(command.folder), "labels"),
        "model": describe_model(package),
    }
    try:
        run.check()
    except GANSegmentationError:
        (Path(command.folder) / payload["labelmap"]["file"]).unlink(missing_ok=True)
        raise
    return payload


def check(command: protocol.RunCheck, run: RunOfJob) -> dict[str, Any]:
    """What is suspicious about volumes for a model."""
    from ..inference import check_input

    volumes = read_volumes(command, run)
    run.enter("load")
    package = find_package(command, volumes[0].modality)
    run.check()
    found = check_input(package.card, volumes, command.domain, force=command.force)
    warnings = [{"code": warning.code, "message": str(warning)} for warning in found]
    return {"warnings": warnings, "model": describe_model(package)}


def _cleaning(command: protocol.RunSegment, package: Package) -> PostProcessing | None:
    """The card's cleaning with what the request changes; None where it changes nothing."""
    from ..models import PostProcessing

    if not command.postprocessing:
        return None
    card = package.card.postprocessing
    asked = read_settings(PostProcessing, command.postprocessing, code="invalid_postprocessing", where="postprocessing")
    return replace(card, **{name: getattr(asked, name) for name in command.postprocessing if name != "crf"})


def _check_segments(wanted: tuple[int, ...], package: Package) -> None:
    known = {segment.value: segment.name for segment in package.labels}
    foreign = sorted(set(wanted) - known.keys())
    if foreign:
        names = ", ".join(f"{name} ({value})" for value, name in known.items())
        raise GANSegmentationError(
            "unknown_label",
            f"The model {package.card.title!r} has no segment with the value {foreign[0]}; it has {names}.",
            action="Choose segments of this model.",
        )


def _only(result: Result, wanted: tuple[int, ...]) -> Result:
    """A result with the segments that are wanted, all for none."""
    import numpy as np

    from ..volumes import Labelmap

    if not wanted:
        return result
    labelmap = result.labelmap
    keep = np.zeros(256, np.uint8)
    keep[list(wanted)] = wanted
    segments = [segment for segment in labelmap.segments if segment.value in wanted]
    return replace(result, labelmap=Labelmap(keep[labelmap.array], labelmap.geometry, segments))
