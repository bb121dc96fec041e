"""The header of one DICOM image, as far as a volume needs it.

Reading a hundred headers must not cost more than reading their pixels, so values are decoded from the raw bytes that
pydicom hands over, and what is the same in all images of a series is decoded once: files whose raw bytes agree share
one `ImageFormat`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from ..errors import GANSegmentationError

Vector: TypeAlias = tuple[float, ...]

# PS3.3 and PS3.6, group << 16 | element.
_SOP_CLASS = 0x00080016
_SERIES_UID = 0x0020000E
_POSITION = 0x00200032
_ROWS = 0x00280010
_COLUMNS = 0x00280011

# Everything that an `ImageFormat` is made of: if these bytes agree, the formats agree.
_FORMAT_TAGS = (
    _SOP_CLASS,
    _SERIES_UID,
    _ROWS,
    _COLUMNS,
    0x00080008,  # Image Type
    0x00080060,  # Modality
    0x00180088,  # Spacing Between Slices
    0x00200037,  # Image Orientation (Patient)
    0x00280002,  # Samples per Pixel
    0x00280004,  # Photometric Interpretation
    0x00280008,  # Number of Frames
    0x00280030,  # Pixel Spacing
    0x00280100,  # Bits Allocated
    0x00280101,  # Bits Stored
    0x00280102,  # High Bit
    0x00280103,  # Pixel Representation
    0x00280120,  # Pixel Padding Value
    0x00280121,  # Pixel Padding Range Limit
    0x00281052,  # Rescale Intercept
    0x00281053,  # Rescale Slope
)
_MODALITY_LUT_SEQUENCE = 0x00283000
_RESCALE_TAGS = (0x00281052, 0x00281053)

# Objects with rows and columns that are no scan: segmentations, dose, parametric and presentation objects (PS3.4 B.5).
_DERIVED_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.66.",
    "1.2.840.10008.5.1.4.1.1.481.",
    "1.2.840.10008.5.1.4.1.1.30",
    "1.2.840.10008.5.1.4.1.1.11.",
)
# CT, MR and PET: always an image; without rows, the file has lost them.
_SCAN_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128")
ENHANCED_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2.1": "an enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "a legacy converted enhanced CT",
    "1.2.840.10008.5.1.4.1.1.4.1": "an enhanced MR",
    "1.2.840.10008.5.1.4.1.1.4.3": "an enhanced MR colour",
    "1.2.840.10008.5.1.4.1.1.4.4": "a legacy converted enhanced MR",
    "1.2.840.10008.5.1.4.1.1.128.1": "a legacy converted enhanced PET",
    "1.2.840.10008.5.1.4.1.1.130": "an enhanced PET",
}


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
    padding:
        First and last stored bit pattern of pixels that show nothing (PS3.3 C.7.5.1.1.2); None if absent.
    """

    series_uid: str
    sop_class: str
    modality: str
    image_type: tuple[str, ...]
    rows: int
    columns: int
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
    has_modality_lut: bool

    @property
    def bytes_per_image(self) -> int:
        """The size of the uncompressed pixels of one image."""
        return self.rows * self.columns * self.bits_allocated // 8

    @property
    def is_localizer(self) -> bool:
        """Whether the image only plans a scan (PS3.3 C.8.2.1.1.1: Image Type value 3)."""
        return "LOCALIZER" in self.image_type[2:]


@dataclass(frozen=True)
class SliceHeader:
    """One DICOM image file.

    Parameters
    ----------
    position:
        Image Position (Patient): centre of the first pixel, LPS mm; None if absent.
    pixel_offset:
        Where the uncompressed pixels begin in the file; None if they are compressed or not where they should be.
    pixel_bytes:
        How many bytes of pixels the file announces.
    """

    path: Path
    format: ImageFormat
    position: tuple[float, float, float] | None
    pixel_offset: int | None
    pixel_bytes: int


@dataclass(frozen=True)
class DamagedImage:
    """A file of a series that has lost its image."""

    series_uid: str
    error: GANSegmentationError


