"""Volumes over time (4D): the frames of a sequence as volumes, and their results as a sequence beside it.

Nothing is put into the scene before all frames are done: `SegmentationFrames` keeps the results outside of it, and a
run that is cancelled leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import slicer
import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Labelmap, Volume

from .nodes import isInScene, matrixToWorld, nameOf, placeBeside, removeNode
from .volumes import geometryUnder, requireScalarVolume, volumeFromNode
from .writing import fillSegmentation


@dataclass(frozen=True)
class VolumeSequence:
    """A volume that shows the frames of a sequence, one at a time.

    Parameters
    ----------
    proxyNode:
        The volume node that the reader sees.
    sequenceNode:
        The vtkMRMLSequenceNode with its frames.
    browserNode:
        The vtkMRMLSequenceBrowserNode that keeps the two together.
    """

    proxyNode: object
    sequenceNode: object
    browserNode: object

    def __len__(self) -> int:
        return self.sequenceNode.GetNumberOfDataNodes()

    def indexValue(self, frame: int) -> str:
        """The index value of a frame, from 0: its time, as the sequence writes it."""
        return self.sequenceNode.GetNthIndexValue(frame)


def sequenceOf(volumeNode) -> VolumeSequence | None:
    """The sequence whose frames a volume node shows; None if it is an ordinary volume."""
    if not isInScene(volumeNode):
        return None
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode"):
        sequence = browser.GetSequenceNode(volumeNode)
        if sequence is not None and sequence.GetNumberOfDataNodes():
            return VolumeSequence(volumeNode, sequence, browser)
    return None


def frameVolume(sequence: VolumeSequence, frame: int) -> Volume:
    """The voxels and the place of one frame, whichever frame the views show.

    The frame lies where the volume that shows it lies now: under the same transform.

    Raises
    ------
    GANSegmentationError
        ``sequence_removed`` if the sequence or the frame is gone; as `volumeFromNode` for its voxels.
    """
    node = _frameNode(sequence, frame)
    requireScalarVolume(node)
    shown = volumeFromNode(sequence.proxyNode)
    return replace(
        shown,
        array=slicer.util.arrayFromVolume(node),
        geometry=geometryUnder(node, matrixToWorld(sequence.proxyNode)),
        name=f"{sequence.proxyNode.GetName()} [{sequence.indexValue(frame)}]",
        facts=dict(shown.facts),
    )


def _frameNode(sequence: VolumeSequence, frame: int):
    nodes = (sequence.proxyNode, sequence.sequenceNode, sequence.browserNode)
    if not all(isInScene(node) for node in nodes) or not 0 <= frame < len(sequence):
        raise GANSegmentationError(
            "sequence_removed",
            _("Frame {frame} of {name} is not in the scene any more.").format(
                frame=frame + 1, name=nameOf(sequence.proxyNode)
            ),
            cause=_("The sequence was removed or shortened, or the scene was closed, while it was being segmented."),
            action=_("Load the sequence and run again."),
        )
    return sequence.sequenceNode.GetNthDataNode(frame)


class SegmentationFrames:
    """The results of the frames of a sequence, outside of the scene until `finish`.

    Example::

        frames = SegmentationFrames(sequence, "CHAOS liver 1.0")
        for frame in range(len(sequence)):
            frames.add(frame, segment(frameVolume(sequence, frame)))
        segmentationNode = frames.finish()
    """

    def __init__(self, sequence: VolumeSequence, algorithmName: str = "", excluded: Collection[str] = ()) -> None:
        self._sequence = sequence
        self._algorithmName = algorithmName
        self._excluded = tuple(excluded)
        self._indexValues = [sequence.indexValue(frame) for frame in range(len(sequence))]
        self._nodes: dict[int, object] = {}
        self._created: tuple = ()

    def add(self, frame: int, labelmap: Labelmap) -> None:
        """Keep the result of a frame; its labels lie on the frame's grid, or a part of it.

        Raises
        ------
        GANSegmentationError
            ``sequence_removed`` as `frameVolume`; ``geometry_mismatch`` if they do not.
        """
        data = _frameNode(self._sequence, frame)
        proxy = self._sequence.proxyNode
        toWorld = matrixToWorld(proxy)
        node = slicer.vtkMRMLSegmentationNode()
        node.SetName(_("{volume} segmentation").format(volume=proxy.GetName()))
        geometry = geometryUnder(data, toWorld)
        fillSegmentation(node, labelmap, geometry, toWorld, self._excluded, self._algorithmName)
        node.SetReferenceImageGeometryParameterFromVolumeNode(data)
        self._nodes[frame] = node

    def finish(self):
        """Add the results to the scene as a sequence that moves with the volume's, at the same index values.

        Returns
        -------
        The segmentation node that shows the frame of the moment.

        Raises
        ------
        GANSegmentationError
            ``sequence_removed`` if the sequence is gone or its frames have changed, ``incomplete_sequence`` if a frame
            has no result. The scene is as it was then.
        """
        sequence = self._sequence
        _frameNode(sequence, len(self._indexValues) - 1)
        if [sequence.indexValue(frame) for frame in range(len(sequence))] != self._indexValues:
            raise GANSegmentationError(
                "sequence_removed",
                _("The frames of {name} have changed while they were being segmented.").format(
                    name=nameOf(sequence.proxyNode)
                ),
                action=_("Run again."),
            )
        missing = [frame for frame in range(len(sequence)) if frame not in self._nodes]
        if missing:
            raise GANSegmentationError(
                "incomplete_sequence",
                _("{count} frames of {name} have no result.").format(
                    count=len(missing), name=nameOf(sequence.proxyNode)
                ),
                action=_("Run again."),
            )
        try:
            return self._add()
        except BaseException:
            self.undo()
            raise

    def _add(self):
        source, browser, volumeNode = self._sequence.sequenceNode, self._sequence.browserNode, self._sequence.proxyNode
        scene = slicer.mrmlScene
        name = scene.GenerateUniqueName(_("{volume} segmentation").format(volume=volumeNode.GetName()))
        target = scene.AddNewNodeByClass("vtkMRMLSequenceNode", scene.GenerateUniqueName(name))
        self._created = (target,)
        target.SetIndexName(source.GetIndexName())
        target.SetIndexUnit(source.GetIndexUnit())
        target.SetIndexType(source.GetIndexType())
        target.SetNumericIndexValueTolerance(source.GetNumericIndexValueTolerance())
        for frame, indexValue in enumerate(self._indexValues):
            target.SetDataNodeAtValue(self._nodes[frame], indexValue)
        browser.AddSynchronizedSequenceNode(target)
        browser.SetOverwriteProxyName(target, False)
        browser.SetSaveChanges(target, True)  # what a reader corrects in a frame is kept
        shown = min(max(browser.GetSelectedItemNumber(), 0), len(self._indexValues) - 1)
        # The Sequences module's logic, where there is one, has made the node that shows the frames already.
        node = browser.GetProxyNode(target) or browser.AddProxyNode(self._nodes[shown], target, True)
        self._created = (target, node)
        node.SetName(name)
        if node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
        node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
        node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), volumeNode.GetID())
        placeBeside(node, volumeNode)
        return node

    def obstacle(self) -> str | None:
        """Why the result cannot be undone (any more), as a sentence; None if it can."""
        if self._created and all(isInScene(node) for node in self._created):
            return None
        return _("The segmentation was removed from the scene.")

    def undo(self) -> None:
        """Remove what `finish` added."""
        created, self._created = self._created, ()
        browser = self._sequence.browserNode
        if not created:
            return
        target = created[0]
        proxies = [*created[1:]]
        if isInScene(target) and isInScene(browser):
            proxies.append(browser.GetProxyNode(target))
            # First the tie: while it is there, a new node takes the place of the one that shows the frames.
            browser.RemoveSynchronizedSequenceNode(target.GetID())
        for node in (*proxies, target):
            removeNode(node)
