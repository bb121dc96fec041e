"""One sentence and one button for each state; No means no; a failure names its cause."""

from __future__ import annotations

import subprocess
import sys
import threading
import types
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from GANSegmentationLib.errors import GANSegmentationError

PROJECT = Path(__file__).resolve().parents[3]
GPU = {"device": "cuda:0", "name": "NVIDIA X", "usable": True, "why_not": "", "free_bytes": 7.6e9, "total_bytes": 8e9}
CPU = {"device": "cpu", "name": "CPU, 8 threads", "usable": True, "why_not": "", "free_bytes": None}
TORCH = {"torch": "2.13.0", "cuda_build": "12.8"}


class Services:
    """An application whose parts are as a test wants them; it keeps what was done, and answers questions."""

    def __init__(self, **facts):
        self.version, self.extension, self.module = (5, 12), True, True
        self.packages, self.driver, self.testing, self.main_thread = {"torch", "safetensors"}, False, False, True
        self.free, self.problem, self.answers = 50e9, "", []
        self.questions, self.done = [], []
        self.torch_answer, self.package_answer, self.extension_answer = True, True, True
        self.failure, self.printed = None, ""
        for name, value in facts.items():
            assert hasattr(self, name), name
            setattr(self, name, set(value) if isinstance(value, set) else value)

    def slicerVersion(self):
        return self.version

    def isExtensionInstalled(self, name):
        return self.extension and name == "PyTorch"

    def isModuleLoaded(self, name):
        return self.module and name == "PyTorchUtils"

    def isPackageThere(self, name):
        return name in self.packages

    def hasNvidiaDriver(self):
        return self.driver

    def isTesting(self):
        return self.testing

    def isMainThread(self):
        return self.main_thread

    def confirm(self, text):
        self.questions.append(text)
        return self.answers.pop(0)

    def freeBytes(self):
        return self.free

    def unreachable(self, what):
        return self.problem

    def installExtension(self, name):
        self.done.append("extension")
        return self.extension_answer

    def installTorch(self, requirement):
        self.done.append(f"torch{requirement}")
        return self._install({"torch"}, self.torch_answer)

    def installPackages(self):
        self.done.append("packages")
        return self._install({"safetensors"}, self.package_answer)

    def _install(self, names, answer):
        print(self.printed)  # noqa: T201 - as pip's output comes
        if self.failure:
            raise self.failure
        if answer:
            self.packages |= names
        return answer

    def restart(self):
        self.done.append("restart")

    def openModule(self, name):
        self.done.append(name)

    def openDownloadPage(self):
        self.done.append("download page")


@pytest.fixture
def make(application):
    from GANSegmentationPanel.installation.installing import Installer
    from GANSegmentationPanel.preferences import Preferences

    from Testing.GANSegmentation.test_preferences import Settings

    def make(**facts):
        services = Services(**facts)
        installer = Installer(services, Preferences(Settings(), {}))
        return installer, services

    return make


NO_EXTENSION = {"packages": set(), "extension": False, "module": False}
STATES = [
    ("slicer_too_old", {"version": (5, 8)}, None, "openDownloadPage", False),
    ("torch_extension_missing", NO_EXTENSION, None, "installExtension", False),
    ("torch_extension_inactive", {"packages": set(), "module": False}, None, "restart", False),
    ("torch_missing", {"packages": set()}, None, "installTorch", False),
    ("torch_missing", {}, {"state": "torch_missing"}, "installTorch", False),
    ("safetensors_missing", {"packages": {"torch"}}, None, "installPackages", False),
    ("not_checked", {}, None, "checkAgain", True),
    (
        "torch_broken",
        {},
        {"state": "torch_broken", "error": {"message": "PyTorch cannot be loaded.", "cause": "Another NumPy."}},
        "openPyTorchUtils",
        False,
    ),
    ("cpu_only", {}, {**TORCH, "state": "cpu_only", "devices": [CPU]}, "checkAgain", True),
    ("gpu_unused", {"driver": True}, {**TORCH, "state": "cpu_only", "devices": [CPU]}, "openPyTorchUtils", True),
    (
        "gpu_unusable",
        {},
        {**TORCH, "state": "gpu_unusable", "devices": [{**GPU, "usable": False, "why_not": "no kernels"}, CPU]},
        "openPyTorchUtils",
        True,
    ),
    ("ok", {}, {**TORCH, "state": "ok", "devices": [GPU, CPU]}, "checkAgain", True),
]


