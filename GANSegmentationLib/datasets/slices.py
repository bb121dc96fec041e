"""Slices as a network learns from them: normalised, sized, with their mask; and the order in which they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from ..errors import GANSegmentationError
from ..slicing import SliceSpec, SliceStack
from ..volumes import Geometry, Volume
from .augmentation import Augmenter
from .dataset import Case, Dataset


@dataclass(frozen=True)
class SliceKey:
    """Which slice, and the seed of its random change (None = as it is)."""

    case: str
    position: int
    seed: int | None = None


class SliceDataset(TorchDataset[dict[str, Tensor]]):
    """The slices of a dataset's cases for a network with this `SliceSpec`.

    An item is ``image (C, H, W)`` float32, normalised, C the spec's neighbours, and ``mask (H, W)`` int64. Indexed by
    `SliceKey`, so that what a slice becomes depends on its key alone, never on the worker that loads it.
    """

    def __init__(self, dataset: Dataset, spec: SliceSpec, augmenter: Augmenter | None = None) -> None:
        self.dataset = dataset
        self.spec = spec
        self.augmenter = augmenter
        self._stacks: dict[str, tuple[SliceStack, npt.NDArray[np.uint8]]] = {}

    def keys(self) -> list[SliceKey]:
        """Every slice once, unchanged, case by case."""
        return [SliceKey(case.id, position) for case in self.dataset.cases for position in range(case.slices)]

    def __len__(self) -> int:
        return sum(case.slices for case in self.dataset.cases)

    def __getitem__(self, key: SliceKey) -> dict[str, Tensor]:
        stack, masks = self._opened(self.dataset.by_id[key.case])
        image = stack.batch(key.position, key.position + 1)[0]
        mask = stack.labels(masks, key.position, key.position + 1)[0]
        if self.augmenter is not None and key.seed is not None:
            image, mask = self.augmenter(image, mask, key.seed)
        return {"image": image.contiguous(), "mask": mask.contiguous()}

    def stack(self, case: Case) -> SliceStack:
        """The slices of a case as the network sees them, over the memory-mapped images."""
        return self._opened(case)[0]

    def _opened(self, case: Case) -> tuple[SliceStack, npt.NDArray[np.uint8]]:
        if case.id not in self._stacks:
            images = self.dataset.images(case)
            # Prepared slices are axial in radiological display: the identity direction. Spacing only gives the shape of
            # the pixels, so where it is unknown they are square.
            spacing = case.spacing_zyx or (1.0, 1.0, 1.0)
            size = (case.shape[1], case.shape[0], case.slices)
            volume = Volume(images, Geometry(size, (spacing[2], spacing[1], spacing[0])), case.modality, case.id)
            values = images.astype(np.float32) * np.float32(case.slope) + np.float32(case.intercept)
            intensity = self.spec.normalisation.fit(values).of_stored(case.slope, case.intercept)
            self._stacks[case.id] = SliceStack([volume], self.spec, [intensity]), self.dataset.masks(case)
        return self._stacks[case.id]


@dataclass(frozen=True)
class SampleGroup:
    """A share of the training slices: from which source, with or without foreground, how often.

    Parameters
    ----------
    source:
        The cases' source, or None for all.
    foreground:
        True for slices with foreground, False for those without, None for both.
    weight:
        The share of the drawn slices, relative to the other groups.
    """

    source: str | None = None
    foreground: bool | None = None
    weight: float = 1.0


class GroupSampler(Sampler[SliceKey]):
    """Draws the slices of an epoch: a group by its weight, a patient of the group, a slice of the patient.

    Every epoch's draw depends on the seed and the epoch alone, so a resumed run continues exactly.

    Raises
    ------
    GANSegmentationError
        ``empty_group`` if a group has no slice.
    """

    def __init__(self, dataset: Dataset, groups: Sequence[SampleGroup], *, samples: int, seed: int) -> None:
        self.samples = samples
        self.seed = seed
        self.epoch = 0
        weights = np.array([group.weight for group in groups], dtype=np.float64)
        self._weights = weights / weights.sum()
        self._pools = [_patients_of(dataset, group) for group in groups]
        for group, pool in zip(groups, self._pools, strict=True):
            if not pool:
                raise GANSegmentationError(
                    "empty_group",
                    f"No training slice belongs to the sampling group {group}.",
                    cause="A source is missing from the prepared dataset.",
                    action="Prepare the dataset with all sources that the preset names, or change its sampling.",
                )

    def __len__(self) -> int:
        return self.samples

    def __iter__(self) -> Iterator[SliceKey]:
        generator = np.random.default_rng([self.seed, self.epoch])
        for group in generator.choice(len(self._pools), size=self.samples, p=self._weights):
            patients = self._pools[group]
            slices = patients[int(generator.integers(len(patients)))]
            case, position = slices[int(generator.integers(len(slices)))]
            yield SliceKey(case, position, int(generator.integers(2**31)))


def _patients_of(dataset: Dataset, group: SampleGroup) -> list[list[tuple[str, int]]]:
    """The group's slices ``(case, position)``, patient by patient."""
    patients: dict[str, list[tuple[str, int]]] = {}
    for case in dataset.cases:
        if group.source not in (None, case.source):
            continue
        for position, count in enumerate(case.foreground):
            if group.foreground is None or (count > 0) == group.foreground:
                patients.setdefault(case.patient, []).append((case.id, position))
    return [patients[name] for name in sorted(patients)]
