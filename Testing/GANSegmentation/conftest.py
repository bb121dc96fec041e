"""The module GANSegmentation over a real MRML scene (slicer-core) and PySide6 in Qt's place."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
MODULE_FILE = PROJECT / "GANSegmentation" / "GANSegmentation.py"

if importlib.util.find_spec("slicer_core") is None:  # the extra slicer-test; without it the library alone is tested
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def application():
    """The running host; the module's folder is on the path, as Slicer puts it there."""
    from Testing.slicer_host import application

    running = application.start()
    if str(MODULE_FILE.parent) not in sys.path:
        sys.path.insert(0, str(MODULE_FILE.parent))
    return running


@pytest.fixture
def scene(application):
    """An empty scene."""
    application.core.clear()
    yield application.core.scene
    application.core.clear()


@pytest.fixture
def border(scene):
    """The border between nodes and the library."""
    from GANSegmentationPanel import scene as border

    return border


@pytest.fixture
def sequences(border):
    """The logic that keeps the proxies of sequences at the chosen frame."""
    import slicer

    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(slicer.mrmlScene)
    yield logic
    logic.SetMRMLScene(None)


@pytest.fixture(scope="session")
def module(application):
    """The module, loaded as Slicer loads it at start-up."""
    from Testing.slicer_host.application import load_module

    return load_module(MODULE_FILE)


@pytest.fixture
def tiny_model(tmp_path, monkeypatch) -> str:
    """The id of an imported model whose answer is known: a voxel above 100 HU is liver."""
    from Testing.tiny_model import write_tiny_package

    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("GANSEG_MODELS", str(folder))
    write_tiny_package(folder / "tiny-liver.ganseg")
    return "tiny-liver"


@pytest.fixture
def asked(application, monkeypatch):
    """The dialogs, which want an answer, as with a user; without a main window and the process that it brings."""
    from Testing.slicer_host.dialogs import dialogs

    monkeypatch.setattr(application, "_testing", False)
    dialogs.clear()
    yield dialogs
    dialogs.clear()


@pytest.fixture
def logic(module, scene):
    logic = module.GANSegmentationLogic()
    yield logic
    logic.close()


@pytest.fixture
def widget(module, scene, tiny_model):
    """The panel, entered; no exception may have been swallowed by a slot when the test ends."""
    from Testing.GANSegmentation.panels import close
    from Testing.slicer_host import application, pythonqt

    pythonqt.slot_errors.clear()
    widget, panel = application.show_panel(module)
    yield widget
    close(widget, panel)
    running = application.start()
    running.sendPostedEvents(None, 52)  # QEvent::DeferredDelete: without an event loop it would stay, and listen
    assert not pythonqt.slot_errors


@pytest.fixture
def ready(widget):
    """The panel with a volume and the tiny model chosen, and no dialog shown yet."""
    from Testing.GANSegmentation.panels import add_scan, choose
    from Testing.slicer_host.dialogs import dialogs

    choose(widget, add_scan(), "tiny-liver")
    dialogs.clear()
    return widget
