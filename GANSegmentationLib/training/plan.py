"""What a preset would do, before it does it: what learns when, on what, in how much time and memory."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from ..datasets.dataset import Dataset
from ..datasets.integrity import Finding, condensed
from ..inference import choose_device
from ..models import Package
from ..models.find import find_package
from ..networks import count_parameters, entry
from ..objectives import Objective, Phase
from ..objectives.base import Batch
from .checkpoint import seed_everything
from .data import training_slices, validation_slices
from .options import RunOptions
from .preset import Preset
from .starting.known_patients import check_start
from .starting.preflight import Checked, check_run
from .starting.transfer import TransferReport, frozen_prefixes, held_parameters, load_start, lr_factor
from .steps.learners import Learners
from .steps.loading import Feed, StepBatches, check_parts, make_loader
from .steps.processes import Processes, choose_precision
from .steps.step_cost import NetworkShapes, StepCost, measure_step, measured_preset, watched_shapes


def dry_run(preset: Preset, dataset: Dataset, options: RunOptions | None = None) -> dict[str, Any]:
    """Check preset and data, build the networks, and run a few steps of a few slices to see what training would take.

    Returns plain types:

    ``preset, device, precision``
        What would run where.
    ``networks``
        For each role ``parameters`` and the shapes of its ``inputs`` and ``outputs`` in training, without the batch.
    ``shapes``
        ``slice``, what training draws, without the batch; ``whole``, rows and columns of a slice in validation (of its
        first case); ``tiles``, the pieces that validation scores it in, and the shapes ``tile`` and ``scores`` of each.
    ``phases``
        Of the objective: ``name, trains, every, clip``.
    ``stages``
        Epochs (from 1, both included) with ``frozen`` parts of the generator, how many of its parameters ``learn``, and
        the ``lr_factor`` of the stage.
    ``start``
        Sentences on the package that training starts from; empty where it starts anew.
    ``steps, batch``
        Steps in all; ``size, processes, parts`` and ``at_once``, the slices that one process computes together.
    ``train, validation``
        ``patients`` and ``slices``.
    ``seconds_per_step, loading_seconds_per_step, validation_seconds, hours``
        Of computing, of loading in one process, of an epoch's validation, and of the whole run with
        `RunOptions.workers`; measured on few slices.
    ``memory``
        See `StepCost`, with ``measured``; ``process_mb`` is the most that this process has held on the CPU side.
    ``findings``
        Of the data and the package, as dictionaries; what many cases share is said once.

    Raises
    ------
    GANSegmentationError
        As `Trainer` before its first step; ``out_of_memory``.
    """
    options = options or RunOptions()
    checked = check_run(preset, dataset)
    if checked.objective.uses_masks:
        check_parts(preset, checked.dataset.subset(checked.split.train), options.devices)
    device = choose_device(options.accelerator).device
    processes = Processes(device)
    precision = choose_precision(options.precision or preset.precision, processes.device)
    processes.use_precision(precision)
    share = _share(preset, checked, options)
    start, findings = _start(preset, dataset, checked)
    seed_everything(preset.seed)
    few = measured_preset(preset, processes.device, share=share)
    learners = Learners(few, checked.objective, processes, start=start)
    learners.train(frozen_prefixes(preset.transfer, entry(checked.objective.generator_spec()[0]), 0))
    batch, loading = _batch(few, checked, processes.device)
    # As late in the run as can be: a term that is ramped in costs nothing before.
    steps = preset.epochs * preset.steps_per_epoch
    checked.objective.set_progress(steps - 1, steps)
    with watched_shapes(learners.networks) as shapes:
        cost = measure_step(learners, batch, preset, share=share, whole=_whole_slice(preset, checked))
    if learners.skipped_in_all:
        findings = [
            *findings,
            Finding("warning", preset.name, "its loss or gradient is not finite on its first slices"),
        ]
    validation = _amount(checked.dataset, checked.split.validation)
    return {
        "preset": preset.name,
        "device": str(processes.device),
        "precision": precision,
        "networks": {
            role: {"parameters": count_parameters(network), **asdict(shapes.get(role, NetworkShapes()))}
            for role, network in learners.networks.items()
        },
        "shapes": {
            "slice": tuple(batch["image"].shape[1:]),
            "whole": _whole_slice(preset, checked),
            "tiles": cost.validation.tiles,
            "tile": cost.validation.inputs[0],
            "scores": cost.validation.outputs[0],
        },
        "phases": [_phase(phase) for phase in checked.objective.phases],
        "stages": _stages(preset, checked.objective, learners.networks["generator"]),
        "start": start.report.lines() if start.report is not None else [],
        "steps": steps,
        "batch": {
            "size": preset.batch_size,
            "processes": options.devices,
            "parts": preset.accumulate,
            "at_once": share // preset.accumulate,
        },
        "train": _amount(checked.dataset, checked.split.train),
        "validation": validation,
        **_times(preset, cost, loading * share, validation["slices"], options.workers),
        "memory": {**cost.memory_mb, "measured": cost.measured, "process_mb": _peak_memory_mb()},
        "findings": [asdict(finding) for finding in condensed([*checked.findings, *findings])],
    }


def _share(preset: Preset, checked: Checked, options: RunOptions) -> int:
    """Slices of a step in one process; refuses a number of processes that cannot share the batch."""
    order = training_slices(preset, checked.dataset, checked.split)[1]
    StepBatches(order, preset.batch_size, count=options.devices, accumulate=preset.accumulate)
    return preset.batch_size // options.devices


@dataclass
class _Start:
    """Gives the new generator the weights of a package, if the run starts from one, and keeps the report."""

    preset: Preset
    objective: Objective
    package: Package | None = None
    report: TransferReport | None = None

    def __call__(self, generator: nn.Module) -> None:
        if self.package is not None and self.preset.transfer is not None:
            spec = self.objective.generator_spec()
            self.report = load_start(generator, *spec, self.preset.transfer, self.package)


def _start(preset: Preset, dataset: Dataset, checked: Checked) -> tuple[_Start, list[Finding]]:
    if preset.transfer is None:
        return _Start(preset, checked.objective), []
    package = find_package(preset.transfer.package)
    return _Start(preset, checked.objective, package), check_start(package, preset, dataset, checked.split)


def _batch(few: Preset, checked: Checked, device: torch.device) -> tuple[Batch, float]:
    """The batch that training would begin with, only smaller, and the seconds that loading a slice of it took."""
    slices, order = training_slices(few, checked.dataset, checked.split, samples=few.batch_size)
    loader = make_loader(slices, StepBatches(order, few.batch_size), workers=0, device=device)
    next(iter(loader))  # opens the cases; what a run does once is not what a step costs
    feed = Feed(loader, device)
    batch = next(iter(feed))
    return batch, feed.waited / few.batch_size


def _whole_slice(preset: Preset, checked: Checked) -> tuple[int, int]:
    """Rows and columns of a slice of the first validation case, as the network's grid has them."""
    slices = validation_slices(preset, checked.dataset, checked.split)
    return slices.stack(slices.dataset.cases[0]).network_shape


