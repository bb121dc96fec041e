"""NRRD, NIfTI and MetaImage files, by SimpleITK.

All three say where voxels lie. NRRD and MetaImage keep it in double precision, NIfTI in single, which is good for 1e-4
mm in any scanner's coordinates; writing checks it.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .atomic import written_beside
from .geometry import Geometry
from .integrity import find_damage, nifti_spacing
from .volume import Volume

Array: TypeAlias = npt.NDArray[Any]

WRITE_SUFFIXES = (".nrrd", ".nii.gz", ".nii", ".mha", ".mhd")
READ_SUFFIXES = (*WRITE_SUFFIXES, ".nhdr")

CORNER_TOLERANCE_MM = 1e-4
"""Through a file, no corner of the grid may move farther."""

_MODALITY_KEY = "modality"


@dataclass(frozen=True)
class ImageFile:
    """What an image file holds: voxels ``(z, y, x)``, grid, and the text fields of its header."""

    array: Array
    geometry: Geometry
    header: Mapping[str, str]


def has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether the name of a file ends with one of the suffixes, in capitals or not."""
    return path.name.lower().endswith(suffixes)


def stem(path: Path) -> str:
    """The name of an image file without its suffix, ``scan`` for ``scan.nii.gz`` and ``scan.seg.nrrd``."""
    lower = path.name.lower()
    suffix = next((suffix for suffix in (".seg.nrrd", *READ_SUFFIXES) if lower.endswith(suffix)), path.suffix)
    return path.name[: len(path.name) - len(suffix)]


def read_image(path: Path) -> ImageFile:
    """The single scalar volume in an image file.

    Raises
    ------
    GANSegmentationError
        ``file_not_found``; ``unreadable_file`` without the permission to read it; ``damaged_file`` if the file cannot
        be read whole; ``not_a_volume`` if it is flat, 4D, colour or a vector field; ``invalid_geometry`` if its axes
        are not orthogonal or it does not say its spacing.
    """
    sitk = _simpleitk()
    if not path.is_file():
        raise GANSegmentationError(
            "file_not_found",
            f"There is no file {path}.",
            cause="The path is misspelt, or the drive is not connected.",
            action="Check the path.",
        )
    if not os.access(path, os.R_OK):
        raise GANSegmentationError(
            "unreadable_file",
            f"The file {path} cannot be read: there is no permission to.",
            action="Check the rights of the file and try again.",
        )
    if not _is_text(path):
        raise GANSegmentationError(
            "unreadable_file",
            f"The file {_shown(path)} cannot be read: its path holds bytes that are no text.",
            cause="A file or folder was named on a computer with another character set.",
            action="Rename it.",
        )
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(_image_io(path))
    try:
        reader.ReadImageInformation()
        _check_single_volume(path, reader)
        damage = find_damage(path)
        if damage is not None:
            raise _unreadable(path, damage)
        _check_spacing_is_said(path)
        image = reader.Execute()
    except RuntimeError as error:
        raise _unreadable(path, str(error)) from error
    header = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    return ImageFile(sitk.GetArrayFromImage(image), _geometry_of(image), header)


def read_image_volume(path: Path) -> Volume:
    """As `read_image`, as a `Volume`; the modality is known if the header names it (NRRD and MetaImage may)."""
    file = read_image(path)
    return Volume(array=file.array, geometry=file.geometry, modality=_modality(file.header), name=stem(path))


def write_image(
    array: Array, geometry: Geometry, path: Path, *, header: Mapping[str, str] | None = None, overwrite: bool = True
) -> Path:
    """Writes voxels ``(z, y, x)`` on a grid, compressed; the name of the file says the format.

    `header` are text fields for the header; NIfTI has no place for them.

    Raises
    ------
    GANSegmentationError
        ``unknown_format`` if the suffix is none of `WRITE_SUFFIXES`; ``geometry_not_kept`` if the format cannot say
        where the voxels lie within `CORNER_TOLERANCE_MM`; what `written_beside` raises.
    """
    sitk = _simpleitk()
    suffix = next((suffix for suffix in WRITE_SUFFIXES if has_suffix(path, (suffix,))), None)
    if suffix is None:
        raise GANSegmentationError(
            "unknown_format",
            f"The name {path.name} says no format that can be written.",
            action=f"Use one of {', '.join(WRITE_SUFFIXES)}.",
        )
    image = sitk.GetImageFromArray(np.ascontiguousarray(array, _storable(array.dtype)))
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    for key, value in (header or {}).items():
        image.SetMetaData(key, value)
    if not _is_text(path):
        raise GANSegmentationError(
            "write_failed",
            f"{_shown(path)} cannot be written: its path holds bytes that are no text.",
            cause="A folder was named on a computer with another character set.",
            action="Choose another name or folder.",
        )
    with written_beside(path, overwrite=overwrite) as folder:
        # The suffix in lower case: SimpleITK chooses the format by it. A .mhd names its data file after itself.
        temporary = folder / (path.name[: -len(suffix)] + suffix)
        try:
            sitk.WriteImage(image, str(temporary), suffix != ".nii")
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(temporary))
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise OSError(0, "the image writer failed", str(error)) from error
        _check_kept(geometry, _geometry_of(reader), path)
        temporary.rename(folder / path.name)
    return path


