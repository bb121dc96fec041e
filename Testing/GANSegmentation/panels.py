"""What the tests of the panel's sections do again and again."""

from __future__ import annotations

from contextlib import contextmanager

import slicer
import slicer.util

from Testing.slicer_host import application, pythonqt
from Testing.tiny_model import tiny_scan


def add_scan(name="tiny", modality="CT", geometry=None):
    """A volume node with the tiny scan."""
    from GANSegmentationPanel import scene

    node = scene.addVolumeNode(tiny_scan(modality, geometry))
    node.SetName(name)
    return node


def add_sequence(count, name="tiny"):
    """The proxy node of a sequence whose frames are the tiny scan; the scene has to have a sequences logic."""
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    for number in range(count):
        frame = add_scan(name)
        sequence.SetDataNodeAtValue(frame, str(number))
        slicer.mrmlScene.RemoveNode(frame)
    browser.AddSynchronizedSequenceNode(sequence)
    slicer.vtkSlicerSequencesLogic().UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(sequence)
    proxy.SetAttribute("DICOM.Modality", "CT")
    return proxy


def choose(widget, volume_node=None, model=None):
    """Choose a volume in its selector, and a model by a click on its row."""
    if volume_node is not None:
        widget.ui.inputVolumeSelector.setCurrentNode(volume_node)
    if model is not None:
        widget.ui.modelListWidget.setCurrentRow(row_of(widget, model))


def row_of(widget, model) -> int:
    """The row of a model's ID in the list."""
    return model_ids(widget).index(model)


def model_ids(widget) -> list:
    import qt

    models = widget.ui.modelListWidget
    return [models.item(row).data(qt.Qt.UserRole) for row in range(models.count)]


def model_texts(widget) -> list[str]:
    models = widget.ui.modelListWidget
    return [models.item(row).text() for row in range(models.count)]


def segmentations() -> list:
    return list(slicer.util.getNodesByClass("vtkMRMLSegmentationNode"))


def names_of(segmentation_node) -> list[str]:
    segmentation = segmentation_node.GetSegmentation()
    return [segmentation.GetSegment(each).GetName() for each in segmentation.GetSegmentIDs()]


@contextmanager
def shown(module):
    """A panel of its own, entered; gone at the end, and no slot may have failed."""
    pythonqt.slot_errors.clear()
    widget, panel = application.show_panel(module)
    try:
        yield widget
    finally:
        close(widget, panel)
    assert not pythonqt.slot_errors


def close(widget, panel) -> None:
    """Leave a panel and delete it at once: with `deleteLater` alone, every later scene would be shown in it, too."""
    from PySide6 import QtCore

    widget.exit()
    widget.cleanup()
    panel.isEntered = False
    panel.deleteLater()
    QtCore.QCoreApplication.sendPostedEvents(panel, QtCore.QEvent.Type.DeferredDelete)


def at(widget, monkeypatch, act, kind=None, stage=None):
    """Have something done once, when the run first says an event of a kind (or a stage of a name)."""
    done = []
    heard = widget.onEvent

    def listen(event):
        heard(event)
        matches = kind is None or isinstance(event, kind)
        if matches and (stage is None or getattr(event, "name", None) == stage) and not done:
            done.append(event)
            act()

    monkeypatch.setattr(widget, "onEvent", listen)
    return done


def run_to_end(widget, seconds=60):
    """Press Apply, and wait until the run has ended."""
    widget.ui.applyButton.click()
    wait_for_end(widget, seconds)


def wait_for_end(widget, seconds=60):
    assert application.wait_until(lambda: not widget.logic.isRunning, seconds), widget.ui.stageLabel.text
