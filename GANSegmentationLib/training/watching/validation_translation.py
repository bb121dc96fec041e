"""How good translations between domains are on the validation patients, and what they look like.

Nobody has the same slice in two domains, so no translation can be held against the right one. Two things can be: a
translation must look like slices of its target, and it must have kept what it was made from, which shows when it is
translated back. The one alone would be passed by a copy of any slice of the target, the other by the slice itself:
both score about a half.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.dataset import Case
from ...datasets.slices import SliceDataset, SliceKey
from ...objectives.domain import Domain
from ...reports import image_grid
from .picture_similarity import structure_similarity, texture_similarity

_BATCH = 16
_NO_WAY = 0.01
"""Textures of two domains that differ by less are not told apart."""


@dataclass(frozen=True)
class CaseTranslation:
    """How well a case's slices are translated into every other domain, means over slices and domains.

    Parameters
    ----------
    structure:
        Likeness of what is translated back to the slice it came from, `structure_similarity`.
    likeness:
        What translation does for the `texture_similarity` to slices at the same height of patients of the target:
        0 where it is no more than that of the slice itself, 1 where it is that of these patients to each other; at most
        1, at least -1. NaN where no validation patient is of another domain, or none differs.
    """

    case: str
    patient: str
    source: str
    slices: int
    structure: float
    likeness: float

    @property
    def score(self) -> float:
        """The mean of structure and likeness, at most 1; higher is better. Structure alone where there is no
        likeness."""
        return self.structure if math.isnan(self.likeness) else (self.structure + self.likeness) / 2


@torch.no_grad()
def case_translations(
    generator: nn.Module, objective: Domain, slices: SliceDataset, device: torch.device
) -> list[CaseTranslation]:
    """The translations of every case, in the dataset's order."""
    was_training = generator.training
    generator.eval()
    found = []
    for case in slices.dataset.cases:
        own = slices.view.domain(case)
        targets = [target for target in range(objective.domains) if target != own]
        measured = [_measured(generator, objective, slices, case, target, device).mean(dim=0) for target in targets]
        structure = float(torch.stack(measured)[:, 0].mean())
        likeness = [gain for _, *textures in measured if (gain := _likeness(*map(float, textures))) is not None]
        mean = statistics.fmean(likeness) if likeness else math.nan
        found.append(CaseTranslation(case.id, case.patient, case.source, case.slices, structure, mean))
    generator.train(was_training)
    return found


def _likeness(painted: float, untouched: float, real: float) -> float | None:
    """How far the painted slices' texture has come from that of the untouched ones to that of real ones."""
    way = real - untouched
    return None if math.isnan(way) or way <= _NO_WAY else max(-1.0, min(1.0, (painted - untouched) / way))


@torch.no_grad()
def translation_picture(
    generator: nn.Module, objective: Domain, slices: SliceDataset, keys: Sequence[SliceKey], device: torch.device
) -> bytes:
    """A PNG with a row a slice: as it is, in every domain, and back from the first other one."""
    was_training = generator.training
    generator.eval()
    rows = []
    for key in keys:
        case = slices.dataset.by_id[key.case]
        image = slices.inputs(case, key.position, key.position + 1, device)
        own = slices.view.domain(case)
        painted = [_translated(generator, objective, image, own, target) for target in range(objective.domains)]
        other = next(target for target in range(objective.domains) if target != own)
        back = _translated(generator, objective, painted[other], other, own)
        rows.append([_grey(each[0, each.shape[1] // 2]) for each in (image, *painted, back)])
    generator.train(was_training)
    return image_grid(rows, column_titles=("scan", *(f"as {name}" for name in slices.view.domains), "back"))


def _measured(
    generator: nn.Module, objective: Domain, slices: SliceDataset, case: Case, target: int, device: torch.device
) -> Tensor:
    """Of every slice of a case in a domain ``(n, 4)`` on the CPU: the structure, and the textures of its translation,
    of itself and of a real slice of the target, each compared with a real slice of the target; NaN without any."""
    own = slices.view.domain(case)
    others = [each for each in slices.dataset.cases if slices.view.domain(each) == target]
    parts = []
    for start in range(0, case.slices, _BATCH):
        stop = min(start + _BATCH, case.slices)
        image = slices.inputs(case, start, stop, device)
        painted = _translated(generator, objective, image, own, target)
        structure = structure_similarity(_translated(generator, objective, painted, target, own), image)
        textures = torch.full((len(image), 3), torch.nan, device=image.device)
        for row, position in enumerate(range(start, stop) if others else ()):
            real, another = (_counterpart(slices, others, case, position, turn, device) for turn in (0, 1))
            compared = (painted[row : row + 1], image[row : row + 1], another)
            textures[row] = torch.cat([texture_similarity(each, real) for each in compared])
        parts.append(torch.cat((structure[:, None], textures), dim=1).cpu())
    return torch.cat(parts)


def _counterpart(
    slices: SliceDataset, others: Sequence[Case], case: Case, position: int, turn: int, device: torch.device
) -> Tensor:
    """The slice at the same height of a patient of the target, the next patient for every next slice and turn.

    Of a patient who is alone, the next turn is the next slice.
    """
    other = others[(position + turn) % len(others)]
    at = int((position + 0.5) / case.slices * other.slices)
    if turn and len(others) == 1:
        at = at + 1 if at + 1 < other.slices else max(at - 1, 0)
    return slices.inputs(other, at, at + 1, device)


def _translated(generator: nn.Module, objective: Domain, image: Tensor, own: int, target: int) -> Tensor:
    """Slices ``(n, C, H, W)`` of one domain in another, float32."""
    vectors = [
        F.one_hot(torch.full((len(image),), index, device=image.device), objective.domains).float()
        for index in (own, target)
    ]
    return objective.translate(generator, image, vectors[0], vectors[1])[1].float()


def _grey(values: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    grey: np.ndarray[Any, np.dtype[np.uint8]] = (
        ((values + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    )
    return grey
