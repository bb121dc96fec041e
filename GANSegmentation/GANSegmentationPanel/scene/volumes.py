"""Volume nodes to `Volume`, and a `Volume` to a volume node."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Volume

from .nodes import geometryOfImage, hierarchyItem, isA, matrixToWorld, nameOf


def volumeFromNode(volumeNode) -> Volume:
    """The voxels and the place of a scalar volume node, in the world.

    The voxels are not copied: they are the node's own memory, read-only, and follow the node until it is changed.

    Raises
    ------
    GANSegmentationError
        ``invalid_volume`` if the node is no volume, has no voxels, is a labelmap, or has more than one value a voxel;
        ``nonlinear_transform`` if it lies under a transform that bends; ``invalid_geometry`` if it is sheared.
    """
    requireScalarVolume(volumeNode)
    facts = _dicomFacts(volumeNode)
    return Volume(
        array=slicer.util.arrayFromVolume(volumeNode),
        geometry=geometryFromNode(volumeNode),
        modality=facts.pop("Modality", None),
        name=volumeNode.GetName(),
        facts=facts,
    )


def requireScalarVolume(volumeNode) -> None:
    """Refuse what is not a scalar volume with voxels; raises ``invalid_volume`` as `volumeFromNode` says."""
    if not isA(volumeNode, "vtkMRMLScalarVolumeNode"):
        raise GANSegmentationError(
            "invalid_volume",
            _("{name} is not a volume.").format(name=nameOf(volumeNode)),
            action=_("Choose a CT or MR volume."),
        )
    image = volumeNode.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise noVoxels(volumeNode, "invalid_volume")
    if volumeNode.IsA("vtkMRMLLabelMapVolumeNode") or image.GetNumberOfScalarComponents() != 1:
        raise GANSegmentationError(
            "invalid_volume",
            _("{name} is not a scalar volume.").format(name=volumeNode.GetName()),
            cause=_("It is a labelmap, a colour image or a series of several values a voxel."),
            action=_("Choose a CT or MR volume."),
        )


def noVoxels(volumeNode, code: str) -> GANSegmentationError:
    """The error, with a code of the caller's, for a volume node without voxels."""
    return GANSegmentationError(
        code,
        _("The volume {name} has no voxels.").format(name=volumeNode.GetName()),
        cause=_("It was not loaded completely."),
        action=_("Load the series again."),
    )


def geometryFromNode(volumeNode) -> Geometry:
    """The grid of a volume or labelmap node, in the world; raises as `volumeFromNode`."""
    return geometryUnder(volumeNode, matrixToWorld(volumeNode))


def geometryUnder(volumeNode, toWorld: np.ndarray) -> Geometry:
    """The grid of a volume node that a 4 x 4 matrix (RAS) takes from its own coordinates to the world."""
    image = volumeNode.GetImageData()
    if image is None:
        raise noVoxels(volumeNode, "invalid_volume")
    ijkToRas = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(ijkToRas)
    return geometryOfImage(toWorld @ slicer.util.arrayFromVTKMatrix(ijkToRas), image.GetExtent())


def addVolumeNode(volume: Volume):
    """A new scalar volume node with the voxels (copied), the place, the name and the modality of a volume."""
    node = slicer.util.addVolumeFromArray(
        np.array(volume.array), ijkToRAS=volume.geometry.index_to_ras, name=volume.name or _("Volume")
    )
    if volume.modality:
        hierarchy, item = hierarchyItem(node)
        constants = slicer.vtkMRMLSubjectHierarchyConstants
        hierarchy.SetItemAttribute(item, constants.GetDICOMSeriesModalityAttributeName(), volume.modality)
    return node


def _dicomFacts(volumeNode) -> dict[str, str]:
    """What the scene knows of a volume's series and study, by DICOM keyword; nothing that names the patient."""
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    hierarchy, item = hierarchyItem(volumeNode)
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
