"""What a model's labels are in a prepared dataset: which masks it is compared with, and which it is given."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ...datasets.dataset import Case, Dataset
from ...datasets.slices import SliceView
from ...errors import GANSegmentationError
from ...models import Package
from ...volumes import Geometry, Segment, Volume
from ..preset import Preset


def reference_view(package: Package, dataset: Dataset, preset: Preset | None = None) -> SliceView:
    """The labels of a dataset as the classes of a model, and those that are masks it is given.

    The model's preset says it where the dataset has the labels that the preset names. Else names decide: those of the
    package's segments and of the dataset's labels. A model of one structure is never compared with the masks of others
    because they happen to be in the dataset. All labels are taken as they are only where the dataset names none.

    Parameters
    ----------
    preset:
        The one that the model was trained with, if it is known.

    Raises
    ------
    GANSegmentationError
        ``labels_unmatched`` if neither tells what to compare with.
    """
    labels = _compared(package.labels, dataset, preset)
    given = _given(package, dataset, preset)
    return SliceView(labels=labels, input_labels=given)


def check_names(package: Package, dataset: Dataset, preset: Preset | None) -> None:
    """Refuse what only the numbers of a preset's labels say, where the dataset's names speak against it.

    For a preset that nobody has chosen for this dataset: label 1 of the liver's preset is a lung in another dataset.
    Names that share a word are taken to mean the same, such as those of a structure and of its part.

    Raises
    ------
    GANSegmentationError
        ``labels_unmatched``.
    """
    chosen = None if preset is None else preset.data.labels
    segments = sorted(package.labels, key=lambda each: each.value)
    if package.card.task != "segmentation" or chosen is None or len(chosen) != len(segments):
        return
    for label, segment in zip(chosen, segments, strict=True):
        named = dataset.labels.get(label)
        if named is not None and not _words(named) & _words(segment.name):
            raise _unmatched(segment.name, dataset)


def case_volume(dataset: Dataset, case: Case) -> Volume:
    """A prepared case as a scan, values in the case's unit; pixels of 1 mm where the spacing is unknown."""
    values = dataset.images(case).astype(np.float32) * np.float32(case.slope) + np.float32(case.intercept)
    return Volume(values, _grid(case), case.modality, case.id)


def case_volumes(dataset: Dataset, case: Case, view: SliceView) -> list[Volume]:
    """A prepared case as a model's inputs: the scan, and a mask for each label that the model is given."""
    masks = dataset.masks(case)
    given = [
        Volume((np.asarray(masks) == label).astype(np.uint8), _grid(case), None, f"{case.id}: label {label}")
        for label in view.input_labels
    ]
    return [case_volume(dataset, case), *given]


def _grid(case: Case) -> Geometry:
    spacing = case.spacing_zyx or (1.0, 1.0, 1.0)
    return Geometry(size=(case.shape[1], case.shape[0], case.slices), spacing=(spacing[2], spacing[1], spacing[0]))


def _compared(segments: Sequence[Segment], dataset: Dataset, preset: Preset | None) -> tuple[int, ...] | None:
    """The dataset's labels that are classes 1, 2, ...; None where all of them are, as they are."""
    of_preset = None if preset is None else preset.data.labels
    if of_preset is not None and set(of_preset) <= set(dataset.labels):
        return of_preset
    values = {_plain(name): value for value, name in dataset.labels.items()}
    by_name = tuple(values.get(_plain(segment.name), 0) for segment in sorted(segments, key=lambda each: each.value))
    if all(by_name):
        return by_name
    if not dataset.labels and of_preset is None:
        return None
    raise _unmatched(", ".join(segment.name for segment in segments), dataset)


def _given(package: Package, dataset: Dataset, preset: Preset | None) -> tuple[int, ...]:
    """The dataset's labels whose masks the model takes as its last channels."""
    wanted = package.card.mask_channels
    if not wanted:
        return ()
    of_preset = () if preset is None else preset.data.input_labels
    if len(of_preset) == len(wanted) and set(of_preset) <= set(dataset.labels):
        return of_preset
    values = {_plain(name): value for value, name in dataset.labels.items()}
    found = tuple(values.get(_plain(name), 0) for name in wanted)
    if not all(found):
        raise _unmatched(", ".join(wanted), dataset)
    return found


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def _words(name: str) -> set[str]:
    return set(re.findall(r"\w+", _plain(name)))


def _unmatched(wanted: str, dataset: Dataset) -> GANSegmentationError:
    there = ", ".join(f"{value} {name}" for value, name in sorted(dataset.labels.items()))
    return GANSegmentationError(
        "labels_unmatched",
        f"The dataset {dataset.folder} does not say which of its labels ({there or 'none is named'}) are {wanted}.",
        cause="The dataset has other structures than the model, or other names for them.",
        action="Give the preset that the model was trained with (--preset FILE), or a dataset with these structures.",
    )
