"""Which reference belongs to a case, by its place below the folder of references."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..volumes.dicom_seg_read import is_segmentation
from ..volumes.files import READ_SUFFIXES, has_suffix
from ..volumes.png_stack import png_files

_SUFFIXES = (".seg.nrrd", *READ_SUFFIXES)
_DICOM = ".dcm"
_CHANNEL = "_0000"


def find_reference(references: Path, place: PurePosixPath, scan: Path) -> Path | None:
    """The reference of the case at a place below the input folder; None if there is none.

    For a case ``a/b`` it is, in this order: a file ``a/b`` with one of the endings of image files (of a file without
    nnU-Net's ``_0000``, too) or a DICOM SEG ``a/b.dcm``, the only such file in the folder ``a/b`` (of any name if it is
    a DICOM SEG; the images of a scan do not count), or that folder if it holds PNG pictures. A scan is never its own
    reference.
    """
    for base in _bases(references, place):
        for candidate in _candidates(base):
            if not (candidate.exists() and scan.exists() and candidate.samefile(scan)):
                return candidate
    return None


def _bases(references: Path, place: PurePosixPath) -> Iterator[Path]:
    yield references / place
    if place.name.endswith(_CHANNEL):
        yield references / place.with_name(place.name.removesuffix(_CHANNEL))


def _candidates(base: Path) -> Iterator[Path]:
    for suffix in (*_SUFFIXES, _DICOM):
        file = base.with_name(base.name + suffix)
        if file.is_file() and (suffix != _DICOM or is_segmentation(file)):
            yield file
    if base.is_file():  # the place has kept its ending, for another file has the same name without it
        yield base
    elif base.is_dir():
        files = [file for file in sorted(base.iterdir()) if has_suffix(file, _SUFFIXES) or is_segmentation(file)]
        if len(files) == 1:
            yield files[0]
        elif png_files(base):
            yield base
