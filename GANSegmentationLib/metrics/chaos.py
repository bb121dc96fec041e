"""The score of the CHAOS challenge (Kavur et al. 2021, "CHAOS challenge - combined (CT-MR) healthy abdominal organ
segmentation", Medical Image Analysis 69, 101950), as the challenge's own evaluation code computes it.

Two conventions differ from this library's defaults. Beyond the border of the image the mask goes on (erosion with
border value 1), so that voxels are no surface for lying at the border. And the relative volume difference is unsigned
and in percent. The challenge's paper speaks of 27 neighbours, its code erodes with 6: the code counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .boxes import foreground_box, union_box
from .overlap import BoolArray, Overlap, as_mask, count_overlap, require_same_shape
from .plain import plain
from .surface import Sides, SurfaceDistances, cropped_surface_distances

DICE_FLOOR = 0.8
RAVD_CEILING = 5.0
ASSD_CEILING_MM = 15.0
MSSD_CEILING_MM = 60.0


@dataclass(frozen=True)
class ChaosScores:
    """The four measures of the challenge, and the points they earn.

    Parameters
    ----------
    dice:
        Dice similarity coefficient, 0 to 1.
    ravd:
        Relative absolute volume difference, percent of the reference.
    assd_mm:
        Average symmetric surface distance, pooled over both surfaces.
    mssd_mm:
        Maximum symmetric surface distance.
    """

    dice: float
    ravd: float
    assd_mm: float
    mssd_mm: float

    @property
    def dice_points(self) -> float:
        """0 to 100: the Dice coefficient in percent, 0 below 0.8."""
        if math.isnan(self.dice):
            return math.nan
        return 100.0 * self.dice if self.dice >= DICE_FLOOR else 0.0

    @property
    def ravd_points(self) -> float:
        """0 to 100: full points without difference, none from 5 % on."""
        return _falling(self.ravd, RAVD_CEILING)

    @property
    def assd_points(self) -> float:
        """0 to 100: full points at 0 mm, none from 15 mm on."""
        return _falling(self.assd_mm, ASSD_CEILING_MM)

    @property
    def mssd_points(self) -> float:
        """0 to 100: full points at 0 mm, none from 60 mm on."""
        return _falling(self.mssd_mm, MSSD_CEILING_MM)

    @property
    def score(self) -> float:
        """The mean of the four points. 0 if one of the masks is empty, NaN if both are."""
        return (self.dice_points + self.ravd_points + self.assd_points + self.mssd_points) / 4

    def to_dict(self) -> dict[str, float | None]:
        """Measures, points and score, ready for JSON (NaN and infinity are None)."""
        return {
            name: plain(getattr(self, name))
            for name in (
                *("dice", "ravd", "assd_mm", "mssd_mm", "score"),
                *("dice_points", "ravd_points", "assd_points", "mssd_points"),
            )
        }


def chaos_scores(mask: BoolArray, reference: BoolArray, spacing_zyx: Sequence[float]) -> ChaosScores:
    """The challenge's measures of two boolean arrays ``(z, y, x)``; spacing in mm.

    Shapes that differ are refused (``shape_mismatch``).
    The challenge gives 0 points where a result is missing; `ChaosScores.score` does where one of the masks is empty.
    """
    require_same_shape(mask, reference)
    box = union_box(foreground_box(mask), foreground_box(reference))
    if box is None:
        return chaos_from_measures(Overlap(0, 0, 0, mask.size), SurfaceDistances(np.empty(0), np.empty(0)))
    sides = [(extent.start == 0, extent.stop == n) for extent, n in zip(box, mask.shape, strict=True)]
    crops = as_mask(mask[box]), as_mask(reference[box])
    return chaos_from_crops(*crops, spacing_zyx, sides, count_overlap(*crops))


def chaos_from_crops(
    mask: BoolArray, reference: BoolArray, spacing_zyx: Sequence[float], at_border: Sides, overlap: Overlap
) -> ChaosScores:
    """As `chaos_scores`, of crops around both masks; `at_border` says which faces of the crop the image ends at."""
    return chaos_from_measures(overlap, cropped_surface_distances(mask, reference, spacing_zyx, at_border))


def chaos_from_measures(overlap: Overlap, distances: SurfaceDistances) -> ChaosScores:
    """The challenge's measures from voxel counts, and distances between surfaces that follow its border convention."""
    assd, mssd = distances.assd_mm, distances.hd_mm
    if overlap.status == "ok" and math.isnan(assd):
        # Both masks fill the whole image: no surface by this convention, and no difference either.
        assd = mssd = 0.0
    return ChaosScores(dice=overlap.dice, ravd=100.0 * abs(overlap.rvd), assd_mm=assd, mssd_mm=mssd)


def _falling(value: float, ceiling: float) -> float:
    if math.isnan(value):
        return math.nan
    return 100.0 * (1.0 - value / ceiling) if value < ceiling else 0.0
