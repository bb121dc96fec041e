"""Advanced and log: what belongs to this computer, the models on the disk, diagnostics, and what happened."""

from __future__ import annotations

import re

import pytest
import slicer

from GANSegmentationLib.errors import GANSegmentationError
from Testing.GANSegmentation.panels import add_scan, at, choose, model_ids, run_to_end, shown
from Testing.GANSegmentation.sections.test_status import CPU, GPU, probe
from Testing.slicer_host.dialogs import dialogs
from Testing.tiny_model import write_tiny_package


@pytest.fixture(autouse=True)
def own_settings(application):
    """Settings of no other test."""
    settings = application.userSettings()
    settings.clear()
    yield settings
    settings.clear()


def texts_of(comboBox) -> list[str]:
    return [comboBox.itemText(row) for row in range(comboBox.count)]


# Device


def test_the_devices_are_those_that_compute(widget):
    assert texts_of(widget.ui.deviceComboBox) == ["Automatic", "CPU"]
    widget.statusSection.probe = probe("ok", GPU, {**GPU, "device": "cuda:1", "name": "Old", "usable": False})
    widget.refresh()
    assert texts_of(widget.ui.deviceComboBox) == ["Automatic", "NVIDIA RTX", CPU["name"]]


def test_the_device_is_kept_for_this_computer_and_used_by_runs(widget, monkeypatch, own_settings):
    asked = []
    choose(widget, add_scan(), "tiny-liver")
    start = widget.logic.start
    monkeypatch.setattr(widget.logic, "start", lambda *a, **k: (asked.append(a[3].device), start(*a, **k)))
    widget.ui.deviceComboBox.setCurrentIndex(1)
    run_to_end(widget)
    assert asked == ["cpu"]
    assert own_settings.value("GANSegmentation/device") == "cpu"
    node = widget.parameters.parameterNode
    assert "cpu" not in [node.GetParameter(name) for name in node.GetParameterNames()]


def test_a_device_that_is_not_here_is_said_to_be_missing(module, scene, tiny_model, own_settings):
    own_settings.setValue("GANSegmentation/device", "cuda:3")
    with shown(module) as widget:
        assert widget.ui.deviceComboBox.currentText == "cuda:3 (not found here)"
        widget.ui.deviceComboBox.setCurrentIndex(0)
        assert own_settings.value("GANSegmentation/device") == "auto"


# Where and how long


def test_the_run_mode_decides_where_jobs_run(widget, own_settings, monkeypatch, application):
    from GANSegmentationPanel.jobs.executor import InlineExecutor
    from GANSegmentationPanel.process.process_executor import ProcessExecutor

    assert isinstance(widget.logic.executor, InlineExecutor), "there is no main window"
    monkeypatch.setattr(application.commandOptions(), "noMainWindow", False)
    box = widget.ui.runModeComboBox
    box.setCurrentIndex(1)
    assert own_settings.value("GANSegmentation/runMode") == "inline"
    assert isinstance(widget.logic.executor, InlineExecutor)
    box.setCurrentIndex(0)
    assert own_settings.value("GANSegmentation/runMode") == "process"
    assert isinstance(widget.logic.executor, ProcessExecutor)
    assert widget.logic.executor.idleMinutes == 10
    widget.ui.idleSpinBox.value = 3
    assert int(own_settings.value("GANSegmentation/idleMinutes")) == 3
    assert widget.logic.executor.idleMinutes == 3


def test_the_choices_of_last_time_are_shown(module, scene, tiny_model, own_settings):
    own_settings.setValue("GANSegmentation/runMode", "inline")
    own_settings.setValue("GANSegmentation/idleMinutes", "25")
    with shown(module) as widget:
        assert widget.ui.runModeComboBox.currentText.startswith("In this application")
        assert widget.ui.idleSpinBox.value == 25
        widget.refresh()
        assert own_settings.value("GANSegmentation/runMode") == "inline"


def test_releasing_lets_go_of_the_model(widget):
    choose(widget, add_scan(), "tiny-liver")
    run_to_end(widget)
    assert widget.logic.executor._worker._predictor is not None
    widget.ui.releaseButton.click()
    assert widget.logic.executor._worker._predictor is None
    run_to_end(widget)
    assert widget.ui.resultLabel.text.startswith("Liver:")


def test_a_run_locks_what_it_depends_on_and_says_why(widget, monkeypatch):
    choose(widget, add_scan(), "tiny-liver")
    ui, seen = widget.ui, []
    controls = (ui.deviceComboBox, ui.runModeComboBox, ui.releaseButton, ui.forceCheckBox, ui.clearCacheButton)
    at(widget, monkeypatch, lambda: seen.extend((each.enabled, each.toolTip) for each in controls))
    run_to_end(widget)
    assert seen == [(False, "Wait until the run has ended.")] * len(controls)
    assert all(each.enabled for each in controls)


# The models on the disk


def test_place_and_size_of_the_imported_models_are_shown(widget, tmp_path):
    text = widget.ui.cacheFolderLabel.text
    assert str(tmp_path / "models") in text and text.startswith("1 imported models, ")
    widget.ui.openCacheButton.click()
    assert dialogs.urls[-1] == (tmp_path / "models").as_uri()


