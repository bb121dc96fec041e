"""From a finished synthesis run to a model package: best weights, their similarity to real slices, a complete card."""

from __future__ import annotations

import datetime
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...datasets.dataset import Dataset
from ...datasets.splits import patient_split
from ...errors import GANSegmentationError
from ...inference import choose_device, load_network
from ...metrics import bootstrap_mean
from ...models import MetricFact, open_package, write_package
from ...objectives import build as build_objective
from ...objectives.domain import Domain
from ..checkpoint import load_checkpoint
from ..data import validation_slices
from ..preset import Preset
from ..starting.preflight import dataset_of, require_same_data
from ..watching.run_log import sample_keys
from ..watching.validation_synthesis import CaseSimilarity, case_similarities, synthesis_picture
from ..watching.validation_translation import CaseTranslation, case_translations, translation_picture
from .card import labels_of, model_card
from .export import fact_of

MEASURES = ("score", "structure", "texture", "mae")
"""What a card says of painted pictures, see `CaseSimilarity`."""

TRANSLATION = ("score", "structure", "likeness")
"""What it says of translations, see `CaseTranslation`."""

_TRANSLATED = "translated into every other domain and back; mean over patients, 95 % bootstrap"


def export_synthesis(
    run: Path,
    preset: Preset,
    dataset: Dataset,
    target: Path,
    *,
    device: str = "auto",
    date: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write the best weights of a synthesis run as a model package with the task ``"synthesis"``, in half precision.

    The package's ``labels.csv`` names the classes of the masks it takes. The card's figures are measured on the
    validation patients with the half-precision weights that are shipped.

    Parameters
    ----------
    run, preset, dataset:
        The run's folder, its preset, and the prepared dataset it was trained on.
    target:
        ``*.ganseg`` for one file, any other name for a folder.
    date:
        ``YYYY-MM-DD``; today where None.

    Raises
    ------
    GANSegmentationError
        ``run_not_found`` without best weights; ``dataset_changed`` if the run has learnt on other data; what writing
        and opening a package raise.
    """
    best = run / "best.ckpt"
    if not best.is_file():
        raise GANSegmentationError(
            "run_not_found",
            f"{run} holds no best weights ({best.name} is missing).",
            cause="The run has not finished its first epoch, or the folder is another one.",
            action="Train first, or give the run's folder.",
        )
    state = load_checkpoint(best, needs=("average", "epoch"))
    weights = {name: _half(tensor.numpy()) for name, tensor in state["average"].items()}
    dataset = dataset_of(preset, dataset)
    split = patient_split(dataset, validation=preset.data.validation_patients)
    require_same_data(run, dataset, split)
    labels = labels_of(preset)
    card = model_card(preset, dataset, split, int(state["epoch"]), date or datetime.date.today().isoformat())
    place = choose_device(device).device
    with tempfile.TemporaryDirectory() as folder:
        trial = write_package(Path(folder) / "trial.ganseg", card, weights, labels, None)
        generator = load_network(open_package(trial), place)
    objective = build_objective(preset.objective.name, preset.objective.config)
    slices = validation_slices(preset, dataset, split)
    if isinstance(objective, Domain):
        facts = similarity_facts(case_translations(generator, objective, slices, place), TRANSLATION, _TRANSLATED)
        preview = translation_picture(generator, objective, slices, sample_keys(slices, 1), place)
    else:
        facts = similarity_facts(case_similarities(generator, objective, slices, place))
        preview = synthesis_picture(generator, objective, slices, sample_keys(slices, 1), place)
    for fact in facts:
        say(f"{fact.dataset}: {fact.name} {fact.mean:.4f} over {fact.n} patients")
    return write_package(target, replace(card, metrics=facts), weights, labels, preview)


def similarity_facts(
    similarities: Sequence[CaseSimilarity | CaseTranslation],
    measures: Sequence[str] = MEASURES,
    comment: str = "painted from the patients' own masks; mean over patients, their slices with a mask, 95 % bootstrap",
) -> tuple[MetricFact, ...]:
    """`measures` as a card holds them: means over the patients of each source with 95 % bootstrap intervals.

    A measure that no patient of a source has is left out.
    """
    facts = []
    for source in sorted({each.source for each in similarities}):
        for name in measures:
            patients: dict[str, list[float]] = {}
            for each in similarities:
                if each.source == source and not math.isnan(getattr(each, name)):
                    patients.setdefault(each.patient, []).append(getattr(each, name))
            if patients:
                interval = bootstrap_mean([float(np.mean(values)) for values in patients.values()])
                facts.append(fact_of(name, source, "validation", interval, comment))
    return tuple(facts)


def _half(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Floating point weights in half precision; counters as they are, and what half precision cannot reach."""
    if array.dtype.kind != "f" or float(np.abs(array).max(initial=0.0)) > float(np.finfo(np.float16).max):
        return array
    return array.astype(np.float16)
