"""What the panel's status line says of PyTorch and the devices is found out by trying."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from GANSegmentationLib import protocol
from GANSegmentationLib.inference import device as devices
from GANSegmentationLib.worker.probe import _has_kernels
from Testing.worker.requests import result, run
from Testing.worker.serving import PROJECT

REQUEST = protocol.RunProbe("1", "")


def pretend_gpu(monkeypatch, *, problem="", capability=(9, 0), kernels=("sm_80", "sm_90")):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: list(kernels))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _index: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _index: "GPU")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _index: (3 << 30, 8 << 30))
    monkeypatch.setattr(devices, "why_not", lambda _device: problem)


def test_without_a_gpu_the_processor_computes(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    found = result(run(REQUEST))
    assert found["state"] == "cpu_only"
    assert found["torch"] == torch.__version__
    assert [(each["device"], each["usable"]) for each in found["devices"]] == [("cpu", True)]


def test_a_gpu_that_computes_is_listed_with_its_memory(monkeypatch):
    pretend_gpu(monkeypatch)
    found = result(run(REQUEST))
    assert found["state"] == "ok"
    gpu = found["devices"][0]
    assert (gpu["device"], gpu["name"], gpu["usable"]) == ("cuda:0", "GPU", True)
    assert (gpu["free_bytes"], gpu["total_bytes"]) == (3 << 30, 8 << 30)


def test_a_gpu_that_is_too_old_is_said_to_be(monkeypatch):
    pretend_gpu(monkeypatch, problem="no kernel image is available", capability=(6, 1))
    found = result(run(REQUEST))
    assert found["state"] == "gpu_unusable"
    assert "6.1" in found["devices"][0]["why_not"]
    assert not found["devices"][0]["usable"]


def test_a_driver_that_does_not_work_is_not_blamed_on_the_card(monkeypatch):
    pretend_gpu(monkeypatch, problem="the driver is too old")
    assert result(run(REQUEST))["devices"][0]["why_not"] == "the driver is too old"


@pytest.mark.parametrize(
    ("kernels", "capability", "serves"),
    [
        (["sm_80", "sm_90"], (8, 0), True),
        (["sm_80", "sm_90"], (8, 9), True),
        (["sm_86"], (8, 0), False),
        (["sm_80", "sm_90"], (7, 5), False),
        (["sm_80", "compute_90"], (12, 0), True),
        (["sm_90a"], (9, 0), True),
        (["sm_120"], (12, 0), True),
        ([], (9, 0), False),
    ],
)
def test_which_kernels_serve_a_card(kernels, capability, serves):
    assert _has_kernels(kernels, *capability) is serves


def probe_with(tmp_path, torch_package: str | None):
    """The answer of a process in which torch is another, or hidden."""
    folder = tmp_path / "path"
    folder.mkdir()
    before = ""
    if torch_package is None:
        before = (
            "import importlib.util\nfound = importlib.util.find_spec\n"
            "importlib.util.find_spec = lambda name, *more: None if name == 'torch' else found(name, *more)\n"
        )
    else:
        (folder / "torch").mkdir()
        (folder / "torch" / "__init__.py").write_text(torch_package, encoding="utf-8")
    program = (
        f"import sys, json; sys.path[:0] = [{str(folder)!r}]\n{before}"
        "from GANSegmentationLib import worker, protocol\n"
        "say = lambda event: print(json.dumps(event))\n"
        "worker.handle(protocol.to_dict(protocol.RunProbe('1', '')), say, lambda: False)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT, env=dict(os.environ)
    )
    return json.loads(answer.stdout.splitlines()[-1])["result"]


def test_no_torch_is_a_state_and_no_error(tmp_path):
    found = probe_with(tmp_path, None)
    assert (found["state"], found["torch"], found["devices"]) == ("torch_missing", None, [])


@pytest.mark.parametrize(
    "broken",
    [
        "raise ImportError('libcudart.so.12: cannot open shared object file')",
        "raise OSError('libcudart.so.12: wrong ELF class')",
        "import module_that_torch_needs",
        "zeros = lambda n: (_ for _ in ()).throw(RuntimeError('Numpy is not available'))",
    ],
)
def test_a_broken_torch_says_its_first_line(tmp_path, broken):
    found = probe_with(tmp_path, broken)
    assert found["state"] == "torch_broken"
    assert found["error"]["code"] == "torch_broken"
    assert any(words in found["error"]["message"] for words in ("libcudart", "module_that_torch_needs", "Numpy is not"))
    assert found["error"]["action"]
