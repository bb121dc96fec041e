"""What a preset would do, before it does it."""

from __future__ import annotations

import sys
import time
from typing import Any

import torch
from torch.utils.data import default_collate

from ..datasets.augmentation import Augmenter
from ..datasets.dataset import Dataset
from ..datasets.slices import GroupSampler, SliceDataset
from ..networks import count_parameters, entry, scores
from .preflight import check_phases, check_run
from .preset import Preset

_TIMED_SAMPLES = 2


def dry_run(preset: Preset, dataset: Dataset) -> dict[str, Any]:
    """Check preset and data, build the networks, and time one update of a few of its slices on the CPU.

    Returns plain types: ``parameters`` by network, ``shapes`` of image and scores, ``steps``, patients and slices of
    each part, ``seconds_per_step`` and ``hours`` scaled from the timed slices, ``peak_memory_mb`` of this process, and
    ``findings``.

    Raises
    ------
    GANSegmentationError
        As `Trainer` before its first step.
    """
    checked = check_run(preset, dataset)
    used, split, objective = checked.dataset, checked.split, checked.objective
    networks = objective.build_networks()
    check_phases(objective.phases, networks, preset.optimisers)
    name, _ = objective.generator_spec()
    batch = _first_slices(preset, used.subset(split.train))
    started = time.monotonic()
    shared = objective.forward(networks, batch)
    for phase in objective.phases:
        phase.loss(networks, batch, shared)["total"].backward()  # type: ignore[no-untyped-call]
    seconds = (time.monotonic() - started) * preset.batch_size / _TIMED_SAMPLES
    with torch.no_grad():
        shape = tuple(scores(entry(name).output, networks["generator"].eval()(batch["image"])).shape[1:])
    steps = preset.epochs * preset.steps_per_epoch
    return {
        "preset": preset.name,
        "parameters": {role: count_parameters(network) for role, network in networks.items()},
        "shapes": {"image": list(batch["image"].shape[1:]), "scores": list(shape)},
        "steps": steps,
        "train": _amount(used, split.train),
        "validation": _amount(used, split.validation),
        "seconds_per_step": seconds,
        "hours": seconds * steps / 3600,
        "peak_memory_mb": _peak_memory_mb(),
        "findings": [vars(finding) for finding in checked.findings],
    }


def _first_slices(preset: Preset, training: Dataset) -> dict[str, torch.Tensor]:
    """The batch that training would begin with, only shorter."""
    sampler = GroupSampler(training, preset.data.groups, samples=_TIMED_SAMPLES, seed=preset.seed)
    side = preset.slicing.size
    slices = SliceDataset(training, preset.slicing, Augmenter(preset.augmentation, (side, side)))
    batch: dict[str, torch.Tensor] = default_collate([slices[key] for key in sampler])
    return batch


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
