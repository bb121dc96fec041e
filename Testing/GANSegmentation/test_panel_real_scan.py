"""What a new user does first, in one go, on a real CT and with the real worker process."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util

from GANSegmentationLib.volumes import read_labelmap
from Testing.GANSegmentation.executing import needs_proc
from Testing.GANSegmentation.panels import choose, segmentations, shown, wait_for_end
from Testing.slicer_host import processes
from Testing.slicer_host.application import wait_until

pytest_plugins = ["Testing.GANSegmentation.chaos", "Testing.GANSegmentation.executors"]
pytestmark = [pytest.mark.real_data, needs_proc]


def test_the_whole_way_of_a_new_user(
    module,
    application,
    border,
    chaos_node,
    chaos_reference,
    executors,
    tmp_path,
    monkeypatch,
):
    """Choose, Apply, watch, cancel, Apply, compare, look at the worst slice, undo, Apply, export, save, load."""
    from GANSegmentationPanel.sections.status import StatusSection

    monkeypatch.setenv("GANSEG_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(StatusSection, "look", lambda self: None)
    executor = executors(graceMs=5000)
    monkeypatch.setattr(module.GANSegmentationLogic, "_makeExecutor", lambda self: executor)
    with shown(module) as widget:
        choose(widget, chaos_node)
        assert widget.ui.applyButton.enabled, widget.ui.applyButton.toolTip

        slices = []
        widget.ui.progressBar.valueChanged.connect(slices.append)
        widget.ui.applyButton.click()
        assert wait_until(lambda: len(slices) > 3, 120)
        widget.ui.applyButton.click()
        wait_for_end(widget, 60)
        assert segmentations() == []

        widget.ui.applyButton.click()
        wait_for_end(widget, 180)
        (node,) = segmentations()
        assert "ml" in widget.ui.resultLabel.text

        widget.ui.referenceSelector.setCurrentNode(chaos_reference)
        widget.ui.compareButton.click()
        wait_for_end(widget, 120)
        (scores,) = widget.comparisonSection._compared.scores
        assert scores["dice"] >= 0.95
        assert scores["hd95_mm"] <= 8.0

        with application.with_main_window():
            view = application.layoutManager().sliceWidget("Red").mrmlSliceNode()
            widget.ui.worstSlicesList.itemDoubleClicked.emit(widget.ui.worstSlicesList.item(0))
            offset = view.GetSliceOffset()
        box = [0.0] * 6
        chaos_node.GetRASBounds(box)
        assert box[4] <= offset <= box[5]
        assert offset != 0

        widget.ui.undoButton.click()
        assert segmentations() == []
        widget.ui.applyButton.click()
        wait_for_end(widget, 120)
        (node,) = segmentations()

        for name in ("liver.seg.nrrd", "liver.nii.gz", "liver.dcm"):
            widget.resultsSection.exportTo(str(tmp_path / name))
            wait_for_end(widget, 60)
            exported = read_labelmap(tmp_path / name, geometry=border.geometryFromNode(chaos_node))
            assert np.array_equal(exported.array > 0, border.labelmapFromNode(node).array > 0), name

        path = str(tmp_path / "scene.mrb")
        assert slicer.util.saveScene(path)
        name = node.GetName()
        slicer.mrmlScene.Clear(0)
        slicer.util.loadScene(path)
        assert wait_until(lambda: widget.parameters is not None and widget.parameters.inputVolume is not None, 10)
        assert widget.parameters.inputVolume.GetName() == "CHAOS 3"
        assert widget.parameters.outputSegmentation.GetName() == name
        assert [each.GetName() for each in segmentations()] == [name]
        assert not processes.blocking_calls
    processes.blocking_calls.clear()  # a panel that is closed may wait a moment for its worker
