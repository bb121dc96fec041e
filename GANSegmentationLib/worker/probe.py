"""The job ``probe``: whether PyTorch is there and works, and which devices compute."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

from .failures import broken_torch

if TYPE_CHECKING:
    from .run import RunOfJob


def probe(run: RunOfJob) -> dict[str, Any]:
    """What the panel's status line needs.

    ``state`` is ``ok`` (a GPU computes), ``cpu_only``, ``gpu_unusable`` (there is a GPU, and it does not compute with
    this PyTorch: ``devices`` says why), ``torch_missing`` or ``torch_broken`` (``error`` says why). ``devices`` lists
    ``device``, ``name``, ``usable``, ``why_not``, ``total_bytes`` and ``free_bytes`` of every GPU and of the processor.
    """
    run.enter("probe")
    found: dict[str, Any] = {"python": platform.python_version(), "numpy": _version("numpy"), "torch": None}
    if importlib.util.find_spec("torch") is None:
        return {**found, "state": "torch_missing", "devices": []}
    found["torch"] = _version("torch")
    try:
        torch = importlib.import_module("torch")
        torch.zeros(1).numpy()  # where torch and numpy do not fit together, it is this that fails
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything
        return {**found, "state": "torch_broken", "devices": [], "error": broken_torch(error).to_dict()}
    run.check()
    found |= {"torch": torch.__version__, "cuda_build": torch.version.cuda}
    gpus = [*_cuda(torch), *_metal(torch)]
    processor = {
        "device": "cpu",
        "name": f"CPU, {torch.get_num_threads()} threads",
        "usable": True,
        "why_not": "",
        "total_bytes": None,
        "free_bytes": None,
    }
    state = "cpu_only" if not gpus else "ok" if any(gpu["usable"] for gpu in gpus) else "gpu_unusable"
    return {**found, "state": state, "devices": [*gpus, processor]}


def _cuda(torch: Any) -> list[dict[str, Any]]:
    """Every GPU that the driver shows, tried with a small convolution."""
    from ..inference.device import why_not

    if not torch.cuda.is_available():
        return []
    kernels = torch.cuda.get_arch_list()
    devices = []
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        problem = why_not(device)
        major, minor = torch.cuda.get_device_capability(index)
        if problem and kernels and not _has_kernels(kernels, major, minor):
            problem = f"this PyTorch has no kernels for its compute capability {major}.{minor} ({problem})"
        free, total = None, None
        if not problem:
            with contextlib.suppress(RuntimeError):
                free, total = torch.cuda.mem_get_info(index)
        devices.append(
            {
                "device": str(device),
                "name": torch.cuda.get_device_name(index),
                "usable": not problem,
                "why_not": problem,
                "total_bytes": total,
                "free_bytes": free,
                "capability": f"{major}.{minor}",
            }
        )
    return devices


def _has_kernels(kernels: list[str], major: int, minor: int) -> bool:
    """Whether compiled kernels (``sm_80``) or those for later cards (``compute_80``) serve a compute capability."""
    own = major * 10 + minor
    for kernel in kernels:
        kind, _, number = kernel.partition("_")
        digits = "".join(character for character in number if character.isdigit())
        if not digits:
            continue
        version = int(digits)
        if kind == "compute" and version <= own:
            return True
        if kind == "sm" and version // 10 == major and version <= own:
            return True
    return False


def _metal(torch: Any) -> list[dict[str, Any]]:
    from ..inference.device import why_not

    if not torch.backends.mps.is_available():
        return []
    problem = why_not(torch.device("mps"))
    facts = {"device": "mps", "name": "Apple GPU (Metal)", "usable": not problem, "why_not": problem}
    return [{**facts, "total_bytes": None, "free_bytes": None}]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
