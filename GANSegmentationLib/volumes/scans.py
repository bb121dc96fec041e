"""Scans from and to disk, whatever they are stored as."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import GANSegmentationError
from .dicom import find_series, read_series
from .files import READ_SUFFIXES, has_suffix, read_image_volume, write_volume_file
from .volume import Volume


def read_volume(path: str | os.PathLike[str], *, series_uid: str | None = None, correct_tilt: bool = False) -> Volume:
    """The scan at a path: a DICOM folder, any file of a DICOM series, a DICOMDIR, NRRD, NIfTI or MetaImage.

    Parameters
    ----------
    path:
        A folder is searched with its sub-folders. A DICOM file stands for its whole series in its folder.
    series_uid:
        Which series, where a folder holds several: a UID, ``UID#2`` for the second volume of a four-dimensional
        series, or a rule such as ``modality=CT,most-slices`` (`dicom_choice`).
    correct_tilt:
        Whether a CT with a tilted gantry, refused else, is to be resampled to a regular grid. The volume, and every
        mask made from it, then lies on that grid; `Volume.facts` says so under ``"TiltCorrection"``.

    Raises
    ------
    GANSegmentationError
        ``file_not_found``, ``unknown_format``, ``no_dicom``, ``several_series``, ``unknown_series``,
        ``wrong_rule``, ``missing_files``, ``damaged_file``, ``unreadable_file``; for a series that
        is not one volume the codes of `dicom_grid.arrange`; ``unsupported_pixels`` and ``missing_decoder``; for other
        files ``not_a_volume`` and ``invalid_geometry``.
    """
    source = Path(path)
    if not source.exists():
        raise GANSegmentationError(
            "file_not_found",
            f"There is no file or folder {source}.",
            cause="The path is misspelt, or the drive is not connected.",
            action="Check the path.",
        )
    if source.is_file() and has_suffix(source, READ_SUFFIXES):
        return read_image_volume(source)
    try:
        return read_series(find_series(source, series_uid=series_uid, correct_tilt=correct_tilt))
    except GANSegmentationError as error:
        if source.is_file() and error.code == "no_dicom":
            raise GANSegmentationError(
                "unknown_format",
                f"{source} is neither a DICOM image nor one of {', '.join(READ_SUFFIXES)}.",
                cause=error.cause,
                action="Choose a DICOM folder or a file of one of these types.",
            ) from error
        raise


def write_volume(volume: Volume, path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
    """Writes a scan as NRRD, NIfTI or MetaImage; the ending of the name decides.

    The modality is kept by NRRD and MetaImage, facts by none. The file is there whole or not at all.

    Raises
    ------
    GANSegmentationError
        ``unknown_format``, ``folder_not_found``, ``file_exists``, ``write_failed``, ``geometry_not_kept``.
    """
    return write_volume_file(volume, Path(path), overwrite=overwrite)
