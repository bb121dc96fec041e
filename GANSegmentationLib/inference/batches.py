"""Slices through a network in batches, which are halved where memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from ..errors import GANSegmentationError
from .device import DeviceChoice, is_out_of_memory, release_memory
from .progress import Countdown

_log = logging.getLogger(__name__)


def compute_in_batches(
    slices: int,
    size: int,
    compute: Callable[[int, int], Tensor],
    put: Callable[[int, Tensor], None],
    countdown: Countdown,
    choice: DeviceChoice,
) -> int:
    """Compute all slices in order, and return how many were computed at once at the end.

    Parameters
    ----------
    slices, size:
        How many there are, and how many to try at once.
    compute:
        ``compute(start, stop)``: what comes of the slices from `start` until before `stop`, on the CPU.
    put:
        ``put(start, result)`` takes it.
    countdown:
        Told of every batch, and asked before it whether to stop.

    Raises
    ------
    GANSegmentationError
        ``cancelled``.
    RuntimeError, MemoryError
        As `compute`, if memory runs out with one slice alone.
    """
    size = min(size, slices)
    start = 0
    while start < slices:
        countdown.check()
        stop = min(start + size, slices)
        result = _attempt(compute, start, stop)
        if result is None:
            size = (stop - start) // 2
            _log.warning("Memory ran out with %d slices at once; trying %d.", stop - start, size)
            release_memory(choice.device)
            continue
        put(start, result)
        start = stop
        countdown.advance(start)
    return size


def _attempt(compute: Callable[[int, int], Tensor], start: int, stop: int) -> Tensor | None:
    """What comes of a batch; None if memory ran out and a smaller batch is left to try.

    The error dies in here: it holds the tensors that fill the memory.
    """
    try:
        return compute(start, stop)
    except (MemoryError, RuntimeError) as error:
        if stop - start == 1 or not is_out_of_memory(error):
            raise
        return None


@contextmanager
def memory_said(choice: DeviceChoice) -> Iterator[None]:
    """Whatever says within the context that memory ran out becomes ``out_of_memory``, in words for a person."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise GANSegmentationError(
            "out_of_memory",
            f"The memory of the device {choice.name} ran out, even with one slice at a time.",
            cause="Other programs use it, or the model or the scan is too large for it.",
            action="Close other programs, or choose the device cpu.",
            details=str(error).strip(),
        ) from error
