"""Four-dimensional series, taken apart where it is certain which images belong together."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import SeriesInfo, find_series, read_volume

PLANES = np.arange(6 * 4 * 5, dtype=np.uint16).reshape(6, 4, 5)
HEIGHTS = [(0.0, 0.0, 2.0 * (k % 3)) for k in range(6)]  # three slices, then the same three again


def four_dimensional(path: Path) -> SeriesInfo:
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(path)
    assert caught.value.code == "four_dimensional"
    return find_series(path)


@pytest.mark.parametrize(
    ("each", "labels"),
    [
        (lambda k: {"TemporalPositionIdentifier": 1 + k // 3}, ["time point 1", "time point 2"]),
        (lambda k: {"EchoTime": 9.2 if k < 3 else 4.6}, ["echo time 4.6", "echo time 9.2"]),
        (lambda k: {"DiffusionBValue": 1000.0 * (k // 3)}, ["b-value 0", "b-value 1000"]),
        (lambda k: {"TriggerTime": 90 if k < 3 else 800}, ["trigger time 90", "trigger time 800"]),
        (lambda k: {"InversionTime": 90 if k < 3 else 800}, ["inversion time 90", "inversion time 800"]),
        (lambda k: {"ConvolutionKernel": "B70f" if k < 3 else "B30f"}, ["kernel B30f", "kernel B70f"]),
        (
            lambda k: {"ImageType": ["ORIGINAL", "PRIMARY", "P" if k < 3 else "M"]},
            ["kind of image ORIGINAL\\PRIMARY\\M", "kind of image ORIGINAL\\PRIMARY\\P"],
        ),
    ],
)
def test_a_tag_that_tells_the_volumes_apart_takes_the_series_apart(  # type: ignore[no-untyped-def]
    write_series, tmp_path, each: Callable[[int], Mapping[str, Any]], labels
) -> None:
    write_series(PLANES, positions=HEIGHTS, each=lambda k: {**each(k), "InstanceNumber": None})
    series = four_dimensional(tmp_path / "series")
    assert [part.part_label for part in series.parts] == labels
    first_is_first = each(0) == each(0) and labels[0].split()[-1] in str(list(each(0).values()))
    halves = [PLANES[:3], PLANES[3:]] if first_is_first else [PLANES[3:], PLANES[:3]]
    for number, half in enumerate(halves, 1):
        volume = read_volume(tmp_path / "series", series_uid=f"1.2.3.4#{number}")
        np.testing.assert_array_equal(volume.array, half.astype(int) - 1024)
        assert volume.geometry.spacing[2] == 2.0
        assert volume.name.endswith(labels[number - 1])


@pytest.mark.parametrize("numbers", [[1, 2, 3, 4, 5, 6], [1, 3, 5, 2, 4, 6]], ids=["by volume", "by slice"])
def test_instance_numbers_in_a_plain_order_take_the_series_apart(write_series, tmp_path, numbers) -> None:  # type: ignore[no-untyped-def]
    write_series(PLANES, positions=HEIGHTS, each=lambda k: {"InstanceNumber": numbers[k]})
    assert len(four_dimensional(tmp_path / "series").parts) == 2
    second = read_volume(tmp_path / "series", series_uid="1.2.3.4#2")
    np.testing.assert_array_equal(second.array, PLANES[3:].astype(int) - 1024)


@pytest.mark.parametrize("numbers", [[1, 2, 3, 6, 4, 5], [1, 1, 1, 1, 1, 1], [None] * 6, [1, 4, 2, 3, 5, 6]])
def test_what_cannot_be_told_for_certain_is_not_taken_apart(write_series, tmp_path, numbers) -> None:  # type: ignore[no-untyped-def]
    write_series(PLANES, positions=HEIGHTS, each=lambda k: {"InstanceNumber": numbers[k]})
    series = four_dimensional(tmp_path / "series")
    assert series.parts == ()
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "series", series_uid="1.2.3.4#1")
    assert caught.value.code == "unknown_series"


def test_two_tags_together_tell_echoes_and_time_points_apart(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    planes = np.arange(12 * 4 * 5, dtype=np.uint16).reshape(12, 4, 5)
    positions = [(0.0, 0.0, 2.0 * (k % 3)) for k in range(12)]

    def each(k: int) -> dict[str, Any]:
        return {"TemporalPositionIdentifier": 1 + k // 6, "EchoTime": 5 if k // 3 % 2 else 2, "InstanceNumber": None}

    write_series(planes, positions=positions, each=each)
    series = four_dimensional(tmp_path / "series")
    assert [part.part_label for part in series.parts] == [
        f"time point {time}, echo time {echo}" for time in (1, 2) for echo in (2, 5)
    ]
    third = read_volume(tmp_path / "series", series_uid="1.2.3.4#3")
    np.testing.assert_array_equal(third.array, planes[6:9].astype(int) - 1024)


def test_an_incomplete_time_series_is_not_taken_apart(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(PLANES[:5], positions=HEIGHTS[:5], each=lambda k: {"TemporalPositionIdentifier": 1 + k // 3})
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "series")
    assert caught.value.code == "duplicate_slices"
    assert "2 time points" in caught.value.message


def test_each_volume_has_to_be_one_by_itself(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    positions = [(0.0, 0.0, height) for height in (0, 2, 6, 0, 2, 6)]
    write_series(PLANES, positions=positions, each=lambda k: {"EchoTime": 1 + k // 3})
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "series", series_uid="1.2.3.4#1")
    assert caught.value.code == "uneven_slices"


def test_a_series_that_is_there_twice_is_said_to_be(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, into="all/a")
    shutil.copytree(tmp_path / "all" / "a", tmp_path / "all" / "b")
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(tmp_path / "all")
    assert caught.value.code == "duplicate_slices"
    assert "2 times" in caught.value.message
    np.testing.assert_array_equal(read_volume(tmp_path / "all" / "a").array, stored.astype(int) - 1024)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "first", "second"),
    [
        ("ge/fmri/001", range(1, 5), range(43, 47)),
        ("ge/dti/001", range(1, 5), range(76, 80)),
        ("siemens/fmri_classic/001", range(1, 5), range(41, 45)),
    ],
)
def test_time_series_of_real_scanners_are_taken_apart(shared_data: Path, folder: str, first: Any, second: Any) -> None:
    place = shared_data / "dicom_robustness/dicom2nifti" / folder
    images = {int(image.InstanceNumber): image for image in map(pydicom.dcmread, place.glob("*.dcm"))}
    series = find_series(place)
    assert len(series.parts) == 2
    for part, numbers in zip(series.parts, (first, second), strict=True):
        volume = read_volume(place, series_uid=part.selector)
        stack = [images[number] for number in numbers]
        row, column = np.array(stack[0].ImageOrientationPatient, float).reshape(2, 3)
        stack.sort(key=lambda image: float(np.array(image.ImagePositionPatient, float) @ np.cross(row, column)))
        np.testing.assert_array_equal(volume.array, np.stack([image.pixel_array for image in stack]))
        np.testing.assert_allclose(volume.geometry.origin, np.array(stack[0].ImagePositionPatient, float), atol=1e-9)
        last = volume.geometry.index_to_lps @ [0, 0, 3, 1]
        np.testing.assert_allclose(last[:3], np.array(stack[-1].ImagePositionPatient, float), atol=1e-2)
