"""Whether an image file still holds all that was written into it.

ITK reads a NIfTI file that was cut short as far as it goes and leaves the rest zero, takes compressed MetaImage data
with errors for what they are, and does not look at the checksum of compressed NRRD data (5.4). Each time the result is
a wrong image that looks right, so compressed data are inflated once more here, to their checksum.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

_BLOCK = 1 << 20
_SMALL_BLOCK = 1 << 14  # a mask inflates a thousandfold
_ANY_DEFLATE = 47  # zlib and gzip streams alike


def find_damage(path: Path) -> str | None:
    """What is wrong with the voxel data of a NIfTI, NRRD or MetaImage file; None if nothing is known to be."""
    name = path.name.lower()
    try:
        if name.endswith((".nii", ".nii.gz")):
            return _damage_of_nifti(path, compressed=name.endswith(".gz"))
        if name.endswith((".nrrd", ".nhdr")):
            return _damage_of_nrrd(path)
        return _damage_of_metaimage(path)
    except (zlib.error, EOFError, OSError, struct.error) as error:
        return f"its voxel data cannot be read whole ({error})"


def nifti_spacing(path: Path) -> tuple[float, float, float]:
    """The voxel spacing ``(x, y, z)`` that a NIfTI header gives (its pixdim), mm, as it stands there."""
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        header = file.read(544)
    order = _nifti_order(header)
    place, kind = (104, "d") if struct.unpack(order + "i", header[:4])[0] == 540 else (76, "f")
    _, x, y, z = struct.unpack_from(order + "4" + kind, header, place)
    return x, y, z


def _damage_of_nifti(path: Path, *, compressed: bool) -> str | None:
    with gzip.open(path) if compressed else path.open("rb") as file:
        expected = _nifti_bytes(file.read(544))
    if not compressed:
        found = path.stat().st_size
    else:
        with path.open("rb") as file:
            file.seek(-4, 2)
            # The size as gzip notes it at the end: it is there only if the end is.
            if int.from_bytes(file.read(4), "little") == expected % (1 << 32):
                return None
        with gzip.open(path) as file:
            found = sum(len(block) for block in iter(lambda: file.read(_BLOCK), b""))
    return f"it has {found} of {expected} bytes" if found < expected else None


def _nifti_bytes(header: bytes) -> int:
    """The size of an uncompressed NIfTI-1 or NIfTI-2 file by its header."""
    order = _nifti_order(header)
    if struct.unpack(order + "i", header[:4])[0] == 540:
        dimensions = struct.unpack(order + "8q", header[16:80])
        bits = struct.unpack(order + "h", header[14:16])[0]
        offset = struct.unpack(order + "q", header[168:176])[0]
    else:
        dimensions = struct.unpack(order + "8h", header[40:56])
        bits = struct.unpack(order + "h", header[72:74])[0]
        offset = int(struct.unpack(order + "f", header[108:112])[0])
    voxels = 1
    for size in dimensions[1 : 1 + max(0, min(dimensions[0], 7))]:
        voxels *= size
    return int(offset) + voxels * int(bits) // 8


def _nifti_order(header: bytes) -> str:
    return "<" if header[:4] in (b"\x5c\x01\x00\x00", b"\x1c\x02\x00\x00") else ">"


def _damage_of_nrrd(path: Path) -> str | None:
    with path.open("rb") as file:
        fields: dict[str, str] = {}
        for line in file:
            text = line.decode("utf-8", "replace").strip()
            if not text:
                break
            match = re.fullmatch(r"([^:#]+):\s(.*)", text)
            if match:
                fields[match[1].lower()] = match[2].strip()
        if fields.get("encoding", "").lower() not in ("gzip", "gz") or any(key.endswith(" skip") for key in fields):
            return None
        return _damage_of_stream(path, file, fields.get("data file") or fields.get("datafile"))


def _damage_of_metaimage(path: Path) -> str | None:
    with path.open("rb") as file:
        fields: dict[str, str] = {}
        while "ElementDataFile" not in fields:
            line = file.readline(1 << 16)
            if not line:
                return "its header has no end"
            key, _, value = line.decode("utf-8", "replace").partition("=")
            fields[key.strip()] = value.strip()
        if not _is_true(fields, "CompressedData"):
            return None
        data_file = fields["ElementDataFile"]
        return _damage_of_stream(path, file, None if data_file == "LOCAL" else data_file)


def _is_true(fields: Mapping[str, str], key: str) -> bool:
    return fields.get(key, "").lower() in ("true", "1", "t", "yes")


def _damage_of_stream(path: Path, file: IO[bytes], data_file: str | None) -> str | None:
    """Inflates the rest of the file, or the data file that a header names; several data files are not looked at."""
    if data_file is None:
        return _inflate(file)
    data = path.parent / data_file
    if not data.is_file():
        return None
    with data.open("rb") as separate:
        return _inflate(separate)


def _inflate(file: IO[bytes]) -> str | None:
    inflater = zlib.decompressobj(_ANY_DEFLATE)
    while not inflater.eof:
        block = file.read(_SMALL_BLOCK)
        if not block:
            return "its compressed data end too early"
        inflater.decompress(block)
    return None