@pytest.mark.parametrize(("code", "facts", "probe", "action", "can_run"), STATES, ids=lambda value: str(value)[:25])
def test_each_state_has_one_sentence_one_label_and_one_function(make, code, facts, probe, action, can_run):
    installer, _services = make(**facts)
    state = installer.state(probe)
    assert (state.code, state.action, state.canRun) == (code, action, can_run)
    assert state.message.endswith(".") or code == "ok"
    assert 0 < len(state.message) < 130
    assert "\n" not in state.message
    assert 0 < len(state.actionLabel) < 32
    assert callable(getattr(installer, state.action))


def test_a_device_is_named_with_its_free_memory_before_a_run(make):
    installer, _ = make()
    state = installer.state({**TORCH, "state": "ok", "devices": [GPU, CPU]})
    assert state.message == "Ready: NVIDIA X, 7.6 GB free"


def test_a_gpu_that_does_not_compute_says_why_and_the_run_goes_on_without_it(make):
    installer, _ = make()
    why = "this PyTorch has no kernels for its compute capability 5.0"
    probe = {**TORCH, "state": "gpu_unusable", "devices": [{**GPU, "usable": False, "why_not": why}, CPU]}
    state = installer.state(probe)
    assert "NVIDIA X does not compute with PyTorch 2.13.0" in state.message
    assert why in state.details
    assert state.canRun


def test_torch_without_cuda_on_a_machine_with_a_driver_is_not_called_fine(make):
    installer, _ = make(driver=True)
    state = installer.state({"torch": "2.13.0+cpu", "cuda_build": None, "state": "cpu_only", "devices": [CPU]})
    assert state.code == "gpu_unused"
    assert "built without CUDA" in state.message


def test_a_broken_torch_is_told_in_the_workers_words_and_was_not_imported_here(make):
    installer, _ = make()
    error = {"message": "PyTorch cannot be loaded: numpy 1 ABI.", "cause": "It was built for another NumPy."}
    state = installer.state({"state": "torch_broken", "error": error})
    assert state.message == "PyTorch cannot be loaded: numpy 1 ABI. It was built for another NumPy."


def test_asking_for_the_state_imports_no_torch():
    program = f"""
import sys
sys.path[:0] = [{str(PROJECT)!r}, {str(PROJECT / "GANSegmentation")!r}]
from Testing.slicer_host import application
application.start()
from GANSegmentationPanel.installation.installing import Installer
from GANSegmentationPanel.installation.slicer_services import SlicerServices
services = SlicerServices()
assert services.isPackageThere("torch") and services.isPackageThere("safetensors")
services.slicerVersion = lambda: (5, 12)
state = Installer(services, None).state()
assert state.code == "not_checked", state

assert "torch" not in sys.modules and "safetensors" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# What the buttons do


def test_a_missing_extension_is_installed_and_torch_offered_again_after_the_restart(make):
    installer, services = make(**NO_EXTENSION, answers=[True, True])
    assert installer.act(installer.state()) == "restarting"
    assert services.done == ["extension", "restart"]
    # After the restart the extension is there, and the installation goes on, once.
    services.extension = services.module = True
    assert installer.resumePending() == "changed"
    assert services.done[-1] == "torch>=2.4"
    assert installer.resumePending() is None


def test_a_restart_that_is_put_off_keeps_the_promise_to_go_on(make):
    installer, services = make(**NO_EXTENSION, answers=[True, False])
    assert installer.act(installer.state()) == "declined"
    services.extension = services.module = True
    assert installer.resumePending() == "changed"


def test_going_on_after_the_restart_is_offered_once_whatever_the_answer(make):
    installer, services = make(packages=set(), torch_answer=False)
    installer._preferences.pendingInstall = "torch"
    assert installer.resumePending() == "declined"
    assert installer.resumePending() is None
    assert services.done == ["torch>=2.4"]
    assert installer._preferences.pendingInstall == ""


def test_an_extension_that_is_not_active_yet_wants_a_restart_and_says_so(make):
    installer, services = make(packages=set(), module=False, answers=[True])
    state = installer.state()
    assert "restarted" in state.message
    assert installer.act(state) == "restarting"
    assert services.done == ["restart"]


@pytest.mark.parametrize(
    ("facts", "answers"),
    [
        (NO_EXTENSION, [False]),
        ({"packages": set(), "torch_answer": False}, []),
        ({"packages": {"torch"}, "package_answer": False}, []),
        ({"packages": set(), "problem": "no answer within 4 s"}, [False]),
        ({"packages": set(), "module": False}, [False]),
    ],
)
def test_no_means_no(make, facts, answers):
    """Nothing is downloaded, the state is as before, and nobody is asked again by a run."""
    installer, services = make(**facts, answers=list(answers))
    before = installer.state()
    assert installer.act(before) == "declined"
    assert installer.state() == before
    asked, done = len(services.questions), list(services.done)
    assert installer.ensure() == before  # a run later in the session
    assert (len(services.questions), services.done) == (asked, done)
    assert "extension" not in done
    assert "restart" not in done
    assert not installer._preferences.pendingInstall


def test_yes_and_no_are_told_apart_by_the_applications_own_question(application, monkeypatch):
    """A message box's answer No is true as a number; the question is one that answers with a bool."""
    import slicer.util
    from GANSegmentationPanel.installation.slicer_services import SlicerServices

    for answer in (True, False):
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_a, answer=answer, **_k: answer)
        assert SlicerServices().confirm("Continue?") is answer


