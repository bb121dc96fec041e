"""A tilted gantry: refused, or sheared back to a regular grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import TILT_FACT, Volume, find_series, read_volume, write_volume
from GANSegmentationLib.volumes.dicom_grid import arrange
from GANSegmentationLib.volumes.dicom_header import HeaderReader, SliceHeader

ANGLE = np.radians(15.0)
TILTED = [1.0, 0.0, 0.0, 0.0, float(np.cos(ANGLE)), float(-np.sin(ANGLE))]


def headers_of(folder: Path) -> list[SliceHeader]:
    found = [HeaderReader().read(path) for path in sorted(folder.rglob("*.dcm"))]
    return [header for header in found if isinstance(header, SliceHeader)]


def sheared_by_itk(folder: Path, straight: Volume) -> np.ndarray:
    """The series resampled to the grid of `straight` by ITK, which knows the sheared grid as it is."""
    headers = sorted(headers_of(folder), key=lambda header: header.position[2])  # type: ignore[index]
    stored = read_stack(headers)
    first, last = (np.array(header.position) for header in (headers[0], headers[-1]))
    row, column = np.array(headers[0].format.orientation).reshape(2, 3)
    step = (last - first) / (len(headers) - 1)
    # ITK repeats the outer pixels for half a pixel; what lies beside a slice is air here.
    stored = np.pad(stored.astype(np.float64), ((0, 0), (2, 2), (2, 2)), constant_values=stored.min())
    image = SimpleITK.GetImageFromArray(stored)
    transform = SimpleITK.AffineTransform(3)  # from the grid of `straight` to indices of the stack
    rows, columns = headers[0].format.pixel_spacing  # type: ignore[misc]
    matrix = np.stack([row * columns, column * rows, step], axis=1)
    inverse = np.linalg.inv(matrix)
    transform.SetMatrix(inverse.ravel().tolist())
    transform.SetTranslation((-inverse @ first + [2, 2, 0]).tolist())
    grid = straight.geometry
    resampled = SimpleITK.Resample(
        image, grid.size, transform, SimpleITK.sitkLinear, grid.origin, grid.spacing, grid.direction, np.nan
    )
    return SimpleITK.GetArrayFromImage(resampled)


def read_stack(headers: list[SliceHeader]) -> np.ndarray:
    from GANSegmentationLib.volumes.dicom_pixels import read_pixels

    return read_pixels(headers)


def test_a_tilt_is_refused_unless_its_correction_is_asked_for(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, step=(0, 0, 2.0), ImageOrientationPatient=TILTED)
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "series")
    assert caught.value.code == "gantry_tilt"
    assert "15.00 degrees" in caught.value.message
    assert "--correct-tilt" in caught.value.action
    volume = read_volume(tmp_path / "series", correct_tilt=True)
    assert "15.00 degrees" in volume.facts[TILT_FACT]
    grid = volume.geometry
    np.testing.assert_allclose(grid.direction_matrix.T @ grid.direction_matrix, np.eye(3), atol=1e-12)
    assert grid.spacing[2] == pytest.approx(2.0 * np.cos(ANGLE))


def test_a_series_that_is_not_tilted_stays_as_it_is(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored)
    plain, asked = read_volume(tmp_path / "series"), read_volume(tmp_path / "series", correct_tilt=True)
    np.testing.assert_array_equal(plain.array, asked.array)
    assert asked.geometry == plain.geometry
    assert TILT_FACT not in asked.facts


@pytest.mark.parametrize("step", [(0, 0, 2.0), (0, 0, -2.0), (0.3, 0.7, 2.0), (-0.6, 0, 2.0)])
def test_the_straightened_slices_are_where_itk_puts_them(write_series, tmp_path, step) -> None:  # type: ignore[no-untyped-def]
    planes = np.random.default_rng(1).integers(0, 2000, (6, 20, 24)).astype(np.uint16)
    write_series(planes, step=step, ImageOrientationPatient=TILTED)
    volume = read_volume(tmp_path / "series", correct_tilt=True)
    expected = sheared_by_itk(tmp_path / "series", volume)
    inside = np.isfinite(expected)
    assert inside.sum() > 0.8 * planes.size
    np.testing.assert_allclose(volume.array[inside], expected[inside], atol=0.51)


def test_a_straight_rod_stands_upright_after_the_correction(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A rod along z, scanned with a leaning gantry: its centre in LPS is the same line before and after."""
    rows, columns = np.mgrid[:60, :40]
    planes = []
    for _ in range(12):
        # Where the rod x = 8, y = 12 (LPS) pierces slice k, whose first pixel is at (0, 0, 2 k).
        row = 12 / np.cos(ANGLE) / 0.75
        planes.append(1000 * np.exp(-(((columns - 8 / 0.5) / 4) ** 2 + ((rows - row) / 4) ** 2)))
    write_series(np.array(planes).astype(np.uint16), origin=(0, 0, 0), step=(0, 0, 2.0), ImageOrientationPatient=TILTED)
    volume = read_volume(tmp_path / "series", correct_tilt=True)
    for k, plane in enumerate(volume.array.astype(float) + 1024):
        row, column = ndimage.center_of_mass(np.where(plane > 30, plane, 0))
        x, y, z, _ = volume.geometry.index_to_lps @ [column, row, k, 1]
        np.testing.assert_allclose((x, y), (8, 12), atol=0.05)
        np.testing.assert_allclose(z, 2 * k - 12 * np.tan(ANGLE), atol=0.05)


