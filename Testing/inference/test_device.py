"""A device is chosen because it computes, and half precision because it is faster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import choose_device
from GANSegmentationLib.inference.device import cpu_half_speedup, is_out_of_memory, why_not

PROJECT = Path(__file__).resolve().parents[2]


def test_auto_gives_a_device_that_computes():
    choice = choose_device("auto")
    assert why_not(choice.device) == ""
    assert choice.name
    assert choice.why


def test_the_cpu_is_always_there():
    choice = choose_device("CPU")
    assert choice.device.type == "cpu"
    assert choice.half in (None, torch.bfloat16)


@pytest.mark.parametrize("request_", ["gpu", "cuda:x", "cpu:1", "mps:0", "", "cuda:-1"])
def test_an_unknown_word_is_refused(request_):
    with pytest.raises(GANSegmentationError) as caught:
        choose_device(request_)
    assert caught.value.code == "invalid_device"


def test_a_device_that_is_not_there_is_a_clear_error_and_not_the_cpu():
    absent = f"cuda:{torch.cuda.device_count() + 7}"
    with pytest.raises(GANSegmentationError) as caught:
        choose_device(absent)
    assert caught.value.code == "device_unavailable"
    assert absent in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU that works")
def test_a_gpu_that_is_available_and_fails_is_passed_over(monkeypatch):
    """A driver may answer yes while every kernel fails; here the build has no CUDA at all."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    choice = choose_device("auto")
    assert choice.device.type in ("cpu", "mps")
    assert "cuda" in choice.why
    with pytest.raises(GANSegmentationError) as caught:
        choose_device("cuda")
    assert caught.value.code == "device_unavailable"


def test_the_probe_runs_once():
    cpu_half_speedup()
    before = cpu_half_speedup.cache_info().hits
    choose_device("cpu")
    assert cpu_half_speedup.cache_info().hits == before + 1


@pytest.mark.skipif(torch.backends.mkldnn.is_available() is False, reason="this torch has no oneDNN to restrict")
def test_half_precision_is_refused_where_the_processor_has_no_units_for_it():
    """AVX2 alone: about ninety times slower, whatever flags say."""
    code = "from GANSegmentationLib.inference import choose_device; print(choose_device('cpu').half)"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "None"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) is expected


def test_torch_s_own_error_of_a_full_memory_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
