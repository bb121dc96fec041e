"""Damaged image files are refused, where ITK alone would hand out a wrong image."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import read_volume

NOISE = np.repeat(np.random.default_rng(0).integers(0, 9, (40, 64, 16)).astype(np.uint8), 4, axis=2)
COMPRESSED = [".nrrd", ".nii.gz", ".mha", ".mhd"]


def write(folder: Path, suffix: str, *, compress: bool) -> tuple[Path, Path]:
    """An image file, and the file that its voxels are in."""
    path = folder / f"scan{suffix}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(NOISE), str(path), compress)
    data = {".mhd": "scan.zraw" if compress else "scan.raw", ".nhdr": "scan.raw.gz" if compress else "scan.raw"}
    return path, folder / data.get(suffix, path.name)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"])
def test_whole_files_are_read(tmp_path: Path, suffix: str, compress: bool) -> None:
    path, _ = write(tmp_path, suffix, compress=compress)
    np.testing.assert_array_equal(read_volume(path).array, NOISE)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.95])
@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"])
def test_files_cut_short_are_refused(tmp_path: Path, suffix: str, compress: bool, keep: float) -> None:
    path, data = write(tmp_path, suffix, compress=compress)
    content = data.read_bytes()
    data.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(path)
    assert caught.value.code == "damaged_file"


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_flipped_bit_in_compressed_data_is_found(tmp_path: Path, suffix: str) -> None:
    path, data = write(tmp_path, suffix, compress=True)
    content = data.read_bytes()
    refused = 0
    for part in np.linspace(0.3, 0.99, 25):
        broken = bytearray(content)
        broken[int(len(broken) * part)] ^= 0x10
        data.write_bytes(broken)
        try:
            # Two codes can mean the same bytes: then nothing is lost.
            np.testing.assert_array_equal(read_volume(path).array, NOISE)
        except GANSegmentationError as error:
            assert error.code == "damaged_file"
            refused += 1
    assert refused >= 20


def test_a_gzip_file_in_several_members_is_whole(tmp_path: Path) -> None:
    path, _ = write(tmp_path, ".nii", compress=False)
    content = path.read_bytes()
    parts = gzip.compress(content[:5000]) + gzip.compress(content[5000:])
    (tmp_path / "parts.nii.gz").write_bytes(parts)
    np.testing.assert_array_equal(read_volume(tmp_path / "parts.nii.gz").array, NOISE)


def test_a_big_endian_nifti_is_whole(tmp_path: Path) -> None:
    path, _ = write(tmp_path, ".nii", compress=False)
    header = bytearray(path.read_bytes())
    fields = "i10s18sihcB8h3f4h8f3fhcB4f2i80s24s2h6f12f16s4s"
    import struct

    header[:348] = struct.pack(">" + fields, *struct.unpack("<" + fields, bytes(header[:348])))
    path.write_bytes(header)  # the voxels are bytes
    np.testing.assert_array_equal(read_volume(path).array, NOISE)
    path.write_bytes(header[:-100])
    with pytest.raises(GANSegmentationError):
        read_volume(path)
