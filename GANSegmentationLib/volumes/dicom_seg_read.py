"""DICOM Segmentation objects read as labelmaps, whoever wrote them (PS3.3 A.51 and A.90).

Only pydicom is needed. Frames that are not there are empty slices; a voxel of two segments is an error, because a
labelmap cannot say it, unless the order of the segments may decide.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .dicom_frames import read_frames
from .dicom_seg_grid import FrameGrid, grid_of_frames
from .dicom_seg_pixels import damaged_seg, masks_of, planes_of
from .dicom_seg_segments import choose_segments, read_segments
from .geometry import Geometry
from .grids import place_on_grid
from .labelmap import Labelmap
from .segments import Segment

Array: TypeAlias = npt.NDArray[Any]

SEGMENTATION_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP_CLASS = "1.2.840.10008.5.1.4.1.1.66.7"

_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class SegChoice:
    """What to make of a DICOM SEG that says more than a labelmap can.

    Parameters
    ----------
    segments:
        Which ones, by name or number; None for all.
    overlaps:
        What to do with a voxel of several segments: ``"refuse"`` it, or give it to the ``"first"`` of `segments` (in
        the file's order without these).
    threshold:
        Of a fractional segmentation: a voxel belongs to a segment from this fraction on, 0 to 1. Without it, fractions
        other than none and all are refused. Not looked at for the other kinds.
    """

    segments: Sequence[str | int] | None = None
    overlaps: Literal["refuse", "first"] = "refuse"
    threshold: float | None = None


_ALL = SegChoice()


def is_dicom(path: Path) -> bool:
    """Whether a file carries the DICOM mark, whatever its name."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM SEG, by its meta header."""
    from pydicom.filereader import read_file_meta_info

    if not is_dicom(path):
        return False
    try:
        return str(read_file_meta_info(path).get("MediaStorageSOPClassUID", "")) in (SEGMENTATION_CLASS, LABELMAP_CLASS)
    except Exception:  # noqa: BLE001 - a damaged file raises almost anything in pydicom
        return False


def read_dicom_seg(
    path: str | os.PathLike[str],
    *,
    geometry: Geometry | None = None,
    choice: SegChoice = _ALL,
) -> Labelmap:
    """The labelmap in a DICOM SEG file: binary, fractional or of the kind LABELMAP.

    A segment's number is its label value, except in files of `write_dicom_seg` from labels with gaps, where the labels
    come back. Names, colours and codes are kept.

    Parameters
    ----------
    path:
        The file.
    geometry:
        The grid of the scan, if the labels are wanted on exactly that. Without it, they have the grid of the file:
        whole slices from the first to the last that has a frame, ascending along the normal.
    choice:
        What to make of overlaps and fractions, and which segments to take.

    Raises
    ------
    GANSegmentationError
        ``file_not_found``, ``unreadable_file``, ``unknown_format`` if the file is not DICOM; ``not_a_segmentation`` if
        it is another DICOM object; ``damaged_file``; ``unsupported_pixels``; ``unknown_segment``;
        ``overlapping_segments``; ``fractional_segmentation``; ``geometry_mismatch``; what `grid_of_frames` raises.
    """
    file = Path(path)
    dataset = _open(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            labelmap = _read(dataset, file, geometry, choice)
    except (GANSegmentationError, MemoryError):
        raise
    except Exception as error:  # damaged values raise almost anything in pydicom, and where they are computed with
        raise damaged_seg(file, "a value in it cannot be understood", type(error).__name__) from error
    return labelmap if geometry is None else place_on_grid(labelmap, geometry)


def _read(dataset: Any, file: Path, geometry: Geometry | None, choice: SegChoice) -> Labelmap:
    frames, thickness = _frames(dataset, file)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    grid = grid_of_frames(frames, rows, columns, thickness=thickness, scan=geometry, path=file)
    described = read_segments(dataset)
    chosen = choose_segments(described, choice.segments)
    if _is_labelmap(dataset):
        array = _stacked(dataset, file, grid, len(frames))
        if choice.segments is not None:
            array = np.where(np.isin(array, list(chosen)), array, 0)
        array = _with_values(array, {number: segment.value for number, segment in chosen.items()})
    else:
        numbers = _segment_numbers(dataset, file)
        unknown = sorted(set(numbers) - set(described))
        if unknown:
            raise damaged_seg(file, f"its frames name segment {unknown[0]}, which is not described")
        highest = max((segment.value for segment in chosen.values()), default=0)
        array = np.zeros(grid.geometry.shape, np.uint8 if highest <= 255 else np.uint16)
        masks = masks_of(dataset, file, len(frames), choice.threshold)
        shared = _paint(array, zip(numbers, grid.slices, masks, strict=True), chosen, file)
        if shared and choice.overlaps != "first":
            raise _overlapping(file, shared, described)
    return Labelmap(array, grid.geometry, tuple(chosen.values()))


def _open(path: Path) -> Any:
    import pydicom

    if not path.is_file():
        raise GANSegmentationError("file_not_found", f"There is no file {path}.", action="Check the path.")
    if not os.access(path, os.R_OK):
        raise GANSegmentationError(
            "unreadable_file",
            f"The file {path} cannot be read: there is no permission to.",
            action="Check the rights of the file and try again.",
        )
    if not is_dicom(path):
        raise GANSegmentationError(
            "unknown_format",
            f"{path} is not a DICOM file.",
            cause="It is another kind of file, or damaged.",
            action="Choose a DICOM SEG file, or a labelmap of another format.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of every value that is off the standard
            dataset = pydicom.dcmread(path)
            kind = str(dataset.get("SOPClassUID", "") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    except Exception as error:  # a damaged file raises almost anything in pydicom
        raise damaged_seg(path, "it cannot be read to its end", type(error).__name__) from error
    if kind not in (SEGMENTATION_CLASS, LABELMAP_CLASS):
        raise _not_a_segmentation(path, kind)
    missing = [name for name in ("Rows", "Columns", "SegmentSequence", "PixelData") if name not in dataset]
    if missing:
        raise damaged_seg(path, f"it has no {', '.join(missing)}")
    return dataset


def _not_a_segmentation(path: Path, kind: str) -> GANSegmentationError:
    from pydicom.uid import UID

    name = str(UID(kind).name) if kind else "of an unknown kind"
    return GANSegmentationError(
        "not_a_segmentation",
        f"{path} is a DICOM file, but no segmentation: {name}.",
        cause="It is a DICOMDIR, the list of the files of a disc."
        if kind == _DIRECTORY_CLASS
        else "It is an image of the scan itself, or another object of the study (report, contours, surfaces, dose).",
        action="Choose the file of the modality SEG.",
    )


def _is_labelmap(dataset: Any) -> bool:
    return str(dataset.get("SegmentationType", "")) == "LABELMAP"


def _frames(dataset: Any, path: Path) -> tuple[Any, float | None]:
    """What each frame says of its place, and the slice thickness that they share, mm."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            count = int(dataset.get("NumberOfFrames", 1) or 1)
            frames = read_frames(dataset, count)
            groups = [*dataset.get("SharedFunctionalGroupsSequence", ()), *dataset.PerFrameFunctionalGroupsSequence[:1]]
            measures = [group.PixelMeasuresSequence[0] for group in groups if "PixelMeasuresSequence" in group]
            thickness = measures[0].get("SliceThickness") if measures else None
            return frames, float(thickness) if thickness else None
    except Exception as error:
        raise damaged_seg(path, "its functional groups cannot be read", type(error).__name__) from error


def _segment_numbers(dataset: Any, path: Path) -> list[int]:
    """The segment number of each frame."""
    try:
        shared = [*dataset.get("SharedFunctionalGroupsSequence", ())]
        groups = [
            group if "SegmentIdentificationSequence" in group else shared[0]
            for group in dataset.PerFrameFunctionalGroupsSequence
        ]
        return [int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber) for group in groups]
    except Exception as error:
        raise damaged_seg(path, "a frame does not say which segment it shows", type(error).__name__) from error


def _stacked(dataset: Any, path: Path, grid: FrameGrid, count: int) -> Array:
    """The slices of a SEG of the kind LABELMAP, ``(z, y, x)``."""
    padding = int(dataset.get("PixelPaddingValue", 0) or 0)
    if padding and _zero_is_a_structure(dataset):
        raise GANSegmentationError(
            "unsupported_pixels",
            f"In {path} the value 0 is a structure and {padding} is the background; a labelmap means 0 to be that.",
            action="Save the segmentation as binary DICOM SEG.",
        )
    if len(set(grid.slices)) < count:
        raise damaged_seg(path, "two of its frames show the same slice")
    array: Array = np.zeros(grid.geometry.shape, np.uint8 if int(dataset.BitsAllocated) <= 8 else np.uint16)
    for index, plane in zip(grid.slices, planes_of(dataset, path, count), strict=True):
        array[index] = np.where(plane == padding, 0, plane)
    return array


def _zero_is_a_structure(dataset: Any) -> bool:
    """Whether segment 0 is described, and as something else than background."""
    labels = [str(item.get("SegmentLabel", "")) for item in dataset.SegmentSequence if int(item.SegmentNumber) == 0]
    return bool(labels) and labels[0].strip().lower() != "background"


def _with_values(array: Array, values: dict[int, int]) -> Array:
    """Segment numbers replaced by label values, in the smallest type."""
    highest = max(int(array.max()), *values.values(), 0) if values else int(array.max())
    dtype = np.uint8 if highest <= 255 else np.uint16
    if all(number == value for number, value in values.items()):
        return array.astype(dtype, copy=False)
    table = np.arange(int(array.max()) + 1)
    for number, value in values.items():
        if number < table.size:
            table[number] = value
    return table.astype(dtype)[array]


def _paint(
    array: Array, frames: Iterator[tuple[int, int, Array]], chosen: Mapping[int, Segment], path: Path
) -> dict[tuple[int, int], int]:
    """Write the frames (segment number, slice, mask) of the chosen segments into the labels; the first one wins.

    Says how many voxels each pair of segments has in common.
    """
    ranks = {number: rank for rank, number in enumerate(chosen)}
    numbers = {segment.value: number for number, segment in chosen.items()}
    rank_of_value = np.full(max(numbers, default=0) + 1, len(ranks))
    rank_of_value[list(numbers)] = np.arange(len(ranks))
    seen: set[tuple[int, int]] = set()
    shared: dict[tuple[int, int], int] = {}
    for number, index, mask in frames:
        if (number, index) in seen:
            raise damaged_seg(path, f"two of its frames show the same slice of segment {number}")
        seen.add((number, index))
        if number not in ranks or not mask.any():
            continue
        plane, value = array[index], chosen[number].value
        before = plane[mask]
        if not before.any():
            plane[mask] = value
            continue
        for label, voxels in zip(*np.unique(before[before > 0], return_counts=True), strict=True):
            other = numbers[int(label)]
            pair = (min(number, other), max(number, other))
            shared[pair] = shared.get(pair, 0) + int(voxels)
        plane[mask] = np.where(rank_of_value[before] > ranks[number], value, before)
    return shared


def _overlapping(
    path: Path, shared: Mapping[tuple[int, int], int], described: Mapping[int, Segment]
) -> GANSegmentationError:
    pairs = [
        f"{described[one].name} and {described[other].name} ({voxels} voxels)"
        for (one, other), voxels in sorted(shared.items())
    ]
    listed = ", ".join(pairs[:5]) + (f" and {len(pairs) - 5} more pairs" if len(pairs) > 5 else "")
    return GANSegmentationError(
        "overlapping_segments",
        f"Segments of {path} overlap, so that one voxel belongs to more than one: {listed}.",
        cause="A labelmap has one label for each voxel.",
        action="Choose segments that do not overlap, or let the first one win (--segments and --overlaps first of "
        "ganseg compare, SegChoice in Python).",
    )
