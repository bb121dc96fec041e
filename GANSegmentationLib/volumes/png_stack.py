"""A labelmap as a folder of PNG pictures, one a slice, as CHAOS ships its references.

Pictures carry no position, so they are matched to the DICOM files of their series: by the same name where names agree,
else one by one in the order of the file names, which must be the order of the slices, upwards or downwards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .dicom import SeriesInfo
from .labelmap import Labelmap

Array: TypeAlias = npt.NDArray[Any]


def png_files(folder: Path) -> list[Path]:
    """The PNG files directly in a folder, in the order of their names (numbers in a name count as numbers)."""
    return sorted((path for path in folder.iterdir() if path.suffix.lower() == ".png"), key=_name_order)


def read_png_stack(folder: Path, series: SeriesInfo) -> Labelmap:
    """The labels in the pictures, on the grid of the series that they were drawn on.

    Black-and-white pictures (1 bit, or only 0 and 255) are a mask: their white becomes label 1. Other grey values are
    labels as they are.

    Raises
    ------
    GANSegmentationError
        ``png_mismatch`` if number, size or order of pictures and DICOM images disagree, ``not_a_labelmap`` if a
        picture has colours, ``damaged_file`` if one cannot be read, and the series' own problem if it is no volume.
    """
    geometry = series.geometry
    if geometry is None:
        raise series.problem or GANSegmentationError("no_dicom", f"The series {series.uid} is not a volume.")
    pictures = _match(folder, png_files(folder), series.files)
    array: Array = np.zeros(geometry.shape, np.uint16)
    for labels, path in zip(array, pictures, strict=True):
        picture = _read(path)
        if picture.shape != labels.shape:
            raise GANSegmentationError(
                "png_mismatch",
                f"The picture {path.name} has {picture.shape[1]} x {picture.shape[0]} pixels, the scan has "
                f"{labels.shape[1]} x {labels.shape[0]}.",
                cause="The pictures belong to another series, or were resized.",
                action="Choose the pictures of this series.",
            )
        labels[...] = picture
    values = np.unique(array)
    if set(values.tolist()) <= {0, 255}:
        array = (array > 0).view(np.uint8)
    elif values[-1] <= 255:
        array = array.astype(np.uint8)
    return Labelmap(array, geometry)


def _match(folder: Path, pictures: Sequence[Path], files: Sequence[Path]) -> list[Path]:
    """The pictures in the order of the slices."""
    if len(pictures) != len(files):
        raise GANSegmentationError(
            "png_mismatch",
            f"The folder {folder} holds {len(pictures)} pictures, the series has {len(files)} slices.",
            cause="The pictures belong to another series, or some are missing.",
            action="Choose the pictures of this series.",
        )
    by_stem = {path.stem: path for path in pictures}
    if {file.stem for file in files} == set(by_stem):
        return [by_stem[file.stem] for file in files]
    by_name = sorted(range(len(files)), key=lambda index: _name_order(files[index]))
    upwards = list(range(len(files)))
    if by_name == upwards:
        return list(pictures)
    if by_name == upwards[::-1]:
        return list(reversed(pictures))
    raise GANSegmentationError(
        "png_mismatch",
        f"The names of the DICOM files in {files[0].parent} are not in the order of the slices, so the pictures in "
        f"{folder} cannot be matched to them.",
        action="Give the pictures the names of their DICOM files.",
    )


def _read(path: Path) -> Array:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            mode = picture.mode
            array: Array = np.asarray(picture)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise GANSegmentationError(
            "damaged_file",
            f"The picture {path} cannot be read.",
            action="Copy it again.",
            details=repr(error),
        ) from error
    if mode == "1":
        array = np.where(array, np.uint8(255), np.uint8(0))
    if array.ndim != 2 or mode not in ("1", "L", "P", "I", "I;16"):
        raise GANSegmentationError(
            "not_a_labelmap",
            f"The picture {path.name} has colours ({mode}); labels are one grey value a pixel.",
            action="Choose a folder of masks.",
        )
    return array


def _name_order(path: Path) -> list[tuple[int, int | str]]:
    """Sorts ``2.png`` before ``10.png``."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]
