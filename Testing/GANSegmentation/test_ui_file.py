"""The .ui file and the code that uses it name the same things, and the file is one that Slicer's Qt can load."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
UI = ElementTree.parse(PROJECT / "Resources" / "UI" / "GANSegmentation.ui").getroot()
MODULE_FOLDER = PROJECT / "GANSegmentation"
PARAMETERS = ast.parse((MODULE_FOLDER / "GANSegmentationPanel" / "parameters.py").read_text(encoding="utf-8"))
ICONS = PROJECT / "Resources" / "Icons"
WIDGETS = {widget.get("name"): widget for widget in UI.iter("widget")}

# These show a node that the code gives them; their scene is that node's.
WITHOUT_SCENE = {"qMRMLSegmentationShow3DButton", "qMRMLTableView"}
PASSIVE = {"qMRMLWidget", "QWidget"}
# What takes the keyboard; a collapsible section is reached by the mouse.
NOT_IN_TAB_ORDER = {"qMRMLWidget", "QLabel", "QProgressBar", "ctkCollapsibleButton"}


def properties(widget: ElementTree.Element) -> dict[str | None, str]:
    """A widget's own properties as texts."""
    return {found.get("name"): "".join(found.itertext()).strip() for found in widget.findall("property")}


def named(property_name: str) -> dict[str, str]:
    """The value of a property for each widget that has it."""
    return {
        name: properties(widget)[property_name]
        for name, widget in WIDGETS.items()
        if property_name in properties(widget)
    }


def test_names_are_given_once():
    names = [widget.get("name") for widget in UI.iter("widget")] + [layout.get("name") for layout in UI.iter("layout")]
    assert len(names) == len(set(names))


def test_every_widget_that_the_code_names_is_there():
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in MODULE_FOLDER.rglob("*.py")]
    used = {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr in ("ui", "_ui")
    }
    assert used
    assert used <= set(WIDGETS)


def test_every_bound_parameter_is_one_of_the_parameter_node():
    (parameter_node,) = (
        node
        for node in PARAMETERS.body
        if isinstance(node, ast.ClassDef) and node.name == "GANSegmentationParameterNode"
    )
    parameters = {node.target.id for node in parameter_node.body if isinstance(node, ast.AnnAssign)}
    bound = named("SlicerParameterName")
    assert len(set(bound.values())) == len(bound), "two widgets are bound to one parameter"
    assert set(bound.values()) <= parameters


def test_every_choice_that_a_widget_can_hold_is_bound():
    """`PlannedParameterName` becomes `SlicerParameterName` when the parameter node has the parameter."""
    bound = {**named("SlicerParameterName"), **named("PlannedParameterName")}
    assert bound == {
        "inputVolumeSelector": "inputVolume",
        "inputVolumeSelector1": "inputVolume1",
        "inputVolumeSelector2": "inputVolume2",
        "inputVolumeSelector3": "inputVolume3",
        "roiSelector": "roi",
        "sliceRangeCheckBox": "useSliceRange",
        "sequenceModeCheckBox": "allFrames",
        "outputSegmentationSelector": "outputSegmentation",
        "outputModeComboBox": "outputMode",
        "toleranceSpinBox": "surfaceTolerance",
        "resampleCheckBox": "resampleReference",
        "forceCheckBox": "force",
    }


def test_every_scene_widget_gets_the_scene():
    expected = {
        name
        for name, widget in WIDGETS.items()
        if widget.get("class", "").startswith("qMRML")
        and widget.get("class") not in WITHOUT_SCENE
        and name != "GANSegmentation"
    }
    connected = {
        found.findtext("receiver")
        for found in UI.iter("connection")
        if (found.findtext("sender"), found.findtext("signal"), found.findtext("slot"))
        == ("GANSegmentation", "mrmlSceneChanged(vtkMRMLScene*)", "setMRMLScene(vtkMRMLScene*)")
    }
    assert expected
    assert connected == expected


def test_every_foreign_class_is_declared_for_designer():
    declared = {found.findtext("class") for found in UI.iter("customwidget")}
    foreign = {found.get("class") for found in UI.iter("widget") if found.get("class", "").startswith(("ctk", "qMRML"))}
    assert foreign == declared


def test_everything_says_what_it_is_for():
    """Labels that only name a field are its buddies; everything else has a tooltip."""
    silent = [
        name
        for name, widget in WIDGETS.items()
        if widget.get("class") not in PASSIVE and not {"toolTip", "buddy"} & set(properties(widget))
    ]
    assert silent == []


def test_every_label_of_a_field_leads_to_it():
    assert set(named("buddy").values()) <= set(WIDGETS)


def test_the_tab_order_holds_every_control_once():
    order = [stop.text for stop in UI.iter("tabstop")]
    controls = [name for name, widget in WIDGETS.items() if widget.get("class") not in NOT_IN_TAB_ORDER]
    assert order == controls, "the order is the one on the screen"


def test_enumerations_are_written_as_qt_5_reads_them():
    """Qt 6's Designer writes Qt::Orientation::Horizontal, which Qt 5.15 takes for 0."""
    for found in [*UI.iter("enum"), *UI.iter("set")]:
        assert all(value.count("::") == 1 for value in (found.text or "").split("|")), found.text


def test_no_colours_and_no_style_sheets():
    assert not named("styleSheet")
    assert not named("palette")
    assert not list(UI.iter("color"))


def test_long_texts_of_models_and_files_are_plain():
    """Names of files and models are not markup. The browser of a model's details is the code's to escape."""
    wrapped = {name for name in named("wordWrap") if WIDGETS[name].get("class") == "QLabel"}
    assert {name: properties(WIDGETS[name])["textFormat"] for name in wrapped} == dict.fromkeys(
        wrapped, "Qt::PlainText"
    )


def test_every_icon_is_there_and_used():
    drawn = {path.stem for path in ICONS.glob("*.svg")} - {"GANSegmentation"}
    assert set(named("iconName").values()) == drawn


@pytest.mark.parametrize(
    "path", sorted(set(ICONS.glob("*.svg")) - {ICONS / "GANSegmentation.svg"}), ids=lambda p: p.stem
)
def test_icons_are_of_one_grey_for_light_and_dark(path):
    root = ElementTree.parse(path).getroot()
    assert root.get("viewBox") == "0 0 16 16"
    colours = {value for element in root.iter() for key, value in element.items() if key in ("stroke", "fill")}
    assert colours == {"none", "#808080"}
