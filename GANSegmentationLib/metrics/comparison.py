"""Compare a mask with its reference: all scores of this room at once, label by label and slice by slice.

Every label is looked at inside the box around it and its partner only. The surface of each is found once and serves
all distances, the challenge's score included where the image border plays no part.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import GANSegmentationError
from ..volumes import Geometry, Labelmap
from .boxes import Box, box_shape, foreground_box, label_boxes, touches_border, union_box
from .chaos import ChaosScores, chaos_from_crops, chaos_from_measures
from .overlap import BoolArray, Overlap, as_mask, count_overlap, require_same_shape
from .pairing import LabelKey, Pair, given_pairs, natural_pairs
from .plain import plain
from .surface import SurfaceDistances, cropped_surface_distances
from .surface_dice import check_tolerance, cropped_surface_dice


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How a mask compares with its reference. The files that compute the scores define them.

    ``status`` is ``ok``, ``both_empty`` (every score NaN), ``reference_empty`` or ``mask_empty`` (Dice, IoU, precision,
    recall and surface Dice 0, distances infinite). ``rvd`` is signed, a fraction of the reference. ``surface_dice`` is
    None where no tolerance was given.
    """

    status: str
    dice: float
    iou: float
    precision: float
    recall: float
    accuracy: float
    rvd: float
    volume_ml: float
    reference_volume_ml: float
    hd_mm: float
    hd95_mm: float
    hd95_pooled_mm: float
    assd_mm: float
    masd_mm: float
    surface_dice: float | None = None
    surface_tolerance_mm: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The scores by name, ready for JSON: NaN and infinity are None."""
        return {
            field.name: plain(value) if isinstance(value, float) else value
            for field in dataclasses.fields(Scores)
            for value in (getattr(self, field.name),)
        }


@dataclass(frozen=True, kw_only=True)
class SliceScores(Scores):
    """The scores of one slice: distances within its plane, volumes of its voxels.

    ``index`` is the slice's place along the first array axis.
    """

    index: int

    def to_dict(self) -> dict[str, Any]:
        """As `Scores.to_dict`, with the slice's index first."""
        return {"index": self.index, **super().to_dict()}


