"""The soft organs around the liver: where they lie and how they press on each other. Lengths in mm of the atlas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .space import (
    FAR,
    Field,
    Space,
    add_tube,
    ellipsoid,
    intersection,
    rotation,
    smooth_noise,
    spline,
    tube,
    union,
    without,
)
from .trunk import Trunk
from .variation import Patient

OESOPHAGUS = ((9, 24, 305, 9), (8, 20, 255, 9), (10, 12, 228, 9), (18, 2, 213, 9), (30, -6, 205, 11))


VENA_CAVA = (
    (-19, 25, -2, 10), (-20, 22, 40, 10.5), (-21, 20, 90, 11), (-23, 18, 130, 11.5), (-26, 17, 165, 12),
    (-27, 15, 195, 12), (-26, 8, 222, 12.5), (-23, -1, 240, 13), (-20, -8, 256, 14), (-20, -20, 280, 15),
)  # fmt: skip


AORTA = (
    (17, 36, 310, 12.5), (15, 33, 250, 12), (10, 29, 205, 11.5), (5, 24, 160, 11), (3, 17, 115, 10), (3, 14, 70, 9.3),
    (2, 16, 30, 9), (1, 19, 14, 8.8),
)  # fmt: skip


def make_neighbours(space: Space, patient: Patient, trunk: Trunk, rng: np.random.Generator) -> dict[str, Field]:
    """The organs that shape the liver, each within the abdomen, by name."""
    pitch = (space.thickness / 2, 3.0, 3.0)
    shape = space.grid.shape[1:]

    def rough(amount: float, scale: float) -> Field:
        return (amount * smooth_noise(shape, pitch, scale, rng)).astype(np.float32)

    organs: dict[str, Field] = {}
    organs["vena_cava"] = _flattened(space, VENA_CAVA, 0.8)
    organs["aorta"] = tube(space, AORTA)
    organs["oesophagus"] = tube(space, OESOPHAGUS)
    organs["gallbladder"] = tube(
        space, ((-64, -71, 124, 11), (-59, -62, 132, 14.5), (-53, -50, 142, 14), (-45, -38, 151, 9), (-40, -30, 157, 4))
    )
    organs["right_kidney"] = ellipsoid(space, (-73, 37, 107), (26.5, 23.5, 52), rotation(-15, 10, 30)) + rough(0.8, 18)
    organs["left_kidney"] = ellipsoid(space, (73, 38, 121), (26.5, 23.5, 53), rotation(-15, -10, -30)) + rough(0.8, 18)
    stomach = tube(
        space,
        ((66, 22, 211, 15), (68, 16, 200, 29), (70, -4, 188, 35), (72, -28, 174, 32), (64, -48, 156, 27),
         (44, -60, 142, 22), (20, -62, 136, 18), (-2, -58, 136, 16), (-20, -50, 138, 13)),
        margin=12.0,
    )  # fmt: skip
    organs["stomach"] = intersection(stomach + rough(1.5, 22), trunk.abdomen + 1.0, 4.0)
    organs["duodenum"] = tube(
        space,
        ((-22, -48, 139, 9), (-36, -42, 141, 14), (-46, -26, 133, 12), (-48, -12, 115, 12), (-45, -4, 96, 12.5),
         (-28, -2, 85, 12), (0, -4, 84, 10.5), (22, -6, 96, 11), (30, -16, 112, 12)),
    ) + rough(1.0, 12)  # fmt: skip
    organs["pancreas"] = union(
        tube(
            space,
            ((-28, -14, 98, 9), (-30, -16, 112, 14), (-24, -22, 124, 13), (-8, -32, 131, 9.5), (14, -30, 139, 10),
             (38, -16, 148, 10), (62, 2, 158, 10.5), (80, 12, 166, 8)),
        ),
        tube(space, ((-20, -10, 104, 8), (-10, -6, 100, 6))),
        3.0,
    ) + rough(1.6, 8)  # fmt: skip
    f = patient.spleen
    spleen = ellipsoid(space, (106, 36, 177), (36 * f, 58 * f, 55 * f), rotation(-24, 0, 28)) + rough(1.6, 24)
    spleen = without(spleen, ellipsoid(space, (66, 8, 186), (42, 46, 62), rotation(-20, 0, 20)), 0.0, 6.0)
    spleen = without(spleen, organs["left_kidney"], 5.0, 5.0)
    organs["spleen"] = intersection(without(spleen, organs["stomach"], 3.0, 4.0), trunk.abdomen + 0.5, 5.0)
    organs["stomach"] = without(organs["stomach"], organs["spleen"], 2.0, 4.0)
    organs["colon"] = _colon(space, rng)
    organs["colon"] = intersection(organs["colon"], trunk.abdomen + 1.5, 4.0)
    for name in ("stomach", "spleen", "right_kidney"):
        organs["colon"] = without(organs["colon"], organs[name], 3.0, 4.0)
    return organs


def _flattened(space: Space, nodes: Sequence[tuple[float, float, float, float]], ratio: float) -> Field:
    """A vertical vessel whose section is flattened from front to back."""
    table = np.array(nodes, dtype=np.float64)
    x, y, z = space.grid
    cx, cy, r = (np.interp(z, table[:, 2], table[:, k]).astype(np.float32) for k in (0, 1, 3))
    field: Field = np.hypot(x - cx, (y - cy) / ratio) - r
    outside = np.maximum(table[0, 2] - z, z - table[-1, 2])
    return intersection(field * np.float32((1 + ratio) / 2), outside.astype(np.float32))


def pillar(space: Space, nodes: Sequence[tuple[float, float, float, float, float]]) -> Field:
    """An upright muscle with oval sections: nodes ``(z, x, y, half width, half depth)``."""
    table = np.array(nodes, dtype=np.float64)
    x, y, z = space.grid
    cx, cy, a, b = (np.interp(z, table[:, 0], table[:, k]).astype(np.float32) for k in (1, 2, 3, 4))
    field = (np.hypot((x - cx) / a, (y - cy) / b) - 1) * np.minimum(a, b)
    return intersection(field, np.maximum(table[0, 0] - z, z - table[-1, 0]).astype(np.float32), 3.0)


def _colon(space: Space, rng: np.random.Generator) -> Field:
    """From the caecum round to the sigmoid, pinched into haustra."""
    nodes = np.array(
        [
            (-96, -14, -30, 25), (-100, -6, 5, 24), (-106, 2, 40, 21), (-106, 0, 72, 20), (-98, -20, 92, 20),
            (-84, -46, 98, 19), (-66, -62, 96, 17), (-44, -70, 88, 17), (-14, -74, 84, 17), (18, -72, 90, 17),
            (50, -66, 104, 17), (82, -56, 122, 18), (104, -34, 144, 18), (116, -8, 158, 17), (118, 14, 142, 15),
            (116, 22, 110, 14.5), (112, 18, 70, 14.5), (106, 12, 30, 14), (100, 8, -5, 14), (94, -4, -30, 14),
        ]
    )  # fmt: skip
    fine = spline(nodes, 6)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(fine[:, :3], axis=0), axis=1))])
    phase = length / 26 + np.cumsum(rng.normal(0, 0.05, len(length)))
    fine[:, 3] *= 1 + 0.11 * np.cos(2 * np.pi * phase)
    fine[:, 3] *= np.interp(length, np.linspace(0, length[-1], 14), rng.uniform(0.88, 1.1, 14))
    field = np.full(space.grid.shape[1:], FAR, np.float32)
    add_tube(field, space, fine)
    return field


def pack_small_bowel(
    space: Space, trunk: Trunk, taken: Field, rng: np.random.Generator
) -> tuple[Field, list[np.ndarray]]:
    """Loops of jejunum and ileum wherever the peritoneal cavity is free.

    Returns
    -------
    The loops, and the centre line ``(n, 4)`` of each as x, y, z, radius.
    """
    free = np.minimum(taken, -trunk.abdomen - 1.0)
    # The root of the mesentery stays fat: bowel hangs around it.
    free = np.minimum(
        free, tube(space, ((4, -12, 125, 9), (2, -16, 90, 9), (-4, -14, 50, 9), (-14, -4, 10, 8)), pieces=3)
    )
    loops: list[np.ndarray] = []
    field = np.full(space.grid.shape[1:], FAR, np.float32)
    low, high = np.array((-110.0, -85.0, -25.0)), np.array((112.0, 18.0, 134.0))
    centres = rng.uniform(low, high, (60000, 3))
    centres = centres[free[space.index(centres)] > 7.0]
    for attempt, (centre, *where) in enumerate(zip(centres, *space.index(centres), strict=True)):
        # Long loops first, short ones into the gaps.
        late = attempt / len(centres)
        if free[tuple(where)] < 6.0:
            continue
        # Jejunum, upper left, is wider than ileum, lower right.
        radius = rng.uniform(7.5, 11.5) - 1.8 * late + 1.5 * np.clip((centre[0] + centre[2] - 60) / 100, -1, 1)
        heading = rng.normal(size=3) * (1.0, 0.7, 0.8)
        bend = rng.normal(size=3)
        heading, bend = heading / np.linalg.norm(heading), bend / np.linalg.norm(bend)
        t = np.linspace(-1, 1, 7)[:, None]
        half = rng.uniform(9, 36 - 22 * late)
        line = centre + half * t * heading + 0.8 * half * (t**2 - 0.5) * bend
        width = radius * (1 + 0.08 * np.sin(5 * t[:, 0] + rng.uniform(0, 6)))
        if free[space.index(line)].min() < width.max() - 0.3 or line[:, 2].max() > 140:
            continue
        nodes = np.column_stack([line, width])
        own = np.full_like(field, FAR)
        add_tube(own, space, nodes, margin=16.0)
        field = np.minimum(field, own)
        free = np.minimum(free, own)
        loops.append(nodes)
    return field, loops
