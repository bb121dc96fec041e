"""A small patient: soft tissue in air, a bright liver on the patient's right, and its mask."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from GANSegmentationLib.volumes import Geometry, Labelmap, Segment, Volume

LIVER = Segment(1, "Liver", (221, 130, 101))


@dataclass(frozen=True)
class Patient:
    volume: Volume
    mask: Labelmap
    reference: Labelmap


@pytest.fixture(scope="session")
def patient() -> Patient:
    """LPS identity directions: columns run to the patient's left, rows to posterior, slices to superior."""
    z, y, x = np.mgrid[:24, :96, :120]
    body = ((y - 48) / 44) ** 2 + ((x - 60) / 55) ** 2 < 1
    liver = ((z - 12) / 8) ** 2 + ((y - 40) / 18) ** 2 + ((x - 35) / 16) ** 2 < 1
    array = np.where(body, 20, -1000).astype(np.int16)
    array[liver] = 100
    geometry = Geometry(size=(120, 96, 24), spacing=(2.0, 2.0, 5.0), origin=(-119.0, -95.0, -57.5))
    return Patient(
        Volume(array, geometry, "CT", "Small patient"),
        Labelmap(liver.astype(np.uint8), geometry, (LIVER,)),
        Labelmap(np.roll(liver, 4, axis=2).astype(np.uint8), geometry),
    )


def pixels(png: bytes) -> npt.NDArray[np.int64]:
    """A PNG as ``(rows, columns, 3)``."""
    from PIL import Image

    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")).astype(np.int64)


def stored_otherwise(patient: Patient, axes: tuple[int, int, int], flips: tuple[int, ...]) -> Patient:
    """The same patient with array axes permuted and flipped, and the geometry that goes with it."""
    geometry = patient.volume.geometry

    def turn(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.flip(array.transpose(axes), flips)

    shape = turn(patient.volume.array).shape
    matrix = geometry.index_to_lps
    # Index axes are x, y, z; array axes z, y, x.
    columns = [matrix[:, 2 - axis].copy() for axis in axes]
    origin = matrix[:, 3].copy()
    for axis in flips:
        origin += columns[axis] * (shape[axis] - 1)
        columns[axis] *= -1
    turned = np.stack([*reversed(columns), origin], axis=1)
    other = Geometry.from_index_to_lps(turned, shape[::-1])
    return Patient(
        Volume(turn(patient.volume.array), other, "CT", patient.volume.name),
        Labelmap(turn(patient.mask.array), other, patient.mask.segments),
        Labelmap(turn(patient.reference.array), other, patient.reference.segments),
    )
