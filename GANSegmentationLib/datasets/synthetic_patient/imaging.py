"""From fields to a scan: partial volume, texture, the scanner's blur and its noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from .space import STRIDE, Field, Space, capsule

Attenuation = float | Callable[[int, slice, slice], Field | float]
"""HU of a tissue: one number, or what gives the patch ``(rows, columns)`` of slice i."""

Owner = Literal["liver", "other", "keep"]


class Canvas:
    """The scan while it is drawn: HU and, pixel by pixel, how much of it is liver.

    Parameters
    ----------
    space:
        The grids.
    hu, liver:
        ``(slices, rows, columns)`` float32; what is drawn later covers what was drawn before in proportion to the part
        of the voxel that it fills.
    """

    def __init__(self, space: Space, background: float) -> None:
        self.space = space
        shape = (len(space.z), len(space.y), len(space.x))
        self.hu = np.full(shape, background, np.float32)
        self.liver = np.zeros(shape, np.float32)
        self._up = _upsampling(len(space.x), space.grid.shape[-1])

    def paint(self, field: Field, hu: Attenuation, owner: Owner = "other") -> None:
        """Fill a shape given by its field on the coarse grid.

        The surface within a voxel is taken as flat, so the part of the voxel that is filled follows from the distance
        at its centre and from how much that changes across the voxel, 5 mm along z among it.
        """
        for i in range(len(self.space.z)):
            below, centre, above = field[2 * i : 2 * i + 3]
            rows, columns = _box(np.minimum(np.minimum(below, above), centre) < 3.0)
            if rows is None or columns is None:
                continue
            centre = centre[rows, columns]
            slope = np.hypot(*np.gradient(centre)) / STRIDE
            width = np.maximum(np.abs(above - below)[rows, columns] * 0.9 + slope, 0.35)
            patch_rows, up_rows = self._fine(rows)
            patch_columns, up_columns = self._fine(columns)
            distance = up_rows @ centre @ up_columns.T
            spread = np.maximum(up_rows @ width @ up_columns.T, 0.35)
            coverage = np.clip(0.5 - distance / spread, 0, 1)
            self.blend(i, patch_rows, patch_columns, coverage, hu, owner)

    def blend(
        self, i: int, rows: slice, columns: slice, coverage: Field, hu: Attenuation, owner: Owner = "other"
    ) -> None:
        """Lay a tissue over a patch of slice i in proportion to `coverage`."""
        value = hu(i, rows, columns) if callable(hu) else hu
        patch = self.hu[i, rows, columns]
        patch += coverage * (value - patch)
        if owner != "keep":
            part = self.liver[i, rows, columns]
            part += coverage * (np.float32(owner == "liver") - part)

    def paint_rods(self, nodes: Iterable[np.ndarray], hu: Attenuation, owner: Owner = "other") -> None:
        """Draw vessels: rods between consecutive ends ``(n, 4)`` as x, y, z, radius, in warped anatomy."""
        space = self.space
        offsets = np.array([-0.36, 0.0, 0.36]) * space.thickness
        for vessel in nodes:
            ends = np.column_stack([space.unwarped(vessel[:, :3]), vessel[:, 3]])
            reach = ends[:, 3].max() + 1.5
            first, last = np.searchsorted(
                space.z,
                [ends[:, 2].min() - reach - space.thickness / 2, ends[:, 2].max() + reach + space.thickness / 2],
            )
            for i in range(first, last):
                # All rods of a vessel are united before they are blended, or their joints would show.
                pieces = [
                    (a, b)
                    for a, b in pairwise(ends)
                    if min(a[2], b[2]) - reach - space.thickness / 2
                    < space.z[i]
                    < max(a[2], b[2]) + reach + space.thickness / 2
                ]
                if not pieces:
                    continue
                all_ends = np.array(pieces).reshape(-1, 4)
                rows = _span(space.y, all_ends[:, 1], reach)
                columns = _span(space.x, all_ends[:, 0], reach)
                if rows.stop <= rows.start or columns.stop <= columns.start:
                    continue
                x, y = space.x[None, columns].astype(np.float32), space.y[rows, None].astype(np.float32)
                coverage = np.zeros((y.shape[0], x.shape[1]), np.float32)
                for offset in offsets:
                    distance = np.full(coverage.shape, 30, np.float32)
                    for a, b in pieces:
                        np.minimum(distance, capsule(x, y, space.z[i] + offset, a, b), out=distance)
                    coverage += np.clip(0.5 - distance / space.pixel, 0, 1) / len(offsets)
                self.blend(i, rows, columns, coverage, hu, owner)

    def upsample(self, field: Field, i: int) -> Field:
        """A field in the centre of slice i on the fine grid ``(rows, columns)``."""
        fine: Field = self._up @ field[2 * i + 1] @ self._up.T
        return fine

    def _fine(self, coarse: slice) -> tuple[slice, Field]:
        """The pixels that a run of coarse samples covers, and what interpolates them."""
        size = len(self.space.x)
        start = max((coarse.start + 1) * STRIDE - STRIDE // 2, 0)
        stop = min((coarse.stop - 2) * STRIDE - STRIDE // 2, size)
        return slice(start, stop), self._up[start:stop, coarse]


def _upsampling(size: int, samples: int) -> Field:
    """The matrix ``(size, samples)`` of Catmull-Rom interpolation from coarse samples to pixels."""
    at = (np.arange(size) + STRIDE / 2) / STRIDE
    base = np.floor(at).astype(int)
    t = at - base
    weights = (
        (-t + 2 * t**2 - t**3) / 2,
        (2 - 5 * t**2 + 3 * t**3) / 2,
        (t + 4 * t**2 - 3 * t**3) / 2,
        (-(t**2) + t**3) / 2,
    )
    matrix = np.zeros((size, samples))
    for k, weight in enumerate(weights):
        np.add.at(matrix, (np.arange(size), np.clip(base + k - 1, 0, samples - 1)), weight)
    return matrix.astype(np.float32)


def _box(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice] | tuple[None, None]:
    """The bounding box of a mask with a rim for interpolation."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None, None
    return (
        slice(max(rows[0] - 3, 0), min(rows[-1] + 4, mask.shape[0])),
        slice(max(columns[0] - 3, 0), min(columns[-1] + 4, mask.shape[1])),
    )


