"""Labels that a rule has drawn instead of a person, for learning something before the task itself: bones of a CT.

Seed 003 starts its liver network from one that has learnt bones. Its bone masks are not public; bright voxels
(HU > 200) of the same CT stand in, cleaned of what is not bone, and named as pseudo-labels wherever they go.

What the rule takes for bone, in an axial slice in radiological display: bright regions near the surface of the body
(ribs, sternum, pelvis) and about its posterior midline (spine). What it leaves out: the table and everything else
outside of the body, specks, and bright regions that are too thick or too deep for a rib (contrast in bowel and stomach,
enhanced kidneys and vessels). What it cannot tell: contrast in bowel that lies against the abdominal wall, an enhanced
kidney that touches the back, a vessel or its calcification that touches the spine. Marrow below 200 HU is filled in
where cortical bone surrounds it, and now and then the spinal canal with it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .dataset import Case, Dataset, write_atomically

BONE_LABEL = "Bone (pseudo-label, HU > 200)"
FACTS = "derived.json"
"""The file of a derived dataset that says what it was made from."""

_SUFFIX = "_bone_pseudo_labels"

_BONE_HU = 200.0
_CORTICAL_HU, _CORTICAL_SHARE = 250.0, 0.1
"""At least this share of a vertebra is as bright as this; noise and vessels in the portal-venous phase are not."""
_MARROW_HU = 80.0
"""Marrow between trabeculae is brighter than this, fat and the middle of the spinal canal are not."""
_TISSUE_HU = 5.0

# Areas are shares of the slice, lengths shares of the body's width, so that the rule holds at every resolution.
_SPECK = 6 / 256**2
_SMALLEST_VERTEBRA = 10 / 256**2
_ORGAN = 0.004
_LARGEST_MARROW = 600 / 256**2
_RIB_DEPTH = 0.3
"""Ribs and pelvis lie nearer to the surface than this share of the deepest point's distance to it."""
_RIB_THICKNESS = (0.055, 0.07)
"""The thickest cross-section of a rib in the anterior half, and of rib or pelvis in the posterior half."""
_SPINE_WIDTH = 0.18
_VESSEL_BEFORE_SPINE, _VESSEL_LENGTH = 0.06, 0.1
"""A region that lies before the largest vertebra and is shorter than a vertebra is the aorta or the vena cava."""
_RIB_OUTSIDE_ORGANS = 0.18
_RIB_LENGTH = 0.4

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Derived:
    """A dataset of pseudo-labels, and which cases of the original it leaves out and why."""

    dataset: Dataset
    left_out: dict[str, str]


def derive_bone(dataset: Dataset, output: Path, *, report: Report | None = None) -> Derived:
    """Write the dataset of the same images with bones as label 1, into another folder.

    Give only patients who may train: what is learnt from the pseudo-labels of a validation patient is learnt from that
    patient. Cases keep their names and patients; their source becomes ``<source>_bone_pseudo_labels``, so that cards,
    logs and presets say what the masks are.

    Raises
    ------
    GANSegmentationError
        ``same_folder`` if `output` is the dataset's own; ``no_pseudo_labels`` if no case can have them.
    """
    if output.resolve() == dataset.folder.resolve():
        raise GANSegmentationError(
            "same_folder",
            f"{output} holds the dataset that the pseudo-labels are derived from.",
            cause="Its masks would be replaced.",
            action="Choose another folder.",
        )
    reasons = {case.id: why_no_bone(case) for case in dataset.cases}
    left_out = {name: reason for name, reason in reasons.items() if reason}
    able = [case for case in dataset.cases if not reasons[case.id]]
    if not able:
        raise GANSegmentationError(
            "no_pseudo_labels",
            f"No case of {dataset.folder} can have bone pseudo-labels; "
            f"{next(iter(left_out), 'it')}: {next(iter(left_out.values()), 'there is none')}.",
            action="Give a dataset of CT whose grey values reach 250 HU.",
            details="\n".join(f"{name}: {reason}" for name, reason in left_out.items()),
        )
    cases = []
    for done, case in enumerate(able):
        if report is not None:
            report(done, len(able), case.id)
        cases.append(_store(dataset, case, output))
    facts = {"kind": "bone", "from_dataset": dataset.fingerprint, "left_out": left_out}
    write_atomically(output / FACTS, json.dumps(facts, indent=1).encode())
    derived = Dataset(output, tuple(cases), {1: BONE_LABEL})
    derived.write_manifest()
    return Derived(derived, left_out)


