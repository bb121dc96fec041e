"""How much two masks share: Dice, IoU, precision, recall, accuracy, relative volume difference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Overlap:
    """Voxel counts of a mask and its reference, and the scores that follow from them.

    Both empty: every score is NaN, there was nothing to find. One empty: Dice, IoU, precision and recall are 0.

    Parameters
    ----------
    mask, reference:
        Foreground voxels of each.
    shared:
        Foreground voxels of both (true positives).
    total:
        Voxels of the image.
    """

    mask: int
    reference: int
    shared: int
    total: int

    @property
    def status(self) -> str:
        """``ok``, ``both_empty``, ``reference_empty`` or ``mask_empty``."""
        if self.mask and self.reference:
            return "ok"
        if self.mask:
            return "reference_empty"
        return "mask_empty" if self.reference else "both_empty"

    @property
    def dice(self) -> float:
        """Dice similarity coefficient, 2 TP / (2 TP + FP + FN)."""
        return _ratio(2 * self.shared, self.mask + self.reference)

    @property
    def iou(self) -> float:
        """Intersection over union (Jaccard), TP / (TP + FP + FN)."""
        return _ratio(self.shared, self.mask + self.reference - self.shared)

    @property
    def precision(self) -> float:
        """Positive predictive value, TP / (TP + FP); 0 for an empty mask where there was something to find."""
        return self._zero_unless_both_empty if not self.mask else self.shared / self.mask

    @property
    def recall(self) -> float:
        """Sensitivity, TP / (TP + FN); 0 for an empty reference where something was found."""
        return self._zero_unless_both_empty if not self.reference else self.shared / self.reference

    @property
    def accuracy(self) -> float:
        """(TP + TN) / all voxels. Depends on how much background the image has: compare within one image only."""
        wrong = self.mask + self.reference - 2 * self.shared
        return math.nan if self.status == "both_empty" else 1.0 - wrong / self.total

    @property
    def rvd(self) -> float:
        """Relative volume difference (mask - reference) / reference, signed: +0.1 is a tenth too much."""
        if self.reference:
            return (self.mask - self.reference) / self.reference
        return math.inf if self.mask else math.nan

    @property
    def _zero_unless_both_empty(self) -> float:
        return math.nan if self.status == "both_empty" else 0.0


def count_overlap(mask: BoolArray, reference: BoolArray, *, total: int | None = None) -> Overlap:
    """Count two masks of one shape; whatever is not 0 is foreground.

    `total` is the number of voxels of the image where the arrays are crops of it; their own size by default. Shapes
    that differ are refused (``shape_mismatch``).
    """
    require_same_shape(mask, reference)
    mask, reference = as_mask(mask), as_mask(reference)
    return Overlap(
        mask=int(np.count_nonzero(mask)),
        reference=int(np.count_nonzero(reference)),
        shared=int(np.count_nonzero(mask & reference)),
        total=mask.size if total is None else total,
    )


def dice_per_slice(mask: BoolArray, reference: BoolArray) -> npt.NDArray[np.float64]:
    """Dice of every slice along the first axis of two arrays ``(z, y, x)``; NaN where both slices are empty."""
    require_same_shape(mask, reference)
    return np.array([count_overlap(m, r).dice for m, r in zip(mask, reference, strict=True)], dtype=np.float64)


def as_mask(array: npt.NDArray[Any]) -> BoolArray:
    """The array as it is if it is boolean, else where it is not 0: 1 & 2 would be nothing in common."""
    result: BoolArray = array if array.dtype == np.bool_ else array != 0
    return result


def require_same_shape(mask: npt.NDArray[Any], reference: npt.NDArray[Any], *, dimensions: int | None = None) -> None:
    """Refuse (``shape_mismatch``) arrays that do not cover the same voxels: numpy would stretch one silently."""
    if mask.shape == reference.shape and dimensions in (None, mask.ndim):
        return
    raise GANSegmentationError(
        "shape_mismatch",
        f"The mask has the shape {mask.shape} and the reference {reference.shape}"
        + (f"; both should have {dimensions} axes and the same number of voxels." if dimensions else "."),
        cause="They belong to different scans, or one of them was cropped or resampled.",
        action="Compare masks of the same scan.",
    )


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else math.nan