class HeaderReader:
    """Reads headers of many files and shares what they have in common."""

    def __init__(self) -> None:
        self._formats: dict[tuple[Any, ...], ImageFormat] = {}

    def read(self, path: Path) -> SliceHeader | DamagedImage | None:
        """The header of an image file; None for anything that is not a DICOM image.

        Raises
        ------
        GANSegmentationError
            ``damaged_file`` if the file is DICOM, but not even the series that it belongs to can be read.
            ``unreadable_file`` if it cannot be opened.
        """
        try:
            with path.open("rb") as file:
                force = _looks_like_dicom(file)
                if force is None:
                    if path.suffix.lower() == ".dcm" and path.stat().st_size == 0:
                        raise damaged(path, "it is empty")
                    return None
                return self._parse(path, file, force)
        except OSError as error:
            raise GANSegmentationError(
                "unreadable_file",
                f"The file {path} cannot be read.",
                cause="It may be locked, or you may lack the permission.",
                action="Check the file and try again.",
                details=str(error),
            ) from error

    def _parse(self, path: Path, file: IO[bytes], force: bool) -> SliceHeader | DamagedImage | None:
        import pydicom

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom warns of every value that is off the standard
                dataset = pydicom.dcmread(file, stop_before_pixels=True, force=force)
        except Exception as error:  # a damaged file raises almost anything in pydicom
            if force:  # not even the DICOM mark: some other file
                return None
            raise damaged(path, "its header cannot be parsed", details=repr(error)) from error
        end_of_header = file.tell()
        sop_class = _text(dataset, _SOP_CLASS) or _meta_text(dataset, "MediaStorageSOPClassUID")
        if _ROWS not in dataset or _COLUMNS not in dataset:
            # pydicom reads a file that was cut short as far as it goes and says nothing.
            if sop_class in (*_SCAN_CLASSES, *ENHANCED_CLASSES) or not (sop_class or force):
                return _damaged_image(dataset, damaged(path, "it ends before its image"))
            return None
        if sop_class.startswith(_DERIVED_CLASSES):
            return None
        big_endian, offset, announced = _locate_pixels(file, end_of_header)
        try:
            return SliceHeader(
                path=path,
                format=self._format(dataset, big_endian),
                position=_position(dataset),
                pixel_offset=offset,
                pixel_bytes=announced,
            )
        except ValueError as error:
            return _damaged_image(dataset, damaged(path, "a number in its header cannot be read", str(error)))

    def _format(self, dataset: Any, big_endian: bool) -> ImageFormat:
        transfer_syntax = _meta_text(dataset, "TransferSyntaxUID")
        has_lut = _MODALITY_LUT_SEQUENCE in dataset
        key = (transfer_syntax, big_endian, has_lut, *(_raw(dataset, tag) for tag in _FORMAT_TAGS))
        found = self._formats.get(key)
        if found is None:
            found = _decode_format(dataset, transfer_syntax, big_endian, has_lut)
            self._formats[key] = found
        return found


def damaged(path: Path, what: str, details: str = "") -> GANSegmentationError:
    """The error for a file that is not as it was written."""
    return GANSegmentationError(
        "damaged_file",
        f"The file {path} is damaged: {what}.",
        cause="It was probably cut short or changed while it was copied.",
        action="Copy or export it again; if it does not belong to the scan, move it out of the folder.",
        details=details,
    )


def _damaged_image(dataset: Any, error: GANSegmentationError) -> DamagedImage:
    series_uid = _text(dataset, _SERIES_UID)
    if not series_uid:
        raise error
    return DamagedImage(series_uid, error)


def read_facts(path: Path, keywords: tuple[str, ...]) -> Mapping[str, str]:
    """The values of DICOM keywords of one file as text; empty and absent ones are left out."""
    import pydicom

    facts: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        for keyword in keywords:
            try:
                value = dataset.get(keyword)
            except Exception:  # noqa: BLE001 - a value that cannot be decoded is a fact not known
                continue
            if value is None:
                continue
            parts = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
            text = "\\".join(str(part).strip() for part in parts)
            if text.strip("\\"):
                facts[keyword] = text
    return facts


