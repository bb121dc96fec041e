"""The .ui file and the code that uses it name the same things."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
UI = ElementTree.parse(PROJECT / "Resources" / "UI" / "GANSegmentation.ui").getroot()
MODULE = ast.parse((PROJECT / "GANSegmentation" / "GANSegmentation.py").read_text(encoding="utf-8"))
MRML_WIDGETS = [widget for widget in UI.iter("widget") if widget.get("class", "").startswith("qMRML")]


def test_every_widget_that_the_code_names_is_there():
    used = {
        node.attr
        for node in ast.walk(MODULE)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "ui"
    }
    assert used
    assert used <= {widget.get("name") for widget in UI.iter("widget")}


def test_every_bound_parameter_is_one_of_the_parameter_node():
    (parameter_node,) = (
        node for node in MODULE.body if isinstance(node, ast.ClassDef) and node.name == "GANSegmentationParameterNode"
    )
    parameters = {node.target.id for node in parameter_node.body if isinstance(node, ast.AnnAssign)}
    bound = {
        "".join(found.itertext()).strip() for found in UI.iter("property") if found.get("name") == "SlicerParameterName"
    }
    assert bound == {"inputVolume", "outputSegmentation"}
    assert bound <= parameters


def test_every_scene_widget_gets_the_scene():
    top, *inner = MRML_WIDGETS
    connected = {
        found.findtext("receiver")
        for found in UI.iter("connection")
        if (found.findtext("sender"), found.findtext("signal"), found.findtext("slot"))
        == (top.get("name"), "mrmlSceneChanged(vtkMRMLScene*)", "setMRMLScene(vtkMRMLScene*)")
    }
    assert connected == {widget.get("name") for widget in inner}


def test_every_foreign_class_is_declared_for_designer():
    declared = {found.findtext("class") for found in UI.iter("customwidget")}
    foreign = {found.get("class") for found in UI.iter("widget") if found.get("class", "").startswith(("ctk", "qMRML"))}
    assert foreign == declared


def test_every_control_says_what_it_is_for():
    """Apply gets its tooltip from the code, by what is missing."""
    controls = ("QComboBox", "qMRMLNodeComboBox", "QCheckBox", "QToolButton")
    without = [
        widget.get("name")
        for widget in UI.iter("widget")
        if widget.get("class") in controls and not any(p.get("name") == "toolTip" for p in widget.findall("property"))
    ]
    assert without == []
