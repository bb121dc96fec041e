"""The border to the MRML scene: volume nodes to `Volume`, labelmaps to segmentation nodes and back.

The library works in LPS and with arrays ``(z, y, x)``, MRML in RAS; `Geometry` converts, here nothing else does. A node
under a linear transform is taken where it is seen in the patient, in the world. Voxels are never resampled here: what
does not lie on the grid is refused, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import slicer.util
import vtk
import vtk.util.numpy_support
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Code, Geometry, Labelmap, Segment, Volume, serialise_terminology

BINARY_LABELMAP = "Binary labelmap"

# What the exporter of DICOM SEG reads from a segment (DICOM PS3.3 C.8.20.2, Segment Algorithm Type and Name).
ALGORITHM_TYPE_TAG = "DICOM.SegmentAlgorithmType"
ALGORITHM_NAME_TAG = "DICOM.SegmentAlgorithmName"
_LONG_STRING_LENGTH = 64  # DICOM's value representation LO

_LATTICE_TOLERANCE_VOXELS = 1e-3


# Volume nodes


def volumeFromNode(volumeNode) -> Volume:
    """The voxels and the place of a scalar volume node, in the world.

    The voxels are not copied: they are the node's own memory, read-only, and follow the node until it is changed.

    Raises
    ------
    GANSegmentationError
        ``invalid_volume`` if the node is no volume, has no voxels, is a labelmap, or has more than one value a voxel;
        ``nonlinear_transform`` if it lies under a transform that bends; ``invalid_geometry`` if it is sheared.
    """
    if not _isA(volumeNode, "vtkMRMLScalarVolumeNode"):
        raise GANSegmentationError(
            "invalid_volume",
            _("{name} is not a volume.").format(name=_nameOf(volumeNode)),
            action=_("Choose a CT or MR volume."),
        )
    image = volumeNode.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise _noVoxels(volumeNode, "invalid_volume")
    if volumeNode.IsA("vtkMRMLLabelMapVolumeNode") or image.GetNumberOfScalarComponents() != 1:
        raise GANSegmentationError(
            "invalid_volume",
            _("{name} is not a scalar volume.").format(name=volumeNode.GetName()),
            cause=_("It is a labelmap, a colour image or a series of several values a voxel."),
            action=_("Choose a CT or MR volume."),
        )
    facts = _dicomFacts(volumeNode)
    return Volume(
        array=slicer.util.arrayFromVolume(volumeNode),
        geometry=geometryFromNode(volumeNode),
        modality=facts.pop("Modality", None),
        name=volumeNode.GetName(),
        facts=facts,
    )


def _isA(node, className: str) -> bool:
    """Whether something is a node of a class; anything else that a script may pass is not."""
    return isinstance(node, slicer.vtkMRMLNode) and bool(node.IsA(className))


def _nameOf(node) -> str:
    return node.GetName() or node.GetID() if isinstance(node, slicer.vtkMRMLNode) else repr(node)


def _noVoxels(volumeNode, code: str) -> GANSegmentationError:
    return GANSegmentationError(
        code,
        _("The volume {name} has no voxels.").format(name=volumeNode.GetName()),
        cause=_("It was not loaded completely."),
        action=_("Load the series again."),
    )


def geometryFromNode(volumeNode) -> Geometry:
    """The grid of a volume or labelmap node, in the world; raises as `volumeFromNode`."""
    ijkToRas = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(ijkToRas)
    image = volumeNode.GetImageData()
    toWorld = _matrixToWorld(volumeNode)
    return _geometry(toWorld @ slicer.util.arrayFromVTKMatrix(ijkToRas), image.GetExtent())


def _geometry(indexToRas: np.ndarray, extent: Sequence[int]) -> Geometry:
    """The grid of an image whose first voxel has the index ``extent[0::2]``, which need not be zero."""
    first = np.eye(4)
    first[:3, 3] = extent[0::2]
    size = [extent[2 * axis + 1] - extent[2 * axis] + 1 for axis in range(3)]
    return Geometry.from_index_to_ras(indexToRas @ first, size)


def _matrixToWorld(node) -> np.ndarray:
    """The 4 x 4 matrix from a node's own coordinates to the world, RAS mm."""
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