def test_the_button_asks_again_after_a_no(make):
    installer, services = make(packages={"torch"}, package_answer=False)
    assert installer.ensure().code == "safetensors_missing"
    services.package_answer = True
    assert installer.act(installer.state()) == "changed"
    assert installer.state().canRun


def test_a_run_installs_one_after_the_other_what_is_missing(make):
    installer, services = make(packages=set())
    assert installer.ensure().canRun
    assert services.done == ["torch>=2.4", "packages"]


def test_an_installation_that_changes_nothing_does_not_go_round_in_circles(make):
    installer, services = make(packages={"torch"})
    services._install = lambda _names, _answer: True
    assert installer.ensure().code == "safetensors_missing"
    assert services.done == ["packages"]


def test_nothing_is_installed_in_testing_mode(make):
    installer, services = make(**NO_EXTENSION, testing=True)
    for action in ("installExtension", "installTorch", "installPackages", "restart"):
        assert getattr(installer, action)() == "skipped"
    installer._preferences.pendingInstall = "torch"
    assert installer.resumePending() == "skipped"
    assert (services.done, services.questions) == ([], [])


def test_only_the_main_thread_installs(make):
    installer, services = make(packages={"torch"}, main_thread=False)
    with pytest.raises(GANSegmentationError) as caught:
        installer.act(installer.state())
    assert caught.value.code == "wrong_thread"
    assert services.done == []


def test_a_second_press_while_it_installs_is_refused(make):
    installer, services = make(packages={"torch"})
    seen = []

    def pressed_again(_names, _answer):
        with pytest.raises(GANSegmentationError) as caught:
            installer.act(installer.state())
        seen.append(caught.value.code)
        return True

    services._install = pressed_again
    installer.act(installer.state())
    assert seen == ["install_running"]


def test_a_full_disk_is_said_before_anything_is_downloaded(make):
    installer, services = make(packages=set(), free=2e9)
    with pytest.raises(GANSegmentationError) as caught:
        installer.act(installer.state())
    assert caught.value.code == "disk_full"
    assert "10.0 GB" in caught.value.message
    assert "2.0 GB are free" in caught.value.message
    assert services.done == []


def test_a_network_that_is_not_there_is_said_before_and_may_be_tried_all_the_same(make):
    installer, services = make(packages=set(), problem="its certificate is not trusted", answers=[True])
    assert installer.act(installer.state()) == "changed"
    assert "its certificate is not trusted" in services.questions[0]


