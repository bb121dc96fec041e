"""Small prepared datasets and models whose masks are known in advance: a voxel above a threshold is a structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from GANSegmentationLib import models, networks
from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.datasets.dataset import Case
from GANSegmentationLib.models import DiscriminatorSpec, Package
from GANSegmentationLib.slicing import SliceSpec
from GANSegmentationLib.volumes import Segment
from Testing.inference.conftest import WINDOW, card_of, threshold_network

SIDE = 32


@dataclass(frozen=True)
class Drawn:
    """A case as it is drawn: grey values are HU, labels as the dataset has them, ``(slices, rows, columns)``."""

    id: str
    images: np.ndarray
    masks: np.ndarray
    patient: str = ""
    source: str = "drawn"
    modality: str = "CT"
    spacing: tuple[float, float, float] | None = None
    is_volume: bool = True


def write_dataset(folder: Path, drawn: Sequence[Drawn], labels: Mapping[int, str]) -> Dataset:
    """A prepared dataset of these cases, on disk as `prepare` writes one."""
    cases = []
    for each in drawn:
        for kind, array in (("images", each.images.astype(np.int16)), ("masks", each.masks.astype(np.uint8))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            np.save(folder / kind / f"{each.id}.npy", array)
        slices, rows, columns = each.images.shape
        cases.append(
            Case(
                id=each.id,
                source=each.source,
                patient=each.patient or each.id,
                modality=each.modality,
                unit="HU",
                slices=slices,
                shape=(rows, columns),
                slope=1.0,
                intercept=0.0,
                value_range=(-1000.0, 1000.0),
                slice_index=tuple(range(slices)),
                foreground=tuple(int(np.count_nonzero(mask)) for mask in each.masks),
                fingerprint=f"{each.id}-drawn",
                spacing_zyx=each.spacing,
                licence="CC0-1.0",
                is_volume=each.is_volume,
            )
        )
    dataset = Dataset(folder, tuple(cases), dict(labels))
    dataset.write_manifest()
    return Dataset.open(folder)


def blocks(slices: int = 4, *, values: Sequence[int] = (150,), missing: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A body of 40 HU with a block of each value beside the others: images, and masks with the labels 1, 2, ...

    The last `missing` columns of every block are in the mask, but too dark to be found.
    """
    images = np.full((slices, SIDE, SIDE), 40, np.int16)
    masks = np.zeros(images.shape, np.uint8)
    for label, value in enumerate(values, start=1):
        left = 2 + 9 * (label - 1)
        masks[1 : slices - 1, 8:20, left : left + 7] = label
        images[1 : slices - 1, 8:20, left : left + 7 - missing] = value
    return images, masks


def threshold_package(
    folder: Path, *thresholds: float, names: Sequence[str] = ("Liver",), judge: bool = False, **fields: Any
) -> Package:
    """A model that gives the label n where n thresholds are passed; with a random discriminator if wanted."""
    config, weights = threshold_network(1, 0, thresholds)
    spec = fields.pop("slicing", None) or SliceSpec("axial", 1, SIDE, 4, WINDOW)
    card = card_of(config, slicing=spec, **fields)
    discriminator = None
    if judge:
        given = {"in_channels": 1 + int(config["classes"]), "width": 4, "halvings": 1}
        card = replace(card, discriminator=DiscriminatorSpec("patch70", given, "pair", "vanilla"))
        state = networks.build("patch70", given).state_dict()
        discriminator = {name: each.numpy() for name, each in state.items() if each.is_floating_point()}
    segments = [Segment(value, name, (200, 100, 50 * value)) for value, name in enumerate(names, start=1)]
    path = folder / f"{card.id}-{len(list(folder.iterdir())) if folder.is_dir() else 0}.ganseg"
    return models.open_package(models.write_package(path, card, weights, segments, discriminator_weights=discriminator))
