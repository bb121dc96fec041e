"""Results into segmentation nodes, by the rules of `output`; and undone if anything fails on the way."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment

from .nodes import isInScene, matrixToWorld, nameOf, placeBeside
from .output import OutputMode, PlannedSegment, checkOutput, outputMode, planOutput
from .region import IndexBox, boxInGrid
from .segmentations import BINARY_LABELMAP, foregroundBox, orientedImage, segmentPatch
from .terminology import tagAsAutomatic
from .undo import Snapshot
from .volumes import geometryFromNode, requireScalarVolume


@dataclass(frozen=True)
class Written:
    """What `writeLabelmap` did: the node, the IDs of the segments that hold the result, and the way back."""

    segmentationNode: object
    segmentIds: tuple[str, ...]
    plan: tuple[PlannedSegment, ...]
    snapshot: Snapshot


def writeLabelmap(
    labelmap: Labelmap,
    volumeNode,
    segmentationNode=None,
    *,
    mode=OutputMode.NEW,
    excluded: Collection[str] = (),
    region: IndexBox | None = None,
    algorithmName: str = "",
) -> Written:
    """Write a result into the scene by the rules of `output`; on failure the scene is as it was.

    Parameters
    ----------
    labelmap:
        Labels on the volume's grid (in the world, as `volumeFromNode` gave it), or on a part of it as `cropVolume`
        makes it.
    volumeNode:
        The volume; it becomes the reference geometry of a segmentation that had none.
    segmentationNode:
        The node to write to with ADD, REPLACE and MERGE; a new one is made if it is None or was removed from the scene.
    mode:
        An `OutputMode`, or its name.
    excluded:
        Names of structures that are not wanted.
    region:
        The part of the volume that the result is about; labels outside of it are left out, and REPLACE keeps what was
        there. None: the labelmap's own grid, whole or part.
    algorithmName:
        What made the labels, for the tag that DICOM SEG carries.

    Raises
    ------
    GANSegmentationError
        ``volume_removed`` if the volume is not in the scene (any more), ``geometry_mismatch`` if the labelmap is not
        on the volume's grid; as `planOutput`.
    """
    part = _partOf(labelmap, volumeNode, region)
    mode = outputMode(mode)
    target = segmentationNode if mode is not OutputMode.NEW and isInScene(segmentationNode) else None
    plan = planOutput(labelmap.segments, volumeNode, target, mode, excluded)
    return _write(part, volumeNode, target, plan, mode, algorithmName)


def addLabelmapToSegmentation(labelmap: Labelmap, volumeNode, segmentationNode=None, algorithmName: str = ""):
    """Show the segments of a labelmap in a segmentation node beside the volume that they were found in.

    Segments are added; what the node holds already stays as it is, and a name that is taken gets a number.

    Parameters
    ----------
    labelmap, volumeNode, algorithmName:
        As `writeLabelmap`.
    segmentationNode:
        The node to add to; None for a new one, which follows the volume's transform. There is also a new one if the
        node was removed from the scene while the labels were computed.

    Returns
    -------
    The segmentation node.

    Raises
    ------
    GANSegmentationError
        As `writeLabelmap`.
    """
    part = _partOf(labelmap, volumeNode, None)
    checkOutput(segmentationNode)
    target = segmentationNode if isInScene(segmentationNode) else None
    plan = tuple(PlannedSegment(segment) for segment in labelmap.segments)
    return _write(part, volumeNode, target, plan, OutputMode.NEW, algorithmName).segmentationNode


@dataclass(frozen=True, eq=False)
class _Part:
    """Labels ``(z, y, x)`` within a box of a volume's grid, and the region of the grid that they are about."""

    labels: np.ndarray
    box: IndexBox
    region: IndexBox
    geometry: Geometry

    def cut(self, values: Collection[int]) -> _Part | None:
        """The smallest part with the voxels of some labels, all others 0; None if there are none."""
        labels = _only(self.labels, values) if values else None
        return None if labels is None else _trimmed(_Part(labels, self.box, self.region, self.geometry))


def _trimmed(part: _Part) -> _Part | None:
    """A part without the zeros around its labels; None if there is nothing else."""
    box = foregroundBox(part.labels)
    if box is None:
        return None
    start = tuple(first + inner.start for first, inner in zip(part.box.start, box, strict=True))
    labels = part.labels[box]
    return _Part(labels, IndexBox.at(start, labels.shape), part.region, part.geometry)


