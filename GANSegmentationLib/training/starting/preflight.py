"""What must be right before the first step, so that a mistake costs seconds and not the night before the export."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ...datasets.dataset import Dataset
from ...datasets.integrity import Finding, require_sound
from ...datasets.slices import SliceDataset
from ...datasets.splits import Split, patient_split
from ...errors import GANSegmentationError
from ...objectives import Objective, Phase
from ...objectives import build as build_objective
from ..data import training_sampler
from ..packing.card import check_model
from ..preset import OptimiserSettings, Preset
from .classes import check_classes

FACTS = "split.json"
"""The file of a run's folder that says on which data it learnt."""


@dataclass(frozen=True)
class Checked:
    """A preset and a dataset that fit: the cases that are used, their split, the objective, and warnings."""

    dataset: Dataset
    split: Split
    objective: Objective
    findings: list[Finding]


def check_run(preset: Preset, dataset: Dataset) -> Checked:
    """Everything that can be known to be wrong before training.

    Raises
    ------
    GANSegmentationError
        As `patient_split`, `require_sound`, `build_objective`, `GroupSampler`, `check_model`, `check_classes`;
        ``empty_domain`` if a domain has no slice that is drawn; ``no_score`` if no validation patient can decide which
        weights are best; ``mixed_shapes`` if the slices cannot share a batch.
    """
    used = dataset_of(preset, dataset)
    split = patient_split(used, validation=preset.data.validation_patients)
    objective = build_objective(preset.objective.name, preset.objective.config)
    check_model(preset)
    check_classes(preset, objective, used)
    _check_modalities(preset, used)
    _check_score(preset, used, split)
    training = used.subset(split.train)
    _check_domains(preset, training, training_sampler(preset, training).cases)
    # Reading all arrays takes the longest, so it comes after all that a glance at the manifest can tell.
    data = preset.data
    findings = require_sound(
        used,
        split,
        labels=(*(data.labels or ()), *data.input_labels),
        unlabelled_patients=data.unlabelled_patients,
    )
    _check_shapes(preset, training)
    return Checked(used, split, objective, findings)


def dataset_of(preset: Preset, dataset: Dataset) -> Dataset:
    """The cases of a dataset that a preset uses: without its excluded sources and patients, of those it names."""
    data = preset.data
    wanted = None if data.training_patients is None else {*data.training_patients, *data.validation_patients}
    if data.training_patients is not None:
        dataset.of_patients(data.training_patients)  # refuses a name that is not there
    return replace(
        dataset,
        cases=tuple(
            case
            for case in dataset.cases
            if case.source not in data.excluded_sources
            and not {case.patient, *case.derived_from} & set(data.excluded_patients)
            and (wanted is None or wanted.issuperset(case.derived_from or (case.patient,)))
        ),
    )


def run_facts(dataset: Dataset, split: Split) -> dict[str, Any]:
    """On which data a run learns, as its folder keeps it; `dataset` without excluded sources."""
    return {
        "train": list(split.train),
        "validation": list(split.validation),
        "sha256": split.sha256,
        "dataset_fingerprint": dataset.fingerprint,
        "dataset_facts": dataset.facts_sha256,
    }


def require_same_data(run: Path, dataset: Dataset, split: Split) -> None:
    """Refuse another dataset or split than the run in this folder has learnt on.

    A patient who has trained must never validate: going on, or writing a card, with another split would hide it.

    Raises
    ------
    GANSegmentationError
        ``dataset_changed``; ``invalid_run`` if the run's facts cannot be read.
    """
    path = run / FACTS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        # Runs of earlier versions do not have the third.
        before = (facts["sha256"], facts["dataset_fingerprint"], facts.get("dataset_facts", dataset.facts_sha256))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GANSegmentationError(
            "invalid_run",
            f"{path} does not say on which data the run has learnt: {error!r}.",
            cause="The file was removed or edited, or the folder is not a run's.",
            action="Give the folder as `ganseg train` wrote it.",
        ) from error
    now = (split.sha256, dataset.fingerprint, dataset.facts_sha256)
    if before != now:
        what = (
            "other patients on the two sides of the split"
            if before[0] != now[0]
            else "other slices or masks"
            if before[1] != now[1]
            else "other words for them: labels, or slope, intercept, modality, spacing or patient of a case"
        )
        raise GANSegmentationError(
            "dataset_changed",
            f"The run in {run} has learnt on another dataset: {dataset.folder} has {what}.",
            cause="The dataset was prepared again, from other sources or without the list of same patients.",
            action="Give the dataset that the run was started with, or start a new run.",
        )


