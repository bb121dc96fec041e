"""Output: which segmentation, what happens to what it has, which of the model's segments."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError

from .. import scene
from .section import Lock, Section, fillCheckable, setEnabled, uncheckedOf


class OutputSection(Section):
    """Binds the list of segments by hand, for it changes with the model."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._shown: tuple[Any, ...] = ()
        self._lock: Lock | None = None

    def setup(self) -> None:
        self._lock = Lock(self.ui.outputsCollapsibleButton, list(vars(self.ui).values()))
        self.ui.segmentsComboBox.connect("checkedIndexesChanged()", self.onSegments)

    def refresh(self) -> None:
        busy = _("Wait until the run has ended.") if self.logic.isRunning else None
        self._lock.set(busy)
        if self.parameters is None or busy:
            return
        package = self.panel.package()
        names = [] if package is None else [segment.name for segment in package.labels]
        excluded = set(self.parameters.excludedSegments) & set(names)
        if (tuple(names), frozenset(excluded)) != self._shown:
            self._shown = (tuple(names), frozenset(excluded))
            fillCheckable(self.ui.segmentsComboBox, [(name, name) for name in names], excluded)
        node = self.parameters.outputSegmentation
        setEnabled(
            self.ui.outputModeComboBox,
            None if node is not None else _("The result goes into a new segmentation: none is chosen to add to."),
            _("Where the result goes, and what happens to the structures that the segmentation has already."),
        )
        setEnabled(
            self.ui.segmentsComboBox,
            None if names else _("Choose a model first."),
            _("The structures of the model that are kept."),
        )
        self.ui.show3DButton.setSegmentationNode(node)
        setEnabled(
            self.ui.show3DButton,
            None if node is not None else _("There is no segmentation to show yet."),
            _("Show the segmentation in the 3D view."),
        )

    def obstacle(self) -> str | None:
        """Why the result could not be written as chosen; None if it could."""
        parameters, package = self.parameters, self.panel.package()
        if parameters is None or package is None or parameters.inputVolume is None:
            return None
        if parameters.allFrames and scene.sequenceOf(parameters.inputVolume) is not None:
            return None  # it gets a sequence of its own
        try:
            scene.planOutput(
                package.labels,
                parameters.inputVolume,
                parameters.outputSegmentation,
                parameters.outputMode,
                parameters.excludedSegments,
            )
        except GANSegmentationError as error:
            return str(error)
        return None

    def onSegments(self) -> None:
        """Segments were checked or unchecked."""
        if self.parameters is not None:
            excluded = uncheckedOf(self.ui.segmentsComboBox)
            self._shown = (self._shown[0] if self._shown else (), frozenset(excluded))
            self.parameters.excludedSegments = excluded
