"""Where the voxels of a scan lie in the patient."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError

Matrix = npt.NDArray[np.float64]

LPS_TO_RAS: Matrix = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns LPS coordinates (ITK, DICOM, this library) into RAS (Slicer, NIfTI), and RAS into LPS: its own inverse."""

_ORTHOGONALITY_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Geometry:
    """The grid of a volume in the patient, as ITK and DICOM describe it: LPS, millimetres.

    Parameters
    ----------
    size:
        Voxels along the index axes ``(x, y, z)``: columns, rows, slices. An array of this grid has the shape
        ``(z, y, x)``, see `shape`.
    spacing:
        Distance of neighbouring voxel centres along the index axes ``(x, y, z)``, mm, positive.
    origin:
        Centre of the voxel with index (0, 0, 0), LPS, mm.
    direction:
        Nine numbers, row by row, of the 3 x 3 matrix whose columns are the LPS unit vectors of the index axes x, y, z
        (ITK's convention). Orthogonal; both handednesses are allowed.

    Raises
    ------
    GANSegmentationError
        ``invalid_geometry`` if a size or spacing is not positive and finite, or the axes are not orthogonal and unit.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        # Plain Python numbers, so that equality, hashing and JSON hold whatever the caller's number types are.
        object.__setattr__(self, "size", tuple(int(n) for n in self.size))
        for name in ("spacing", "origin", "direction"):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
        if len(self.size) != 3 or len(self.spacing) != 3 or len(self.origin) != 3 or len(self.direction) != 9:
            raise _invalid("a geometry has three sizes, spacings and origin coordinates and nine direction numbers")
        if min(self.size) < 1:
            raise _invalid(f"the size {self.size} has an axis without voxels")
        numbers = (*self.spacing, *self.origin, *self.direction)
        if not np.all(np.isfinite(numbers)) or min(self.spacing) <= 0:
            raise _invalid(f"spacing {self.spacing} or origin {self.origin} is not a finite positive length")
        axes = self.direction_matrix
        if not np.allclose(axes.T @ axes, np.eye(3), atol=_ORTHOGONALITY_TOLERANCE):
            raise _invalid(f"the axes {np.round(axes, 5).tolist()} are not orthogonal unit vectors")

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an array on this grid, ``(z, y, x)``."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def spacing_zyx(self) -> tuple[float, float, float]:
        """The spacing in the order of an array's axes, ``(z, y, x)``, mm."""
        return self.spacing[2], self.spacing[1], self.spacing[0]

    @property
    def voxel_volume_ml(self) -> float:
        """The volume of one voxel, ml."""
        return float(np.prod(self.spacing)) / 1000.0

    @property
    def direction_matrix(self) -> Matrix:
        """The direction as a 3 x 3 matrix; its columns are the LPS unit vectors of the index axes x, y, z."""
        return np.array(self.direction, dtype=np.float64).reshape(3, 3)

    @property
    def index_to_lps(self) -> Matrix:
        """The 4 x 4 matrix from a voxel index ``(x, y, z)`` to LPS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.direction_matrix * np.array(self.spacing)
        matrix[:3, 3] = self.origin
        return matrix

    @property
    def index_to_ras(self) -> Matrix:
        """The 4 x 4 matrix from a voxel index ``(x, y, z)`` to RAS mm: Slicer's IJKToRAS."""
        return LPS_TO_RAS @ self.index_to_lps

    @classmethod
    def from_index_to_lps(cls, matrix: npt.ArrayLike, size: Sequence[int]) -> Geometry:
        """The geometry of a grid of `size` voxels ``(x, y, z)`` with a 4 x 4 index-to-LPS matrix.

        Raises
        ------
        GANSegmentationError
            ``invalid_geometry`` as the class says; a sheared or projective matrix among them.
        """
        full = np.asarray(matrix, dtype=np.float64)
        if full.shape != (4, 4) or not np.allclose(full[3], [0, 0, 0, 1]):
            raise _invalid("the index-to-world matrix is not a 4 x 4 affine matrix")
        axes = full[:3, :3]
        spacing = np.linalg.norm(axes, axis=0)
        if not np.all(spacing > 0):
            raise _invalid("the index-to-world matrix has an axis of length zero")
        x, y, z = (int(n) for n in size)
        return cls(
            size=(x, y, z),
            spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
            origin=(float(full[0, 3]), float(full[1, 3]), float(full[2, 3])),
            direction=tuple((axes / spacing).ravel().tolist()),
        )

    @classmethod
    def from_index_to_ras(cls, matrix: npt.ArrayLike, size: Sequence[int]) -> Geometry:
        """As `from_index_to_lps`, from a 4 x 4 IJKToRAS matrix."""
        return cls.from_index_to_lps(LPS_TO_RAS @ np.asarray(matrix, dtype=np.float64), size)

    def corners(self) -> Matrix:
        """The eight outer corners of the grid, half a voxel beyond the outer voxel centres, ``(8, 3)`` LPS mm."""
        ends = [(-0.5, n - 0.5) for n in self.size]
        index = np.array([(*corner, 1.0) for corner in itertools.product(*ends)])
        points: Matrix = (index @ self.index_to_lps.T)[:, :3]
        return points

    def corner_distance(self, other: Geometry) -> float:
        """The largest distance between the same corners of two grids, mm; infinite if their sizes differ."""
        if self.size != other.size:
            return float("inf")
        return float(np.linalg.norm(self.corners() - other.corners(), axis=1).max())

    def matches(self, other: Geometry, tolerance_voxels: float = 1e-3) -> bool:
        """Whether two grids are the same up to a fraction of their smallest voxel side.

        The default is loose enough for the same scan from DICOM and from NIfTI (single precision) and tight enough for
        every distance that matters.
        """
        return self.corner_distance(other) <= tolerance_voxels * min(*self.spacing, *other.spacing)


def _invalid(what: str) -> GANSegmentationError:
    return GANSegmentationError(
        "invalid_geometry",
        f"The image's geometry cannot be used: {what}.",
        cause="The file's header is damaged, or the image is sheared (an uncorrected gantry tilt).",
        action="Export the series again, or resample the image to a regular grid first.",
    )