def _check_modalities(preset: Preset, dataset: Dataset) -> None:
    """Every case has a normalisation and, where there are domains, one of them."""
    for case in {case.modality: case for case in dataset.cases}.values():
        preset.slicing.normalisation.for_modality(case.modality)
        if preset.data.domains:
            preset.data.view.domain(case)


def _check_domains(preset: Preset, training: Dataset, drawn: Collection[str]) -> None:
    """Every domain has slices that are drawn: nothing can be learnt of one that is only named."""
    there = {training.by_id[name].modality for name in drawn}
    missing = [domain for domain in preset.data.domains if domain not in there]
    if missing:
        raise GANSegmentationError(
            "empty_domain",
            f"No training slice that data.groups draws is of the domain {', '.join(missing)}, which data.domains "
            "names.",
            cause="A source is missing from the prepared dataset, or the groups leave it out.",
            action="Prepare the dataset with all sources that the preset names, or change data.groups.",
        )


def _check_score(preset: Preset, dataset: Dataset, split: Split) -> None:
    source = preset.data.score_source
    judges = [dataset.by_id[name] for name in split.validation if source in (None, dataset.by_id[name].source)]
    if not any(any(case.foreground) for case in judges):
        raise GANSegmentationError(
            "no_score",
            f"No validation patient{f' of the source {source}' if source else ''} has any foreground, "
            "so nothing could say which weights are best.",
            cause="The preset's score_source and validation_patients do not belong together, or masks are empty.",
            action="Change data.score_source or data.validation_patients, or prepare the dataset again.",
        )


def _check_shapes(preset: Preset, training: Dataset) -> None:
    """All training slices have one shape once they are sized for the network."""
    if preset.data.crop:
        _check_crop(preset, training)
        return
    slices = SliceDataset(training, preset.slicing)
    shapes: dict[tuple[int, int], str] = {}
    known: set[tuple[Any, ...]] = set()
    for case in training.cases:
        form = (case.shape, case.spacing_zyx and case.spacing_zyx[1:])
        if form not in known:
            known.add(form)
            shapes.setdefault(slices.stack(case).network_shape, case.id)
    if len(shapes) > 1:
        listed = ", ".join(f"{name} {rows} x {columns}" for (rows, columns), name in shapes.items())
        raise GANSegmentationError(
            "mixed_shapes",
            f"The training slices become different shapes for the network: {listed}.",
            cause="Cases of different proportions cannot share a batch.",
            action="Leave out a source with data.excluded_sources, or set slicing.multiple to slicing.size.",
        )


def _check_crop(preset: Preset, training: Dataset) -> None:
    """Every training slice is at least as large as what is cut from it."""
    slices = SliceDataset(training, preset.slicing)
    small = [case.id for case in training.cases if min(slices.stack(case).network_shape) < preset.data.crop]
    if small:
        raise GANSegmentationError(
            "mixed_shapes",
            f"data.crop is {preset.data.crop}, and the slices of {', '.join(small[:5])} are smaller for the network.",
            action="Lower data.crop or raise slicing.size.",
        )


def check_phases(
    phases: tuple[Phase, ...], networks: Mapping[str, nn.Module], optimisers: Mapping[str, OptimiserSettings]
) -> None:
    """Every network is trained by exactly one phase and has an optimiser: none is forgotten, none pulled twice."""
    trained = [role for phase in phases for role in phase.trains]
    if sorted(trained) != sorted(networks) or set(optimisers) != set(networks):
        raise GANSegmentationError(
            "invalid_objective",
            f"Networks {sorted(networks)}, trained by the phases {sorted(trained)}, optimisers {sorted(optimisers)}: "
            "these must be the same.",
            cause="The preset names optimisers for networks that its objective does not have, or forgets one.",
            action="Give one optimiser for each network of the objective.",
        )
