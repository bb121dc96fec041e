"""The weights of a package: the safetensors file checked before anything is read from it, and read or written.

The format (safetensors 0.4 and later): eight bytes with the length N of the header, little-endian; N bytes of JSON that
name for every tensor its type, shape and place; the tensors, end to end. The check here needs numpy alone and never
runs or unpickles anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .card import MODEL_FILE
from .json_fields import Fields, parse_object

_CODE: Final = "invalid_weights"
_LARGEST_HEADER: Final = 16 << 20
_CHUNK: Final = 1 << 22

_DTYPES: Final[dict[str, npt.DTypeLike]] = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}
# Protocol 2 and later begin so; protocols 0 and 1 are text that no safetensors header length can look like.
_PICKLE_STARTS: Final = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_ZIP_START: Final = b"PK\x03\x04"


@dataclass(frozen=True)
class TensorPlace:
    """Type, shape and place of a tensor: bytes `begin` to `end` (exclusive) of the file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def refuse_pickle(start: bytes, file: str = MODEL_FILE) -> None:
    """Refuse a file that begins as Python's pickle or as a PyTorch checkpoint does, whatever its name says.

    Raises
    ------
    GANSegmentationError
        ``invalid_weights``.
    """
    kind = ""
    # A header of 640, 896, ... bytes begins with the same two; read as its length, a pickle's beginning is gigantic.
    length = int.from_bytes(start[:8], "little")
    if start.startswith(_PICKLE_STARTS) and (len(start) < 8 or length > _LARGEST_HEADER):
        kind = "a Python pickle"
    elif start.startswith(_ZIP_START):
        kind = "a PyTorch checkpoint (a zip with a pickle in it)"
    if kind:
        raise _invalid(
            file,
            f"is {kind}, not a safetensors file",
            cause="A pickle can run any program when it is opened, so none ever is.",
            action="Convert the weights to safetensors where you trust them.",
        )


def read_header(stream: IO[bytes], size: int, file: str = MODEL_FILE) -> dict[str, TensorPlace]:
    """The tensors of a safetensors file of `size` bytes, by name; `stream` stands at its start.

    Raises
    ------
    GANSegmentationError
        ``invalid_weights`` for a pickle, a truncated or inconsistent file, and number types that numpy has not.
    """
    start = stream.read(8)
    refuse_pickle(start, file)
    if len(start) < 8:
        raise _invalid(file, f"has {size} bytes, too few for a safetensors file")
    length = int.from_bytes(start, "little")
    if length > min(_LARGEST_HEADER, size - 8):
        raise _invalid(
            file, f"is no safetensors file, or its end is missing: it announces a header of {length} bytes in {size}"
        )
    try:
        text = stream.read(length).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(file, "has a header that is not text") from error
    header = parse_object(text, code=_CODE, document=f"the header of {file}")
    document = f"{file} (header)"
    fields = Fields(header, "", code=_CODE, document=document)
    names = [name for name in header if name != "__metadata__"]
    tensors = {name: _read_place(name, fields.child(name), 8 + length, size, file) for name in names}
    _check_places(tensors, 8 + length, size, file)
    return tensors


def check_finite(stream: IO[bytes], tensors: Mapping[str, TensorPlace], file: str = MODEL_FILE) -> None:
    """Refuse weights that are NaN or infinite, in bounded memory; `stream` can seek.

    Raises
    ------
    GANSegmentationError
        ``invalid_weights``, naming the tensor.
    """
    for name, place in tensors.items():
        if place.dtype.kind != "f":
            continue
        stream.seek(place.begin)
        left = place.end - place.begin
        while left:
            block = stream.read(min(left, _CHUNK))
            if not block:
                raise _invalid(file, f"ends within the tensor {name}")
            left -= len(block)
            if not np.isfinite(np.frombuffer(block, place.dtype)).all():
                raise _not_finite(file, name)


def check_kinds(dtypes: Mapping[str, np.dtype[Any]], file: str = MODEL_FILE) -> None:
    """Refuse whole numbers where a network computes with fractions; only counters of training are whole.

    Raises
    ------
    GANSegmentationError
        ``invalid_weights``, naming the tensor.
    """
    for name, dtype in dtypes.items():
        if dtype.kind != "f" and not name.endswith("num_batches_tracked"):
            raise _invalid(
                file,
                f"has whole numbers ({dtype}) in the tensor {name}",
                cause="It is damaged, or its weights were quantised, which this library does not run.",
            )


