"""The jobs ``compare`` and ``export``: labelmaps that are there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import protocol
from ..errors import GANSegmentationError

if TYPE_CHECKING:
    from ..metrics import LabelScores
    from ..volumes import Labelmap
    from .run import RunOfJob

TOO_MUCH, TOO_LITTLE, ANOTHER = 1, 2, 3
"""The values of a labelmap of differences: false positive, false negative, and a voxel of another structure."""

_ALWAYS = ("name", "value", "reference_name", "reference_value", "status", "slices", "slice_dice")


def compare(command: protocol.RunCompare, run: RunOfJob) -> dict[str, Any]:
    """Score a labelmap against its reference, one pair of labels after another.

    Raises
    ------
    GANSegmentationError
        ``unknown_metric``; ``cancelled``; as `metrics.compare_labelmaps`.
    """
    from ..metrics import compare_labelmaps
    from ..volumes.exchange import load_labelmap, save_labelmap

    _check_metrics(command.metrics)
    run.enter("read")
    mask = load_labelmap(command.mask, Path(command.folder))
    reference = load_labelmap(command.reference, Path(command.folder))
    run.enter("compare")
    chaos = not command.metrics or "chaos" in command.metrics
    labels = compare_labelmaps(
        mask,
        reference,
        pairs=command.pairs or None,
        surface_tolerance_mm=command.surface_tolerance_mm,
        per_slice=command.per_slice,
        chaos=chaos,
    )
    run.check()
    payload: dict[str, Any] = {"labels": [_row(scores, command, mask, reference) for scores in labels]}
    run.check()
    if command.differences:
        payload["differences"] = save_labelmap(
            differences(mask, reference, labels), Path(command.folder), "differences"
        )
    return payload


def export(command: protocol.RunExport, run: RunOfJob) -> dict[str, Any]:
    """Write a labelmap to the file that the user chose.

    Raises
    ------
    GANSegmentationError
        ``cancelled``; as `volumes.write_labelmap`.
    """
    from ..volumes import require_writable, write_labelmap
    from ..volumes.exchange import load_labelmap

    source = command.source[0] if len(command.source) == 1 else list(command.source) or None
    require_writable(Path(command.path), source)
    run.enter("read")
    labelmap = load_labelmap(command.labelmap, Path(command.folder))
    run.enter("export")
    path = write_labelmap(
        labelmap,
        command.path,
        overwrite=command.overwrite,
        algorithm_name=command.algorithm or None,
        algorithm_version=command.algorithm_version or None,
        source=source,
    )
    return {"path": str(path), "bytes": path.stat().st_size}


def differences(mask: Labelmap, reference: Labelmap, labels: list[LabelScores]) -> Labelmap:
    """Where a mask has too much (`TOO_MUCH`), too little (`TOO_LITTLE`) or another structure (`ANOTHER`).

    Labels are the same where they were compared with each other; the grid is the mask's.
    """
    import numpy as np

    from ..volumes import Labelmap, Segment

    ours = np.zeros(mask.geometry.shape, np.uint16)
    theirs = np.zeros(mask.geometry.shape, np.uint16)
    for number, scores in enumerate(labels, start=1):
        if scores.value is not None:
            ours[mask.array == scores.value] = number
        if scores.reference_value is not None:
            theirs[reference.array == scores.reference_value] = number
    found = np.zeros(mask.geometry.shape, np.uint8)
    found[(ours != 0) & (theirs == 0)] = TOO_MUCH
    found[(ours == 0) & (theirs != 0)] = TOO_LITTLE
    found[(ours != 0) & (theirs != 0) & (ours != theirs)] = ANOTHER
    segments = (
        Segment(TOO_MUCH, "False positive", (230, 85, 13)),
        Segment(TOO_LITTLE, "False negative", (49, 130, 189)),
        Segment(ANOTHER, "Other structure", (117, 107, 177)),
    )
    return Labelmap(found, mask.geometry, segments)


def _check_metrics(wanted: tuple[str, ...]) -> None:
    import dataclasses

    from ..metrics import Scores

    known = {*(field.name for field in dataclasses.fields(Scores)), "chaos"}
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise GANSegmentationError(
            "unknown_metric",
            f"There is no score named {unknown[0]!r}.",
            action=f"Choose from {', '.join(sorted(known))}.",
        )


def _row(scores: LabelScores, command: protocol.RunCompare, mask: Labelmap, reference: Labelmap) -> dict[str, Any]:
    row = scores.to_dict()
    if command.slice_dice:
        row["slice_dice"] = _slice_dice(scores, mask, reference)
    if not command.metrics:
        return row
    return {name: value for name, value in row.items() if name in _ALWAYS or name in command.metrics}


def _slice_dice(scores: LabelScores, mask: Labelmap, reference: Labelmap) -> list[float | None]:
    """The Dice of each slice along the first array axis; None where neither has the structure."""
    import math

    import numpy as np

    from ..metrics import dice_per_slice

    def of(labelmap: Labelmap, value: int | None) -> Any:
        return np.zeros(labelmap.geometry.shape, np.bool_) if value is None else labelmap.array == value

    values = dice_per_slice(of(mask, scores.value), of(reference, scores.reference_value))
    return [None if math.isnan(value) else float(value) for value in values]
