"""The header of one DICOM image, as far as a volume needs it.

Reading a hundred headers must not cost more than reading their pixels, so values are decoded from the raw bytes that
pydicom hands over, and what is the same in all images of a series is decoded once: files whose raw bytes agree share
one `ImageFormat`.
"""

from __future__ import annotations

import hashlib
import re
import stat
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import GANSegmentationError
from .dicom_facts import read_facts
from .dicom_frames import Frame, read_frames
from .dicom_image import (
    DIRECTORY_CLASS,
    ENHANCED_CLASSES,
    DamagedImage,
    ImageFormat,
    ModalityLut,
    SliceHeader,
    Vector,
    damaged,
)

__all__ = ["DamagedImage", "HeaderReader", "SliceHeader", "read_facts"]

# PS3.3 and PS3.6, group << 16 | element.
_MEDIA_CLASS = 0x00020002
_TRANSFER_SYNTAX = 0x00020010
_SOP_CLASS = 0x00080016
_PATIENT_ID = 0x00100020
_STUDY_UID = 0x0020000D
_SERIES_UID = 0x0020000E
_POSITION = 0x00200032
_ROWS = 0x00280010
_COLUMNS = 0x00280011
_SIGNED = 0x00280103

# Everything that an `ImageFormat` is made of: if these bytes agree, the formats agree.
_FORMAT_TAGS = (
    _SOP_CLASS,
    _PATIENT_ID,
    _STUDY_UID,
    _SERIES_UID,
    _ROWS,
    _COLUMNS,
    0x00080008,  # Image Type
    0x00080060,  # Modality
    0x00180088,  # Spacing Between Slices
    0x00200037,  # Image Orientation (Patient)
    0x00200052,  # Frame of Reference UID
    0x00280002,  # Samples per Pixel
    0x00280004,  # Photometric Interpretation
    0x00280008,  # Number of Frames
    0x00280030,  # Pixel Spacing
    0x00280100,  # Bits Allocated
    0x00280101,  # Bits Stored
    0x00280102,  # High Bit
    _SIGNED,  # Pixel Representation
    0x00280120,  # Pixel Padding Value
    0x00280121,  # Pixel Padding Range Limit
    0x00281052,  # Rescale Intercept
    0x00281053,  # Rescale Slope
)
_UID = re.compile(r"[0-9.]{3,64}")
_DEFLATED = "1.2.840.10008.1.2.1.99"
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
            if not stat.S_ISREG(path.stat().st_mode):
                return None  # opening a pipe or a device would wait for somebody to write
            with path.open("rb") as file:
                force = _looks_like_dicom(file)
                if force is None:
                    if _should_be_dicom(path, file):
                        raise damaged(path, "it is not DICOM any more" if path.stat().st_size else "it is empty")
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
            # Its own words may quote the header, and with it the patient.
            raise damaged(path, "its header cannot be parsed", details=type(error).__name__) from error
        end_of_header = file.tell()
        try:
            if not self._is_image(dataset, force):
                return None
            if _ROWS not in dataset or _COLUMNS not in dataset:
                # pydicom reads a file that was cut short as far as it goes and says nothing.
                return _damaged_image(dataset, damaged(path, "it ends before its image"))
            big_endian, offset, announced = _locate_pixels(file, end_of_header)
            if file.tell() == end_of_header and _meta_text(dataset, _TRANSFER_SYNTAX) != _DEFLATED:
                return _damaged_image(dataset, damaged(path, "it ends before its pixels"))
            header = SliceHeader(path, self._format(dataset, big_endian), _position(dataset), offset, announced)
            form = header.format
            if form.frames == 1 and form.sop_class not in ENHANCED_CLASSES:
                return header
            return replace(header, frames=_split(header, read_frames(dataset, form.frames)))
        except ValueError as error:
            return _damaged_image(dataset, damaged(path, "a number in its header cannot be read", str(error)))

    @staticmethod
    def _is_image(dataset: Any, force: bool) -> bool:
        """Whether a file holds an image of a scan, or held one before it was damaged.

        It is passed over only where it is certain that it never did: a slice that is passed over may be the last one
        of its series, which nothing else would tell.
        """
        own = _text(dataset, _SOP_CLASS)
        if own in _SCAN_CLASSES or own in ENHANCED_CLASSES:
            return True
        announced = _meta_text(dataset, _MEDIA_CLASS)
        classes = {own, announced} - {""}
        if any(uid in _SCAN_CLASSES or uid in ENHANCED_CLASSES for uid in classes):
            return True
        if _ROWS in dataset and _COLUMNS in dataset:
            return not any(uid.startswith(_DERIVED_CLASSES) for uid in classes)
        if force:
            return False  # no mark, no rows: some other file
        if not own:
            return announced != DIRECTORY_CLASS  # the one object that has no class of its own
        return len(classes) != 1 or not _is_known(own)

    def _format(self, dataset: Any, big_endian: bool) -> ImageFormat:
        transfer_syntax = _meta_text(dataset, _TRANSFER_SYNTAX)
        # All bytes first: looking into a sequence makes pydicom decode some of the elements outside of it.
        raw = {tag: _raw(dataset, tag) for tag in _FORMAT_TAGS}
        lut = None
        if _MODALITY_LUT_SEQUENCE in dataset:
            lut = _modality_lut(dataset, big_endian, signed=raw[_SIGNED].strip(b"\0") == b"\1")
        key = (transfer_syntax, big_endian, lut, *raw.values())
        found = self._formats.get(key)
        if found is None:
            found = _decode_format(raw, transfer_syntax, big_endian, lut)
            self._formats[key] = found
        return found