def decode(data: bytes, file: str = MODEL_FILE) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a safetensors file whose header was checked; through the safetensors library.

    Raises
    ------
    GANSegmentationError
        ``safetensors_missing``; ``invalid_weights`` if a weight is NaN or infinite: such a network finds nothing, and
        an empty mask looks like an answer.
    """
    try:
        from safetensors.numpy import load
    except ImportError as error:
        raise GANSegmentationError(
            "safetensors_missing",
            "The weights cannot be read, because the Python package safetensors is not installed.",
            action="Install safetensors (in 3D Slicer: let the module install what it needs).",
        ) from error
    weights: dict[str, npt.NDArray[Any]] = load(data)
    for name, weight in weights.items():
        if weight.dtype.kind == "f" and not np.isfinite(weight).all():
            raise _not_finite(file, name)
    return weights


def encode(weights: Mapping[str, npt.NDArray[Any]], file: str = MODEL_FILE) -> bytes:
    """Weights as the bytes of a safetensors file, the same bytes for the same weights; number types are kept.

    Raises
    ------
    GANSegmentationError
        ``invalid_weights`` for no weights, a number type that the format or numpy has not, or a value that is not
        finite.
    """
    from safetensors.numpy import save

    if not weights:
        raise _invalid(file, "would be empty: there are no weights")
    known = {np.dtype(dtype).newbyteorder("=") for dtype in _DTYPES.values()}
    ready = {}
    for name in sorted(weights):
        array = np.asarray(weights[name], order="C")
        native = array.dtype.newbyteorder("=")
        if native not in known:
            raise _invalid(
                file,
                f"cannot hold the tensor {name} of the type {array.dtype}",
                cause=_WHY_NOT_BF16 if "bfloat16" in str(array.dtype) else "",
                action="Convert it to float16 or float32 first.",
            )
        if native.kind == "f" and not np.isfinite(array).all():
            raise _invalid(file, f"would have numbers that are not finite in the tensor {name}")
        ready[name] = array.astype(native, copy=False)
    data: bytes = save(ready)
    return data


_WHY_NOT_BF16: Final = "numpy has no bfloat16, and the library reads weights with numpy alone."


def _read_place(name: str, fields: Fields, start: int, size: int, file: str) -> TensorPlace:
    kind = fields.text("dtype")
    if kind not in _DTYPES:
        raise _invalid(
            file,
            f"has the tensor {name} of the type {kind}, which cannot be used here",
            cause=_WHY_NOT_BF16 if kind == "BF16" else "",
            action="Convert the weights to F16 or F32.",
        )
    dtype = np.dtype(_DTYPES[kind])
    shape = fields.each("shape", lambda item, index: _whole(fields, f"shape[{index}]", item))
    offsets = fields.each("data_offsets", lambda item, index: _whole(fields, f"data_offsets[{index}]", item))
    fields.finish()
    if len(offsets) != 2:
        fields.fail("data_offsets", "is not a list of two places")
    begin, end = offsets
    # Python's integers do not overflow, so a shape made to wrap around is just a wrong number here.
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise _invalid(file, f"has the tensor {name} with {end - begin} bytes for the shape {_shown(shape)} of {kind}")
    if start + end > size:
        raise _invalid(
            file,
            f"has the tensor {name} beyond its end: at byte {start + end} of {size}",
            cause="The file is truncated.",
        )
    return TensorPlace(dtype, shape, start + begin, start + end)


def _shown(shape: tuple[int, ...]) -> str:
    text = str(list(shape))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _whole(fields: Fields, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        fields.fail(key, "is not a whole number of at least 0")
    return value


def _check_places(tensors: Mapping[str, TensorPlace], start: int, size: int, file: str) -> None:
    """Tensors lie end to end and fill the file: no overlap, and no place to hide anything."""
    if not tensors:
        raise _invalid(file, "holds no tensors")
    position = start
    for name, place in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if place.begin != position:
            raise _invalid(file, f"has a gap or an overlap before the tensor {name} at byte {place.begin}")
        position = place.end
    if position != size:
        raise _invalid(file, f"has {size - position} bytes behind its last tensor")


def _not_finite(file: str, name: str) -> GANSegmentationError:
    return _invalid(
        file, f"has numbers that are not finite in the tensor {name}", cause="The training of the model failed."
    )


def _invalid(file: str, problem: str, *, cause: str = "", action: str = "") -> GANSegmentationError:
    return GANSegmentationError(
        _CODE,
        f"{file} {problem}.",
        cause=cause,
        action=action or "Get the package again from where it came, or pack the model again.",
    )
