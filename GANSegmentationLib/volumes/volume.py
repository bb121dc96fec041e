"""A scan in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .geometry import Geometry


@dataclass(frozen=True, eq=False)
class Volume:
    """One scalar image on its grid; nothing in it can be changed.

    Parameters
    ----------
    array:
        Voxels ``(z, y, x)``, any integer or float type; HU for CT, arbitrary units for MR. Kept as a read-only view,
        not copied.
    geometry:
        The grid; its `Geometry.shape` is the array's shape.
    modality:
        DICOM's word (``"CT"``, ``"MR"``, ...), or None where the file does not say.
    name:
        What a person would call the volume: series description, file name. May hold what identifies a patient only
        where the caller put it there.
    facts:
        Further facts of study and series as text, keyed by DICOM keyword (``"StudyInstanceUID"``,
        ``"SeriesDescription"``, ...). Never the patient's name, ID or birth date.

    Raises
    ------
    GANSegmentationError
        ``invalid_volume`` if the array is not three-dimensional, not numeric or not of the geometry's shape.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    modality: str | None = None
    name: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.ndim != 3 or array.shape != self.geometry.shape:
            raise GANSegmentationError(
                "invalid_volume",
                f"The voxels have the shape {array.shape}, the grid has {self.geometry.shape} (slices, rows, columns).",
                cause="The image is not a single scalar volume (colour, 4D), or its header is damaged.",
                action="Choose a scalar volume.",
            )
        if array.dtype.kind not in "iufb":
            raise GANSegmentationError(
                "invalid_volume",
                f"The voxels are of the type {array.dtype}, which is not a number.",
                action="Choose a scalar volume of integer or floating point numbers.",
            )
        view = array.view()
        view.flags.writeable = False
        object.__setattr__(self, "array", view)
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))