def _phase(phase: Phase) -> dict[str, Any]:
    clip = None if phase.clip is None else asdict(phase.clip)
    return {"name": phase.name, "trains": list(phase.trains), "every": phase.every, "clip": clip}


def _stages(preset: Preset, objective: Objective, generator: nn.Module) -> list[dict[str, Any]]:
    """Runs of epochs in which the same parts of the generator learn equally fast."""
    described = entry(objective.generator_spec()[0])
    everything = count_parameters(generator)
    stages: list[dict[str, Any]] = []
    for epoch in range(preset.epochs):
        frozen, factor = frozen_prefixes(preset.transfer, described, epoch), lr_factor(preset.transfer, epoch)
        if stages and (stages[-1]["frozen"], stages[-1]["lr_factor"]) == (list(frozen), factor):
            stages[-1]["epochs"][1] = epoch + 1
            continue
        held = sum(parameter.numel() for parameter in held_parameters(generator, frozen))
        stages.append(
            {"epochs": [epoch + 1, epoch + 1], "frozen": list(frozen), "learn": everything - held, "lr_factor": factor}
        )
    return stages


def _times(preset: Preset, cost: StepCost, loading: float, judged: int, workers: int) -> dict[str, float]:
    """Seconds and hours; `loading` is of a step's slices in one process, `judged` the slices of validation."""
    # Loading processes work while the device computes; without them each waits for the other.
    step = max(cost.seconds, loading / workers) if workers else cost.seconds + loading
    validation = judged * cost.validation.seconds_per_slice
    return {
        "seconds_per_step": cost.seconds,
        "loading_seconds_per_step": loading,
        "validation_seconds": validation,
        "hours": preset.epochs * (preset.steps_per_epoch * step + validation) / 3600,
    }


def _amount(dataset: Dataset, cases: tuple[str, ...]) -> dict[str, int]:
    chosen = [dataset.by_id[case] for case in cases]
    return {"patients": len({case.patient for case in chosen}), "slices": sum(case.slices for case in chosen)}


def _peak_memory_mb() -> float:
    """The most memory this process has held so far, MB; NaN where the system does not say (Windows)."""
    if sys.platform == "win32":
        return float("nan")
    import resource

    # Linux counts kilobytes, macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
