"""A model package in the real format whose answer is known: a voxel above 100 HU is liver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from GANSegmentationLib.models import write_package
from GANSegmentationLib.slicing import SliceSpec
from GANSegmentationLib.volumes import Code, Geometry, Segment, Volume
from Testing.inference.conftest import WINDOW, card_of, threshold_network

LIVER = Segment(
    1,
    "Liver",
    (221, 130, 101),
    category=Code("SCT", "123037004", "Anatomical Structure"),
    type=Code("SCT", "10200004", "Liver"),
)


def write_tiny_package(path: Path, **changes: Any) -> Path:
    """Write the package; `changes` are fields of its card."""
    config, weights = threshold_network(changes.get("channels", 1), 0, (100.0,))
    fields = {"id": "tiny-liver", "title": "Tiny liver", "default_for": ["CT"], **changes}
    return write_package(
        path, card_of(config, slicing=SliceSpec("axial", 1, 16, 4, WINDOW), **fields), weights, (LIVER,)
    )


def tiny_scan(modality: str | None = "CT", geometry: Geometry | None = None) -> Volume:
    """A CT of 16 x 16 columns and rows and 6 slices: air, a body of 50 HU, and in it a box of 150 HU off the centre."""
    geometry = geometry or Geometry((16, 16, 6), (1.5, 1.5, 5.0), (-10.0, 20.0, 30.0))
    array = np.full((6, 16, 16), -1000, np.int16)
    array[:, 2:14, 1:15] = 50
    array[1:4, 3:8, 4:7] = 150
    return Volume(array, geometry, modality, "tiny")
