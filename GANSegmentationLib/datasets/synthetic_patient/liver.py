"""The liver: hand-drawn axial outlines of its free surfaces, ended by the wall, the diaphragm and its neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .space import Field, Space, intersection, sections, smooth_noise, union, without
from .trunk import Trunk
from .variation import Patient

Outline = Sequence[tuple[float, float]]


# Right lobe with segment IV and the caudate lobe, from the falciform ligament along the visceral surface to the back.
# Where the liver meets the wall or the diaphragm the outline goes beyond them: they end it.
_RIGHT_LOBE: Mapping[float, Outline] = {
    80: (
        (-150, -100), (-150, -60), (-148, -40), (-147, -22), (-146, -8),
        (-146, 2), (-146, 12), (-148, 22), (-152, 30), (-158, 40),
    ),
    91: (
        (-138, -96), (-135, -60), (-130, -40), (-127, -22), (-126, -8),
        (-126, 3), (-127, 14), (-130, 24), (-136, 34), (-148, 44),
    ),
    107: (
        (-118, -105), (-114, -72), (-111, -48), (-110, -26), (-110, -10),
        (-110, 4), (-111, 16), (-115, 28), (-122, 40), (-140, 60),
    ),
    125: (
        (-82, -120), (-82, -84), (-85, -58), (-90, -34), (-93, -12),
        (-94, 6), (-95, 20), (-100, 33), (-108, 48), (-128, 85),
    ),
    141: (
        (-46, -120), (-46, -86), (-54, -60), (-67, -36), (-70, -12),
        (-69, 8), (-71, 22), (-82, 35), (-97, 52), (-118, 110),
    ),
    155: (
        (-9, -120), (-10, -80), (-23, -56), (-49, -27), (-43, -4),
        (-40, 12), (-44, 24), (-60, 36), (-86, 50), (-112, 110),
    ),
    168: (
        (-2, -120), (-3, -74), (-8, -44), (-31, -14), (-13, 1),
        (-10, 16), (-27, 28), (-46, 37), (-70, 52), (-98, 110),
    ),
    186: (
        (1, -120), (0, -70), (-2, -38), (-8, -17), (4, -1),
        (-2, 18), (-24, 29), (-43, 41), (-60, 60), (-80, 110),
    ),
    205: (
        (6, -120), (6, -60), (5, -34), (4, -16), (4, -2),
        (-4, 12), (-25, 24), (-45, 40), (-62, 58), (-76, 110),
    ),
    228: (
        (8, -120), (9, -60), (9, -38), (8, -18), (5, -6),
        (-7, 4), (-20, 12), (-42, 27), (-62, 50), (-76, 110),
    ),
    262: (
        (8, -120), (9, -60), (9, -38), (8, -18), (5, -6),
        (-7, 4), (-20, 12), (-42, 27), (-62, 50), (-76, 110),
    ),
}  # fmt: skip


_BEYOND_RIGHT: Outline = ((-185, 112), (-200, 0), (-185, -140))


# Segments II and III: falciform ligament, visceral surface, left tip.
_LEFT_LOBE: Mapping[float, Outline] = {
    128: (
        (4, -122), (4, -112), (7, -110), (10, -109),
        (13, -110), (15, -114), (14, -124),
    ),
    146: (
        (4, -125), (4, -82), (9, -78), (16, -80),
        (24, -86), (30, -96), (28, -135),
    ),
    163: (
        (4, -125), (4, -54), (11, -49), (21, -57),
        (33, -70), (42, -88), (40, -140),
    ),
    181: (
        (4, -125), (3, -30), (11, -26), (26, -40),
        (44, -60), (56, -84), (52, -140),
    ),
    200: (
        (-15, -125), (-14, -9), (5, -9), (30, -30),
        (54, -54), (70, -82), (64, -140),
    ),
    216: (
        (-20, -125), (-20, -5), (6, -4), (33, -25),
        (60, -50), (76, -78), (68, -140),
    ),
    240: (
        (-15, -125), (-15, -28), (10, -23), (33, -38),
        (56, -62), (66, -90), (58, -140),
    ),
}  # fmt: skip


def make_liver(
    space: Space, patient: Patient, trunk: Trunk, neighbours: Mapping[str, Field], rng: np.random.Generator
) -> Field:
    """The liver with all its vessels, in the place that the wall, the diaphragm and the neighbours leave it."""
    tip = {z: z - patient.liver_tip * np.clip((151 - z) / 50, 0, 1) for z in _RIGHT_LOBE}
    right = sections(space, {tip[z]: [*outline, *_BEYOND_RIGHT] for z, outline in _RIGHT_LOBE.items()})
    left = sections(
        space,
        {
            z: [(x + patient.left_lobe * np.clip(x / 60, 0, 1), y) for x, y in outline]
            for z, outline in _LEFT_LOBE.items()
        },
    )
    z = space.grid[2]
    right = intersection(right, (84 - patient.liver_tip) - z, 4.0)
    left = intersection(left, np.float32(134) - z, 4.0)
    pitch = (space.thickness / 2, 3.0, 3.0)
    rough = 1.3 * smooth_noise(z.shape, pitch, 26.0, rng) + 0.45 * smooth_noise(z.shape, pitch, 10.0, rng)
    liver = union(right, left, 3.0) + rough.astype(np.float32)
    for name, margin, blend in (
        ("gallbladder", 0.8, 1.0), ("vena_cava", 0.2, 1.0), ("right_kidney", 5.0, 5.0), ("stomach", 2.0, 4.0),
        ("colon", 4.0, 5.0), ("duodenum", 3.0, 4.0), ("oesophagus", 2.0, 3.0), ("spleen", 2.0, 4.0),
    ):  # fmt: skip
        liver = without(liver, neighbours[name], margin, blend)
    return intersection(liver, trunk.abdomen, 2.5)
