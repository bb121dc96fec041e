"""How good painted pictures are on the validation patients, after every epoch, and what they look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...datasets.slices import SliceDataset, SliceKey
from ...objectives import Objective
from ...objectives.synthesis import Synthesis
from ...reports import image_grid
from .picture_similarity import structure_similarity, texture_similarity
from .score import patient_scores

_BATCH = 16
_NOISE_SEED = 0
_LARGEST_SHOWN = 384


@dataclass(frozen=True)
class CaseSimilarity:
    """How much the pictures painted from a case's masks are like its own slices, means over the slices with a mask.

    ``structure`` and ``texture`` as `picture_similarity` has them; ``mae`` is the mean absolute difference of pixels
    in [0, 2], for the record: it rewards blur.
    """

    case: str
    patient: str
    source: str
    slices: int
    structure: float
    texture: float
    mae: float

    @property
    def score(self) -> float:
        """The mean of structure and texture, at most 1; higher is better."""
        return (self.structure + self.texture) / 2


def validate_synthesis(
    generator: nn.Module,
    objective: Objective,
    slices: SliceDataset,
    device: torch.device,
    *,
    source: str | None = None,
) -> dict[str, float]:
    """The score of every patient (of one source, where one is named); higher is better.

    It is the mean of structure and texture (`CaseSimilarity.score`), averaged over the patient's cases. Patients
    without any mask are left out. Noise is drawn from one seed, so that epochs compare.
    """
    return patient_scores(case_similarities(generator, objective, slices, device), source)


@torch.no_grad()
def case_similarities(
    generator: nn.Module, objective: Objective, slices: SliceDataset, device: torch.device
) -> list[CaseSimilarity]:
    """The similarity of every case that has a mask, in the dataset's order."""
    was_training = generator.training
    generator.eval()
    found = []
    for case in slices.dataset.cases:
        keys = [SliceKey(case.id, position) for position in range(case.slices)] if slices.view.is_labelled(case) else []
        measured = _similarities(generator, _synthesis(objective), slices, keys, device)
        if len(measured):
            structure, texture, mae = (float(value) for value in measured.mean(dim=0))
            found.append(CaseSimilarity(case.id, case.patient, case.source, len(measured), structure, texture, mae))
    generator.train(was_training)
    return found


@torch.no_grad()
def synthesis_picture(
    generator: nn.Module, objective: Objective, slices: SliceDataset, keys: Sequence[SliceKey], device: torch.device
) -> bytes:
    """A PNG with a row a slice: the mask, the picture painted from it, and the real slice.

    Of large slices the middle is shown, pixel by pixel: texture is what there is to see.
    """
    synthesis = _synthesis(objective)
    was_training = generator.training
    generator.eval()
    masks, images = _pairs(slices, keys)
    noise = torch.Generator().manual_seed(_NOISE_SEED)
    painted = generator(synthesis.condition(masks.to(device), noise)).float().cpu()
    generator.train(was_training)
    centre = synthesis.pictures // 2
    shown = (masks / synthesis.config.classes, (painted[:, centre] + 1) / 2, (images[:, centre] + 1) / 2)
    rows = [[_grey(_middle(each)) for each in row] for row in zip(*shown, strict=True)]
    return image_grid(rows, column_titles=("mask", "generated", "real"))


def _similarities(
    generator: nn.Module,
    objective: Synthesis,
    slices: SliceDataset,
    keys: Sequence[SliceKey],
    device: torch.device,
) -> Tensor:
    """Structure, texture and mean absolute difference of each slice with a mask, ``(n, 3)`` on the CPU."""
    noise = torch.Generator().manual_seed(_NOISE_SEED)
    measured = [torch.empty(0, 3)]
    for start in range(0, len(keys), _BATCH):
        masks, images = _pairs(slices, keys[start : start + _BATCH])
        there = masks.flatten(1).any(dim=1)
        if not bool(there.any()):
            continue
        masks, images = masks[there].to(device), images[there, : objective.pictures].to(device)
        painted = generator(objective.condition(masks, noise)).float()
        columns = (
            structure_similarity(painted, images),
            texture_similarity(painted, images),
            (painted - images).abs().mean(dim=(1, 2, 3)),
        )
        measured.append(torch.stack(columns, dim=1).cpu())
    return torch.cat(measured)


def _pairs(slices: SliceDataset, keys: Sequence[SliceKey]) -> tuple[Tensor, Tensor]:
    """Masks ``(n, H, W)`` and images ``(n, C, H, W)`` of slices as they are."""
    items = [slices[key] for key in keys]
    return torch.stack([item["mask"] for item in items]), torch.stack([item["image"] for item in items])


def _synthesis(objective: Objective) -> Synthesis:
    if not isinstance(objective, Synthesis):
        raise TypeError(f"{objective.name} paints no pictures, so there is nothing to compare")
    return objective


def _middle(values: Tensor) -> Tensor:
    """The middle of ``values (H, W)``, at most `_LARGEST_SHOWN` pixels a side."""
    top, left = (max(side - _LARGEST_SHOWN, 0) // 2 for side in values.shape)
    return values[top : top + _LARGEST_SHOWN, left : left + _LARGEST_SHOWN]


def _grey(values: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
