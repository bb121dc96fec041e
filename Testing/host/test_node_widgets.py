"""The qMRML widgets, over real nodes."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def slicer(scene):
    import slicer
    import slicer.util

    return slicer


@pytest.fixture
def selector(slicer, scene):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.showChildNodeTypes = False
    selector.addEnabled = selector.removeEnabled = False
    selector.setMRMLScene(scene)
    yield selector
    selector.setMRMLScene(None)


def rows(selector):
    box = selector._combo_box
    return [box.itemText(row) for row in range(box.count)]


def volume(slicer, name="CT"):
    return slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16), name=name)


def test_the_nodes_of_the_scene_are_offered_and_the_first_is_taken(selector, slicer, heard):
    said = heard(selector, "currentNodeChanged(vtkMRMLNode*)")
    first, _second = volume(slicer), volume(slicer, "MR")
    slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.uint8), nodeClassName="vtkMRMLLabelMapVolumeNode")
    assert (rows(selector), selector.currentNode()) == (["CT", "MR"], first)
    assert said == [(first,)]
    first.SetName("CT 1")
    assert rows(selector) == ["CT 1", "MR"]
    slicer.mrmlScene.RemoveNode(first)
    assert rows(selector) == ["MR"]
    assert selector.currentNodeID == selector.currentNode().GetID()


def test_with_none_enabled_nothing_is_taken_by_itself(selector, slicer):
    selector.noneEnabled = True
    selector.noneDisplay = "Whole volume"
    node = volume(slicer)
    assert (rows(selector), selector.currentNode()) == (["Whole volume", "CT"], None)
    selector.setCurrentNode(node)
    assert selector._combo_box.currentText == "CT"
    selector._on_activated(0)
    assert selector.currentNode() is None


def test_a_row_makes_and_one_removes_a_node(selector, slicer):
    selector.addEnabled = selector.removeEnabled = True
    selector.baseName = "scan"
    selector._on_activated(rows(selector).index("Create new ScalarVolume"))
    assert selector.currentNode().GetName() == "scan"
    selector._on_activated(rows(selector).index("Delete current ScalarVolume"))
    assert selector.currentNode() is None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


def test_a_selector_without_a_scene_is_disabled_and_takes_nodes_only(selector, slicer):
    assert selector._combo_box.enabled is True
    with pytest.raises(TypeError):
        selector.setCurrentNode(7)
    selector.setMRMLScene(None)
    assert selector._combo_box.enabled is False


def test_hidden_nodes_are_not_offered(selector, slicer):
    volume(slicer).SetHideFromEditors(True)
    selector._refresh()
    assert selector.nodeCount() == 0
    selector.showHidden = True
    assert selector.nodeCount() == 1


def test_the_3d_button_makes_and_removes_surfaces(slicer, scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    array = np.zeros((8, 8, 8), np.uint8)
    array[2:6, 2:6, 2:6] = 1
    labelmap = slicer.util.addVolumeFromArray(array, nodeClassName="vtkMRMLLabelMapVolumeNode")
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labelmap, node)
    button = slicer.qMRMLSegmentationShow3DButton()
    assert button.enabled is False
    button.setSegmentationNode(node)
    assert (button.enabled, button.checked) == (True, False)
    button.click()
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    assert button.checked is True
    button.click()
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    with pytest.raises(TypeError):
        button.setSegmentationNode(labelmap)
    button.setSegmentationNode(None)
    assert button.enabled is False


def test_the_table_view_shows_and_follows_a_table(slicer, scene):
    import vtk

    node = scene.AddNewNodeByClass("vtkMRMLTableNode")
    view = slicer.qMRMLTableView()
    view.setMRMLTableNode(node)
    column = vtk.vtkStringArray()
    column.SetName("dice")
    column.InsertNextValue("0.957")
    node.AddColumn(column)
    model = view.model()
    assert (model.rowCount(), model.columnCount()) == (1, 1)
    assert model.index(0, 0).data() == "0.957"
    assert view.mrmlTableNode() is node
    with pytest.raises(TypeError):
        view.setMRMLTableNode(scene.AddNewNodeByClass("vtkMRMLTextNode"))
    view.setMRMLTableNode(None)
    assert model.rowCount() == 0


def test_a_widget_hands_its_scene_on(slicer, scene, heard):
    for kind in (slicer.qMRMLWidget, slicer.qSlicerScriptedLoadableModuleWidget, slicer.qMRMLTableView):
        widget = kind()
        said = heard(widget, "mrmlSceneChanged(vtkMRMLScene*)")
        widget.setMRMLScene(scene)
        widget.setMRMLScene(scene)
        assert said == [(scene,)]
        assert widget.mrmlScene() is scene
        widget.setMRMLScene(None)
