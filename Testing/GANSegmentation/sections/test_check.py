"""What is suspicious about a volume is said before a run: at once by the card, a moment later by the voxels."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError
from Testing.GANSegmentation.jobs.test_job_queue import Slow
from Testing.GANSegmentation.panels import add_scan, choose, shown
from Testing.slicer_host.application import wait_until


class Answering(Slow):
    """Runs nothing: keeps what is asked, and answers when it is told to."""

    def __init__(self):
        super().__init__()
        self.idleMinutes = 10
        self.asked = []

    def start(self, request, onEvent):
        super().start(request, onEvent)
        self.asked.append(request)

    def cancel(self):
        super().cancel()
        if self.request is not None:
            self.answer(protocol.Cancelled)

    def says(self, *messages):
        request, self.request = self.request, None
        warnings = [{"code": "any", "message": message} for message in messages]
        self.onEvent(protocol.Result(request.id, "check", {"warnings": warnings}))

    def fails(self, code, message):
        request, self.request = self.request, None
        self.onEvent(protocol.Failed(request.id, GANSegmentationError(code, message).to_dict()))

    def wait(self, seconds=None):
        raise AssertionError("a panel does not wait")

    def release(self):
        pass

    def shutdown(self):
        self.cancel()


@pytest.fixture
def executor(module, scene, tiny_model, monkeypatch):
    from GANSegmentationPanel.sections.status import StatusSection

    monkeypatch.setattr(StatusSection, "look", lambda self: None)  # what computes is another question
    made = Answering()
    monkeypatch.setattr(module.GANSegmentationLogic, "_makeExecutor", lambda self: made)
    return made


@pytest.fixture
def panel(module, executor):
    with shown(module) as widget:
        yield widget


def asks(executor, count=1):
    return wait_until(lambda: len(executor.asked) >= count, 5)


def warnings_of(widget):
    label = widget.ui.inputCheckLabel
    return [] if label.isHidden() else label.text.split("\n")


def test_the_voxels_are_looked_at_in_the_background_and_warnings_are_shown(panel, executor):
    choose(panel, add_scan(), "tiny-liver")
    assert executor.asked == [], "not while somebody may still choose"
    assert warnings_of(panel) == []
    assert asks(executor)
    assert executor.asked[0].WORDS["job"] == "check"
    assert panel.ui.applyButton.enabled and panel.ui.applyButton.text == "Apply"
    executor.says("The intensities run from 0 to 255.", "Only 6 slices.")
    assert warnings_of(panel) == ["The intensities run from 0 to 255.", "Only 6 slices."]
    assert panel.ui.applyButton.enabled, "a warning prevents nothing"


def test_choosing_quickly_asks_once(panel, executor):
    for name in "abc":
        choose(panel, add_scan(name), "tiny-liver")
        slicer.app.processEvents()
    assert asks(executor)
    executor.says()
    assert not wait_until(lambda: len(executor.asked) > 1, 0.6)


def test_an_answer_to_an_old_question_is_dropped(panel, executor):
    choose(panel, add_scan("old"), "tiny-liver")
    assert asks(executor)
    choose(panel, add_scan("new"))
    executor.says("About the old volume.")
    assert warnings_of(panel) == []
    assert asks(executor, 2)
    executor.says("About the new volume.")
    assert warnings_of(panel) == ["About the new volume."]


def test_nothing_is_asked_again_while_nothing_changes(panel, executor):
    choose(panel, add_scan(), "tiny-liver")
    assert asks(executor)
    executor.says("Hm.")
    for _ in range(3):
        panel.refresh()
    assert not wait_until(lambda: len(executor.asked) > 1, 0.6)
    assert warnings_of(panel) == ["Hm."]


def test_changed_voxels_are_looked_at_again(panel, executor):
    volume_node = add_scan()
    choose(panel, volume_node, "tiny-liver")
    assert asks(executor)
    executor.says("Hm.")
    slicer.util.updateVolumeFromArray(volume_node, np.zeros((6, 16, 16), np.int16))
    panel.refresh()
    assert warnings_of(panel) == []
    assert asks(executor, 2)


def test_a_refusal_of_the_worker_locks_apply(panel, executor):
    choose(panel, add_scan(), "tiny-liver")
    assert asks(executor)
    executor.fails("geometry_mismatch", "The channels lie on different grids.")
    assert panel.ui.applyButton.enabled is False
    assert panel.ui.applyButton.toolTip == "The channels lie on different grids."


def test_a_check_that_fails_otherwise_is_logged_and_locks_nothing(panel, executor):
    choose(panel, add_scan(), "tiny-liver")
    assert asks(executor)
    executor.fails("worker_crashed", "The background process stopped.")
    assert panel.ui.applyButton.enabled
    assert "background process stopped" in panel.ui.logTextEdit.toPlainText()


def test_a_check_makes_way_for_a_run_and_is_asked_again(panel, executor):
    choose(panel, add_scan(), "tiny-liver")
    assert asks(executor)
    panel.ui.applyButton.click()
    assert executor.asked[-1].WORDS["job"] == "segment"
    panel.ui.applyButton.click()
    assert panel.ui.stageLabel.text == "Cancelled. Nothing was changed."
    assert asks(executor, 3)
    assert executor.asked[-1].WORDS["job"] == "check"


def test_a_wrong_modality_is_said_at_once_and_can_be_forced(panel, executor):
    choose(panel, add_scan("Kopf", "MR"), "tiny-liver")
    assert warnings_of(panel) == ["Tiny liver was made for CT; Kopf is MR."]
    assert panel.ui.applyButton.toolTip == warnings_of(panel)[0]
    assert not wait_until(lambda: bool(executor.asked), 0.6), "the answer is known"
    panel.ui.forceCheckBox.click()
    assert panel.parameters.force
    assert panel.ui.applyButton.enabled and warnings_of(panel) == []
    assert asks(executor)
    assert executor.asked[0].force is True
    executor.says("MR is not what the model knows.")
    panel.ui.forceCheckBox.click()
    assert panel.ui.applyButton.enabled is False


def test_a_volume_without_voxels_is_explained(panel, executor):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    choose(panel, node, "tiny-liver")
    assert wait_until(lambda: bool(warnings_of(panel)), 5)
    assert "has no voxels" in panel.ui.applyButton.toolTip


def test_closing_the_scene_forgets_the_warnings(panel, executor):
    choose(panel, add_scan(), "tiny-liver")
    assert asks(executor)
    executor.says("Hm.")
    slicer.mrmlScene.Clear(0)
    assert warnings_of(panel) == []
