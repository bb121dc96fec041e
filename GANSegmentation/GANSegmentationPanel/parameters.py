"""The choices of the panel, as Slicer's parameter node keeps them with the scene."""

from enum import Enum
from typing import Annotated

from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTableNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


class OutputMode(Enum):
    """Where a result goes (`GANSegmentationPanel.scene.OutputMode` has the rules)."""

    NEW = "new"
    ADD = "add"
    REPLACE = "replace"
    MERGE = "merge"

    def label(self):
        """The text in the panel."""
        return {
            "new": _("Make a new segmentation"),
            "add": _("Add segments to it"),
            "replace": _("Replace the same structures"),
            "merge": _("Unite with the same structures"),
        }[self.value]


@parameterNodeWrapper
class GANSegmentationParameterNode:
    """What the panel shows, saved with the scene; what belongs to a computer (its devices) is in the settings."""

    inputVolume: vtkMRMLScalarVolumeNode
    inputVolume1: vtkMRMLScalarVolumeNode  # further channels, for models that need them
    inputVolume2: vtkMRMLScalarVolumeNode
    inputVolume3: vtkMRMLScalarVolumeNode
    modelId: str = ""  # empty: by the modality of the volume
    domain: str = ""  # empty: by the modality of the volume
    roi: vtkMRMLMarkupsROINode
    useSliceRange: bool = False
    firstSlice: int = 0
    lastSlice: int = -1  # -1: the last there is
    allFrames: bool = False
    force: bool = False
    outputSegmentation: vtkMRMLSegmentationNode
    outputMode: OutputMode = OutputMode.NEW
    excludedSegments: list[str]
    referenceSegmentation: vtkMRMLSegmentationNode
    referenceLabelmap: vtkMRMLLabelMapVolumeNode
    metrics: list[str]  # empty: all
    surfaceTolerance: Annotated[float, WithinRange(0, 50)] = 0.0  # mm; 0: no surface Dice
    resampleReference: bool = False
    metricsTable: vtkMRMLTableNode