def why_no_bone(case: Case) -> str:
    """Why a case cannot have bone pseudo-labels, in words; empty if it can."""
    if case.modality != "CT" or case.unit != "HU":
        return f"it is {case.modality} in {case.unit or 'no unit'}, and bone is bright only in CT in HU"
    if case.derived_from:
        return "its slices are synthetic"
    if case.value_range[1] < _CORTICAL_HU:
        return f"its grey values end at {case.value_range[1]:.0f} HU, below bone"
    return ""


def original_source(source: str) -> str:
    """The source that a derived one was made from; any other is its own."""
    return source.removesuffix(_SUFFIX)


def pseudo_label_limitation(dataset: Dataset) -> str:
    """What a model that has learnt from a dataset of pseudo-labels says of itself; empty for references."""
    if not any(case.source.endswith(_SUFFIX) for case in dataset.cases):
        return ""
    names = ", ".join(name for _, name in sorted(dataset.labels.items()))
    return f"Learnt from labels that a rule has drawn, not a person ({names}); its figures are against that rule."


def bone_mask(values: Array) -> Mask:
    """The bones of one axial slice ``values (rows, columns)``, HU, in radiological display; see the module."""
    body = _body(values)
    bright = _Regions.of((values > _BONE_HU) & body)
    if not bright.count:
        return np.zeros(values.shape, dtype=bool)
    rows, columns = np.nonzero(body)
    middle_row, middle_column = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    width = columns.max() - columns.min() + 1
    depth = _depth(body)
    relative_depth = bright.mean(depth) / depth.max()
    thickness = (2 * bright.maximum(_depth(bright.labels > 0)) - 1) / width
    area = bright.area / values.size

    anterior = bright.row < middle_row
    at_spine = ~anterior & (np.abs(bright.column - middle_column) < _SPINE_WIDTH * width)
    cortical = bright.mean(values >= _CORTICAL_HU) > _CORTICAL_SHARE
    vertebra = at_spine & cortical & (area >= _SMALLEST_VERTEBRA)
    if vertebra.any():
        largest = np.argmax(np.where(vertebra, area, 0))
        before = bright.row < bright.row[largest] - _VESSEL_BEFORE_SPINE * width
        vertebra &= ~(before & (bright.length() < _VESSEL_LENGTH * width))
    rib = (relative_depth < _RIB_DEPTH) & (thickness <= np.where(anterior, *_RIB_THICKNESS)) & (area >= _SPECK)
    return _filled(bright.chosen(vertebra | rib), values)


@dataclass(frozen=True)
class _Regions:
    """The connected regions of a mask (corners connect), and what is measured of each: arrays of one value a region.

    ``labels (rows, columns)`` numbers them from 1.
    """

    labels: npt.NDArray[np.int32]
    count: int
    area: Array
    row: Array
    column: Array

    @classmethod
    def of(cls, mask: Mask) -> _Regions:
        from scipy import ndimage

        labels, count = ndimage.label(mask, np.ones((3, 3)))
        rows, columns = np.nonzero(labels)
        index = labels[rows, columns] - 1
        area = np.bincount(index, minlength=count)
        row, column = (np.bincount(index, place, minlength=count) / np.maximum(area, 1) for place in (rows, columns))
        return cls(labels, count, area, row, column)

    def mean(self, values: Array) -> Array:
        inside = self.labels > 0
        return np.bincount(self.labels[inside] - 1, values[inside], minlength=self.count) / np.maximum(self.area, 1)

    def maximum(self, values: Array) -> Array:
        inside, result = self.labels > 0, np.full(self.count, -np.inf)
        np.maximum.at(result, self.labels[inside] - 1, values[inside])
        return result

    def length(self) -> Array:
        """The longer side of the box about each region, pixels."""
        from scipy import ndimage

        boxes = ndimage.find_objects(self.labels)
        return np.array([max(side.stop - side.start for side in box) for box in boxes], dtype=float)

    def chosen(self, which: Array) -> Mask:
        """The mask of the regions for which `which` is true."""
        table = np.concatenate(([False], which))
        chosen: Mask = table[self.labels]
        return chosen


