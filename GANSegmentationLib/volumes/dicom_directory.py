"""DICOMDIR: the table of contents of a disc of DICOM files (PS3.10 8.6).

It says whether the copy of a disc is whole. It is not relied on to name every slice: a DICOMDIR that was cut short
loses its last records without a sign, so whatever lies in the folders that it names is looked at.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from ..errors import GANSegmentationError
from .dicom_image import DIRECTORY_CLASS, damaged


def files_of_directory(path: Path) -> list[Path] | None:
    """The files in the folders whose images a DICOMDIR names, by name; None if the file is no DICOMDIR.

    Raises
    ------
    GANSegmentationError
        ``damaged_file`` if it cannot be read; ``missing_files`` if files that it names are not there: the disc was
        not copied whole, and which series lack slices cannot be told.
    """
    import pydicom

    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path)
            if str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) != DIRECTORY_CLASS:
                return None
            names = [_name(record) for record in dataset.DirectoryRecordSequence]
        except Exception as error:  # a damaged file raises almost anything in pydicom
            raise damaged(path, "its records cannot be read", details=type(error).__name__) from error
    images = [name for name in names if name is not None]
    if any(".." in name or not name for name in images):
        raise damaged(path, "it names files outside of its folder")
    found = [_find(path.parent, name) for name in images]
    missing = ["/".join(name) for name, file_path in zip(images, found, strict=True) if file_path is None]
    if missing:
        raise GANSegmentationError(
            "missing_files",
            f"{path} names {len(images)} images, and {len(missing)} of them are not there, "
            f"{', '.join(missing[:3])} for example.",
            cause="The disc was not copied whole.",
            action="Copy it again with all its folders, or give the folder of one series instead of the DICOMDIR.",
        )
    folders = sorted({file_path.parent for file_path in found if file_path is not None})
    return [file_path for folder in folders for file_path in sorted(folder.iterdir()) if file_path.is_file()]


def _name(record: Any) -> tuple[str, ...] | None:
    """The name of the file of an image record, folder by folder; None for other records."""
    if str(record.get("DirectoryRecordType", "")) != "IMAGE":
        return None
    value = record.get("ReferencedFileID") or ()
    parts = (value,) if isinstance(value, str) else tuple(str(part) for part in value)
    return tuple(part.strip() for part in parts)


def _find(folder: Path, name: tuple[str, ...]) -> Path | None:
    """The file of that name, in small letters where a copy has changed the capitals that the standard asks for."""
    for parts in (name, tuple(part.lower() for part in name)):
        path = folder.joinpath(*parts)
        if path.is_file():
            return path
    return None