def _dicomFacts(volumeNode) -> dict[str, str]:
    """What the scene knows of a volume's series and study, by DICOM keyword; nothing that names the patient."""
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    hierarchy, item = _hierarchyItem(volumeNode)
    study = hierarchy.GetItemAncestorAtLevel(item, constants.GetDICOMLevelStudy())
    facts = {
        "Modality": hierarchy.GetItemAttribute(item, constants.GetDICOMSeriesModalityAttributeName())
        or volumeNode.GetAttribute(constants.GetDICOMSeriesModalityAttributeName())
        or _modalityFromDatabase(volumeNode),
        "SeriesInstanceUID": hierarchy.GetItemUID(item, constants.GetDICOMUIDName()),
    }
    if study != hierarchy.GetInvalidItemID():
        facts["StudyInstanceUID"] = hierarchy.GetItemUID(study, constants.GetDICOMUIDName())
        facts["StudyDescription"] = hierarchy.GetItemAttribute(study, constants.GetDICOMStudyDescriptionAttributeName())
    return {keyword: value for keyword, value in facts.items() if value}


def _modalityFromDatabase(volumeNode) -> str | None:
    """The modality by the application's DICOM database, for a series that was loaded from there."""
    instances = (volumeNode.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    return database.instanceValue(instances[0], "0008,0060") if instances and database else None


def addVolumeNode(volume: Volume):
    """A new scalar volume node with the voxels (copied), the place, the name and the modality of a volume."""
    node = slicer.util.addVolumeFromArray(
        np.array(volume.array), ijkToRAS=volume.geometry.index_to_ras, name=volume.name or _("Volume")
    )
    if volume.modality:
        hierarchy, item = _hierarchyItem(node)
        constants = slicer.vtkMRMLSubjectHierarchyConstants
        hierarchy.SetItemAttribute(item, constants.GetDICOMSeriesModalityAttributeName(), volume.modality)
    return node


# Labelmap to segmentation node


def checkOutput(segmentationNode) -> None:
    """Refuse a node that segments cannot be added to, before a run and not after it; None is fine.

    Raises
    ------
    GANSegmentationError
        ``unsuitable_output`` if it is no segmentation, or its source representation is not the binary labelmap.
    """
    if segmentationNode is None:
        return
    if not _isA(segmentationNode, "vtkMRMLSegmentationNode"):
        raise GANSegmentationError(
            "unsuitable_output",
            _("{name} is not a segmentation.").format(name=_nameOf(segmentationNode)),
            action=_("Choose a segmentation, or none for a new one."),
        )
    segmentation = segmentationNode.GetSegmentation()
    if segmentation.GetNumberOfSegments() and segmentation.GetSourceRepresentationName() != BINARY_LABELMAP:
        raise GANSegmentationError(
            "unsuitable_output",
            _("{name} is made of surfaces, not of voxels.").format(name=segmentationNode.GetName()),
            action=_("Choose another segmentation, or make Binary labelmap its source representation."),
        )


def addLabelmapToSegmentation(labelmap: Labelmap, volumeNode, segmentationNode=None, algorithmName: str = ""):
    """Show the segments of a labelmap in a segmentation node beside the volume that they were found in.

    Segments are added; what the node holds already stays as it is, and a name that is taken gets a number.

    Parameters
    ----------
    labelmap:
        Labels on the volume's grid (in the world, as `volumeFromNode` gave it).
    volumeNode:
        The volume; it becomes the reference geometry and the place in the subject hierarchy.
    segmentationNode:
        The node to add to; None for a new one, which follows the volume's transform. There is also a new one if the
        node was removed from the scene while the labels were computed.
    algorithmName:
        What made the labels, for the tag that DICOM SEG carries.

    Returns
    -------
    The segmentation node.

    Raises
    ------
    GANSegmentationError
        ``volume_removed`` if the volume is not in the scene (any more), ``geometry_mismatch`` if the labelmap is not
        on the volume's grid, ``unsuitable_output`` as `checkOutput`.
    """
    if volumeNode.GetScene() is None:
        raise GANSegmentationError(
            "volume_removed",
            _("The volume {name} is not in the scene.").format(name=volumeNode.GetName()),
            cause=_("It was removed, or the scene was closed, while it was being segmented."),
            action=_("Load the volume and run again."),
        )
    if not labelmap.geometry.matches(geometryFromNode(volumeNode)):
        raise GANSegmentationError(
            "geometry_mismatch",
            _("The labels do not lie on the grid of {name}.").format(name=volumeNode.GetName()),
            cause=_("The volume was changed or moved while it was being segmented."),
            action=_("Run again."),
        )
    checkOutput(segmentationNode)
    isThere = segmentationNode is not None and segmentationNode.GetScene() is not None
    node = segmentationNode if isThere else _newSegmentationNode(volumeNode)
    segmentation = node.GetSegmentation()
    if segmentation.GetNumberOfSegments() == 0:
        segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
    image = _orientedImage(labelmap, np.linalg.inv(_matrixToWorld(node)))
    with slicer.util.NodeModify(node):
        node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
        node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), volumeNode.GetID())
        for segment in labelmap.segments:
            _addSegment(segmentation, segment, image, algorithmName)
    placeBeside(node, volumeNode)
    return node


