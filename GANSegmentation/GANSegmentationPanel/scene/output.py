"""Where a result goes: a new segmentation, or an existing one whose structures are replaced or added to.

The rules, which `planOutput` applies before a run and `writeLabelmap` after it:

- NEW makes a segmentation of its own beside the volume. Nothing that exists is touched.
- ADD adds every structure of the result at the end; one whose name is taken gets a number.
- REPLACE puts each structure of the result in the place of the same structure (by terminology, then by name) and keeps
  that segment's ID, name, colour, display and place in the list. A result of a part of the volume replaces within that
  part only; what was drawn outside of it stays.
- MERGE adds the voxels of the result to those of the same structure.
- No other segment loses a voxel: structures may overlap, as with "Allow overlap" in the Segment Editor.
- A structure that the segmentation does not have yet is added at the end, with a name of its own.
- A segment that was accepted (status Completed) is never changed; the result is added beside it.
- Nothing is resampled: what lies on another grid is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

import slicer
import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Segment

from .nodes import isA, isInScene, matrixToWorld, nameOf
from .segmentations import BINARY_LABELMAP, latticeStart, referenceGeometry, segmentImage
from .terminology import matchSegments, segmentFromNode
from .volumes import geometryFromNode


class OutputMode(Enum):
    """What happens to the segmentation that a result is written to."""

    NEW = "new"
    ADD = "add"
    REPLACE = "replace"
    MERGE = "merge"


@dataclass(frozen=True)
class PlannedSegment:
    """Where one structure of a result goes.

    Parameters
    ----------
    segment:
        The structure, with its value in the labelmap.
    segmentId:
        The ID of the segment that is replaced or added to; None for a new one.
    acceptedName:
        The name of the accepted segment of the same structure that is kept, and beside which a new one is made; None
        where there is none.
    """

    segment: Segment
    segmentId: str | None = None
    acceptedName: str | None = None


def outputMode(mode) -> OutputMode:
    """The mode by itself, by its name, or by another enumeration's member of that name (the parameter node's)."""
    return OutputMode[str(getattr(mode, "name", mode))]


# Before a run


def checkOutput(segmentationNode, volumeNode=None, mode=None) -> None:
    """Refuse a node that a result cannot be written to, before a run and not after it; None is fine.

    Parameters
    ----------
    segmentationNode:
        The node that was chosen for the output.
    volumeNode:
        The volume that will be segmented; None where it is not known yet, and grids are not looked at.
    mode:
        An `OutputMode`, or its name; NEW accepts every node, for it does not touch it. None: segments will be added,
        and only the kind of the node matters.

    Raises
    ------
    GANSegmentationError
        ``unsuitable_output`` if it is no segmentation, its source representation is not the binary labelmap, or it is
        a frame of a sequence that does not keep changes; ``nonlinear_transform`` if it lies under a transform that
        bends; ``geometry_mismatch`` if it was drawn on another grid than the volume's.
    """
    if segmentationNode is None or (mode is not None and outputMode(mode) is OutputMode.NEW):
        return
    if not isA(segmentationNode, "vtkMRMLSegmentationNode"):
        raise GANSegmentationError(
            "unsuitable_output",
            _("{name} is not a segmentation.").format(name=nameOf(segmentationNode)),
            action=_("Choose a segmentation, or none for a new one."),
        )
    segmentation = segmentationNode.GetSegmentation()
    if segmentation.GetNumberOfSegments() and segmentation.GetSourceRepresentationName() != BINARY_LABELMAP:
        raise GANSegmentationError(
            "unsuitable_output",
            _("{name} is made of surfaces, not of voxels.").format(name=segmentationNode.GetName()),
            action=_("Choose another segmentation, or make Binary labelmap its source representation."),
        )
    matrixToWorld(segmentationNode)
    if mode is not None:
        _checkSequence(segmentationNode)
        if volumeNode is not None:
            _checkGrid(segmentationNode, volumeNode)


def _checkSequence(segmentationNode) -> None:
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode"):
        sequence = browser.GetSequenceNode(segmentationNode)
        if sequence is not None and not browser.GetSaveChanges(sequence):
            raise GANSegmentationError(
                "unsuitable_output",
                _("{name} is a frame of a sequence that does not keep changes.").format(
                    name=segmentationNode.GetName()
                ),
                cause=_("The result would be lost with the next frame."),
                action=_("Turn on Save changes for it in the Sequences module, or choose another segmentation."),
            )


def _checkGrid(segmentationNode, volumeNode) -> None:
    """Refuse a segmentation of another grid; one that is empty can be given any."""
    segmentation = segmentationNode.GetSegmentation()
    geometry = geometryFromNode(volumeNode)
    own = referenceGeometry(segmentationNode) if segmentation.GetNumberOfSegments() else None
    fits = own is None or own.matches(geometry)
    toWorld = matrixToWorld(segmentationNode)
    for identifier in segmentation.GetSegmentIDs():
        image = segmentImage(segmentationNode, identifier)
        fits = fits and (image.IsEmpty() or latticeStart(image, toWorld, geometry) is not None)
    if not fits:
        raise GANSegmentationError(
            "geometry_mismatch",
            _("{output} was not drawn on the grid of {volume}.").format(
                output=segmentationNode.GetName(), volume=volumeNode.GetName()
            ),
            cause=_("It belongs to another volume, or was moved away from this one. Voxels are never resampled here."),
            action=_("Choose a new segmentation for the output."),
        )


def planOutput(segments, volumeNode, segmentationNode=None, mode=OutputMode.NEW, excluded: Collection[str] = ()):
    """Where each structure of a result would go, as a tuple of `PlannedSegment`.

    Parameters
    ----------
    segments:
        The model's `Segment` entries.
    volumeNode, segmentationNode, mode:
        As `checkOutput`.
    excluded:
        Names of structures that are not wanted.

    Raises
    ------
    GANSegmentationError
        As `checkOutput`; ``no_segments`` if all structures are excluded.
    """
    chosen = [segment for segment in segments if segment.name not in set(excluded)]
    if segments and not chosen:
        raise GANSegmentationError(
            "no_segments",
            _("No structure is chosen for the output."),
            action=_("Choose at least one of the model's segments."),
        )
    checkOutput(segmentationNode, volumeNode, mode)
    if outputMode(mode) in (OutputMode.NEW, OutputMode.ADD) or not isInScene(segmentationNode):
        return tuple(PlannedSegment(segment) for segment in chosen)
    segmentation = segmentationNode.GetSegmentation()
    identifiers = segmentation.GetSegmentIDs()
    existing = [segmentation.GetSegment(identifier) for identifier in identifiers]
    partners = matchSegments(chosen, [segmentFromNode(node, 1) for node in existing])
    plan = []
    for segment, partner in zip(chosen, partners, strict=True):
        if partner is None:
            plan.append(PlannedSegment(segment))
        elif _isAccepted(existing[partner]):
            plan.append(PlannedSegment(segment, acceptedName=existing[partner].GetName()))
        else:
            plan.append(PlannedSegment(segment, identifiers[partner]))
    return tuple(plan)


def _isAccepted(segment) -> bool:
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    return logic.GetSegmentStatus(segment) == logic.Completed
