"""Spine, ribs, costal cartilages and iliac wings, slice by slice on the fine grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .space import Field, capsule
from .tissues import Tissues

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Vertebra:
    """One vertebra with the disc below it: heights of its lower end and body, half width and half depth, mm."""

    name: str
    bottom: float
    height: float
    disc: float
    half_width: float
    half_depth: float

    @property
    def lumbar(self) -> bool:
        return self.name.startswith("L")


# Pitch and body sizes after Panjabi et al. 1991 and 1992, rounded.
VERTEBRAE = (
    Vertebra("L5", -36.0, 28.0, 10.0, 25.5, 17.5),
    Vertebra("L4", 2.0, 28.0, 10.0, 24.5, 17.5),
    Vertebra("L3", 40.0, 28.0, 10.0, 23.5, 17.5),
    Vertebra("L2", 77.0, 27.5, 9.5, 22.5, 17.3),
    Vertebra("L1", 113.0, 27.0, 9.0, 21.5, 17.0),
    Vertebra("T12", 146.5, 25.5, 8.0, 20.5, 16.5),
    Vertebra("T11", 177.5, 23.5, 7.5, 19.0, 16.0),
    Vertebra("T10", 206.0, 22.0, 6.5, 17.5, 15.5),
    Vertebra("T9", 233.0, 21.0, 6.0, 16.5, 15.0),
    Vertebra("T8", 259.0, 20.5, 5.5, 15.5, 14.5),
    Vertebra("T7", 284.0, 20.0, 5.0, 15.0, 14.0),
    Vertebra("T6", 308.5, 19.5, 5.0, 14.5, 13.5),
)

_SPINE_Z = (-40.0, 15.0, 55.0, 95.0, 130.0, 164.0, 200.0, 250.0, 310.0)
_SPINE_Y = (52.0, 44.0, 42.0, 44.0, 48.0, 53.0, 57.0, 61.0, 62.0)


def spine_y(z: float) -> float:
    """The y of the vertebral bodies' centres at a height."""
    return float(np.interp(z, _SPINE_Z, _SPINE_Y))


# Height where the rib leaves the spine, height of its bony end, and the angle of that end from the midline in front,
# degrees; then the height at which its cartilage reaches the sternum or the arch (None: a floating rib).
RIBS = (
    (398.0, 285.0, 20.0, 288.0),
    (374.0, 262.0, 23.0, 270.0),
    (349.0, 238.0, 27.0, 256.0),
    (325.0, 216.0, 33.0, 246.0),
    (299.0, 192.0, 41.0, 240.0),
    (274.0, 168.0, 52.0, 232.0),
    (248.0, 146.0, 68.0, None),
    (222.0, 140.0, 98.0, None),
    (193.0, 138.0, 128.0, None),
)


def bone_of_spine(x: Pixels, y: Pixels, z: float) -> tuple[Field, Field, Field, Field]:
    """The spine in one plane.

    Parameters
    ----------
    x, y:
        Pixel centres ``(rows, columns)``, mm.
    z:
        Height of the plane.

    Returns
    -------
    Distance to bone, depth of the trabecular bone within it (positive where bone is trabecular), distance to the disc,
    and distance to the vertebral canal, all mm, ``(rows, columns)``.
    """
    centre = spine_y(z)
    around = [v for v in VERTEBRAE if v.bottom - v.disc - 30 < z < v.bottom + v.height + 22]
    bone = np.full(x.shape, 30, np.float32)
    shell = np.full(x.shape, -30, np.float32)
    disc = np.full(x.shape, 30, np.float32)
    half_depth = 16.0
    for v in around:
        low, high = v.bottom - v.disc, v.bottom + v.height
        middle = v.bottom + v.height / 2
        own_y = spine_y(middle)
        waist = 1 - 0.10 * (1 - min(abs(z - middle) / (v.height / 2), 1) ** 2)
        outline = _body(x, y - centre, v.half_width * waist, v.half_depth * waist)
        if low <= z < high:
            half_depth = v.half_depth * waist
            inside = max(v.bottom - z, z - high)
            body = np.maximum(outline, np.float32(inside))
            bone = np.minimum(bone, body)
            shell = np.maximum(shell, np.minimum(-outline - 1.0, np.float32(-inside - 1.6)))
            disc = np.minimum(disc, np.maximum(outline - 1.0, np.float32(max(low - z, z - v.bottom))))
        arch = np.full(x.shape, 30, np.float32)
        for start, end in _arch(v, own_y, middle):
            reach = max(start[3], end[3]) + 1
            if not min(start[2], end[2]) - reach < z < max(start[2], end[2]) + reach:
                continue
            np.minimum(arch, capsule(x, y, z, start, end), out=arch)
        bone = np.minimum(bone, arch)
        shell = np.maximum(shell, -arch - 1.7)
    canal = np.hypot(x / 10.8, (y - centre - half_depth - 7.5) / 8.0).astype(np.float32) * 8.5 - 8.5
    return np.maximum(bone, -canal).astype(np.float32), shell, disc, canal


def _body(x: Pixels, y: Pixels, half_width: float, half_depth: float) -> Field:
    """A vertebral body in the plane: oval in front, hollow behind."""
    behind = y + 2.2 * np.exp(-((x / 9.0) ** 2)) * (y > 0)
    gauge = (np.abs(x / half_width) ** 2.4 + np.abs(behind / half_depth) ** 2.4) ** (1 / 2.4)
    radius = np.hypot(x, y) + 1e-3
    return np.asarray(radius - radius / np.maximum(gauge, 1e-3), dtype=np.float32)


