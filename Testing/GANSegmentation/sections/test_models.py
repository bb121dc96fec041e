"""The list of models: search, the card, import by button and by drop, removal, broken packages, sample data."""

from __future__ import annotations

import pytest
import slicer

from Testing.GANSegmentation.panels import add_scan, choose, model_ids, model_texts, row_of, shown
from Testing.slicer_host.application import wait_until
from Testing.slicer_host.dialogs import dialogs
from Testing.tiny_model import write_tiny_package

pytestmark = pytest.mark.filterwarnings("ignore:.*marked as deprecated:DeprecationWarning")  # making drop events


@pytest.fixture
def folder(tiny_model, tmp_path):
    return tmp_path / "models"


def row_text(widget, model) -> list[str]:
    return model_texts(widget)[row_of(widget, model)].split("\n")


# The list


def test_each_model_has_a_picture_a_title_and_what_it_is_for(widget, tiny_model):
    assert model_ids(widget)[0] == ""
    title, what, figures = row_text(widget, tiny_model)
    assert title == "Tiny liver" and what.startswith("CT · axial · Liver · ")
    assert figures == "CC0-1.0"  # its card has no scores
    assert row_text(widget, "liver-ct-supervised")[2] == "Dice 0.96 (0.94 to 0.97), n 6 · CC BY-NC-SA 4.0"
    item = widget.ui.modelListWidget.item(row_of(widget, tiny_model))
    assert item.icon().availableSizes()[0].width() == 96
    assert "CC0-1.0" in item.toolTip()


def test_a_model_that_was_replaced_gets_its_new_picture(widget, tiny_model, monkeypatch):
    from GANSegmentationPanel import model_list

    asked, thumbnail = [], model_list.thumbnail
    monkeypatch.setattr(
        model_list, "thumbnail", lambda package, size: asked.append(package.card.id) or thumbnail(package, size)
    )
    widget.refresh()
    assert asked == []  # the pictures are kept
    widget.forgetModels()
    assert tiny_model in asked


def test_the_first_row_says_which_model_it_stands_for(widget, tiny_model, monkeypatch):
    assert row_text(widget, "") == ["Automatic", "By the modality of the volume"]
    choose(widget, add_scan())
    title = row_text(widget, "")[1]
    assert title == widget.package().card.title
    assert widget.package() is widget.logic.package(None, widget.parameters.inputVolume)


