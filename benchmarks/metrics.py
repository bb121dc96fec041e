"""Dice, IoU, HD, HD95 and ASSD of a liver-size pair in one call: this library and the usual ones.

``python benchmarks/metrics.py [--rounds N] [--uncropped]``. "hand-cropped" peers get the box around both masks as a
present, as a careful user would give it; the box itself is not in their time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from phantom import SPACING_ZYX, mask_pair
from timing import alternate, report

from GANSegmentationLib.metrics import compare_labelmaps, score_masks, surface_distances
from GANSegmentationLib.volumes import Geometry, Labelmap

BoolArray = npt.NDArray[np.bool_]
OURS = "this library, Labelmaps"


def medpy(mask: BoolArray, reference: BoolArray) -> dict[str, float]:
    """MedPy as its manual uses it; HD95 is pooled."""
    from medpy.metric import binary

    return {
        "dice": binary.dc(mask, reference),
        "iou": binary.jc(mask, reference),
        "hd": binary.hd(mask, reference, SPACING_ZYX),
        "hd95_pooled": binary.hd95(mask, reference, SPACING_ZYX),
        "assd": binary.assd(mask, reference, SPACING_ZYX),
    }


def monai(mask: BoolArray, reference: BoolArray) -> dict[str, float]:
    """MONAI's functional metrics; HD95 is the larger of the directed percentiles."""
    import torch
    from monai import metrics

    y_pred, y = (torch.from_numpy(array)[None, None] for array in (mask, reference))
    surface: dict[str, Any] = {"include_background": True, "spacing": SPACING_ZYX}
    return {
        "dice": float(metrics.compute_dice(y_pred, y)),
        "iou": float(metrics.compute_iou(y_pred, y)),
        "hd": float(metrics.compute_hausdorff_distance(y_pred, y, **surface)),
        "hd95": float(metrics.compute_hausdorff_distance(y_pred, y, percentile=95, **surface)),
        "assd": float(metrics.compute_average_surface_distance(y_pred, y, symmetric=True, **surface)),
    }


def simpleitk(mask: BoolArray, reference: BoolArray) -> dict[str, float]:
    """The recipe of SimpleITK's notebook 34: signed distance maps read at the other mask's contour."""
    import SimpleITK as sitk  # noqa: N813  # the field's name for it

    images = []
    for array in (mask, reference):
        image = sitk.GetImageFromArray(array.astype(np.uint8))
        image.SetSpacing(SPACING_ZYX[::-1])
        images.append(image)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(images[1], images[0])
    distances = []
    for one, other in (images, images[::-1]):
        field = sitk.SignedMaurerDistanceMap(other, squaredDistance=False, useImageSpacing=True)
        contour = sitk.GetArrayFromImage(sitk.LabelContour(one)) != 0
        distances.append(np.abs(sitk.GetArrayFromImage(field)[contour]))
    pooled = np.concatenate(distances)
    return {
        "dice": overlap.GetDiceCoefficient(),
        "iou": overlap.GetJaccardCoefficient(),
        "hd": float(pooled.max()),
        "hd95": float(max(np.percentile(one, 95) for one in distances)),
        "hd95_pooled": float(np.percentile(pooled, 95)),
        "assd": float(pooled.mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--uncropped", action="store_true", help="MedPy on the whole volume too (a minute a round)")
    arguments = parser.parse_args()

    mask, reference = mask_pair()
    index = np.argwhere(mask | reference)
    box = tuple(slice(int(low), int(high) + 1) for low, high in zip(index.min(0), index.max(0), strict=True))
    cropped = np.ascontiguousarray(mask[box]), np.ascontiguousarray(reference[box])
    geometry = Geometry(size=mask.shape[::-1], spacing=SPACING_ZYX[::-1])
    labelmaps = [Labelmap(array.view(np.uint8), geometry) for array in (mask, reference)]

    variants: dict[str, Callable[[], object]] = {
        OURS: lambda: compare_labelmaps(*labelmaps),
        "this library, arrays": lambda: score_masks(mask, reference, SPACING_ZYX),
        "this library, arrays + surface Dice": lambda: score_masks(
            mask, reference, SPACING_ZYX, surface_tolerance_mm=1.0
        ),
        "this library, arrays + every slice": lambda: score_masks(mask, reference, SPACING_ZYX, per_slice=True),
        "SimpleITK, hand-cropped": lambda: simpleitk(*cropped),
        "SimpleITK": lambda: simpleitk(mask, reference),
        "MONAI": lambda: monai(mask, reference),
        "MedPy, hand-cropped": lambda: medpy(*cropped),
    }
    if arguments.uncropped:
        variants["MedPy"] = lambda: medpy(mask, reference)

    timings = alternate(variants, arguments.rounds)
    ours = compare_labelmaps(*labelmaps)[0]
    values = {
        "this library": {
            "dice": ours.dice,
            "iou": ours.iou,
            "hd": ours.hd_mm,
            "hd95": ours.hd95_mm,
            "hd95_pooled": ours.hd95_pooled_mm,
            "assd": ours.assd_mm,
        },
        "MedPy": medpy(*cropped),
        "MONAI": monai(mask, reference),
        "SimpleITK": simpleitk(*cropped),
    }
    distances = surface_distances(mask, reference, SPACING_ZYX)
    extents = " x ".join(str(extent.stop - extent.start) for extent in box)
    notes = (
        f"{' x '.join(map(str, mask.shape))} voxels of {SPACING_ZYX} mm, "
        f"{mask.sum()} and {reference.sum()} of them foreground, "
        f"{distances.to_reference.size} and {distances.to_mask.size} surface voxels, union box {extents}. "
        "Dice + IoU + HD + HD95 + ASSD of one pair; ours adds pooled HD95, MASD, precision, recall, accuracy, volumes."
    )
    report("metrics", timings, ours=OURS, notes=notes, extra={"values": values})
    for name, found in values.items():
        print(f"{name:14}" + "  ".join(f"{key} {value:.4f}" for key, value in found.items()))


if __name__ == "__main__":
    main()
