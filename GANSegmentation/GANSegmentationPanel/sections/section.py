"""What the sections share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Section:
    """A part of the panel.

    `panel` is the module's widget; it has ``ui`` (the widgets by name), ``logic``, ``parameters`` (the parameter node,
    None while there is none), ``preferences``, ``refresh``, ``log``, ``say``, ``showStage`` and ``showError``.
    """

    def __init__(self, panel: Any) -> None:
        self.panel = panel
        self.ui = panel.ui
        self.logic = panel.logic

    @property
    def parameters(self) -> Any:
        """The parameter node; None while a scene is being closed."""
        return self.panel.parameters

    def setup(self) -> None:
        """Connect the widgets; called once."""

    def refresh(self) -> None:
        """Show the parameter node and the state of the jobs; called after every change of them."""

    def onSceneClosed(self) -> None:
        """Forget what belonged to the scene."""

    def cleanup(self) -> None:
        """Let go of everything; the panel is about to be destroyed."""

    @contextmanager
    def errorsShown(self) -> Iterator[None]:
        """Whatever goes wrong in what a user asked for is said, and goes no further."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a slot has nobody to tell but the user
            self.panel.showError(error)


class Lock:
    """Disables a section of the panel with the reason as the tooltip of everything in it.

    Parameters
    ----------
    widget:
        The section.
    widgets:
        The widgets of the panel; those inside the section get the tooltip.
    """

    def __init__(self, widget: Any, widgets: list[Any]) -> None:
        self._widget = widget
        self._inside = [each for each in widgets if each.isWidgetType() and widget.isAncestorOf(each)]
        self._toolTips: list[str] | None = None

    def set(self, reason: str | None) -> None:
        """Lock with a reason, or unlock with None."""
        if reason is not None and self._toolTips is None:
            self._toolTips = [each.toolTip for each in self._inside]
            for each in self._inside:
                each.toolTip = reason
        elif reason is None and self._toolTips is not None:
            for each, toolTip in zip(self._inside, self._toolTips, strict=True):
                each.toolTip = toolTip
            self._toolTips = None
        self._widget.enabled = reason is None


def plain(text: str) -> str:
    """A tooltip that shows a text as it is: Qt takes one with a ``<`` for markup, and names come from strangers."""
    from html import escape

    return f"<p>{escape(text)}</p>".replace("\n", "<br>") if "<" in text else text


def setEnabled(widget: Any, obstacle: str | None, toolTip: str) -> None:
    """Enable a widget, or disable it with the reason as its tooltip."""
    widget.enabled = obstacle is None
    widget.toolTip = toolTip if obstacle is None else plain(obstacle)


def fillCheckable(comboBox: Any, rows: list[tuple[str, str]], unchecked: set[str]) -> None:
    """Fill a ctkCheckableComboBox with ``(text, data)`` rows, those with data in `unchecked` unchecked; no signal."""
    import qt

    wasBlocked = comboBox.blockSignals(True)
    comboBox.clear()
    for text, data in rows:
        comboBox.addItem(text, data)
    for row, (_text, data) in enumerate(rows):
        state = qt.Qt.Unchecked if data in unchecked else qt.Qt.Checked
        comboBox.setCheckState(comboBox.model().index(row, 0), state)
    comboBox.blockSignals(wasBlocked)
    comboBox.update()


def uncheckedOf(comboBox: Any) -> list[str]:
    """The data of the rows that are not checked."""
    checked = {index.row() for index in comboBox.checkedIndexes()}
    return [comboBox.itemData(row) for row in range(comboBox.count) if row not in checked]
