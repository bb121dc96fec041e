"""What a training step costs in time and memory, from a few slices run through the very step of training."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import GANSegmentationError
from ...inference import whole_scores
from ...objectives.base import Batch
from ..preset import Preset
from .learners import Learners

_FEW = 2
"""Slices in the smaller measurement; batch normalisation needs two."""


@dataclass(frozen=True)
class ValidationCost:
    """What the generator is given of a whole slice, and how long it takes.

    Parameters
    ----------
    seconds_per_slice:
        Without gradients.
    tiles:
        How many pieces a slice is scored in; 1 for a network that scores every pixel it is given.
    inputs, outputs:
        The shapes of a piece, without the batch, and of what the generator gives for it.
    """

    seconds_per_slice: float
    tiles: int
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class StepCost:
    """What one step, with all the parts of its batch, costs one process.

    Parameters
    ----------
    seconds:
        Of computing, the mean over steps with and without the phases that are not due in every step.
    validation:
        Of the generator on a whole slice, without gradients.
    memory_mb:
        Megabytes (10^6) of ``parameters``, ``gradients``, ``optimiser``, ``average`` (the moving average of the
        generator), ``activations`` (with the batch) and their ``total``.
    measured:
        Whether the memory is the device's own peak for the whole part, or an estimate from fewer slices.
    """

    seconds: float
    validation: ValidationCost
    memory_mb: Mapping[str, float]
    measured: bool


@dataclass(frozen=True)
class NetworkShapes:
    """The shapes, without the batch, of what a network was first given and gave back."""

    inputs: tuple[tuple[int, ...], ...] = ()
    outputs: tuple[tuple[int, ...], ...] = ()


def measured_preset(preset: Preset, device: torch.device, *, share: int) -> Preset:
    """The preset with a batch of only what `measure_step` runs.

    On a GPU that are whole parts of the batch, on a CPU, where a step takes long, parts of few slices; in two parts if
    the run has several, because each part of an accumulated batch has a forward pass for every phase.

    Parameters
    ----------
    share:
        Slices of a step in one process, all parts together.
    """
    part = share // preset.accumulate
    few = part if device.type == "cuda" else min(part, 2 * _FEW)
    parts = min(preset.accumulate, 2)
    return replace(preset, accumulate=parts, batch_size=few * parts)


def measure_step(learners: Learners, batch: Batch, preset: Preset, *, share: int, whole: tuple[int, int]) -> StepCost:
    """Run training steps of a few slices and scale what they cost to a process' share of the batch.

    On a GPU a whole part of the batch is run and its peak memory read; elsewhere two sizes are run, and time and memory
    are taken to be straight lines through both.

    Parameters
    ----------
    learners:
        Of `measured_preset`, in training mode. Their running statistics change, their weights do not.
    batch:
        As many slices as `measured_preset` has.
    preset:
        The run's own.
    share:
        As `measured_preset`.
    whole:
        Rows and columns of a slice in validation, where nothing is cut from it.

    Raises
    ------
    GANSegmentationError
        ``out_of_memory`` if the device has not enough for one part.
    """
    part, parts = share // preset.accumulate, learners.preset.accumulate
    many = len(batch["image"]) // parts
    few = min(_FEW, many)
    small = {name: value[: few * parts] for name, value in batch.items()}
    try:
        with _first_call(learners.networks["generator"]) as call:
            _time_step(learners, small)  # the first step also sets things up
        seconds = _line(few, _time_step(learners, small), many, _time_step(learners, batch), part)
        held = _held_mb(learners)
        if learners.processes.device.type == "cuda":
            activations = _gpu_peak_mb(learners, batch) - sum(held.values())
        else:
            activations = _line(few, _saved_mb(learners, small), many, _saved_mb(learners, batch), part)
        validation = _validation_cost(learners, call, whole)
    except torch.cuda.OutOfMemoryError as error:
        raise GANSegmentationError(
            "out_of_memory",
            f"{learners.processes.device} has not enough memory for {part} slices at once.",
            cause="The batch is too large for this network and slice size.",
            action="Raise accumulate, lower batch_size, or use more devices.",
            details=str(error),
        ) from error
    memory = {**held, "activations": max(activations, 0.0)}
    return StepCost(
        seconds * preset.accumulate / parts,
        validation,
        {**memory, "total": sum(memory.values())},
        measured=learners.processes.device.type == "cuda",
    )


@contextmanager
def watched_shapes(networks: Mapping[str, nn.Module]) -> Iterator[dict[str, NetworkShapes]]:
    """The shapes of each network's first call within the context."""
    shapes: dict[str, NetworkShapes] = {}
    with ExitStack() as stack:
        calls = {role: stack.enter_context(_watched_calls(network)) for role, network in networks.items()}
        yield shapes
        shapes.update({role: made[0] for role, made in calls.items() if made})


@contextmanager
def _watched_calls(network: nn.Module) -> Iterator[list[NetworkShapes]]:
    """The shapes of every call of a network within the context."""
    calls: list[NetworkShapes] = []

    def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls.append(NetworkShapes(_shapes(inputs), _shapes(output)))

    handle = network.register_forward_hook(hook)
    try:
        yield calls
    finally:
        handle.remove()


