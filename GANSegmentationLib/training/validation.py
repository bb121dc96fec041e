"""How good the generator is on the validation patients, after every epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..datasets.dataset import Case
from ..datasets.slices import SliceDataset
from ..networks import entry, scores
from ..networks.registry import Output

_BATCH = 32


@dataclass(frozen=True)
class CaseDice:
    """The Dice of one case over all its stored slices, at the stored resolution, before any post-processing."""

    case: str
    patient: str
    source: str
    dice: float


@torch.no_grad()
def validate(generator: nn.Module, network_name: str, slices: SliceDataset, device: torch.device) -> list[CaseDice]:
    """The Dice of every case of `slices` (all foreground labels as one), in the dataset's order.

    A case without any foreground in mask and reference scores NaN and is left out of means.
    """
    was_training = generator.training
    generator.eval()
    output_kind = entry(network_name).output
    results = [
        CaseDice(case.id, case.patient, case.source, _case_dice(generator, output_kind, slices, case, device))
        for case in slices.dataset.cases
    ]
    generator.train(was_training)
    return results


def mean_dice(results: list[CaseDice], source: str | None = None) -> float:
    """The mean over patients of one source, or of all; a patient with several cases counts once. NaN without any."""
    patients: dict[str, list[float]] = {}
    for result in results:
        if source in (None, result.source) and not math.isnan(result.dice):
            patients.setdefault(result.patient, []).append(result.dice)
    return float(np.mean([np.mean(values) for values in patients.values()])) if patients else float("nan")


def _case_dice(
    generator: nn.Module, output_kind: Output, slices: SliceDataset, case: Case, device: torch.device
) -> float:
    stack = slices.stack(case)
    masks = slices.dataset.masks(case)
    both = total = 0
    for start in range(0, case.slices, _BATCH):
        stop = min(start + _BATCH, case.slices)
        found = stack.restore(scores(output_kind, generator(stack.batch(start, stop, device)))) > 0
        truth = torch.from_numpy(np.array(masks[start:stop])).to(found.device) > 0
        both += int((found & truth).sum())
        total += int(found.sum()) + int(truth.sum())
    return 2 * both / total if total else float("nan")
