"""Apply and Cancel, stage by stage, in the application itself (inline): what is said, and what the scene keeps."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError
from Testing.GANSegmentation.panels import add_scan, at, choose, run_to_end, segmentations
from Testing.slicer_host.dialogs import dialogs
from Testing.tiny_model import tiny_scan


def is_ready_again(widget):
    ui = widget.ui
    assert ui.applyButton.text == "Apply"
    assert ui.applyButton.enabled is True, ui.applyButton.toolTip
    assert ui.inputsCollapsibleButton.enabled and ui.outputsCollapsibleButton.enabled
    assert ui.progressBar.isHidden()
    return True


def test_apply_segments_and_selects_the_result(ready, border):
    ready.ui.applyButton.click()
    node = ready.ui.outputSegmentationSelector.currentNode()
    assert np.array_equal(border.labelmapFromNode(node).array, tiny_scan().array > 100)
    assert is_ready_again(ready)


def test_the_stages_are_named_in_their_order(ready, monkeypatch):
    said = []
    show = ready.showStage
    monkeypatch.setattr(ready, "showStage", lambda text: (said.append(text), show(text)))
    run_to_end(ready)
    assert said == [
        "Handing over the volume...",
        "Reading the volume...",
        "Loading the model...",
        "Preparing the slices...",
        "Segmenting...",
        "Cleaning the mask...",
        "Handing over the mask...",
        "Writing the result into the scene...",
        "",
    ]


def test_progress_is_shown_in_slices_and_time(widget):
    widget.onEvent(protocol.Progress("1", "segment", 83, 124, 20.6))
    assert (widget.ui.progressBar.value, widget.ui.progressBar.maximum) == (83, 124)
    assert widget.ui.stageLabel.text == "Slice 83 / 124 - 0:21 left"
    widget.onEvent(protocol.Progress("1", "segment", 1, 124, None))
    assert widget.ui.stageLabel.text == "Slice 1 / 124"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3661, "1:01:01")])
def test_time_is_told_as_on_a_clock(application, seconds, text):
    from GANSegmentationPanel.sections.run import clock

    assert clock(seconds) == text


def test_progress_does_not_show_the_whole_panel_again(ready, monkeypatch):
    """Events come at a high rate: each of them may only touch the run row."""
    shown = []
    at(ready, monkeypatch, lambda: monkeypatch.setattr(ready, "refresh", lambda: shown.append(1)))
    for number in range(100):
        ready.onEvent(protocol.Progress("1", "segment", number, 100, 1.0))
    assert shown == []


STAGES = ("read", "load", "prepare", "segment", "postprocess", "save", "import")


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_can_be_cancelled_in_each_stage_and_changes_nothing(ready, monkeypatch, stage):
    """Complaint: the application hangs for minutes and nothing can be cancelled."""
    seen = []

    def cancel():
        seen.append((ready.ui.applyButton.text, ready.ui.applyButton.enabled))
        assert "Stop after the slices in hand" in ready.ui.applyButton.toolTip
        ready.ui.applyButton.click()
        seen.append((ready.ui.stageLabel.text, ready.ui.applyButton.enabled, ready.ui.applyButton.toolTip))

    at(ready, monkeypatch, cancel, protocol.Progress if stage in ("prepare", "postprocess") else None, _name(stage))
    before = slicer.mrmlScene.GetNumberOfNodes()
    ready.ui.applyButton.click()
    assert seen == [("Cancel", True), ("Cancelling...", False, "The run is being cancelled.")]
    assert ready.ui.stageLabel.text == "Cancelled. Nothing was changed."
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert dialogs.texts("error") == []
    assert is_ready_again(ready)
    run_to_end(ready)
    assert len(segmentations()) == 1, "and the next run is as if nothing had been"


def _name(stage):
    return None if stage in ("prepare", "postprocess") else stage


def test_cancel_can_be_pressed_where_the_application_computes_itself(ready, monkeypatch):
    """A click comes by the event loop, which has to turn while the worker computes in the same process."""
    import qt

    assert not ready.logic.isInBackground
    started = at(ready, monkeypatch, lambda: qt.QTimer.singleShot(0, ready.ui.applyButton.click), protocol.Progress)
    ready.ui.applyButton.click()
    assert len(started) == 1
    assert ready.ui.stageLabel.text == "Cancelled. Nothing was changed."
    assert segmentations() == []


def test_a_run_can_be_cancelled_while_it_is_prepared(ready, monkeypatch):
    from GANSegmentationPanel.jobs import steps

    read = steps.scene.volumeFromNode

    def cancel_and_read(node):
        if ready.logic.job is not None and ready.logic.job.state.value == "preparing":
            assert ready.ui.applyButton.text == "Cancel"
            ready.ui.applyButton.click()
        return read(node)

    monkeypatch.setattr(steps.scene, "volumeFromNode", cancel_and_read)
    ready.ui.applyButton.click()
    assert ready.ui.stageLabel.text == "Cancelled. Nothing was changed."
    assert segmentations() == []
    assert is_ready_again(ready)


def test_a_second_run_at_the_same_time_is_refused(ready, monkeypatch):
    errors = []

    def again():
        with pytest.raises(GANSegmentationError) as caught:
            ready.logic.start(ready.parameters.inputVolume, "tiny-liver")
        errors.append(caught.value.code)

    at(ready, monkeypatch, again)
    run_to_end(ready)
    assert errors == ["job_running"]
    assert len(segmentations()) == 1


# What a user removes meanwhile


def test_closing_the_scene_cancels_the_run(ready, monkeypatch):
    closed = at(ready, monkeypatch, lambda: slicer.mrmlScene.Clear(0), protocol.Progress)
    ready.ui.applyButton.click()
    assert len(closed) == 1
    assert ready.ui.stageLabel.text == "Cancelled. Nothing was changed."
    assert segmentations() == []
    assert ready.ui.applyButton.text == "Apply" and ready.ui.applyButton.enabled is False
    assert ready.ui.resultsCollapsibleButton.isHidden()


def test_a_volume_that_is_removed_during_the_run_is_named(ready, monkeypatch):
    node = ready.parameters.inputVolume
    at(ready, monkeypatch, lambda: slicer.mrmlScene.RemoveNode(node), protocol.Progress)
    ready.ui.applyButton.click()
    assert "removed" in dialogs.texts("error")[0]
    assert segmentations() == []
    assert ready.ui.applyButton.toolTip == "Choose a volume to segment."


def test_an_output_that_is_removed_during_the_run_comes_back_as_a_new_one_or_is_named(ready, monkeypatch):
    run_to_end(ready)
    node = ready.parameters.outputSegmentation
    box = ready.ui.outputModeComboBox
    box.setCurrentIndex(box.findText("Replace the same structures"))
    at(ready, monkeypatch, lambda: slicer.mrmlScene.RemoveNode(node), protocol.Progress)
    run_to_end(ready)
    said = dialogs.texts("error")
    assert said or segmentations() != [node]
    assert is_ready_again(ready)


def test_leaving_the_panel_does_not_stop_the_run_and_the_result_is_chosen(ready, monkeypatch):
    at(ready, monkeypatch, ready.exit, protocol.Progress)
    ready.ui.applyButton.click()
    assert len(segmentations()) == 1
    ready.enter()
    assert ready.parameters.outputSegmentation is segmentations()[0]
    assert ready.ui.resultLabel.text.startswith("Liver:")
    assert is_ready_again(ready)


# Failures


def test_a_wrong_modality_is_refused_before_the_run_and_can_be_forced(widget):
    choose(widget, add_scan("Kopf", "MR"), "tiny-liver")
    assert widget.ui.applyButton.toolTip == "Tiny liver was made for CT; Kopf is MR."
    widget.ui.forceCheckBox.click()
    run_to_end(widget)
    assert len(segmentations()) == 1
    assert "MR" in widget.ui.resultLabel.text


@pytest.fixture
def failing(ready, monkeypatch):
    """Makes the worker fail, until it is told otherwise."""
    state = {"error": None, "devices": []}
    executor = ready.logic.executor
    start = executor.start

    def answer(request, onEvent):
        state["devices"].append(request.device)
        if state["error"] is None:
            start(request, onEvent)
        else:
            error, retry = state["error"]
            onEvent(protocol.Failed(request.id, error.to_dict(), retry))

    monkeypatch.setattr(executor, "start", answer)
    return state


MEMORY = GANSegmentationError("out_of_memory", "The memory of the GPU ran out.", action="Choose the device cpu.")


def test_after_the_gpus_memory_ran_out_the_processor_is_offered(asked, ready, failing, monkeypatch):
    """Complaint: CUDA out of memory, and users are told to install another PyTorch."""
    failing["error"] = MEMORY, {"device": "cpu"}

    def yes(*_arguments, **_options):
        failing["error"] = None
        return True

    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", yes)
    ready.ui.applyButton.click()
    assert failing["devices"] == ["auto", "cpu"]
    assert len(segmentations()) == 1
    assert asked.texts("error") == []
    assert ready.preferences.device == "auto", "for this run only"


def test_a_no_to_the_processor_leaves_everything_as_it_was(asked, ready, failing):
    failing["error"] = MEMORY, {"device": "cpu"}
    asked.answers["confirmYesNo"] = [False]
    ready.ui.applyButton.click()
    assert failing["devices"] == ["auto"]
    assert "Run again on CPU?" in asked.texts("confirmYesNo")[0]
    assert "memory of the GPU" in asked.texts("error")[0]
    assert segmentations() == []
    assert is_ready_again(ready)


def test_a_failure_without_another_way_is_told_and_nothing_is_offered(asked, ready, failing):
    failing["error"] = GANSegmentationError("torch_broken", "PyTorch cannot be loaded.", details="line 1\nline 2"), {}
    ready.ui.applyButton.click()
    (shown,) = [each for each in asked.shown if each.kind == "error"]
    assert shown.text == "PyTorch cannot be loaded."
    assert shown.options["detailedText"] == "line 1\nline 2"
    assert ready.ui.stageLabel.text == "PyTorch cannot be loaded."
    assert not ready.ui.logCollapsibleButton.collapsed
    assert is_ready_again(ready)


def test_a_fault_of_the_program_is_told_with_its_trace_and_leaves_the_panel_usable(ready, monkeypatch):
    def fail(*_arguments, **_options):
        raise RuntimeError("the roof fell in")

    monkeypatch.setattr(ready.logic, "start", fail)
    ready.ui.applyButton.click()
    assert ready.ui.stageLabel.text == "the roof fell in"
    assert "Traceback" in next(each for each in dialogs.shown if each.kind == "error").options["detailedText"]
    assert is_ready_again(ready)


def test_a_long_error_wraps_in_the_narrow_panel(ready):
    from Testing.slicer_host import looks

    panel = ready.parent
    ready.say("The background process stopped with the code -9, most likely because the memory ran out. " * 3)
    looks.lay_out(panel)
    assert looks.cut_texts(panel) == []
    assert looks.needed_width(panel) <= looks.PANEL_WIDTH
    panel.hide()


def test_texts_of_models_and_files_are_not_taken_for_html(widget):
    import qt

    for name in ("stageLabel", "resultLabel", "inputCheckLabel", "statusTextLabel"):
        assert getattr(widget.ui, name).textFormat == qt.Qt.PlainText