def test_an_extension_server_without_the_extension_is_said(make):
    installer, services = make(**NO_EXTENSION, answers=[True], extension_answer=False)
    with pytest.raises(GANSegmentationError) as caught:
        installer.act(installer.state())
    assert caught.value.code == "extension_not_installed"
    assert "restart" not in services.done
    assert installer.resumePending() is None


# Why it failed

PIP = "Command '['PythonSlicer', '-m', 'pip', 'install', 'safetensors']' returned non-zero exit status 1."


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("install_proxy", "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407'))"),
        ("install_disk", "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"),
        ("install_certificate", "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]"),
        (
            "install_offline",
            "NewConnectionError: Temporary failure in name resolution\nERROR: No matching distribution found for torch",
        ),
        ("install_no_wheel", "ERROR: No matching distribution found for torch>=2.4"),
        ("install_rights", "ERROR: [WinError 5] Access is denied: 'C:\\\\ProgramData\\\\Slicer\\\\lib\\\\numpy.pyd'"),
        ("install_damaged", "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."),
    ],
)
def test_a_failure_names_its_cause_instead_of_an_exit_status(make, capsys, code, printed):
    failure = subprocess.CalledProcessError(1, PIP)
    installer, services = make(packages={"torch"}, failure=failure, printed=f"Collecting safetensors\n{printed}\n")
    with pytest.raises(GANSegmentationError) as caught:
        installer.act(installer.state())
    error = caught.value
    assert error.code == code
    assert "exit status" not in str(error)
    assert error.cause
    assert error.action
    assert printed.splitlines()[-1] in error.details
    assert printed in capsys.readouterr().out  # the log has it as well
    assert installer.state().code == "safetensors_missing"  # and the button is there for another try
    services.failure = None
    assert installer.act(installer.state()) == "changed"


def test_the_output_within_the_error_is_read_too(application):
    from GANSegmentationPanel.installation import install_failures

    error = subprocess.CalledProcessError(1, "pip", output=b"", stderr=b"[Errno 28] No space left on device")
    assert install_failures.explain("PyTorch", error, []).code == "install_disk"
    with_pipe = subprocess.CalledProcessError(1, "pip", output=sys.stdin)  # as Slicer has it: a stream, and closed
    assert install_failures.explain("PyTorch", with_pipe, [], freeBytes=10_000).code == "install_disk"


def test_an_application_without_a_console_installs_too(application, monkeypatch):
    from GANSegmentationPanel.installation import install_failures

    monkeypatch.setattr(sys, "stdout", None)  # as pythonw and Slicer on Windows have it
    monkeypatch.setattr(sys, "stderr", None)
    with install_failures.recorded() as lines:
        sys.stdout.write("Collecting torch\nERROR: no room\n")
        sys.stdout.flush()
    assert list(lines) == ["Collecting torch", "ERROR: no room"]


def test_an_unknown_failure_gives_pips_last_word(application):
    from GANSegmentationPanel.installation import install_failures

    error = subprocess.CalledProcessError(1, "pip")
    known = install_failures.explain("PyTorch", error, ["Collecting torch", "ERROR: something new happened"])
    assert known.code == "install_failed"
    assert known.cause == "ERROR: something new happened"


# Slicer's own services


def test_a_module_is_found_by_the_name_of_its_class(application):
    from GANSegmentationPanel.installation.slicer_services import SlicerServices

    assert SlicerServices().isModuleLoaded("Volumes")
    assert not SlicerServices().isModuleLoaded("PyTorchUtils")


@pytest.fixture
def services(application):
    from GANSegmentationPanel.installation.slicer_services import SlicerServices

    return SlicerServices()


def test_the_requirements_are_lower_bounds_of_what_slicer_does_not_ship(application):
    from GANSegmentationPanel.installation.slicer_services import requirements

    names = requirements((PROJECT / "Resources" / "requirements.txt").read_text(encoding="utf-8"))
    assert names == ["safetensors>=0.4"]
    shipped = {"numpy", "scipy", "simpleitk", "vtk", "requests", "pydicom", "packaging", "pillow", "highdicom"}
    for name in names:
        assert ">=" in name
        assert "==" not in name
        assert name.partition(">=")[0].lower() not in shipped | {"torch", "torchvision", "monai"}