def _only(labels: np.ndarray, values: Collection[int]) -> np.ndarray:
    """Labels without those that are not among some values."""
    if sorted(values) == list(range(1, len(values) + 1)) and int(labels.max()) <= len(values):
        return labels  # all that can be there is wanted: the usual case, and the fast one
    kept = np.zeros_like(labels)
    for value in values:
        np.copyto(kept, value, where=labels == value, casting="unsafe")
    return kept


def _partOf(labelmap: Labelmap, volumeNode, region: IndexBox | None) -> _Part:
    """The labels of a result on the grid of its volume, limited to a region; raises as `writeLabelmap`."""
    if not isInScene(volumeNode):
        raise GANSegmentationError(
            "volume_removed",
            _("The volume {name} is not in the scene.").format(name=nameOf(volumeNode)),
            cause=_("It was removed, or the scene was closed, while it was being segmented."),
            action=_("Load the volume and run again."),
        )
    requireScalarVolume(volumeNode)
    return _placed(labelmap, geometryFromNode(volumeNode), region, volumeNode.GetName())


def _placed(labelmap: Labelmap, geometry: Geometry, region: IndexBox | None, name: str) -> _Part:
    box = boxInGrid(labelmap.geometry, geometry)
    if box is None:
        raise GANSegmentationError(
            "geometry_mismatch",
            _("The labels do not lie on the grid of {name}.").format(name=name),
            cause=_("The volume was changed or moved while it was being segmented."),
            action=_("Run again."),
        )
    inner = box if region is None else box.intersection(region)
    part = _Part(labelmap.array[inner.within(box)], inner, inner, geometry)
    nothing = np.zeros((1, 1, 1), labelmap.array.dtype)
    return _trimmed(part) or _Part(nothing, IndexBox.at(inner.start, nothing.shape), inner, geometry)


def fillSegmentation(
    node, labelmap: Labelmap, geometry: Geometry, toWorld: np.ndarray, excluded: Collection[str], algorithmName: str
) -> None:
    """Put the segments of a result into an empty segmentation node that need not be in the scene.

    Parameters
    ----------
    geometry:
        The grid of the volume, in the world, on which the labelmap lies, or on a part of it.
    toWorld:
        4 x 4 matrix from the node's coordinates to the world, RAS.
    labelmap, excluded, algorithmName:
        As `writeLabelmap`.

    Raises
    ------
    GANSegmentationError
        ``geometry_mismatch``, ``no_segments``.
    """
    part = _placed(labelmap, geometry, None, node.GetName())
    plan = planOutput(labelmap.segments, None, excluded=excluded)
    _writeSegments(node, plan, part, OutputMode.NEW, np.linalg.inv(toWorld), algorithmName)


def _write(part: _Part, volumeNode, target, plan, mode: OutputMode, algorithmName: str) -> Written:
    node = target or _newSegmentationNode(volumeNode)
    replaced = [planned.segmentId for planned in plan if planned.segmentId is not None]
    snapshot = Snapshot(node, isNew=target is None, segmentIds=replaced)
    try:
        with slicer.util.NodeModify(node):
            worldToNode = np.linalg.inv(matrixToWorld(node))
            identifiers = _writeSegments(node, plan, part, mode, worldToNode, algorithmName)
            _setReference(node, volumeNode, keep=mode is not OutputMode.NEW and snapshot.hadSegments)
        if target is None:
            placeBeside(node, volumeNode)
        snapshot.seal(identifiers)
    except BaseException:
        snapshot.restore()
        raise
    return Written(node, identifiers, plan, snapshot)


def _newSegmentationNode(volumeNode):
    name = slicer.mrmlScene.GenerateUniqueName(_("{volume} segmentation").format(volume=volumeNode.GetName()))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    return node


def _setReference(node, volumeNode, keep: bool) -> None:
    """Make a volume the reference of a segmentation, which an older one of the same grid may keep."""
    role = node.GetReferenceImageGeometryReferenceRole()
    if keep and node.GetNodeReference(role) is not None:
        return
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    node.SetNodeReferenceID(role, volumeNode.GetID())


