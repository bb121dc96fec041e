"""Which patients of a dataset a model knows: those it was trained on, and those that chose its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from ...datasets.dataset import Dataset
from ...datasets.splits import Split, patient_split
from ...errors import GANSegmentationError
from ...models import Package
from ..preset import Preset
from ..starting.known_patients import split_of_package
from ..starting.preflight import dataset_of

Role = Literal["trained", "validated", "not seen", "other source", "unknown"]

ROLE_WORDS: Final[Mapping[Role, str]] = {
    "trained": "trained the model",
    "validated": "validation patient",
    "not seen": "took no part in training",
    "other source": "of a source that the model did not train on",
    "unknown": "part in training unknown",
}


def patient_roles(package: Package, dataset: Dataset, preset: Preset | None = None) -> dict[str, Role]:
    """What part each patient of a dataset had in a model, as far as the hash of the split on its card can tell.

    A package names no patients: a split is known if the one that the preset makes of this dataset, or the one that lies
    beside the package, has the card's hash. Else patients of whom all cases are of sources that the card does not name
    among its training data are ``"other source"``, which does not rule out that one of its own sources has them, too;
    all others are ``"unknown"``, never "not seen".

    Parameters
    ----------
    preset:
        The one that the model was trained with, if it is known.
    """
    split = None if preset is None else split_of(package, dataset, preset)
    split = split or split_of_package(package, dataset, Split((), ()))
    if split is None:
        named = {data.name for data in package.card.training.data}
        strange = {case.patient for case in dataset.cases} if named else set()
        strange -= {case.patient for case in dataset.cases if case.source in named}
        return {case.patient: "other source" if case.patient in strange else "unknown" for case in dataset.cases}
    train, validation = frozenset(split.train), frozenset(split.validation)
    roles: dict[str, Role] = {case.patient: "not seen" for case in dataset.cases}
    roles |= {case.patient: "validated" for case in dataset.cases if case.id in validation}
    roles |= {case.patient: "trained" for case in dataset.cases if case.id in train}
    return roles


def split_of(package: Package, dataset: Dataset, preset: Preset) -> Split | None:
    """The split that a preset makes of a dataset, if it is the one that the package was trained with; else None."""
    try:
        split = patient_split(dataset_of(preset, dataset), validation=preset.data.validation_patients)
    except GANSegmentationError:
        return None  # a dataset of other patients
    return split if split.sha256 == package.card.training.split_sha256 else None