def test_what_is_required_pulls_none_of_slicers_own_packages():
    from importlib import metadata

    needed = [each for each in metadata.requires("safetensors") or [] if "extra ==" not in each]
    assert needed == []


def test_slicers_packaging_helper_is_asked_and_its_refusal_understood(services, monkeypatch):
    asked = []
    helper = types.ModuleType("slicer.packaging")
    helper.load_requirements = lambda path: Path(path).name
    helper.pip_ensure = lambda names, requester: asked.append((names, requester))
    monkeypatch.setitem(sys.modules, "slicer.packaging", helper)
    assert services.installPackages() is True
    assert asked == [("requirements.txt", "GANSegmentation")]

    def refuse(names, requester):
        raise RuntimeError("User declined package installation")

    helper.pip_ensure = refuse
    assert services.installPackages() is False

    def fail(names, requester):
        raise RuntimeError("pip is broken")

    helper.pip_ensure = fail
    with pytest.raises(RuntimeError, match="pip is broken"):
        services.installPackages()


@pytest.mark.parametrize("answer", [True, False])
def test_a_slicer_without_the_helper_asks_by_our_own_question(services, monkeypatch, answer):
    import slicer.util

    asked, installed = [], []
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)  # ModuleNotFoundError, as in 5.10
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, **_: asked.append(text) or answer)
    monkeypatch.setattr(slicer.util, "pip_install", installed.append)
    assert services.installPackages() is answer
    assert "safetensors>=0.4" in asked[0]
    assert installed == (["safetensors>=0.4"] if answer else [])


@pytest.mark.parametrize("answer", [types.ModuleType("torch"), None])
def test_torch_comes_through_the_extension_which_asks_itself(services, monkeypatch, answer):
    asked = []

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None):
            asked.append((askConfirmation, forceComputationBackend, torchVersionRequirement))
            return answer

    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    assert services.installTorch(">=2.4") is (answer is not None)
    assert asked == [(True, None, ">=2.4")]


def test_an_extension_is_installed_without_a_restart_of_its_own(services, monkeypatch):
    import slicer

    class Manager:
        interactive = True
        asked = ()

        def isExtensionInstalled(self, name):
            return name == "PyTorch"

        def installExtensionFromServer(self, *arguments):
            self.asked = arguments
            return True

    manager = Manager()
    monkeypatch.setattr(type(slicer.app), "extensionsManagerModel", lambda _self: manager, raising=False)
    assert services.isExtensionInstalled("PyTorch")
    assert not services.isExtensionInstalled("Other")
    assert services.installExtension("PyTorch")
    assert manager.asked == ("PyTorch", False)
    assert manager.interactive is False


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (None, ""),
        (urllib.error.HTTPError("u", 404, "no", None, None), ""),
        (urllib.error.HTTPError("u", 407, "no", None, None), "a proxy wants a name and a password"),
        (urllib.error.URLError(TimeoutError()), "no answer within 4 s"),
        (urllib.error.URLError(OSError(-2, "Name or service not known")), "Name or service not known"),
    ],
)
def test_a_server_that_answers_at_all_is_reachable(application, monkeypatch, raised, said):
    from GANSegmentationPanel.installation.slicer_services import whyUnreachable

    class Answer:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

    def open_(request, timeout):
        if raised is not None:
            raise raised
        return Answer()

    monkeypatch.setattr(urllib.request, "urlopen", open_)
    assert whyUnreachable("https://example.org") == said


def test_the_packages_server_of_the_hospital_is_the_one_that_is_tried(services, monkeypatch):
    from GANSegmentationPanel.installation import slicer_services

    tried = []
    monkeypatch.setattr(slicer_services, "whyUnreachable", lambda url: tried.append(url) or "")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert services.unreachable("packages") == ""
    assert tried == ["https://mirror.example/simple"]


def test_a_thread_is_not_the_main_one(services):
    found = []
    thread = threading.Thread(target=lambda: found.append(services.isMainThread()))
    thread.start()
    thread.join()
    assert found == [False]
    assert services.isMainThread()


def test_another_module_that_is_not_there_is_an_error_and_no_crash(services):
    with pytest.raises(GANSegmentationError) as caught:
        services.openModule("NoSuchModule")
    assert caught.value.code == "no_such_module"
