"""One patient in every format and orientation gives the same slices: axial, in radiological display, unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.datasets import Source, prepare
from GANSegmentationLib.errors import GANSegmentationError
from Testing.scan_layouts import ORIENTATIONS, SPACING_ZYX, patient, sitk_image, write_chaos_ct, write_image

_VALUES = "1=Liver,2=Right kidney,3=Left kidney,4=Spleen"


def _paired(folder: Path, output: Path, **options: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    dataset = prepare([Source("paired", folder, {"values": _VALUES, **options})], output, labels={1: "Liver"})
    for case in dataset.cases:
        assert case.spacing_zyx == pytest.approx(SPACING_ZYX), case.id
    return {case.id: (np.asarray(dataset.images(case)), np.asarray(dataset.masks(case))) for case in dataset.cases}


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_every_orientation_of_a_file_gives_the_same_slices(suffix: str, tmp_path: Path) -> None:
    image, labels = patient()
    for orientation in ORIENTATIONS:
        write_image(image, tmp_path / "in" / "images" / f"{orientation}{suffix}", orientation)
        write_image(labels, tmp_path / "in" / "masks" / f"{orientation}{suffix}", orientation)
    cases = _paired(tmp_path / "in", tmp_path / "out")
    assert len(cases) == len(ORIENTATIONS) == 48
    for name, (images, masks) in cases.items():
        np.testing.assert_array_equal(images, image, name)
        np.testing.assert_array_equal(masks, labels, name)


def test_a_dicom_series_gives_the_slices_of_the_files_whatever_its_plane_and_the_order_of_its_names(
    tmp_path: Path,
) -> None:
    image, labels = patient()
    for number, orientation in enumerate(ORIENTATIONS):
        write_chaos_ct(tmp_path / "in" / orientation, descending=bool(number % 2), orientation=orientation)
    dataset = prepare([("chaos_ct", tmp_path / "in")], tmp_path / "out", labels={1: "Liver"})
    assert len(dataset.cases) == 48
    for case in dataset.cases:
        np.testing.assert_array_equal(dataset.images(case), image, case.id)
        np.testing.assert_array_equal(dataset.masks(case), labels == 1, case.id)
        assert case.spacing_zyx == pytest.approx(SPACING_ZYX)
    coronal = dataset.by_id["chaos_LSA"]
    assert any("coronal" in note for note in coronal.notes), "slices that run across the acquired ones are said to"
    assert dataset.by_id["chaos_LPS"].notes == ()


def test_a_mask_of_other_orientation_than_its_image_is_turned_with_it(tmp_path: Path) -> None:
    image, labels = patient()
    write_image(image, tmp_path / "in" / "images" / "a.nii.gz", "LAS")
    write_image(labels, tmp_path / "in" / "masks" / "a.mha", "PSR")
    (case,) = _paired(tmp_path / "in", tmp_path / "out").values()
    np.testing.assert_array_equal(case[0], image)
    np.testing.assert_array_equal(case[1], labels)


def test_a_mask_on_another_grid_is_refused_by_name(tmp_path: Path) -> None:
    import SimpleITK

    image, labels = patient()
    write_image(image, tmp_path / "in" / "images" / "a.nii.gz")
    moved = sitk_image(labels)
    moved.SetOrigin((-31.0, 18.0, 40.0))  # a third of a voxel
    (tmp_path / "in" / "masks").mkdir()
    SimpleITK.WriteImage(moved, str(tmp_path / "in" / "masks" / "a.nii.gz"))
    with pytest.raises(GANSegmentationError, match=r"masks.a\.nii\.gz.*grid") as caught:
        _paired(tmp_path / "in", tmp_path / "out")
    assert caught.value.code == "invalid_source"


@pytest.mark.parametrize(
    ("kind", "stored", "value"),
    [
        (np.float64, np.int16, 3.0),
        (np.float64, np.float32, 0.5),
        (np.float64, np.float64, 0.1),
        (np.int32, np.int32, 0),
    ],
)
def test_values_are_stored_exactly_in_the_smallest_type_that_holds_them(
    kind: type, stored: type, value: float, tmp_path: Path
) -> None:
    image, labels = patient()
    values = image.astype(kind) + kind(value) + (kind(100_000) if kind is np.int32 else kind(0))
    write_image(values, tmp_path / "in" / "images" / "a.nrrd")
    write_image(labels, tmp_path / "in" / "masks" / "a.nrrd")
    (case,) = _paired(tmp_path / "in", tmp_path / "out").values()
    assert case[0].dtype == stored
    np.testing.assert_array_equal(case[0], values)


def test_voxels_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    image, labels = patient()
    values = image.astype(np.float32)
    values[2, 3, 4] = np.nan
    write_image(values, tmp_path / "in" / "images" / "a.nrrd")
    write_image(labels, tmp_path / "in" / "masks" / "a.nrrd")
    with pytest.raises(GANSegmentationError, match=r"a\.nrrd.*finite"):
        _paired(tmp_path / "in", tmp_path / "out")


def test_oblique_slices_are_said_to_be(tmp_path: Path) -> None:
    import SimpleITK

    image, labels = patient()
    angle = np.radians(20.0)
    axes = (1, 0, 0, 0, np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle))
    for array, kind in ((image, "images"), (labels, "masks")):
        picture = sitk_image(array)
        picture.SetDirection(axes)
        (tmp_path / "in" / kind).mkdir(parents=True)
        SimpleITK.WriteImage(picture, str(tmp_path / "in" / kind / "a.nrrd"))
    dataset = prepare([Source("paired", tmp_path / "in", {"values": _VALUES})], tmp_path / "out", labels={1: "Liver"})
    assert dataset.cases[0].notes == (
        "its slices are oblique by 20 degrees and stored as the axial ones they are nearest to",
    )
    np.testing.assert_array_equal(dataset.images(dataset.cases[0]), image)
