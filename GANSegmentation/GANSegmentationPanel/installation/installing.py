"""What a run needs and does not find: one state, one sentence, one button, one function.

Nothing is installed unless somebody has pressed a button or started a run, and was asked; after a No nobody is asked
again in this session, unless by pressing the button. PyTorch is never imported here: whether it works is found out by
the worker (its job ``probe``), in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError

if TYPE_CHECKING:
    from ..preferences import Preferences

EXTENSION = "PyTorch"
SLICER_FLOOR = (5, 10)
TORCH_REQUIREMENT = ">=2.4"

TORCH_BYTES = 10e9
"""Room for PyTorch with CUDA: the download, its unpacked copy, and pip's own."""

PACKAGE_BYTES = 100e6

Outcome = Literal["changed", "declined", "restarting", "check", "opened", "skipped"]
"""What an action has done: installed something; a No; the application ends; look again; showed another place; nothing,
because the application is being tested."""


@dataclass(frozen=True)
class State:
    """What the status line shows.

    Parameters
    ----------
    code:
        A stable word for programs.
    message:
        One sentence.
    actionLabel, action:
        The button's text, and the method of `Installer` behind it.
    canRun:
        Whether a segmentation can be started.
    details:
        For a tooltip and for diagnostics; may be empty.
    """

    code: str
    message: str
    actionLabel: str
    action: str
    canRun: bool = False
    details: str = ""


class Services(Protocol):
    """What the application does for the installation; `slicer_services.SlicerServices` is the real one."""

    def slicerVersion(self) -> tuple[int, int]: ...
    def isExtensionInstalled(self, name: str) -> bool: ...
    def isModuleLoaded(self, name: str) -> bool: ...
    def isPackageThere(self, name: str) -> bool: ...
    def hasNvidiaDriver(self) -> bool: ...
    def isTesting(self) -> bool: ...
    def isMainThread(self) -> bool: ...
    def confirm(self, text: str) -> bool: ...
    def freeBytes(self) -> int | None: ...
    def unreachable(self, what: str) -> str: ...
    def installExtension(self, name: str) -> bool: ...
    def installTorch(self, requirement: str) -> bool: ...
    def installPackages(self) -> bool: ...
    def restart(self) -> None: ...
    def openModule(self, name: str) -> None: ...
    def openDownloadPage(self) -> None: ...


