"""The host's own tests: what stands in for Slicer behaves as Slicer's documentation says."""

from __future__ import annotations

import importlib.util

import pytest

if importlib.util.find_spec("slicer_core") is None:  # the extra slicer-test
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def application():
    """The running host."""
    from Testing.slicer_host import application

    return application.start()


@pytest.fixture
def scene(application):
    """An empty scene."""
    application.core.clear()
    yield application.core.scene
    application.core.clear()


@pytest.fixture
def show(application):
    """Shows a widget, off the screen, at a width; it is gone after the test."""
    from PySide6 import QtWidgets

    from Testing.slicer_host import looks

    panels = []

    def put(*widgets: QtWidgets.QWidget, width: int = 400) -> QtWidgets.QWidget:
        panel = QtWidgets.QWidget()
        layout = QtWidgets.QVBoxLayout(panel)
        for widget in widgets:
            layout.addWidget(widget)
        panels.append(panel)
        looks.lay_out(panel, width)
        return panel

    yield put
    for panel in panels:
        panel.hide()
        panel.deleteLater()


@pytest.fixture
def heard():
    """Connects a signal as a scripted module does, and gives the list of what it said."""

    def listen(sender, signature):
        said = []
        sender.connect(signature, lambda *values: said.append(values))
        return said

    return listen