def _writeSegments(
    node, plan: Sequence[PlannedSegment], part: _Part, mode: OutputMode, worldToNode: np.ndarray, algorithmName: str
) -> tuple[str, ...]:
    segmentation = node.GetSegmentation()
    if segmentation.GetNumberOfSegments() == 0:
        segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
    added = [planned.segment.value for planned in plan if planned.segmentId is None]
    shared = _image(part.cut(added), part, worldToNode)  # one image for all new segments, each by its label value
    identifiers = []
    for planned in plan:
        if planned.segmentId is None:
            identifiers.append(_addSegment(segmentation, planned.segment, shared, algorithmName))
        else:
            _updateSegment(node, planned, part, mode, worldToNode, algorithmName)
            identifiers.append(planned.segmentId)
    return tuple(identifiers)


def _image(part: _Part | None, whole: _Part, worldToNode: np.ndarray):
    """A part as an image; without voxels, an image of one voxel that is 0, which the scene takes for empty."""
    if part is None:
        return orientedImage(np.zeros((1, 1, 1), np.uint8), whole.region.start, whole.geometry, worldToNode)
    return orientedImage(part.labels, part.box.start, part.geometry, worldToNode)


def _addSegment(segmentation, segment: Segment, image, algorithmName: str) -> str:
    """Add one segment; the segments of a labelmap share its image, each by its own label value."""
    taken = {segmentation.GetNthSegment(i).GetName() for i in range(segmentation.GetNumberOfSegments())}
    names = (segment.name, *(f"{segment.name}_{number}" for number in range(1, len(taken) + 1)))
    identifier = segmentation.GenerateUniqueSegmentID(segment.name)
    node = slicer.vtkSegment()
    node.SetName(next(name for name in names if name not in taken))
    node.SetColor(*(channel / 255 for channel in segment.colour))
    tagAsAutomatic(node, segment, algorithmName)
    node.SetLabelValue(segment.value)
    node.AddRepresentation(BINARY_LABELMAP, image)
    segmentation.AddSegment(node, identifier)
    _waitForReview(node)
    return identifier


def _updateSegment(node, planned: PlannedSegment, part: _Part, mode: OutputMode, worldToNode, algorithmName) -> None:
    """Put the voxels of a structure into the segment that exists; no other segment changes."""
    segment = node.GetSegmentation().GetSegment(planned.segmentId)
    new = part.cut([planned.segment.value])
    old = None
    if mode is OutputMode.MERGE or part.region != IndexBox.of(part.geometry):
        patch = segmentPatch(node, planned.segmentId, part.geometry, beyond=True)
        old = None if patch is None else _Part(patch.mask.view(np.uint8), patch.box, part.region, part.geometry)
    combined, remains = _combine(old, new, part.region if mode is OutputMode.REPLACE else None)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    if not logic.SetBinaryLabelmapToSegment(
        _image(combined, part, worldToNode), node, planned.segmentId, logic.MODE_REPLACE
    ):
        raise GANSegmentationError(
            "unsuitable_output",
            _("The segment {name} cannot be changed.").format(name=segment.GetName()),
            action=_("Choose a new segmentation for the output, then run again."),
        )
    tagAsAutomatic(segment, planned.segment, algorithmName, oldVoxelsRemain=remains)
    _waitForReview(segment)


def _combine(old: _Part | None, new: _Part | None, replaced: IndexBox | None) -> tuple[_Part | None, bool]:
    """Old voxels, less those of the box that is replaced, and new ones; and whether any of the old ones is left."""
    boxes = [part.box for part in (old, new) if part is not None]
    if not boxes:
        return None, False
    box = boxes[0].union(boxes[-1])
    labels = np.zeros(box.shape, np.uint8)  # 0 and 1: Slicer copies the values into a layer of the segment's own
    if old is not None:
        labels[old.box.within(box)] = old.labels
    gone = None if replaced is None else replaced.overlap(box)
    if gone is not None:
        labels[gone.within(box)] = 0
    remains = bool(labels.any())
    if new is not None:
        labels[new.box.within(box)] |= new.labels != 0
    return replace(old or new, labels=labels, box=box), remains


def _waitForReview(segment) -> None:
    """Mark a segment as not yet looked at by anybody."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetSegmentStatus(segment, logic.InProgress)