def _looks_like_dicom(file: IO[bytes]) -> bool | None:
    """None: not DICOM. False: a DICOM file. True: perhaps, without preamble (as some old archives write it)."""
    start = file.read(132)
    file.seek(0)
    if start[128:132] == b"DICM":
        return False
    # A dataset without the 128 byte preamble begins with group 0002 or 0008, in either byte order.
    return True if start[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08") and len(start) == 132 else None


def _locate_pixels(file: IO[bytes], end_of_header: int) -> tuple[bool, int | None, int]:
    """Byte order, offset and announced length of uncompressed pixels (PS3.5 7.1); no offset where they are not there.

    pydicom stops right before the Pixel Data element, so its tag, type and length come next; in a deflated file
    something else does, and the caller lets pydicom decode.
    """
    file.seek(end_of_header)
    element = file.read(12)
    if element[:4] == b"\xe0\x7f\x10\x00":
        big_endian = False
    elif element[:4] == b"\x7f\xe0\x00\x10":
        big_endian = True
    else:
        return False, None, 0
    # An implicit length never looks like "OB" or "OW": that would be an odd length.
    explicit = element[4:6] in (b"OB", b"OW", b"UN")
    length = int.from_bytes(element[8:12] if explicit else element[4:8], "big" if big_endian else "little")
    if length == 0xFFFFFFFF:  # encapsulated: compressed
        return big_endian, None, 0
    return big_endian, end_of_header + (12 if explicit else 8), length


def _raw(dataset: Any, tag: int) -> bytes:
    element = dataset.get_item(tag)
    value = element.value if element is not None else b""
    return value if isinstance(value, bytes) else b""


def _text(dataset: Any, tag: int) -> str:
    return _raw(dataset, tag).decode("ascii", "replace").strip(" \0")


def _meta_text(dataset: Any, keyword: str) -> str:
    meta = getattr(dataset, "file_meta", None)
    return str(meta.get(keyword, "")) if meta is not None else ""


def _numbers(dataset: Any, tag: int) -> Vector:
    """Decimal strings; some writers use a comma."""
    text = _text(dataset, tag).replace(",", ".")
    return tuple(float(part) for part in text.split("\\")) if text else ()


def _position(dataset: Any) -> tuple[float, float, float] | None:
    numbers = _numbers(dataset, _POSITION)
    if len(numbers) != 3:
        return None
    if not np.all(np.isfinite(numbers)):
        raise ValueError(f"Image Position (Patient) is {numbers}")
    return numbers[0], numbers[1], numbers[2]


def _decode_format(dataset: Any, transfer_syntax: str, big_endian: bool, has_modality_lut: bool) -> ImageFormat:
    order: Any = "big" if big_endian else "little"

    def whole(tag: int, default: int) -> int:
        raw = _raw(dataset, tag)
        return int.from_bytes(raw[:2], order) if raw else default

    allocated = whole(0x00280100, 16)
    stored = whole(0x00280101, allocated)
    orientation = _numbers(dataset, 0x00200037)
    pixel_spacing = _numbers(dataset, 0x00280030)
    between = _numbers(dataset, 0x00180088)
    intercept, slope = (_numbers(dataset, tag) for tag in _RESCALE_TAGS)
    frames = _text(dataset, 0x00280008)
    padding = None
    if _raw(dataset, 0x00280120):
        # A bit pattern, not a number: writers disagree on whether the value is signed.
        first = whole(0x00280120, 0)
        padding = (first, whole(0x00280121, first))
    return ImageFormat(
        series_uid=_text(dataset, _SERIES_UID),
        sop_class=_text(dataset, _SOP_CLASS),
        modality=_text(dataset, 0x00080060),
        image_type=tuple(part.strip() for part in _text(dataset, 0x00080008).split("\\")),
        rows=whole(_ROWS, 0),
        columns=whole(_COLUMNS, 0),
        orientation=orientation if len(orientation) == 6 and np.all(np.isfinite(orientation)) else None,
        pixel_spacing=pixel_spacing if len(pixel_spacing) == 2 and min(pixel_spacing) > 0 else None,
        slice_spacing=abs(between[0]) if between and between[0] else None,
        samples=whole(0x00280002, 1),
        photometric=_text(dataset, 0x00280004),
        frames=int(frames) if frames else 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=whole(0x00280102, stored - 1),
        signed=whole(0x00280103, 0) == 1,
        slope=slope[0] if slope else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        padding=padding,
        transfer_syntax=transfer_syntax,
        big_endian=big_endian,
        has_modality_lut=has_modality_lut,
    )