def write_volume_file(volume: Volume, path: Path, *, overwrite: bool = True) -> Path:
    """As `write_image`, for a `Volume`; its modality goes into the header where the format has a place for it."""
    header: dict[str, str] = {}
    if volume.modality:
        header[_MODALITY_KEY] = volume.modality
    return write_image(volume.array, volume.geometry, path, header=header, overwrite=overwrite)


def _is_text(path: Path) -> bool:
    """Whether a path can be handed to SimpleITK, which ends the whole process over one that is no text."""
    try:
        str(Path.cwd() / path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _simpleitk() -> Any:
    """SimpleITK, loaded at first use: it takes longer than all else in this room."""
    return importlib.import_module("SimpleITK")


def _image_io(path: Path) -> str:
    """ITK's reader for a name; on its own ITK does not know every suffix in capitals."""
    if has_suffix(path, (".nii", ".nii.gz")):
        return "NiftiImageIO"
    return "NrrdImageIO" if has_suffix(path, (".nrrd", ".nhdr")) else "MetaImageIO"


def _check_single_volume(path: Path, reader: Any) -> None:
    dimension, components = reader.GetDimension(), reader.GetNumberOfComponents()
    if dimension == 3 and components == 1:
        return
    if "Segment0_ID" in reader.GetMetaDataKeys():
        raise GANSegmentationError(
            "overlapping_segments",
            f"The segments in {path} lie in several layers, so that one voxel can belong to more than one segment.",
            cause="3D Slicer writes layers when segments overlap or were edited with overlap allowed.",
            action="In 3D Slicer, export the segmentation to a labelmap, or save the segment you want on its own.",
        )
    what = f"{components} numbers a voxel" if components != 1 else f"{dimension} dimensions"
    raise GANSegmentationError(
        "not_a_volume",
        f"{path} is not a single scalar volume: it has {what} ({' x '.join(str(n) for n in reader.GetSize())}).",
        cause="It is a time series, a colour image, a vector field or a single picture.",
        action="Save one scalar volume of it and use that.",
    )


def _check_spacing_is_said(path: Path) -> None:
    """ITK takes 1 mm where the spacing of a NIfTI file is zero or no number: an invented grid that looks right."""
    if not has_suffix(path, (".nii", ".nii.gz")):
        return
    spacing = nifti_spacing(path)
    if not all(math.isfinite(length) and length != 0 for length in spacing):
        raise GANSegmentationError(
            "invalid_geometry",
            f"{path} does not say how large its voxels are: {' x '.join(f'{length:g}' for length in spacing)} mm.",
            cause="The program that wrote it left the spacing out, or the header is damaged.",
            action="Write the file again from the scan that it was made of.",
        )


def _storable(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in a file: the formats know neither booleans nor half precision, nor foreign byte order."""
    if dtype == np.bool_:
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if dtype == np.float16 else dtype.newbyteorder("=")


def _unreadable(path: Path, details: str) -> GANSegmentationError:
    if "orthonormal" in details or "orthogonal" in details:
        return GANSegmentationError(
            "invalid_geometry",
            f"The axes of {path} are not orthogonal, so its voxels are no boxes.",
            cause="The image is sheared: an uncorrected gantry tilt, or a registration written into the header.",
            action="Resample the image to a regular grid first.",
            details=details,
        )
    return GANSegmentationError(
        "damaged_file",
        f"{path} cannot be read.",
        cause="It was probably cut short while it was copied, or it is not what its name says.",
        action="Copy or export it again.",
        details=details,
    )


def _geometry_of(image: Any) -> Geometry:
    """The geometry of a SimpleITK image or reader."""
    return Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def _check_kept(wanted: Geometry, written: Geometry, path: Path) -> None:
    distance = wanted.corner_distance(written)
    if distance > CORNER_TOLERANCE_MM:
        raise GANSegmentationError(
            "geometry_not_kept",
            f"Written as {path.name}, the image would lie {distance:.2g} mm off its place.",
            cause="The format stores positions in single precision, and this image lies far from the origin.",
            action="Choose .nrrd or .mha.",
        )


def _modality(header: Mapping[str, str]) -> str | None:
    for key, value in header.items():
        name = value.strip().upper().removeprefix("MET_MOD_")
        if key.lower() == _MODALITY_KEY and name not in ("", "OTHER", "UNKNOWN"):
            return name
    return None
