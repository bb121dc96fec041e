"""A segmentation against its reference: which segments belong together, and both as labelmaps on one grid.

The worker compares labelmaps, in which a voxel has one label. Segments may overlap, a liver and the tumour in it; so
what overlaps goes into labelmaps of its own, and a comparison may be more than one job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import vtk
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment

from .nodes import isA, isInScene, nameOf
from .reference import ReferenceVoxels
from .segmentations import Patch, labelmapFromNode, labelValues, paint, referenceGeometry, segmentPatch
from .terminology import matchSegments, segmentFromNode
from .volumes import geometryFromNode

_UNNAMED_COLOUR = (128, 128, 128)


@dataclass(frozen=True)
class SegmentPair:
    """A segment of the mask and the one of the reference that it is compared with.

    The keys are segment IDs, or label values as text for a labelmap volume. A key of None: that side lacks the
    structure, and there is nothing to compare.
    """

    maskKey: str | None
    maskName: str | None
    referenceKey: str | None
    referenceName: str | None

    @property
    def isComplete(self) -> bool:
        """Whether both sides have the structure."""
        return self.maskKey is not None and self.referenceKey is not None

    @property
    def title(self) -> str:
        """What to call the structure: the mask's name for it, else the reference's."""
        return self.maskName or self.referenceName or ""


@dataclass(frozen=True, eq=False)
class ComparisonJob:
    """Two labelmaps for the worker's comparison; a pair has the same label value and name in both.

    `pairs` are in the order of the values, which begin at 1.
    """

    mask: Labelmap
    reference: Labelmap
    pairs: tuple[SegmentPair, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What to compare, and what was done to the reference for it, as sentences for the reader."""

    jobs: tuple[ComparisonJob, ...]
    notes: tuple[str, ...]


def segmentsOf(node) -> dict[str, Segment]:
    """The segments of a segmentation by ID, or those of a labelmap volume by label value as text.

    Raises
    ------
    GANSegmentationError
        ``invalid_labelmap`` if the node is neither, or not in the scene.
    """
    if not isInScene(node):
        raise GANSegmentationError(
            "invalid_labelmap",
            _("{name} is not in the scene.").format(name=nameOf(node)),
            action=_("Choose a segmentation or labelmap that exists."),
        )
    if isA(node, "vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        return {
            identifier: segmentFromNode(segmentation.GetSegment(identifier), number)
            for number, identifier in enumerate(segmentation.GetSegmentIDs(), start=1)
        }
    labelmap = labelmapFromNode(node)
    named = {segment.value: segment for segment in labelmap.segments}
    values = labelValues(labelmap.array) or [1]  # a map without labels is one structure that is not there
    return {str(value): named.get(value) or Segment(value, "", _UNNAMED_COLOUR) for value in values}


def contentStamp(node) -> tuple:
    """What changes with the voxels of a segmentation or labelmap volume, its segments or its place; for comparing."""
    transform = node.GetParentTransformNode()
    place = (node.GetID(), None if transform is None else (transform.GetID(), transform.GetTransformToWorldMTime()))
    if not isA(node, "vtkMRMLSegmentationNode"):
        image, matrix = node.GetImageData(), vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        own = tuple(matrix.GetElement(row, column) for row in range(3) for column in range(4))
        return (*place, own, None if image is None else image.GetMTime())
    segmentation = node.GetSegmentation()
    kind = segmentation.GetSourceRepresentationName()
    voxels = (segmentation.GetSegment(each).GetRepresentation(kind) for each in segmentation.GetSegmentIDs())
    stamps = tuple(None if each is None else each.GetMTime() for each in voxels)
    return (*place, kind, tuple(segmentation.GetSegmentIDs()), stamps)


def pairSegments(maskNode, referenceNode) -> list[SegmentPair]:
    """The pairs that two nodes suggest: by terminology, then by name; what has no partner comes last, alone.

    Two single segments belong together if one of them has no name (a labelmap without colour table).

    Raises
    ------
    GANSegmentationError
        As `segmentsOf`.
    """
    masks, references = segmentsOf(maskNode), segmentsOf(referenceNode)
    partners = matchSegments(list(masks.values()), list(references.values()))
    if len(masks) == len(references) == 1 and not all(s.name for s in (*masks.values(), *references.values())):
        partners = [0]
    keys = list(references)
    pairs = [
        makePair(masks, maskKey, references, None if partner is None else keys[partner])
        for maskKey, partner in zip(masks, partners, strict=True)
    ]
    alone = (key for index, key in enumerate(keys) if index not in partners)
    pairs += [makePair(masks, None, references, key) for key in alone]
    return sorted(pairs, key=lambda pair: not pair.isComplete)


def makePair(
    masks: Mapping[str, Segment], maskKey: str | None, references: Mapping[str, Segment], referenceKey: str | None
) -> SegmentPair:
    """The pair of two segments by their keys in `segmentsOf`; one key may be None."""
    return SegmentPair(
        maskKey=maskKey,
        maskName=None if maskKey is None else _nameOf(maskKey, masks[maskKey]),
        referenceKey=referenceKey,
        referenceName=None if referenceKey is None else _nameOf(referenceKey, references[referenceKey]),
    )


