"""NRRD, NIfTI and MetaImage keep voxels and place."""

from __future__ import annotations

import gzip
import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Volume, read_volume, write_volume
from GANSegmentationLib.volumes.files import CORNER_TOLERANCE_MM, WRITE_SUFFIXES

SIGNED_PERMUTATIONS = [
    np.eye(3)[:, order] * signs
    for order in map(list, itertools.permutations(range(3)))
    for signs in itertools.product((1, -1), repeat=3)
]


def volume(direction: np.ndarray | None = None, dtype: type = np.int16) -> Volume:
    axes = np.eye(3) if direction is None else direction
    grid = Geometry((7, 6, 5), (0.7265625, 0.8, 2.5), (-185.123456, 98.1, 1536.5), tuple(axes.ravel()))
    return Volume(np.arange(5 * 6 * 7).reshape(grid.shape).astype(dtype), grid, modality="CT")


def unit_quaternion_matrix(w: float, x: float, y: float, z: float) -> np.ndarray:
    w, x, y, z = np.array([w, x, y, z]) / np.linalg.norm([w, x, y, z])
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def refusal(path: Path) -> GANSegmentationError:
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(path)
    assert str(path) in caught.value.message
    return caught.value


@pytest.mark.parametrize("suffix", WRITE_SUFFIXES)
def test_all_48_orientations_survive_every_format(tmp_path: Path, suffix: str) -> None:
    for direction in SIGNED_PERMUTATIONS:
        original = volume(direction)
        copy = read_volume(write_volume(original, tmp_path / f"scan{suffix}"))
        np.testing.assert_array_equal(copy.array, original.array)
        assert copy.geometry.corner_distance(original.geometry) < CORNER_TOLERANCE_MM


@pytest.mark.parametrize("suffix", [".nrrd", ".nii", ".mha", ".mhd"])
@given(
    quaternion=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
    spacing=st.tuples(*[st.floats(0.3, 1.2)] * 2, st.floats(0.5, 8)),
    origin=st.tuples(*[st.floats(-600, 600)] * 3),
    mirrored=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_oblique_grids_of_a_whole_scan_survive_every_format(  # type: ignore[no-untyped-def]
    tmp_path_factory, suffix, quaternion, spacing, origin, mirrored
) -> None:
    direction = unit_quaternion_matrix(*quaternion) * [1, 1, -1 if mirrored else 1]
    # A grid as large as a scan with few voxels to write: what matters is how far the corners are away.
    factor = np.array([512, 512, 128]) / [8, 8, 4]
    grid = Geometry((8, 8, 4), spacing * factor, origin, tuple(direction.ravel()))
    original = Volume(np.zeros(grid.shape, np.uint8), grid)
    copy = read_volume(write_volume(original, tmp_path_factory.mktemp("scan") / f"scan{suffix}"))
    assert copy.geometry.corner_distance(grid) < CORNER_TOLERANCE_MM


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("suffix", WRITE_SUFFIXES)
def test_types_survive_every_format(tmp_path: Path, suffix: str, dtype: type) -> None:
    copy = read_volume(write_volume(volume(dtype=dtype), tmp_path / f"scan{suffix}"))
    assert copy.array.dtype == dtype
    np.testing.assert_array_equal(copy.array, volume(dtype=dtype).array)


@pytest.mark.parametrize("dtype", [np.bool_, np.float16])
def test_types_that_no_format_has_are_widened(tmp_path: Path, dtype: type) -> None:
    copy = read_volume(write_volume(volume(dtype=dtype), tmp_path / "scan.nrrd"))
    np.testing.assert_array_equal(copy.array, volume(dtype=dtype).array)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd"])
def test_the_modality_survives_where_the_format_has_a_place(tmp_path: Path, suffix: str) -> None:
    assert read_volume(write_volume(volume(), tmp_path / f"scan{suffix}")).modality == "CT"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_has_no_modality(tmp_path: Path, suffix: str) -> None:
    copy = read_volume(write_volume(volume(), tmp_path / f"scan.v1{suffix}"))
    assert copy.modality is None
    assert copy.name == "scan.v1"


@pytest.mark.parametrize("suffix", [*WRITE_SUFFIXES, ".NII.GZ", ".Nrrd", ".MHD"])
def test_names_may_hold_any_letters(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "Größe 肝臓 ☃"
    folder.mkdir()
    path = write_volume(volume(), folder / f"Läsion (1){suffix}")
    np.testing.assert_array_equal(read_volume(path).array, volume().array)
    assert path.exists()


def test_a_header_with_its_data_in_another_file_is_read(tmp_path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(volume().array), str(tmp_path / "scan.nhdr"))
    np.testing.assert_array_equal(read_volume(tmp_path / "scan.nhdr").array, volume().array)


def test_an_mhd_may_be_replaced_and_names_its_data_file(tmp_path: Path) -> None:
    write_volume(volume(dtype=np.uint8), tmp_path / "scan.mhd")
    write_volume(volume(), tmp_path / "scan.mhd")
    assert read_volume(tmp_path / "scan.mhd").array.dtype == np.int16
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.mhd", "scan.zraw"]


def test_nifti_far_from_the_origin_is_refused_instead_of_moved(tmp_path: Path) -> None:
    far = Volume(np.zeros((2, 2, 2), np.uint8), Geometry((2, 2, 2), (1.0, 1.0, 1.0), (50000.123, 0.0, 0.0)))
    with pytest.raises(GANSegmentationError) as caught:
        write_volume(far, tmp_path / "far.nii.gz")
    assert caught.value.code == "geometry_not_kept"
    assert not list(tmp_path.iterdir())
    assert read_volume(write_volume(far, tmp_path / "far.mha")).geometry == far.geometry


def test_4d_vector_and_flat_images_are_refused(tmp_path: Path) -> None:
    array = np.zeros((3, 4, 5, 6), np.int16)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=False), str(tmp_path / "time.nii.gz"))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=True), str(tmp_path / "vectors.nrrd"))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array[0, 0]), str(tmp_path / "flat.mha"))
    for name, what in (("time.nii.gz", "4 dimensions"), ("vectors.nrrd", "6 numbers"), ("flat.mha", "2 dimensions")):
        error = refusal(tmp_path / name)
        assert error.code == "not_a_volume"
        assert what in error.message


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".nii", ".mha"])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (20, 20, 20)).astype(np.uint8)
    path = write_volume(Volume(noise, Geometry(noise.shape[::-1], (1.0, 1.0, 1.0))), tmp_path / f"scan{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert refusal(path).code == "damaged_file"


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(b"a letter" * 100))
    assert refusal(path).code == "damaged_file"
    (tmp_path / "scan.mhd").write_text("ObjectType = Image\nElementDataFile = gone.raw\n")
    assert refusal(tmp_path / "scan.mhd").code == "damaged_file"