def _damaged_image(dataset: Any, error: GANSegmentationError) -> DamagedImage:
    series_uid = _raw_text(dataset, _SERIES_UID)
    if not series_uid or not _UID.fullmatch(series_uid):
        raise error
    return DamagedImage(series_uid, error)


def _split(header: SliceHeader, frames: tuple[Frame, ...]) -> tuple[SliceHeader, ...]:
    """The frames of a multi-frame file as images of their own."""
    common, size = header.format, header.format.bytes_per_image
    if frames and header.pixel_offset is not None and header.pixel_bytes < size * len(frames):
        what = f"it announces {header.pixel_bytes} bytes of pixels, its {len(frames)} frames need {size * len(frames)}"
        raise ValueError(what)
    known: dict[tuple[Any, ...], ImageFormat] = {}
    images = []
    for index, frame in enumerate(frames):
        scale = (frame.slope, frame.intercept)
        own = (frame.orientation, frame.pixel_spacing, frame.slice_spacing, scale, frame.frame_type)
        form = known.get(own)
        if form is None:
            form = known[own] = replace(
                common,
                frames=1,
                image_type=frame.frame_type if any(frame.frame_type) else common.image_type,
                orientation=frame.orientation or common.orientation,
                pixel_spacing=frame.pixel_spacing or common.pixel_spacing,
                slice_spacing=frame.slice_spacing or common.slice_spacing,
                slope=common.slope if frame.slope is None else frame.slope,
                intercept=common.intercept if frame.intercept is None else frame.intercept,
                says_slope=common.says_slope or frame.slope is not None,
                says_intercept=common.says_intercept or frame.intercept is not None,
            )
        offset = None if header.pixel_offset is None else header.pixel_offset + index * size
        images.append(SliceHeader(header.path, form, frame.position, offset, size, frame=index, facts=frame.facts))
    return tuple(images)


