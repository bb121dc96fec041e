"""Inputs: the volumes of the model's channels, their domain, and which part of them is segmented."""

from __future__ import annotations

from typing import Any

import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError

from .. import scene
from .section import Lock, Section

_CHANNELS = 4


class InputsSection(Section):
    """Binds by hand what Slicer's wrapper cannot: the domain and the slice range."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._lock: Lock | None = None

    def setup(self) -> None:
        ui = self.ui
        ui.domainComboBox.connect("currentIndexChanged(int)", self.onDomain)
        ui.sliceRangeWidget.connect("valuesChanged(double,double)", self.onSliceRange)
        self._lock = Lock(ui.inputsCollapsibleButton, list(vars(ui).values()))

    # What is chosen

    def volumes(self) -> list[Any]:
        """The volume nodes for the model's inputs, in order; None where one is not chosen."""
        parameters, package = self.parameters, self.panel.package()
        nodes = [parameters.inputVolume, parameters.inputVolume1, parameters.inputVolume2, parameters.inputVolume3]
        return nodes[: 1 if package is None else package.card.channels]

    def sliceRange(self) -> tuple[int, int] | None:
        """First and last slice; None for all."""
        parameters = self.parameters
        return (parameters.firstSlice, parameters.lastSlice) if parameters.useSliceRange else None

    def obstacle(self) -> str | None:
        """Why there is nothing to segment; None if there is."""
        if self.parameters is None or self.parameters.inputVolume is None:
            return _("Choose a volume to segment.")
        return None

    def modelObstacle(self) -> str | None:
        """What the model still needs of the volumes; None if it has everything."""
        package = self.panel.package()
        if package.card.channels > _CHANNELS:
            return _("This model needs {count} volumes, and the panel has room for {room}.").format(
                count=package.card.channels, room=_CHANNELS
            )
        if any(volume is None for volume in self.volumes()):
            return _("This model needs {count} volumes. Choose all of them.").format(count=package.card.channels)
        chosen = [volume.GetID() for volume in self.volumes()]
        if len(set(chosen)) < len(chosen):
            return _("A volume is chosen twice. This model needs {count} different ones.").format(count=len(chosen))
        if len(package.card.domains) > 1 and not self._domain(package) and self._needsDomain(package):
            return _("Choose the domain of the volume.")
        return None

    # What is shown

    def refresh(self) -> None:
        busy = _("Wait until the run has ended.") if self.logic.isRunning else None
        self._lock.set(busy)
        if self.parameters is None or busy:
            return
        package = self.panel.package()
        self._showChannels(package)
        self._showDomains(package)
        self._showRegion(package)

    def _showChannels(self, package: Any) -> None:
        names = () if package is None else package.card.channel_names
        count = 1 if package is None else package.card.channels
        for channel in range(1, _CHANNELS):
            label = getattr(self.ui, f"inputVolumeLabel{channel}")
            selector = getattr(self.ui, f"inputVolumeSelector{channel}")
            label.visible = selector.visible = channel < count
            if channel < count:
                label.text = f"{_nameOf(names, channel)}:"
        self.ui.inputVolumeLabel.text = f"{_nameOf(names, 0)}:" if count > 1 else _("Volume:")

    def _showDomains(self, package: Any) -> None:
        domains = () if package is None else package.card.domains
        comboBox = self.ui.domainComboBox
        self.ui.domainLabel.visible = comboBox.visible = len(domains) > 1
        shown = tuple(comboBox.itemData(row) for row in range(comboBox.count))
        wasBlocked = comboBox.blockSignals(True)
        if shown != ("", *domains):
            comboBox.clear()
            comboBox.addItem(_("By the volume's modality"), "")
            for domain in domains:
                comboBox.addItem(domain, domain)
        comboBox.setCurrentIndex(max(comboBox.findData(self.parameters.domain), 0))
        comboBox.blockSignals(wasBlocked)

    def domain(self) -> str | None:
        """The domain that was chosen; None for that of the modality, or for a model without domains."""
        package = self.panel.package()
        return None if package is None else self._domain(package)

    def _domain(self, package: Any) -> str | None:
        return self.parameters.domain if self.parameters.domain in package.card.domains else None

    def _needsDomain(self, package: Any) -> bool:
        """Whether the volume's modality does not say which domain it is of."""
        modality = (self.logic.modalityOf(self.parameters.inputVolume) or "").upper()
        return modality not in {domain.upper() for domain in package.card.domains}

    def _showRegion(self, package: Any) -> None:
        parameters, volume = self.parameters, self.parameters.inputVolume
        count = 0 if volume is None or package is None else _sliceCount(volume, package)
        rangeWidget = self.ui.sliceRangeWidget
        rangeWidget.enabled = parameters.useSliceRange and count > 0
        if rangeWidget.enabled:
            rangeWidget.toolTip = _("First and last slice to segment along the model's plane, from 0.")
        elif count:
            rangeWidget.toolTip = _("Check the box to segment only some of the slices.")
        else:
            rangeWidget.toolTip = _("Choose a volume and a model first.")
        if count:
            self._showRange(count)
        sequence = None if volume is None else scene.sequenceOf(volume)
        self.ui.sequenceModeCheckBox.visible = sequence is not None
        if sequence is not None:
            self.ui.sequenceModeCheckBox.text = _("All {count} frames of the sequence").format(count=len(sequence))

    def _showRange(self, count: int) -> None:
        """The slice range within what the volume has; one that lies beyond it was of another volume: all slices."""
        parameters, rangeWidget = self.parameters, self.ui.sliceRangeWidget
        last = parameters.lastSlice if 0 <= parameters.lastSlice < count else count - 1
        first = parameters.firstSlice if 0 <= parameters.firstSlice <= last else 0
        wasBlocked = rangeWidget.blockSignals(True)
        if (rangeWidget.minimum, rangeWidget.maximum) != (0, count - 1):
            rangeWidget.setRange(0, count - 1)
        rangeWidget.setValues(first, last)
        rangeWidget.blockSignals(wasBlocked)
        if parameters.useSliceRange and (first, last) != (parameters.firstSlice, parameters.lastSlice):
            with slicer.util.NodeModify(parameters.parameterNode):
                parameters.firstSlice, parameters.lastSlice = first, last

    # What a user does

    def onDomain(self, index: int) -> None:
        """A domain was chosen."""
        if self.parameters is not None and index >= 0:
            self.parameters.domain = self.ui.domainComboBox.itemData(index)

    def onSliceRange(self, first: float, last: float) -> None:
        """The slice range was moved."""
        if self.parameters is not None:
            with slicer.util.NodeModify(self.parameters.parameterNode):
                self.parameters.firstSlice, self.parameters.lastSlice = round(first), round(last)


def _nameOf(names: Any, channel: int) -> str:
    return names[channel] if channel < len(names) else _("Channel {number}").format(number=channel + 1)


def _sliceCount(volume: Any, package: Any) -> int:
    """The slices along the model's plane; 0 for a volume without voxels, or under a transform that bends."""
    try:
        geometry = scene.geometryFromNode(volume)
        return int(geometry.shape[scene.sliceAxis(geometry, package.card.slicing.plane)])
    except GANSegmentationError:
        return 0
