"""The pixels of a DICOM series as one array of modality values: HU for CT.

Uncompressed pixels are read from their place in the file straight into the volume and rescaled there, one slice after
the other while it is in the processor's cache. Compressed ones are decoded by pydicom, or by the GDCM inside SimpleITK
where pydicom lacks the plugin.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .dicom_header import ImageFormat, SliceHeader, damaged

Array: TypeAlias = npt.NDArray[Any]

_LARGEST = float(np.finfo(np.float32).max)

_WORDS: dict[int, np.dtype[Any]] = {8: np.dtype(np.uint8), 16: np.dtype(np.uint16), 32: np.dtype(np.uint32)}

# Modalities whose values are measurements: MONOCHROME1 changes how they are shown, not what they are.
_QUANTITATIVE = ("CT", "PT", "NM")

# What to install for which compression; None where nothing can be installed.
_PLUGINS = (
    ("1.2.840.10008.1.2.4.5", "pylibjpeg and pylibjpeg-libjpeg"),  # JPEG, JPEG lossless
    ("1.2.840.10008.1.2.4.7", "pylibjpeg and pylibjpeg-libjpeg"),
    ("1.2.840.10008.1.2.4.8", "pylibjpeg and pylibjpeg-libjpeg"),  # JPEG-LS
    ("1.2.840.10008.1.2.4.9", "pylibjpeg and pylibjpeg-openjpeg"),  # JPEG 2000
    ("1.2.840.10008.1.2.4.20", "pylibjpeg and pylibjpeg-openjpeg (2.0 or later)"),  # high-throughput JPEG 2000
    ("1.2.840.10008.1.2.5", "pylibjpeg and pylibjpeg-rle"),
)


def read_pixels(images: Sequence[SliceHeader]) -> Array:
    """The values ``(z, y, x)`` of the images in the order given.

    Stored bits are cut to Bits Stored and sign-extended, then rescaled slice by slice. Where every slope is 1 and every
    intercept whole, the result is exact: int16 if it fits, else int32. Else it is float32. Padding becomes the lowest
    measured value of the volume. MONOCHROME1 images are inverted (within their stored range) so that bright is high,
    except where values are measurements (CT, PT, NM).

    Raises
    ------
    GANSegmentationError
        ``damaged_file``, ``unsupported_pixels``, ``missing_decoder``.
    """
    _check_formats(images)
    _check_announced_bytes(images)
    first = images[0].format
    stored: Array = np.empty((len(images), first.rows, first.columns), _WORDS[first.bits_allocated])
    exact = all(image.format.slope == 1 and image.format.intercept.is_integer() for image in images)
    exact = exact and max(abs(image.format.intercept) for image in images) < 2**30
    values: Array = stored if exact else np.empty(stored.shape, np.float32)
    padding: list[Array | None] = []
    lowest, highest = np.inf, -np.inf  # of the measured values
    for image, words, out in zip(images, stored, values, strict=True):
        form = image.format
        _read_words(image, words)
        padded = _clean(words, form)
        padding.append(padded)
        numbers = _signed_view(words, form)
        measured = numbers if padded is None else numbers[~padded]
        if measured.size:
            ends = [int(end) * form.slope + form.intercept for end in (measured.min(), measured.max())]
            lowest, highest = min(lowest, *ends), max(highest, *ends)
        if not exact:
            out[...] = numbers * form.slope + form.intercept
        elif words.itemsize == 2 and form.intercept:
            # Modulo 2^16; right wherever the result fits into int16, and undone below where one does not.
            np.add(words, _wrapped(form.intercept), out=words)
    if exact:
        values = _whole_numbers(stored, images, lowest, highest)
    _fill_padding(values, padding, lowest)
    return values


def _check_formats(images: Sequence[SliceHeader]) -> None:
    for image in images:
        form = image.format
        reason = ""
        if form.bits_allocated not in _WORDS or not 1 <= form.bits_stored <= form.high_bit + 1 <= form.bits_allocated:
            reason = f"{form.bits_stored} of {form.bits_allocated} bits a pixel, highest bit {form.high_bit}"
        elif form.bits_allocated != images[0].format.bits_allocated:
            reason = f"{form.bits_allocated} bits a pixel where {images[0].path.name} has others"
        elif form.has_modality_lut:
            reason = "a table (Modality LUT Sequence) instead of slope and intercept"
        elif form.slope == 0 or not abs(form.slope) * 2.0**form.bits_stored + abs(form.intercept) < _LARGEST:
            reason = f"a rescale slope of {form.slope} and an intercept of {form.intercept}"
        if reason:
            raise _unsupported(image, reason)


def _unsupported(image: SliceHeader, reason: str) -> GANSegmentationError:
    return GANSegmentationError(
        "unsupported_pixels",
        f"{image.path.name} stores its pixels in a way that is not read: {reason}.",
        cause="The file is unusual or its header is damaged.",
        action="Export the series again as standard CT or MR images.",
    )


def _check_announced_bytes(images: Sequence[SliceHeader]) -> None:
    """Before any memory is asked for: a damaged number of rows would ask for more than there is."""
    for image in images:
        expected = image.format.bytes_per_image
        if image.pixel_offset is not None and not expected <= image.pixel_bytes < 2 * expected:
            raise damaged(image.path, f"it announces {image.pixel_bytes} bytes of pixels, its size needs {expected}")


def _read_words(image: SliceHeader, words: Array) -> None:
    """Fills `words` ``(y, x)``, unsigned, with the stored bit patterns of one image."""
    form = image.format
    if image.pixel_offset is None:
        words[...] = _decode(image).astype(words.dtype, copy=False)
        return
    expected = form.bytes_per_image
    with image.path.open("rb", buffering=0) as file:
        file.seek(image.pixel_offset)
        view = words.reshape(-1).view(np.uint8).data
        done = 0
        while done < expected:
            count = file.readinto(view[done:])
            if not count:
                raise damaged(image.path, f"it has {done} of {expected} bytes of pixels")
            done += count
    if form.big_endian:
        words.byteswap(inplace=True)


def _clean(words: Array, form: ImageFormat) -> Array | None:
    """Brings `words` to plain two's complement in place; returns where they are padding, None for nowhere.

    Padding is looked for before and after the bits beyond Bits Stored are cut: both are found in real files.
    """
    padded = _matches_padding(words, form)
    invert = form.photometric == "MONOCHROME1" and form.modality not in _QUANTITATIVE
    surplus = form.bits_allocated - form.bits_stored
    if surplus or invert:
        if invert:
            np.invert(words, out=words)
        above = form.bits_allocated - 1 - form.high_bit
        if form.signed:
            numbers = _signed_view(words, form)
            np.left_shift(numbers, above, out=numbers)
            np.right_shift(numbers, surplus, out=numbers)  # arithmetic: keeps the sign
        else:
            np.left_shift(words, above, out=words)
            np.right_shift(words, surplus, out=words)
        if form.padding is not None and not invert:
            again = _matches_padding(words, form)
            padded = again if padded is None else padded if again is None else padded | again
    return padded


def _matches_padding(words: Array, form: ImageFormat) -> Array | None:
    if form.padding is None:
        return None
    first, last = (np.array([end], np.uint16) for end in form.padding)
    if first == last:
        found = words == first.astype(words.dtype)[0]
    else:
        number = np.int16 if form.signed else np.uint16
        low, high = sorted((int(first.view(number)[0]), int(last.view(number)[0])))
        numbers = _signed_view(words, form)
        found = (numbers >= low) & (numbers <= high)
    return found if found.any() else None


def _signed_view(words: Array, form: ImageFormat) -> Array:
    return words.view(f"i{words.itemsize}") if form.signed else words


def _wrapped(number: float) -> Any:
    return np.uint16(int(number) % 65536)


def _whole_numbers(stored: Array, images: Sequence[SliceHeader], lowest: float, highest: float) -> Array:
    """The stored words, 16-bit ones with their intercept already added modulo 2^16, as signed numbers."""
    if stored.itemsize == 2 and lowest >= -32768 and highest <= 32767:
        return stored.view(np.int16)
    wide: Array = np.empty(stored.shape, np.int16 if stored.itemsize == 1 else np.int32)
    if lowest < np.iinfo(wide.dtype).min or highest > np.iinfo(wide.dtype).max:
        wide = np.empty(stored.shape, np.int32 if stored.itemsize == 1 else np.float32)
    for image, words, out in zip(images, stored, wide, strict=True):
        form = image.format
        if stored.itemsize == 2 and form.intercept:
            np.subtract(words, _wrapped(form.intercept), out=words)
        numbers = _signed_view(words, form)
        if wide.dtype == np.float32:
            out[...] = numbers + form.intercept
        else:
            np.add(numbers, int(form.intercept), out=out, dtype=np.int64, casting="unsafe")
    return wide


def _fill_padding(values: Array, padding: Sequence[Array | None], lowest: float) -> None:
    """Padding shows nothing: it becomes air, the lowest value measured, whatever number the scanner chose for it."""
    if not np.isfinite(lowest):
        return
    for slice_values, padded in zip(values, padding, strict=True):
        if padded is not None:
            slice_values[padded] = lowest


def _decode(image: SliceHeader) -> Array:
    """The stored values of an image whose pixels are compressed, or not where uncompressed ones are."""
    import pydicom

    form = image.format
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form.transfer_syntax and not _pydicom_decodes(form.transfer_syntax):
            pixels = _decode_with_gdcm(image)
        else:
            try:
                dataset = pydicom.dcmread(image.path, force=True)
                pixels = np.asarray(dataset.pixel_array)
            except (OverflowError, NotImplementedError):
                # pydicom 2.4 cannot bring signed JPEG 2000 from Pillow into int16 with NumPy 2.
                pixels = _decode_with_gdcm(image)
            except Exception as error:  # decoders raise almost anything on damaged data
                raise damaged(image.path, "its pixels cannot be decoded", details=repr(error)) from error
    if pixels.shape != (form.rows, form.columns) or pixels.dtype.kind not in "iu":
        raise damaged(image.path, f"its pixels are {pixels.shape}, its header says {(form.rows, form.columns)}")
    return pixels


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
    """Stored values by the GDCM in SimpleITK, which decodes JPEG, JPEG-LS, JPEG 2000 and RLE without a plugin.

    On its own it would rescale and invert MONOCHROME1, so it gets a copy whose header asks for neither.
    """
    import pydicom

    sitk: Any = importlib.import_module("SimpleITK")
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "plain.dcm")
        try:
            dataset = pydicom.dcmread(image.path)
            dataset.PhotometricInterpretation = "MONOCHROME2"
            for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
                if keyword in dataset:
                    delattr(dataset, keyword)
            dataset.save_as(plain)
            decoded = sitk.ReadImage(str(plain), imageIO="GDCMImageIO")
        except Exception as error:  # pydicom and GDCM raise almost anything on damaged data
            raise _missing_decoder(image, str(error)) from error
    pixels: Array = sitk.GetArrayFromImage(decoded)
    return pixels[0] if pixels.ndim == 3 else pixels


def _missing_decoder(image: SliceHeader, details: str) -> GANSegmentationError:
    from pydicom.uid import UID

    syntax = image.format.transfer_syntax
    plugin = next((plugin for prefix, plugin in _PLUGINS if syntax.startswith(prefix)), "")
    return GANSegmentationError(
        "missing_decoder",
        f"{image.path.name} is compressed as {UID(syntax).name} ({syntax}), which cannot be decoded here.",
        cause="The Python package that decodes it is not installed, or the file is damaged."
        if plugin
        else "No decoder for this compression is known.",
        action=f"Install {plugin}, or export the series uncompressed."
        if plugin
        else "Export the series uncompressed (Explicit VR Little Endian).",
        details=details,
    )