class Installer:
    """Knows the state, and does the one thing that helps.

    Parameters
    ----------
    services:
        The application.
    preferences:
        Where an installation is remembered over a restart.
    """

    def __init__(self, services: Services, preferences: Preferences) -> None:
        self._services = services
        self._preferences = preferences
        self._declined: set[str] = set()
        self._isBusy = False

    def state(self, probe: Mapping[str, Any] | None = None) -> State:
        """What is missing, or what computes.

        Parameters
        ----------
        probe:
            What the worker's job ``probe`` has found; None while it was not asked.
        """
        services = self._services
        if services.slicerVersion() < SLICER_FLOOR:
            return _slicerTooOld(services.slicerVersion())
        if not services.isPackageThere("torch") or (probe or {}).get("state") == "torch_missing":
            return self._withoutTorch()
        if not services.isPackageThere("safetensors"):
            return State(
                "safetensors_missing",
                _("The package safetensors, which reads the models, is not installed yet (under 1 MB)."),
                _("Install..."),
                "installPackages",
            )
        return _probed(probe, services.hasNvidiaDriver())

    def _withoutTorch(self) -> State:
        services = self._services
        if services.isModuleLoaded("PyTorchUtils"):
            return State(
                "torch_missing",
                _("PyTorch is not installed yet (a download of up to 3 GB)."),
                _("Install..."),
                "installTorch",
            )
        if services.isExtensionInstalled(EXTENSION):
            return State(
                "torch_extension_inactive",
                _("The extension PyTorch is installed, but not active before Slicer is restarted."),
                _("Restart..."),
                "restart",
            )
        return State(
            "torch_extension_missing",
            _("PyTorch comes through the extension PyTorch, which is not installed."),
            _("Install and restart..."),
            "installExtension",
        )

    def act(self, state: State) -> Outcome:
        """What the button of a state does; to be called in the main thread, by somebody who pressed it.

        Raises
        ------
        GANSegmentationError
            ``disk_full``, ``wrong_thread``, ``install_running``; what `install_failures.explain` makes of a failure.
        """
        if not self._services.isMainThread():
            raise GANSegmentationError(
                "wrong_thread",
                "An installation was started outside of the application's main thread.",
                action="Report this: it is a fault of the program.",
            )
        if self._isBusy:
            raise GANSegmentationError("install_running", "An installation is running.", action="Wait until it ends.")
        self._isBusy = True
        try:
            outcome: Outcome = getattr(self, state.action)()
        finally:
            self._isBusy = False
        if outcome == "declined":
            self._declined.add(state.code)
        else:
            self._declined.discard(state.code)
        return outcome

    def ensure(self, probe: Mapping[str, Any] | None = None) -> State:
        """Before a run: offer to install what is missing, once in a session, and return the state that then is.

        Raises as `act`. What is declined, or cannot be installed, is for the caller to show: `State.canRun`.
        """
        state = self.state(probe)
        while not state.canRun and state.action.startswith("install") and state.code not in self._declined:
            if self.act(state) != "changed":
                break
            before, probe = state, None
            state = self.state()
            if state.code == before.code:
                break  # it says that it has installed, and nothing came of it
        return state

    def resumePending(self) -> Outcome | None:
        """After a restart for the extension: go on with PyTorch, which asks again. None if nothing was pending."""
        if not self._preferences.pendingInstall:
            return None
        if self._services.isTesting():
            return "skipped"
        self._preferences.pendingInstall = ""  # first: whatever happens, nobody is asked at every start
        state = self.state()
        return self.act(state) if state.code == "torch_missing" else None

    # Actions: one for each state

    def installExtension(self) -> Outcome:
        if self._services.isTesting():
            return "skipped"
        question = _(
            "The extension PyTorch will be downloaded from Slicer's extension server, and Slicer restarted. You are "
            "asked again before PyTorch itself is installed. Save the scene first: what is not saved is lost."
        )
        if not self._confirm(question, "extensions"):
            return "declined"
        if not self._services.installExtension(EXTENSION):
            raise GANSegmentationError(
                "extension_not_installed",
                "The extension PyTorch could not be installed.",
                cause=self._services.unreachable("extensions") or "The extension server has none for this Slicer.",
                action="Install PyTorch in the Extensions Manager, or download it as a file and install that there.",
            )
        self._preferences.pendingInstall = "torch"
        return self.restart()

    def installTorch(self) -> Outcome:
        if self._services.isTesting():
            return "skipped"
        self._requireRoom(TORCH_BYTES, "PyTorch")
        problem = self._services.unreachable("packages")
        if problem and not self._services.confirm(_offlineQuestion(problem)):
            return "declined"
        # The extension asks by itself, and says what it will do.
        done = self._attempt("PyTorch", lambda: self._services.installTorch(TORCH_REQUIREMENT))
        return "changed" if done else "declined"

    def installPackages(self) -> Outcome:
        if self._services.isTesting():
            return "skipped"
        self._requireRoom(PACKAGE_BYTES, "safetensors")
        problem = self._services.unreachable("packages")
        if problem and not self._services.confirm(_offlineQuestion(problem)):
            return "declined"
        return "changed" if self._attempt("safetensors", self._services.installPackages) else "declined"

    def restart(self) -> Outcome:
        if self._services.isTesting():
            return "skipped"
        if not self._services.confirm(_("Restart Slicer now? What is not saved is lost.")):
            return "declined"
        self._services.restart()
        return "restarting"

    def openPyTorchUtils(self) -> Outcome:
        self._services.openModule("PyTorchUtils")
        return "opened"

    def openDownloadPage(self) -> Outcome:
        self._services.openDownloadPage()
        return "opened"

    def checkAgain(self) -> Outcome:
        return "check"

    def _confirm(self, question: str, server: str) -> bool:
        problem = self._services.unreachable(server)
        return self._services.confirm(f"{question}\n\n{_offlineQuestion(problem)}" if problem else question)

    def _requireRoom(self, needed: float, what: str) -> None:
        free = self._services.freeBytes()
        if free is not None and free < needed:
            raise GANSegmentationError(
                "disk_full",
                f"{what} needs about {needed / 1e9:.1f} GB of disk space, and {free / 1e9:.1f} GB are free.",
                cause="It is installed into Slicer's own folder.",
                action="Make room on that disk, then try again. Nothing was changed.",
            )

    def _attempt(self, what: str, install: Callable[[], bool]) -> bool:
        from . import install_failures

        with install_failures.recorded() as lines:
            try:
                return install()
            except GANSegmentationError:
                raise
            except Exception as error:
                raise install_failures.explain(what, error, lines, self._services.freeBytes()) from error


