"""The application: dialogs, views, files, extensions, settings."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def slicer(scene):
    import slicer
    import slicer.util

    return slicer


@pytest.fixture
def window(application, scene):
    with application.with_main_window() as window:
        yield window


@pytest.fixture
def dialogs(application):
    from Testing.slicer_host.dialogs import dialogs

    dialogs.clear()
    yield dialogs
    dialogs.clear()


def volume(slicer):
    return slicer.util.addVolumeFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4), name="CT")


# Dialogs


def test_in_testing_mode_every_question_is_answered_and_kept(slicer, dialogs):
    assert slicer.app.testingEnabled() is True
    assert slicer.util.confirmYesNoDisplay("Install?") is True
    assert slicer.util.confirmOkCancelDisplay("Go?") is True
    slicer.util.errorDisplay("It failed.", detailedText="line 1")
    assert [shown.kind for shown in dialogs.shown] == ["confirmYesNo", "confirmOkCancel", "error"]
    assert dialogs.shown[-1].options["detailedText"] == "line 1"


def test_a_user_answers_and_an_unanswered_question_is_an_error(slicer, window, dialogs):
    from Testing.slicer_host.dialogs import UnansweredError

    dialogs.answers["confirmYesNo"] = [False, True]
    assert slicer.util.confirmYesNoDisplay("Install?") is False
    assert slicer.util.confirmYesNoDisplay("Install?") is True
    with pytest.raises(UnansweredError, match="Install"):
        slicer.util.confirmYesNoDisplay("Install?")
    assert dialogs.texts("confirmYesNo") == ["Install?"] * 3


def test_an_error_within_try_is_shown_to_a_user_and_raised(slicer, window, dialogs):
    with pytest.raises(ValueError, match="cause"), slicer.util.tryWithErrorDisplay("It failed.", waitCursor=True):
        raise ValueError("the cause")
    assert dialogs.texts("error") == ["It failed.\n\nthe cause"]


def test_file_dialogs_give_what_a_test_answers(slicer, dialogs, tmp_path):
    import qt

    dialogs.answers.update(openFile=[tmp_path / "a.ganseg"], saveFile=[""])
    assert qt.QFileDialog.getOpenFileName(None, "Import", "", "*.ganseg") == str(tmp_path / "a.ganseg")
    assert qt.QFileDialog.getSaveFileName(None, "Save") == ""
    assert dialogs.shown[0].options["filter"] == "*.ganseg"


def test_a_dialog_that_would_wait_is_an_error_and_addresses_are_not_opened(slicer, dialogs):
    import qt

    from Testing.slicer_host.dialogs import UnansweredError

    with pytest.raises(UnansweredError):
        qt.QMessageBox().exec()
    with pytest.raises(UnansweredError):
        qt.QDialog().exec_()
    qt.QDesktopServices.openUrl(qt.QUrl("https://example.org"))
    assert dialogs.urls == ["https://example.org"]


# Main window and views


def test_without_a_main_window_there_are_no_views(slicer):
    assert slicer.app.commandOptions().noMainWindow is True
    assert slicer.app.layoutManager() is None
    assert slicer.util.mainWindow() is None
    with pytest.raises(RuntimeError):
        slicer.util.selectModule("SegmentEditor")


def test_with_a_main_window_modules_can_be_chosen(slicer, window):
    assert slicer.app.commandOptions().noMainWindow is False
    slicer.util.selectModule("SegmentEditor")
    assert window.moduleSelector().selected == ["SegmentEditor"]
    assert slicer.util.getModule("Segmentations").logic() is not None


def test_the_views_are_real_slice_nodes(slicer, window):
    node = volume(slicer)
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    manager = slicer.app.layoutManager()
    assert list(manager.sliceViewNames()) == ["Red", "Green", "Yellow"]
    red = manager.sliceWidget("Red")
    assert red.sliceLogic().GetSliceCompositeNode().GetBackgroundVolumeID() == node.GetID()
    red.mrmlSliceNode().JumpSliceByCentering(0, 0, 1)
    assert red.sliceLogic().GetSliceOffset() == pytest.approx(1)
    assert manager.sliceWidget("Blue") is None
    slicer.util.resetThreeDViews()
    assert manager.threeDWidget(0).threeDView().resets == 1


def test_the_views_leave_nothing_behind(application, scene):
    def present():
        return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}

    before = present()
    with application.with_main_window():
        assert len(present()) > len(before)
    assert present() == before


def test_a_view_node_that_a_test_made_does_not_meet_the_views_of_the_next(application, scene):
    left = scene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")
    left.SetLayoutName("Red")
    application.core.clear()
    assert left.GetScene() is None
    with application.with_main_window():
        assert application.layoutManager().sliceWidget("Red").mrmlSliceNode() is not left


# Files


@pytest.mark.parametrize("name", ["scene.mrb", "scene.mrml"])
def test_a_scene_is_saved_and_loaded_with_its_parameter_node(slicer, tmp_path, name):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "Parameters")
    node.SetParameter("modelId", "tiny-liver")
    node.SetNodeReferenceID("inputVolume", volume(slicer).GetID())
    assert slicer.util.saveScene(str(tmp_path / name))
    slicer.app.core.clear()
    slicer.util.loadScene(str(tmp_path / name))
    loaded = slicer.util.getNode("Parameters")
    assert loaded.GetParameter("modelId") == "tiny-liver"
    if name.endswith(".mrb"):  # a .mrml file has no data beside it here
        array = slicer.util.arrayFromVolume(loaded.GetNodeReference("inputVolume"))
        assert np.array_equal(array.ravel(), np.arange(24))


def test_volumes_and_segmentations_are_saved_and_loaded(slicer, tmp_path):
    assert slicer.util.saveNode(volume(slicer), str(tmp_path / "ct.nrrd"))
    assert np.array_equal(
        slicer.util.arrayFromVolume(slicer.util.loadVolume(str(tmp_path / "ct.nrrd"))).shape, (2, 3, 4)
    )
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "seg")
    array = np.zeros((4, 5, 6), np.uint8)
    array[1:3, 1:3, 1:3] = 1
    labelmap = slicer.util.addVolumeFromArray(array, nodeClassName="vtkMRMLLabelMapVolumeNode")
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labelmap, node)
    assert slicer.util.saveNode(node, str(tmp_path / "a.seg.nrrd"))
    assert slicer.util.loadSegmentation(str(tmp_path / "a.seg.nrrd")).GetSegmentation().GetNumberOfSegments() == 1
    with pytest.raises(RuntimeError):
        slicer.util.loadVolume(str(tmp_path / "none.nrrd"))


# Extensions, packages, sample data, settings


def test_an_extension_is_installed_and_enabled_only_after_a_restart(application, slicer):
    manager = slicer.app.extensionsManagerModel()
    manager.states.clear()
    restarts = application.restarts
    manager.interactive = False
    assert manager.installExtensionFromServer("PyTorch", True) is True
    assert (manager.isExtensionInstalled("PyTorch"), manager.isExtensionEnabled("PyTorch")) == (True, False)
    assert application.restarts == restarts + 1
    manager.reachable = False
    assert manager.installExtensionFromServer("Other") is False
    manager.reachable = True
    manager.states.clear()


def test_packages_are_asked_for_and_never_installed(application, slicer):
    from slicer.packaging import pip_ensure

    application.packages.asked.clear()
    slicer.util.pip_install("safetensors>=0.4")
    pip_ensure(["safetensors>=0.4"], requester="GANSegmentation")
    application.packages.missing.add("safetensors>=0.4")
    application.packages.answer = False
    with pytest.raises(RuntimeError):
        pip_ensure(["safetensors>=0.4"])
    application.packages.answer = True
    pip_ensure(["safetensors>=0.4"])
    assert [kind for kind, _ in application.packages.asked] == ["pip_install", "pip_ensure"]


def test_sample_data_is_registered_and_given(slicer):
    import SampleData

    logic = SampleData.SampleDataLogic
    logic.registerCustomSampleDataCategory("Host", title="Host")
    logic.registerCustomSampleDataSource("Host", sampleName="One", uris=["a"], fileNames=["a.nrrd"], nodeNames=["a"])
    assert [source.sampleName for source in logic.sampleDataSourcesByCategory("Host")] == ["One"]
    assert logic.sampleDataSourcesByCategory()["Host"] is logic.sampleDataSourcesByCategory("Host")
    assert logic.sampleDataSourcesByCategory("Unknown") == []
    with pytest.raises(ValueError, match="a sample needs"):
        logic.registerCustomSampleDataSource("Host", sampleName="Two", uris=["a", "b"], nodeNames=["a"])
    logic.samples["One"] = lambda: volume(slicer)
    assert SampleData.downloadSample("One").GetName() == "CT"
    with pytest.raises(ValueError, match="no sample"):
        SampleData.downloadSample("Two")
    logic.categories.pop("Host")
    logic.samples.clear()


def test_settings_are_the_hosts_own(application):
    import qt

    assert str(application.temporaryPath) in qt.QSettings().fileName()
    application.userSettings().setValue("GANSegmentation/device", "cpu")
    assert qt.QSettings().value("GANSegmentation/device") == "cpu"
    application.userSettings().remove("GANSegmentation/device")


def test_the_end_of_the_application_is_heard(application):
    heard = []
    application.connect("aboutToQuit()", lambda: heard.append(True))
    application.aboutToQuit.emit()
    assert heard == [True]
    assert application.applicationName == "Slicer"


# Looks


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_is_as_wide_as_the_panel_and_in_the_themes_colours(application, tmp_path, theme):
    import qt
    from PIL import Image

    from Testing.slicer_host import looks

    looks.use_theme(application, theme)
    panel = qt.QWidget()
    layout = qt.QVBoxLayout(panel)
    layout.addWidget(qt.QLabel("Volume:"))
    looks.lay_out(panel)
    with Image.open(looks.write_picture(panel, tmp_path / "panel.png")) as picture:
        assert picture.size[0] == looks.PANEL_WIDTH
        assert (picture.convert("L").getpixel((0, 0)) > 128) == (theme == "light")
    looks.use_theme(application, "light")
    panel.deleteLater()


def test_a_text_that_is_cut_is_found(application):
    import qt

    from Testing.slicer_host import looks

    panel = qt.QWidget()
    layout = qt.QVBoxLayout(panel)
    for name in ("short", "long"):
        button = qt.QPushButton("a text " * (1 if name == "short" else 20))
        button.objectName = name
        layout.addWidget(button)
    panel.findChild(qt.QPushButton, "long").setMaximumWidth(100)
    looks.lay_out(panel)
    assert looks.cut_texts(panel) == ["long"]
    panel.deleteLater()