def _looks_like_dicom(file: IO[bytes]) -> bool | None:
    """None: not DICOM. False: a DICOM file. True: perhaps, without preamble (as some old archives write it)."""
    start = file.read(132)
    file.seek(0)
    if start[128:132] == b"DICM":
        return False
    # A dataset without the 128 byte preamble begins with group 0002 or 0008, in either byte order.
    return True if start[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08") and len(start) == 132 else None


def _should_be_dicom(path: Path, file: IO[bytes]) -> bool:
    """Whether a file that is not DICOM was: by its name, or by what follows the place of the mark."""
    if path.name.startswith("._"):  # what macOS puts beside every file on a foreign disc
        return False
    file.seek(132)
    return path.suffix.lower() in (".dcm", ".ima") or file.read(6) == b"\x02\x00\x00\x00UL"


def _is_known(uid: str) -> bool:
    """Whether a SOP class is of the standard as pydicom knows it, or private."""
    from pydicom.uid import UID

    if uid.startswith("1.2.840.10008."):
        return str(UID(uid).name) != uid
    return bool(_UID.fullmatch(uid))


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
        return False, None, 0  # deflated, or nothing
    # An implicit length never looks like "OB" or "OW": that would be an odd length.
    explicit = element[4:6] in (b"OB", b"OW", b"UN")
    length = int.from_bytes(element[8:12] if explicit else element[4:8], "big" if big_endian else "little")
    if length == 0xFFFFFFFF:  # encapsulated: compressed
        _check_fragments(file, end_of_header + (12 if explicit else 8))
        return big_endian, None, 0
    return big_endian, end_of_header + (12 if explicit else 8), length


def _check_fragments(file: IO[bytes], offset: int) -> None:
    """Whether compressed pixels are there to their end (PS3.5 A.4): decoders paint what they have and say nothing."""
    end = file.seek(0, 2)
    while offset < end:
        file.seek(offset)
        item = file.read(8)
        if item[:4] != b"\xfe\xff\x00\xe0":
            break  # the delimiter, or what a careless writer put in its place
        offset += 8 + int.from_bytes(item[4:8], "little")
    if offset > end or (offset < end and len(item) < 8):
        raise ValueError("its compressed pixels end too early")


def _raw(dataset: Any, tag: int) -> bytes:
    element = dataset.get_item(tag)
    value = element.value if element is not None else b""
    if isinstance(value, bytes):
        return value
    if value is None or value == "" or type(value).__name__ == "Sequence":
        return b""
    raise ValueError(f"the element {tag:08x} was decoded before it was read")  # never taken for an absent one


def _text(dataset: Any, tag: int) -> str:
    return _as_text(_raw(dataset, tag))


def _digest(value: bytes | None) -> str:
    """A word for bytes that nobody is to read: the same for the same bytes but for padding."""
    stripped = (value or b"").strip(b" \0")
    return hashlib.blake2b(stripped, digest_size=8).hexdigest() if stripped else ""


def _as_text(raw: bytes) -> str:
    text = raw.decode("ascii", "replace").strip(" \0")
    if "\0" in text:
        raise ValueError("a value holds what follows it")  # a damaged length; it may hold the patient's name, too
    return text


def _raw_text(dataset: Any, tag: int) -> str:
    try:
        return _text(dataset, tag)
    except ValueError:
        return ""


def _meta_text(dataset: Any, tag: int) -> str:
    """A UID of the meta header; pydicom may have decoded it already."""
    meta = getattr(dataset, "file_meta", None)
    element = meta.get_item(tag) if meta is not None else None
    value = element.value if element is not None else None
    return _as_text(value) if isinstance(value, bytes) else str(value or "")


def _as_numbers(raw: bytes) -> Vector:
    """Decimal strings; some writers use a comma."""
    text = _as_text(raw).replace(",", ".")
    return tuple(float(part) for part in text.split("\\")) if text else ()


def _position(dataset: Any) -> tuple[float, float, float] | None:
    numbers = _as_numbers(_raw(dataset, _POSITION))
    if len(numbers) != 3:
        return None
    if not np.all(np.isfinite(numbers)):
        raise ValueError(f"Image Position (Patient) is {numbers}")
    return numbers[0], numbers[1], numbers[2]


def _modality_lut(dataset: Any, big_endian: bool, *, signed: bool) -> ModalityLut:
    """The table of a dataset (PS3.3 C.11.1.1.1): descriptor of number, first value and bits, then the entries."""
    order: Any = "big" if big_endian else "little"
    try:
        item = dataset[_MODALITY_LUT_SEQUENCE].value[0]
        descriptor, data = _raw(item, 0x00283002), _raw(item, 0x00283006)
    except Exception as error:  # a damaged sequence raises almost anything in pydicom
        raise ValueError(f"its Modality LUT cannot be read ({type(error).__name__})") from error
    if len(descriptor) != 6:
        raise ValueError("its Modality LUT has no descriptor")
    count = int.from_bytes(descriptor[:2], order) or 65536
    first = int.from_bytes(descriptor[2:4], order, signed=signed)
    width = 1 if int.from_bytes(descriptor[4:6], order) <= 8 and len(data) in (count, count + 1) else 2
    if len(data) < count * width:
        raise ValueError(f"its Modality LUT announces {count} entries and has {len(data) // width}")
    kind = np.dtype(np.uint8) if width == 1 else np.dtype(np.uint16).newbyteorder(">" if big_endian else "<")
    return ModalityLut(first, tuple(np.frombuffer(data, kind, count).tolist()))


def _decode_format(
    raw: Mapping[int, bytes], transfer_syntax: str, big_endian: bool, lut: ModalityLut | None
) -> ImageFormat:
    order: Any = "big" if big_endian else "little"

    def whole(tag: int, default: int) -> int:
        return int.from_bytes(raw[tag][:2], order) if raw[tag] else default

    def text(tag: int) -> str:
        return _as_text(raw[tag])

    def numbers(tag: int) -> Vector:
        return _as_numbers(raw[tag])

    allocated = whole(0x00280100, 16)
    stored = whole(0x00280101, allocated)
    orientation = numbers(0x00200037)
    pixel_spacing = numbers(0x00280030)
    between = numbers(0x00180088)
    intercept, slope = (numbers(tag) for tag in _RESCALE_TAGS)
    frames = text(0x00280008)
    padding = None
    if raw[0x00280120]:
        # A bit pattern, not a number: writers disagree on whether the value is signed.
        first = whole(0x00280120, 0)
        padding = (first, whole(0x00280121, first))
    return ImageFormat(
        series_uid=text(_SERIES_UID),
        sop_class=text(_SOP_CLASS),
        modality=text(0x00080060),
        image_type=tuple(part.strip() for part in text(0x00080008).split("\\")),
        rows=whole(_ROWS, 0),
        columns=whole(_COLUMNS, 0),
        frame_of_reference=text(0x00200052),
        orientation=orientation if len(orientation) == 6 and np.all(np.isfinite(orientation)) else None,
        pixel_spacing=pixel_spacing if len(pixel_spacing) == 2 and min(pixel_spacing) > 0 else None,
        slice_spacing=abs(between[0]) if between and between[0] else None,
        samples=whole(0x00280002, 1),
        photometric=text(0x00280004),
        frames=max(int(frames), 1) if frames else 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=whole(0x00280102, stored - 1),
        signed=whole(_SIGNED, 0) == 1,
        slope=slope[0] if slope else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        padding=padding,
        transfer_syntax=transfer_syntax,
        big_endian=big_endian,
        lut=lut,
        says_slope=bool(slope),
        says_intercept=bool(intercept),
        study_uid=text(_STUDY_UID),
        patient=_digest(raw[_PATIENT_ID]),
    )
