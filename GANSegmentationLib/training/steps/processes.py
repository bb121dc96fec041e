"""The processes of a run: who computes where, and how several of them come to one gradient.

Lightning Fabric starts them (or joins those that torchrun or SLURM has started) and connects them. The networks stay
plain modules: a wrapper that averages gradients during the backward pass would see each of a GAN's several backward
passes, and penalties that differentiate twice do not work through it. Gradients are averaged here, after it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from torch import Tensor, nn

from ...errors import GANSegmentationError
from ...inference import choose_device
from ..preset import PRECISIONS

T = TypeVar("T")


class Processes:
    """This process among those of its run; alone, agreeing and averaging change nothing.

    Parameters
    ----------
    device:
        The kind of device, and which one where it has an index (for one process).
    devices:
        Processes to start on this machine, one a device. Where torchrun or SLURM has started this process, their number
        counts, and `devices` is 1 or the same.

    Raises
    ------
    GANSegmentationError
        ``invalid_devices`` if the numbers contradict one another or the machine.
    """

    def __init__(self, device: torch.device, devices: int = 1) -> None:
        local, nodes = _layout(devices)
        _check(device, local)
        with _quiet():
            self._fabric = Fabric(
                accelerator=device.type,
                # The device that has computed something, which need not be the first that Fabric would find.
                devices=local if device.index is None else [device.index],
                num_nodes=nodes,
            )
            self._fabric.launch()
        self.device = self._fabric.device
        self.rank = self._fabric.global_rank
        self.count = self._fabric.world_size
        self._precision = Precision()

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    @property
    def synchronises(self) -> bool:
        """Whether batch normalisation sees the samples of all processes, where there are several."""
        return self.count > 1 and self.device.type == "cuda"

    def use_precision(self, word: str) -> None:
        """What `autocast` does from now on: ``"32-true"`` or ``"bf16-mixed"``."""
        mixed = word == "bf16-mixed"
        self._precision = MixedPrecision("bf16-mixed", self.device.type) if mixed else Precision()

    def autocast(self) -> AbstractContextManager[None]:
        """The context of forward passes and losses.

        One context for each: autocast keeps the low-precision copies of weights until it is left, so weights that are
        updated inside of it would be met as they were before.
        """
        context: AbstractContextManager[None] = self._precision.forward_context()
        return context

    def prepare(self, network: nn.Module) -> nn.Module:
        """A network on this process' device, in the memory format that convolutions like, and one with the others'.

        On GPUs batch normalisation is synchronised between processes; on CPUs torch cannot, and it sees one process'
        samples.
        """
        if self.synchronises:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.register_forward_hook(_with_tidy_gradient)
        return network

    def agree(self, value: T) -> T:
        """What the first process holds."""
        return self._fabric.broadcast(value)

    def gather(self, value: T) -> list[T]:
        """What every process holds, in order, known to all of them."""
        if self.count == 1:
            return [value]
        values: list[T] = [value] * self.count
        torch.distributed.all_gather_object(values, value)
        return values

    def barrier(self) -> None:
        """Wait for the others."""
        self._fabric.barrier()

    def average(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the processes, in place."""
        if self.count > 1:
            torch.distributed.all_reduce(values)
            values /= self.count
        return values

    def average_gradients(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Replace every gradient by its mean over the processes; returns the loss's mean.

        One message carries all gradients, the loss, and which gradients there are: a parameter that no process' loss
        has met keeps none, as in a single process. A loss or gradient that is not finite in one process is so in all of
        them afterwards, so all skip the same steps.
        """
        if self.count == 1:
            return loss
        there = [float(parameter.grad is not None) for parameter in parameters]
        parts = [
            torch.zeros(parameter.numel(), device=self.device)
            if parameter.grad is None
            else parameter.grad.reshape(-1).float()
            for parameter in parameters
        ]
        flags = torch.tensor(there, device=self.device)
        message = self.average(torch.cat([*parts, flags, loss.detach().float().reshape(1)]))
        *gradients, known, mean = torch.split(message, [*(part.numel() for part in parts), len(parts), 1])
        for parameter, gradient, share in zip(parameters, gradients, known.tolist(), strict=True):
            if share == 0:
                continue
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
            # Into a tensor of the parameter's own memory format: fused optimisers walk through both side by side.
            parameter.grad.copy_(gradient.view(parameter.shape))
        return mean[0]


def has_batch_norm(network: nn.Module) -> bool:
    """Whether a network's output for one sample depends on the other samples of its batch while it learns."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    return any(isinstance(module, kinds) for module in network.modules())


def choose_precision(word: str, device: torch.device) -> str:
    """Lightning's precision word; "auto" is bfloat16 where the device is faster with it.

    Float16 is not offered: its loss scaler is a state that bfloat16 does not need.

    Raises
    ------
    GANSegmentationError
        ``invalid_preset`` for a word that is none of `PRECISIONS`.
    """
    if word not in PRECISIONS:
        raise GANSegmentationError(
            "invalid_preset",
            f"There is no precision '{word}'.",
            action=f"Choose one of {', '.join(PRECISIONS)}.",
        )
    if word != "auto":
        return word
    return "bf16-mixed" if choose_device(device.type).half is torch.bfloat16 else "32-true"


def kept_precision(began: Sequence[str] | None, asked: str | None, preset: str, device: torch.device) -> str | None:
    """The precision that a run goes on with: the one it began with.

    What "auto" came to is kept, too: measured anew, it might come out otherwise on a busy machine. On another kind of
    device it is.

    Parameters
    ----------
    began:
        As the checkpoint has it: the kind of device, the word, and the word that was asked for (the first checkpoints
        lack it; it is the preset's then). None where it has nothing.
    asked:
        What is asked for now beside the preset, if anything.
    preset:
        The preset's word.

    Returns
    -------
    str | None
        None if it is to be chosen anew.

    Raises
    ------
    GANSegmentationError
        ``precision_changed`` if another one is asked for.
    """
    if not began:
        return None
    kind, word, *first = began
    if (first[0] if first else preset) == "auto" and kind != device.type:
        return None
    if asked not in (None, "auto", word):
        raise GANSegmentationError(
            "precision_changed",
            f"The run was computed in {word} so far, and {asked} is asked for.",
            cause="A run keeps the precision that it began with.",
            action=f"Leave the precision out or give {word}, or start a new folder.",
        )
    return word


def _with_tidy_gradient(module: nn.Module, arguments: tuple[object, ...], output: Tensor) -> None:
    """Let the gradient of batch normalisation's output come back in the memory format of the networks.

    Where a decoder stacks it with a skip connection the gradient comes back as a slice of a larger tensor. torch's
    backward pass of batch normalisation then goes through memory in large steps on a CPU, up to a hundred times slower.
    """
    if output.requires_grad:
        output.register_hook(_channels_last)  # type: ignore[no-untyped-call]


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)


def _layout(devices: int) -> tuple[int, int]:
    """Processes on each machine, and machines: as torchrun or SLURM has started them, else as asked for."""
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        who, total, local = "torchrun", int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    elif SLURMEnvironment.detect():
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        who, total = "SLURM", int(os.environ["SLURM_NTASKS"])
        local = total // nodes
    else:
        return devices, 1
    if devices not in (1, local):
        raise GANSegmentationError(
            "invalid_devices",
            f"{who} has started {local} processes on this machine, and {devices} devices are asked for.",
            action="Leave the number of devices out, or start as many processes.",
        )
    return local, total // local


def _check(device: torch.device, local: int) -> None:
    there = torch.cuda.device_count() if device.type == "cuda" else (1 if device.type == "mps" else local)
    if local < 1 or local > there or (local > 1 and device.index is not None):
        raise GANSegmentationError(
            "invalid_devices",
            f"{local} devices are asked for, and {there if device.index is None else 1} of the kind {device} can be "
            "used.",
            cause="The machine has fewer, or one of them is named.",
            action="Ask for fewer devices, and name their kind without a number.",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's remarks, which the run says itself, off a person's terminal."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
