"""What the header of a DICOM image says, decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ..errors import GANSegmentationError

Vector: TypeAlias = tuple[float, ...]

ENHANCED_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2.1": "an enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "a legacy converted enhanced CT",
    "1.2.840.10008.5.1.4.1.1.4.1": "an enhanced MR",
    "1.2.840.10008.5.1.4.1.1.4.3": "an enhanced MR colour",
    "1.2.840.10008.5.1.4.1.1.4.4": "a legacy converted enhanced MR",
    "1.2.840.10008.5.1.4.1.1.128.1": "a legacy converted enhanced PET",
    "1.2.840.10008.5.1.4.1.1.130": "an enhanced PET",
}

DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
"""DICOMDIR."""


@dataclass(frozen=True)
class ModalityLut:
    """A table instead of slope and intercept (PS3.3 C.11.1): what each stored value means.

    Parameters
    ----------
    first:
        The stored value that the first entry is for; smaller ones have the first entry, too large ones the last.
    values:
        The entries, unsigned.
    """

    first: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class ImageFormat:
    """How the pixels of an image are stored and what they mean; usually one for all images of a series.

    Parameters
    ----------
    orientation:
        Image Orientation (Patient): LPS unit vectors along a row and along a column, six numbers; None if absent.
    pixel_spacing:
        Distance of rows and distance of columns, mm (that order: PS3.3 10.7.1.3); None if absent.
    slice_spacing:
        Spacing Between Slices, mm; only used where a series has a single slice.
    slope, intercept:
        Stored value x slope + intercept = value (PS3.3 C.11.1); 1 and 0 if absent.
    says_slope, says_intercept:
        Whether they are there.
    study_uid:
        Study Instance UID; empty if absent.
    patient:
        A word for the Patient ID that tells patients apart and says nothing else; empty if absent.
    lut:
        The table that takes the place of slope and intercept; None for none.
    padding:
        First and last stored bit pattern of pixels that show nothing (PS3.3 C.7.5.1.1.2); None if absent.
    """

    series_uid: str
    sop_class: str
    modality: str
    image_type: tuple[str, ...]
    rows: int
    columns: int
    frame_of_reference: str
    orientation: Vector | None
    pixel_spacing: Vector | None
    slice_spacing: float | None
    samples: int
    photometric: str
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    slope: float
    intercept: float
    padding: tuple[int, int] | None
    transfer_syntax: str
    big_endian: bool
    lut: ModalityLut | None
    says_slope: bool = False
    says_intercept: bool = False
    study_uid: str = ""
    patient: str = ""

    @property
    def bytes_per_image(self) -> int:
        """The size of the uncompressed pixels of one image."""
        return self.rows * self.columns * self.bits_allocated // 8

    @property
    def is_localizer(self) -> bool:
        """Whether the image only plans a scan (PS3.3 C.8.2.1.1.1: Image Type value 3)."""
        return "LOCALIZER" in self.image_type[2:]

    @property
    def is_mosaic(self) -> bool:
        """Whether the image is a sheet of many slices side by side, as Siemens stores functional and diffusion MR."""
        return self.frames == 1 and "MOSAIC" in self.image_type[2:]


@dataclass(frozen=True)
class SliceHeader:
    """One DICOM image: a file, or one frame of an enhanced multi-frame file.

    Parameters
    ----------
    position:
        Image Position (Patient): centre of the first pixel, LPS mm; None if absent.
    pixel_offset:
        Where the uncompressed pixels begin in the file; None if they are compressed or not where they should be.
    pixel_bytes:
        How many bytes of pixels the file announces; for a frame, how many of them are its own.
    frame:
        The index of the frame in its file; None for a whole file.
    facts:
        Of a frame: what may tell volumes of a multi-dimensional object apart, by DICOM keyword.
    frames:
        Of an enhanced file: its frames, which stand for it; empty for any other.
    """

    path: Path
    format: ImageFormat
    position: tuple[float, float, float] | None
    pixel_offset: int | None
    pixel_bytes: int
    frame: int | None = None
    facts: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    frames: tuple[SliceHeader, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class DamagedImage:
    """A file of a series that has lost its image."""

    series_uid: str
    error: GANSegmentationError


def damaged(path: Path, what: str, details: str = "") -> GANSegmentationError:
    """The error for a file that is not as it was written."""
    return GANSegmentationError(
        "damaged_file",
        f"The file {path} is damaged: {what}.",
        cause="It was probably cut short or changed while it was copied.",
        action="Copy or export it again; if it does not belong to the scan, move it out of the folder.",
        details=details,
    )
