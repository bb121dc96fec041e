"""What gives each tissue its texture."""

from __future__ import annotations

import numpy as np

from .imaging import Attenuation, Canvas
from .space import Field, smooth_noise


class Grain:
    """Random texture of a fixed scale that every tissue can draw on.

    Parameters
    ----------
    fine, coarse:
        Noise of mean 0 and deviation 1, structures of about 3 mm and 12 mm, ``(slices, rows, columns)``.
    """

    def __init__(self, canvas: Canvas, rng: np.random.Generator) -> None:
        space = canvas.space
        shape = canvas.hu.shape
        pitch = (space.thickness, space.pixel, space.pixel)
        self.fine = smooth_noise(shape, pitch, 3.2, rng)
        half = (shape[0], shape[1] // 4, shape[2] // 4)
        coarse = smooth_noise(half, (space.thickness, 4 * space.pixel, 4 * space.pixel), 13.0, rng)
        self.coarse = coarse.repeat(4, axis=1).repeat(4, axis=2)

    def tissue(self, mean: float, fine: float, coarse: float = 0.0) -> Attenuation:
        """A tissue of that mean, with deviations of the two textures, HU."""

        def patch(i: int, rows: slice, columns: slice) -> Field:
            texture: Field = mean + fine * self.fine[i, rows, columns] + coarse * self.coarse[i, rows, columns]
            return texture

        return patch

    def strands(self, fat: float, strand: float, share: float) -> Attenuation:
        """Fat with strands of brighter tissue in it."""

        def patch(i: int, rows: slice, columns: slice) -> Field:
            fine = self.fine[i, rows, columns]
            bright = np.clip((fine - share) * 1.6, 0, 1)
            texture: Field = fat + 4 * self.coarse[i, rows, columns] + (strand - fat) * bright
            return texture

        return patch

    def stool(self, mean: float, gas: float) -> Attenuation:
        """Faeces: lumps with bubbles of gas."""

        def patch(i: int, rows: slice, columns: slice) -> Field:
            fine, coarse = self.fine[i, rows, columns], self.coarse[i, rows, columns]
            bubbles = np.clip((fine + 0.7 * coarse - 1.1) * 1.3, 0, 1)
            texture: Field = mean + 22 * fine - 25 * np.abs(coarse) + (gas - mean) * bubbles * 0.75
            return texture

        return patch
