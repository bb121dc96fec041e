"""A patient drawn from anatomy: a CT of the upper abdomen with its liver, for the demo and for tests.

Everything in this folder was fixed from anatomical knowledge before any model was run on it, and no model was trained,
validated or tuned on it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...volumes import Code, Geometry, Labelmap, Segment, Volume
from .dicom import write_dicom_series
from .drawing import draw
from .space import make_space
from .variation import draw_patient

__all__ = ["LIVER", "make", "write_dicom_series"]

SIZE = 512
SLICES = 62
SPACING = (0.7421875, 0.7421875, 5.0)
"""Columns, rows, slices, mm: a field of view of 380 mm and the slices of a routine abdomen."""

BOTTOM_MM = -14.0
"""Height of the lowest slice above the disc between the fourth and the fifth lumbar vertebra, mm."""

WARP_MM = 2.6
"""Standard deviation of the random displacement of soft tissue, mm."""

PADDING_HU = -1024
MAXIMUM_HU = 3071

LIVER = Segment(
    value=1,
    name="Liver",
    colour=(221, 130, 101),
    category=Code("SCT", "123037004", "Anatomical Structure"),
    type=Code("SCT", "10200004", "Liver"),
)

_STREAM = 20250114


def make(seed: int = 0) -> tuple[Volume, Labelmap]:
    """Draw a patient.

    Parameters
    ----------
    seed:
        Which patient, 0 or more: build, organs, contrast, bowel and noise vary within the limits of a normal adult.
        The same seed gives the same patient; on another processor, rounding may move single voxels by 1 HU.

    Returns
    -------
    The scan, int16 HU ``(62, 512, 512)`` of 5 x 0.74 x 0.74 mm, feet to head, portal venous phase, -1024 outside the
    scanner's field of view; and the liver with its inner vessels, without gallbladder, vena cava and portal trunk,
    as label 1. It takes about ten seconds.
    """
    return _scan(seed, SLICES, BOTTOM_MM)


def _scan(seed: int, slices: int, bottom: float) -> tuple[Volume, Labelmap]:
    """As many slices of a patient, the lowest at a height in anatomical mm."""
    rng = np.random.default_rng([_STREAM, seed])
    patient = draw_patient(rng)
    space = make_space(SIZE, slices, SPACING, patient.scale, bottom, WARP_MM, rng)
    hu, liver = draw(space, patient, rng)
    pixels = np.arange(SIZE) - (SIZE - 1) / 2
    hu[:, np.hypot(pixels[None, :], pixels[:, None]) > SIZE / 2] = PADDING_HU
    geometry = Geometry(
        size=(SIZE, SIZE, slices),
        spacing=SPACING,
        origin=(pixels[0] * SPACING[0], pixels[0] * SPACING[1], -SPACING[2] * slices),
    )
    facts = {
        "StudyDescription": "Synthetic abdomen",
        "SeriesDescription": "Synthetic patient",
        "BodyPartExamined": "ABDOMEN",
        "SliceThickness": f"{SPACING[2]:g}",
    }
    array = np.clip(np.rint(hu), PADDING_HU, MAXIMUM_HU).astype(np.int16)
    volume = Volume(array, geometry, modality="CT", name="Synthetic patient", facts=facts)
    return volume, Labelmap(_largest_part(liver > 0.5), geometry, (LIVER,))


def _largest_part(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """The largest connected part: a sliver cut off by a neighbour is nothing that a reader would mark."""
    from scipy import ndimage

    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax(), dtype=np.uint8)
