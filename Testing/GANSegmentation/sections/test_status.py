"""The status line: what is missing, one button for it, and what "No" means."""

from __future__ import annotations

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from Testing.GANSegmentation.panels import add_scan, choose, close, run_to_end, segmentations
from Testing.slicer_host import application as host
from Testing.slicer_host.application import wait_until
from Testing.slicer_host.dialogs import dialogs


class Services:
    """The application, as an installation sees it: what is there, and what a user answers."""

    def __init__(self):
        self.version = (5, 12)
        self.extension, self.isActive = True, True
        self.packages = {"torch", "safetensors"}
        self.driver = False
        self.testing = False
        self.answer = True
        self.says = []
        self.done = []

    def slicerVersion(self):
        return self.version

    def isExtensionInstalled(self, name):
        return self.extension

    def isModuleLoaded(self, name):
        return self.isActive

    def isPackageThere(self, name):
        return name in self.packages

    def hasNvidiaDriver(self):
        return self.driver

    def isTesting(self):
        return self.testing

    def isMainThread(self):
        return True

    def confirm(self, text):
        self.says.append(text)
        return self.answer

    def freeBytes(self):
        return 100e9

    def unreachable(self, what):
        return ""

    def installExtension(self, name):
        self.done.append(f"extension {name}")
        self.extension = True
        return True

    def installTorch(self, requirement):
        self.done.append("torch")
        if self.answer:
            self.packages.add("torch")
        return self.answer

    def installPackages(self):
        self.done.append("packages")
        if self.answer:
            self.packages.add("safetensors")
        return self.answer

    def restart(self):
        self.done.append("restart")

    def openModule(self, name):
        self.done.append(f"module {name}")

    def openDownloadPage(self):
        self.done.append("page")


GPU = {"device": "cuda:0", "name": "NVIDIA RTX", "usable": True, "free_bytes": 7.6e9, "total_bytes": 8e9, "why_not": ""}
CPU = {"device": "cpu", "name": "CPU, 4 threads", "usable": True, "free_bytes": None, "total_bytes": None}


def probe(state, *devices, **more):
    return {"state": state, "torch": "2.13.0", "cuda_build": None, "devices": [*devices, CPU], **more}


@pytest.fixture
def services(application, monkeypatch):
    from GANSegmentationPanel.installation import slicer_services

    made = Services()
    monkeypatch.setattr(slicer_services, "SlicerServices", lambda: made)
    return made


@pytest.fixture
def open_panel(module, scene, tiny_model, services):
    made = []

    def show():
        made.append(host.show_panel(module))
        return made[-1][0]

    yield show
    for widget, panel in made:
        close(widget, panel)


def without_torch(services, *, extension=True, active=True):
    services.packages.discard("torch")
    services.extension, services.isActive = extension, active


STATES = {
    "no extension": (lambda s: without_torch(s, extension=False, active=False), "Install and restart...", "extension"),
    "inactive": (lambda s: without_torch(s, active=False), "Restart...", "restart"),
    "no torch": (without_torch, "Install...", "torch"),
    "no safetensors": (lambda s: s.packages.discard("safetensors"), "Install...", "packages"),
    "old Slicer": (lambda s: setattr(s, "version", (5, 8)), "Download Slicer", "page"),
}


@pytest.mark.parametrize("state", STATES)
def test_each_state_has_a_sentence_and_one_button_that_does_it(open_panel, services, state):
    """Complaints: the extension is there and nothing happens; installing fails without a word."""
    arrange, label, does = STATES[state]
    arrange(services)
    widget = open_panel()
    button = widget.ui.statusActionButton
    assert not button.isHidden() and button.text == label
    assert len(widget.ui.statusTextLabel.text) > 20
    assert services.done == [], "nothing is installed by opening the panel"
    button.click()
    assert services.done[0].startswith(does)


PROBES = {
    "GPU": (probe("ok", GPU), False, "Ready: NVIDIA RTX, 7.6 GB free", "Check again"),
    "CPU": (probe("cpu_only"), False, "Ready: no GPU was found", "Check again"),
    "unused driver": (probe("cpu_only"), True, "built without CUDA", "Another build in PyTorch Utils"),
    "too new": (
        probe("gpu_unusable", {**GPU, "usable": False, "why_not": "no kernels"}),
        True,
        "NVIDIA RTX does not compute with PyTorch 2.13.0",
        "Another build in PyTorch Utils",
    ),
    "broken": (
        probe("torch_broken", error=GANSegmentationError("torch_broken", "PyTorch cannot be loaded: numpy.").to_dict()),
        False,
        "PyTorch cannot be loaded: numpy.",
        "Repair in PyTorch Utils",
    ),
}