def _body(values: Array) -> Mask:
    """The body without table and clothes: the convex hull of its organs and of the ribs close to them."""
    from scipy import ndimage

    # Opening by two pixels removes what is thin: skin, blankets, the table's shell; and ribs, which come back below.
    tissue = _Regions.of(ndimage.binary_opening(values > _TISSUE_HU, iterations=2))
    organs = tissue.chosen(tissue.area >= _ORGAN * values.size)
    if not organs.any():
        return np.zeros(values.shape, dtype=bool)
    core = _hull(organs, margin=2.0)
    rows, columns = np.nonzero(core)
    width = columns.max() - columns.min() + 1
    lowest = rows.max() - 0.06 * (rows.max() - rows.min())  # the table lies below the back
    bright = _Regions.of(values > _BONE_HU / 2)
    near = -bright.maximum(-ndimage.distance_transform_edt(~core)) <= _RIB_OUTSIDE_ORGANS * width
    short = bright.length() < _RIB_LENGTH * width
    ribs = near & short & (bright.row < lowest) & (bright.area >= _SPECK * values.size)
    return _hull(organs | bright.chosen(ribs), margin=3.0)


def _hull(mask: Mask, *, margin: float) -> Mask:
    """The convex hull of a mask and a margin of pixels about it; the mask itself where it has no area."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        planes = ConvexHull(np.argwhere(mask)).equations
    except QhullError:  # a point or a line
        return mask
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    inside = np.ones(mask.shape, dtype=bool)
    for down, right, offset in planes:
        inside &= right * columns <= margin - offset - down * rows
    return inside


def _depth(mask: Mask) -> Array:
    """Distance of every pixel of the mask to its outside, in pixels; what is beyond the slice is outside."""
    from scipy import ndimage

    depth: Array = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return depth


def _filled(bones: Mask, values: Array) -> Mask:
    """Bones with their cortex closed and their marrow filled; what is darker than marrow stays open."""
    from scipy import ndimage

    closed: Mask = ndimage.binary_closing(np.pad(bones, 2), np.ones((3, 3)))[2:-2, 2:-2]
    holes = _Regions.of(ndimage.binary_fill_holes(closed) & ~closed)
    marrow = (holes.mean(values) > _MARROW_HU) & (holes.area <= _LARGEST_MARROW * bones.size)
    return closed | holes.chosen(marrow | (holes.area <= _SPECK * bones.size))


def _store(dataset: Dataset, case: Case, output: Path) -> Case:
    """Write a case's images, unchanged, and its bones; returns it as the derived manifest has it."""
    images = dataset.images(case)
    masks = np.stack(
        [bone_mask(np.asarray(image, dtype=np.float32) * case.slope + case.intercept) for image in images]
    ).astype(np.uint8)
    stored = (_bytes(images), _bytes(masks))
    for kind, content in zip(("images", "masks"), stored, strict=True):
        write_atomically(output / kind / f"{case.id}.npy", content)
    return replace(
        case,
        source=f"{original_source(case.source)}{_SUFFIX}",
        foreground=tuple(int(np.count_nonzero(mask)) for mask in masks),
        fingerprint=hashlib.sha256(b"".join(stored)).hexdigest(),
    )


def _bytes(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
