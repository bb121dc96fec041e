"""Looking a result over: accept or flag, jump to a place, show what is wrong against a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Labelmap

from .nodes import isA, isInScene, matrixToWorld, nameOf, placeBeside, removeNode
from .region import indexToRas
from .segmentations import BINARY_LABELMAP, foregroundBox, orientedImage

# M. Okabe and K. Ito, "Color Universal Design", 2008: yellow and sky blue are told apart by everybody, and from the
# reds and browns of organs.
FALSE_POSITIVE_COLOUR = (240, 228, 66)
FALSE_NEGATIVE_COLOUR = (86, 180, 233)

_ERRORS_ATTRIBUTE = "GANSegmentation.errors"
_FALSE_POSITIVE_ID, _FALSE_NEGATIVE_ID = "FalsePositive", "FalseNegative"


# Status


def acceptSegments(segmentationNode, segmentIds: Sequence[str] | None = None) -> None:
    """Give segments the status Completed; see `setStatus`."""
    setStatus(segmentationNode, segmentIds, slicer.vtkSlicerSegmentationsModuleLogic.Completed)


def flagSegments(segmentationNode, segmentIds: Sequence[str] | None = None) -> None:
    """Give segments the status Flagged; see `setStatus`."""
    setStatus(segmentationNode, segmentIds, slicer.vtkSlicerSegmentationsModuleLogic.Flagged)


def setStatus(segmentationNode, segmentIds: Sequence[str] | None, status: int) -> None:
    """Give segments (None: all) a status of vtkSlicerSegmentationsModuleLogic, which the Segment Editor shows.

    Raises
    ------
    GANSegmentationError
        ``segmentation_removed`` if the node or all of its segments are gone.
    """
    segmentation = segmentationNode.GetSegmentation() if isInScene(segmentationNode) else None
    known = segmentation.GetSegmentIDs() if segmentation else ()
    chosen = [identifier for identifier in known if segmentIds is None or identifier in segmentIds]
    if not chosen:
        raise GANSegmentationError(
            "segmentation_removed",
            _("The segments of {name} are not in the scene any more.").format(name=nameOf(segmentationNode)),
            action=_("Run again, or choose a segmentation that exists."),
        )
    with slicer.util.NodeModify(segmentationNode):
        for identifier in chosen:
            slicer.vtkSlicerSegmentationsModuleLogic.SetSegmentStatus(segmentation.GetSegment(identifier), status)


# Places


def jumpToRas(ras: Sequence[float]) -> None:
    """Show a point (RAS mm) in the middle of all slice views."""
    for sliceNode in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        sliceNode.JumpSliceByCentering(*(float(coordinate) for coordinate in ras))


@dataclass(frozen=True)
class WorstSlice:
    """A slice that a reader should look at.

    Parameters
    ----------
    index:
        Its place along the first array axis, from 0.
    ras:
        The middle of its wrong voxels, RAS mm.
    dice:
        Its Dice coefficient.
    errorAreaMm2:
        The area of its wrong voxels, false positive and false negative.
    """

    index: int
    ras: tuple[float, float, float]
    dice: float
    errorAreaMm2: float


def worstSlices(
    scores: Mapping, mask: Labelmap, reference: Labelmap, value: int, *, count: int = 20, byArea: bool = False
) -> list[WorstSlice]:
    """The slices in which a mask and its reference agree least; none of those that agree in every voxel.

    Parameters
    ----------
    scores:
        The scores of one structure by the worker, with its ``slices``.
    mask, reference:
        The labelmaps that were compared, on one grid.
    value:
        The structure's label in both.
    count:
        How many, at most.
    byArea:
        Sort by the area of the errors, largest first, and not by the Dice, lowest first: the ends of an organ have a
        low Dice for a few voxels.
    """
    found: list[WorstSlice] = []
    candidates = sorted(scores.get("slices") or (), key=lambda each: each["dice"] or 0.0)
    for each in candidates:
        if not byArea and len(found) >= count and (each["dice"] or 0.0) > found[-1].dice:
            break  # those that follow agree better: no need to look at their voxels
        own, other = mask.array[each["index"]] == value, reference.array[each["index"]] == value
        wrong = own != other
        box = foregroundBox(wrong)
        if box is None:
            continue
        rows, columns = np.nonzero(wrong[box])
        middle = (each["index"], rows.mean() + box[0].start, columns.mean() + box[1].start)
        area = len(rows) * mask.geometry.spacing[0] * mask.geometry.spacing[1]
        found.append(
            WorstSlice(each["index"], indexToRas(mask.geometry, middle), float(each["dice"] or 0.0), float(area))
        )
    if byArea:
        found.sort(key=lambda each: (-each.errorAreaMm2, each.index))
    else:
        found.sort(key=lambda each: (each.dice, -each.errorAreaMm2, each.index))
    return found[:count]


# Errors


def showErrors(
    mask: Labelmap,
    reference: Labelmap,
    values: Sequence[int],
    segmentationNode,
    name: str = "",
    others: Sequence[tuple[Labelmap, Labelmap, Sequence[int]]] = (),
):
    """Show what is wrong with a mask as a segmentation of two segments, false positive and false negative.

    It takes the place of the one shown before. It is hidden from the lists of nodes, so that nobody edits or compares
    it, and not saved with the scene.

    Parameters
    ----------
    mask, reference:
        The labelmaps that were compared, on one grid.
    values:
        The labels to show, the same in both.
    segmentationNode:
        The segmentation that was judged; the overlay lies under its transform and beside it.
    name:
        The structure, for the node's name.
    others:
        More labelmaps on the same grid with their references and labels, for structures that overlap with the first.

    Returns
    -------
    The new segmentation node.

    Raises
    ------
    GANSegmentationError
        ``segmentation_removed`` if `segmentationNode` is not in the scene.
    """
    if not isInScene(segmentationNode):
        raise GANSegmentationError(
            "segmentation_removed",
            _("The segmentation {name} is not in the scene any more.").format(name=nameOf(segmentationNode)),
            action=_("Compare again."),
        )
    hideErrors()
    title = _("Errors of {name}").format(name=name or segmentationNode.GetName())
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", slicer.mrmlScene.GenerateUniqueName(title))
    try:
        node.SetAttribute(_ERRORS_ATTRIBUTE, "1")
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.CreateDefaultDisplayNodes()
        node.SetAndObserveTransformNodeID(segmentationNode.GetTransformNodeID())
        node.GetSegmentation().SetSourceRepresentationName(BINARY_LABELMAP)
        worldToNode = np.linalg.inv(matrixToWorld(node))
        start, falsePositive, falseNegative = _errors([(mask, reference, values), *others])
        for identifier, title, colour, wrong in (
            (_FALSE_POSITIVE_ID, _("False positive (mask only)"), FALSE_POSITIVE_COLOUR, falsePositive),
            (_FALSE_NEGATIVE_ID, _("False negative (reference only)"), FALSE_NEGATIVE_COLOUR, falseNegative),
        ):
            segment = slicer.vtkSegment()
            segment.SetName(title)
            segment.SetColor(*(channel / 255 for channel in colour))
            segment.AddRepresentation(BINARY_LABELMAP, orientedImage(wrong, start, mask.geometry, worldToNode))
            node.GetSegmentation().AddSegment(segment, identifier)
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetOpacity2DFill(0.6)
        display.SetVisibility3D(False)
        placeBeside(node, segmentationNode)
    except BaseException:
        removeNode(node)
        raise
    return node


def hideErrors() -> None:
    """Remove what `showErrors` made; does nothing if there is nothing."""
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        if isA(node, "vtkMRMLSegmentationNode") and node.GetAttribute(_ERRORS_ATTRIBUTE):
            removeNode(node)


def _errors(
    pairs: Sequence[tuple[Labelmap, Labelmap, Sequence[int]]],
) -> tuple[tuple[int, ...], np.ndarray, np.ndarray]:
    """False positives and false negatives of some labels, each label against itself, within a box around them.

    Gives the box's first index and two arrays of it, uint8 ``(z, y, x)``.
    """
    wrong = np.zeros(pairs[0][0].array.shape, bool)
    for mask, reference, _values in pairs:
        wrong |= mask.array != reference.array
    box = foregroundBox(wrong) or (slice(0, 1),) * 3
    falsePositive, falseNegative = np.zeros(wrong[box].shape, bool), np.zeros(wrong[box].shape, bool)
    for mask, reference, values in pairs:
        own, other = mask.array[box], reference.array[box]
        for value in values:
            isOwn, isOther = own == value, other == value
            falsePositive |= isOwn & ~isOther
            falseNegative |= isOther & ~isOwn
    start = tuple(part.start for part in box)
    return start, falsePositive.view(np.uint8), falseNegative.view(np.uint8)
