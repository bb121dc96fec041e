"""Segmentations out of the scene: to files, to DICOM SEG by their source files, to Slicer's statistics."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import slicer
import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import write_labelmap
from GANSegmentationLib.volumes.atomic import written_beside

from .nodes import isA, isInScene, nameOf, removeNode
from .segmentations import labelmapFromNode
from .terminology import ALGORITHM_NAME_TAG, ALGORITHM_TYPE_TAG, tagOf
from .volumes import geometryFromNode

_SLICER_SUFFIX = ".seg.nrrd"
_DICOM_PREAMBLE = 128
_DICOM_MARK = b"DICM"


def exportSegmentation(segmentationNode, path, volumeNode=None) -> Path:
    """Write a segmentation to a file; the ending of the name decides the format.

    ``.seg.nrrd`` keeps names, colours, terminology and overlapping segments; ``.nii.gz``, ``.nii``, ``.nrrd`` and
    ``.mha`` hold label values alone, 1 for the first segment.

    Parameters
    ----------
    volumeNode:
        The grid for a segmentation that does not know its own.

    Raises
    ------
    GANSegmentationError
        As `labelmapFromNode` (overlapping segments only for formats that cannot hold them), and ``unknown_format``,
        ``folder_not_found``, ``write_failed``.
    """
    target = Path(path)
    if not isInScene(segmentationNode) or not isA(segmentationNode, "vtkMRMLSegmentationNode"):
        raise GANSegmentationError(
            "segmentation_removed",
            _("The segmentation {name} is not in the scene.").format(name=nameOf(segmentationNode)),
            action=_("Choose a segmentation that exists."),
        )
    isSlicerFile = target.name.lower().endswith(_SLICER_SUFFIX)
    algorithm = _algorithmOfAll(segmentationNode)
    if isSlicerFile and algorithm is None:
        return _writeBySlicer(segmentationNode, target)  # the library writes one algorithm for all segments
    geometry = geometryFromNode(volumeNode) if isInScene(volumeNode) else None
    try:
        labelmap = labelmapFromNode(segmentationNode, geometry)
    except GANSegmentationError as error:
        if error.code != "overlapping_segments" or not isSlicerFile:
            raise
        return _writeBySlicer(segmentationNode, target)
    return write_labelmap(labelmap, target, algorithm_name=algorithm)


def _algorithmOfAll(segmentationNode) -> str | None:
    """The algorithm that made all segments; None if there are several, or a person had a hand in it."""
    segmentation = segmentationNode.GetSegmentation()
    made = set()
    for identifier in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(identifier)
        made.add((tagOf(segment, ALGORITHM_TYPE_TAG), tagOf(segment, ALGORITHM_NAME_TAG)))
    kind, name = made.pop() if len(made) == 1 else ("", "")
    return name if kind == "AUTOMATIC" else None


def _writeBySlicer(segmentationNode, target: Path) -> Path:
    """Write by Slicer's own storage node, which keeps each segment's tags and layers, whole or not at all."""
    with written_beside(target) as folder:
        storage = slicer.vtkMRMLSegmentationStorageNode()
        storage.SetFileName(str(folder / target.name))
        if not storage.WriteData(segmentationNode):
            raise GANSegmentationError(
                "write_failed",
                _("{name} could not be written to {path}.").format(name=segmentationNode.GetName(), path=target),
                cause=_("The disk may be full, or the segmentation has no voxels."),
                action=_("Choose another place."),
            )
    return target


# DICOM


@dataclass(frozen=True)
class SourceFiles:
    """The DICOM files of a volume, or why there are none, as a sentence for the tooltip of a disabled button."""

    files: tuple[str, ...] = ()
    reason: str = ""


def sourceFiles(volumeNode) -> SourceFiles:
    """The DICOM files that a volume was loaded from, which a DICOM SEG object refers to.

    They are looked up in the application's DICOM database by the volume's instances, else in the volume's storage node.
    """
    if not isInScene(volumeNode):
        return SourceFiles(reason=_("The volume is not in the scene."))
    files = _filesFromDatabase(volumeNode) or _filesFromStorage(volumeNode)
    if not files:
        return SourceFiles(reason=_("The volume was not loaded from DICOM files."))
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        return SourceFiles(
            reason=_("{count} of the volume's DICOM files are not there any more, {file} among them.").format(
                count=len(missing), file=missing[0]
            )
        )
    if not all(_isDicom(Path(file)) for file in files):
        return SourceFiles(reason=_("The volume was not loaded from DICOM files."))
    return SourceFiles(tuple(files))


def whyNoDicomSeg(volumeNode) -> str | None:
    """Why a segmentation of a volume cannot be exported as DICOM SEG, as a sentence; None if it can."""
    if importlib.util.find_spec("highdicom") is None:
        return _("This installation has no highdicom, which comes with 3D Slicer 5.12 and later.")
    return sourceFiles(volumeNode).reason or None


def _filesFromDatabase(volumeNode) -> list[str]:
    database = getattr(slicer, "dicomDatabase", None)
    instances = (volumeNode.GetAttribute("DICOM.instanceUIDs") or "").split()
    return [database.fileForInstance(instance) for instance in instances] if database else []


def _filesFromStorage(volumeNode) -> list[str]:
    storage = volumeNode.GetStorageNode()
    if storage is None:
        return []
    # A series that was read by its first file has the others in the list.
    files = [storage.GetFullNameFromFileName()]
    files += [storage.GetFullNameFromNthFileName(i) for i in range(storage.GetNumberOfFileNames())]
    return list(dict.fromkeys(file for file in files if file))


def _isDicom(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(_DICOM_PREAMBLE + len(_DICOM_MARK)).endswith(_DICOM_MARK)


# Statistics


def hasStatistics() -> bool:
    """Whether this application has Slicer's module Segment Statistics."""
    return hasattr(slicer.modules, "segmentstatistics")


def showStatistics(segmentationNode, volumeNode=None, tableNode=None):
    """Compute Slicer's segment statistics (volume, surface, intensities) and show them in a table.

    Parameters
    ----------
    volumeNode:
        The volume whose intensities are measured; None for none.
    tableNode:
        The table to fill again; None for a new one.

    Returns
    -------
    The table node.

    Raises
    ------
    GANSegmentationError
        ``no_statistics`` if the application lacks the module, ``segmentation_removed``.
    """
    if not hasStatistics():
        raise GANSegmentationError(
            "no_statistics",
            _("This application has no module Segment Statistics."),
            action=_("Use a complete installation of 3D Slicer."),
        )
    if not isInScene(segmentationNode):
        raise GANSegmentationError(
            "segmentation_removed",
            _("The segmentation {name} is not in the scene.").format(name=nameOf(segmentationNode)),
            action=_("Choose a segmentation that exists."),
        )
    import SegmentStatistics

    logic = SegmentStatistics.SegmentStatisticsLogic()
    parameters = logic.getParameterNode()
    parameters.SetParameter("Segmentation", segmentationNode.GetID())
    parameters.SetParameter("ScalarVolume", volumeNode.GetID() if isInScene(volumeNode) else "")
    logic.computeStatistics()
    isNew = not isInScene(tableNode)
    if isNew:
        title = _("{name} statistics").format(name=segmentationNode.GetName())
        tableNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", slicer.mrmlScene.GenerateUniqueName(title))
    try:
        logic.exportToTable(tableNode)
        logic.showTable(tableNode)
    except BaseException:
        if isNew:
            removeNode(tableNode)
        raise
    return tableNode
