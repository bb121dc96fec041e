"""Enhanced multi-frame images: many slices in one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import find_series, read_volume

Writer = Callable[..., Path]


def heights(*values: float) -> list[tuple[float, float, float]]:
    return [(-10.0, -20.0, value) for value in values]


@pytest.fixture
def write_enhanced(dicom_tools: Any, tmp_path: Path) -> Writer:
    def write(stored: np.ndarray, positions: Any, name: str = "scan", **options: Any) -> Path:
        path = tmp_path / name
        dicom_tools.save(dicom_tools.make_enhanced(stored, positions, **options), path)
        return path

    return write


def refusal(path: Path) -> GANSegmentationError:
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(path)
    return caught.value


def test_frames_become_slices_sorted_by_position(write_enhanced, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = write_enhanced(stored, heights(4, 0, 2, 8, 6))
    for source in (path, tmp_path):
        volume = read_volume(source)
        np.testing.assert_array_equal(volume.array, stored[[1, 2, 0, 4, 3]].astype(int) - 1024)
        assert volume.array.dtype == np.int16
        assert volume.geometry.size == (7, 6, 5)
        assert volume.geometry.spacing == (0.5, 0.75, 2.0)
        assert volume.geometry.origin == (-10.0, -20.0, 0.0)
    series = find_series(tmp_path)
    assert (series.slices, series.files) == (5, (path,))


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian], ids=lambda uid: uid.name
)
@pytest.mark.filterwarnings("ignore")
def test_frames_of_other_transfer_syntaxes_read_the_same(write_enhanced, stored, syntax) -> None:  # type: ignore[no-untyped-def]
    path = write_enhanced(stored, heights(0, 2, 4, 6, 8), transfer_syntax=syntax)
    np.testing.assert_array_equal(read_volume(path).array, stored.astype(int) - 1024)


@pytest.mark.filterwarnings("ignore")
def test_compressed_frames_are_decoded(write_enhanced, stored) -> None:  # type: ignore[no-untyped-def]
    path = write_enhanced(stored, heights(8, 6, 4, 2, 0))
    image = pydicom.dcmread(path)
    image.compress(RLELossless)
    image.save_as(path)
    np.testing.assert_array_equal(read_volume(path).array, stored[::-1].astype(int) - 1024)


def test_each_frame_has_its_own_rescale(write_enhanced, stored, dicom_tools) -> None:  # type: ignore[no-untyped-def]
    def each(k: int) -> dict[str, Any]:
        return {"PixelValueTransformationSequence": [dicom_tools.item(RescaleSlope=k + 0.5, RescaleIntercept=-k)]}

    volume = read_volume(write_enhanced(stored, heights(0, 2, 4, 6, 8), each=each))
    index = np.arange(5)[:, None, None]
    np.testing.assert_allclose(volume.array, stored * (index + 0.5) - index, rtol=1e-6)


def test_an_oblique_stack_keeps_its_orientation(write_enhanced, stored) -> None:  # type: ignore[no-untyped-def]
    row, column = np.array([0.8, 0.36, -0.48]), np.array([0.0, 0.8, 0.6])
    normal = np.cross(row, column)
    positions = [np.array([5.0, 6.0, 7.0]) + 1.5 * k * normal for k in range(5)]
    grid = read_volume(write_enhanced(stored, positions, orientation=[*row, *column])).geometry
    corner = np.array([5.0, 6.0, 7.0]) + 6.5 * 0.5 * row + 5.5 * 0.75 * column + 4.5 * 1.5 * normal
    np.testing.assert_allclose(grid.corners()[-1], corner, atol=1e-6)


def test_frames_of_several_files_make_one_volume(write_enhanced, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_enhanced(stored[:3], heights(0, 2, 4), "a")
    write_enhanced(stored[3:], heights(6, 8), "b")
    np.testing.assert_array_equal(read_volume(tmp_path).array, stored.astype(int) - 1024)


def test_time_points_of_one_file_are_taken_apart(write_enhanced, stored, tmp_path, dicom_tools) -> None:  # type: ignore[no-untyped-def]
    def each(k: int) -> dict[str, Any]:
        return {"FrameContentSequence": [dicom_tools.item(TemporalPositionIndex=k % 2 + 1)]}

    write_enhanced(stored[:4], heights(0, 0, 2, 2), each=each)
    series = find_series(tmp_path)
    assert series.problem is not None
    assert series.problem.code == "four_dimensional"
    assert [part.part_label for part in series.parts] == ["time point 1", "time point 2"]
    second = read_volume(tmp_path, series_uid="1.2.3.4#2")
    np.testing.assert_array_equal(second.array, stored[[1, 3]].astype(int) - 1024)


def test_localizer_frames_are_left_out(write_enhanced, stored, dicom_tools) -> None:  # type: ignore[no-untyped-def]
    def each(k: int) -> dict[str, Any]:
        kind = ["ORIGINAL", "PRIMARY", "LOCALIZER" if k == 0 else "VOLUME", "NONE"]
        return {"CTImageFrameTypeSequence": [dicom_tools.item(FrameType=kind)]}

    volume = read_volume(write_enhanced(stored, heights(1, 2, 4, 6, 8), each=each))
    np.testing.assert_array_equal(volume.array, stored[1:].astype(int) - 1024)


def test_uneven_frames_are_refused_like_uneven_files(write_enhanced, stored) -> None:  # type: ignore[no-untyped-def]
    assert refusal(write_enhanced(stored, heights(0, 2, 4, 8, 10))).code == "missing_slices"


def test_frames_without_a_place_are_refused(write_enhanced, stored) -> None:  # type: ignore[no-untyped-def]
    path = write_enhanced(stored, heights(0, 2, 4, 6, 8))
    image = pydicom.dcmread(path)
    del image.PerFrameFunctionalGroupsSequence
    image.save_as(path)
    error = refusal(path)
    assert error.code == "multi_frame"
    assert "does not say where each one lies" in error.message
    image = pydicom.dcmread(write_enhanced(stored, heights(0, 2, 4, 6, 8)))
    del image.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence
    image.save_as(path)
    assert refusal(path).code == "no_position"


@pytest.mark.parametrize("announced", [4, 6])
def test_a_wrong_number_of_frames_is_damage(write_enhanced, stored, announced) -> None:  # type: ignore[no-untyped-def]
    path = write_enhanced(stored, heights(0, 2, 4, 6, 8))
    image = pydicom.dcmread(path)
    image.NumberOfFrames = announced
    image.save_as(path)
    error = refusal(path)
    assert error.code == "damaged_file"
    assert f"{announced} frames are announced and 5 described" in error.details


def test_missing_pixels_of_the_last_frame_are_damage(write_enhanced, stored) -> None:  # type: ignore[no-untyped-def]
    path = write_enhanced(stored, heights(0, 2, 4, 6, 8))
    path.write_bytes(path.read_bytes()[:-10])
    assert refusal(path).code == "damaged_file"
    path = write_enhanced(stored, heights(0, 2, 4, 6, 8), PixelData=stored[:4].tobytes())
    assert refusal(path).code == "damaged_file"


def by_hand(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, first corner and last corner of an enhanced file, straight from its frames, sorted along the normal."""
    image = pydicom.dcmread(path)
    shared = image.SharedFunctionalGroupsSequence[0] if image.get("SharedFunctionalGroupsSequence") else {}
    frames = []
    for pixels, group in zip(image.pixel_array, image.PerFrameFunctionalGroupsSequence, strict=True):

        def of(name: str, group: Any = group) -> Any:
            return group[name][0] if name in group else shared[name][0]

        scale = of("PixelValueTransformationSequence")
        place = np.array(of("PlanePositionSequence").ImagePositionPatient, float)
        axes = np.array(of("PlaneOrientationSequence").ImageOrientationPatient, float).reshape(2, 3)
        rows, columns = map(float, of("PixelMeasuresSequence").PixelSpacing)
        values = pixels * float(scale.RescaleSlope) + float(scale.RescaleIntercept)
        last = place + (image.Columns - 1) * columns * axes[0] + (image.Rows - 1) * rows * axes[1]
        frames.append((float(place @ np.cross(*axes)), values, place, last))
    frames.sort(key=lambda frame: frame[0])
    return np.stack([frame[1] for frame in frames]), frames[0][2], frames[-1][3]