def _slicerTooOld(version: tuple[int, int]) -> State:
    return State(
        "slicer_too_old",
        _("Slicer {version} is too old for this extension, which needs {floor} or newer.").format(
            version=".".join(map(str, version)), floor=".".join(map(str, SLICER_FLOOR))
        ),
        _("Download Slicer"),
        "openDownloadPage",
    )


def _probed(probe: Mapping[str, Any] | None, hasNvidiaDriver: bool) -> State:
    """The state of a PyTorch that is there."""
    if probe is None:
        message = _("PyTorch is installed; what computes is found out when it is first used.")
        return State("not_checked", message, _("Check"), "checkAgain", canRun=True)
    kind = probe.get("state")
    if kind == "torch_broken":
        error = GANSegmentationError.from_dict(probe.get("error") or {})
        return State(
            "torch_broken",
            " ".join(part for part in (error.message, error.cause) if part),
            _("Repair in PyTorch Utils"),
            "openPyTorchUtils",
            details=error.details,
        )
    devices = [device for device in probe.get("devices", ()) if device.get("device") != "cpu"]
    usable = [device for device in devices if device.get("usable")]
    details = "\n".join(f"{each.get('name')}: {each.get('why_not')}" for each in devices if not each.get("usable"))
    if usable:
        return State(
            "ok",
            _("Ready: {device}").format(device=", ".join(map(_described, usable))),
            _("Check again"),
            "checkAgain",
            canRun=True,
            details=details,
        )
    if devices:
        message = _("{gpu} does not compute with PyTorch {version}, so the processor does: slower.").format(
            gpu=devices[0].get("name"), version=probe.get("torch")
        )
        return State(
            "gpu_unusable", message, _("Another build in PyTorch Utils"), "openPyTorchUtils", True, details=details
        )
    if hasNvidiaDriver:
        message = (
            _("PyTorch {version} uses no NVIDIA GPU, although there is a driver: its CUDA is too new for the driver.")
            if probe.get("cuda_build")
            else _("PyTorch {version} was built without CUDA, although there is an NVIDIA driver: slower.")
        )
        return State(
            "gpu_unused",
            message.format(version=probe.get("torch")),
            _("Another build in PyTorch Utils"),
            "openPyTorchUtils",
            True,
        )
    message = _("Ready: no GPU was found, so the processor computes: slower.")
    return State("cpu_only", message, _("Check again"), "checkAgain", canRun=True)


def _described(device: Mapping[str, Any]) -> str:
    free = device.get("free_bytes")
    if free is None:
        return str(device.get("name"))
    return _("{name}, {free:.1f} GB free").format(name=device.get("name"), free=free / 1e9)


def _offlineQuestion(problem: str) -> str:
    return _(
        "The server cannot be reached from here ({problem}), so this will probably fail. Try all the same?"
    ).format(problem=problem)
