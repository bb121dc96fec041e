"""Labelmaps from and to files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .dicom import SeriesInfo, find_series
from .dicom_seg import SUFFIX as DICOM_SUFFIX
from .dicom_seg import (
    Algorithm,
    SegChoice,
    Source,
    is_dicom,
    is_segmentation,
    read_dicom_seg,
    require_dicom_seg,
    write_dicom_seg,
)
from .files import READ_SUFFIXES, has_suffix, read_image, write_image
from .geometry import Geometry
from .grids import place_on_grid
from .labelmap import Labelmap
from .png_stack import png_files, read_png_stack
from .slicer_segmentation import segmentation_header, segments_in_header

Array: TypeAlias = npt.NDArray[Any]

LABELMAP_SUFFIXES: tuple[str, ...] = (".seg.nrrd", ".nrrd", ".nii.gz", ".nii", ".mha", ".mhd", DICOM_SUFFIX)
"""The endings of file names that `write_labelmap` knows; ``.dcm`` is DICOM SEG, which needs the scan's DICOM files."""


def read_labelmap(
    path: str | os.PathLike[str],
    *,
    geometry: Geometry | None = None,
    series: SeriesInfo | str | os.PathLike[str] | None = None,
    choice: SegChoice | None = None,
) -> Labelmap:
    """The labels in a file, or in a folder of PNG pictures.

    Parameters
    ----------
    path:
        NRRD (3D Slicer's ``.seg.nrrd`` with its segments), NIfTI, MetaImage, DICOM SEG (known by its content, whatever
        its name), or a folder of PNG pictures or with one DICOM SEG.
    geometry:
        The grid of the scan, if the labels are wanted on exactly that: a labelmap stored cropped, flipped or with
        swapped axes is brought there without resampling (`place_on_grid`).
    series:
        For a folder of pictures, the DICOM series that they belong to, or its folder: pictures carry no position. Not
        looked at for a file.
    choice:
        For a DICOM SEG, which of its segments, and what to make of overlaps and fractions. Not looked at for others.

    Raises
    ------
    GANSegmentationError
        What `read_image`, `read_dicom_seg` and `read_png_stack` raise; ``not_a_labelmap`` if values are fractions,
        negative or beyond 65535; ``geometry_mismatch`` if the labels are on another grid than `geometry`;
        ``series_needed`` for pictures without their series; ``several_segmentations`` for a folder with more than one
        DICOM SEG; ``unknown_format`` for anything else.
    """
    source = Path(path)
    segmentation = _segmentation_in(source) if source.is_dir() else None
    if segmentation is not None:
        return read_dicom_seg(segmentation, geometry=geometry, choice=choice or SegChoice())
    if source.is_dir():
        labelmap = _read_folder(source, series)
    elif has_suffix(source, READ_SUFFIXES):
        file = read_image(source)
        labels = _as_labels(file.array, source)
        labelmap = Labelmap(labels, file.geometry, segments_in_header(file.header))
    elif is_dicom(source) or (source.exists() and has_suffix(source, (DICOM_SUFFIX,))):
        return read_dicom_seg(source, geometry=geometry, choice=choice or SegChoice())
    elif not source.exists():
        raise GANSegmentationError("file_not_found", f"There is no file or folder {source}.", action="Check the path.")
    else:
        raise _unknown_format(source, "read")
    return labelmap if geometry is None else place_on_grid(labelmap, geometry)


