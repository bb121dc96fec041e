"""Colours that stay apart for everybody, the colour-blind included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

# M. Okabe and K. Ito, "Color Universal Design", 2008; those that also stand out from grey anatomy.
_CANDIDATES: Final[tuple[Colour, ...]] = (
    (86, 180, 233),  # sky blue
    (240, 228, 66),  # yellow
    (0, 158, 115),  # bluish green
    (230, 159, 0),  # orange
    (204, 121, 167),  # reddish purple
)

# G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, IEEE TVCG 15(6), 2009: severity 1.0, on linear RGB.
_SIGHTS: Final = (
    np.eye(3),
    np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
)


def contrasting_colour(colours: Sequence[Colour]) -> Colour:
    """Of a few colours that the colour-blind tell apart, the one farthest from all of the given ones.

    The distance is that in CIE L*a*b*, for normal sight, protanopia and deuteranopia, whichever is smallest.
    """
    if not colours:
        return _CANDIDATES[0]
    return max(_CANDIDATES, key=lambda candidate: min(colour_distance(candidate, colour) for colour in colours))


def colour_distance(first: Colour, second: Colour) -> float:
    """The smallest CIE 1976 difference of two colours over normal sight, protanopia and deuteranopia."""
    return min(float(np.linalg.norm(_lab(first, sight) - _lab(second, sight))) for sight in _SIGHTS)


def _lab(colour: Colour, sight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """CIE L*a*b* (D65) of an sRGB colour as a sight sees it."""
    encoded = np.array(colour, dtype=np.float64) / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(sight @ linear, 0.0, 1.0)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    x, y, z = np.cbrt(np.maximum(to_xyz @ seen / np.array([0.95047, 1.0, 1.08883]), 216 / 24389))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
