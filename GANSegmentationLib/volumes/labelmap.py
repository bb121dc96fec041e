"""A segmentation in memory: one integer a voxel, and the table that says what the integers mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .geometry import Geometry
from .segments import Segment


@dataclass(frozen=True, eq=False)
class Labelmap:
    """Labels on the grid of the scan they belong to; nothing in it can be changed.

    Parameters
    ----------
    array:
        Labels ``(z, y, x)``, unsigned integer, 0 = background. Kept as a read-only view, not copied.
    geometry:
        The grid, equal to the scan's.
    segments:
        What the values mean. A value in the array without a segment is allowed (a reference of unknown origin).

    Raises
    ------
    GANSegmentationError
        ``invalid_labelmap`` if the array is not an unsigned integer array of the geometry's shape, or two segments
        share a value.
    """

    array: npt.NDArray[np.unsignedinteger]
    geometry: Geometry
    segments: Sequence[Segment] = ()

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.dtype == np.bool_:
            array = array.view(np.uint8)
        if array.dtype.kind != "u" or array.shape != self.geometry.shape:
            raise GANSegmentationError(
                "invalid_labelmap",
                f"The labels have the shape {array.shape} and the type {array.dtype}; "
                f"expected {self.geometry.shape} of an unsigned integer type.",
                cause="The file is not a labelmap: its values are fractions, negative or colours.",
                action="Choose a mask with whole-number labels.",
            )
        values = [segment.value for segment in self.segments]
        if len(values) != len(set(values)):
            raise GANSegmentationError("invalid_labelmap", f"Two segments share a label value: {sorted(values)}.")
        view = array.view()
        view.flags.writeable = False
        object.__setattr__(self, "array", view)
        object.__setattr__(self, "segments", tuple(self.segments))
