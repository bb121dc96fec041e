"""What `installing` asks of 3D Slicer, each a call of Slicer's own; nothing here decides anything.

Slicer 5.12 has `slicer.packaging`, which asks, shows progress and offers a restart; 5.10 has `slicer.util.pip_install`
alone, so the question is ours there.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sysconfig
import threading
from pathlib import Path

from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError

TIMEOUT_S = 4.0

_DOWNLOAD_PAGE = "https://download.slicer.org"
_PACKAGES = "https://pypi.org/simple/"
_EXTENSIONS = "https://extensions.slicer.org"


class SlicerServices:
    """`installing.Services` of the running application."""

    def slicerVersion(self) -> tuple[int, int]:
        import slicer

        return int(slicer.app.majorVersion), int(slicer.app.minorVersion)

    def isExtensionInstalled(self, name: str) -> bool:
        manager = _extensionsManager()
        return manager is not None and bool(manager.isExtensionInstalled(name))

    def isModuleLoaded(self, name: str) -> bool:
        import slicer

        return hasattr(slicer.modules, name.lower())

    def isPackageThere(self, name: str) -> bool:
        """Looked for, not imported."""
        try:
            return importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):  # half removed
            return False

    def hasNvidiaDriver(self) -> bool:
        return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()

    def isTesting(self) -> bool:
        import slicer

        return bool(slicer.app.testingEnabled())

    def isMainThread(self) -> bool:
        return threading.current_thread() is threading.main_thread()

    def confirm(self, text: str) -> bool:
        import slicer.util

        return bool(slicer.util.confirmOkCancelDisplay(text, windowTitle="GANSegmentation"))

    def freeBytes(self) -> int | None:
        """Of the disk that packages are installed to."""
        try:
            return shutil.disk_usage(sysconfig.get_paths()["purelib"]).free
        except OSError:
            return None

    def unreachable(self, what: str) -> str:
        """Why the server of ``packages`` or ``extensions`` cannot be reached; empty if it answers, whatever."""
        if what == "packages":
            return whyUnreachable(os.environ.get("PIP_INDEX_URL") or _PACKAGES)
        manager = _extensionsManager()
        server = getattr(manager, "serverUrl", None)
        address = server() if callable(server) else server
        text = address.toString() if hasattr(address, "toString") else str(address or "")
        return whyUnreachable(text if text.startswith("http") else _EXTENSIONS)

    def installExtension(self, name: str) -> bool:
        manager = _extensionsManager()
        if manager is None:
            raise GANSegmentationError(
                "no_extensions_manager",
                "This Slicer was built without the Extensions Manager.",
                action=f"Use a Slicer from {_DOWNLOAD_PAGE}.",
            )
        manager.interactive = False  # whoever is asked was asked already
        return bool(manager.installExtensionFromServer(name, False))

    def installTorch(self, requirement: str) -> bool:
        """False if the user says no to the extension's question."""
        logic = importlib.import_module("PyTorchUtils").PyTorchUtilsLogic()
        installed = logic.installTorch(askConfirmation=True, torchVersionRequirement=requirement)
        importlib.invalidate_caches()
        return installed is not None

    def installPackages(self) -> bool:
        """Install what Resources/requirements.txt names; False if the user says no."""
        from GANSegmentationLib.resources import resource_path

        path = str(resource_path("requirements.txt"))
        try:
            packaging = importlib.import_module("slicer.packaging")
        except ModuleNotFoundError:
            return self._installByHand(path)
        try:
            packaging.pip_ensure(packaging.load_requirements(path), requester="GANSegmentation")
        except RuntimeError as error:
            if "declined" in str(error).lower():
                return False
            raise
        importlib.invalidate_caches()
        return True

    def _installByHand(self, path: str) -> bool:
        import slicer.util

        names = requirements(Path(path).read_text(encoding="utf-8"))
        question = _("These packages will be downloaded and installed into Slicer's Python: {names}. Continue?")
        if not self.confirm(question.format(names=", ".join(names))):
            return False
        slicer.util.pip_install(" ".join(names))
        importlib.invalidate_caches()
        return True

    def restart(self) -> None:
        import slicer.util

        slicer.util.restart()

    def openModule(self, name: str) -> None:
        import slicer.util

        if not self.isModuleLoaded(name):
            raise GANSegmentationError(
                "no_such_module",
                f"The module {name} is not there.",
                cause="Its extension is not installed, or Slicer was not restarted since.",
                action="Install the extension PyTorch in the Extensions Manager and restart Slicer.",
            )
        slicer.util.selectModule(name)

    def openDownloadPage(self) -> None:
        import qt

        qt.QDesktopServices.openUrl(qt.QUrl(_DOWNLOAD_PAGE))


def requirements(text: str) -> list[str]:
    """The requirements of a file's text, without comments and empty lines."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def whyUnreachable(url: str, timeout: float = TIMEOUT_S) -> str:
    """Why a server does not answer, in a few words; empty if it does, for any answer shows that there is a way.

    Goes through the proxies of the environment or the system, as pip does.
    """
    import ssl
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout):
            return ""
    except urllib.error.HTTPError as error:
        return _("a proxy wants a name and a password") if error.code == 407 else ""
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLError):
            return _("its certificate is not trusted")
        if isinstance(reason, TimeoutError):
            return _("no answer within {seconds:g} s").format(seconds=timeout)
        return str(getattr(reason, "strerror", None) or reason)


def _extensionsManager():
    import slicer

    model = getattr(slicer.app, "extensionsManagerModel", None)
    return model() if model is not None else None
