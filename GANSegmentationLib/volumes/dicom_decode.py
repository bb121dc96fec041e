"""Compressed pixels of DICOM images, and those that do not lie in the file as they are (deflated).

pydicom decodes them with the plugins that it has; where it lacks one, the GDCM inside SimpleITK does, which needs none
for JPEG, lossless JPEG, JPEG-LS, JPEG 2000 and RLE.

What is cut short or cannot be decoded is refused, but DICOM has no checksum: compressed data that was changed and
still decodes gives other pixels, as changed uncompressed data does. Of single flipped bits, JPEG-LS decoders notice
about nine in ten, those of JPEG, JPEG 2000 and RLE hardly any; the values stay within the stored bits, so these do not
tell either.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
import warnings
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .dicom_image import SliceHeader, damaged

Array: TypeAlias = npt.NDArray[Any]

# What to install for which compression; none where nothing can be installed.
_PLUGINS = (
    ("1.2.840.10008.1.2.4.5", "pylibjpeg and pylibjpeg-libjpeg"),  # JPEG, JPEG lossless
    ("1.2.840.10008.1.2.4.7", "pylibjpeg and pylibjpeg-libjpeg"),
    ("1.2.840.10008.1.2.4.8", "pylibjpeg and pylibjpeg-libjpeg"),  # JPEG-LS
    ("1.2.840.10008.1.2.4.9", "pylibjpeg and pylibjpeg-openjpeg"),  # JPEG 2000
    ("1.2.840.10008.1.2.4.20", "pylibjpeg and pylibjpeg-openjpeg (2.0 or later)"),  # high-throughput JPEG 2000
    ("1.2.840.10008.1.2.5", "pylibjpeg and pylibjpeg-rle"),
)
# What the GDCM inside SimpleITK decodes: JPEG, lossless JPEG, JPEG-LS, JPEG 2000, RLE.
_GDCM_DECODES = (
    *(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91)),
    "1.2.840.10008.1.2.5",
)
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"

_LARGEST_IMAGE = 1 << 31
"""Bytes of one decoded file; no scanner writes larger ones, damaged headers announce them."""


class Decoder:
    """Decodes images one after the other; of a multi-frame file all frames at once, kept until the next file."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._frames: Array | None = None

    def read(self, image: SliceHeader) -> Array:
        """The stored values ``(y, x)`` of an image, any integer type.

        Raises
        ------
        GANSegmentationError
            ``damaged_file``, ``missing_decoder``.
        """
        if self._frames is None or image.path != self._path:
            self._path, self._frames = None, None  # two files at once would take twice the memory
            self._frames = _decode(image)
            self._path = image.path
        form, frames = image.format, self._frames
        wanted = (form.rows, form.columns)
        if image.frame is None and frames.ndim == 3 and len(frames) == 1:
            frames = frames[0]
        if image.frame is not None and frames.ndim == 2:
            frames = frames[None]
        if image.frame is not None and (frames.ndim != 3 or image.frame >= len(frames)):
            raise damaged(image.path, f"its pixels are {frames.shape}, its header describes frame {image.frame + 1}")
        pixels: Array = frames if image.frame is None else frames[image.frame]
        if pixels.shape != wanted or pixels.dtype.kind not in "iu":
            raise damaged(image.path, f"its pixels are {pixels.shape}, its header says {wanted}")
        return pixels