def test_a_sheared_nifti_is_refused_for_its_axes(tmp_path: Path) -> None:
    path = write_volume(volume(), tmp_path / "scan.nii")
    content = bytearray(path.read_bytes())
    rows = np.frombuffer(content, "<f4", 12, 280).copy()  # srow_x, srow_y, srow_z
    rows[1] += 0.4
    content[280:328] = rows.tobytes()
    content[252:254] = b"\0\0"  # no qform beside it
    path.write_bytes(content)
    assert refusal(path).code == "invalid_geometry"


def test_unknown_names_and_places_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    for name, code in (
        ("scan.png", "unknown_format"),
        ("scan", "unknown_format"),
        ("no/scan.nrrd", "folder_not_found"),
    ):
        with pytest.raises(GANSegmentationError) as caught:
            write_volume(volume(), tmp_path / name)
        assert caught.value.code == code
    assert not list(tmp_path.iterdir())


def test_the_array_is_not_a_view_of_freed_memory(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(-1000, 1000, (40, 64, 64)).astype(np.int16)
    path = write_volume(Volume(noise, Geometry(noise.shape[::-1], (1.0, 1.0, 1.0))), tmp_path / "scan.nrrd")
    copies = [read_volume(path).array for _ in range(5)]
    np.random.default_rng(1).integers(0, 9, 1 << 20)  # something else in whatever was freed
    assert all(np.array_equal(copy, noise) for copy in copies)


@pytest.mark.parametrize("spacing", [0.0, float("nan")])
def test_a_nifti_file_that_does_not_say_its_spacing_is_refused(tmp_path: Path, spacing: float) -> None:
    path = write_volume(volume(), tmp_path / "scan.nii")
    header = bytearray(path.read_bytes())
    struct.pack_into("<f", header, 76 + 4 * 2, spacing)  # pixdim[2]
    path.write_bytes(bytes(header))
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(path)
    assert caught.value.code == "invalid_geometry"