def _newSegmentationNode(volumeNode):
    name = slicer.mrmlScene.GenerateUniqueName(_("{volume} segmentation").format(volume=volumeNode.GetName()))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    return node


def _orientedImage(labelmap: Labelmap, worldToNode: np.ndarray):
    """The labels as a vtkOrientedImageData in the coordinates of a segmentation node."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*labelmap.geometry.size)
    scalarType = vtk.util.numpy_support.get_vtk_array_type(labelmap.array.dtype)
    image.AllocateScalars(scalarType, 1)
    scalars = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    scalars.reshape(labelmap.geometry.shape)[:] = labelmap.array
    image.SetGeometryFromImageToWorldMatrix(
        slicer.util.vtkMatrixFromArray(worldToNode @ labelmap.geometry.index_to_ras)
    )
    return image


def _addSegment(segmentation, segment: Segment, image, algorithmName: str) -> None:
    """Add one segment; the segments of a labelmap share its image, each by its own label value."""
    identifier = segmentation.GenerateUniqueSegmentID(segment.name)
    taken = {segmentation.GetNthSegment(i).GetName() for i in range(segmentation.GetNumberOfSegments())}
    node = slicer.vtkSegment()
    node.SetName(identifier if segment.name in taken else segment.name)
    node.SetColor(*(channel / 255 for channel in segment.colour))
    terminology = serialise_terminology(segment)
    if terminology is not None:  # else Slicer's own default stays: tissue
        node.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology)
    node.SetTag(ALGORITHM_TYPE_TAG, "AUTOMATIC")
    node.SetTag(ALGORITHM_NAME_TAG, (algorithmName or "GANSegmentation")[:_LONG_STRING_LENGTH])
    node.SetLabelValue(segment.value)
    node.AddRepresentation(BINARY_LABELMAP, image)
    segmentation.AddSegment(node, identifier)


def placeBeside(node, volumeNode) -> None:
    """Put a node under the same study as a volume in the subject hierarchy, as the DICOM export wants it."""
    hierarchy, volumeItem = _hierarchyItem(volumeNode)
    _hierarchy, item = _hierarchyItem(node)
    hierarchy.SetItemParent(item, hierarchy.GetItemParent(volumeItem))


def _hierarchyItem(node):
    """The subject hierarchy and the item of a node in it."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node)
    if item == hierarchy.GetInvalidItemID():  # in the application its plugins have made the item already
        item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    return hierarchy, item


# Segmentation node to labelmap


def labelmapFromNode(node, geometry: Geometry | None = None) -> Labelmap:
    """The labels of a segmentation node or a labelmap volume node, in the world.

    Parameters
    ----------
    node:
        A vtkMRMLSegmentationNode or a vtkMRMLLabelMapVolumeNode.
    geometry:
        The grid for a segmentation that knows no reference geometry of its own.

    Raises
    ------
    GANSegmentationError
        ``invalid_labelmap`` if the node is neither, or a labelmap volume holds other than whole numbers of zero or
        more; ``no_geometry`` if no grid is known, ``geometry_mismatch`` if a segment is drawn on another grid or
        reaches beyond it, ``overlapping_segments`` if a voxel belongs to two segments, ``no_labelmap`` if a segment is
        only a surface.
    """
    if _isA(node, "vtkMRMLSegmentationNode"):
        return _labelmapFromSegmentation(node, geometry)
    if not _isA(node, "vtkMRMLLabelMapVolumeNode"):
        raise GANSegmentationError(
            "invalid_labelmap",
            _("{name} is neither a segmentation nor a labelmap volume.").format(name=_nameOf(node)),
            cause=_("A mask that is loaded as a plain volume does not say that its numbers are labels."),
            action=_("Choose a segmentation, or convert the volume to a labelmap (Volumes module)."),
        )
    if node.GetImageData() is None or node.GetImageData().GetNumberOfPoints() == 0:
        raise _noVoxels(node, "invalid_labelmap")
    array = slicer.util.arrayFromVolume(node)
    if array.dtype.kind == "i" and array.min(initial=0) >= 0:
        array = array.astype(np.uint16 if array.max(initial=0) < 2**16 else np.uint32)
    return Labelmap(array, geometryFromNode(node))


