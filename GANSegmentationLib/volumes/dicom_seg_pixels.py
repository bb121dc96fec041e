"""The pixels of a DICOM SEG, frame by frame."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError

Array: TypeAlias = npt.NDArray[Any]

_LITTLE_ENDIAN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99")


def masks_of(dataset: Any, path: Path, count: int, threshold: float | None) -> Iterator[Array]:
    """The mask ``(y, x)`` of each frame of a binary or fractional segmentation.

    Raises
    ------
    GANSegmentationError
        As `planes_of`; ``fractional_segmentation`` for fractions without a threshold.
    """
    if str(dataset.get("SegmentationType", "BINARY")) != "FRACTIONAL":
        yield from planes_of(dataset, path, count)
        return
    most = int(dataset.get("MaximumFractionalValue", 255))
    for plane in planes_of(dataset, path, count):
        if threshold is not None:
            # Nothing is in no segment, however low the threshold.
            yield (plane >= threshold * most) & (plane > 0)
        elif ((plane == 0) | (plane == most)).all():
            yield plane > 0
        else:
            kind = str(dataset.get("SegmentationFractionalType", "fractions")).lower()
            raise GANSegmentationError(
                "fractional_segmentation",
                f"{path} does not say yes or no: it holds fractions ({kind}).",
                cause="It is a fractional DICOM SEG, for example the probabilities of a network.",
                action="Say from which fraction on a voxel belongs to a segment (--threshold 0.5 of ganseg compare, "
                "SegChoice in Python).",
            )


def planes_of(dataset: Any, path: Path, count: int) -> Iterator[Array]:
    """The stored pixels ``(y, x)`` of each frame.

    Raises
    ------
    GANSegmentationError
        ``damaged_file`` if there are too few bytes or too many, ``unsupported_pixels`` if they cannot be decoded.
    """
    shape = int(dataset.Rows), int(dataset.Columns)
    size = shape[0] * shape[1]
    bits = int(dataset.get("BitsAllocated", 1))
    if str(dataset.file_meta.TransferSyntaxUID) not in _LITTLE_ENDIAN:
        yield from _decoded(dataset, path, (count, *shape))
        return
    stored = np.frombuffer(dataset.PixelData, np.uint8)
    needed = -(-count * size * bits // 8)
    if bits not in (1, 8, 16) or not needed <= stored.size <= needed + 1:  # one more makes it even
        raise damaged_seg(
            path,
            f"it has {stored.size} bytes, but {count} frames of {shape[1]} x {shape[0]} pixels of {bits} bits "
            f"need {needed}",
        )
    for index in range(count):
        start = index * size * bits
        if bits == 1:  # frames follow one another without a gap, in the middle of a byte too (PS3.5 8.1.1)
            packed = stored[start // 8 : -(-(start + size) // 8)]
            plane = np.unpackbits(packed, bitorder="little")[start % 8 : start % 8 + size].view(np.bool_)
        else:
            plane = stored[start // 8 : (start + size * bits) // 8].view("<u1" if bits == 8 else "<u2")
        yield plane.reshape(shape)


def _decoded(dataset: Any, path: Path, shape: tuple[int, int, int]) -> Array:
    """Compressed and big endian pixels, by pydicom."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels: Array = np.asarray(dataset.pixel_array).reshape(shape)
            return pixels
    except Exception as error:
        syntax = str(dataset.file_meta.TransferSyntaxUID.name)
        raise GANSegmentationError(
            "unsupported_pixels",
            f"The pixels of {path} cannot be decoded ({syntax}).",
            cause="They are damaged, or compressed in a way that no installed plugin of pydicom knows.",
            action="Install pylibjpeg with its plugins, or save the segmentation without compression.",
            details=type(error).__name__,
        ) from error


def damaged_seg(path: Path, what: str, details: str = "") -> GANSegmentationError:
    """The error for a file that is not as it was written."""
    return GANSegmentationError(
        "damaged_file",
        f"The DICOM SEG file {path} is damaged: {what}.",
        cause="It was cut short or changed while it was copied, or its writer does not follow the standard.",
        action="Export the segmentation again.",
        details=details,
    )