def _decode(image: SliceHeader) -> Array:
    """The stored values of a file: ``(y, x)``, or ``(frame, y, x)``."""
    import pydicom

    form = image.format
    if form.bytes_per_image > _LARGEST_IMAGE:
        raise damaged(image.path, f"its header announces {form.rows} x {form.columns} pixels")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form.transfer_syntax and not _pydicom_decodes(form.transfer_syntax):
            return _decode_with_gdcm(image)
        try:
            dataset = pydicom.dcmread(image.path, force=True)
            return np.asarray(dataset.pixel_array)
        except (OverflowError, NotImplementedError):
            # pydicom 2.4 cannot bring signed JPEG 2000 from Pillow into int16 with NumPy 2.
            return _decode_with_gdcm(image)
        except Exception as error:  # decoders raise almost anything on damaged data
            # Pillow, which pydicom asks, knows extended JPEG of 8 bits only. pylibjpeg without its plugin for a
            # compression makes pydicom 2.4 believe that it has one. Other errors are not tried again: GDCM is lenient.
            if form.transfer_syntax == _JPEG_EXTENDED or "plugin is not installed" in str(error):
                return _decode_with_gdcm(image)
            raise damaged(image.path, "its pixels cannot be decoded", details=type(error).__name__) from error


def _pydicom_decodes(transfer_syntax: str) -> bool:
    """Whether pydicom has what it needs for a transfer syntax, with either generation of its decoders."""
    from pydicom.uid import UID

    syntax = UID(transfer_syntax)
    if importlib.util.find_spec("pydicom.pixels") is None:  # before pydicom 3
        handlers: Any = importlib.import_module("pydicom.config").pixel_data_handlers
        return any(handler.is_available() and handler.supports_transfer_syntax(syntax) for handler in handlers)
    pixels: Any = importlib.import_module("pydicom.pixels")
    try:
        return bool(pixels.get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _decode_with_gdcm(image: SliceHeader) -> Array:
    """Stored values by the GDCM in SimpleITK.

    On its own it would rescale and invert MONOCHROME1, so it gets a copy whose header asks for neither. Of an enhanced
    file the functional groups, which it would rescale by, are left out of the copy.
    """
    import pydicom
    from pydicom.uid import UID

    sitk: Any = importlib.import_module("SimpleITK")
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "plain.dcm")
        try:
            dataset = pydicom.dcmread(image.path)
            dataset.PhotometricInterpretation = "MONOCHROME2"
            for keyword in _WHAT_GDCM_APPLIES:
                if keyword in dataset:
                    delattr(dataset, keyword)
            if image.frame is not None:
                dataset.SOPClassUID = UID(_MULTI_FRAME_CAPTURE)
                dataset.file_meta.MediaStorageSOPClassUID = UID(_MULTI_FRAME_CAPTURE)
            dataset.save_as(plain)
            decoded = sitk.ReadImage(str(plain), imageIO="GDCMImageIO")
        except Exception as error:  # pydicom and GDCM raise almost anything on damaged data
            raise _undecodable(image, type(error).__name__) from error
    pixels: Array = sitk.GetArrayFromImage(decoded)
    return pixels


_WHAT_GDCM_APPLIES = (
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
_MULTI_FRAME_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.3"
"""Multi-frame Grayscale Word Secondary Capture: frames that say nothing of themselves."""


def _undecodable(image: SliceHeader, details: str) -> GANSegmentationError:
    from pydicom.uid import UID

    syntax = image.format.transfer_syntax
    name: str = UID(syntax).name
    plugin = next((plugin for prefix, plugin in _PLUGINS if syntax.startswith(prefix)), "")
    if syntax in _GDCM_DECODES:
        return GANSegmentationError(
            "damaged_file",
            f"The file {image.path} is damaged: its pixels, compressed as {name}, cannot be decoded.",
            cause="It was probably cut short or changed while it was copied.",
            action=f"Copy or export it again. If other programs show it, install {plugin}.",
            details=details,
        )
    return GANSegmentationError(
        "missing_decoder",
        f"{image.path.name} is compressed as {name} ({syntax}), which cannot be decoded here.",
        cause="The Python package that decodes it is not installed, or the file is damaged."
        if plugin
        else "No decoder for this compression is known.",
        action=f"Install {plugin}, or export the series uncompressed."
        if plugin
        else "Export the series uncompressed (Explicit VR Little Endian).",
        details=details,
    )
