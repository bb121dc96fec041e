"""Advanced: what belongs to this computer and not to the scene, the models on the disk, and diagnostics."""

from __future__ import annotations

from typing import Any

import slicer
import slicer.util
from slicer.i18n import tr as _

from .. import model_list
from .section import Section, setEnabled


class AdvancedSection(Section):
    """Its choices are kept in the application's settings (`preferences.Preferences`)."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._shownDevices: list[tuple[str, str]] = []

    def setup(self) -> None:
        ui, preferences = self.ui, self.panel.preferences
        ui.runModeComboBox.clear()
        ui.runModeComboBox.addItem(_("In a background process"), "process")
        ui.runModeComboBox.addItem(_("In this application (it waits)"), "inline")
        ui.runModeComboBox.setCurrentIndex(max(ui.runModeComboBox.findData(preferences.runMode), 0))
        ui.idleSpinBox.value = preferences.idleMinutes
        ui.deviceComboBox.connect("currentIndexChanged(int)", self.onDevice)
        ui.runModeComboBox.connect("currentIndexChanged(int)", self.onRunMode)
        ui.idleSpinBox.connect("valueChanged(int)", self.onIdle)
        ui.releaseButton.connect("clicked(bool)", self.onRelease)
        ui.openCacheButton.connect("clicked(bool)", self.onOpenCache)
        ui.changeCacheButton.connect("clicked(bool)", self.onChangeCache)
        ui.clearCacheButton.connect("clicked(bool)", self.onClearCache)
        ui.copyDiagnosticsButton.connect("clicked(bool)", self.onCopyDiagnostics)

    def refresh(self) -> None:
        busy = _("Wait until the run has ended.") if self.logic.isRunning else None
        self._showDevices()
        setEnabled(self.ui.deviceComboBox, busy, _("What computes. Automatic takes the fastest that works."))
        setEnabled(self.ui.runModeComboBox, busy, _("Where it is computed."))
        setEnabled(self.ui.releaseButton, busy, _("Let go of the loaded model and the memory of the GPU."))
        setEnabled(self.ui.forceCheckBox, busy, _("Segment in spite of a modality that the model does not know."))
        self.ui.cacheFolderLabel.text = model_list.cacheSummary(self.logic.library)
        fixed = _("The environment variable GANSEG_MODELS names the folder, and goes before a choice made here.")
        setEnabled(
            self.ui.changeCacheButton,
            busy or (fixed if self.panel.preferences.modelFolderIsFixed else None),
            _("Keep imported models in another folder, such as one that a department shares."),
        )
        empty = None if self.logic.library.user_files() else _("No model was imported.")
        setEnabled(self.ui.clearCacheButton, busy or empty, _("Remove all imported models."))
        self.ui.versionLabel.text = _("GANSegmentation {version}").format(version=self.logic.version)

    def _showDevices(self) -> None:
        """The devices that the worker has found, and the one of the settings in any case."""
        chosen = self.panel.preferences.device
        rows = [("auto", _("Automatic"))]
        rows += [(each["device"], each["name"]) for each in self.panel.devices() if each["usable"]]
        if "cpu" not in (device for device, _name in rows):
            rows.append(("cpu", _("CPU")))
        if chosen not in (device for device, _name in rows):
            rows.append((chosen, _("{device} (not found here)").format(device=chosen)))
        comboBox = self.ui.deviceComboBox
        wasBlocked = comboBox.blockSignals(True)
        if rows != self._shownDevices:
            self._shownDevices = rows
            comboBox.clear()
            for device, name in rows:
                comboBox.addItem(name, device)
        comboBox.setCurrentIndex(comboBox.findData(chosen))
        comboBox.blockSignals(wasBlocked)

    def onDevice(self, index: int) -> None:
        """Another device."""
        if index >= 0:
            self.panel.preferences.device = self.ui.deviceComboBox.itemData(index)

    def onRunMode(self, index: int) -> None:
        """Another place to compute."""
        if index >= 0:
            self.panel.preferences.runMode = self.ui.runModeComboBox.itemData(index)
            self.logic.restartWorker()
            self.panel.refresh()

    def onIdle(self, minutes: int) -> None:
        """Another time for which an idle worker is kept."""
        self.panel.preferences.idleMinutes = minutes
        self.logic.applyPreferences()

    def onRelease(self) -> None:
        """Let go of the model and the memory of the GPU."""
        self.logic.release()
        self.panel.say(_("The model and its memory were let go of."))

    def onOpenCache(self) -> None:
        """Show the folder of imported models."""
        import qt

        def openFolder(folder: str) -> None:
            if not qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(folder)):
                slicer.util.infoDisplay(_("The models are in {folder}").format(folder=folder))

        with self.errorsShown():
            model_list.openCache(self.logic.library, openFolder)

    def onChangeCache(self) -> None:
        """Look for imported models in another folder from now on; those in the old one stay there."""
        import qt

        current = str(self.logic.library.user)
        chosen = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of imported models"), current)
        if not chosen:
            return
        with self.errorsShown():
            self.panel.preferences.modelFolder = chosen
            self.panel.say(_("Imported models are now in {folder}").format(folder=chosen))
        self.panel.forgetModels()

    def onClearCache(self) -> None:
        """Remove all imported models, after asking."""
        with self.errorsShown():
            removed = model_list.clearCache(self.logic.library, slicer.util.confirmYesNoDisplay)
            if removed:
                self.panel.say(_("{count} imported models removed.").format(count=len(removed)))
        self.panel.forgetModels()

    def onCopyDiagnostics(self) -> None:
        """Put what a bug report needs on the clipboard."""
        import qt

        with self.errorsShown():
            qt.QApplication.clipboard().setText(self.panel.diagnostics())
            self.panel.say(_("The diagnostics are on the clipboard."))
