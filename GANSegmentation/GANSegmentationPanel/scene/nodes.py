"""What all files of the border share: kinds of nodes, coordinates, places in the subject hierarchy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry


def isA(node, className: str) -> bool:
    """Whether something is a node of a class; anything else that a script may pass is not."""
    return isinstance(node, slicer.vtkMRMLNode) and bool(node.IsA(className))


def nameOf(node) -> str:
    """What to call whatever was passed in place of a node."""
    return node.GetName() or node.GetID() or "" if isinstance(node, slicer.vtkMRMLNode) else repr(node)


def isInScene(node) -> bool:
    """Whether a node is in the application's scene (still)."""
    return isinstance(node, slicer.vtkMRMLNode) and node.GetScene() is slicer.mrmlScene


def matrixToWorld(node) -> np.ndarray:
    """The 4 x 4 matrix from a node's own coordinates to the world, RAS mm.

    Raises
    ------
    GANSegmentationError
        ``nonlinear_transform`` if the node lies under a transform that bends.
    """
    transformNode = node.GetParentTransformNode()
    if transformNode is None:
        return np.eye(4)
    matrix = vtk.vtkMatrix4x4()
    if not transformNode.IsTransformToWorldLinear() or not transformNode.GetMatrixTransformToWorld(matrix):
        raise GANSegmentationError(
            "nonlinear_transform",
            _("{name} lies under the transform {transform}, which bends or shears its grid.").format(
                name=node.GetName(), transform=transformNode.GetName()
            ),
            cause=_("It was registered without keeping straight lines, or has uneven slices or a tilted gantry."),
            action=_("Harden the transform on the volume (Data module, right click), then run again."),
        )
    return slicer.util.arrayFromVTKMatrix(matrix)


def geometryOfImage(indexToRas: np.ndarray, extent: Sequence[int]) -> Geometry:
    """The grid of an image whose first voxel has the index ``extent[0::2]``, which need not be zero.

    Parameters
    ----------
    indexToRas:
        4 x 4 matrix from an index ``(x, y, z)`` to RAS mm.
    extent:
        First and last index along x, y, z, as VTK has it.
    """
    first = np.eye(4)
    first[:3, 3] = extent[0::2]
    size = [extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in range(3)]
    return Geometry.from_index_to_ras(indexToRas @ first, size)


def hierarchyItem(node):
    """The subject hierarchy and the item of a node in it."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node)
    if item == hierarchy.GetInvalidItemID():  # in the application its plugins have made the item already
        item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    return hierarchy, item


def placeBeside(node, volumeNode) -> None:
    """Put a node under the same study or folder as a volume in the subject hierarchy, as the DICOM export wants it."""
    hierarchy, volumeItem = hierarchyItem(volumeNode)
    _hierarchy, item = hierarchyItem(node)
    hierarchy.SetItemParent(item, hierarchy.GetItemParent(volumeItem))


def removeNode(node) -> None:
    """Take a node and what was made for it alone (display, storage, hierarchy item) out of the scene."""
    if not isInScene(node):
        return
    helpers = []
    if node.IsA("vtkMRMLStorableNode"):
        helpers += [node.GetNthStorageNode(i) for i in range(node.GetNumberOfStorageNodes())]
    if node.IsA("vtkMRMLDisplayableNode"):
        helpers += [node.GetNthDisplayNode(i) for i in range(node.GetNumberOfDisplayNodes())]
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node)
    if item != hierarchy.GetInvalidItemID():  # first the item: it outlives its node where no plugin looks after it
        hierarchy.RemoveItem(item, False, True)
    for each in (node, *helpers):
        if isInScene(each):
            slicer.mrmlScene.RemoveNode(each)