def _nameOf(key: str, segment: Segment) -> str:
    return segment.name or _("Label {value}").format(value=key)


def prepareComparison(
    maskNode, referenceNode, pairs: Sequence[SegmentPair] | None = None, *, resample: bool = False
) -> Comparison:
    """The labelmaps of the pairs that are complete, on the mask's grid.

    Parameters
    ----------
    maskNode:
        The segmentation to judge, or a labelmap volume.
    referenceNode:
        What is right: a segmentation or a labelmap volume. A segmentation of surfaces is turned into voxels of the
        mask's grid; the node itself stays as it is.
    pairs:
        What to compare; None for `pairSegments`.
    resample:
        Whether a reference on another grid is brought to the mask's, each voxel from the nearest one.

    Raises
    ------
    GANSegmentationError
        ``no_pairs`` if nothing is to be compared; ``geometry_mismatch`` with both grids if they differ and `resample`
        is off; ``no_geometry``, ``no_labelmap`` and ``invalid_labelmap`` as `labelmapFromNode`.
    """
    chosen = [pair for pair in (pairSegments(maskNode, referenceNode) if pairs is None else pairs) if pair.isComplete]
    if not chosen:
        raise GANSegmentationError(
            "no_pairs",
            _("{mask} and {reference} have no structure in common.").format(
                mask=nameOf(maskNode), reference=nameOf(referenceNode)
            ),
            cause=_("Neither their terminology nor their names agree."),
            action=_("Choose in the table which segments belong together."),
        )
    geometry = _gridOf(maskNode)
    masks = ReferenceVoxels(maskNode, geometry) if isA(maskNode, "vtkMRMLLabelMapVolumeNode") else None
    references = ReferenceVoxels(referenceNode, geometry, resample=resample)
    layers: list[_Layer] = []
    for pair in chosen:
        mask = masks.patch(pair.maskKey) if masks else segmentPatch(maskNode, pair.maskKey, geometry)
        reference = references.patch(pair.referenceKey)
        if not any(layer.add(pair, mask, reference) for layer in layers):
            layers.append(_Layer(geometry))
            layers[-1].add(pair, mask, reference)
    return Comparison(tuple(layer.job() for layer in layers), tuple(references.notes))


def _gridOf(maskNode) -> Geometry:
    if not isA(maskNode, "vtkMRMLSegmentationNode"):
        return geometryFromNode(maskNode)
    geometry = referenceGeometry(maskNode)
    return geometry if geometry is not None else labelmapFromNode(maskNode).geometry  # which says what is missing


class _Layer:
    """Pairs that do not overlap, neither in the mask nor in the reference."""

    _MOST = 255

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._mask = np.zeros(geometry.shape, np.uint8)
        self._reference = np.zeros(geometry.shape, np.uint8)
        self._pairs: list[SegmentPair] = []

    def add(self, pair: SegmentPair, mask: Patch | None, reference: Patch | None) -> bool:
        """Add a pair if it does not overlap with those that are there."""
        if len(self._pairs) == self._MOST or _meets(self._reference, reference):
            return False
        value = len(self._pairs) + 1
        if mask is not None and not paint(self._mask, mask, value):
            return False
        if reference is not None:
            paint(self._reference, reference, value)
        self._pairs.append(pair)
        return True

    def job(self) -> ComparisonJob:
        """The labelmaps; names are unique in them, for the worker pairs by name."""
        titles = [pair.title for pair in self._pairs]
        segments = [
            Segment(value, title if titles.count(title) == 1 else f"{title} [{value}]", _UNNAMED_COLOUR)
            for value, title in enumerate(titles, start=1)
        ]
        return ComparisonJob(
            Labelmap(self._mask, self._geometry, segments),
            Labelmap(self._reference, self._geometry, segments),
            tuple(self._pairs),
        )


def _meets(labels: np.ndarray, patch: Patch | None) -> bool:
    return patch is not None and bool(np.any(labels[patch.box.slices][patch.mask]))


def collectScores(comparison: Comparison, labels: Sequence[Sequence[Mapping]]) -> list[dict]:
    """The scores of all jobs of a comparison, with the names that the two sides have for the structures.

    Parameters
    ----------
    labels:
        What the worker gave for each job: a list with the scores of each structure.

    Returns
    -------
    A dict for each pair, as the worker's, with ``name`` and ``reference_name`` of the nodes and, for looking a slice
    up, ``job`` and ``value``: which job it was and the label there.
    """
    rows = []
    for number, (job, scores) in enumerate(zip(comparison.jobs, labels, strict=True)):
        byValue = {row["value"]: row for row in scores}
        for value, pair in enumerate(job.pairs, start=1):
            names = {"name": pair.maskName, "reference_name": pair.referenceName}
            rows.append({**byValue[value], **names, "job": number, "value": value})
    return rows
