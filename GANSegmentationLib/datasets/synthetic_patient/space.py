"""The space in which the patient is drawn, and the shapes that are drawn in it.

A shape is a *field*: a float32 array on a coarse grid (about 3 mm in the plane, half a slice along z) that says how far
outside the shape's surface a point lies, in mm, negative inside. Fields are smooth, so the coarse grid loses nothing
that a CT scanner would show of a large organ, and unions, intersections and impressions are minima and maxima.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Axis = npt.NDArray[np.float64]
Point = tuple[float, float, float]

FAR = np.float32(30.0)
"""What a field says where nobody measured: far outside, mm."""

STRIDE = 4
"""Pixels from one coarse sample to the next."""


@dataclass(frozen=True, eq=False)
class Space:
    """The coarse grid of the fields and the fine grid of the pixels, both in anatomical millimetres.

    Anatomical coordinates are LPS with x = 0 in the midline, y = 0 half-way between belly and back, and z = 0 at the
    disc between the fourth and the fifth lumbar vertebra. They differ from the scan's by the patient's scale, and for
    soft tissue by a smooth random displacement.

    Parameters
    ----------
    x, y, z:
        Pixel and slice centres, mm, ascending.
    thickness:
        Of a slice, mm.
    grid:
        Warped coordinates ``(3, 2 slices + 1, rows, columns)`` of the coarse samples, as x, y, z. Sample ``2 i + 1``
        lies in the centre of slice i, its neighbours in the slice's two faces.
    displacement:
        What was added to the coarse samples' own coordinates to give `grid`.
    axes:
        The coarse samples' own coordinates along z, y and x, mm.
    """

    x: Axis
    y: Axis
    z: Axis
    thickness: float
    grid: npt.NDArray[np.float32]
    displacement: npt.NDArray[np.float32]
    axes: tuple[Axis, Axis, Axis]

    @property
    def pixel(self) -> float:
        """The side of a pixel, mm (of anatomy)."""
        return float(self.x[1] - self.x[0])

    def index(self, points: npt.ArrayLike) -> tuple[npt.NDArray[np.intp], ...]:
        """The nearest coarse samples ``(z, y, x)`` of points ``(n, 3)`` as x, y, z; clipped to the grid."""
        x, y, z = np.asarray(points, dtype=np.float64).reshape(-1, 3).T
        return tuple(
            np.clip(np.rint((value - axis[0]) / (axis[1] - axis[0])), 0, len(axis) - 1).astype(np.intp)
            for value, axis in zip((z, y, x), self.axes, strict=True)
        )

    def unwarped(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Where points ``(n, 3)`` of the warped anatomy are drawn on the fine grid, mm."""
        flat = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        k, j, i = self.index(flat)
        moved: npt.NDArray[np.float64] = flat - self.displacement[:, k, j, i].T
        return moved