@pytest.mark.real_data
@pytest.mark.parametrize(
    "folder",
    [
        "dicom2nifti/philips_enhanced/anatomical/001",
        "dicom2nifti/siemens_multiframe/anatomical/001",
        "dicom2nifti/hyperfine/anatomical/001",
        "dcmqi/data/segmentations/23x38x3/multiframe",
        "dcmqi/data/segmentations/24x38x3/multiframe",
    ],
)
def test_enhanced_images_of_real_scanners_lie_where_their_frames_say(shared_data: Path, folder: str) -> None:
    place = shared_data / "dicom_robustness" / folder
    volume = read_volume(place)
    values, first, last = by_hand(next(path for path in place.iterdir() if path.suffix == ".dcm"))
    np.testing.assert_allclose(volume.array, values, rtol=1e-6)
    matrix = volume.geometry.index_to_lps
    np.testing.assert_allclose((matrix @ [0, 0, 0, 1])[:3], first, atol=1e-3)
    np.testing.assert_allclose((matrix @ [*np.subtract(volume.geometry.size, 1), 1])[:3], last, atol=2e-3)


@pytest.mark.real_data
def test_a_converted_enhanced_ct_equals_the_series_it_was_made_of(shared_data: Path) -> None:
    place = shared_data / "dicom_robustness/dcmqi/data/segmentations/24x38x3"
    single, enhanced = read_volume(place / "image"), read_volume(place / "multiframe")
    np.testing.assert_array_equal(single.array, enhanced.array)
    assert single.geometry.corner_distance(enhanced.geometry) < 1e-9
