"""The models in the panel: a list that can be searched, the card, import by button or drop, removal, sample data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError

from .. import model_list, sample_data
from .section import Lock, Section, plain, setEnabled

AUTOMATIC = ""
"""The model ID for the choice by modality."""

_THUMBNAIL = 48


class ModelsSection(Section):
    """Binds the list by hand, for it changes with what is installed and with the volume."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._rows: list[model_list.ModelRow] = []
        self._brokenRows: list[tuple[str, str]] = []
        self._chosenBroken = ""
        self._listedFor: tuple[Any, ...] | None = None
        self._shownDetails: tuple[str, ...] | None = None
        self._thumbnails: dict[tuple[str, str], Any] = {}
        self._choice: tuple[Any, GANSegmentationError | None] | None = None
        self._isFilling = False
        self._dropFilter: Any = None

    def setup(self) -> None:
        import qt

        from .drop import acceptDroppedFiles

        ui = self.ui
        ui.modelListWidget.setIconSize(qt.QSize(_THUMBNAIL, _THUMBNAIL))
        ui.modelListWidget.connect("currentRowChanged(int)", self.onModelRow)
        ui.modelSearchBox.connect("textChanged(QString)", self.onSearch)
        ui.importModelButton.connect("clicked(bool)", self.onImportModel)
        ui.removeModelButton.connect("clicked(bool)", self.onRemoveModel)
        ui.modelPageButton.connect("toggled(bool)", self.onDetails)
        self._dropFilter = acceptDroppedFiles(ui.modelListWidget.viewport(), self.onDropped)
        menu = qt.QMenu(ui.sampleDataButton)
        menu.addAction(_("Synthetic patient (drawn here, needs no network)")).connect(
            "triggered(bool)", self.onSyntheticPatient
        )
        menu.addAction(_("CTLiver of Slicer's sample data (download)")).connect("triggered(bool)", self.onCtLiver)
        ui.sampleDataButton.setMenu(menu)

    # What is chosen

    def package(self) -> Any:
        """The chosen model, or the one for the volume's modality; None if there is none."""
        return self._chosen()[0]

    def obstacle(self) -> str | None:
        """Why there is no model for a run; None if there is one."""
        if not self.logic.models():
            return _("No model is installed. Import a model package first.")
        package, error = self._chosen()
        if package is not None or self.parameters is None:
            return None
        if error is not None and error.code == "unknown_model":
            return _("The model {id} of this scene is not installed. Choose another one.").format(
                id=self.parameters.modelId
            )
        return _("Choose a model.") if error is None else str(error)

    def forgetChoice(self) -> None:
        """Look again which model is chosen: a new round of showing begins."""
        self._choice = None

    def _chosen(self) -> tuple[Any, GANSegmentationError | None]:
        """The model, or why there is none; found once in a round of showing, for it looks at the disk."""
        if self._choice is not None and self.panel.isRefreshing:
            return self._choice
        self._choice = (None, None)
        if self.parameters is not None:
            try:
                package = self.logic.package(
                    self.parameters.modelId, self.parameters.inputVolume, force=self.parameters.force
                )
                self._choice = (package, None)
            except GANSegmentationError as error:
                self._choice = (None, error)
        return self._choice

    # What is shown

    def refresh(self) -> None:
        if self.parameters is None or self.logic.isRunning:
            return
        self._list()
        self._showDetails(self.package())
        self._showButtons()

    def forgetModels(self) -> None:
        """Read the list of models again: one was imported or removed."""
        self._listedFor = None
        self._chosenBroken = ""
        self._thumbnails.clear()
        self.panel.refresh()

    def _list(self) -> None:
        modality = self.logic.modalityOf(self.parameters.inputVolume)
        automatic = self._automatic()
        self._brokenRows = model_list.brokenModels(self.logic.library)
        installed = tuple((package.card.id, package.card.version) for package in self.logic.models())
        wanted = (modality, self.ui.modelSearchBox.text, automatic, installed, tuple(self._brokenRows))
        if wanted != self._listedFor:
            self._listedFor = wanted
            self._rows = model_list.rows(self.logic.library, modality)
            self._fill(automatic)
        self._select()

    def _automatic(self) -> str:
        """Which model the first row stands for, or what it goes by."""
        try:
            volume = self.parameters.inputVolume
            return str(self.logic.package(None, volume, force=self.parameters.force).card.title)
        except GANSegmentationError:
            return _("By the modality of the volume")

    def _fill(self, automatic: str) -> None:
        import qt

        self._isFilling = True
        self.ui.modelListWidget.clear()
        text = self.ui.modelSearchBox.text
        if self._rows and not text:
            toolTip = _("Takes the model that is best known for the modality of the volume.")
            icon = qt.QIcon(self.panel.resourcePath("Icons/GANSegmentation.png"))
            self._add(_("Automatic"), automatic, toolTip, AUTOMATIC, icon)
        for row in model_list.search(self._rows, text):
            self._add(row.title, f"{row.secondLine}\n{row.thirdLine}", row.toolTip, row.id, self._icon(row))
        for name, reason in self._brokenRows if not text else ():
            self._add(name, _("Cannot be used"), reason, None, qt.QIcon())
        self._isFilling = False

    def _add(self, title: str, underIt: str, toolTip: str, modelId: str | None, icon: Any) -> None:
        import qt

        item = qt.QListWidgetItem(icon, f"{title}\n{underIt}")
        item.setData(qt.Qt.UserRole, modelId)
        item.setData(qt.Qt.UserRole + 1, title)
        item.setToolTip(plain(toolTip))
        self.ui.modelListWidget.addItem(item)

    def _icon(self, row: model_list.ModelRow) -> Any:
        import qt

        key = (row.id, row.version)
        if key not in self._thumbnails:
            pixmap = qt.QPixmap()
            pixmap.loadFromData(qt.QByteArray(model_list.thumbnail(self.logic.library.get(row.id), 2 * _THUMBNAIL)))
            self._thumbnails[key] = qt.QIcon(pixmap)
        return self._thumbnails[key]

    def _select(self) -> None:
        """Select the row of the parameter node, or of the broken package that was chosen last."""
        import qt

        listWidget = self.ui.modelListWidget
        items = [listWidget.item(row) for row in range(listWidget.count)]
        if self._chosenBroken:
            found = [row for row, item in enumerate(items) if self._isBroken(item, self._chosenBroken)]
        else:
            wanted = self.parameters.modelId
            found = [row for row, item in enumerate(items) if item.data(qt.Qt.UserRole) == wanted]
        row = found[0] if found else -1
        if listWidget.currentRow != row:
            self._isFilling = True
            listWidget.setCurrentRow(row)
            self._isFilling = False

    def _isBroken(self, item: Any, name: str) -> bool:
        import qt

        return item.data(qt.Qt.UserRole) is None and item.data(qt.Qt.UserRole + 1) == name

    def _showDetails(self, package: Any) -> None:
        """The card; of a broken package why it cannot be used."""
        button, browser = self.ui.modelPageButton, self.ui.modelDetailsBrowser
        without = None if package is not None or self._chosenBroken else _("No model is chosen.")
        setEnabled(button, without, _("Everything that the model's card says: training data, scores, licence, limits."))
        browser.visible = button.checked and without is None
        reason = dict(self._brokenRows).get(self._chosenBroken, "")
        key = (reason,) if reason else () if package is None else (package.card.id, package.card.version)
        if key != self._shownDetails:
            self._shownDetails = key
            if reason:
                browser.setPlainText(reason)
            else:
                browser.setHtml("" if package is None else model_list.details(package))

    def _showButtons(self) -> None:
        if self._chosenBroken:
            setEnabled(self.ui.removeModelButton, None, _("Delete this file from the computer."))
        else:
            obstacle = model_list.cannotRemove(self._row(self.parameters.modelId)) or None
            setEnabled(self.ui.removeModelButton, obstacle, _("Remove this model from the computer."))

    def _row(self, modelId: str) -> model_list.ModelRow | None:
        return next((row for row in self._rows if row.id == modelId), None)

    # What a user does

    def onModelRow(self, row: int) -> None:
        """A row of the list was chosen."""
        import qt

        if self._isFilling or self.parameters is None or row < 0:
            return
        item = self.ui.modelListWidget.item(row)
        modelId = item.data(qt.Qt.UserRole)
        self._chosenBroken = item.data(qt.Qt.UserRole + 1) if modelId is None else ""
        if modelId is not None and modelId != self.parameters.modelId:
            self.parameters.modelId = modelId
        else:
            self.panel.refresh()

    def onSearch(self, text: str) -> None:
        """Another search."""
        if self.parameters is not None:
            self._list()

    def onDetails(self, checked: bool) -> None:
        """Show or hide the card."""
        self.panel.refresh()

    def onImportModel(self) -> None:
        """Ask for a package and import it."""
        import qt

        start = self.panel.preferences.lastFolder("import")
        path = qt.QFileDialog.getOpenFileName(
            None, _("Import a model package"), start, _("Model packages (*.ganseg *.zip)")
        )
        if path:
            self.importModels([path])

    def onDropped(self, urls: Sequence[str]) -> None:
        """Files were dropped on the list."""
        with self.errorsShown():
            self.importModels(model_list.pathsOfUrls(urls))

    def importModels(self, paths: Sequence[str]) -> None:
        """Import packages; says why one is refused, and goes on with the next."""
        package = None
        for path in paths:
            with self.errorsShown():
                self.panel.showStage(_("Checking the model..."))
                imported = self.logic.importModel(path, confirmReplace=_confirmReplace)
                self.panel.showStage("")
                self.panel.preferences.rememberFolder("import", path)
                package = imported or package
        if package is not None:
            if self.parameters is not None:
                self.parameters.modelId = package.card.id
            self.panel.say(
                _("Imported {title} {version}.").format(title=package.card.title, version=package.card.version)
            )
        self.forgetModels()

    def onRemoveModel(self) -> None:
        """Remove the chosen model, after asking."""
        row = self._row(self.parameters.modelId)
        if self._chosenBroken:
            modelId, question = self._chosenBroken, _("Delete {name}?").format(name=self._chosenBroken)
        elif row is not None:
            modelId = row.id
            question = _("Remove {title} ({size}) from this computer?").format(title=row.title, size=row.size)
        else:
            return
        if not slicer.util.confirmYesNoDisplay(question):
            return
        with self.errorsShown():
            self.logic.removeModel(modelId)
            if self.parameters.modelId == modelId:
                self.parameters.modelId = AUTOMATIC
        self.forgetModels()

    def onSyntheticPatient(self) -> None:
        """Load a patient that is drawn here."""
        self._load(_("Drawing the patient..."), lambda: sample_data.loadSyntheticPatient()[0])

    def onCtLiver(self) -> None:
        """Load the CT of Slicer's sample data, which does not say of itself what it is."""
        self._load(_("Downloading CTLiver..."), _downloadCtLiver)

    def _load(self, stage: str, load: Any) -> None:
        lock = Lock(self.ui.sampleDataButton, [self.ui.sampleDataButton])
        lock.set(stage)  # it lets the application live, and with it this button
        self.panel.showStage(stage)
        with self.errorsShown():
            volumeNode = load()
            if self.parameters is not None:
                self.parameters.inputVolume = volumeNode
            self.panel.showStage("")
        lock.set(None)


def _downloadCtLiver() -> Any:
    """The node of the CT; its file has no modality, so it is said here."""
    try:
        import SampleData
    except ImportError as error:
        raise GANSegmentationError(
            "no_sample_data",
            _("This application has no module Sample Data."),
            action=_("Load the synthetic patient."),
        ) from error
    volumeNode = SampleData.SampleDataLogic().downloadSample("CTLiver")
    if volumeNode is None:
        raise GANSegmentationError(
            "sample_failed",
            _("CTLiver could not be downloaded."),
            cause=_("There is no network, or a proxy or firewall is in the way."),
            action=_("Load the synthetic patient, which needs no network."),
        )
    volumeNode.SetAttribute(slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName(), "CT")
    return volumeNode


def _confirmReplace(what: str) -> bool:
    return bool(slicer.util.confirmYesNoDisplay(_("{what} Replace it?").format(what=what)))