def write_labelmap(
    labelmap: Labelmap,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    algorithm_name: str | None = "GANSegmentation",
    algorithm_version: str | None = None,
    source: Source | None = None,
) -> Path:
    """Writes a labelmap; the ending of the name decides the format (`LABELMAP_SUFFIXES`).

    A ``.seg.nrrd`` opens in 3D Slicer with names, colours and terminology, a ``.dcm`` (DICOM SEG) in every viewer that
    knows the scan. The other formats hold the numbers alone. The file is there whole or not at all.

    Parameters
    ----------
    algorithm_name, algorithm_version:
        What made the labels, for ``.seg.nrrd`` and ``.dcm``; no name for a labelmap that no algorithm made. Without a
        version it is the library's.
    source:
        For a ``.dcm``, the scan that the labels are of: its `SeriesInfo`, a folder or file of it, or the list of its
        files. Not looked at for other formats.

    Raises
    ------
    GANSegmentationError
        ``unknown_format``, ``folder_not_found``, ``file_exists``, ``write_failed``, ``geometry_not_kept``; for a
        ``.dcm`` what `write_dicom_seg` raises, ``highdicom_missing`` and ``dicom_source_needed`` among them.
    """
    target = Path(path)
    require_writable(target, source)
    if has_suffix(target, (DICOM_SUFFIX,)):
        from .. import __version__

        assert source is not None
        made_by = None if algorithm_name is None else Algorithm(algorithm_name, algorithm_version or __version__)
        return write_dicom_seg(labelmap, target, source=source, algorithm=made_by, overwrite=overwrite)
    name = " ".join(part for part in (algorithm_name, algorithm_version) if part) or None
    header = segmentation_header(labelmap, name) if has_suffix(target, (".seg.nrrd",)) else None
    return write_image(labelmap.array, labelmap.geometry, target, header=header, overwrite=overwrite)


def require_writable(path: str | os.PathLike[str], source: Source | None = None) -> None:
    """Refuse, before any work, a name that says no format, or one that could not be written for this scan.

    Raises
    ------
    GANSegmentationError
        ``unknown_format``; for a ``.dcm`` ``highdicom_missing``, and ``dicom_source_needed`` if `source` is None or a
        file of another format.
    """
    target = Path(path)
    if not has_suffix(target, LABELMAP_SUFFIXES):
        raise _unknown_format(target, "written")
    if has_suffix(target, (DICOM_SUFFIX,)):
        require_dicom_seg(target, source)


def _segmentation_in(folder: Path) -> Path | None:
    """The DICOM SEG in a folder, as archives and viewers export it; None if there is none, or there are pictures."""
    if png_files(folder):
        return None
    found = [path for path in sorted(folder.iterdir()) if path.is_file() and is_segmentation(path)]
    if len(found) > 1:
        raise GANSegmentationError(
            "several_segmentations",
            f"The folder {folder} holds {len(found)} DICOM SEG files: {', '.join(path.name for path in found[:5])}.",
            action="Choose one of these files.",
        )
    return found[0] if found else None


def _read_folder(folder: Path, series: SeriesInfo | str | os.PathLike[str] | None) -> Labelmap:
    if not png_files(folder):
        raise GANSegmentationError(
            "unknown_format",
            f"The folder {folder} holds no PNG pictures and no DICOM SEG.",
            cause="A labelmap is a file, or a folder of PNG pictures.",
            action=f"Choose a file ({', '.join(LABELMAP_SUFFIXES)}) or the folder with the pictures.",
        )
    if series is None or (not isinstance(series, SeriesInfo) and has_suffix(Path(series), READ_SUFFIXES)):
        raise GANSegmentationError(
            "series_needed",
            f"The pictures in {folder} do not say where they lie in the patient.",
            cause="PNG pictures carry no position; they are matched to the DICOM files of their series.",
            action="Give the DICOM folder of the scan together with them.",
        )
    return read_png_stack(folder, series if isinstance(series, SeriesInfo) else find_series(series))


def _as_labels(array: Array, path: Path) -> npt.NDArray[np.unsignedinteger[Any]]:
    """The voxels as the smallest unsigned type that holds them; labels are often stored as floats."""
    lowest, highest = array.min(), array.max()
    whole = array.dtype.kind in "iub" or bool(np.isfinite(lowest + highest) and np.all(array == np.rint(array)))
    if not whole or lowest < 0 or highest > 65535:
        raise GANSegmentationError(
            "not_a_labelmap",
            f"The values of {path} are no labels: they go from {lowest:g} to {highest:g}"
            + (" with fractions." if not whole else "."),
            cause="It is a scan or a probability map.",
            action="Choose the file with the mask.",
        )
    return array.astype(np.uint8 if highest <= 255 else np.uint16, copy=False)


def _unknown_format(path: Path, what: str) -> GANSegmentationError:
    return GANSegmentationError(
        "unknown_format",
        f"A labelmap cannot be {what} as {path.name}: its ending names no known format.",
        action=f"Use one of {', '.join(LABELMAP_SUFFIXES)}.",
    )
