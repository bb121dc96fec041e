"""The border to the MRML scene: nodes to voxels, tables and regions of the library, and results back to nodes.

The library works in LPS and with arrays ``(z, y, x)``, MRML in RAS; `Geometry` converts, and only here is it asked to.
A node under a linear transform is taken where it is seen in the patient, in the world. Voxels are never resampled
unless a function says so and was asked to: what does not lie on the grid is refused, with the reason. Everything here
runs in the application's main thread, opens no dialog, and leaves nothing in the scene when it fails.
"""

from .comparison import (
    Comparison,
    ComparisonJob,
    SegmentPair,
    collectScores,
    contentStamp,
    makePair,
    pairSegments,
    prepareComparison,
    segmentsOf,
)
from .export import SourceFiles, exportSegmentation, hasStatistics, showStatistics, sourceFiles, whyNoDicomSeg
from .nodes import hierarchyItem, placeBeside, removeNode
from .output import OutputMode, PlannedSegment, checkOutput, outputMode, planOutput
from .region import (
    IndexBox,
    boxOfRoi,
    boxOfSlices,
    regionBox,
    sliceAxis,
)
from .review import WorstSlice, acceptSegments, flagSegments, hideErrors, jumpToRas, setStatus, showErrors, worstSlices
from .segmentations import BINARY_LABELMAP, labelmapFromNode
from .sequences import SegmentationFrames, VolumeSequence, frameVolume, sequenceOf
from .tables import areScoresOf, bindScores, metricTitles, scoreOf, showScores, statusTexts, writeScores
from .terminology import ALGORITHM_NAME_TAG, ALGORITHM_TYPE_TAG, matchSegments, normalName, segmentFromNode
from .undo import Snapshot, UndoStep
from .volumes import addVolumeNode, geometryFromNode, volumeFromNode
from .writing import Written, addLabelmapToSegmentation, writeLabelmap

__all__ = [
    "ALGORITHM_NAME_TAG",
    "ALGORITHM_TYPE_TAG",
    "BINARY_LABELMAP",
    "Comparison",
    "ComparisonJob",
    "IndexBox",
    "OutputMode",
    "PlannedSegment",
    "SegmentPair",
    "SegmentationFrames",
    "Snapshot",
    "SourceFiles",
    "UndoStep",
    "VolumeSequence",
    "WorstSlice",
    "Written",
    "acceptSegments",
    "addLabelmapToSegmentation",
    "addVolumeNode",
    "areScoresOf",
    "bindScores",
    "boxOfRoi",
    "boxOfSlices",
    "checkOutput",
    "collectScores",
    "contentStamp",
    "exportSegmentation",
    "flagSegments",
    "frameVolume",
    "geometryFromNode",
    "hasStatistics",
    "hideErrors",
    "hierarchyItem",
    "jumpToRas",
    "labelmapFromNode",
    "makePair",
    "matchSegments",
    "metricTitles",
    "normalName",
    "outputMode",
    "pairSegments",
    "placeBeside",
    "planOutput",
    "prepareComparison",
    "regionBox",
    "removeNode",
    "scoreOf",
    "segmentFromNode",
    "segmentsOf",
    "sequenceOf",
    "setStatus",
    "showErrors",
    "showScores",
    "showStatistics",
    "sliceAxis",
    "sourceFiles",
    "statusTexts",
    "volumeFromNode",
    "whyNoDicomSeg",
    "worstSlices",
    "writeLabelmap",
    "writeScores",
]