@dataclass(frozen=True, kw_only=True)
class MaskScores(Scores):
    """The scores of a mask, with the challenge's score and the scores of every slice where they were asked for."""

    chaos: ChaosScores | None = None
    slices: tuple[SliceScores, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As `Scores.to_dict`, with ``chaos`` and ``slices`` where they were asked for."""
        result = super().to_dict()
        if self.chaos is not None:
            result["chaos"] = self.chaos.to_dict()
        if self.slices is not None:
            result["slices"] = [one.to_dict() for one in self.slices]
        return result


@dataclass(frozen=True, kw_only=True)
class LabelScores(MaskScores):
    """The scores of one structure.

    ``value`` is its label in the mask (None: the mask has no such label), ``reference_value`` and ``reference_name``
    what it is in the reference.
    """

    name: str
    value: int | None
    reference_name: str | None
    reference_value: int | None

    def to_dict(self) -> dict[str, Any]:
        """As `MaskScores.to_dict`, with the names and values first."""
        first = {key: getattr(self, key) for key in ("name", "value", "reference_name", "reference_value")}
        return {**first, **super().to_dict()}


@dataclass(frozen=True)
class _Task:
    """What to compute, and on which grid."""

    shape: tuple[int, ...]
    spacing_zyx: tuple[float, float, float]
    surface_tolerance_mm: float | None
    per_slice: bool
    chaos: bool

    @property
    def voxel_volume_ml(self) -> float:
        return float(np.prod(self.spacing_zyx)) / 1000.0


def compare_labelmaps(
    mask: Labelmap,
    reference: Labelmap,
    *,
    pairs: Sequence[tuple[LabelKey, LabelKey]] | None = None,
    surface_tolerance_mm: float | None = None,
    per_slice: bool = False,
    chaos: bool = False,
) -> list[LabelScores]:
    """Score every label of a mask against its label in the reference.

    Parameters
    ----------
    mask, reference:
        Two labelmaps on the same grid.
    pairs:
        Which labels to compare, each as ``(label of the mask, label of the reference)``, by value or by name. None:
        by name, else by value, as `pairing.natural_pairs` says; labels that one side lacks are listed too.
    surface_tolerance_mm:
        The tolerance of the surface Dice, mm. None: no surface Dice.
    per_slice, chaos:
        Whether to score each slice along the first array axis as well, and the measures of the CHAOS challenge.

    Raises
    ------
    GANSegmentationError
        ``geometry_mismatch`` if the grids differ by more than a thousandth of a voxel; ``unknown_label`` if a name in
        `pairs` is in no table; ``invalid_tolerance``.
    """
    _check_geometry(mask.geometry, reference.geometry)
    task = _task(mask.geometry.shape, mask.geometry.spacing_zyx, surface_tolerance_mm, per_slice, chaos)
    boxes, reference_boxes = label_boxes(mask.array), label_boxes(reference.array)
    chosen = (
        natural_pairs(mask, boxes, reference, reference_boxes) if pairs is None else given_pairs(mask, reference, pairs)
    )
    return [_score_pair(pair, mask, boxes, reference, reference_boxes, task) for pair in chosen]


def score_masks(
    mask: BoolArray,
    reference: BoolArray,
    spacing_zyx: Sequence[float],
    *,
    surface_tolerance_mm: float | None = None,
    per_slice: bool = False,
    chaos: bool = False,
) -> MaskScores:
    """Score one mask against its reference.

    Parameters
    ----------
    mask, reference:
        Arrays ``(z, y, x)`` of one shape; whatever is not 0 is foreground.
    spacing_zyx:
        Voxel spacing in the order of the array's axes, mm.
    surface_tolerance_mm, per_slice, chaos:
        As `compare_labelmaps`.

    Raises
    ------
    GANSegmentationError
        ``shape_mismatch``; ``invalid_spacing`` if there are not three positive distances; ``invalid_tolerance``.
    """
    require_same_shape(mask, reference, dimensions=3)
    task = _task(mask.shape, spacing_zyx, surface_tolerance_mm, per_slice, chaos)
    box = union_box(foreground_box(mask), foreground_box(reference))
    if box is None:
        return MaskScores(**_measure_nothing(task))
    return MaskScores(**_measure(as_mask(mask[box]), as_mask(reference[box]), box, task))


def _check_geometry(mask: Geometry, reference: Geometry) -> None:
    if mask.matches(reference):
        return
    apart = mask.corner_distance(reference)
    raise GANSegmentationError(
        "geometry_mismatch",
        f"The mask and the reference are not on the same grid. Mask: {_describe(mask)}. "
        f"Reference: {_describe(reference)}.",
        cause="They belong to different scans or series, or one of them was resampled, cropped or flipped.",
        action="Choose the reference of this scan, or resample one to the grid of the other first.",
        details="" if np.isinf(apart) else f"Their corners lie up to {apart:.6g} mm apart.",
    )


def _describe(geometry: Geometry) -> str:
    def listed(numbers: Sequence[float]) -> str:
        return ", ".join(f"{number:.6g}" for number in numbers)

    return (
        f"size (x, y, z) {listed(geometry.size)}; spacing {listed(geometry.spacing)} mm; "
        f"origin (LPS) {listed(geometry.origin)} mm; direction {listed(geometry.direction)}"
    )


def _task(
    shape: tuple[int, ...],
    spacing_zyx: Sequence[float],
    surface_tolerance_mm: float | None,
    per_slice: bool,
    chaos: bool,
) -> _Task:
    if surface_tolerance_mm is not None:
        check_tolerance(surface_tolerance_mm)
        surface_tolerance_mm = float(surface_tolerance_mm)
    spacing = tuple(float(step) for step in spacing_zyx)
    if len(spacing) != 3 or not all(np.isfinite(step) and step > 0 for step in spacing):
        raise GANSegmentationError(
            "invalid_spacing",
            f"The voxel spacing is {spacing} mm.",
            cause="It has to be three positive distances (z, y, x): without them there are no millimetres.",
            action="Take the spacing from the scan.",
        )
    return _Task(shape, (spacing[0], spacing[1], spacing[2]), surface_tolerance_mm, per_slice, chaos)


def _score_pair(
    pair: Pair,
    mask: Labelmap,
    boxes: dict[int, Box],
    reference: Labelmap,
    reference_boxes: dict[int, Box],
    task: _Task,
) -> LabelScores:
    own = boxes.get(pair.value) if pair.value is not None else None
    other = reference_boxes.get(pair.reference_value) if pair.reference_value is not None else None
    box = union_box(own, other)
    if box is None:
        measures = _measure_nothing(task)
    else:
        nothing = np.zeros(box_shape(box), dtype=np.bool_)
        mask_crop = mask.array[box] == pair.value if own else nothing
        reference_crop = reference.array[box] == pair.reference_value if other else nothing
        measures = _measure(mask_crop, reference_crop, box, task)
    return LabelScores(
        name=pair.title,
        value=pair.value,
        reference_name=pair.reference_name,
        reference_value=pair.reference_value,
        **measures,
    )


def _measure_nothing(task: _Task) -> dict[str, Any]:
    nothing = np.zeros((0,) * 3, dtype=np.bool_)
    return _measure(nothing, nothing, (slice(0, 0),) * 3, task)


def _measure(mask: BoolArray, reference: BoolArray, box: Box, task: _Task) -> dict[str, Any]:
    """All that was asked for, of two crops of the box around both masks."""
    overlap = count_overlap(mask, reference, total=int(np.prod(task.shape)))
    distances = _distances(mask, reference, task.spacing_zyx, overlap)
    measures = _scores(mask, reference, task.spacing_zyx, overlap, distances, task)
    if task.chaos:
        measures["chaos"] = _chaos(mask, reference, box, overlap, distances, task)
    if task.per_slice:
        measures["slices"] = _slices(mask, reference, box[0], task)
    return measures


def _distances(mask: BoolArray, reference: BoolArray, spacing: Sequence[float], overlap: Overlap) -> SurfaceDistances:
    if overlap.status == "ok":
        return cropped_surface_distances(mask, reference, spacing)
    # One empty side decides every distance: no surface has to be found.
    nothing, something = np.empty(0), np.full(1, np.inf)
    return SurfaceDistances(something if overlap.mask else nothing, something if overlap.reference else nothing)


def _scores(
    mask: BoolArray,
    reference: BoolArray,
    spacing: Sequence[float],
    overlap: Overlap,
    distances: SurfaceDistances,
    task: _Task,
) -> dict[str, Any]:
    tolerance = task.surface_tolerance_mm
    near: float | None = None
    if tolerance is not None:
        near = cropped_surface_dice(mask, reference, spacing, tolerance) if overlap.status == "ok" else overlap.dice
    return {
        "status": overlap.status,
        "dice": overlap.dice,
        "iou": overlap.iou,
        "precision": overlap.precision,
        "recall": overlap.recall,
        "accuracy": overlap.accuracy,
        "rvd": overlap.rvd,
        "volume_ml": overlap.mask * task.voxel_volume_ml,
        "reference_volume_ml": overlap.reference * task.voxel_volume_ml,
        "hd_mm": distances.hd_mm,
        "hd95_mm": distances.hd95_mm,
        "hd95_pooled_mm": distances.hd95_pooled_mm,
        "assd_mm": distances.assd_mm,
        "masd_mm": distances.masd_mm,
        "surface_dice": near,
        "surface_tolerance_mm": tolerance,
    }


def _chaos(
    mask: BoolArray, reference: BoolArray, box: Box, overlap: Overlap, distances: SurfaceDistances, task: _Task
) -> ChaosScores:
    if overlap.status != "ok" or not touches_border(box, task.shape):
        # The conventions differ at the image border only.
        return chaos_from_measures(overlap, distances)
    at_border = [(extent.start == 0, extent.stop == n) for extent, n in zip(box, task.shape, strict=True)]
    return chaos_from_crops(mask, reference, task.spacing_zyx, at_border, overlap)


def _slices(mask: BoolArray, reference: BoolArray, extent: slice, task: _Task) -> tuple[SliceScores, ...]:
    spacing = task.spacing_zyx[1:]
    total = int(np.prod(task.shape[1:]))
    nothing = np.zeros((0, 0), dtype=np.bool_)
    result = []
    for index in range(task.shape[0]):
        inside = extent.start <= index < extent.stop
        own, other = (whole[index - extent.start] if inside else nothing for whole in (mask, reference))
        overlap = count_overlap(own, other, total=total)
        distances = _distances(own, other, spacing, overlap)
        result.append(SliceScores(index=index, **_scores(own, other, spacing, overlap, distances, task)))
    return tuple(result)
