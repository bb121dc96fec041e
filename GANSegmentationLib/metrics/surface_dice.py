"""Surface Dice at a tolerance (normalised surface Dice, NSD): the part of both surfaces that lies close to the other.

Definition: Nikolov et al. 2018, "Deep learning to achieve clinically applicable segmentation of head and neck anatomy
for radiotherapy" (arXiv 1809.04430). The surface is made of surface elements: one in every 2 x 2 x 2 neighbourhood of
voxels that holds both foreground and background, at its centre (on the grid shifted by half a voxel), with the area, in
mm2, of the marching-cubes surface through that neighbourhood. An element counts where its distance to the nearest
element of the other surface is at most the tolerance. In 2-D the same with 2 x 2 pixels and lengths.

The tolerance has no default: it says which deviation is acceptable, best taken from the variability between raters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .boxes import foreground_box, union_box
from .nearest import FloatArray, nearest_distances
from .overlap import BoolArray, as_mask, require_same_shape
from .surface import all_but_ends

Corner = tuple[int, ...]

# Distances are differences of products; 3 * 0.1 mm must count as within 0.3 mm.
_ROUNDING = 1e-9


def surface_dice(
    mask: BoolArray, reference: BoolArray, spacing: Sequence[float], *, surface_tolerance_mm: float
) -> float:
    """Surface Dice of two boolean arrays of one shape, 2-D or 3-D; `spacing` in the order of the array's axes, mm.

    NaN if both are empty, 0 if one is.

    Raises
    ------
    GANSegmentationError
        ``invalid_tolerance`` if the tolerance is negative or not finite; ``shape_mismatch``.
    """
    require_same_shape(mask, reference)
    box = union_box(foreground_box(mask), foreground_box(reference))
    if box is None:
        check_tolerance(surface_tolerance_mm)
        return math.nan
    return cropped_surface_dice(as_mask(mask[box]), as_mask(reference[box]), spacing, surface_tolerance_mm)


def cropped_surface_dice(
    mask: BoolArray, reference: BoolArray, spacing: Sequence[float], surface_tolerance_mm: float
) -> float:
    """As `surface_dice`, without looking for the box around both masks first."""
    check_tolerance(surface_tolerance_mm)
    codes = neighbourhood_codes(mask), neighbourhood_codes(reference)
    areas = surface_element_areas(tuple(float(step) for step in spacing))
    elements_a, elements_b = (_is_surface(code, mask.ndim) for code in codes)
    common = elements_a & elements_b
    limit = surface_tolerance_mm * (1 + _ROUNDING) + _ROUNDING
    within = whole = 0.0
    for code, own, other in ((codes[0], elements_a, elements_b), (codes[1], elements_b, elements_a)):
        alone = own ^ common
        # Nothing beyond the tolerance needs its exact distance: the search stops there.
        near = nearest_distances(alone, other, spacing, upper_bound=limit) < limit
        shared_area = float(areas[code[common]].sum())
        alone_areas = areas[code[alone]]
        within += shared_area + float(alone_areas[near].sum())
        whole += shared_area + float(alone_areas.sum())
    return within / whole if whole else math.nan


def check_tolerance(surface_tolerance_mm: float) -> None:
    """Refuse (``invalid_tolerance``) what is not a distance."""
    if not math.isfinite(surface_tolerance_mm) or surface_tolerance_mm < 0:
        raise GANSegmentationError(
            "invalid_tolerance",
            f"The tolerance of the surface Dice is {surface_tolerance_mm} mm.",
            cause="It has to be a distance: 0 or more, and finite.",
            action="Give the deviation that is acceptable for this structure, for example the variability of raters.",
        )


def neighbourhood_codes(mask: BoolArray) -> npt.NDArray[np.uint8]:
    """Which of the 2 x 2 x 2 (2 x 2) voxels around every corner of the voxel grid are foreground, as bits.

    The result is one longer than the array along every axis. The voxel at the offset ``(z, y, x)`` of 0 or 1 has the
    bit ``x + 2 y + 4 z``; outside of the array is background.
    """
    codes = np.pad(mask, 1).view(np.uint8)
    shift = 1
    for axis in range(mask.ndim - 1, -1, -1):
        upper, lower = all_but_ends(mask.ndim, axis)
        codes = codes[lower] | (codes[upper] << np.uint8(shift))
        shift *= 2
    return codes


@lru_cache(maxsize=32)
def surface_element_areas(spacing: tuple[float, ...]) -> FloatArray:
    """The area (3-D, mm2) or length (2-D, mm) of the surface through a neighbourhood, by its code.

    Derived, not listed: of foreground and background the one with fewer corners falls into pieces connected along
    edges, and each piece is cut off by a surface through the middles of the cube's edges.
    """
    dimensions = len(spacing)
    corners: list[Corner] = list(itertools.product((0, 1), repeat=dimensions))
    areas = np.zeros(2 ** len(corners))
    for code in range(len(areas)):
        # itertools.product runs through the offsets (z, y, x) in the order of their bits.
        inside = [corner for bit, corner in enumerate(corners) if code >> bit & 1]
        outside = [corner for corner in corners if corner not in inside]
        fewer = min(inside, outside, key=len)
        cut = _piece_length if dimensions == 2 else _piece_area
        areas[code] = sum(cut(piece, spacing) for piece in _connected_pieces(fewer))
    areas.flags.writeable = False
    return areas


def _piece_area(piece: frozenset[Corner], spacing: tuple[float, ...]) -> float:
    """The area of the surface that cuts a piece of one to four corners off a cube with sides of one voxel."""
    z, y, x = spacing

    def area(*faces: float) -> float:
        # A flat polygon whose shadows on the planes across z, y, x have these areas in a unit cube.
        return math.hypot(faces[0] * y * x, faces[1] * z * x, faces[2] * z * y)

    steps = _steps(piece)
    if len(piece) == 1:
        return area(1 / 8, 1 / 8, 1 / 8)
    if len(piece) == 2:  # an edge: a rectangle along it
        return area(*(0 if axis in steps else 1 / 2 for axis in range(3)))
    if len(piece) == 3:  # an L: half of its plane's square, and a trapezium below the missing corner
        return area(*(0 if axis in steps else 1 / 2 for axis in range(3))) + area(3 / 8, 3 / 8, 3 / 8)
    if len(steps) == 4:  # a face
        return area(*(0 if axis in steps else 1 for axis in range(3)))
    middle = _middle_step(piece)
    if middle is None:  # a corner and its three neighbours: a plane hexagon
        return area(3 / 4, 3 / 4, 3 / 4)
    # A path along all three axes: a hexagon that is not flat, folded into two pieces across the cube's diagonal and two
    # triangles along the path's middle step.
    beside = [tuple(1 / 4 if axis in (middle, other) else 0 for axis in range(3)) for other in range(3)]
    return area(1 / 2, 1 / 2, 1 / 2) + sum(area(*faces) for other, faces in enumerate(beside) if other != middle)


def _piece_length(piece: frozenset[Corner], spacing: tuple[float, ...]) -> float:
    """The length of the line that cuts a piece of one or two corners off a rectangle with sides of one pixel."""
    if len(piece) == 1:
        return math.hypot(*spacing) / 2
    return spacing[_steps(piece)[0]]


def _connected_pieces(corners: Iterable[Corner]) -> list[frozenset[Corner]]:
    pieces: list[frozenset[Corner]] = []
    for corner in corners:
        touching = [piece for piece in pieces if any(_step(corner, other) is not None for other in piece)]
        pieces = [piece for piece in pieces if piece not in touching]
        pieces.append(frozenset({corner}).union(*touching))
    return pieces


def _step(first: Corner, second: Corner) -> int | None:
    """The axis of the edge between two corners; None if there is no edge."""
    differing = [axis for axis, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    return differing[0] if len(differing) == 1 else None


def _steps(piece: frozenset[Corner]) -> list[int]:
    """The axes of all edges inside a piece."""
    axes = (_step(a, b) for a, b in itertools.combinations(sorted(piece), 2))
    return [axis for axis in axes if axis is not None]


def _middle_step(piece: frozenset[Corner]) -> int | None:
    """The axis of the middle edge of a path of four corners; None if the four are a corner and its neighbours."""
    neighbours = {corner: [other for other in piece if _step(corner, other) is not None] for corner in piece}
    inner = [corner for corner, others in neighbours.items() if len(others) == 2]
    return _step(*inner) if len(inner) == 2 else None


def _is_surface(codes: npt.NDArray[np.uint8], dimensions: int) -> BoolArray:
    full = 2 ** (2**dimensions) - 1
    result: BoolArray = (codes != 0) & (codes != full)
    return result
