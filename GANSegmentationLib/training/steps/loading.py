"""How slices reach the training step: the same order for any number of processes, and how long a step waits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from ...datasets.dataset import Dataset
from ...datasets.slices import GroupSampler, SampleGroup, SliceDataset, SliceKey
from ...errors import GANSegmentationError
from ..preset import Preset

_READY_BATCHES = 8
"""Batches that a loading process keeps ready."""


class StepBatches(Sampler[list[SliceKey]]):
    """This process' share of the slices of every step.

    The order is the run's and not the process': a step takes the next `batch_size` slices of it, and the process number
    `rank` of `count` its part of them. So any number of processes learns from the same slices in the same steps.

    Raises
    ------
    GANSegmentationError
        ``invalid_preset`` if the batch cannot be divided evenly.
    """

    def __init__(
        self, order: GroupSampler, batch_size: int, *, rank: int = 0, count: int = 1, accumulate: int = 1
    ) -> None:
        if batch_size % (count * accumulate):
            raise GANSegmentationError(
                "invalid_preset",
                f"batch_size is {batch_size}, and {count} processes of {accumulate} parts each cannot share it evenly.",
                action=f"Set batch_size to a multiple of {count * accumulate}, or use fewer devices or parts.",
            )
        self.order = order
        self.batch_size = batch_size
        share = batch_size // count
        self._mine = slice(rank * share, (rank + 1) * share)

    def __len__(self) -> int:
        return len(self.order) // self.batch_size

    def __iter__(self) -> Iterator[list[SliceKey]]:
        step: list[SliceKey] = []
        for key in self.order:
            step.append(key)
            if len(step) == self.batch_size:
                yield step[self._mine]
                step = []


def check_parts(preset: Preset, training: Dataset, processes: int) -> None:
    """Refuse a batch in parts, by accumulation or over processes, whose slices have a mask only now and then.

    A loss over the labelled slices is a mean, and so is that of the parts: one without labelled slices would count as a
    loss of 0, and a mask that shares its part with others less than one that has a part for itself. What is learnt
    would depend on the number of parts.

    Raises
    ------
    GANSegmentationError
        ``uneven_parts``.
    """
    parts = processes * preset.accumulate
    if parts == 1:
        return
    drawn = {"the main stream": preset.data.groups}
    drawn |= {f"the stream {name}": groups for name, groups in preset.data.streams.items()}
    for stream, groups in drawn.items():
        if len(_labelled_or_not(preset, training, groups)) > 1:
            raise GANSegmentationError(
                "uneven_parts",
                f"A batch of {preset.batch_size} slices is computed in {parts} parts, and {stream} draws slices with "
                "and without a mask.",
                cause="A part may then hold no mask, and the loss that needs one would weigh less the more parts "
                "there are.",
                action="Use one device with accumulate = 1 (a smaller batch_size needs less memory), or draw from "
                "either kind of patients alone (labelled in the preset's groups).",
            )


def _labelled_or_not(preset: Preset, training: Dataset, groups: Sequence[SampleGroup]) -> set[bool]:
    """Whether the slices that these groups draw have a mask: both, where some have."""
    view = preset.data.view
    known: set[bool] = set()
    for group in groups:
        for case in training.cases:
            labelled = view.is_labelled(case)
            ours = case.source == group.source if group.source is not None else not case.derived_from
            if ours and group.labelled in (None, labelled) and (labelled or group.foreground is None):
                known.add(labelled)
    return known


def make_loader(slices: SliceDataset, batches: StepBatches, *, workers: int, device: torch.device) -> DataLoader[Any]:
    """The batches of an epoch, loaded by `workers` processes; 0 loads in this one."""
    return DataLoader(
        slices,
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=_READY_BATCHES if workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=_one_thread,
        # Of its own: the seeds that it draws for workers must not move the generator of dropout and noise, or a
        # resumed run, which starts its workers anew, would go another way.
        generator=torch.Generator(),
    )


class Feed:
    """Walks through an epoch's batches on the device and adds up how long it waited for them.

    With loading processes the waiting is what they could not hide; without, it is all of the loading.
    """

    def __init__(self, loader: DataLoader[Any], device: torch.device) -> None:
        self._loader = loader
        self._device = device
        self.waited = 0.0

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        batches = iter(self._loader)
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - started
            if batch is None:
                return
            yield {name: self._moved(value) for name, value in batch.items()}

    def _moved(self, value: Tensor) -> Tensor:
        value = value.to(self._device, non_blocking=True)
        return value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value


def _one_thread(worker: int) -> None:
    # Each loading process does one slice at a time; more threads would only fight for the same cores.
    torch.set_num_threads(1)
