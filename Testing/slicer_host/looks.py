"""Light and dark, and pictures of a panel at the width that it has in Slicer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

PANEL_WIDTH = 400
"""Pixels; what Slicer's module panel gives a module on a usual screen."""

_COLORS = {
    "light": {
        "Window": "#efefef",
        "WindowText": "#1f1f1f",
        "Base": "#ffffff",
        "AlternateBase": "#f7f7f7",
        "Text": "#1f1f1f",
        "Button": "#efefef",
        "ButtonText": "#1f1f1f",
        "ToolTipBase": "#ffffdc",
        "ToolTipText": "#1f1f1f",
        "PlaceholderText": "#7a7a7a",
        "Highlight": "#2a6fb5",
        "HighlightedText": "#ffffff",
        "Link": "#1a5fa8",
        "Mid": "#b8b8b8",
        "Dark": "#8f8f8f",
        "Light": "#ffffff",
        "disabled": "#9a9a9a",
    },
    "dark": {
        "Window": "#353535",
        "WindowText": "#f0f0f0",
        "Base": "#1e1e1e",
        "AlternateBase": "#2b2b2b",
        "Text": "#f0f0f0",
        "Button": "#3f3f3f",
        "ButtonText": "#f0f0f0",
        "ToolTipBase": "#232323",
        "ToolTipText": "#f0f0f0",
        "PlaceholderText": "#9a9a9a",
        "Highlight": "#2a82da",
        "HighlightedText": "#ffffff",
        "Link": "#6fb1f0",
        "Mid": "#5a5a5a",
        "Dark": "#202020",
        "Light": "#6a6a6a",
        "disabled": "#858585",
    },
}
THEMES = tuple(_COLORS)


def use_theme(application: Any, theme: str) -> None:
    """Fusion with a light or dark palette, as Slicer's two styles are made."""
    colors = dict(_COLORS[theme])
    disabled = QtGui.QColor(colors.pop("disabled"))
    palette = QtGui.QPalette()
    for role, color in colors.items():
        palette.setColor(QtGui.QPalette.ColorRole[role], QtGui.QColor(color))
    for role in ("WindowText", "Text", "ButtonText"):
        palette.setColor(QtGui.QPalette.ColorGroup.Disabled, QtGui.QPalette.ColorRole[role], disabled)
    application.setStyle("Fusion")
    application.setPalette(palette)


def lay_out(panel: QtWidgets.QWidget, width: int = PANEL_WIDTH) -> None:
    """Show a panel at a width, as high as it needs; off the screen."""
    panel.setAttribute(QtCore.Qt.WidgetAttribute.WA_DontShowOnScreen, True)
    panel.show()
    for _round in range(3):  # texts that wrap ask for their height only after they have their width
        QtWidgets.QApplication.processEvents()
        layout = panel.layout()
        height = layout.totalHeightForWidth(width) if layout.hasHeightForWidth() else layout.totalSizeHint().height()
        panel.resize(width, height)
    QtWidgets.QApplication.processEvents()


def needed_width(panel: QtWidgets.QWidget) -> int:
    """The width below which a panel would be cut off, pixels."""
    return int(panel.layout().totalMinimumSize().width())


def cut_texts(panel: QtWidgets.QWidget) -> list[str]:
    """The visible labels and buttons of a laid out panel whose text does not fit."""
    cut = []
    for widget in panel.findChildren(QtWidgets.QWidget):
        kinds = (QtWidgets.QLabel, QtWidgets.QPushButton, QtWidgets.QToolButton, QtWidgets.QCheckBox)
        # Parts of other widgets have no names.
        if not widget.objectName or not widget.isVisibleTo(panel) or not isinstance(widget, kinds):
            continue
        wraps = isinstance(widget, QtWidgets.QLabel) and widget.wordWrap
        short = widget.width < widget.minimumSizeHint().width() and not wraps
        low = widget.height < (widget.heightForWidth(widget.width) if wraps else widget.minimumSizeHint().height())
        if short or low:
            cut.append(widget.objectName)
    return cut


def write_picture(panel: QtWidgets.QWidget, path: Path) -> Path:
    """Write a laid out panel as a small PNG."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    panel.grab().toImage().save(str(path), "PNG")
    # Panels have few colours: a palette is enough, and a third of the size.
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    return path
