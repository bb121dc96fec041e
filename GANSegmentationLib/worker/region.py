"""Segmenting a part of a scan, with the labels that the whole scan would have there.

A network sees whole slices, scaled as its card says, so a region is cut out along the slices' axis alone; within the
slices it only decides which labels stay. The slices beside the region come along as neighbours for networks that look
at several, and where a normalisation depends on all voxels of a scan, the whole scan is segmented. So the labels inside
are those of the whole scan before cleaning; cleaning then looks at the inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GANSegmentationError
from ..volumes import Geometry, Labelmap, Volume

if TYPE_CHECKING:
    from ..inference import Predictor, Result
    from ..models import Card, PostProcessing

Region = tuple[int, int, int, int, int, int]


def segment_region(
    predictor: Predictor, volumes: Sequence[Volume], region: Region, cleaning: PostProcessing, **options: Any
) -> Result:
    """Segment the inside of a region; the labelmap has the whole grid of the volumes, and background outside.

    Parameters
    ----------
    region:
        ``(x start, x stop, y start, y stop, z start, z stop)``, voxel indices, each stop the first beyond.
    cleaning:
        What cleans the labels inside.
    options:
        Further arguments of `Predictor.segment`.

    Raises
    ------
    GANSegmentationError
        ``invalid_region`` if it is empty or reaches beyond the volumes; as `Predictor.segment`.
    """
    from ..inference import Warning_, check_input, postprocess
    from ..inference.postprocess import voxel_counts

    card = predictor.card
    geometry = volumes[0].geometry
    box = _box(region, geometry)
    asked = {name: options.get(name) for name in ("domain", "force")}
    warnings = check_input(card, volumes, asked["domain"], force=bool(asked["force"]))
    slab = _slab(card, geometry, box)
    parts = [_cut(volume, slab) for volume in volumes]
    if not _same_intensities(card, volumes, parts, asked):
        slab, parts = _everything(geometry), list(volumes)
    result = predictor.segment(parts, postprocessing=_uncleaned(cleaning), **options)

    labels = np.zeros(geometry.shape, np.uint8)
    inside = tuple(slice(b.start - s.start, b.stop - s.start) for b, s in zip(box, slab, strict=True))
    labels[box] = result.labelmap.array[inside]
    labels, report = postprocess(labels, cleaning, geometry, in_place=True)
    counts = voxel_counts(labels)
    labelmap = Labelmap(labels, geometry, result.labelmap.segments)
    volumes_ml = {each.value: float(counts[each.value]) * geometry.voxel_volume_ml for each in labelmap.segments}

    of_the_part = {warning.code for warning in check_input(card, parts, asked["domain"], force=bool(asked["force"]))}
    warnings += [each for each in result.warnings if each.code not in {*of_the_part, "empty_result"}]
    if not any(volumes_ml.values()):
        warnings.append(Warning_("empty_result", f"The model {card.title!r} found nothing in this region of the scan."))
    return replace(
        result, labelmap=labelmap, volumes_ml=volumes_ml, postprocessing=report, warnings=tuple(warnings), signals={}
    )


def _box(region: Region, geometry: Geometry) -> tuple[slice, slice, slice]:
    """The region as slices of an array ``(z, y, x)``."""
    starts, stops = region[0::2], region[1::2]
    if any(not 0 <= a < b <= n for a, b, n in zip(starts, stops, geometry.size, strict=True)):
        raise GANSegmentationError(
            "invalid_region",
            f"The region x {starts[0]} to {stops[0]}, y {starts[1]} to {stops[1]}, z {starts[2]} to {stops[2]} "
            f"is empty or reaches beyond the volume of {' x '.join(map(str, geometry.size))} voxels.",
            action="Choose a region within the volume.",
        )
    x, y, z = (slice(a, b) for a, b in zip(starts, stops, strict=True))
    return z, y, x


def _slab(card: Card, geometry: Geometry, box: tuple[slice, slice, slice]) -> tuple[slice, slice, slice]:
    """The slices of the model's plane that meet the box, with those that a network looks at beside them."""
    from ..slicing.orientation import orient

    axis = orient(geometry, card.slicing.plane).axes[0]
    margin = card.slicing.neighbours // 2
    slab = list(_everything(geometry))
    slab[axis] = slice(max(box[axis].start - margin, 0), min(box[axis].stop + margin, geometry.shape[axis]))
    return slab[0], slab[1], slab[2]


def _everything(geometry: Geometry) -> tuple[slice, slice, slice]:
    z, y, x = (slice(0, n) for n in geometry.shape)
    return z, y, x


def _cut(volume: Volume, slab: tuple[slice, slice, slice]) -> Volume:
    """A part of a volume, where it lies in the patient."""
    whole = volume.geometry
    first = np.array([slab[2].start, slab[1].start, slab[0].start, 1.0])
    x, y, z = (float(value) for value in (whole.index_to_lps @ first)[:3])
    depth, height, width = (part.stop - part.start for part in slab)
    geometry = Geometry((width, height, depth), whole.spacing, (x, y, z), whole.direction)
    return replace(volume, array=volume.array[slab], geometry=geometry)


def _same_intensities(card: Card, volumes: Sequence[Volume], parts: Sequence[Volume], asked: dict[str, Any]) -> bool:
    """Whether the parts' intensities become the same numbers as those of the whole volumes."""
    from ..inference.checks import intensities, with_modalities

    def maps(some: Sequence[Volume]) -> list[Any]:
        decided = with_modalities(card, some, asked["domain"], force=bool(asked["force"]))
        scheme = card.slicing.normalisation
        return intensities(card, decided) or [scheme.for_modality(one.modality).fit(one.array) for one in decided]

    return maps(volumes) == maps(parts)


def _uncleaned(cleaning: PostProcessing) -> PostProcessing:
    return replace(cleaning, largest_component=False, fill_holes=False, minimum_volume_ml=0.0)
