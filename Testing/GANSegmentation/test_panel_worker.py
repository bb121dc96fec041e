"""The panel with the real worker process: it stays alive, cancels, and survives whatever becomes of the process."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
import slicer

from GANSegmentationLib import protocol
from Testing.GANSegmentation.executing import needs_proc
from Testing.GANSegmentation.panels import add_scan, at, choose, run_to_end, segmentations, shown, wait_for_end
from Testing.GANSegmentation.test_responsive import LONGEST_BREAK_S, TRIES, scan
from Testing.slicer_host import processes
from Testing.slicer_host.application import wait_until
from Testing.slicer_host.dialogs import dialogs
from Testing.tiny_model import tiny_scan, write_tiny_package
from Testing.worker.test_process import is_gone

pytest_plugins = ["Testing.GANSegmentation.executors"]
pytestmark = needs_proc


@pytest.fixture
def panel_with(module, scene, tiny_model, monkeypatch):
    """Makes panels whose jobs run on an executor; what computes is asked only where a test is about that."""
    from GANSegmentationPanel.sections.status import StatusSection

    look = StatusSection.look
    monkeypatch.setattr(StatusSection, "look", lambda self: None)
    open_panels = []

    def show(executor, *, looks=False):
        if looks:
            monkeypatch.setattr(StatusSection, "look", look)
        monkeypatch.setattr(module.GANSegmentationLogic, "_makeExecutor", lambda self: executor)
        open_panels.append(shown(module))
        widget = open_panels[-1].__enter__()
        dialogs.clear()
        return widget

    yield show
    assert not processes.blocking_calls
    for panel in open_panels:
        panel.__exit__(None, None, None)
    processes.blocking_calls.clear()  # a panel that is closed may wait a moment for its worker


def test_the_result_of_the_process_is_that_of_the_application_itself(executors, panel_with, border):
    widget = panel_with(executors())
    choose(widget, add_scan("Bäuch 肝"), "tiny-liver")
    widget.ui.applyButton.click()
    assert widget.logic.isRunning, "Apply returns at once"
    assert (widget.ui.applyButton.text, widget.ui.applyButton.enabled) == ("Cancel", True)
    wait_for_end(widget)
    node = widget.parameters.outputSegmentation
    assert np.array_equal(border.labelmapFromNode(node).array, tiny_scan().array > 100)
    assert widget.ui.resultLabel.text.startswith("Liver: 0.5 ml in 3 of 6 slices")
    assert "Computing on" in widget.ui.logTextEdit.toPlainText()


def test_paths_that_are_not_ascii_reach_the_process(executors, panel_with, tmp_path, monkeypatch):
    folder = tmp_path / "Modèle 肝 ü"
    folder.mkdir()
    write_tiny_package(folder / "Größe.ganseg")
    monkeypatch.setenv("GANSEG_MODELS", str(folder))
    widget = panel_with(executors())
    choose(widget, add_scan(), "tiny-liver")
    run_to_end(widget)
    assert len(segmentations()) == 1, dialogs.texts("error")


@pytest.mark.parametrize("deaf", [False, True], ids=["answers", "ignores"])
@pytest.mark.parametrize("stage", ["load", "segment"])
def test_cancel_ends_the_run_with_and_without_the_workers_help(slow, panel_with, monkeypatch, stage, deaf):
    """Complaint: the window is frozen for minutes and nothing can be cancelled."""
    widget = panel_with(slow(stage, *(["deaf"] if deaf else [])))
    choose(widget, add_scan(), "tiny-liver")
    begun = at(widget, monkeypatch, lambda: None, stage=stage)
    widget.ui.applyButton.click()
    assert wait_until(lambda: bool(begun), 30)
    widget.ui.applyButton.click()
    assert widget.ui.stageLabel.text == "Cancelling..."
    assert widget.ui.applyButton.enabled is False
    wait_for_end(widget, 5)
    assert widget.ui.stageLabel.text == "Cancelled. Nothing was changed."
    assert segmentations() == [] and dialogs.texts("error") == []
    assert widget.ui.applyButton.text == "Apply" and widget.ui.applyButton.enabled


def test_cancel_while_the_process_comes_up(executors, panel_with):
    widget = panel_with(executors())
    choose(widget, add_scan(), "tiny-liver")
    widget.ui.applyButton.click()
    widget.ui.applyButton.click()
    wait_for_end(widget, 5)
    assert widget.ui.stageLabel.text == "Cancelled. Nothing was changed."
    run_to_end(widget)
    assert len(segmentations()) == 1


def test_a_process_that_is_killed_is_told_with_its_log(slow, panel_with, monkeypatch):
    """Complaint: "Failed to load the segmentation" hides the true error."""
    executor = slow("segment")
    widget = panel_with(executor)
    choose(widget, add_scan(), "tiny-liver")
    begun = at(widget, monkeypatch, lambda: os.kill(executor._worker.pid, signal.SIGKILL), stage="segment")
    widget.ui.applyButton.click()
    wait_for_end(widget, 30)
    assert begun
    (text,) = dialogs.texts("error")
    assert "stopped" in text and "memory" in text
    assert segmentations() == []
    assert not widget.ui.logCollapsibleButton.collapsed
    assert widget.ui.applyButton.enabled


def test_a_scene_that_is_closed_during_the_run_gets_nothing_of_it(slow, panel_with, monkeypatch):
    widget = panel_with(slow("segment"))
    choose(widget, add_scan(), "tiny-liver")
    begun = at(widget, monkeypatch, lambda: None, stage="segment")
    widget.ui.applyButton.click()
    assert wait_until(lambda: bool(begun), 30)
    slicer.mrmlScene.Clear(0)
    wait_for_end(widget, 5)
    assert segmentations() == [] and dialogs.texts("error") == []
    choose(widget, add_scan("next"), "tiny-liver")
    assert widget.ui.applyButton.enabled


def test_what_is_removed_during_the_run_is_named_or_made_again(executors, panel_with, monkeypatch):
    widget = panel_with(executors())
    choose(widget, add_scan("gone"), "tiny-liver")
    node = widget.parameters.inputVolume
    at(widget, monkeypatch, lambda: slicer.mrmlScene.RemoveNode(node), stage="segment")
    run_to_end(widget)
    assert "gone" in dialogs.texts("error")[0]
    assert segmentations() == []


# What computes


def test_what_computes_is_asked_when_the_panel_is_opened(executors, panel_with):
    widget = panel_with(executors(), looks=True)
    assert widget.ui.statusTextLabel.text == "Looking for devices..."
    assert not widget.ui.statusActionButton.enabled
    assert wait_until(lambda: widget.statusSection.probe is not None, 60)
    assert widget.ui.statusTextLabel.text.startswith(("Ready", "NVIDIA", "PyTorch"))
    box = widget.ui.deviceComboBox
    texts = [box.itemText(row) for row in range(box.count)]
    assert texts[0] == "Automatic" and any(text.startswith("CPU, ") for text in texts)


def test_the_question_makes_way_for_a_run_and_is_asked_again(slow, panel_with):
    widget = panel_with(slow("probe"), looks=True)
    choose(widget, add_scan(), "tiny-liver")
    run_to_end(widget)
    assert len(segmentations()) == 1
    assert widget.statusSection.probe is None
    assert widget.ui.statusTextLabel.text == "Looking for devices...", "again"


# The end


def test_the_end_of_the_application_ends_the_process(slow, panel_with, monkeypatch):
    executor = slow("segment", "deaf")
    widget = panel_with(executor)
    choose(widget, add_scan(), "tiny-liver")
    begun = at(widget, monkeypatch, lambda: None, stage="segment")
    widget.ui.applyButton.click()
    assert wait_until(lambda: bool(begun), 30)
    pid = executor._worker.pid
    slicer.app.aboutToQuit.emit()
    assert is_gone(pid)
    assert not widget.logic.isRunning and executor._worker is None
    processes.blocking_calls.clear()  # so may an application that ends


# The application's thread


def test_the_panel_lives_while_the_worker_works(executors, panel_with, border):
    """A heartbeat through a whole run, from the first stage of the worker to the last; the best of a few tries, for
    other programs may hold up this one. Handing over and importing have a limit of their own."""
    import qt

    executor = executors()
    widget = panel_with(executor)
    volume = scan(40)
    choose(widget, border.addVolumeNode(volume), "tiny-liver")
    longest = []
    for _try in range(TRIES):
        beats, span = [], []
        timer = qt.QTimer()
        timer.setInterval(10)
        timer.connect("timeout()", lambda beats=beats: beats.append(time.perf_counter()))
        heard = widget.onEvent

        def listen(event, heard=heard, span=span):
            if isinstance(event, protocol.Stage) and event.name in ("load", "import"):
                span.append(time.perf_counter())
            heard(event)

        widget.onEvent = listen
        widget.ui.applyButton.click()
        timer.start()
        wait_for_end(widget)
        timer.stop()
        widget.onEvent = heard
        assert dialogs.texts("error") == []
        worked = [beat for beat in beats if span[0] <= beat <= span[1]]
        assert len(worked) > 5
        longest.append(max(np.diff(worked)))
        if longest[-1] < LONGEST_BREAK_S:
            break
    assert min(longest) < LONGEST_BREAK_S, longest


def test_a_thousand_events_cost_the_panel_little(widget):
    choose(widget, add_scan(), "tiny-liver")
    widget.logic.executor.isInBackground = True  # as with a process: no events are pumped in between
    begin = time.perf_counter()
    for number in range(1000):
        widget.onEvent(protocol.Progress("1", "segment", number, 1000, 1.0))
    assert time.perf_counter() - begin < 1.0


def test_a_large_scan_is_handed_over_and_imported_in_less_than_a_second(executors, panel_with, border, monkeypatch):
    """512 x 512 x 200; the stage is on the screen meanwhile. The best of a few, for the disk is not ours alone."""
    from GANSegmentationPanel.jobs import steps

    from GANSegmentationLib.volumes import Labelmap

    volume = scan(200)
    widget = panel_with(executors())
    choose(widget, border.addVolumeNode(volume), "tiny-liver")
    there, back, shown_there = [], [], []
    labelmap = Labelmap((volume.array > 100).astype(np.uint8), volume.geometry, widget.package().labels)
    for _try in range(TRIES):
        begin = time.perf_counter()
        widget.ui.applyButton.click()
        there.append(time.perf_counter() - begin)
        shown_there.append(widget.ui.stageLabel.text)
        widget.ui.applyButton.click()
        wait_for_end(widget, 10)
        begin = time.perf_counter()
        steps.scene.writeLabelmap(labelmap, widget.parameters.inputVolume)
        back.append(time.perf_counter() - begin)
    assert shown_there == ["Handing over the volume..."] * TRIES
    assert min(there) < 1, there
    assert min(back) < 1, back
