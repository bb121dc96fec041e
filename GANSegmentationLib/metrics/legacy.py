"""What seed 001 calls "Hausdorff distance": for reproducing its tables only, never a distance between contours.

Its tables (U-Net 4.93, LGAN 4.84, CycleGAN 7.84 on lungs) come from scipy's ``directed_hausdorff`` on the masks
themselves instead of on the coordinates of their pixels. A mask of H rows and W columns is then a set of H points in W
dimensions: every ROW is a point, and where it lies in the picture does not count. A disk that was moved 40 pixels down
has the distance 0.00 (true: 40), a disk with a small island far away 1.73 (true: 113.9). No unit fits the number: it
is the square root of a count of pixels. `surface_distances` has the real distances.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .overlap import BoolArray, as_mask, count_overlap, require_same_shape

ROW_HAUSDORFF_NOTE = 'seed 001\'s "Hausdorff", between rows of pixels: for reproduction only, not a distance'
"""What must stand beside the number wherever it is shown."""


def row_hausdorff(mask: BoolArray, reference: BoolArray) -> float:
    """Seed 001's "Hausdorff distance" of two masks ``(rows, columns)``: the larger of both directions.

    Never infinite: an empty mask is H equal points. Shapes that differ are refused (``shape_mismatch``).
    """
    require_same_shape(mask, reference, dimensions=2)
    own = np.unique(as_mask(mask), axis=0).astype(np.float64)
    other = np.unique(as_mask(reference), axis=0).astype(np.float64)
    # |a - b|^2 of points of zeros and ones is a whole number, so that the product is exact.
    squares = own.sum(axis=1)[:, None] + other.sum(axis=1)[None, :] - 2.0 * (own @ other.T)
    return math.sqrt(max(float(squares.min(axis=1).max()), float(squares.min(axis=0).max())))


def slices_with_reference(mask: BoolArray, reference: BoolArray) -> Iterator[tuple[BoolArray, BoolArray]]:
    """The slices ``(rows, columns)`` of two arrays ``(z, y, x)`` that have foreground in the reference.

    The policy for empty slices of the slice-wise means: the seeds dropped slices without foreground from their data,
    so a slice without reference counts for nothing, whatever the mask has there. A slice with a reference and an empty
    mask counts with the overlap 0.
    """
    require_same_shape(mask, reference, dimensions=3)
    for own, other in zip(as_mask(mask), as_mask(reference), strict=True):
        if other.any():
            yield own, other


def slicewise(mask: BoolArray, reference: BoolArray) -> dict[str, npt.NDArray[np.float64]]:
    """Dice, IoU and `row_hausdorff` of every slice that `slices_with_reference` gives, by name.

    The seeds' scores are means over the slices of all patients; seed 001 adds 1 to numerator and denominator, which is
    left out here (below 0.001 for an organ).
    """
    rows = [
        (count_overlap(own, other).dice, count_overlap(own, other).iou, row_hausdorff(own, other))
        for own, other in slices_with_reference(mask, reference)
    ]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return {"dice": columns[:, 0], "iou": columns[:, 1], "row_hausdorff": columns[:, 2]}
