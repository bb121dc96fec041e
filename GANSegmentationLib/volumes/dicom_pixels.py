"""The pixels of a DICOM series as one array of modality values: HU for CT.

Uncompressed pixels are read from their place in the file straight into the volume and rescaled there, one slice after
the other while it is in the processor's cache. Compressed ones come from `dicom_decode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .dicom_decode import Decoder
from .dicom_image import ImageFormat, ModalityLut, SliceHeader, damaged

Array: TypeAlias = npt.NDArray[Any]

_LARGEST = float(np.finfo(np.float32).max)

_WORDS: dict[int, np.dtype[Any]] = {8: np.dtype(np.uint8), 16: np.dtype(np.uint16), 32: np.dtype(np.uint32)}

# Modalities whose values are measurements: MONOCHROME1 changes how they are shown, not what they are.
_QUANTITATIVE = ("CT", "PT", "NM")


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
    decoder = Decoder()
    forms = [_plain(image.format) for image in images]
    stored = _room(images, decoder)
    exact = all(form.slope == 1 and form.intercept.is_integer() and abs(form.intercept) < 2**30 for form in forms)
    values: Array = stored if exact else np.empty(stored.shape, np.float32)
    padding: list[Array | None] = []
    lowest, highest = np.inf, -np.inf  # of the measured values
    for image, form, words, out in zip(images, forms, stored, values, strict=True):
        if image.format.lut is None:
            _read_words(image, words, decoder)
            padded = _clean(words, form)
        else:
            padded = _look_up(image, image.format.lut, words, decoder)
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
        values = _whole_numbers(stored, forms, lowest, highest)
    _fill_padding(values, padding, lowest)
    return values


def _room(images: Sequence[SliceHeader], decoder: Decoder) -> Array:
    """Memory for the stored words of all images.

    Of compressed ones the first is decoded before: a damaged number of rows would ask for more than there is.
    """
    first = images[0].format
    if images[0].pixel_offset is None:
        decoder.read(images[0])
    kind = _WORDS[first.bits_allocated]
    if any(image.format.lut is not None for image in images):
        kind = max(kind, np.dtype(np.uint16))  # what a table of 16 bits gives
    return np.empty((len(images), first.rows, first.columns), kind)


def _plain(form: ImageFormat) -> ImageFormat:
    """How the words of an image are to be read once a table, if it has one, has been looked up."""
    if form.lut is None:
        return form
    return replace(form, signed=False, slope=1.0, intercept=0.0, padding=None)


def _look_up(image: SliceHeader, lut: ModalityLut, words: Array, decoder: Decoder) -> Array | None:
    """Fills `words` with what the table says of the stored values; returns where they are padding."""
    own: Array = np.empty(words.shape, _WORDS[image.format.bits_allocated])
    _read_words(image, own, decoder)
    padded = _clean(own, image.format)
    index = _signed_view(own, image.format).astype(np.int64) - lut.first
    words[...] = np.array(lut.values, np.uint16)[np.clip(index, 0, len(lut.values) - 1)]
    return padded


def _check_formats(images: Sequence[SliceHeader]) -> None:
    for image in images:
        form = image.format
        reason = ""
        if form.bits_allocated not in _WORDS or not 1 <= form.bits_stored <= form.high_bit + 1 <= form.bits_allocated:
            reason = f"{form.bits_stored} of {form.bits_allocated} bits a pixel, highest bit {form.high_bit}"
        elif form.bits_allocated != images[0].format.bits_allocated:
            reason = f"{form.bits_allocated} bits a pixel where {images[0].path.name} has others"
        elif form.lut is not None and (form.slope, form.intercept) != (1, 0):
            reason = "both a table (Modality LUT Sequence) and a slope or an intercept"
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


def _read_words(image: SliceHeader, words: Array, decoder: Decoder) -> None:
    """Fills `words` ``(y, x)``, unsigned, with the stored bit patterns of one image."""
    form = image.format
    if image.pixel_offset is None:
        words[...] = decoder.read(image).astype(words.dtype, copy=False)
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


def _whole_numbers(stored: Array, forms: Sequence[ImageFormat], lowest: float, highest: float) -> Array:
    """The stored words, 16-bit ones with their intercept already added modulo 2^16, as signed numbers."""
    if stored.itemsize == 2 and lowest >= -32768 and highest <= 32767:
        return stored.view(np.int16)
    wide: Array = np.empty(stored.shape, np.int16 if stored.itemsize == 1 else np.int32)
    if lowest < np.iinfo(wide.dtype).min or highest > np.iinfo(wide.dtype).max:
        wide = np.empty(stored.shape, np.int32 if stored.itemsize == 1 else np.float32)
    for form, words, out in zip(forms, stored, wide, strict=True):
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