def _span(axis: npt.NDArray[np.float64], values: npt.NDArray[np.float64], reach: float) -> slice:
    first, last = np.searchsorted(axis, [values.min() - reach, values.max() + reach])
    return slice(int(first), int(last))


def blurred(hu: Field, pixel: float, sigma_mm: float) -> Field:
    """The scanner's point spread in the plane: a Gaussian of `sigma_mm`."""
    from scipy import ndimage

    sigma = sigma_mm / pixel
    soft: Field = ndimage.gaussian_filter(hu, (0, sigma, sigma), mode="nearest", truncate=3.0)
    return soft


def scanner_noise(body: Field, pixel: float, deviation: float, rng: np.random.Generator) -> Iterator[Field]:
    """Noise of filtered back-projection with a soft kernel, slice by slice, HU.

    Its power spectrum rises with the frequency (the ramp), falls with the kernel, and is stronger for structures along
    x, because the rays through both flanks are the weakest (Hsieh, Computed Tomography, ch. 7).

    Parameters
    ----------
    body:
        Whether a pixel lies in the patient, 0 to 1, ``(slices, rows, columns)``.
    pixel:
        Pixel side, mm.
    deviation:
        Standard deviation in the centre of the body, HU.
    """
    from scipy import fft, ndimage

    _, rows, columns = body.shape
    fy = fft.fftfreq(rows, pixel)[:, None]
    fx = fft.rfftfreq(columns, pixel)[None, :]
    f = np.hypot(fx, fy)
    direction = 1 + 0.55 * (fy**2 - fx**2) / np.maximum(f**2, 1e-9)
    power = (f + 0.015) * np.exp(-((f / 0.36) ** 2.2)) * np.maximum(direction, 0.2)
    amplitude = np.sqrt(power).astype(np.float32)
    for inside in body:
        # Rays through the thick middle count the fewest photons.
        depth = ndimage.gaussian_filter(inside[::8, ::8], 26 / (8 * pixel))
        thick = ndimage.zoom(
            depth, (rows / depth.shape[0], columns / depth.shape[1]), order=1, grid_mode=True, mode="nearest"
        )
        white = rng.standard_normal((rows, columns), dtype=np.float32)
        noise = fft.irfft2(fft.rfft2(white) * amplitude, s=(rows, columns))
        noise *= deviation / noise.std()
        yield (noise * (0.45 + 0.6 * thick)).astype(np.float32)
