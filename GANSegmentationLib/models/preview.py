"""Whether the preview of a package can be shown: a whole PNG of a sensible size, told without decoding it.

A PNG is eight bytes and then chunks: length, kind, data, CRC-32 (ISO/IEC 15948, clause 5). Checking them all finds what
was cut short or changed, and the header says the size before anybody makes room for the pixels.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from ..errors import GANSegmentationError
from .card import PREVIEW_FILE

_START: Final = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES: Final = 13

LARGEST_SIDE: Final = 4096
"""Pixels. A preview is some hundred wide; a small file can announce a picture that fills the memory."""


def check_preview(data: bytes) -> None:
    """Refuse a preview that is no whole PNG, or a very large one.

    Raises
    ------
    GANSegmentationError
        ``invalid_preview``.
    """
    if not data.startswith(_START):
        raise _invalid("is not a PNG picture")
    position = len(_START)
    kinds: list[bytes] = []
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8].ljust(8, b"\0"))
        end = position + 12 + length
        if end > len(data):
            raise _invalid("ends too early")
        content = data[position + 8 : end - 4]
        if zlib.crc32(kind + content) != int.from_bytes(data[end - 4 : end], "big"):
            raise _invalid("is damaged")
        if not kinds:
            _check_size(kind, content)
        kinds.append(kind)
        position = end
    if not kinds or kinds[-1] != b"IEND" or b"IDAT" not in kinds:
        raise _invalid("ends too early")


def _check_size(kind: bytes, content: bytes) -> None:
    if kind != b"IHDR" or len(content) != _HEADER_BYTES:
        raise _invalid("has no header")
    width, height = struct.unpack(">II", content[:8])
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise _invalid(f"has {width} x {height} pixels; 1 to {LARGEST_SIDE} a side are shown")


def _invalid(problem: str) -> GANSegmentationError:
    return GANSegmentationError(
        "invalid_preview",
        f"{PREVIEW_FILE} {problem}.",
        action="Pack the model again, or get the package again from where it came.",
    )
