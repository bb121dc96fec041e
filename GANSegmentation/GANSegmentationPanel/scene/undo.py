"""One step back: what a result changed in a segmentation, kept until the next result or the end of the scene."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError

from .nodes import isInScene, removeNode
from .segmentations import BINARY_LABELMAP, foregroundBox, imageToWorld, imageVoxels, segmentImage


@dataclass(frozen=True, eq=False)
class _Saved:
    """A segment as it was: an image of its voxels alone, and name, colour and tags."""

    image: object
    metadata: object


class Snapshot:
    """How a segmentation was before a result was written, made before and sealed after.

    Parameters
    ----------
    node:
        The segmentation node.
    isNew:
        Whether it was made for the result; undoing then removes it.
    segmentIds:
        The IDs of the segments that will be changed; only these are copied.
    """

    def __init__(self, node, isNew: bool, segmentIds: Sequence[str]) -> None:
        segmentation = node.GetSegmentation()
        self.node = node
        self.isNew = isNew
        self.hadSegments = segmentation.GetNumberOfSegments() > 0
        self._idsBefore = tuple(segmentation.GetSegmentIDs())
        self._saved = {identifier: _save(node, identifier) for identifier in segmentIds}
        self._role = node.GetReferenceImageGeometryReferenceRole()
        self._referenceId = node.GetNodeReferenceID(self._role)
        self._parameter = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
        self._reference = segmentation.GetConversionParameter(self._parameter)
        self._written: dict[str, tuple] = {}

    def seal(self, segmentIds: Sequence[str]) -> None:
        """Remember how the segments of the result look, so that a later edit by the user is noticed."""
        self._written = {identifier: _fingerprint(self.node, identifier) for identifier in segmentIds}

    def obstacle(self) -> str | None:
        """Why the result cannot be undone (any more), as a sentence; None if it can."""
        if not isInScene(self.node):
            return _("The segmentation was removed from the scene.")
        segmentation = self.node.GetSegmentation()
        for identifier, fingerprint in self._written.items():
            if segmentation.GetSegment(identifier) is None:
                return _("A segment of the result was removed.")
            if _fingerprint(self.node, identifier) != fingerprint:
                return _("The segment {name} was edited.").format(name=segmentation.GetSegment(identifier).GetName())
        if self.isNew and set(segmentation.GetSegmentIDs()) != set(self._written):
            return _("Segments were added to {name}.").format(name=self.node.GetName())
        return None

    def undo(self) -> None:
        """Bring back what the result changed: voxels, names, colours, tags, order; remove what it added.

        Raises
        ------
        GANSegmentationError
            ``undo_impossible`` with the `obstacle`; nothing is changed then.
        """
        obstacle = self.obstacle()
        if obstacle is not None:
            raise GANSegmentationError(
                "undo_impossible",
                _("The result cannot be undone. {reason}").format(reason=obstacle),
                cause=_("Undoing would throw away what was done since."),
                action=_("Remove the segments by hand in the Segment Editor, or keep them."),
            )
        self.restore()

    def restore(self) -> None:
        """As `undo`, whatever was done since; does nothing if the node is not in the scene."""
        if not isInScene(self.node):
            return
        if self.isNew:
            removeNode(self.node)
            return
        segmentation = self.node.GetSegmentation()
        with slicer.util.NodeModify(self.node):
            for identifier in segmentation.GetSegmentIDs():
                if identifier not in self._idsBefore and (identifier in self._written or not self._written):
                    segmentation.RemoveSegment(identifier)
            for identifier, saved in self._saved.items():
                if segmentation.GetSegment(identifier) is not None:
                    _restore(self.node, identifier, saved)
            segmentation.SetConversionParameter(self._parameter, self._reference)
            self.node.SetNodeReferenceID(self._role, self._referenceId)


class UndoStep:
    """Holds the snapshot of the last result, and lets go of it when the scene is closed.

    It observes the scene; `close` ends that.
    """

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._scene = slicer.mrmlScene
        self._tag = self._scene.AddObserver(self._scene.StartCloseEvent, lambda caller, event: self.drop())

    def keep(self, snapshot: Snapshot) -> None:
        """Make a snapshot the one that `undo` goes back to; the one before is dropped."""
        self._snapshot = snapshot

    def drop(self) -> None:
        """Forget the snapshot."""
        self._snapshot = None

    def close(self) -> None:
        """Forget the snapshot and the scene."""
        self.drop()
        if self._tag is not None:
            self._scene.RemoveObserver(self._tag)
            self._tag = None

    def obstacle(self) -> str | None:
        """Why there is nothing to undo, as a sentence for a tooltip; None if there is."""
        return _("There is no result to undo.") if self._snapshot is None else self._snapshot.obstacle()

    def undo(self) -> None:
        """Go back one step; there is no second one.

        Raises
        ------
        GANSegmentationError
            ``undo_impossible``; the snapshot is kept, for the obstacle may go away.
        """
        if self._snapshot is None:
            raise GANSegmentationError(
                "undo_impossible",
                _("There is no result to undo."),
                action=_("Only the last result of a scene can be undone, once."),
            )
        self._snapshot.undo()
        self.drop()


def _save(node, identifier: str) -> _Saved:
    segment = node.GetSegmentation().GetSegment(identifier)
    metadata = slicer.vtkSegment()
    metadata.DeepCopyMetadata(segment)
    return _Saved(_binaryCopy(segmentImage(node, identifier), segment.GetLabelValue()), metadata)


def _binaryCopy(image, value: int):
    """The voxels of one label value as an image of 0 and 1, no larger than need be; a single 0 if there are none."""
    copy = slicer.vtkOrientedImageData()
    voxels = np.zeros((1, 1, 1), np.uint8)
    extent = [0, 0, 0, 0, 0, 0]
    if not image.IsEmpty():
        copy.CopyDirections(image)
        copy.SetOrigin(image.GetOrigin())
        copy.SetSpacing(image.GetSpacing())
        mask = imageVoxels(image) == value
        box = foregroundBox(mask)
        first = image.GetExtent()[0::2]
        if box is not None:
            voxels = mask[box].astype(np.uint8)
            extent = [
                index + start
                for start, part in zip(first, reversed(box), strict=True)
                for index in (part.start, part.stop - 1)
            ]
        else:
            extent = [index for index in first for _end in (0, 1)]
    copy.SetExtent(extent)
    copy.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    imageVoxels(copy)[:] = voxels
    return copy


def _restore(node, identifier: str, saved: _Saved) -> None:
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(saved.image, node, identifier, logic.MODE_REPLACE)
    segment = node.GetSegmentation().GetSegment(identifier)
    value = segment.GetLabelValue()  # belongs to the image, which the segment may share with others
    segment.DeepCopyMetadata(saved.metadata)
    segment.SetLabelValue(value)


def _fingerprint(node, identifier: str) -> tuple:
    """What an edit of a segment changes, or a transform that was hardened: its name, and where which voxels are."""
    segment = node.GetSegmentation().GetSegment(identifier)
    image = segment.GetRepresentation(BINARY_LABELMAP)
    if image is None or image.IsEmpty():
        return segment.GetName(), None, 0
    mask = imageVoxels(image) == segment.GetLabelValue()
    box = foregroundBox(mask)
    if box is None:
        return segment.GetName(), None, 0
    first = image.GetExtent()[0::2]
    toWorld = imageToWorld(image)
    corner = toWorld @ [*(part.start + start for part, start in zip(reversed(box), first, strict=True)), 1]
    place = tuple(np.round([*toWorld[:3, :3].ravel(), *corner[:3]], 6) + 0.0)
    return segment.GetName(), (place, mask[box].shape), zlib.crc32(np.packbits(mask[box]).tobytes())
