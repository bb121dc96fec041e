"""A small true model: a generator of the project's own, packed as users get it."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from GANSegmentationLib.models import (
    Card,
    DiscriminatorSpec,
    Intensity,
    MetricFact,
    NetworkSpec,
    ReviewFact,
    SpacingRange,
    TrainingData,
    TrainingFacts,
    write_package,
)
from GANSegmentationLib.slicing import SliceSpec, Window
from GANSegmentationLib.volumes import Code, Segment

Weights = dict[str, npt.NDArray[Any]]
Forge = Callable[..., Path]

CONFIG = {"in_channels": 1, "classes": 1, "channels": [8, 16]}
DISCRIMINATOR = {"in_channels": 2, "width": 4}
LIVER = Segment(
    1, "Liver", (221, 130, 101), Code("SCT", "123037004", "Anatomical Structure"), Code("SCT", "10200004", "Liver")
)


@pytest.fixture
def card() -> Card:
    return Card(
        id="liver-ct",
        title="Liver, CT",
        version="1.0.0",
        network=NetworkSpec("pix2pix_modern", CONFIG),
        slicing=SliceSpec("axial", 1, 256, 4, Window(0, 160)),
        modalities=("CT",),
        channel_names=("CT",),
        spacing_range=SpacingRange((0.5, 1.0), (0.7, 5.0)),
        intensity=Intensity("HU", (-1024.0, 3071.0)),
        test_time_augmentation=("left_right",),
        training=TrainingFacts(
            preset="liver_ct",
            objective="conditional",
            seed=0,
            split_sha256="ab" * 32,
            epochs=20,
            date="2026-01-02",
            data=(TrainingData("LiTS", "CC BY-NC-ND 4.0", "https://example.org", 22, 2400),),
        ),
        metrics=(MetricFact("Dice", "LiTS", "validation", 5, 0.95, (0.94, 0.96), "", "per patient"),),
        default_for=("CT",),
        weights_licence="CC-BY-NC-SA-4.0",
        code_licence="Apache-2.0",
        intended_use="Research only.",
        limitations="Adults, portal venous phase.",
    )


@pytest.fixture(scope="session")
def weights() -> Weights:
    from GANSegmentationLib import networks

    state = networks.build("pix2pix_modern", CONFIG).state_dict()
    return {
        name: tensor.numpy().astype(np.float16) if tensor.is_floating_point() else tensor.numpy()
        for name, tensor in state.items()
    }


@pytest.fixture(scope="session")
def discriminator_weights() -> Weights:
    from GANSegmentationLib import networks

    state = networks.build("patch70", DISCRIMINATOR).state_dict()
    return {name: tensor.numpy().astype(np.float16) for name, tensor in state.items() if tensor.is_floating_point()}


@pytest.fixture
def reviewed_card(card: Card) -> Card:
    """A card of a model that carries its discriminator, and says what sorts slices for review."""
    return dataclasses.replace(
        card,
        discriminator=DiscriminatorSpec("patch70", DISCRIMINATOR, "pair", "lsgan"),
        review=ReviewFact("plausibility", 0.41, (0.2, 0.55), 6, "LiTS, validation"),
    )


@pytest.fixture
def package_file(tmp_path: Path, card: Card, weights: Weights, png: bytes) -> Path:
    """A whole package as a zip."""
    return write_package(tmp_path / "made" / "liver-ct.ganseg", card, weights, (LIVER,), png)


@pytest.fixture(scope="session")
def png() -> bytes:
    from GANSegmentationLib.reports import image_grid

    return image_grid([[np.zeros((8, 8), np.uint8)]])


@pytest.fixture
def files(package_file: Path) -> dict[str, bytes]:
    """The files of the whole package."""
    with zipfile.ZipFile(package_file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def forge(tmp_path: Path, files: dict[str, bytes]) -> Forge:
    """Makes a package of changed files, as an attacker or an accident would; a file of None is left out.

    ``describe`` renews sizes and checksums in the card, so that what follows the checksum is tested too.
    """

    def make(changes: Mapping[str, bytes | None], *, describe: bool = False, folder: bool = False) -> Path:
        contents = {name: data for name, data in {**files, **changes}.items() if data is not None}
        if describe:
            fields = json.loads(contents["card.json"])
            fields["files"] = {
                name: {"sha256": sha256(data), "bytes": len(data)}
                for name, data in contents.items()
                if name != "card.json"
            }
            contents["card.json"] = json.dumps(fields).encode()
        path = tmp_path / ("forged" if folder else "forged.ganseg")
        if folder:
            path.mkdir()
            for name, data in contents.items():
                (path / name).write_bytes(data)
        else:
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in contents.items():
                    archive.writestr(name, data)
        return path

    return make


def sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()