def test_no_pixel_is_lost_and_what_is_added_is_air(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    planes = np.full((5, 8, 8), 2000, np.uint16)
    planes[:, 4, 4] = 100
    write_series(planes, step=(0, 0, 2.0), ImageOrientationPatient=TILTED)
    volume = read_volume(tmp_path / "series", correct_tilt=True)
    assert volume.array.dtype == np.int16
    assert volume.array.min() == 100 - 1024
    assert volume.array.max() == 2000 - 1024
    before, after = (planes.astype(float) - 100).sum(), (volume.array.astype(float) + 924).sum()
    assert after == pytest.approx(before, rel=1e-3)


def test_fractions_stay_fractions(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    planes = np.random.default_rng(1).integers(0, 200, (4, 9, 9)).astype(np.uint16)
    write_series(planes, step=(0, 0, 2.0), ImageOrientationPatient=TILTED, RescaleSlope=0.25)
    assert read_volume(tmp_path / "series", correct_tilt=True).array.dtype == np.float32


def test_uneven_slices_of_a_tilted_gantry_stay_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    positions = [(0, 0, z) for z in (0, 2, 4, 8, 10)]
    write_series(stored, positions=positions, ImageOrientationPatient=TILTED)
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "series")
    assert caught.value.code == "gantry_tilt"
    assert "1 slice(s) seem to be missing" in caught.value.message
    assert "correct-tilt" not in caught.value.action
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "series", correct_tilt=True)
    assert caught.value.code == "missing_slices"


def test_the_corrected_grid_goes_through_files(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, step=(0, 0, 2.0), ImageOrientationPatient=TILTED)
    volume = read_volume(tmp_path / "series", correct_tilt=True)
    copy = read_volume(write_volume(volume, tmp_path / "straight.nrrd"))
    np.testing.assert_array_equal(copy.array, volume.array)
    assert copy.geometry.corner_distance(volume.geometry) < 1e-4


@pytest.mark.real_data
def test_a_tilted_siemens_head_is_straightened_as_itk_does(shared_data: Path) -> None:
    folder = shared_data / "dicom_robustness/dicom2nifti/failing/gantrytilting/001"
    volume = read_volume(folder, correct_tilt=True)
    assert find_series(folder, correct_tilt=True).tilt is not None
    assert volume.geometry.size == (512, 521, 4)
    assert volume.geometry.spacing[2] == pytest.approx(5 * np.cos(np.radians(14)), abs=1e-3)
    expected = sheared_by_itk(folder, volume)
    inside = np.isfinite(expected)
    assert inside.sum() > 3 * 512 * 500
    difference = np.abs(volume.array[inside] - expected[inside])
    assert np.quantile(difference, 0.999) <= 1  # HU; rounding of the header moves slices by 1e-6 mm in ITK's grid


@pytest.mark.real_data
def test_a_tilted_part_of_a_real_head_with_even_steps_is_straightened(shared_data: Path, tmp_path: Path) -> None:
    """The GE head has steps of 1.08, 4 and 7 mm: refused whole, read where the steps are even."""
    import shutil

    folder = shared_data / "dicom_robustness/dcm_qa_ct_GE"
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(folder, correct_tilt=True)
    assert caught.value.code == "uneven_slices"
    for number in range(3, 15):  # 4.22 mm apart along the table
        shutil.copy(folder / f"{number:02d}.dcm", tmp_path)
    volume = read_volume(tmp_path, correct_tilt=True)
    assert volume.geometry.size[2] == 12
    assert volume.geometry.spacing[2] == pytest.approx(4.22 * np.cos(np.radians(18.5)), abs=5e-3)
    stack: Any = arrange(headers_of(tmp_path), correct_tilt=True)
    assert stack.tilt.degrees == pytest.approx(18.5, abs=0.05)