def _labelmapFromSegmentation(node, geometry: Geometry | None) -> Labelmap:
    segmentation = node.GetSegmentation()
    geometry = _referenceGeometry(node) or geometry
    if geometry is None:
        raise GANSegmentationError(
            "no_geometry",
            _("{name} does not say on which grid it was drawn.").format(name=node.GetName()),
            cause=_("It was imported without its volume."),
            action=_("Set its source geometry in the Segment Editor."),
        )
    count = segmentation.GetNumberOfSegments()
    labels = np.zeros(geometry.shape, np.uint8 if count < 256 else np.uint16)
    segments = []
    for value, identifier in enumerate(segmentation.GetSegmentIDs(), start=1):
        mask = _segmentMask(node, identifier, geometry)
        if np.any(labels[mask]):
            raise GANSegmentationError(
                "overlapping_segments",
                _("Segment {segment} of {name} overlaps with another one.").format(
                    segment=segmentation.GetSegment(identifier).GetName(), name=node.GetName()
                ),
                cause=_("A voxel can have only one label here."),
                action=_("Compare the overlapping structures one at a time, in segmentations of their own."),
            )
        labels[mask] = value
        segments.append(segmentFromNode(segmentation.GetSegment(identifier), value))
    return Labelmap(labels, geometry, segments)


def _referenceGeometry(node) -> Geometry | None:
    """The grid that a segmentation says it was drawn on, in the world."""
    parameter = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    text = node.GetSegmentation().GetConversionParameter(parameter)
    image = slicer.vtkOrientedImageData()
    if not text or not slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, image, False):
        return None
    return _geometry(_matrixToWorld(node) @ _imageToWorld(image), image.GetExtent())


def _segmentMask(node, identifier: str, geometry: Geometry) -> np.ndarray:
    """One segment on a grid, bool ``(z, y, x)``; copied voxel by voxel, so the lattices must be one."""
    name = node.GetSegmentation().GetSegment(identifier).GetName()
    image = slicer.vtkOrientedImageData()
    if not node.GetBinaryLabelmapRepresentation(identifier, image):
        raise GANSegmentationError(
            "no_labelmap",
            _("Segment {segment} of {name} has no voxels, only a surface.").format(segment=name, name=node.GetName()),
            action=_("Create its binary labelmap in the Segmentations module."),
        )
    mask = np.zeros(geometry.shape, bool)
    if image.IsEmpty():
        return mask
    toIndex = np.linalg.inv(geometry.index_to_ras) @ _matrixToWorld(node) @ _imageToWorld(image)
    extent = np.array(image.GetExtent()).reshape(3, 2)
    size = extent[:, 1] - extent[:, 0] + 1
    first = toIndex[:3, :3] @ extent[:, 0] + toIndex[:3, 3]
    start = np.rint(first).astype(int)
    # How far the voxel farthest from the first one is off the lattice, added to how far the first one is.
    off = np.abs(first - start).max() + (np.abs(toIndex[:3, :3] - np.eye(3)) @ size).max()
    voxels = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(tuple(size[::-1])) != 0
    inside = _inside(start, size, geometry)
    if off > _LATTICE_TOLERANCE_VOXELS or np.count_nonzero(voxels) != np.count_nonzero(voxels[inside]):
        raise GANSegmentationError(
            "geometry_mismatch",
            _("Segment {segment} of {name} does not lie on the grid.").format(segment=name, name=node.GetName()),
            cause=_("It was drawn on another volume, or reaches beyond this one."),
            action=_("Resample it to the volume's geometry first (Segment Editor, source geometry)."),
        )
    target = tuple(
        slice(max(int(s), 0), min(int(s + n), limit))
        for s, n, limit in zip(start[::-1], size[::-1], geometry.shape, strict=True)
    )
    mask[target] = voxels[inside]
    return mask


def _inside(start: np.ndarray, size: np.ndarray, geometry: Geometry) -> tuple[slice, ...]:
    """The part ``(z, y, x)`` of an image at index `start` that lies within a grid."""
    return tuple(
        slice(max(-int(s), 0), max(min(int(n), limit - int(s)), 0))
        for s, n, limit in zip(start[::-1], size[::-1], geometry.shape, strict=True)
    )


def _imageToWorld(image) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


# Terminology


def segmentFromNode(node, value: int) -> Segment:
    """Name, colour and codes of a vtkSegment, for a label value."""
    tag = vtk.reference("")
    node.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), tag)
    entry = slicer.vtkSlicerTerminologyEntry()
    slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(str(tag), entry)
    red, green, blue = (round(255 * channel) for channel in node.GetColor())
    return Segment(
        value=value,
        name=node.GetName(),
        colour=(red, green, blue),
        category=_code(entry.GetCategoryObject()),
        type=_code(entry.GetTypeObject()),
        type_modifier=_code(entry.GetTypeModifierObject()),
        region=_code(entry.GetRegionObject()),
        region_modifier=_code(entry.GetRegionModifierObject()),
    )


def _code(coded) -> Code | None:
    if coded is None or not coded.GetCodeValue():
        return None
    return Code(coded.GetCodingSchemeDesignator(), coded.GetCodeValue(), coded.GetCodeMeaning() or "")
