"""Slices as a network learns from them: normalised, sized, with their mask; and the order in which they come."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler, get_worker_info

from ..errors import GANSegmentationError
from ..slicing import SliceSpec, SliceStack
from ..volumes import Geometry, Volume
from .augmentation import Augmenter
from .dataset import Case, Dataset


@dataclass(frozen=True)
class SliceKey:
    """Which slice, and the seed of its random change (None = as it is).

    ``others`` are the keys that further streams of the same step have drawn, by the stream's name.
    """

    case: str
    position: int
    seed: int | None = None
    others: tuple[tuple[str, SliceKey], ...] = ()


@dataclass(frozen=True)
class SliceView:
    """What a task makes of the prepared masks.

    Parameters
    ----------
    labels:
        The prepared labels that are classes 1, 2, ... in this order, everything else background; None = as they are.
    input_labels:
        Prepared labels that become input channels after the image's, -1 outside and 1 inside.
    domains:
        Modality words; a slice's domain is the index of its case's modality.
    unlabelled_patients:
        Patients whose masks are withheld.
    """

    labels: tuple[int, ...] | None = None
    input_labels: tuple[int, ...] = ()
    domains: tuple[str, ...] = ()
    unlabelled_patients: tuple[str, ...] = ()

    def remap(self, masks: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Prepared labels as the task's classes, of the same shape."""
        return masks if self.labels is None else self._table()[masks]

    def remap_tensor(self, masks: Tensor) -> Tensor:
        """The same for int64 tensors."""
        return masks if self.labels is None else torch.from_numpy(self._table().astype(np.int64))[masks]

    def input_channels(self, masks: Tensor) -> Tensor:
        """``masks (..., H, W)`` of prepared labels as ``(..., labels, H, W)`` float32, -1 and 1."""
        channels = [(masks == label).float() * 2 - 1 for label in self.input_labels]
        return torch.stack(channels, dim=-3)

    def is_labelled(self, case: Case) -> bool:
        """Whether the masks of a case may be looked at."""
        return case.labelled and case.patient not in self.unlabelled_patients

    def domain(self, case: Case) -> int:
        """The index of the case's domain.

        Raises
        ------
        GANSegmentationError
            ``unknown_domain`` for a modality that is not among them.
        """
        if case.modality not in self.domains:
            raise GANSegmentationError(
                "unknown_domain",
                f"{case.id} is {case.modality}, and the preset's domains are {', '.join(self.domains)}.",
                action="Add the modality to data.domains, or leave the source out with data.excluded_sources.",
            )
        return self.domains.index(case.modality)

    def _table(self) -> npt.NDArray[np.uint8]:
        table = np.zeros(256, np.uint8)
        for value, label in enumerate(self.labels or (), start=1):
            table[label] = value
        return table


READY_BYTES = 1 << 30
"""Memory for slices that are kept ready for the network, in all of a loader's processes together."""


