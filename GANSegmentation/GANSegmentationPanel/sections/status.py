"""The status line: what computes, or the one thing that is missing, with its button."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError

from ..installation.installing import Installer, State
from ..jobs.job import Job
from .section import Section


class StatusSection(Section):
    """Shows `installing.State`; asks the worker once what computes, in the background."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        from ..installation.slicer_services import SlicerServices

        self.installer = Installer(SlicerServices(), panel.preferences)
        self.probe: dict[str, Any] | None = None
        self._isProbing = False
        self._wantsProbe = False  # it was asked for, and made way for a run
        self._hasResumed = False
        self._isClosed = False

    def setup(self) -> None:
        self.ui.statusActionButton.connect("clicked(bool)", self.onAction)
        self.ui.advancedCollapsibleButton.connect("contentsCollapsed(bool)", self._onAdvanced)

    def enter(self) -> None:
        """The panel was opened: go on with an installation that needed a restart, once, and find out what computes."""
        import qt

        if not self._hasResumed:
            self._hasResumed = True
            qt.QTimer.singleShot(0, self._resume)  # it may ask something: not before the panel is there
        self.look()

    def cleanup(self) -> None:
        self._isClosed = True

    def state(self) -> State:
        """What is missing, or what computes."""
        return self.installer.state(self.probe)

    def refresh(self) -> None:
        state = self.state()
        busy = self.logic.isRunning
        self.ui.statusTextLabel.text = _("Looking for devices...") if self._isProbing else state.message
        self.ui.statusTextLabel.toolTip = state.details or state.message
        self.ui.statusActionButton.text = state.actionLabel
        self.ui.statusActionButton.visible = bool(state.actionLabel)
        self.ui.statusActionButton.enabled = not busy and not self._isProbing
        self.ui.statusActionButton.toolTip = _("Wait until the run has ended.") if busy else state.message
        if self._wantsProbe and not busy:
            self.look()

    def canRun(self) -> bool:
        """Before a run: whether everything is there; offers once in a session to install what is not."""
        before = self.state()
        if before.canRun:
            return True
        try:
            state = self.installer.ensure(self.probe)
        except GANSegmentationError as error:
            self.panel.showError(error)
            self.panel.refresh()
            return False
        if state.code != before.code:
            self._startAnew()
        self.panel.refresh()
        if not state.canRun:
            self.panel.say(state.message)
        return state.canRun

    def look(self) -> None:
        """Ask the background process what computes, unless that is known; importing PyTorch takes it seconds."""
        if self.probe is None and not self._isProbing and self.logic.hasBackground and self._mayProbe():
            self._isProbing, self._wantsProbe = True, False
            self.logic.startProbe(onEnd=self._onProbed)
            self.refresh()

    def onAction(self) -> None:
        """The button of the state."""
        self._show(lambda: self.installer.act(self.state()))

    def _resume(self) -> None:
        """Go on with what was being installed when the application was restarted."""
        if not self._isClosed:
            self._show(self.installer.resumePending)

    def _show(self, act: Callable[[], str | None]) -> None:
        """Do something about the installation, and show what has become of it."""
        with self.errorsShown():
            if act() in ("changed", "check"):
                self._startAnew()
                self.look()
        self.panel.refresh()

    def _startAnew(self) -> None:
        """Forget what computes: the worker may have looked for a package that is there only now."""
        self.probe = None
        self.logic.restartWorker()

    def devices(self) -> list[dict[str, Any]]:
        """What the probe found, for the list of devices."""
        return list((self.probe or {}).get("devices", ()))

    def _mayProbe(self) -> bool:
        return self.installer.state(None).canRun

    def _onProbed(self, job: Job) -> None:
        self._isProbing = False
        self._wantsProbe = job.isCancelled and self.logic.isRunning
        if job.error is None:
            self.probe = job.value
        elif not job.isCancelled:
            self.panel.log(_("What computes could not be found out: {error}").format(error=job.error))
        self.panel.refresh()

    def _onAdvanced(self, collapsed: bool) -> None:
        if not collapsed:
            self.look()
