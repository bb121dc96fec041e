"""The section "Batch": a folder of scans, case by case, without touching the scene."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import slicer

from GANSegmentationLib import protocol
from GANSegmentationLib.volumes import read_labelmap, write_volume
from Testing.batch.conftest import InlineEngine, write_patient, write_reference
from Testing.GANSegmentation.executing import needs_proc, pump
from Testing.slicer_host.dialogs import dialogs
from Testing.tiny_model import tiny_scan

pytest_plugins = ["Testing.GANSegmentation.executors"]


@pytest.fixture
def scans(tmp_path) -> Path:
    """Two scans in folders that are not English, and a file that is none."""
    folder = tmp_path / "Aufnahmen Ä肝"
    (folder / "Ort ß").mkdir(parents=True)
    write_volume(tiny_scan(), folder / "a.nrrd")
    write_volume(tiny_scan(), folder / "Ort ß" / "b.nii.gz")
    (folder / "c.nrrd").write_bytes(b"no scan")
    return folder


@pytest.fixture
def output(tmp_path) -> Path:
    return tmp_path / "Masken 肝"


@pytest.fixture
def inline_engine(monkeypatch):
    """Cases in this process, with the real worker; gives the list of the engines that were made."""
    from GANSegmentationLib.batch import runner
    from GANSegmentationLib.batch.task import WorkSettings

    made = []

    def make(options, folder, slices):
        package = "" if options.package is None else str(options.package)
        made.append(InlineEngine(WorkSettings(package, device="cpu", force=options.force)))
        return made[-1]

    monkeypatch.setattr(runner, "_engine", make)
    return made


@pytest.fixture
def panel(widget, scans, output, inline_engine):
    choose(widget, scans, output)
    return widget


def choose(widget, scans, output, references=""):
    widget.ui.batchInputEdit.currentPath = str(scans)
    widget.ui.batchOutputEdit.currentPath = str(output)
    widget.ui.batchReferenceEdit.currentPath = str(references)
    widget.parameters.modelId = "tiny-liver"


def start(widget):
    assert widget.ui.startBatchButton.enabled, widget.ui.startBatchButton.toolTip
    widget.ui.startBatchButton.click()


def rows_of(widget) -> dict[str, tuple[str, str, str]]:
    """Status, what was found, and tooltip of each case in the table."""
    table = widget.ui.batchTable
    cells = [[table.item(row, column) for column in range(3)] for row in range(table.rowCount)]
    return {name.text(): (status.text(), found.text(), found.toolTip()) for name, status, found in cells}


def of(rows, ending):
    (found,) = (row for name, row in rows.items() if name.endswith(ending))
    return found


def masks_in(folder: Path, suffix=".seg.nrrd") -> list[str]:
    return sorted(path.name for path in folder.rglob(f"*{suffix}"))


def test_a_folder_is_segmented_and_nothing_of_it_is_in_the_scene(panel, output):
    before = slicer.mrmlScene.GetNumberOfNodes()
    start(panel)
    rows = rows_of(panel)
    assert len(rows) == 3
    assert [row[0] for row in rows.values()].count("done") == 2
    failed = of(rows, "c")
    assert failed[0] == "failed"
    assert failed[1] in failed[2]
    assert len(failed[2]) > len(failed[1])  # with what to do about it
    assert "Liver 1 ml" in of(rows, "a")[1]
    assert "2 done, 1 failed" in panel.ui.stageLabel.text
    assert str(output) in panel.ui.stageLabel.text
    assert len(masks_in(output)) == 2
    assert (read_labelmap(next(output.rglob("a.seg.nrrd"))).array == (tiny_scan().array > 100)).all()
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert panel.ui.batchProgressBar.isHidden()
    assert panel.ui.startBatchButton.text == "Start batch"


def test_the_report_is_opened(panel, output):
    assert panel.ui.openBatchReportButton.enabled is False
    assert "no report" in panel.ui.openBatchReportButton.toolTip
    start(panel)
    dialogs.clear()
    panel.ui.openBatchReportButton.click()
    import qt

    assert dialogs.urls == [qt.QUrl.fromLocalFile(str(output / "report.html")).toString()]
    (output / "report.html").unlink()
    panel.ui.openBatchReportButton.click()
    assert dialogs.urls[-1].endswith("summary.csv")
    panel.ui.batchOutputEdit.currentPath = str(output.with_name("elsewhere"))
    assert panel.ui.openBatchReportButton.enabled is False


def test_a_report_of_an_earlier_session_is_offered(panel, output, tmp_path):
    output.mkdir()
    (output / "report.html").write_text("<html>")
    panel.refresh()
    assert panel.ui.openBatchReportButton.enabled is True
    panel.ui.batchOutputEdit.currentPath = str(tmp_path / "elsewhere")
    assert panel.ui.openBatchReportButton.enabled is False


def test_what_is_done_is_not_done_again_and_failed_cases_only_when_asked(panel, scans, inline_engine):
    start(panel)
    start(panel)
    assert inline_engine[-1].done == []
    assert "2 done, 1 failed" in panel.ui.stageLabel.text
    panel.ui.batchRetryCheckBox.click()
    start(panel)
    assert len(inline_engine[-1].done) == 1
    assert "2 done, 1 failed" in panel.ui.stageLabel.text
    panel.ui.batchRetryCheckBox.click()
    write_volume(tiny_scan(), scans / "c.nrrd")  # another file is another case
    start(panel)
    assert len(inline_engine[-1].done) == 1
    assert "3 done, 0 failed" in panel.ui.stageLabel.text
    assert of(rows_of(panel), "c")[0] == "done"


def test_references_give_scores(panel, scans, output, tmp_path):
    write_reference(tiny_scan(), tmp_path / "truth" / "a.seg.nrrd")
    panel.ui.batchReferenceEdit.currentPath = str(tmp_path / "truth")
    start(panel)
    with (output / "summary.csv").open(encoding="utf-8-sig", newline="") as file:
        dice = {row["case"]: row["dice"] for row in csv.DictReader(file)}
    assert {case.rpartition("/")[2]: value for case, value in dice.items() if value} == {"a": "1.0"}


# What cannot be


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scans": ""}, "Choose the folder with the scans"),
        ({"scans": "/nowhere"}, "Choose the folder with the scans"),
        ({"output": ""}, "Choose a folder for the masks"),
        ({"references": "/nowhere"}, "The folder of the references is not there"),
    ],
)
def test_what_is_missing_is_the_tooltip(panel, scans, output, change, words):
    choose(panel, **{"scans": scans, "output": output, **change})
    assert panel.ui.startBatchButton.enabled is False
    assert words in panel.ui.startBatchButton.toolTip


def test_masks_do_not_go_between_the_scans(panel, scans):
    choose(panel, scans, scans)
    assert panel.ui.startBatchButton.enabled is False
    assert "another folder" in panel.ui.startBatchButton.toolTip


def test_an_output_inside_of_the_input_is_no_input(panel, scans):
    choose(panel, scans, scans / "masks")
    start(panel)
    start(panel)
    assert "2 done, 1 failed" in panel.ui.stageLabel.text


def test_a_folder_that_has_gone_is_an_error_and_the_panel_stays_usable(panel, scans, tmp_path):
    scans.rename(tmp_path / "moved")
    dialogs.clear()
    start(panel)
    assert str(scans) in panel.ui.stageLabel.text
    assert dialogs.texts("error")
    assert panel.ui.batchProgressBar.isHidden()
    assert not panel.logic.isRunning
    choose(panel, tmp_path / "moved", panel.ui.batchOutputEdit.currentPath)
    start(panel)
    assert "2 done" in panel.ui.stageLabel.text


def test_a_start_that_is_refused_leaves_the_button_for_another(panel):
    panel.parameters.modelId = "not-installed"
    dialogs.clear()
    start(panel)
    assert dialogs.texts("error")
    assert panel.ui.startBatchButton.text == "Start batch"
    assert panel.ui.batchProgressBar.isHidden()


def test_a_folder_without_scans_is_an_error(panel, tmp_path):
    (tmp_path / "empty").mkdir()
    panel.ui.batchInputEdit.currentPath = str(tmp_path / "empty")
    dialogs.clear()
    start(panel)
    assert dialogs.texts("error")


def test_other_settings_for_the_same_folder_are_refused(panel, output):
    start(panel)
    panel.ui.batchFormatComboBox.setCurrentIndex(panel.ui.batchFormatComboBox.findData("nii.gz"))
    dialogs.clear()
    start(panel)
    assert "settings" in panel.ui.stageLabel.text
    assert masks_in(output, ".nii.gz") == []


@pytest.mark.parametrize(
    ("name", "suffix"), [("nii.gz", ".nii.gz"), ("nrrd", ".nrrd"), ("mha", ".mha"), ("seg.nrrd", ".seg.nrrd")]
)
def test_the_format_is_the_one_that_is_chosen(panel, output, name, suffix):
    panel.ui.batchFormatComboBox.setCurrentIndex(panel.ui.batchFormatComboBox.findData(name))
    start(panel)
    assert len(masks_in(output, suffix)) == 2


def test_dicom_seg_of_dicom(panel, output, tmp_path):
    write_patient(tmp_path / "studies" / "p" / "ct")
    choose(panel, tmp_path / "studies", output)
    panel.ui.batchFormatComboBox.setCurrentIndex(panel.ui.batchFormatComboBox.findData("dicom-seg"))
    start(panel)
    assert "1 done, 0 failed" in panel.ui.stageLabel.text
    assert len(masks_in(output, ".dcm")) == 1


def test_the_chosen_model_is_used_and_without_one_the_modality_chooses(panel, output, monkeypatch):
    asked = []
    started = panel.logic.startBatch
    monkeypatch.setattr(
        panel.logic, "startBatch", lambda *given, **named: asked.append(named["modelId"]) or started(*given, **named)
    )
    start(panel)
    panel.parameters.modelId = ""
    panel.ui.batchOutputEdit.currentPath = str(output.with_name("by modality"))
    start(panel)
    assert asked == ["tiny-liver", None]
    status, _found, toolTip = of(rows_of(panel), "b")  # NIfTI does not say its modality
    assert status == "failed"
    assert "several models could be meant" in toolTip


def test_a_folder_in_which_nothing_says_what_it_is_is_refused_at_once(panel, scans, output):
    (scans / "a.nrrd").unlink()
    (scans / "c.nrrd").unlink()  # NRRD may say its modality; NIfTI never does
    panel.parameters.modelId = ""
    start(panel)
    assert rows_of(panel) == {}
    assert "several models could be meant" in panel.ui.stageLabel.text


def test_the_models_are_those_of_the_folder_that_the_settings_name(panel, tmp_path, monkeypatch):
    from GANSegmentationPanel.jobs import steps

    asked = []
    monkeypatch.setattr(steps, "batch", lambda job, request: asked.append(request) or iter(()))
    with contextlib.suppress(Exception):  # no steps, no result
        panel.logic.segmentFolder("in", "out")
    assert [request["models"] for request in asked] == [str(tmp_path / "models")]


# Progress and cancel


def test_progress_is_case_and_slice(panel):
    section, bar = panel.batchSection, panel.ui.batchProgressBar
    section.onEvent(protocol.Progress("1", "batch", 2, 12, None))
    assert (bar.format, bar.value, bar.maximum) == ("Case 3 / 12", 200, 1200)
    section.onEvent(protocol.Progress("1", "segment", 31, 124, 3.0))
    assert (bar.format, bar.value) == ("Case 3 / 12, slice 31 / 124", 225)
    section.onEvent(protocol.Progress("1", "batch", 3, 12, 80.0))
    assert (bar.format, bar.value) == ("Case 4 / 12 - 1:20 left", 300)
    section.onEvent(protocol.Progress("1", "segment", 124, 124, 0.0))
    assert bar.value == 400
    section.onEvent(protocol.Progress("1", "batch", 12, 12, 0.0))
    assert (bar.format, bar.value) == ("Case 12 / 12 - 0:00 left", 1200)


def test_a_batch_that_is_cancelled_goes_on_where_it_stopped(panel, scans, inline_engine, monkeypatch):
    seen = []
    shown = panel.batchSection._addCase

    def cancel(outcome):
        shown(outcome)
        if not seen:
            panel.refresh()
            ui = panel.ui
            seen.append((ui.startBatchButton.text, ui.batchInputEdit.enabled, ui.compareButton.enabled))
            ui.startBatchButton.click()
            seen.append((ui.startBatchButton.enabled, ui.startBatchButton.toolTip))

    monkeypatch.setattr(panel.batchSection, "_addCase", cancel)
    start(panel)
    assert seen == [("Cancel batch", False, False), (False, "The batch is being cancelled.")]
    assert "cancelled" in panel.ui.stageLabel.text
    assert panel.ui.startBatchButton.text == "Start batch"
    assert panel.ui.openBatchReportButton.enabled is True  # of what is done
    first = len(inline_engine[-1].done)
    start(panel)
    assert "2 done, 1 failed" in panel.ui.stageLabel.text
    assert first + len(inline_engine[-1].done) <= 3
    assert len(rows_of(panel)) == 2  # those that were left


def test_nothing_else_can_be_started_meanwhile(panel, monkeypatch):
    from GANSegmentationLib.errors import GANSegmentationError

    codes = []

    def second(outcome):
        with pytest.raises(GANSegmentationError) as caught:
            panel.logic.startBatch("a", "b")
        codes.append(caught.value.code)

    monkeypatch.setattr(panel.batchSection, "_addCase", second)
    start(panel)
    assert set(codes) == {"job_running"}


def test_closing_the_scene_does_not_stop_a_batch(panel, border, monkeypatch):
    border.addVolumeNode(tiny_scan())
    shown = panel.batchSection._addCase

    def close(outcome):
        shown(outcome)
        slicer.mrmlScene.Clear(0)

    monkeypatch.setattr(panel.batchSection, "_addCase", close)
    start(panel)
    assert "2 done, 1 failed" in panel.ui.stageLabel.text
    assert len(rows_of(panel)) == 3


# In a process of its own


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def is_gone(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@needs_proc
def test_a_worker_that_is_killed_in_a_batch_takes_its_child_with_it_and_the_batch_goes_on(
    widget, scans, output, executors
):
    choose(widget, scans, output)
    widget.logic.restartWorker()
    widget.logic._executor = executors()
    formats = set()
    start(widget)
    pump(lambda: formats.add(widget.ui.batchProgressBar.format) or len(rows_of(widget)) > 0, 60)
    assert any(text.startswith("Case ") for text in formats)
    worker = widget.logic.executor._worker.pid
    children = children_of(worker)
    assert children
    os.kill(worker, signal.SIGKILL)
    pump(lambda: not widget.logic.isRunning, 20)
    assert (
        "SIGKILL" in widget.ui.stageLabel.text
        or "-9" in widget.ui.stageLabel.text
        or "stopped" in (widget.ui.stageLabel.text)
    )
    end = time.monotonic() + 10
    while not all(map(is_gone, children)) and time.monotonic() < end:
        time.sleep(0.05)
    assert all(map(is_gone, children))
    start(widget)
    pump(lambda: formats.add(widget.ui.batchProgressBar.format) or not widget.logic.isRunning, 60)
    assert "2 done, 1 failed" in widget.ui.stageLabel.text
    assert any("slice 6 / 6" in text for text in formats)
    for path in output.rglob("*.seg.nrrd"):
        assert np.array_equal(read_labelmap(path).array, tiny_scan().array > 100)
