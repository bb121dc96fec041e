"""Files that are dropped on a widget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def acceptDroppedFiles(widget: Any, onDropped: Callable[[list[str]], None]) -> Any:
    """Have a function called with the addresses (of the scheme ``file``) of what is dropped on a widget.

    Returns
    -------
    The event filter; it has to be kept as long as the widget is used, for Qt holds no reference to it.
    """
    import qt

    class DropFilter(qt.QWidget):  # a widget, as in Slicer's script repository: PythonQt passes its virtual methods on
        def eventFilter(self, watched: Any, event: Any) -> bool:
            if event.type() in (qt.QEvent.DragEnter, qt.QEvent.DragMove):
                if not event.mimeData().hasUrls():
                    return False
                event.acceptProposedAction()
                return True
            if event.type() == qt.QEvent.Drop and event.mimeData().hasUrls():
                event.acceptProposedAction()
                urls = [url.toEncoded().data().decode("ascii") for url in event.mimeData().urls()]
                qt.QTimer.singleShot(0, lambda: onDropped(urls))  # not while the other program waits for the drop
                return True
            return False

    dropFilter = DropFilter()
    widget.setAcceptDrops(True)
    widget.installEventFilter(dropFilter)
    return dropFilter