def make_space(
    size: int, slices: int, spacing: Point, scale: Point, bottom: float, warp: float, rng: np.random.Generator
) -> Space:
    """The grids of a patient.

    Parameters
    ----------
    size, slices, spacing:
        Pixels of a side, slices, and the scan's spacing ``(x, y, z)``, mm.
    scale:
        How much larger than the atlas the patient is, along x, y, z.
    bottom:
        The z of the lowest slice in anatomical mm.
    warp:
        Standard deviation of the soft tissues' displacement, mm; it vanishes around the spine.
    """
    step = [width / factor for width, factor in zip(spacing, scale, strict=True)]
    x: Axis = np.asarray((np.arange(size) - (size - 1) / 2) * step[0], dtype=np.float64)
    # The table takes room under the back, so the patient lies a little above the centre of the field of view.
    y: Axis = np.asarray((np.arange(size) - (size - 1) / 2 + 8) * step[1], dtype=np.float64)
    z: Axis = np.asarray(bottom + np.arange(slices) * step[2], dtype=np.float64)
    samples = np.arange(size // STRIDE + 2) * STRIDE - STRIDE / 2
    axes = (
        bottom + (np.arange(2 * slices + 1) - 1) * step[2] / 2,
        y[0] + samples * step[1],
        x[0] + samples * step[0],
    )
    zz, yy, xx = np.meshgrid(*axes, indexing="ij", sparse=True)
    shape = (len(axes[0]), len(axes[1]), len(axes[2]))
    pitch = [float(axis[1] - axis[0]) for axis in axes]
    away_from_spine = (1 - np.exp(-(xx**2 + (yy - 55) ** 2) / (2 * 38.0**2))).astype(np.float32)
    displacement = np.stack([smooth_noise(shape, pitch, 32.0, rng) * warp * away_from_spine for _ in range(3)])
    grid = displacement + np.stack([np.broadcast_to(axis, shape) for axis in (xx, yy, zz)]).astype(np.float32)
    return Space(x=x, y=y, z=z, thickness=step[2], grid=grid, displacement=displacement, axes=axes)


def smooth_noise(
    shape: Sequence[int], pitch: Sequence[float], scale: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Gaussian noise of mean 0 and deviation 1, blurred to structures of about `scale` mm.

    Parameters
    ----------
    shape, pitch:
        Of the array, and of its axes, mm.
    """
    from scipy import ndimage

    sigma = [scale / 2 / width for width in pitch]
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap", truncate=3.0)
    noise -= noise.mean()
    scaled: npt.NDArray[np.float32] = noise / noise.std()
    return scaled


def union(a: Field, b: Field, blend: float = 0.0) -> Field:
    """Both shapes; with `blend` mm the edge between them is filled (polynomial smooth minimum, Quilez 2008)."""
    if blend <= 0:
        return np.minimum(a, b)
    weight = np.clip(0.5 + (b - a) / (2 * blend), 0, 1)
    joined: Field = b + (a - b) * weight - blend * weight * (1 - weight)
    return joined


def intersection(a: Field, b: Field, blend: float = 0.0) -> Field:
    """What lies in both shapes; with `blend` mm the edge is rounded."""
    return -union(-a, -b, blend)


def without(a: Field, b: Field, margin: float = 0.0, blend: float = 0.0) -> Field:
    """The first shape with the impression that the second, `margin` mm larger, leaves in it."""
    return intersection(a, -(b - np.float32(margin)), blend)


def ellipsoid(space: Space, centre: Point, radii: Point, axes: npt.ArrayLike | None = None) -> Field:
    """An ellipsoid; `axes` are the rows of a rotation that give its own axes in x, y, z."""
    offset = space.grid - np.array(centre, np.float32)[:, None, None, None]
    if axes is not None:
        offset = np.tensordot(np.asarray(axes, np.float32), offset, axes=1)
    r = np.array(radii, np.float32)[:, None, None, None]
    near = np.sqrt(((offset / r) ** 2).sum(axis=0))
    slope = np.sqrt(((offset / r**2) ** 2).sum(axis=0)) + np.float32(1e-6)
    field: Field = near * (near - 1) / slope
    return field


def rotation(about_x: float, about_y: float, about_z: float) -> npt.NDArray[np.float64]:
    """The rows of the axes of a body that was turned about x, then y, then z, by degrees."""
    a, b, c = np.deg2rad([about_x, about_y, about_z])
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turned: npt.NDArray[np.float64] = (rz @ ry @ rx).T
    return turned


def ring(space: Space, keys: Sequence[tuple[float, ...]], exponent: float = 2.2) -> Field:
    """A trunk-like cylinder: at each key ``(z, side, front, back)`` a superellipse of those half axes, mm."""
    table = np.array(keys, dtype=np.float64)
    x, y, z = space.grid
    side, front, back = (_table(z, table[:, 0], table[:, k]) for k in (1, 2, 3))
    depth = np.where(y < 0, front, back)
    # The back is flatter than the belly.
    power = np.where(y < 0, np.float32(exponent), np.float32(exponent + 0.35))
    gauge = (np.abs(x / side) ** power + np.abs(y / depth) ** power) ** (1 / power)
    radius = np.hypot(x, y)
    field: Field = (radius - radius / np.maximum(gauge, np.float32(1e-3))).astype(np.float32)
    return field


def _table(at: Field, knots: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> Field:
    """Shape-preserving cubic interpolation over z, held constant beyond the ends."""
    from scipy.interpolate import PchipInterpolator

    fine = np.linspace(knots[0], knots[-1], 512)
    found: Field = np.interp(at, fine, PchipInterpolator(knots, values)(fine)).astype(np.float32)
    return found


def spline(points: npt.ArrayLike, count: int, *, closed: bool = False) -> npt.NDArray[np.float64]:
    """`count` points a piece on the Catmull-Rom curve through `points` ``(n, d)``; an open one keeps its last point."""
    p = np.asarray(points, dtype=np.float64)
    before, after, second = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    if not closed:
        before[0], after[-1], second[-2:] = p[0], p[-1], p[-1]
    t = (np.arange(count) / count)[None, :, None]
    a, b, c, d = (q[:, None, :] for q in (before, p, after, second))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    flat: npt.NDArray[np.float64] = curve.reshape(-1, p.shape[1])
    return flat if closed else np.concatenate([flat[: (len(p) - 1) * count], p[-1:]])


def tube(space: Space, points: npt.ArrayLike, *, pieces: int = 5, margin: float = 8.0) -> Field:
    """A tube of changing width along the smooth curve through `points`, each ``(x, y, z, radius)``."""
    field = np.full(space.grid.shape[1:], FAR, np.float32)
    add_tube(field, space, spline(points, pieces) if pieces > 1 else np.asarray(points, np.float64), margin)
    return field


def add_tube(field: Field, space: Space, nodes: npt.NDArray[np.float64], margin: float = 8.0) -> None:
    """Unite `field` in place with capsules between consecutive nodes ``(n, 4)`` as x, y, z, radius."""
    for start, end in pairwise(nodes):
        # The displacement moves a shape by less than two of its deviations almost everywhere.
        reach = max(start[3], end[3]) + margin + 6
        low = np.minimum(start[:3], end[:3]) - reach
        high = np.maximum(start[:3], end[:3]) + reach
        (k0, k1), (j0, j1), (i0, i1) = space.index([low, high])
        box = (slice(k0, k1 + 1), slice(j0, j1 + 1), slice(i0, i1 + 1))
        x, y, z = (coordinate[box] for coordinate in space.grid)
        distance = capsule(x, y, z, start, end)
        np.minimum(field[box], distance, out=field[box])


def capsule(
    x: npt.NDArray[np.floating], y: npt.NDArray[np.floating], z: npt.NDArray[np.floating] | float,
    start: Sequence[float] | npt.NDArray[np.float64], end: Sequence[float] | npt.NDArray[np.float64],
) -> Field:  # fmt: skip
    """Signed distance to a rod with round ends from `start` to `end`, each ``(x, y, z, radius)``."""
    (ax, ay, az, ar), (bx, by, bz, br) = (tuple(float(v) for v in node) for node in (start, end))
    ux, uy, uz = bx - ax, by - ay, bz - az
    length = max(ux * ux + uy * uy + uz * uz, 1e-6)
    px, py, pz = x - ax, y - ay, z - az
    t = np.clip((px * ux + py * uy + pz * uz) / length, 0, 1)
    distance = np.sqrt((px - t * ux) ** 2 + (py - t * uy) ** 2 + (pz - t * uz) ** 2) - (ar + t * (br - ar))
    return np.asarray(distance, dtype=np.float32)


def sections(space: Space, keys: Mapping[float, Sequence[tuple[float, float]]]) -> Field:
    """A body with hand-drawn axial outlines: at each key z a closed smooth polygon of the same number of points.

    Points of equal rank belong together; between the keys they run on smooth curves. Beyond the first and the last key
    the body goes on unchanged: something else has to end it.
    """
    from scipy import ndimage
    from scipy.interpolate import PchipInterpolator

    heights = np.array(sorted(keys))
    outlines = PchipInterpolator(heights, np.array([keys[z] for z in heights], dtype=np.float64))
    levels = np.arange(heights[0], heights[-1] + 4.0, 4.0)
    levels[-1] = heights[-1]
    pitch = 3.0
    x = np.arange(-160.0, 161.0, pitch)
    y = np.arange(-125.0, 101.0, pitch)
    stack = np.stack([_polygon_distance(x, y, spline(outlines(level), 4, closed=True)) for level in levels])
    gx, gy, gz = space.grid
    where = np.stack([np.interp(gz, levels, np.arange(len(levels))), (gy - y[0]) / pitch, (gx - x[0]) / pitch])
    field: Field = ndimage.map_coordinates(stack, where, order=1, mode="nearest", output=np.float32)
    return field


def _polygon_distance(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], outline: npt.NDArray[np.float64]
) -> Field:
    """Signed distance ``(rows, columns)`` of the grid points to a closed polygon."""
    px, py = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    nearest = np.full(px.shape, np.inf, np.float32)
    inside = np.zeros(px.shape, bool)
    for (ax, ay), (bx, by) in zip(outline.astype(np.float32), np.roll(outline, -1, 0).astype(np.float32), strict=True):
        ux, uy = bx - ax, by - ay
        dx, dy = px - ax, py - ay
        t = np.clip((dx * ux + dy * uy) / max(ux * ux + uy * uy, np.float32(1e-6)), 0, 1)
        np.minimum(nearest, (dx - t * ux) ** 2 + (dy - t * uy) ** 2, out=nearest)
        if ay != by:
            inside ^= ((ay > py) != (by > py)) & (dx < dy * ux / uy)
    distance = np.sqrt(nearest)
    return np.where(inside, -distance, distance)
