"""The table of pairs: which segment of the reference belongs to which of the segmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from slicer.i18n import tr as _

from .. import scene
from .section import plain

_HIGHEST = 160
"""Of the table, pixels; a longer one scrolls."""


class PairsTable:
    """Terminology and names suggest the pairs; a user may choose another partner for each segment.

    Parameters
    ----------
    table:
        The QTableWidget.
    onPair:
        Called without arguments when a user has chosen another partner.
    """

    def __init__(self, table: Any, onPair: Callable[[], None]) -> None:
        self._table, self._onPair = table, onPair
        self._key: Any = None
        self._masks: dict[str, Any] = {}
        self._references: dict[str, Any] = {}
        self._choices: list[tuple[str, Any]] = []

    def show(self, mask: Any, reference: Any) -> None:
        """Suggest pairs for two nodes, of which either may be None; keeps what was chosen while their segments stay.

        Raises
        ------
        GANSegmentationError
            As `scene.pairSegments`; the table is empty then.
        """
        key = _signature(mask), _signature(reference)
        if key == self._key:
            return
        self._key, self._masks, self._references = key, {}, {}
        pairs = []
        try:
            if mask is not None and reference is not None and mask is not reference:
                pairs = scene.pairSegments(mask, reference)
                self._masks, self._references = scene.segmentsOf(mask), scene.segmentsOf(reference)
        finally:
            self._fill(pairs)

    def chosen(self) -> list[Any]:
        """The pairs as they are chosen (`scene.SegmentPair`)."""
        return [
            scene.makePair(self._masks, maskKey, self._references, comboBox.itemData(comboBox.currentIndex) or None)
            for maskKey, comboBox in self._choices
        ]

    def _fill(self, pairs: list[Any]) -> None:
        import qt

        table = self._table
        table.clearContents()
        rows = [pair for pair in pairs if pair.maskKey is not None]
        references = [(pair.referenceKey, pair.referenceName) for pair in pairs if pair.referenceKey is not None]
        table.setRowCount(len(rows))
        table.setColumnCount(2)
        table.setHorizontalHeaderLabels([_("Segmentation"), _("Reference")])
        self._choices = []
        for row, pair in enumerate(rows):
            item = qt.QTableWidgetItem(pair.maskName)
            item.setFlags(qt.Qt.ItemIsEnabled)
            item.setToolTip(plain(pair.maskName))
            table.setItem(row, 0, item)
            comboBox = qt.QComboBox()
            comboBox.addItem(_("Not compared"), "")
            for key, name in references:
                comboBox.addItem(name, key)
            comboBox.setCurrentIndex(comboBox.findData(pair.referenceKey or ""))
            comboBox.connect("currentIndexChanged(int)", self._onChoice)
            table.setCellWidget(row, 1, comboBox)
            self._choices.append((pair.maskKey, comboBox))
        section = table.verticalHeader().defaultSectionSize
        table.setFixedHeight(min((len(rows) + 1) * section + 4, _HIGHEST))
        table.visible = bool(rows)

    def _onChoice(self, index: int) -> None:
        self._onPair()


def _signature(node: Any) -> tuple[Any, ...] | None:
    """What a node's pairs depend on."""
    if node is None:
        return None
    if not node.IsA("vtkMRMLSegmentationNode"):
        display = node.GetDisplayNode()
        return *scene.contentStamp(node), None if display is None else display.GetColorNodeID()
    # Of a segment its name and terminology, in any colour.
    return node.GetID(), tuple((key, replace(each, colour=(0, 0, 0))) for key, each in scene.segmentsOf(node).items())
