"""Which processor computes, and in which precision: decided by running a kernel, not by what is said of the machine."""

from __future__ import annotations

import functools
import platform
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from ..errors import GANSegmentationError

HALF_PAYS_FROM = 1.2
"""On a CPU, bfloat16 is used where it is this many times faster than float32."""


@dataclass(frozen=True)
class DeviceChoice:
    """Where a network runs.

    Parameters
    ----------
    device:
        torch's device.
    name:
        What a person calls it: ``"NVIDIA A100"``, ``"CPU, 8 threads"``.
    why:
        Why this one, in a sentence; what was tried before it and failed.
    half:
        The half precision that is faster here than float32, or None.
    """

    device: torch.device
    name: str
    why: str
    half: torch.dtype | None


def choose_device(request: str = "auto") -> DeviceChoice:
    """The device for a request: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.

    ``"auto"`` takes the first that computes a small convolution correctly, of CUDA, MPS and CPU: a driver that is too
    old, or a card that this torch has no kernels for, is "available" and yet fails.

    Raises
    ------
    GANSegmentationError
        ``invalid_device`` for another word, ``device_unavailable`` if a device that was asked for does not compute.
    """
    wanted = request.strip().lower()
    if wanted == "auto":
        return _first_that_works()
    kind, _, index = wanted.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdigit())):
        raise GANSegmentationError(
            "invalid_device", f"There is no device {request!r}.", action="Choose auto, cpu, cuda, cuda:N or mps."
        )
    device = torch.device(wanted)
    problem = why_not(device)
    if problem:
        raise GANSegmentationError(
            "device_unavailable",
            f"The device {request!r} was asked for, but it cannot be used: {problem}.",
            cause="There is no such device, its driver is too old, or this build of PyTorch does not support it.",
            action="Choose the device auto or cpu, or install the PyTorch build for this device.",
        )
    return _describe(device, "asked for")


def why_not(device: torch.device) -> str:
    """Why a device does not compute; empty where it does. Runs a small convolution and checks the numbers."""
    if device.type == "cuda":
        if not torch.cuda.is_available():
            return "no usable NVIDIA GPU was found"
        if (device.index or 0) >= torch.cuda.device_count():
            return f"there are only {torch.cuda.device_count()} GPUs"
    if device.type == "mps" and not torch.backends.mps.is_available():
        return "Apple's Metal is not available"
    image = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    kernel = torch.linspace(0, 1, 9).reshape(1, 1, 3, 3)
    try:
        result = conv2d(image.to(device), kernel.to(device)).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, OSError) as error:
        return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    # The tolerance leaves room for TF32, not for a wrong kernel.
    agrees = torch.allclose(result, conv2d(image, kernel), atol=1e-2)
    return "" if agrees else "a test convolution gave wrong numbers"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or numpy says that memory ran out, on whatever device."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in text for words in ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
    )


def release_memory(device: torch.device) -> None:
    """Give cached memory back to a device, so that a smaller batch finds room."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _first_that_works() -> DeviceChoice:
    failures: list[str] = []
    for name in ("cuda", "mps"):
        device = torch.device(name)
        problem = why_not(device)
        if not problem:
            return _describe(device, "; ".join(["the fastest that works", *failures]))
        failures.append(f"{name}: {problem}")
    return _describe(torch.device("cpu"), "; ".join(failures))


def _describe(device: torch.device, why: str) -> DeviceChoice:
    if device.type == "cuda":
        return DeviceChoice(device, torch.cuda.get_device_name(device), why, _cuda_half(device))
    if device.type == "mps":
        return DeviceChoice(device, "Apple GPU (Metal)", why, torch.float16)
    threads = torch.get_num_threads()
    name = f"CPU ({platform.processor() or platform.machine()}), {threads} thread{'s' if threads != 1 else ''}"
    return DeviceChoice(device, name, why, torch.bfloat16 if cpu_half_speedup() > HALF_PAYS_FROM else None)


def _cuda_half(device: torch.device) -> torch.dtype | None:
    # From the compute capability and not torch.cuda.is_bf16_supported(), which counts emulation: Ampere (8.0) brought
    # bfloat16 units, Volta (7.0) float16 ones.
    major, _ = torch.cuda.get_device_capability(device)
    if major >= 8:
        return torch.bfloat16
    return torch.float16 if major >= 7 else None


@functools.lru_cache(maxsize=1)
def cpu_half_speedup() -> float:
    """How many times faster this CPU convolves in bfloat16 than in float32; 0 where it cannot. Some milliseconds, once.

    Flags do not tell: on processors with AVX-512 but without its bfloat16 extension torch reports support and runs
    about three times slower than float32, and with AVX2 alone about ninety times.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 128, 16, 16, generator=generator).to(memory_format=torch.channels_last)
    kernel = torch.randn(128, 128, 3, 3, generator=generator).to(memory_format=torch.channels_last)
    try:
        single = _fastest(image, kernel)
        half = _fastest(image.bfloat16(), kernel.bfloat16())
    except RuntimeError:
        return 0.0
    return single / half


def _fastest(image: Tensor, kernel: Tensor, rounds: int = 4) -> float:
    """Seconds of the fastest of a few convolutions; the first warms up and does not count."""
    seconds = []
    with torch.inference_mode():
        for _ in range(rounds):
            start = time.perf_counter()
            conv2d(image, kernel, padding=1)
            seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
