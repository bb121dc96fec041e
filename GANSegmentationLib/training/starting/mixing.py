"""Synthetic slices beside real ones: how often they are drawn, and what must be true before they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...datasets.dataset import Dataset
from ...datasets.memorisation import Memorisation, memorisation
from ...datasets.mixing import SYNTHETIC, join
from ...datasets.slices import SampleGroup
from ...errors import GANSegmentationError
from ..preset import Preset
from .preflight import dataset_of


@dataclass(frozen=True)
class Mixed:
    """A preset and a dataset with synthetic slices, and how near these are to real ones."""

    preset: Preset
    dataset: Dataset
    memorisation: Memorisation


def with_synthetic(preset: Preset, real: Dataset, synthetic: Dataset, ratio: float, *, force: bool = False) -> Mixed:
    """The preset and the dataset to train with, once the synthetic slices are fit to be learnt from.

    Translations of the patients who validate are left out.

    Parameters
    ----------
    ratio:
        The share of the drawn training slices that are synthetic, in (0, 1].
    force:
        Train although too many synthetic slices are near-duplicates of real ones.

    Raises
    ------
    GANSegmentationError
        ``withheld_masks`` if slices were painted from masks that the preset withholds; ``memorised_images`` as
        `Memorisation.require`, unless forced; as `join` and `mix`. That nobody who validates is in them is checked with
        the split, before training.
    """
    # Translations keep their patient, and nobody is judged on slices that a generator has painted.
    judged = set(preset.data.validation_patients)
    synthetic = synthetic.subset(case.id for case in synthetic.cases if case.patient not in judged)
    joined = join(real, synthetic)
    withheld = {name for case in synthetic.cases for name in case.derived_from} & set(preset.data.unlabelled_patients)
    if withheld:
        raise GANSegmentationError(
            "withheld_masks",
            f"Synthetic slices were painted from masks of {', '.join(sorted(withheld))}, which this preset withholds.",
            cause="They were made for another preset; through them the masks would be learnt after all.",
            action="Synthesize again with a model of a preset that withholds the same masks.",
        )
    measured = memorisation(dataset_of(preset, real), synthetic)
    if not force:
        measured.require()
    return Mixed(mix(preset, ratio), joined, measured)


def mix(preset: Preset, ratio: float) -> Preset:
    """The preset with a share of synthetic slices among the training samples; the real groups keep their proportions.

    A ratio of 0 changes nothing, with 1 nothing real is drawn. Streams stay as they are.

    Raises
    ------
    GANSegmentationError
        ``invalid_ratio`` for a ratio outside of [0, 1].
    """
    if not 0 <= ratio <= 1:
        raise GANSegmentationError(
            "invalid_ratio",
            f"A ratio of {ratio:g} is no share of the training slices.",
            action="Give a number from 0 (none synthetic) to 1 (all of them).",
        )
    if ratio == 0:
        return preset
    total = sum(group.weight for group in preset.data.groups)
    real = tuple(replace(group, weight=group.weight / total * (1 - ratio)) for group in preset.data.groups)
    groups = (*(real if ratio < 1 else ()), SampleGroup(source=SYNTHETIC, weight=ratio))
    deviation = f"{ratio:.0%} of the training slices are synthetic, painted from masks of training patients."
    return replace(preset, data=replace(preset.data, groups=groups), deviations=(*preset.deviations, deviation))
