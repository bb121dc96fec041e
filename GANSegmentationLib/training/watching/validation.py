"""How good the generator is on the validation patients, after every epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ...datasets.dataset import Case
from ...datasets.slices import SliceDataset
from ...inference.tiles import whole_scores
from ...networks import entry, scores

_BATCH = 32


@dataclass(frozen=True)
class CaseDice:
    """The Dice of one case over all its stored slices, at the stored resolution, before any post-processing."""

    case: str
    patient: str
    source: str
    dice: float


def raw_scores(
    generator: nn.Module,
    network_name: str,
    slices: SliceDataset,
    case: Case,
    start: int,
    stop: int,
    device: torch.device,
) -> Tensor:
    """The generator's scores ``(n, classes, H, W)`` of the slices ``start:stop`` of a case, in its own domain."""
    found = entry(network_name)
    images = slices.inputs(case, start, stop, device)
    domain = slices.domain_vector(case, stop - start, device) if found.takes_domain else None
    conditions = () if domain is None else (domain,)
    return scores(found.output, whole_scores(generator, images, *conditions))


@torch.no_grad()
def validate(generator: nn.Module, network_name: str, slices: SliceDataset, device: torch.device) -> list[CaseDice]:
    """The Dice of every case of `slices`, in the dataset's order: of the one class, or the mean over the classes.

    One logit is compared with all foreground as one. A class without any foreground in mask and reference says nothing;
    a case with none but such classes scores NaN and is left out of means.
    """
    was_training = generator.training
    generator.eval()
    results = [
        CaseDice(case.id, case.patient, case.source, _case_dice(generator, network_name, slices, case, device))
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
    generator: nn.Module, network_name: str, slices: SliceDataset, case: Case, device: torch.device
) -> float:
    stack, reference = slices.stack(case), slices.reference(case)
    both, sizes = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for start in range(0, case.slices, _BATCH):
        stop = min(start + _BATCH, case.slices)
        raw = raw_scores(generator, network_name, slices, case, start, stop, device)
        found, truth = stack.restore(raw).cpu().numpy(), reference[start:stop]
        if raw.shape[1] == 1:
            truth = (truth > 0).astype(np.uint8)
        both += np.bincount(found[found == truth].ravel(), minlength=256)
        sizes += np.bincount(found.ravel(), minlength=256) + np.bincount(truth.ravel(), minlength=256)
    present = np.flatnonzero(sizes[1:]) + 1
    return float(np.mean(2 * both[present] / sizes[present])) if len(present) else float("nan")
