"""How good the generator is after an epoch, in a number and a picture, whatever its objective makes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from ...datasets.slices import SliceDataset, SliceKey
from ...objectives import Objective
from ...objectives.domain import Domain
from .run_log import sample_picture
from .score import patient_scores
from .validation import mean_dice, validate


@dataclass(frozen=True)
class Verdict:
    """What validation came to.

    Parameters
    ----------
    score:
        Higher is better; it decides which weights are best. `score_of` says which score it is.
    columns:
        Further figures for the log by name.
    picture:
        A PNG of validation slices.
    """

    score: float
    columns: dict[str, float] = field(default_factory=dict)
    picture: bytes = b""


def judge(
    objective: Objective,
    generator: nn.Module,
    slices: SliceDataset,
    samples: Sequence[SliceKey],
    device: torch.device,
    *,
    source: str | None = None,
) -> Verdict:
    """Judge a generator on the validation slices, by the mean over the patients of `source` (None: of all).

    A segmentation is judged by its Dice; ``dice_<source>`` are further columns where there are several sources, and
    ``missed_cases`` is the share of cases with foreground of which nothing was found. A synthesis is judged by
    `validate_synthesis`, a translation without segmentation by `case_translations`.
    """
    if isinstance(objective, Domain) and not objective.segments:
        from .validation_translation import case_translations, translation_picture

        scores = patient_scores(case_translations(generator, objective, slices, device), source)
        picture = translation_picture(generator, objective, slices, samples, device)
        return Verdict(statistics.fmean(scores.values()) if scores else math.nan, picture=picture)
    if objective.task == "synthesis":
        from .validation_synthesis import synthesis_picture, validate_synthesis

        scores = validate_synthesis(generator, objective, slices, device, source=source)
        picture = synthesis_picture(generator, objective, slices, samples, device)
        return Verdict(statistics.fmean(scores.values()) if scores else math.nan, picture=picture)
    name, _ = objective.generator_spec()
    results = validate(generator, name, slices, device)
    picture = sample_picture(generator, name, slices, samples, device)
    sources = sorted({result.source for result in results})
    columns = {f"dice_{each}": mean_dice(results, each) for each in sources} if len(sources) > 1 else {}
    known = [result.dice for result in results if not math.isnan(result.dice)]
    columns["missed_cases"] = sum(dice == 0 for dice in known) / len(known) if known else math.nan
    return Verdict(mean_dice(results, source), columns, picture)