def _arch(v: Vertebra, own_y: float, middle: float) -> Iterator[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Pedicles, laminae and processes as rods, each end ``(x, y, z, radius)``."""
    back = own_y + v.half_depth
    w = v.half_width
    spinous = 30 if v.lumbar else 26
    fall = 10 if v.lumbar else 24
    yield (0, back + 19, middle - 4, 4.0), (0, back + 19 + spinous, middle - fall, 3.6)
    yield (0, back + 22, middle - 12, 3.0), (0, back + 16 + spinous, middle - fall - 8, 3.4)
    for s in (-1.0, 1.0):
        yield (s * w * 0.62, back - 4, middle + 5, 4.6), (s * w * 0.66, back + 10, middle + 5, 4.6)
        yield (s * w * 0.62, back - 4, middle + 1, 4.2), (s * w * 0.66, back + 10, middle + 1, 4.2)
        yield (s * w * 0.66, back + 12, middle + 2, 4.0), (0, back + 19, middle - 5, 3.4)
        yield (s * w * 0.66, back + 13, middle - 5, 3.4), (0, back + 20, middle - 11, 3.0)
        yield (s * w * 0.72, back + 9, middle + 16, 4.4), (s * w * 0.70, back + 15, middle - 4, 4.6)
        yield (s * w * 0.68, back + 15, middle - 4, 4.6), (s * w * 0.64, back + 17, middle - 24, 4.6)
        if v.lumbar:
            yield (s * w * 0.72, back + 10, middle + 3, 4.4), (s * (w + 22), back + 14, middle + 4, 2.8)
        else:
            yield (s * w * 0.75, back + 12, middle + 4, 5.0), (s * (w + 17), back + 19, middle + 8, 4.2)
            # Head, neck and tubercle of the rib, up to its angle.
            yield (s * (w + 3), back - 9, middle + 9, 4.2), (s * (w + 20), back + 11, middle + 3, 3.4)
            yield (s * (w + 20), back + 11, middle + 3, 3.4), (s * (w + 38), back + 15, middle - 8, 3.6)


def ribs(x: Pixels, y: Pixels, z: float, cavity: Field) -> tuple[Field, Field]:
    """Distance to the ribs' bone and to the costal cartilages in one plane, mm.

    Parameters
    ----------
    x, y, cavity:
        Pixel centres and their distance to the thoracic cavity's inner surface, mm.
    """
    angle = np.degrees(np.arctan2(np.abs(x), -y))
    bone = np.full(x.shape, 30, np.float32)
    cartilage = np.full(x.shape, 30, np.float32)
    for start, end, last, sternal in RIBS:
        if not end - 12 < z < max(start, sternal or 0) + 12:
            continue
        along = np.clip((168 - angle) / (168 - last), 0, 1)
        # A rib leaves the spine almost level, is steepest at the side and levels again in front.
        height = start + (end - start) * (0.45 * along + 0.55 * along**2 * (3 - 2 * along))
        # Measured across the rib, which runs down at about 35 degrees at the side.
        across = (z - height) * 0.86
        outside = np.maximum(last - angle, angle - 160) * 1.7
        section = np.hypot((cavity - 5.0) / 3.4, across / 4.6) * 3.4 - 3.4
        bone = np.minimum(bone, np.maximum(section, outside).astype(np.float32))
        if sternal is not None:
            rise = np.clip((last - angle) / (last - 6), 0, 1)
            height = end + (sternal - end) * rise**1.2
            section = np.hypot((cavity - 5.0) / 4.6, (z - height) * 0.8 / 6.5) * 4.6 - 4.6
            beyond = np.maximum(angle - last - 2, 6 - angle) * 1.7
            cartilage = np.minimum(cartilage, np.maximum(section, beyond).astype(np.float32))
    return bone, cartilage


def sternum(x: Pixels, z: float, cavity: Field, y: Pixels) -> Field:
    """Distance to the xiphoid process and the body of the sternum in one plane, mm."""
    half = np.interp(z, (218, 228, 240, 252, 320), (3.0, 5.0, 9.0, 17.0, 18.0))
    flat = np.hypot(np.maximum(np.abs(x) - half + 4, 0), cavity - 5.0) - 4.6
    return np.asarray(np.maximum(np.maximum(flat, y), 216 - z), dtype=np.float32)


def iliac_wings(x: Pixels, y: Pixels, z: float) -> Field:
    """Distance to the iliac crests in one plane, mm."""
    u = np.linspace(0, 1, 17)
    crest = 15 - 150 * (u - 0.42) ** 2
    path = np.column_stack(
        [np.interp(u, (0, 0.25, 0.6, 1), (50, 84, 118, 134)), np.interp(u, (0, 0.25, 0.6, 1), (76, 58, 28, -22))]
    )
    field = np.full(x.shape, 30, np.float32)
    side = np.abs(x)
    for k in range(len(u) - 1):
        depth = (crest[k] + crest[k + 1]) / 2 - z
        if depth > -3:
            thick = 3.2 + 2.6 * np.exp(-(max(depth, 0) / 7)) + min(depth, 0)
            inward = 1 - 0.0022 * max(depth, 0)
            start, end = (*path[k] * inward, 0, thick), (*path[k + 1] * inward, 0, thick)
            np.minimum(field, capsule(side, y, 0.0, start, end), out=field)
    return field


def bone_density(depth: Field, tissues: Tissues, grain: Field) -> Field:
    """HU of bone by the depth of its trabecular part, mm: a compact shell around trabecular bone with its grain."""
    inner = np.clip(depth / 0.8 + 0.5, 0, 1)
    marrow = tissues.trabecular_bone + 38 * grain
    return np.asarray(tissues.compact_bone * (1 - inner) + marrow * inner, dtype=np.float32)