def test_another_folder_for_imported_models_is_used_at_once_and_kept(asked, widget, tmp_path, monkeypatch):
    assert not widget.ui.changeCacheButton.enabled  # the tests name the folder
    assert "GANSEG_MODELS" in widget.ui.changeCacheButton.toolTip
    monkeypatch.delenv("GANSEG_MODELS")
    preferences = widget.preferences
    preferences.modelFolder = tmp_path / "models"
    try:
        widget.refresh()
        assert "tiny-liver" in model_ids(widget)
        shared = tmp_path / "Modelle für alle"
        shared.mkdir()
        write_tiny_package(shared / "more.ganseg", id="more", title="More")
        asked.answers["folder"] = ["", shared]
        widget.ui.changeCacheButton.click()  # and Cancel
        assert preferences.modelFolder == tmp_path / "models"
        assert asked.texts("error") == []
        widget.ui.changeCacheButton.click()
        assert preferences.modelFolder == shared
        assert str(shared) in widget.ui.cacheFolderLabel.text and str(shared) in widget.ui.stageLabel.text
        assert "more" in model_ids(widget) and "tiny-liver" not in model_ids(widget)
        assert (tmp_path / "models" / "tiny-liver.ganseg").exists()
    finally:
        preferences.modelFolder = None


@pytest.mark.parametrize("answer", [False, True])
def test_the_imported_models_are_removed_only_on_yes_and_shipped_ones_never(asked, widget, tmp_path, answer):
    write_tiny_package(tmp_path / "models" / "more.ganseg", id="more", title="More")
    (tmp_path / "models" / "notes.txt").write_text("mine", encoding="utf-8")
    widget.refresh()
    asked.answers["confirmYesNo"] = [answer]
    widget.ui.clearCacheButton.click()
    assert "all 2 imported models" in asked.texts("confirmYesNo")[0]
    assert ("more" in model_ids(widget)) is not answer
    assert "liver-ct-pix2pix" in model_ids(widget)
    assert (tmp_path / "models" / "notes.txt").exists()
    assert widget.ui.clearCacheButton.enabled is not answer


# Diagnostics


def test_diagnostics_help_and_say_nothing_of_the_patient(widget, monkeypatch):
    import qt

    volume = add_scan("Müller^Anna 19610203")
    choose(widget, volume, "tiny-liver")
    widget.statusSection.probe = probe("ok", GPU)
    widget.showError(GANSegmentationError("out_of_memory", "Reading /data/anna/scan.nii of Müller^Anna failed."))
    widget.ui.copyDiagnosticsButton.click()
    text = qt.QApplication.clipboard().text()
    assert widget.logic.version in text and slicer.app.applicationVersion in text
    assert "NVIDIA RTX" in text and "tiny-liver" in text and "code: out_of_memory" in text
    assert "state: ok" in text
    for private in ("Müller", "Anna", "19610203", "scan.nii"):
        assert private not in text
    assert widget.ui.stageLabel.text == "The diagnostics are on the clipboard."


def test_the_names_of_the_scene_are_kept_out_of_diagnostics(widget):
    """Whatever a node is called may be somebody's name."""
    choose(widget, add_scan("Erika Muster, Bauch"), "tiny-liver")
    widget.log("Erika Muster, Bauch is strange")
    widget.showError(GANSegmentationError("damaged_file", "Erika Muster, Bauch cannot be read."))
    text = widget.diagnostics()
    assert "Erika" not in text and "Muster" not in text
    assert "is strange" in text and "cannot be read" in text


def test_the_version_is_shown(widget):
    assert widget.ui.versionLabel.text == f"GANSegmentation {widget.logic.version}"


# Log


def test_what_happens_is_logged_with_the_time_and_can_be_cleared(widget):
    choose(widget, add_scan(), "tiny-liver")
    run_to_end(widget)
    lines = widget.ui.logTextEdit.toPlainText().splitlines()
    assert lines and all(re.match(r"\d\d:\d\d:\d\d  \S", line) for line in lines)
    widget.ui.clearLogButton.click()
    assert widget.ui.logTextEdit.toPlainText() == ""


def test_the_log_is_bounded_and_opens_by_itself_on_an_error(widget):
    assert widget.ui.logCollapsibleButton.collapsed
    for number in range(2100):
        widget.log(f"line {number}")
    assert widget.ui.logTextEdit.blockCount == 2000
    widget.showError(GANSegmentationError("any", "It failed."))
    assert not widget.ui.logCollapsibleButton.collapsed


def test_the_folder_of_the_log_files_is_opened(widget, tmp_path, monkeypatch):
    from GANSegmentationPanel.process import worker_log

    monkeypatch.setattr(worker_log, "logFolder", lambda: tmp_path / "Lög")
    dialogs.clear()
    widget.ui.openLogFolderButton.click()
    assert (tmp_path / "Lög").is_dir()
    assert len(dialogs.urls) == 1
