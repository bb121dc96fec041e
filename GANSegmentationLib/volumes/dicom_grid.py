"""From the headers of a DICOM series to one regular grid, or the reason why there is none.

The grid follows from Image Position and Image Orientation (Patient) alone (PS3.3 C.7.6.2.1.1). Slice Thickness says how
thick the tissue is that a slice shows, not how far the next slice is away, and is never used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .dicom_image import SliceHeader, Vector
from .dicom_kind import check_belong_together, check_kind, name_of, names_of
from .dicom_parts import COPIES, images_at_each_position, what_varies
from .dicom_tilt import Tilt, tilt_of
from .geometry import Geometry

Matrix = npt.NDArray[np.float64]

ORIENTATION_TOLERANCE = 1e-4
"""Two slices are parallel if no component of their axes differs by more."""

UNIT_TOLERANCE = 1e-3
"""The axes of a header may miss unit length and a right angle by as much: headers are rounded."""

STEP_TOLERANCE = 0.02
"""A slice may lie off its place on the regular grid by this part of the step ..."""

STEP_TOLERANCE_MM = 0.01
"""... or by as much, whichever is larger."""

TILT_TOLERANCE = 0.1
"""A slice may be shifted sideways against the first by this part of a pixel; more is a tilted gantry."""


@dataclass(frozen=True)
class Stack:
    """The images of a series in the order of their slices, and the regular grid of the volume they make.

    Parameters
    ----------
    tilt:
        How the slices have to be shifted to lie on the grid; None where they lie on it.
    """

    images: tuple[SliceHeader, ...]
    geometry: Geometry
    tilt: Tilt | None = None


def arrange(headers: Sequence[SliceHeader], *, correct_tilt: bool = False) -> Stack:
    """The images of one series in the order of their slices, and the grid that they make.

    Localizers among other images are left out. Slices ascend along the normal, the cross product of the row and the
    column direction, as ITK sorts them. With `correct_tilt` the slices of a tilted gantry, which are refused else, get
    the regular grid that their sheared one fits into; whatever is not tilted stays as it is.

    Raises
    ------
    GANSegmentationError
        ``colour_image``, ``multi_frame``, ``mosaic``, ``no_position``, ``no_pixel_spacing``, ``mixed_sizes``,
        ``mixed_frames_of_reference``, ``mixed_studies``, ``mixed_patients``, ``mixed_values``,
        ``mixed_orientations``, ``single_slice``,
        ``four_dimensional``, ``duplicate_slices``, ``gantry_tilt``, ``missing_slices`` or ``uneven_slices``: what the
        series is instead of a volume, with the files that show it.
    """
    images = _without_localizers(headers)
    check_kind(images)
    axes = _common_axes(images)
    _check_one_size(images)
    check_belong_together(images)
    normal = axes[:, 2]
    images, points = _sorted(images, normal)
    first = images[0].format
    assert first.pixel_spacing is not None
    row_step, column_step = first.pixel_spacing
    step, is_tilted = _slice_step(images, points, normal, min(row_step, column_step), correct_tilt)
    geometry = Geometry(
        size=(first.columns, first.rows, len(images)),
        spacing=(column_step, row_step, step),
        origin=(points[0, 0], points[0, 1], points[0, 2]),
        direction=tuple(axes.ravel().tolist()),
    )
    if not is_tilted:
        return Stack(tuple(images), geometry)
    tilt = tilt_of(points, geometry)
    return Stack(tuple(images), tilt.grid(geometry), tilt)


def images_by_position(headers: Sequence[SliceHeader]) -> list[list[SliceHeader]]:
    """The images of a series that `arrange` found four-dimensional, sorted into groups that lie at one place."""
    images = _without_localizers(headers)
    normal = _common_axes(images)[:, 2]
    images, points = _sorted(images, normal)
    return images_at_each_position(images, np.diff(points @ normal), STEP_TOLERANCE_MM)


def _without_localizers(headers: Sequence[SliceHeader]) -> list[SliceHeader]:
    return [header for header in headers if not header.format.is_localizer] or list(headers)


def _sorted(images: Sequence[SliceHeader], normal: Matrix) -> tuple[list[SliceHeader], Matrix]:
    """The images, and their positions ``(n, 3)``, ascending along the normal."""
    points = np.array([image.position for image in images], dtype=np.float64)
    order = np.argsort(points @ normal, kind="stable")
    return [images[index] for index in order], points[order]


def _check_one_size(images: Sequence[SliceHeader]) -> None:
    sizes = Counter((image.format.rows, image.format.columns) for image in images)
    spacings = {image.format.pixel_spacing for image in images}
    reference = np.array(images[0].format.pixel_spacing)
    same_spacing = all(np.allclose(reference, spacing, rtol=1e-5, atol=0) for spacing in spacings if spacing)
    if len(sizes) == 1 and same_spacing:
        return
    listed = ", ".join(f"{count} x ({rows} rows, {columns} columns)" for (rows, columns), count in sizes.items())
    if len(sizes) == 1:
        listed = ", ".join(f"{spacing} mm" for spacing in sorted(spacing for spacing in spacings if spacing))
    raise GANSegmentationError(
        "mixed_sizes",
        f"The images of the series have different sizes or pixel spacings: {listed}.",
        cause="Two reconstructions were put into one series.",
        action="Put each reconstruction into a folder of its own and choose one.",
    )


def _common_axes(images: Sequence[SliceHeader]) -> Matrix:
    """The 3 x 3 matrix whose columns are the unit vectors along columns index, rows index and the normal."""
    groups: dict[Vector, list[SliceHeader]] = {}
    for image in images:
        orientation = image.format.orientation
        assert orientation is not None
        for known, members in groups.items():
            if np.abs(np.subtract(known, orientation)).max() <= ORIENTATION_TOLERANCE:
                members.append(image)
                break
        else:
            groups[orientation] = [image]
    if len(groups) > 1:
        listed = "; ".join(f"{names_of(members)} along {_plane(known)}" for known, members in groups.items())
        raise GANSegmentationError(
            "mixed_orientations",
            f"The images of the series do not lie parallel: {len(groups)} orientations ({listed}).",
            cause="It is a localizer, a radial or a reformatted series.",
            action="Choose a series of parallel slices, or put the parallel ones into a folder of their own.",
        )
    first = next(iter(groups))
    row, column = np.array(first[:3]), np.array(first[3:])
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > UNIT_TOLERANCE or abs(row @ column) > UNIT_TOLERANCE:
        raise GANSegmentationError(
            "no_position",
            f"The orientation {first} of {images[0].path.name} is not a pair of orthogonal unit vectors.",
            cause="The header is damaged.",
            action="Export the series again.",
        )
    row = row / lengths[0]
    normal = np.cross(row, column)
    normal = normal / np.linalg.norm(normal)
    # Rounded headers are made exactly orthogonal; exact ones stay as they are.
    column = np.cross(normal, row)
    axes: Matrix = np.stack([row, column, normal], axis=1) + 0.0  # no negative zeros
    return axes


def _slice_step(
    images: Sequence[SliceHeader], points: Matrix, normal: Matrix, pixel: float, correct_tilt: bool
) -> tuple[float, bool]:
    """The distance of neighbouring slices, mm, of slices sorted along the normal; and whether they are tilted."""
    if len(images) == 1:
        spacing = images[0].format.slice_spacing
        if spacing is None:
            raise GANSegmentationError(
                "single_slice",
                f"The series has a single slice, {images[0].path.name}, and no Spacing Between Slices.",
                cause="Without a second slice nothing says how deep a voxel is (Slice Thickness does not).",
                action="Choose the whole series; a single exported slice cannot be segmented as a volume.",
            )
        return spacing, False
    heights = points @ normal
    gaps = np.diff(heights)
    _check_positions_differ(images, gaps)
    step = float((heights[-1] - heights[0]) / (len(images) - 1))
    uneven = _unevenness(images, heights, gaps, step)
    is_tilted = _is_tilted(images, points, heights, normal, pixel)
    if is_tilted and not correct_tilt:
        raise _tilt_error(points, heights, normal, uneven)
    if uneven is not None:
        raise uneven
    return step, is_tilted


def _check_positions_differ(images: Sequence[SliceHeader], gaps: Matrix) -> None:
    if not (gaps <= STEP_TOLERANCE_MM).any():
        return
    groups = images_at_each_position(images, gaps, STEP_TOLERANCE_MM)
    counts = {len(group) for group in groups}
    repeated = next(group for group in groups if len(group) > 1)
    what = what_varies(repeated)
    if len(counts) == 1 and what == COPIES:
        raise GANSegmentationError(
            "duplicate_slices",
            f"Every image of the series is there {len(repeated)} times: {names_of(repeated)} are the same, say.",
            cause="The folder holds copies of the series, or was exported into itself.",
            action="Give the folder of one copy, or any one of its files.",
            details=", ".join(str(image.path) for image in repeated),
        )
    if len(counts) == 1 and len(groups) > 1:
        count = len(repeated)
        raise GANSegmentationError(
            "four_dimensional",
            f"The series is four-dimensional: {count} images at each of {len(groups)} slice positions"
            + (f" ({what})." if what else "."),
            cause="It is a time series, or several echoes, phases or reconstructions share one series.",
            action="Put the images of one of them into a folder of their own, or save one volume of it from 3D Slicer.",
        )
    raise GANSegmentationError(
        "duplicate_slices",
        f"{len(repeated)} images lie at the same position: {names_of(repeated)}" + (f" ({what})." if what else "."),
        cause="A slice was copied twice, two scans share one series, or a time series is not complete.",
        action="Leave one image for each position in the folder.",
        details=", ".join(str(image.path) for image in repeated),
    )


def _is_tilted(images: Sequence[SliceHeader], points: Matrix, heights: Matrix, normal: Matrix, pixel: float) -> bool:
    """Whether the slices are sheared against each other, each by the same amount; other shifts are refused."""
    sideways = (points - points[0]) - np.outer(heights - heights[0], normal)
    shift = np.linalg.norm(sideways, axis=1)
    if shift.max() <= TILT_TOLERANCE * pixel:
        return False
    linear = np.outer((heights - heights[0]) / (heights[-1] - heights[0]), sideways[-1])
    if np.abs(sideways - linear).max() > TILT_TOLERANCE * pixel:
        worst = int(np.linalg.norm(sideways - linear, axis=1).argmax())
        raise GANSegmentationError(
            "uneven_slices",
            f"The slices are shifted sideways against each other, {name_of(images[worst])} the most "
            f"({shift[worst]:.2f} mm).",
            cause="Blocks of slices were planned separately, or two scans share one series.",
            action="Choose a series with one regular stack of slices.",
        )
    return True


def _tilt_error(
    points: Matrix, heights: Matrix, normal: Matrix, uneven: GANSegmentationError | None
) -> GANSegmentationError:
    height = heights[-1] - heights[0]
    shift = float(np.linalg.norm(points[-1] - points[0] - height * normal))
    degrees = float(np.degrees(np.arctan2(shift, height)))
    correction = (
        "Ask for the correction, which resamples the slices to a regular grid (--correct-tilt on the command line, "
        "correct_tilt in Python), or correct the tilt in 3D Slicer (acquisition geometry regularisation) and use that "
        "volume."
    )
    return GANSegmentationError(
        "gantry_tilt",
        f"The slices are not stacked along their normal: they are sheared by {degrees:.2f} degrees "
        f"({shift:.2f} mm over the stack)." + (f" And more: {uneven.message}" if uneven else ""),
        cause="The CT was taken with a tilted gantry (or its angle was rounded), so its voxels are no boxes.",
        action=correction if uneven is None else uneven.action,
    )


def _unevenness(
    images: Sequence[SliceHeader], heights: Matrix, gaps: Matrix, step: float
) -> GANSegmentationError | None:
    """What is wrong with the distances of the slices; None if they are even."""
    regular = heights[0] + step * np.arange(len(images))
    tolerance = max(STEP_TOLERANCE * step, STEP_TOLERANCE_MM)
    if np.abs(heights - regular).max() <= tolerance:
        return None
    usual = float(np.median(gaps))
    odd = np.flatnonzero(np.abs(gaps - usual) > max(STEP_TOLERANCE * usual, STEP_TOLERANCE_MM))
    listed = ", ".join(
        f"{gaps[index]:.3f} mm between {name_of(images[index])} and {name_of(images[index + 1])}" for index in odd[:3]
    )
    more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
    multiples = gaps[odd] / usual
    whole = bool(len(odd)) and bool(np.all(multiples > 1.5)) and np.allclose(multiples, np.round(multiples), atol=0.05)
    if whole:
        missing = int(np.round(multiples - 1).sum())
        return GANSegmentationError(
            "missing_slices",
            f"{missing} slice(s) seem to be missing: slices are {usual:.3f} mm apart, but {listed}{more}.",
            cause="The export or copy of the series was not complete.",
            action="Export the series again; the grid of an incomplete series would be wrong.",
        )
    return GANSegmentationError(
        "uneven_slices",
        f"The slices are not evenly spaced: mostly {usual:.3f} mm apart, but {listed}{more}."
        if len(odd)
        else f"The slices are not evenly spaced: their steps drift between {gaps.min():.3f} and {gaps.max():.3f} mm.",
        cause=f"Slices may lie {100 * STEP_TOLERANCE:.0f} % of the step off a regular grid; these are farther. "
        "The scan has blocks of different spacing, or two scans share one series.",
        action="Choose an evenly spaced series, or resample the volume to an even grid first.",
    )


def _plane(orientation: Vector) -> str:
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    return ("sagittal", "coronal", "axial")[int(normal.argmax())] + " slices"