def _shapes(value: Any) -> tuple[tuple[int, ...], ...]:
    """The shapes of all tensors in a value of tuples, lists and dictionaries, without their first dimension."""
    if isinstance(value, Tensor):
        return (tuple(value.shape[1:]),)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return tuple(shape for item in value for shape in _shapes(item))
    return ()


def _line(few: int, low: float, many: int, high: float, wanted: int) -> float:
    """The value at `wanted` on the line through two measurements; through zero where they do not rise."""
    if many <= few or high <= low:
        return high * wanted / many
    slope = (high - low) / (many - few)
    return max(low + slope * (wanted - few), 0.0)


def _time_step(learners: Learners, batch: Batch) -> float:
    """Seconds of a step: every phase's share, where some are due in every n-th step only."""
    rarest = max(phase.every for phase in learners.objective.phases)
    everything = _timed(learners, batch, _full_step(learners))
    if rarest == 1:
        return everything
    common = _timed(learners, batch, 0)
    return common + max(everything - common, 0.0) / rarest


def _full_step(learners: Learners) -> int:
    """The number of a step in which every phase is due."""
    return math.lcm(*(phase.every for phase in learners.objective.phases)) - 1


def _timed(learners: Learners, batch: Batch, number: int) -> float:
    _wait(learners.processes.device)
    started = time.perf_counter()
    learners.step(batch, number, 0.0)  # at a learning rate of 0, so that no measurement depends on the one before
    _wait(learners.processes.device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _first_call(network: nn.Module) -> Iterator[list[Any]]:
    """What a network is first given within the context: positional and named arguments, without their graph."""
    call: list[Any] = []

    def hook(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        if not call:
            call.extend(
                ([_detached(value) for value in inputs], {key: _detached(value) for key, value in named.items()})
            )

    handle = network.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield call
    finally:
        handle.remove()


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _validation_cost(learners: Learners, call: Sequence[Any], whole: tuple[int, int]) -> ValidationCost:
    """What the averaged generator costs on whole slices, given besides what the objective has given the generator."""
    (first, *others), named = call
    network = learners.average.network
    # What the pixels are does not matter; how many there are does.
    images = first.new_zeros((*first.shape[:2], *whole))
    with torch.no_grad(), learners.processes.autocast(), _watched_calls(network) as calls:
        _wait(learners.processes.device)
        started = time.perf_counter()
        if getattr(network, "lost_border", None) is None:
            network(images, *others, **named)
        else:
            whole_scores(network, images, *others)
        _wait(learners.processes.device)
    seconds = (time.perf_counter() - started) / len(images)
    return ValidationCost(seconds, len(calls), calls[0].inputs, calls[0].outputs)


def _held_mb(learners: Learners) -> dict[str, float]:
    """What is held between steps, MB; gradients as after the backward pass of every phase."""
    networks = learners.networks.values()
    states = [
        value
        for optimiser in learners.optimisers.values()
        for state in optimiser.state_dict()["state"].values()
        for value in state.values()
        if isinstance(value, Tensor)
    ]
    return {
        "parameters": _mb(tensor for network in networks for tensor in network.state_dict().values()),
        "gradients": _mb(
            parameter.grad for network in networks for parameter in network.parameters() if parameter.grad is not None
        ),
        "optimiser": _mb(states),
        "average": _mb(learners.average.network.state_dict().values()),
    }


def _mb(tensors: Iterable[Tensor]) -> float:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6


def _gpu_peak_mb(learners: Learners, batch: Batch) -> float:
    device = learners.processes.device
    _wait(device)
    torch.cuda.reset_peak_memory_stats(device)
    learners.step(batch, _full_step(learners), 0.0)
    return float(torch.cuda.max_memory_allocated(device)) / 1e6


def _saved_mb(learners: Learners, batch: Batch) -> float:
    """The most memory that a step's activations need, MB, with the batch itself.

    That is what backward passes keep from forward passes, and, while they go back, the gradients that enter and leave
    the largest layer. Measured on a CPU with four presets and 16 slices, the process grew by 0.95 to 1.14 times that.
    """
    held = [tensor for network in learners.networks.values() for tensor in network.state_dict().values()]
    ledger = _Ledger({tensor.untyped_storage().data_ptr() for tensor in (*held, *batch.values())})
    with torch.autograd.graph.saved_tensors_hooks(ledger.keep, _Kept.tensor_of):
        learners.step(batch, _full_step(learners), 0.0)
    return (ledger.most + 2 * ledger.largest) / 1e6 + _mb(batch.values())


class _Kept:
    """A tensor that a graph keeps; gone when the graph lets go of it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    @staticmethod
    def tensor_of(kept: _Kept) -> Tensor:
        return kept.tensor


class _Ledger:
    """Counts the bytes of the storages that graphs keep, each once; remembers the most there were, and the largest."""

    def __init__(self, known: set[int]) -> None:
        self.known = known
        self.now = self.most = self.largest = 0
        self._holders: dict[int, int] = {}

    def keep(self, tensor: Tensor) -> _Kept:
        kept = _Kept(tensor)
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if place not in self.known:
            if not self._holders.get(place):
                self.now += size
                self.most = max(self.most, self.now)
                self.largest = max(self.largest, size)
            self._holders[place] = self._holders.get(place, 0) + 1
            weakref.finalize(kept, self._let_go, place, size)
        return kept

    def _let_go(self, place: int, size: int) -> None:
        self._holders[place] -= 1
        if not self._holders[place]:
            del self._holders[place]
            self.now -= size
