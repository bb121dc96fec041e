"""The vessels within the liver, and the small ones of mesentery and lung, as rods between points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .space import Field, Space, spline

Nodes = np.ndarray
"""Consecutive ends of rods ``(n, 4)``: x, y, z, radius, mm."""

PORTAL_TRUNK = (
    (-8, -16, 132, 6.5), (-14, -16, 141, 7.0), (-22, -14, 152, 7.2), (-30, -12, 163, 7.0), (-36, -12, 168, 6.5),
)  # fmt: skip
SPLENIC_VEIN = ((82, 24, 172, 3.0), (64, 14, 162, 4.0), (40, -4, 151, 4.5), (16, -16, 141, 5.0), (-8, -16, 132, 5.6))
MESENTERIC_VEIN = (
    (-8, -16, 132, 6.0),
    (-11, -22, 112, 5.8),
    (-11, -24, 86, 5.2),
    (-13, -22, 55, 4.4),
    (-20, -16, 28, 3.4),
)
MESENTERIC_ARTERY = (
    (4, 10, 141, 3.8),
    (3, -4, 133, 3.8),
    (2, -14, 118, 3.6),
    (2, -20, 92, 3.4),
    (0, -22, 60, 3.0),
    (-8, -18, 30, 2.4),
)
COELIAC = ((5, 14, 154, 3.6), (5, 2, 156, 3.4), (4, -6, 156, 3.2))
HEPATIC_ARTERY = ((4, -6, 156, 2.8), (-8, -16, 154, 2.4), (-18, -22, 154, 2.2), (-30, -20, 164, 1.9))
SPLENIC_ARTERY = ((4, -6, 156, 2.9), (20, -6, 160, 2.6), (40, 6, 158, 2.5), (60, 18, 166, 2.4), (80, 28, 176, 2.0))
LEFT_RENAL_VEIN = ((50, 30, 120, 4.2), (28, 14, 121, 4.4), (10, 1, 120, 3.6), (-4, 3, 118, 4.2), (-16, 14, 117, 5.0))
RIGHT_RENAL_VEIN = ((-50, 32, 107, 4.6), (-36, 26, 109, 5.0), (-24, 20, 111, 5.0))
LEFT_RENAL_ARTERY = ((8, 20, 124, 3.0), (26, 28, 120, 2.7), (46, 34, 120, 2.3))
RIGHT_RENAL_ARTERY = ((-4, 22, 120, 3.0), (-20, 34, 114, 2.7), (-46, 36, 108, 2.3))
RIGHT_ILIAC_ARTERY = ((0, 18, 18, 7.0), (-10, 18, 2, 6.2), (-24, 24, -16, 5.8), (-36, 32, -34, 5.6))
LEFT_ILIAC_ARTERY = ((2, 18, 18, 7.0), (14, 18, 2, 6.2), (28, 24, -16, 5.8), (38, 32, -34, 5.6))
RIGHT_ILIAC_VEIN = ((-18, 26, 4, 9.0), (-26, 32, -14, 8.0), (-38, 40, -34, 7.5))
LEFT_ILIAC_VEIN = ((-16, 26, 2, 8.5), (2, 30, -8, 8.0), (24, 36, -22, 7.5), (36, 42, -34, 7.5))

# The first orders of the tree within the liver; the rest branches off at random.
_PORTAL = (
    ((-36, -12, 168, 6.2), (-52, -8, 171, 5.4), (-64, -4, 172, 4.8)),
    ((-64, -4, 172, 4.4), (-76, -20, 182, 3.8), (-86, -34, 196, 3.0), (-92, -42, 210, 2.2)),
    ((-66, -8, 172, 3.8), (-76, -28, 160, 3.2), (-84, -40, 146, 2.5), (-90, -44, 132, 1.8)),
    ((-64, -4, 172, 4.4), (-80, 12, 178, 3.8), (-96, 24, 190, 3.0), (-104, 28, 206, 2.0)),
    ((-66, 0, 171, 3.8), (-84, 12, 160, 3.3), (-100, 18, 142, 2.7), (-112, 16, 122, 2.0)),
    ((-36, -12, 168, 5.0), (-24, -16, 175, 4.6), (-10, -24, 181, 4.4), (2, -40, 186, 4.6), (3, -56, 184, 3.8)),
    ((2, -40, 186, 3.4), (18, -34, 196, 2.8), (36, -40, 203, 2.2), (52, -50, 206, 1.6)),
    ((3, -54, 184, 3.0), (18, -58, 184, 2.5), (34, -64, 182, 2.0), (46, -70, 180, 1.5)),
    ((2, -54, 184, 3.0), (-14, -64, 186, 2.5), (-26, -74, 192, 1.8)),
    ((2, -56, 183, 2.8), (-14, -66, 172, 2.2), (-24, -74, 162, 1.6)),
)
_HEPATIC = (
    ((-26, 8, 222, 5.5), (-44, 8, 216, 5.0), (-68, 8, 202, 4.3), (-90, 4, 182, 3.6), (-106, 0, 158, 2.8),
     (-114, -2, 134, 2.0)),
    ((-24, 2, 224, 5.0), (-32, -14, 216, 4.6), (-44, -32, 200, 4.0), (-54, -48, 180, 3.2), (-60, -58, 160, 2.3)),
    ((-24, 2, 224, 4.6), (-14, -14, 219, 4.2), (6, -30, 213, 3.6), (28, -44, 206, 2.8), (50, -56, 201, 2.0)),
    ((-30, 16, 168, 2.6), (-50, 22, 158, 2.2), (-72, 26, 146, 1.7)),
)  # fmt: skip


def liver_trees(space: Space, liver: Field, rng: np.random.Generator) -> tuple[list[Nodes], list[Nodes]]:
    """Portal and hepatic veins inside the liver, with their branches."""
    portal, hepatic = ([spline(np.array(stem, dtype=np.float64), 3) for stem in stems] for stems in (_PORTAL, _HEPATIC))
    for tree in (portal, hepatic):
        for stem in list(tree):
            tree.extend(_branches(space, liver, stem, 0, rng))
    return portal, hepatic


def _branches(space: Space, liver: Field, stem: Nodes, order: int, rng: np.random.Generator) -> list[Nodes]:
    """Side branches of a stem, and theirs, as far as they stay in the parenchyma and can be seen."""
    grown: list[Nodes] = []
    steps = np.linalg.norm(np.diff(stem[:, :3], axis=0), axis=1)
    length = float(steps.sum())
    position = np.concatenate([[0], np.cumsum(steps)])
    at = rng.uniform(4, 9)
    while at < length:
        here = np.array([np.interp(at, position, stem[:, k]) for k in range(4)])
        index = min(int(np.searchsorted(position, at)), len(stem) - 1)
        forward = stem[index, :3] - stem[index - 1, :3]
        forward = forward / (np.linalg.norm(forward) + 1e-9)
        # Murray's law shares the flow between unequal daughters.
        radius = here[3] * rng.uniform(0.48, 0.72)
        if radius >= 0.75:
            branch = _grow(space, liver, here[:3], forward, radius, rng)
            if branch is not None:
                grown.append(branch)
                if order < 2:
                    grown.extend(_branches(space, liver, branch, order + 1, rng))
        at += rng.uniform(5, 11) * (1 + 0.25 * here[3])
    return grown


def _grow(
    space: Space, liver: Field, start: np.ndarray, forward: np.ndarray, radius: float, rng: np.random.Generator
) -> Nodes | None:
    """A branch that leaves at 40 to 75 degrees, bends gently and ends before the capsule."""
    aside = np.cross(forward, rng.normal(size=3))
    aside /= np.linalg.norm(aside) + 1e-9
    angle = np.deg2rad(rng.uniform(40, 75))
    heading = np.cos(angle) * forward + np.sin(angle) * aside
    nodes = [np.append(start, radius)]
    for _ in range(int(rng.integers(4, 8))):
        heading = heading + rng.normal(0, 0.16, 3)
        heading /= np.linalg.norm(heading)
        point = nodes[-1][:3] + heading * (3.0 + 2.0 * radius)
        if liver[space.index(point)][0] > -4.0:
            break
        nodes.append(np.append(point, max(nodes[-1][3] * 0.90, 0.55)))
    return np.array(nodes) if len(nodes) > 2 else None


def mesenteric_vessels(loops: Sequence[Nodes], rng: np.random.Generator) -> list[Nodes]:
    """Thin arcs from the root of the mesentery to the loops of small bowel."""
    arcs = []
    for loop in loops:
        target = loop[len(loop) // 2, :3]
        root = np.array([rng.uniform(-10, 4), rng.uniform(-24, -14), np.clip(target[2] + rng.uniform(-5, 25), 20, 115)])
        middle = (root + target) / 2 + rng.normal(0, 6, 3)
        radius = rng.uniform(1.1, 2.1)
        arcs.append(spline(np.array([[*root, radius * 1.3], [*middle, radius], [*target, radius * 0.7]]), 4))
    return arcs


def lung_vessels(space: Space, lung: Field, rng: np.random.Generator) -> list[Nodes]:
    """Segments of pulmonary vessels that run from the hila down to the bases."""
    found: list[Nodes] = []
    for k in range(1400):
        side = 1 if k % 2 else -1
        start = np.array([side * rng.uniform(28, 132), rng.uniform(-75, 88), rng.uniform(170, 306)])
        hilum = np.array([side * 38.0, 10.0, 330.0])
        heading = (start - hilum) * (0.5, 0.5, 1.4)
        heading = heading / np.linalg.norm(heading) + rng.normal(0, 0.2, 3)
        end = start + heading * rng.uniform(14, 30)
        depth = -lung[space.index([start, end])].max()
        if depth > 3:
            radius = np.clip(0.03 * depth + rng.uniform(0.8, 1.9), 0.9, 3.2)
            found.append(np.array([[*start, radius], [*end, radius * 0.8]]))
    return found
