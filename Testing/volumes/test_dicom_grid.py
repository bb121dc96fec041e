"""What is a volume, and what is refused as something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import find_series, read_volume
from Testing.volumes.conftest import make_enhanced, save

HEIGHTS = [0.0, 2.0, 4.0, 6.0, 8.0]


def refusal(folder: Path) -> GANSegmentationError:
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(folder)
    error = caught.value
    assert error.cause
    assert error.action
    assert find_series(folder).spacing_zyx is None
    return error


def at(heights: list[float]) -> list[tuple[float, float, float]]:
    return [(0.0, 0.0, height) for height in heights]


def test_a_missing_slice_is_refused_with_its_place(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, positions=at([0, 2, 4, 8, 10]))
    error = refusal(tmp_path / "series")
    assert error.code == "missing_slices"
    assert "1 slice(s)" in error.message
    assert "4.000 mm between 002.dcm and 003.dcm" in error.message


def test_two_missing_slices_in_one_gap_are_counted(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, positions=at([0, 6, 8, 10, 12]))
    assert "2 slice(s)" in refusal(tmp_path / "series").message


def test_uneven_slices_are_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, positions=at([0, 2, 4, 7, 10]))
    assert refusal(tmp_path / "series").code == "uneven_slices"


def test_a_drift_that_no_single_gap_shows_is_refused(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    planes = np.zeros((40, 4, 4), np.uint16)
    heights = np.concatenate(
        [[0.0], np.cumsum([2.0] * 20 + [2.03] * 19)]
    )  # each gap 1.5 % off, a third of a step in all
    write_series(planes, positions=at(heights.tolist()))
    assert refusal(tmp_path / "series").code == "uneven_slices"


@pytest.mark.parametrize(("shift", "accepted"), [(0.03, True), (0.05, False)])
def test_rounding_of_positions_is_tolerated_up_to_two_percent_of_the_step(  # type: ignore[no-untyped-def]
    write_series, stored, tmp_path, shift, accepted
) -> None:
    heights = list(HEIGHTS)
    heights[2] += shift
    write_series(stored, positions=at(heights))
    if accepted:
        assert read_volume(tmp_path / "series").geometry.spacing[2] == 2.0
    else:
        assert refusal(tmp_path / "series").code == "uneven_slices"


def test_two_images_at_one_position_are_refused_by_name(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, positions=at([0, 2, 2, 4, 6]))
    error = refusal(tmp_path / "series")
    assert error.code == "duplicate_slices"
    assert "001.dcm, 002.dcm" in error.message


def test_a_time_series_is_refused_as_four_dimensional(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    planes = np.zeros((12, 4, 4), np.uint16)
    positions = at([2.0 * (k % 4) for k in range(12)])
    write_series(planes, positions=positions, each=lambda k: {"TemporalPositionIdentifier": k // 4})
    error = refusal(tmp_path / "series")
    assert error.code == "four_dimensional"
    assert "3 images at each of 4 slice positions" in error.message
    assert "3 time points" in error.message


def test_mixed_orientations_are_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(
        stored, each=lambda k: {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0] if k < 3 else [1, 0, 0, 0, 0, -1]}
    )
    error = refusal(tmp_path / "series")
    assert error.code == "mixed_orientations"
    assert "axial" in error.message
    assert "coronal" in error.message


def test_a_tilted_gantry_is_refused_with_its_angle(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    angle = np.radians(12.0)
    tilted = [1, 0, 0, 0, float(np.cos(angle)), float(-np.sin(angle))]
    write_series(stored, step=(0, 0, 4.0), ImageOrientationPatient=tilted, GantryDetectorTilt=12)
    error = refusal(tmp_path / "series")
    assert error.code == "gantry_tilt"
    assert "12.00 degrees" in error.message


def test_a_tilt_is_seen_without_its_tag(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, step=(0, 0.2, 4.0))
    assert refusal(tmp_path / "series").code == "gantry_tilt"


def test_blocks_shifted_sideways_are_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, positions=[(0, 0, 0), (0, 0, 2), (3, 0, 4), (0, 0, 6), (0, 0, 8)])
    error = refusal(tmp_path / "series")
    assert error.code == "uneven_slices"
    assert "002.dcm" in error.message


def test_different_sizes_in_a_series_are_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored[:3])
    write_series(stored[3:, :4], names=["a", "b"], origin=(-10, -20, 37.5))
    error = refusal(tmp_path / "series")
    assert error.code == "mixed_sizes"
    assert "3 x (6 rows, 7 columns)" in error.message


def test_different_pixel_spacings_in_a_series_are_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, each=lambda k: {"PixelSpacing": [0.75, 0.5 if k else 0.6]})
    assert refusal(tmp_path / "series").code == "mixed_sizes"


def test_colour_images_are_refused(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    planes = np.zeros((3, 4, 5, 3), np.uint8)
    write_series(planes, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    assert refusal(tmp_path / "series").code == "colour_image"


def test_palette_images_are_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored.astype(np.uint8), PhotometricInterpretation="PALETTE COLOR")
    assert refusal(tmp_path / "series").code == "colour_image"


def test_multi_frame_images_are_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored[:1], NumberOfFrames=5)
    assert refusal(tmp_path / "series").code == "multi_frame"


def test_an_enhanced_image_with_one_frame_is_refused_as_enhanced(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored[:1], SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1", positions=[None], ImageOrientationPatient=None)
    error = refusal(tmp_path / "series")
    assert error.code == "multi_frame"
    assert "enhanced CT" in error.message


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_images_without_a_place_in_the_patient_are_refused(write_series, stored, tmp_path, keyword) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, each=lambda k: {keyword: None} if k == 2 else {})
    error = refusal(tmp_path / "series")
    assert error.code == "no_position"
    assert "002.dcm" in error.message


def test_images_without_pixel_spacing_are_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, PixelSpacing=None)
    assert refusal(tmp_path / "series").code == "no_pixel_spacing"


def test_axes_that_are_no_axes_are_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, ImageOrientationPatient=[1, 0, 0, 0.3, 1, 0])
    assert refusal(tmp_path / "series").code == "no_position"


def test_a_rounded_orientation_becomes_orthogonal(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    row, column = [0.9397, 0.3420, 0.0], [-0.3420, 0.9397, 0.0]
    write_series(stored, ImageOrientationPatient=[*row, *column])
    axes = read_volume(tmp_path / "series").geometry.direction_matrix
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(axes[:, 0], row, atol=1e-4)


def test_a_single_slice_needs_its_spacing_between_slices(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored[:1], into="without")
    error = refusal(tmp_path / "without")
    assert error.code == "single_slice"
    assert "Slice Thickness does not" in error.cause
    write_series(stored[:1], into="with", SpacingBetweenSlices=4.0)
    grid = read_volume(tmp_path / "with").geometry
    assert grid.size == (7, 6, 1)
    assert grid.spacing[2] == 4.0


@pytest.mark.parametrize("lost", [{"RescaleIntercept": None}, {"RescaleSlope": None, "RescaleIntercept": None}])
def test_a_slice_that_has_lost_its_rescale_is_refused(write_series, stored, tmp_path, lost) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, each=lambda k: lost if k == 2 else {})
    error = refusal(tmp_path / "series")
    assert error.code == "mixed_values"
    assert "002.dcm" in error.message and "001.dcm" not in error.message


def test_a_slice_without_a_rescale_that_changes_nothing_is_none(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    kept = {"RescaleSlope": 1, "RescaleIntercept": 0}
    write_series(stored, Modality="MR", each=lambda k: {} if k == 2 else kept)
    assert np.array_equal(read_volume(tmp_path / "series").array, stored)


def test_a_mosaic_of_slices_is_no_slice(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    kind = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    write_series(stored[:1], Modality="MR", ImageType=kind, SpacingBetweenSlices=3)
    assert refusal(tmp_path / "series").code == "mosaic"


def test_images_of_two_studies_are_no_volume(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, each=lambda k: {"StudyInstanceUID": f"1.{1 + k // 3}"})
    assert refusal(tmp_path / "series").code == "mixed_studies"
    write_series(stored, into="own", each=lambda k: {"StudyInstanceUID": f"1.{1 + k}"})
    assert read_volume(tmp_path / "own").geometry.size[2] == 5


def test_images_of_two_patients_are_no_volume(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, each=lambda k: {"PatientID": f"Anna{k // 3}"})
    error = refusal(tmp_path / "series")
    assert error.code == "mixed_patients"
    assert "Anna" not in str(error)
    write_series(stored, into="padded", each=lambda k: {"PatientID": "Anna " if k else "Anna"})
    write_series(stored, into="own", each=lambda k: {"PatientID": f"Anna{k}"})
    for name in ("padded", "own"):
        assert read_volume(tmp_path / name).geometry.size[2] == 5


def test_images_of_two_modalities_are_no_volume(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, each=lambda k: {"Modality": "PT" if k == 2 else "CT"})
    assert refusal(tmp_path / "series").code == "mixed_values"


def test_frames_are_told_by_their_numbers(stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "series").mkdir()
    save(make_enhanced(stored, at([0, 2, 4, 8, 10])), tmp_path / "series" / "e.dcm")
    assert "between e.dcm (frame 3) and e.dcm (frame 4)" in refusal(tmp_path / "series").message
