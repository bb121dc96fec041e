"""Masks completed by a model: a label that a dataset lacks, drawn by a network that has learnt it elsewhere.

Seed 004 paints electron micrographs from mitochondria *and* membranes, and nobody has drawn the membranes of its set. A
U-Net that has learnt them on another specimen, from noisy sections and their mitochondria, draws them. The completed
dataset is what a painter is trained on. What the network has drawn is named as predicted, and never replaces what a
person has: a case that has the label already keeps it, and a pixel of another label keeps that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...datasets.dataset import Case, Dataset, array_bytes, write_atomically
from ...datasets.slices import SliceView
from ...errors import GANSegmentationError
from ...inference import Predictor
from ...models import Package, PostProcessing
from ..evaluation.references import case_volumes

FACTS = "completed.json"
"""The file of a completed dataset that says which model has drawn what."""


def complete_masks(
    package: Package,
    dataset: Dataset,
    output: Path,
    *,
    device: str = "auto",
    report: Callable[[int, int, str], None] | None = None,
) -> Dataset:
    """Write a copy of a dataset in which the model's labels are drawn where a case has none of them.

    A label that the dataset names keeps its value; any other gets the next free one and the model's word, with
    "(predicted)". The model's further inputs, if it has any, are the dataset's masks of the labels that its card names.

    Parameters
    ----------
    package:
        A segmentation model.
    report:
        Called as ``report(done, total, case)`` before each case.

    Raises
    ------
    GANSegmentationError
        ``folder_in_use`` if there is something in `output`; ``unknown_label`` if the model takes masks of a structure
        that the dataset does not name; as `Predictor`.
    """
    if output.exists() and any(output.iterdir()):
        raise GANSegmentationError(
            "folder_in_use",
            f"{output} holds something already.",
            action="Choose a new or empty folder for the completed dataset.",
        )
    predictor = Predictor(package, device)
    given = _given_labels(package, dataset)
    labels, values = _values(package, dataset)
    cases, drawn = [], []
    for done, case in enumerate(dataset.cases):
        if report is not None:
            report(done, len(dataset.cases), case.id)
        masks = np.array(dataset.masks(case))
        missing = {found: value for found, value in values.items() if not (masks == value).any()}
        if missing:
            masks = _completed(masks, _predict(predictor, dataset, case, given), missing)
            drawn.append(case.id)
        cases.append(_store(dataset, case, masks, output))
    card = package.card
    facts = {"model": {"id": card.id, "version": card.version}, "labels": values, "cases": drawn,
             "from_dataset": dataset.fingerprint}  # fmt: skip
    write_atomically(output / FACTS, json.dumps(facts, indent=1).encode())
    completed = Dataset(output, tuple(cases), labels)
    completed.write_manifest()
    return completed


def _given_labels(package: Package, dataset: Dataset) -> tuple[int, ...]:
    """The dataset's labels whose masks the model takes, in the order of its channels after the scan's."""
    by_name = {name.casefold(): value for value, name in dataset.labels.items()}
    masks = [name for name in package.card.channel_names if name in package.card.mask_channels]
    unknown = [name for name in masks if name.casefold() not in by_name]
    if unknown:
        raise GANSegmentationError(
            "unknown_label",
            f"{package.card.id} takes masks of {', '.join(unknown)}, and {dataset.folder} names "
            f"{', '.join(dataset.labels.values())}.",
            action="Choose a model that takes the scan alone, or prepare the dataset with that label.",
        )
    return tuple(by_name[name.casefold()] for name in masks)


def _values(package: Package, dataset: Dataset) -> tuple[dict[int, str], dict[int, int]]:
    """The completed dataset's labels, and the value there of each of the model's segments."""
    labels = dict(dataset.labels)
    values = {}
    for segment in package.labels:
        known = next((value for value, name in labels.items() if name.casefold() == segment.name.casefold()), None)
        values[segment.value] = max(labels, default=0) + 1 if known is None else known
        labels.setdefault(values[segment.value], f"{segment.name} (predicted)")
    return labels, values


def _predict(predictor: Predictor, dataset: Dataset, case: Case, given: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    # As in evaluation: slices that lie far apart touch in the stack but not in the patient.
    cleaning = None if case.is_volume else PostProcessing()
    inputs = case_volumes(dataset, case, SliceView(input_labels=given))
    labels: npt.NDArray[np.uint8] = predictor.segment(inputs, force=True, postprocessing=cleaning).labelmap.array
    return labels


def _completed(
    masks: npt.NDArray[np.uint8], predicted: npt.NDArray[np.uint8], missing: Mapping[int, int]
) -> npt.NDArray[np.uint8]:
    """The masks with the missing labels where there was background."""
    completed: npt.NDArray[np.uint8] = masks.copy()
    for found, value in missing.items():
        completed[(masks == 0) & (predicted == found)] = value
    return completed


def _store(dataset: Dataset, case: Case, masks: npt.NDArray[np.uint8], output: Path) -> Case:
    contents = {"images": array_bytes(dataset.images(case)), "masks": array_bytes(masks)}
    for kind, content in contents.items():
        write_atomically(output / kind / f"{case.id}.npy", content)
    return replace(
        case,
        foreground=tuple(int(np.count_nonzero(mask)) for mask in masks),
        fingerprint=hashlib.sha256(contents["images"] + contents["masks"]).hexdigest(),
        labelled=True,
    )
