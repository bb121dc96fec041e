"""Dialogs that nobody waits for: what would be shown is kept, and a test gives the answers beforehand.

``dialogs.answers["confirmYesNo"] = [False, True]`` answers the first question with No and the second with Yes. A
question without an answer raises, for in Slicer it would wait for somebody. In testing mode `slicer.util` shows nothing
and answers Yes and OK by itself; that is so here too, and what was asked is kept all the same.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import slicer
import slicer.util
from PySide6 import QtCore, QtGui, QtWidgets


@dataclass(frozen=True)
class Shown:
    """One dialog: its kind (``error``, ``confirmYesNo``, ``openFile``, ...), its text, and what else it was given."""

    kind: str
    text: str
    options: dict[str, Any] = field(default_factory=dict)


class UnansweredError(AssertionError):
    """A dialog was opened that waits for an answer, and no test has given one."""


class Dialogs:
    """What was shown since `clear`, and the answers to come."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []
        self.answers: dict[str, list[Any]] = {}
        self.urls: list[str] = []

    def clear(self) -> None:
        self.shown.clear()
        self.answers.clear()
        self.urls.clear()

    def texts(self, kind: str) -> list[str]:
        """The texts of all dialogs of a kind."""
        return [shown.text for shown in self.shown if shown.kind == kind]

    def show(self, kind: str, text: str, **options: Any) -> None:
        self.shown.append(Shown(kind, text, options))

    def ask(self, kind: str, text: str, **options: Any) -> Any:
        self.show(kind, text, **options)
        if not self.answers.get(kind):
            raise UnansweredError(f"the dialog {kind} would wait for somebody: {text}")
        return self.answers[kind].pop(0)


dialogs = Dialogs()


def _message(kind: str, level: int) -> Any:
    def display(text: str, windowTitle: str | None = None, parent: Any = None, **options: Any) -> None:
        logging.getLogger("slicer").log(level, text)
        dialogs.show(kind, text, windowTitle=windowTitle, **options)

    return display


def _question(kind: str, in_testing_mode: bool) -> Any:
    def confirm(text: str, windowTitle: str | None = None, parent: Any = None, **options: Any) -> bool:
        if slicer.app.testingEnabled():
            dialogs.show(kind, text, windowTitle=windowTitle, **options)
            return in_testing_mode
        return bool(dialogs.ask(kind, text, windowTitle=windowTitle, **options))

    return confirm


def _file_dialog(kind: str, several: bool = False) -> Any:
    def choose(
        _parent: Any = None, caption: str = "", directory: str = "", name_filter: str = "", *_arguments: Any
    ) -> Any:
        """PythonQt gives the path alone, where PySide6 gives a pair."""
        answer = dialogs.ask(kind, caption, directory=str(directory), filter=name_filter)
        return [str(path) for path in answer] if several else str(answer)

    return staticmethod(choose)


def _refuse(self: QtWidgets.QWidget, *_arguments: Any) -> Any:
    return dialogs.ask("exec", f"{type(self).__name__} {getattr(self, 'windowTitle', '')}", dialog=self)


def _open_url(url: QtCore.QUrl) -> bool:
    dialogs.urls.append(url.toString())
    return True


def install() -> None:
    """Put the recorders into `slicer.util` and `qt`, once in a process."""
    for kind, level in (("error", logging.ERROR), ("warning", logging.WARNING), ("info", logging.INFO)):
        setattr(slicer.util, f"{kind}Display", _message(kind, level))
    slicer.util.confirmYesNoDisplay = _question("confirmYesNo", True)
    slicer.util.confirmOkCancelDisplay = _question("confirmOkCancel", True)
    slicer.util.confirmRetryCloseDisplay = _question("confirmRetryClose", False)
    slicer.util.delayDisplay = lambda message, *_arguments, **_options: dialogs.show("delay", message)
    QtWidgets.QFileDialog.getOpenFileName = _file_dialog("openFile")
    QtWidgets.QFileDialog.getOpenFileNames = _file_dialog("openFiles", several=True)
    QtWidgets.QFileDialog.getSaveFileName = _file_dialog("saveFile")
    QtWidgets.QFileDialog.getExistingDirectory = _file_dialog("folder")
    QtGui.QDesktopServices.openUrl = staticmethod(_open_url)
    for kind in (QtWidgets.QDialog, QtWidgets.QMessageBox, QtWidgets.QFileDialog, QtWidgets.QMenu):
        kind.exec = kind.exec_ = _refuse