def test_the_modality_may_become_known_after_the_volume_was_chosen(widget):
    """As when DICOM is loaded: first the node, then what its series says."""
    from GANSegmentationPanel import scene

    volume_node = add_scan(modality=None)
    assert widget.ui.applyButton.enabled is False
    hierarchy, item = scene.hierarchyItem(volume_node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
    assert widget.ui.applyButton.enabled is True


def test_models_for_another_modality_stand_last_and_are_refused_with_the_reason(widget, folder):
    write_tiny_package(folder / "mr.ganseg", id="tiny-mr", title="A tiny MR", modalities=["MR"], default_for=["MR"])
    choose(widget, add_scan("Leber"), "tiny-liver")
    assert model_ids(widget)[-1] == "tiny-mr"
    choose(widget, model="tiny-mr")
    assert widget.ui.applyButton.toolTip == "A tiny MR was made for MR; Leber is CT."
    assert widget.ui.inputCheckLabel.text == widget.ui.applyButton.toolTip
    assert not widget.ui.inputCheckLabel.isHidden()


def test_a_search_leaves_what_fits_and_keeps_the_choice(widget, tiny_model):
    choose(widget, add_scan(), tiny_model)
    widget.ui.modelSearchBox.text = "TINY axial"
    assert model_ids(widget) == [tiny_model]
    assert widget.ui.modelListWidget.currentRow == 0
    widget.ui.modelSearchBox.text = "kidney"
    assert model_ids(widget) == []
    assert widget.parameters.modelId == tiny_model
    widget.ui.modelSearchBox.text = ""
    assert widget.ui.modelListWidget.currentRow == row_of(widget, tiny_model)


def test_a_chosen_model_is_kept_in_the_scene(widget, tiny_model):
    choose(widget, model=tiny_model)
    assert widget.parameters.modelId == tiny_model
    widget.exit()
    widget.enter()
    assert widget.ui.modelListWidget.currentRow == row_of(widget, tiny_model)


def test_the_card_is_shown_on_demand_with_its_provenance(widget, tiny_model):
    ui = widget.ui
    assert not ui.modelPageButton.enabled and ui.modelPageButton.toolTip == "No model is chosen."
    choose(widget, add_scan(), tiny_model)
    assert ui.modelDetailsBrowser.isHidden()
    ui.modelPageButton.click()
    assert not ui.modelDetailsBrowser.isHidden()
    text = ui.modelDetailsBrowser.toPlainText()
    for part in ("Tiny liver", "Not for use.", "CC0-1.0", "SHA-256"):
        assert part in text
    ui.modelPageButton.click()
    assert ui.modelDetailsBrowser.isHidden()


def test_a_card_is_no_markup(widget, folder):
    write_tiny_package(folder / "bold.ganseg", id="bold", title="<b>Bold</b>")
    choose(widget, add_scan(), "bold")
    widget.ui.modelPageButton.click()
    assert "<b>Bold</b>" in widget.ui.modelDetailsBrowser.toPlainText()


def test_a_model_of_the_scene_that_is_not_installed_is_named(widget):
    choose(widget, add_scan())
    widget.parameters.modelId = "from-elsewhere"
    assert widget.ui.applyButton.enabled is False
    assert "from-elsewhere" in widget.ui.applyButton.toolTip
    assert widget.ui.modelListWidget.currentRow == -1
    choose(widget, model="tiny-liver")
    assert widget.ui.applyButton.enabled is True


def test_without_any_model_the_panel_says_so(module, scene, tmp_path, monkeypatch):
    from GANSegmentationLib.models import ModelLibrary

    none = ModelLibrary(shipped=tmp_path / "none", user=tmp_path / "neither")
    monkeypatch.setattr(module.GANSegmentationLogic, "library", none)
    with shown(module) as widget:
        add_scan()
        assert widget.ui.applyButton.toolTip == "No model is installed. Import a model package first."
        assert model_ids(widget) == []


def test_a_package_that_appears_on_the_disk_is_listed_when_the_panel_is_entered(widget, folder):
    widget.exit()
    write_tiny_package(folder / "new.ganseg", id="new", title="New")
    widget.enter()
    assert "new" in model_ids(widget)


# Import (own trained models, and places without a network: no file is edited by hand)


def test_a_package_is_imported_by_the_button_and_chosen(asked, widget, tmp_path):
    path = write_tiny_package(tmp_path / "Öhr 肝" / "mine.ganseg", id="mine", title="Mine")
    asked.answers["openFile"] = [path, ""]
    widget.ui.importModelButton.click()
    assert widget.parameters.modelId == "mine"
    assert widget.ui.modelListWidget.currentRow == row_of(widget, "mine")
    assert widget.ui.stageLabel.text == "Imported Mine 1.0.0."
    widget.ui.importModelButton.click()
    assert asked.shown[-1].options["directory"] == str(path.parent), "the dialog opens where the last file was"


def drop(widget, *urls):
    """What Qt sends when files are dropped on the list; gives whether they are taken."""
    from PySide6 import QtCore, QtGui, QtWidgets

    data = QtCore.QMimeData()
    if urls:
        data.setUrls([QtCore.QUrl(url) for url in urls])
    else:
        data.setText("a text")
    viewport = widget.ui.modelListWidget.viewport()
    events = {"QDragEnterEvent": QtCore.QPoint, "QDragMoveEvent": QtCore.QPoint, "QDropEvent": QtCore.QPointF}
    for kind, point in events.items():
        place = point(5, 5)
        event = getattr(QtGui, kind)(
            place, QtCore.Qt.CopyAction, data, QtCore.Qt.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier
        )
        event.ignore()
        QtWidgets.QApplication.sendEvent(viewport, event)
        if not event.isAccepted():
            return False
    return True


def test_packages_are_imported_by_drop(widget, tmp_path):
    first = write_tiny_package(tmp_path / "Öhr # 100% 肝" / "mine.ganseg", id="mine", title="Mine")
    second = write_tiny_package(tmp_path / "other.ganseg", id="other", title="Other")
    assert widget.ui.modelListWidget.viewport().acceptDrops
    assert drop(widget, first.as_uri(), second.as_uri())
    assert "mine" not in model_ids(widget), "the program that they come from does not wait for the import"
    assert wait_until(lambda: "other" in model_ids(widget), 10)
    assert "mine" in model_ids(widget)
    assert widget.parameters.modelId == "other"


def test_a_dropped_text_is_not_taken(widget):
    assert not drop(widget)


def test_what_cannot_be_used_is_refused_with_the_reason(widget, tmp_path):
    path = tmp_path / "broken.ganseg"
    path.write_bytes(b"no zip at all")
    dialogs.clear()
    before = model_ids(widget)
    drop(widget, path.as_uri(), "https://example.org/model.ganseg")
    assert wait_until(lambda: bool(dialogs.texts("error")), 10)
    widget.modelsSection.importModels([str(path)])
    assert "broken.ganseg" in dialogs.texts("error")[-1]
    assert "broken.ganseg" in widget.ui.stageLabel.text
    assert not widget.ui.logCollapsibleButton.collapsed
    assert model_ids(widget) == before


@pytest.mark.parametrize("answer", [False, True])
def test_another_model_of_that_version_is_replaced_only_on_yes(asked, widget, tmp_path, answer):
    other = write_tiny_package(tmp_path / "other.ganseg", title="Another tiny liver")
    asked.answers["confirmYesNo"] = [answer]
    widget.modelsSection.importModels([str(other)])
    assert "Replace it?" in asked.texts("confirmYesNo")[0]
    assert row_text(widget, "tiny-liver")[0] == ("Another tiny liver" if answer else "Tiny liver")


def test_a_broken_package_of_the_library_is_listed_with_its_reason_and_can_be_deleted(widget, folder):
    bad = folder / "bad.ganseg"
    bad.write_bytes(b"no zip at all")
    choose(widget, add_scan(), "tiny-liver")
    row = len(model_ids(widget)) - 1
    item = widget.ui.modelListWidget.item(row)
    assert item.text() == "bad.ganseg\nCannot be used"
    assert "bad.ganseg" in item.toolTip() and len(item.toolTip()) > 30
    widget.ui.modelListWidget.setCurrentRow(row)
    widget.ui.modelPageButton.click()
    assert widget.ui.modelDetailsBrowser.toPlainText() == item.toolTip()
    assert widget.parameters.modelId == "tiny-liver", "it cannot be chosen for a run"
    widget.ui.removeModelButton.click()
    assert not bad.exists()
    assert widget.ui.modelListWidget.currentRow == row_of(widget, "tiny-liver")


# Removal


@pytest.mark.parametrize("answer", [False, True])
def test_a_model_is_removed_only_on_yes(asked, widget, folder, answer):
    choose(widget, add_scan(), "tiny-liver")
    asked.answers["confirmYesNo"] = [answer]
    widget.ui.removeModelButton.click()
    assert "Tiny liver" in asked.texts("confirmYesNo")[0]
    assert (folder / "tiny-liver.ganseg").exists() is not answer
    assert widget.parameters.modelId == ("" if answer else "tiny-liver")


def test_shipped_models_cannot_be_removed_and_the_button_says_why(widget):
    choose(widget, add_scan(), "liver-ct-pix2pix")
    assert not widget.ui.removeModelButton.enabled
    assert "part of the extension" in widget.ui.removeModelButton.toolTip


# Sample data


def test_the_synthetic_patient_becomes_the_input(widget, monkeypatch):
    from GANSegmentationPanel import scene
    from GANSegmentationPanel.sections import models

    seen = []

    def load():
        seen.append((widget.ui.sampleDataButton.enabled, widget.ui.stageLabel.text))
        return add_scan("patient"), None

    monkeypatch.setattr(models.sample_data, "loadSyntheticPatient", load)
    first, _second = widget.ui.sampleDataButton.menu().actions()
    first.trigger()
    assert seen == [(False, "Drawing the patient...")]
    assert widget.parameters.inputVolume.GetName() == "patient"
    assert widget.ui.sampleDataButton.enabled and "Load a volume" in widget.ui.sampleDataButton.toolTip
    assert scene.volumeFromNode(widget.parameters.inputVolume).modality == "CT"


def test_ctliver_of_slicers_sample_data_is_known_to_be_a_ct(widget, monkeypatch):
    from Testing.slicer_host.services import SampleDataLogic

    monkeypatch.setitem(SampleDataLogic.samples, "CTLiver", lambda: add_scan("CTLiver", modality=None))
    widget.ui.sampleDataButton.menu().actions()[1].trigger()
    assert widget.parameters.inputVolume.GetName() == "CTLiver"
    assert widget.logic.modalityOf(widget.parameters.inputVolume) == "CT"


def test_a_sample_that_does_not_come_is_explained(widget, monkeypatch):
    from Testing.slicer_host.services import SampleDataLogic

    dialogs.clear()
    monkeypatch.setattr(SampleDataLogic, "downloadSample", lambda self, name: None)
    widget.ui.sampleDataButton.menu().actions()[1].trigger()
    assert "synthetic patient" in dialogs.texts("error")[0]
    assert widget.ui.sampleDataButton.enabled
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
