"""A volume and its masks as slices that a radiologist would look at: turned, cut to the body, in grey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from ..metrics.boxes import foreground_box
from ..slicing import orient
from ..volumes import Labelmap, Volume

Window = tuple[float, float]
"""Lowest and highest intensity shown: black and white."""

Box = tuple[slice, slice]
"""Rows and columns of a displayed slice."""

CT_WINDOW: Final[Window] = (-100.0, 240.0)
"""HU: soft tissue of the abdomen."""

# What lies left, right, above and below in the picture, and the two ends of the axis across the slices (low, high).
_LETTERS: Final = {
    "axial": ("R", "L", "A", "P", "I", "S"),
    "coronal": ("R", "L", "S", "I", "A", "P"),
    "sagittal": ("A", "P", "S", "I", "R", "L"),
}
_AXIS_ACROSS: Final = {"axial": 2, "coronal": 1, "sagittal": 0}


@dataclass(frozen=True, eq=False)
class Display:
    """Slices ``(slice, row, column)`` of a volume and its masks in one plane, as views.

    Parameters
    ----------
    plane:
        ``"axial"``, ``"coronal"`` or ``"sagittal"``.
    image, mask, reference:
        The voxels, the labels, and the reference's labels, if any.
    spacing_mm:
        Distance of slices, rows and columns.
    reversed_:
        Whether slices run against the array's own axis.
    """

    plane: str
    volume: Volume
    image: npt.NDArray[Any]
    mask: npt.NDArray[np.unsignedinteger]
    reference: npt.NDArray[np.unsignedinteger] | None
    spacing_mm: tuple[float, float, float]
    reversed_: bool
    array_axis: int

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """The patient's sides at the left, right, upper and lower edge."""
        left, right, top, bottom, _, _ = _LETTERS[self.plane]
        return left, right, top, bottom

    @property
    def n_slices(self) -> int:
        """How many slices there are."""
        return int(self.image.shape[0])

    def array_index(self, index: int) -> int:
        """The index along the array's own axis of the slice that is displayed as number `index`, or the reverse."""
        return self.n_slices - 1 - index if self.reversed_ else index

    def position(self, index: int) -> str:
        """Where the middle of a slice lies in the patient: ``"S 123.5 mm"``."""
        middle = [(n - 1) / 2 for n in self.volume.array.shape]
        middle[self.array_axis] = self.array_index(index)
        point = self.volume.geometry.index_to_lps @ np.array([*middle[::-1], 1.0])
        coordinate = round(float(point[_AXIS_ACROSS[self.plane]]), 1)
        low, high = _LETTERS[self.plane][4:]
        return f"{high if coordinate >= 0 else low} {abs(coordinate):.1f} mm"

    def areas(self) -> npt.NDArray[np.int64]:
        """Labelled pixels of every slice, of the mask or the reference."""
        arrays = [array for array in (self.mask, self.reference) if array is not None]
        areas: npt.NDArray[np.int64] = np.max([np.count_nonzero(array, axis=(1, 2)) for array in arrays], axis=0)
        return areas


def display(volume: Volume, mask: Labelmap, reference: Labelmap | None, plane: str) -> Display:
    """The slices of a plane, in radiological display, without a copy.

    Raises
    ------
    GANSegmentationError
        ``geometry_mismatch`` if mask or reference lie on another grid; ``invalid_slicing`` for an unknown plane.
    """
    for name, labelmap in (("mask", mask), ("reference", reference)):
        if labelmap is not None and not labelmap.geometry.matches(volume.geometry):
            raise GANSegmentationError(
                "geometry_mismatch",
                f"The {name} cannot be drawn over the volume: its grid of {labelmap.geometry.size} voxels is not "
                f"the volume's of {volume.geometry.size}, or lies elsewhere in the patient.",
                cause="They belong to different series, or one was resampled.",
                action=f"Choose the {name} of this volume, or resample it to the volume's grid.",
            )
    orientation = orient(volume.geometry, plane)
    spacing = [volume.geometry.spacing_zyx[axis] for axis in orientation.axes]
    return Display(
        plane=orientation.plane,
        volume=volume,
        image=orientation.apply(volume.array),
        mask=orientation.apply(mask.array),
        reference=None if reference is None else orientation.apply(reference.array),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        reversed_=orientation.flips[0],
        array_axis=orientation.axes[0],
    )


def choose_window(volume: Volume, window: Window | None = None) -> Window:
    """The window asked for, else soft tissue for CT, else the 1st to 99.5th percentile of a sample of the voxels.

    Raises
    ------
    GANSegmentationError
        ``invalid_window`` if what was asked for is empty or not finite.
    """
    if window is not None:
        low, high = float(window[0]), float(window[1])
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise GANSegmentationError(
                "invalid_window", f"A window from {low:g} to {high:g} shows nothing.", action="Give two rising numbers."
            )
        return low, high
    if volume.modality == "CT":
        return CT_WINDOW
    step = max(1, round((volume.array.size / 1e6) ** (1 / 3)))
    sample = volume.array[::step, ::step, ::step].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(sample, (1, 99.5)))
    return (low, high) if high > low else (low, low + 1.0)


def grey(image: npt.NDArray[Any], window: Window) -> npt.NDArray[np.uint8]:
    """A slice in a window as 0 to 255; what is not a number is black."""
    low, high = window
    values = (image.astype(np.float32) - np.float32(low)) * np.float32(255.0 / (high - low))
    values = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
    result: npt.NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return result


def label_counts(labels: npt.NDArray[np.unsignedinteger]) -> dict[int, int]:
    """How many voxels have each label, 0 left out; slice by slice, so that no copy of the whole is made."""
    total = np.zeros(1, np.int64)
    box = foreground_box(labels)
    for part in labels[box] if box is not None else ():
        numbers = np.bincount(part.ravel())
        if len(numbers) > len(total):
            total = np.pad(total, (0, len(numbers) - len(total)))
        total[: len(numbers)] += numbers
    return {int(value): int(total[value]) for value in np.flatnonzero(total) if value > 0}


def body_box(shown: Display, window: Window, *, margin_mm: float = 8.0) -> Box:
    """Rows and columns around what is not air, and around every label; the same for all slices of a plane."""
    low, high = window
    threshold = low + 0.1 * (high - low)
    step = max(1, shown.n_slices // 24)
    lit = shown.image[::step] > threshold
    labels = [array for array in (shown.mask, shown.reference) if array is not None]
    box = []
    for axis in (1, 2):
        other = 3 - axis
        # Rows with a few lit pixels are noise or the table's edge.
        there = (lit.sum(axis=other) > 0.04 * shown.image.shape[other]).any(axis=0)
        for array in labels:
            there |= array.any(axis=(0, other))
        box.append(_extent(there, round(margin_mm / shown.spacing_mm[axis])))
    return box[0], box[1]


def _extent(there: npt.NDArray[np.bool_], margin: int) -> slice:
    found = np.flatnonzero(there)
    if found.size == 0:
        return slice(0, len(there))
    return slice(max(0, int(found[0]) - margin), min(len(there), int(found[-1]) + 1 + margin))
