"""Volumes and labelmaps as ``.npy`` files in a private folder: how voxels cross the border of a process.

A file holds the bare voxels; a description, which is plain JSON, says which file, which grid and what they mean. No
image format is in between, so nothing is rounded, flipped or lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .geometry import Geometry
from .labelmap import Labelmap
from .segments import Code, Segment
from .volume import Volume


def save_volume(volume: Volume, folder: Path, name: str) -> dict[str, Any]:
    """Write the voxels of a volume to ``<folder>/<name>.npy`` and return its description."""
    return {
        "file": _save_array(volume.array, folder, name),
        "geometry": geometry_to_dict(volume.geometry),
        "modality": volume.modality,
        "name": volume.name,
        "facts": dict(volume.facts),
    }


def load_volume(description: Mapping[str, Any], folder: Path) -> Volume:
    """The volume that `save_volume` described.

    Raises
    ------
    GANSegmentationError
        ``invalid_exchange`` if the description is incomplete or its file is missing, outside of the folder or no array.
    """
    with _reading(description):
        return Volume(
            array=_load_array(description["file"], folder),
            geometry=geometry_from_dict(description["geometry"]),
            modality=description["modality"],
            name=description["name"],
            facts=description["facts"],
        )


def save_labelmap(labelmap: Labelmap, folder: Path, name: str) -> dict[str, Any]:
    """Write the labels to ``<folder>/<name>.npy`` and return their description."""
    return {
        "file": _save_array(labelmap.array, folder, name),
        "geometry": geometry_to_dict(labelmap.geometry),
        "segments": [{**asdict(segment), "colour": list(segment.colour)} for segment in labelmap.segments],
    }


def load_labelmap(description: Mapping[str, Any], folder: Path) -> Labelmap:
    """The labelmap that `save_labelmap` described; raises as `load_volume`."""
    with _reading(description):
        return Labelmap(
            array=_load_array(description["file"], folder),
            geometry=geometry_from_dict(description["geometry"]),
            segments=[_segment(fields) for fields in description["segments"]],
        )


def geometry_to_dict(geometry: Geometry) -> dict[str, list[Any]]:
    """A grid as plain JSON types; Python writes and reads double precision exactly."""
    return {name: list(value) for name, value in asdict(geometry).items()}


def geometry_from_dict(fields: Mapping[str, Any]) -> Geometry:
    """The grid that `geometry_to_dict` described."""
    return Geometry(**{name: tuple(fields[name]) for name in ("size", "spacing", "origin", "direction")})


def _segment(fields: Mapping[str, Any]) -> Segment:
    codes = {key: Code(**value) for key, value in fields.items() if isinstance(value, Mapping)}
    return Segment(**{**fields, **codes, "colour": tuple(fields["colour"])})


def _save_array(array: npt.NDArray[Any], folder: Path, name: str) -> str:
    file = f"{name}.npy"
    # A Fortran-ordered array would come back with other strides, and all of the library's loops run over C order.
    np.save(folder / file, np.ascontiguousarray(array), allow_pickle=False)
    return file


def _load_array(file: str, folder: Path) -> npt.NDArray[Any]:
    if Path(file).name != file:
        raise ValueError(f"{file} is not a plain file name")
    array: npt.NDArray[Any] = np.load(folder / file, allow_pickle=False)
    return array


@contextmanager
def _reading(description: Mapping[str, Any]) -> Iterator[None]:
    """Turns what a damaged description or a missing file causes into an error that names it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise GANSegmentationError(
            "invalid_exchange",
            f"The voxels described by {sorted(description)} cannot be read: {error!r}.",
            cause="The private folder of the run was removed, or the disk is full.",
            action="Run again; free disk space if it comes back.",
        ) from error
