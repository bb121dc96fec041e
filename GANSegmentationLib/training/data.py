"""The slices that a preset trains and validates on: one place for the loop, the dry run and the checks."""

from __future__ import annotations

from ..datasets.augmentation import Augmenter
from ..datasets.dataset import Dataset
from ..datasets.slices import GroupSampler, SliceDataset
from ..datasets.splits import Split
from .preset import Preset


def training_slices(
    preset: Preset, dataset: Dataset, split: Split, *, samples: int | None = None
) -> tuple[SliceDataset, GroupSampler]:
    """The training slices and the order in which they are drawn.

    Parameters
    ----------
    dataset:
        What of a prepared dataset the preset uses (`preflight.dataset_of`).
    samples:
        How many slices are drawn; None for an epoch's.
    """
    training = dataset.subset(split.train)
    side = preset.data.crop or preset.slicing.size or max((max(case.shape) for case in training.cases), default=1)
    augmenter = Augmenter(preset.augmentation, (side, side))
    slices = SliceDataset(training, preset.slicing, augmenter, view=preset.data.view, crop=preset.data.crop)
    return slices, training_sampler(preset, training, samples=samples)


def training_sampler(preset: Preset, training: Dataset, *, samples: int | None = None) -> GroupSampler:
    """The order in which the slices of an epoch (or `samples` of them) are drawn; `training` has no other cases."""
    data = preset.data
    return GroupSampler(
        training,
        data.groups,
        samples=preset.batch_size * preset.steps_per_epoch if samples is None else samples,
        seed=preset.seed,
        view=data.view,
        streams=data.streams,
    )


def validation_slices(preset: Preset, dataset: Dataset, split: Split) -> SliceDataset:
    """The validation patients' slices, unchanged and whole."""
    return SliceDataset(dataset.subset(split.validation), preset.slicing, view=preset.data.view)