class SliceDataset(TorchDataset[dict[str, Tensor]]):
    """The slices of a dataset's cases for a network with this `SliceSpec`.

    An item is ``image (C, H, W)`` float32, normalised, C the spec's neighbours and the view's input labels, and
    ``mask (H, W)`` int64 of the view's classes. ``labelled`` (bool) comes with it where masks of some cases are missing
    or withheld (theirs are all 0), ``domain`` (int64) where the view has domains, and the items of further streams as
    ``<stream>/image`` and so on. Indexed by `SliceKey`, so that what a slice becomes depends on its key alone, never on
    the worker that loads it.

    Parameters
    ----------
    crop:
        Side of the random square that is cut from a slice with a seed, in network pixels; 0 takes all of it.
    """

    def __init__(
        self,
        dataset: Dataset,
        spec: SliceSpec,
        augmenter: Augmenter | None = None,
        *,
        view: SliceView | None = None,
        crop: int = 0,
    ) -> None:
        self.dataset = dataset
        self.spec = spec
        self.augmenter = augmenter
        self.view = view or SliceView()
        self.crop = crop
        self._stacks: dict[str, tuple[SliceStack, npt.NDArray[np.uint8]]] = {}
        self._ready: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}
        self._ready_bytes = 0
        self._partly_labelled = not all(self.view.is_labelled(case) for case in dataset.cases)

    def keys(self) -> list[SliceKey]:
        """Every slice once, unchanged, case by case."""
        return [SliceKey(case.id, position) for case in self.dataset.cases for position in range(case.slices)]

    def __len__(self) -> int:
        return sum(case.slices for case in self.dataset.cases)

    def __getitem__(self, key: SliceKey) -> dict[str, Tensor]:
        item = self._item(key)
        for stream, other in key.others:
            item.update({f"{stream}/{name}": value for name, value in self._item(other).items()})
        return item

    def _item(self, key: SliceKey) -> dict[str, Tensor]:
        case = self.dataset.by_id[key.case]
        image, labels = self._network_ready(case, key.position)
        if key.seed is not None:
            image, labels = self._drawn(image, labels, key.seed)
        # The labels move with the image as one map; only then do they become classes and input channels.
        item = {"image": self._with_input_labels(image, labels).contiguous()}
        labelled = self.view.is_labelled(case)
        mask = self.view.remap_tensor(labels)
        item["mask"] = (mask if labelled else torch.zeros_like(mask)).contiguous()
        if self._partly_labelled:
            item["labelled"] = torch.tensor(labelled)
        if self.view.domains:
            item["domain"] = torch.tensor(self.view.domain(case))
        return item

    def _network_ready(self, case: Case, position: int) -> tuple[Tensor, Tensor]:
        """A slice and its prepared labels as `SliceStack` gives them, the caller's own: kept, for epochs ask again."""
        place = (case.id, position)
        if place not in self._ready:
            stack, masks = self._opened(case)
            image = stack.batch(position, position + 1)[0]
            labels = stack.labels(masks, position, position + 1)[0]
            size = image.nbytes + labels.numel()
            worker = get_worker_info()
            if self._ready_bytes + size > READY_BYTES // (worker.num_workers if worker else 1):
                return image, labels
            # Nothing is dropped for newer slices: they come in random order, so one is as good as another.
            self._ready_bytes += size
            self._ready[place] = image, labels.to(torch.uint8)
        image, kept = self._ready[place]
        return image.clone(), kept.long()

    def _drawn(self, image: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """What a training step sees of a slice: a crop of it, changed."""
        if self.augmenter is None:
            return _random_crop(image, labels, self.crop, 0, seed) if self.crop else (image, labels)
        if self.crop:
            # What turns into the crop's corners has to be there, or they would be the smeared border.
            margin = math.ceil(self.crop * (self.augmenter.settings.reach - 1) / 2)
            image, labels = _random_crop(image, labels, self.crop, margin, seed)
            image, labels = self.augmenter(image, labels, seed)
            return _without(image, margin), _without(labels, margin)
        return self.augmenter(image, labels, seed)

    def inputs(self, case: Case, start: int, stop: int, device: str | torch.device = "cpu") -> Tensor:
        """The network's input for the slices ``start:stop`` of a case, unchanged: ``(n, C, H, W)`` float32."""
        stack, masks = self._opened(case)
        images = stack.batch(start, stop, device)
        if not self.view.input_labels:
            return images
        return self._with_input_labels(images, stack.labels(masks, start, stop).to(images.device))

    def reference(self, case: Case) -> npt.NDArray[np.uint8]:
        """The classes of a case at the stored resolution, uint8 ``(slices, rows, columns)``."""
        return self.view.remap(np.asarray(self.dataset.masks(case)))

    def domain_vector(self, case: Case, count: int, device: str | torch.device = "cpu") -> Tensor | None:
        """The one-hot domain of a case `count` times, ``(count, domains)`` float32; None where there are no domains."""
        if not self.view.domains:
            return None
        number = torch.full((count,), self.view.domain(case), device=device)
        return F.one_hot(number, len(self.view.domains)).float()

    def stack(self, case: Case) -> SliceStack:
        """The slices of a case as the network sees them, over the memory-mapped images."""
        return self._opened(case)[0]

    def _with_input_labels(self, image: Tensor, labels: Tensor) -> Tensor:
        if not self.view.input_labels:
            return image
        return torch.cat((image, self.view.input_channels(labels).to(image.dtype)), dim=-3)

    def _opened(self, case: Case) -> tuple[SliceStack, npt.NDArray[np.uint8]]:
        if case.id not in self._stacks:
            images = self.dataset.images(case)
            # Prepared slices are axial in radiological display: the identity direction. Spacing only gives the shape of
            # the pixels, so where it is unknown they are square.
            spacing = case.spacing_zyx or (1.0, 1.0, 1.0)
            size = (case.shape[1], case.shape[0], case.slices)
            volume = Volume(images, Geometry(size, (spacing[2], spacing[1], spacing[0])), case.modality, case.id)
            values = images.astype(np.float32) * np.float32(case.slope) + np.float32(case.intercept)
            scheme = self.spec.normalisation.for_modality(case.modality)
            intensity = scheme.fit(values).of_stored(case.slope, case.intercept)
            self._stacks[case.id] = SliceStack([volume], self.spec, [intensity]), self.dataset.masks(case)
        return self._stacks[case.id]


def _random_crop(image: Tensor, labels: Tensor, side: int, margin: int, seed: int) -> tuple[Tensor, Tensor]:
    """The same square of both, placed by the seed, with `margin` more on all sides; beyond the slice it is mirrored.

    A slice that is smaller than `side` stays whole along that axis.
    """
    generator = np.random.default_rng([seed, side])
    axes = []
    for length in labels.shape:
        start = int(generator.integers(max(length - side, 0) + 1))
        places = torch.arange(start - margin, start + min(side, length) + margin)
        # Mirrored at the outermost pixels, which are not repeated: period 2 (length - 1).
        period = max(2 * (length - 1), 1)
        places = places.remainder(period)
        axes.append(torch.minimum(places, period - places).clamp(max=length - 1))
    rows, columns = axes
    return image[:, rows[:, None], columns], labels[rows[:, None], columns]


def _without(values: Tensor, margin: int) -> Tensor:
    """What is left of the last two axes without so many pixels on all sides."""
    return values[..., margin : values.shape[-2] - margin, margin : values.shape[-1] - margin]


@dataclass(frozen=True)
class SampleGroup:
    """A share of the training slices: from which source, with or without foreground, how often.

    Parameters
    ----------
    source:
        The cases' source, or None for all but synthetic ones, which are drawn only where they are asked for.
    foreground:
        True for slices with foreground, False for those without, None for both. Slices without labels belong to None
        alone: nobody may look what is in them.
    weight:
        The share of the drawn slices, relative to the other groups.
    labelled:
        True for cases with masks, False for those without, None for both.
    """

    source: str | None = None
    foreground: bool | None = None
    weight: float = 1.0
    labelled: bool | None = None


class GroupSampler(Sampler[SliceKey]):
    """Draws the slices of an epoch: a group by its weight, a patient of the group, a slice of the patient.

    Every epoch's draw depends on the seed and the epoch alone, so a resumed run continues exactly. Streams draw from
    random numbers of their own: with or without them the main samples are the same.

    Parameters
    ----------
    samples:
        How many slices an epoch has.
    view:
        What counts as foreground and as labelled.
    streams:
        The groups of further samples by the stream's name, one sample for each of the main ones.

    Raises
    ------
    GANSegmentationError
        ``empty_group`` if a group has no slice; ``invalid_dataset`` if masks are not uint8.
    """

    def __init__(
        self,
        dataset: Dataset,
        groups: Sequence[SampleGroup],
        *,
        samples: int,
        seed: int,
        view: SliceView | None = None,
        streams: Mapping[str, Sequence[SampleGroup]] | None = None,
    ) -> None:
        self.samples = samples
        self.seed = seed
        self.epoch = 0
        slices = _foreground_counts(dataset, view or SliceView())
        self._main = _Draw.of(slices, groups)
        self._streams = {name: _Draw.of(slices, members) for name, members in (streams or {}).items()}

    @property
    def cases(self) -> frozenset[str]:
        """The cases whose slices can be drawn, by the main groups or a stream's."""
        draws = (self._main, *self._streams.values())
        return frozenset(case for draw in draws for pool in draw.pools for slices in pool for case, _ in slices)

    def __len__(self) -> int:
        return self.samples

    def __iter__(self) -> Iterator[SliceKey]:
        main = self._main.keys(np.random.default_rng([self.seed, self.epoch]), self.samples)
        if not self._streams:
            yield from main
            return
        others = [
            draw.keys(np.random.default_rng([self.seed, self.epoch, zlib.crc32(name.encode())]), self.samples)
            for name, draw in self._streams.items()
        ]
        for key, *drawn in zip(main, *others, strict=True):
            yield SliceKey(key.case, key.position, key.seed, tuple(zip(self._streams, drawn, strict=True)))


@dataclass(frozen=True)
class _CaseSlices:
    """What the sampler knows of a case: the foreground of each slice, None where nobody may look."""

    case: Case
    foreground: tuple[int, ...] | None


@dataclass(frozen=True)
class _Draw:
    """Groups to draw from: their shares, and of each the slices ``(case, position)`` patient by patient."""

    weights: npt.NDArray[np.float64]
    pools: list[list[list[tuple[str, int]]]] = field(repr=False)

    @classmethod
    def of(cls, slices: Sequence[_CaseSlices], groups: Sequence[SampleGroup]) -> _Draw:
        weights = np.array([group.weight for group in groups], dtype=np.float64)
        pools = [_patients_of(slices, group) for group in groups]
        for group, pool in zip(groups, pools, strict=True):
            if not pool:
                raise GANSegmentationError(
                    "empty_group",
                    f"No training slice belongs to the sampling group {group}.",
                    cause="A source is missing from the prepared dataset.",
                    action="Prepare the dataset with all sources that the preset names, or change its sampling.",
                )
        return cls(weights / weights.sum(), pools)

    def keys(self, generator: np.random.Generator, samples: int) -> Iterator[SliceKey]:
        for group in generator.choice(len(self.pools), size=samples, p=self.weights):
            patients = self.pools[group]
            slices = patients[int(generator.integers(len(patients)))]
            case, position = slices[int(generator.integers(len(slices)))]
            yield SliceKey(case, position, int(generator.integers(2**31)))


def _foreground_counts(dataset: Dataset, view: SliceView) -> list[_CaseSlices]:
    """The foreground of every slice as the view sees it."""
    counted = []
    for case in dataset.cases:
        if not view.is_labelled(case):
            counted.append(_CaseSlices(case, None))
        elif view.labels is None:
            counted.append(_CaseSlices(case, case.foreground))
        else:
            stored = np.asarray(dataset.masks(case))
            if stored.dtype != np.uint8:
                raise GANSegmentationError(
                    "invalid_dataset",
                    f"The masks of {case.id} are {stored.dtype}, and label maps are uint8.",
                    cause="The file was written by something else than `ganseg prepare`.",
                    action="Prepare the dataset again with `ganseg prepare`.",
                )
            masks = view.remap(stored)
            counted.append(_CaseSlices(case, tuple(int(np.count_nonzero(mask)) for mask in masks)))
    return counted


def _patients_of(slices: Sequence[_CaseSlices], group: SampleGroup) -> list[list[tuple[str, int]]]:
    """The group's slices ``(case, position)``, patient by patient."""
    patients: dict[str, list[tuple[str, int]]] = {}
    for entry in slices:
        labelled = entry.foreground is not None
        if group.source not in (None, entry.case.source) or group.labelled not in (None, labelled):
            continue
        if group.source is None and entry.case.derived_from:
            continue
        if group.foreground is not None and not labelled:
            continue
        for position in range(entry.case.slices):
            if group.foreground is None or (
                entry.foreground is not None and (entry.foreground[position] > 0) == group.foreground
            ):
                patients.setdefault(entry.case.patient, []).append((entry.case.id, position))
    return [patients[name] for name in sorted(patients)]
