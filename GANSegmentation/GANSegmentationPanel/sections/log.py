"""The log: what happened, line by line; opens by itself when something went wrong."""

from __future__ import annotations

from datetime import datetime

import slicer
from slicer.i18n import tr as _

from .section import Section


class LogSection(Section):
    """Keeps the last lines; the worker's own log is a file."""

    def setup(self) -> None:
        self.ui.clearLogButton.connect("clicked(bool)", self.onClear)
        self.ui.openLogFolderButton.connect("clicked(bool)", self.onOpenFolder)

    def add(self, text: str) -> None:
        """Add a line, with the time."""
        self.ui.logTextEdit.appendPlainText(f"{datetime.now():%H:%M:%S}  {text}")

    def open(self) -> None:
        """Show the section."""
        self.ui.logCollapsibleButton.collapsed = False

    def onClear(self) -> None:
        """Empty the log."""
        self.ui.logTextEdit.clear()

    def onOpenFolder(self) -> None:
        """Show the folder with the worker's log files."""
        import qt

        from ..process.worker_log import logFolder

        folder = logFolder()
        folder.mkdir(parents=True, exist_ok=True)
        if not qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder))):
            slicer.util.infoDisplay(_("The log files are in {folder}").format(folder=folder))
