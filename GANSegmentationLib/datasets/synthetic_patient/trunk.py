"""The walls of the body: skin, muscle, the inner surface of ribs and muscles, and the diaphragm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .space import STRIDE, Field, Space, intersection, ring, union
from .variation import Patient


@dataclass(frozen=True, eq=False)
class Trunk:
    """The walls of the body.

    Parameters
    ----------
    skin, fascia, cavity:
        Outer surface of the body, of the muscles, and inner surface of the muscles and ribs.
    lung, abdomen:
        What lies above the diaphragm, and what lies below it.
    """

    skin: Field
    fascia: Field
    cavity: Field
    lung: Field
    abdomen: Field


def make_trunk(space: Space, patient: Patient) -> Trunk:
    """Skin, muscle wall and the two cavities that the diaphragm parts."""
    fascia_keys = [
        (-20.0, 141.0, 84.0, 92.0), (20.0, 140.0, 86.0, 93.0), (60.0, 143.0, 90.0, 95.0), (100.0, 151.0, 97.0, 98.0),
        (140.0, 156.0, 101.0, 100.0), (220.0, 158.0, 105.0, 103.0), (300.0, 156.0, 109.0, 106.0),
    ]  # fmt: skip
    fat = (
        (25.0, 21.0, 15.0), (22.0, 20.0, 14.0), (15.0, 17.0, 13.0), (11.0, 15.0, 12.0), (9.0, 14.0, 11.0),
        (9.0, 12.0, 10.0), (10.0, 10.0, 9.0),
    )  # fmt: skip
    skin_keys = [
        (z, side + patient.fat * f[0], front + patient.fat * f[1], back + patient.fat * f[2])
        for (z, side, front, back), f in zip(fascia_keys, fat, strict=True)
    ]
    cavity_keys = [
        (-20.0, 125.0, 74.0, 66.0), (60.0, 129.0, 80.0, 69.0), (100.0, 138.0, 87.0, 71.0), (140.0, 143.0, 91.0, 74.0),
        (180.0, 145.0, 94.0, 78.0), (220.0, 145.0, 96.0, 82.0), (300.0, 142.0, 99.0, 86.0),
    ]  # fmt: skip
    skin, fascia, cavity = (ring(space, keys) for keys in (skin_keys, fascia_keys, cavity_keys))
    x, y, z = space.grid
    # The furrow over the spinous processes, and the navel's flattening of the belly.
    skin = skin + np.where(y > 0, 5 * np.exp(-((x / 14) ** 2)), 2 * np.exp(-((x / 20) ** 2))).astype(np.float32)
    height = z - _diaphragm(space, patient)
    pitch = [float(space.z[1] - space.z[0]) / 2, STRIDE * float(space.y[1] - space.y[0]), STRIDE * space.pixel]
    slope = np.sqrt(sum(np.clip(g, -6, 6) ** 2 for g in np.gradient(height, *pitch)))
    above = height / np.maximum(slope, 1)
    return Trunk(
        skin=skin,
        fascia=fascia,
        cavity=cavity,
        lung=intersection(cavity + 1.5, -above),
        abdomen=intersection(cavity + 2.5, above + 3.0, 3.0),
    )


def _diaphragm(space: Space, patient: Patient) -> Field:
    """The z of the diaphragm's upper surface over each sample's x and y."""
    x, y, _ = space.grid

    def dome(side: int, centre_x: float, peak: float, drops: tuple[float, float, float, float]) -> Field:
        outward, inward, front, back = drops
        dx, dy = (x - centre_x) * side, y + 8
        u = dx / np.where(dx > 0, np.float32(148 - abs(centre_x)), np.float32(132))
        v = dy / np.where(dy > 0, np.float32(93), np.float32(92))
        gauge = np.hypot(u, v) + np.float32(1e-3)
        lateral = np.where(dx > 0, np.float32(outward), np.float32(inward))
        sagittal = np.where(dy > 0, np.float32(back), np.float32(front))
        drop = (lateral * u**2 + sagittal * v**2) / gauge**2
        # A quarter of an ellipse: flat on top, upright at the wall (the zone of apposition).
        fall = (
            0.55 * (1 - np.sqrt(1 - np.minimum(gauge, np.float32(0.985)) ** 2))
            + 0.45 * gauge**2
            + 0.3 * np.maximum(gauge - 0.985, 0)
        )
        height: Field = peak - drop * fall
        return height

    right = dome(-1, -70.0, 244.0 + patient.dome, (70.0, 100.0, 34.0, 80.0))
    left = dome(1, 78.0, 229.0 + patient.dome, (62.0, 100.0, 28.0, 72.0))
    return -union(-right, -left, 24.0)
