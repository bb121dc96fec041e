"""Stand-ins for the ctk and qMRML widgets of the module's .ui file: what they do, and roughly how they look."""

from __future__ import annotations

import sys

import slicer

from .. import pythonqt
from .base import qMRMLWidget, qSlicerScriptedLoadableModuleWidget
from .inputs import ctkCheckableComboBox, ctkFittedTextBrowser, ctkSearchBox
from .node_combo_box import qMRMLNodeComboBox
from .nodes import qMRMLSegmentationShow3DButton, qMRMLTableView
from .paths import PathFilter, ctkDirectoryButton, ctkPathLineEdit
from .ranges import ctkRangeWidget
from .sections import ctkCollapsibleButton

__all__ = ["STAND_INS", "install", "qMRMLWidget", "qSlicerScriptedLoadableModuleWidget"]

STAND_INS = (
    ctkCheckableComboBox,
    ctkCollapsibleButton,
    ctkDirectoryButton,
    ctkFittedTextBrowser,
    ctkPathLineEdit,
    ctkRangeWidget,
    ctkSearchBox,
    qMRMLNodeComboBox,
    qMRMLSegmentationShow3DButton,
    qMRMLTableView,
    qMRMLWidget,
    qSlicerScriptedLoadableModuleWidget,
)

_PYTHON_SIGNALS = {
    "qMRMLWidget": {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"},
    "qMRMLTableView": {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"},
    "qMRMLNodeComboBox": {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "currentNodeChanged",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
    },
}


def install() -> None:
    """Offer the stand-ins to .ui files, and as `ctk.*` and `slicer.*`."""
    for kind in STAND_INS:
        pythonqt.stand_ins[kind.__name__] = kind
        setattr(sys.modules["ctk"] if kind.__name__.startswith("ctk") else slicer, kind.__name__, kind)
    for value in PathFilter:
        setattr(ctkPathLineEdit, value.name, value)
    pythonqt.enumerations["ctkPathLineEdit"] = PathFilter
    pythonqt.python_signals.update(_PYTHON_SIGNALS)