@pytest.mark.parametrize("name", PROBES)
def test_what_computes_is_shown_before_a_run(open_panel, services, name):
    """Complaint: the GPU is not used, or too new, and nobody says so."""
    found, driver, text, label = PROBES[name]
    services.driver = driver
    widget = open_panel()
    widget.statusSection.probe = found
    widget.refresh()
    assert text in widget.ui.statusTextLabel.text
    assert widget.ui.statusActionButton.text == label
    widget.ui.statusActionButton.click()
    assert services.done == (["module PyTorchUtils"] if "Utils" in label else [])


def test_what_does_not_compute_says_why_in_the_tooltip(open_panel, services):
    widget = open_panel()
    widget.statusSection.probe = PROBES["too new"][0]
    widget.refresh()
    assert "NVIDIA RTX: no kernels" in widget.ui.statusTextLabel.toolTip


# "No" means no


def test_apply_asks_once_and_after_a_no_never_again(open_panel, services):
    """Complaint: the question has two buttons, and both install."""
    without_torch(services)
    services.answer = False
    widget = open_panel()
    choose(widget, add_scan(), "tiny-liver")
    widget.ui.applyButton.click()
    assert services.done == ["torch"] and "torch" not in services.packages
    assert segmentations() == []
    assert "PyTorch is not installed yet" in widget.ui.stageLabel.text
    widget.ui.applyButton.click()
    assert services.done == ["torch"], "nobody is asked again by Apply"
    assert widget.ui.applyButton.text == "Apply"
    services.answer = True
    widget.ui.statusActionButton.click()
    assert services.done == ["torch", "torch"], "the button asks whoever presses it"
    assert "torch" in services.packages


def test_apply_goes_on_after_a_yes(open_panel, services):
    services.packages.discard("safetensors")
    widget = open_panel()
    choose(widget, add_scan(), "tiny-liver")
    looked = widget.logic.executor
    run_to_end(widget)
    assert services.done == ["packages"]
    assert widget.logic.executor is not looked, "what has looked for the package in vain is not asked again"
    assert len(segmentations()) == 1


def test_an_installation_that_fails_is_explained(open_panel, services, monkeypatch):
    def fail(requirement):
        raise RuntimeError("Command '['pip', 'install']' returned non-zero exit status 1.")

    without_torch(services)
    monkeypatch.setattr(services, "installTorch", fail)
    widget = open_panel()
    choose(widget, add_scan(), "tiny-liver")
    for button in (widget.ui.statusActionButton, widget.ui.applyButton):
        dialogs.clear()
        button.click()
        (text,) = dialogs.texts("error")
        assert "PyTorch" in text
        assert widget.ui.applyButton.enabled


# After a restart


def test_an_installation_goes_on_once_after_the_restart(open_panel, services):
    from GANSegmentationPanel.preferences import Preferences

    without_torch(services)
    Preferences().pendingInstall = "torch"
    widget = open_panel()
    assert services.done == [], "not before the panel is there"
    assert wait_until(lambda: services.done == ["torch"], 5)
    assert Preferences().pendingInstall == ""
    widget.exit()
    widget.enter()
    assert not wait_until(lambda: len(services.done) > 1, 0.2)


def test_nothing_goes_on_in_a_panel_that_was_closed_at_once(module, scene, tiny_model, services):
    from GANSegmentationPanel.preferences import Preferences

    without_torch(services)
    Preferences().pendingInstall = "torch"
    try:
        close(*host.show_panel(module))
        assert not wait_until(lambda: bool(services.done), 0.2)
    finally:
        Preferences().pendingInstall = ""


def test_a_test_run_of_the_application_is_never_asked(open_panel, services):
    without_torch(services)
    services.testing = True
    widget = open_panel()
    widget.ui.statusActionButton.click()
    assert services.done == [] and services.says == []


def test_the_button_waits_for_a_run(open_panel, services, monkeypatch):
    from Testing.GANSegmentation.panels import at

    widget = open_panel()
    choose(widget, add_scan(), "tiny-liver")
    seen = []
    at(
        widget,
        monkeypatch,
        lambda: seen.append((widget.ui.statusActionButton.enabled, widget.ui.statusActionButton.toolTip)),
    )
    run_to_end(widget)
    assert seen == [(False, "Wait until the run has ended.")]
    assert widget.ui.statusActionButton.enabled
