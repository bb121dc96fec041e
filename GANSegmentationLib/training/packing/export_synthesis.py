"""From a finished synthesis run to a model package: best weights, their similarity to real slices, a complete card."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from ...datasets.dataset import Dataset
from ...inference import choose_device, load_network
from ...metrics import bootstrap_mean
from ...models import MetricFact, open_package, write_package
from ...objectives import build as build_objective
from ...objectives.domain import Domain
from ..data import validation_slices
from ..preset import Preset
from ..watching.run_log import sample_keys
from ..watching.score import SIMILARITY, TRANSLATION, Score
from ..watching.validation_synthesis import CaseSimilarity, case_similarities, synthesis_picture
from ..watching.validation_translation import CaseTranslation, case_translations, translation_picture
from .export import fact_of
from .finished import finished_run


@dataclass(frozen=True)
class _Measured:
    """What a card says of pictures: their score and how it follows, the further measures, and what was measured."""

    score: Score
    follows: str
    further: tuple[str, ...]
    comment: str


PAINTED: Final = _Measured(
    SIMILARITY,
    "the mean of structure and texture",
    ("structure", "texture", "mae"),
    "painted from the patients' own masks; mean over patients, their slices with a mask, 95 % bootstrap",
)
"""See `CaseSimilarity`."""

TRANSLATED: Final = _Measured(
    TRANSLATION,
    "the mean of structure and likeness",
    ("structure", "likeness"),
    "translated into every other domain and back; mean over patients, 95 % bootstrap",
)
"""See `CaseTranslation`."""


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

    The package's ``labels.csv`` names the classes of the masks it takes; a model that translates between domains takes
    none, and its table is that of its data. The card's figures are measured on the
    validation patients with the half-precision weights that are shipped.

    Parameters
    ----------
    run, preset, dataset:
        The run's folder, its preset, and the prepared dataset it was trained on.
    target:
        ``*.ganseg`` for one file, any other name for a folder.
    device:
        As `choose_device`.
    date:
        ``YYYY-MM-DD``; today where None.

    Raises
    ------
    GANSegmentationError
        ``run_not_found`` without best weights; ``dataset_changed`` if the run has learnt on other data; what writing
        and opening a package raise.
    """
    found = finished_run(run, preset, dataset, date)
    place = choose_device(device).device
    with tempfile.TemporaryDirectory() as folder:
        trial = write_package(Path(folder) / "trial.ganseg", found.card, found.weights, found.labels, None)
        generator = load_network(open_package(trial), place)
    objective = build_objective(preset.objective.name, preset.objective.config)
    slices = validation_slices(preset, found.dataset, found.split)
    if isinstance(objective, Domain):
        facts = similarity_facts(case_translations(generator, objective, slices, place), TRANSLATED)
        preview = translation_picture(generator, objective, slices, sample_keys(slices, 1), place)
    else:
        facts = similarity_facts(case_similarities(generator, objective, slices, place), PAINTED)
        preview = synthesis_picture(generator, objective, slices, sample_keys(slices, 1), place)
    for fact in facts:
        say(f"{fact.dataset}: {fact.name} {fact.mean:.4f} over {fact.n} patients")
    return write_package(target, replace(found.card, metrics=facts), found.weights, found.labels, preview)


def similarity_facts(
    similarities: Sequence[CaseSimilarity | CaseTranslation], measured: _Measured
) -> tuple[MetricFact, ...]:
    """The score, by its name, and the further measures as a card holds them: means over the patients of each source
    with 95 % bootstrap intervals.

    A measure that no patient of a source has is left out.
    """
    comments = {"score": f"{measured.follows}; {measured.comment}", **dict.fromkeys(measured.further, measured.comment)}
    facts = []
    for source in sorted({each.source for each in similarities}):
        for name, comment in comments.items():
            patients: dict[str, list[float]] = {}
            for each in similarities:
                if each.source == source and not math.isnan(getattr(each, name)):
                    patients.setdefault(each.patient, []).append(getattr(each, name))
            if patients:
                interval = bootstrap_mean([float(np.mean(values)) for values in patients.values()])
                called = measured.score.name if name == "score" else name
                facts.append(fact_of(called, source, "validation", interval, comment))
    return tuple(facts)
