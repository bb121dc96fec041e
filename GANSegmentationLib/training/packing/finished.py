"""What a finished run left that a model package is made of: best weights in half precision, and the card's facts."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ...datasets.dataset import Dataset
from ...datasets.splits import Split, patient_split
from ...errors import GANSegmentationError
from ...models import Card
from ...volumes import Segment
from ..checkpoint import load_checkpoint
from ..preset import Preset
from ..starting.preflight import dataset_of, require_same_data
from ..starting.transfer import started_from
from .card import labels_of, model_card

Weights = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class FinishedRun:
    """What a package is made of.

    Parameters
    ----------
    state:
        The best checkpoint.
    weights:
        Its generator's, in half precision, as they are shipped.
    dataset, split:
        What of the prepared dataset the preset uses, and who of it trained and validated.
    labels, card:
        The package's segments, and its card without figures and checksums.
    """

    state: Mapping[str, Any]
    weights: Weights
    dataset: Dataset
    split: Split
    labels: tuple[Segment, ...]
    card: Card


def finished_run(run: Path, preset: Preset, dataset: Dataset, date: str | None = None) -> FinishedRun:
    """Read a run's folder and see that it belongs to preset and dataset.

    Parameters
    ----------
    date:
        ``YYYY-MM-DD`` for the card; today where None.

    Raises
    ------
    GANSegmentationError
        ``run_not_found`` without best weights; ``dataset_changed`` if the run has learnt on other data.
    """
    state = _best_state(run)
    used = dataset_of(preset, dataset)
    split = patient_split(used, validation=preset.data.validation_patients)
    require_same_data(run, used, split)
    labels = labels_of(preset)
    day = date or datetime.date.today().isoformat()
    card = model_card(preset, used, split, int(state["epoch"]), day, started_from=started_from(run))
    return FinishedRun(state, shipped_weights(state["average"]), used, split, labels, card)


def shipped_weights(tensors: Mapping[str, Tensor]) -> Weights:
    """A state dict as packages hold it: arrays, floating point in half precision."""
    return {name: half(tensor.numpy()) for name, tensor in tensors.items()}


def half(array: npt.NDArray[Any]) -> npt.NDArray[np.generic]:
    """Floating point weights in half precision; counters as they are, and what half precision cannot reach."""
    if array.dtype.kind != "f" or float(np.abs(array).max(initial=0.0)) > float(np.finfo(np.float16).max):
        return array
    return array.astype(np.float16)


def _best_state(run: Path) -> dict[str, Any]:
    best = run / "best.ckpt"
    if not best.is_file():
        raise GANSegmentationError(
            "run_not_found",
            f"{run} holds no best weights ({best.name} is missing).",
            cause="The run has not finished its first epoch, or the folder is another one.",
            action="Train first, or give the run's folder.",
        )
    return load_checkpoint(best, needs=("average", "epoch"))
