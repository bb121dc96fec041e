"""The panel's form, loaded as Slicer loads it: it fits into Slicer's narrow panel, in light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

FORM = Path(__file__).resolve().parents[2] / "Resources" / "UI" / "GANSegmentation.ui"


@pytest.fixture
def form(scene):
    import slicer
    import slicer.util

    widget = slicer.util.loadUI(str(FORM))
    widget.setMRMLScene(slicer.mrmlScene)
    yield widget
    widget.setMRMLScene(None)
    widget.hide()
    widget.deleteLater()


@pytest.fixture
def ui(form):
    import slicer.util

    return slicer.util.childWidgetVariables(form)


def sections(form):
    import ctk

    return form.findChildren(ctk.ctkCollapsibleButton)


def test_only_inputs_and_output_are_open_at_first(form):
    open_ones = [section.name for section in sections(form) if not section.collapsed]
    hidden = [section.name for section in sections(form) if section.isHidden()]
    assert open_ones == ["inputsCollapsibleButton", "outputsCollapsibleButton"]
    assert hidden == ["resultsCollapsibleButton"], "there are results only after a run"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_whole_panel_fits_without_cut_texts(form, application, theme):
    import qt

    from Testing.slicer_host import looks

    looks.use_theme(application, theme)
    # With nothing hidden, and with icons, without which the tool buttons show their texts; a scroll bar is Slicer's.
    for widget in form.findChildren(qt.QToolButton):
        if widget.property("iconName"):
            widget.icon = qt.QIcon(str(FORM.parents[1] / "Icons" / f"{widget.property('iconName')}.svg"))
    for widget in form.findChildren(qt.QWidget):
        if widget.name and not widget.name.startswith("qt_") and widget.isHidden() and widget.parent() is not None:
            widget.visible = True
    for section in sections(form):
        section.visible, section.collapsed = True, False
    looks.lay_out(form, looks.PANEL_WIDTH - 20)
    assert looks.needed_width(form) <= looks.PANEL_WIDTH - 20
    assert looks.cut_texts(form) == []
    looks.use_theme(application, "light")


def test_the_selectors_see_the_scene_and_take_the_right_nodes(ui, scene):
    import numpy as np
    import slicer.util

    volume = slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16), name="CT")
    assert ui.inputVolumeSelector.currentNode() is volume
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    ui.roiSelector.setCurrentNode(roi)
    assert ui.roiSelector.currentNode() is roi
    for kind in ("vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode"):
        node = scene.AddNewNodeByClass(kind)
        ui.referenceSelector.setCurrentNode(node)
        assert ui.referenceSelector.currentNode() is node


def test_the_slice_range_is_used_only_when_asked_for(ui):
    assert ui.sliceRangeWidget.enabled is False
    ui.sliceRangeCheckBox.click()
    assert ui.sliceRangeWidget.enabled is True


def test_the_log_forgets_its_oldest_lines(ui):
    ui.logTextEdit.setPlainText("")
    for line in range(2100):
        ui.logTextEdit.appendPlainText(str(line))
    assert ui.logTextEdit.blockCount == 2000


def test_paths_of_a_batch_are_folders_with_a_history_each(ui):
    import ctk

    edits = (ui.batchInputEdit, ui.batchReferenceEdit, ui.batchOutputEdit)
    assert {edit.filters for edit in edits} == {int(ctk.ctkPathLineEdit.Dirs)}
    assert len({edit.settingKey for edit in edits}) == 3


def test_every_icon_can_be_drawn(application):
    import qt

    for path in (FORM.parents[1] / "Icons").glob("*.svg"):
        picture = qt.QIcon(str(path)).pixmap(16, 16).toImage()
        painted = [picture.pixelColor(x, y).alpha() > 0 for x in range(16) for y in range(16)]
        assert any(painted), path.name
