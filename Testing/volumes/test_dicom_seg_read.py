"""DICOM SEG of other makers, read right or refused by name: highdicom and dcmqi write them here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import (
    Geometry,
    Labelmap,
    SegChoice,
    place_on_grid,
    read_dicom_seg,
    read_labelmap,
    read_volume,
    write_dicom_seg,
)
from Testing.volumes.seg_tools import find_tool

highdicom = pytest.importorskip("highdicom")

Write = Callable[..., Path]


@pytest.fixture
def series(write_series: Any, tmp_path: Path) -> Path:
    """Seven slices of 10 x 9, with what highdicom asks of a source."""
    needed = {"StudyDate": None, "StudyTime": None, "AccessionNumber": "", "StudyID": "", "PatientSex": "O"}
    write_series(
        np.zeros((7, 9, 10), np.uint16),
        FrameOfReferenceUID="1.2.3.5",
        **{key: value or "" for key, value in needed.items()},
    )
    return tmp_path / "series"


@pytest.fixture
def theirs(series: Path, tmp_path: Path) -> Write:
    """Write a SEG with highdicom from an array ``(z, y, x)`` of labels or ``(z, y, x, segment)``."""

    def write(pixels: np.ndarray, kind: str = "BINARY", names: tuple[str, ...] = ("Liver",), **options: Any) -> Path:
        images = sorted((pydicom.dcmread(path) for path in series.iterdir()), key=lambda one: one.InstanceNumber)
        numbers = options.pop("numbers", range(1, len(names) + 1))
        tissue = pydicom.sr.coding.Code("85756007", "SCT", "Tissue")
        described = [
            highdicom.seg.SegmentDescription(number, name, tissue, tissue, "MANUAL")
            for number, name in zip(numbers, names, strict=True)
        ]
        dataset = highdicom.seg.Segmentation(
            source_images=images,
            pixel_array=pixels,
            segmentation_type=kind,
            segment_descriptions=described,
            series_instance_uid=highdicom.UID(),
            series_number=2,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="Another",
            manufacturer_model_name="Model",
            software_versions="1",
            device_serial_number="1",
            **options,
        )
        dataset.save_as(tmp_path / "theirs.dcm")
        return tmp_path / "theirs.dcm"

    return write


@pytest.fixture
def labels() -> np.ndarray:
    """Two structures; the first slice, the last and one between them are empty."""
    array = np.zeros((7, 9, 10), np.uint8)
    array[1:3, 2:6, 3:8] = 1
    array[4:6, 1:3, 1:9] = 2
    return array


def refusal(path: Path, **options: Any) -> GANSegmentationError:
    with pytest.raises(GANSegmentationError) as caught:
        read_labelmap(path, **options)
    assert "Secret" not in str(caught.value) + caught.value.details
    return caught.value


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
@pytest.mark.parametrize("omit", [True, False])
def test_all_kinds_of_highdicom_are_read(
    theirs: Write, series: Path, labels: np.ndarray, kind: str, omit: bool
) -> None:
    path = theirs(labels, kind, ("Liver", "Spleen"), omit_empty_frames=omit)
    grid = read_volume(series).geometry
    copy = read_labelmap(path, geometry=grid)
    np.testing.assert_array_equal(copy.array, labels)
    assert [(segment.value, segment.name) for segment in copy.segments] == [(1, "Liver"), (2, "Spleen")]
    alone = read_labelmap(path)  # without the scan, from the first to the last slice that there is
    assert alone.array.shape[0] == (5 if omit else 7)
    np.testing.assert_array_equal(place_on_grid(alone, grid).array, labels)


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEGLSLossless"])
def test_compressed_frames_are_read(theirs: Write, labels: np.ndarray, syntax: str) -> None:
    path = theirs(labels, "LABELMAP", ("Liver", "Spleen"), transfer_syntax_uid=getattr(pydicom.uid, syntax))
    copy = read_labelmap(path)
    np.testing.assert_array_equal(copy.array, labels[1:6])


def test_a_deflated_file_is_read(theirs: Write, labels: np.ndarray) -> None:
    path = theirs(labels, names=("Liver", "Spleen"))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    np.testing.assert_array_equal(read_labelmap(path).array, labels[1:6])


def test_numbers_of_a_labelmap_beyond_a_byte_come_back(theirs: Write, labels: np.ndarray) -> None:
    wide = labels.astype(np.uint16)
    wide[labels == 2] = 700
    copy = read_labelmap(theirs(wide, "LABELMAP", ("Liver", "Spleen"), numbers=(1, 700)))
    np.testing.assert_array_equal(copy.array, wide[1:6])
    assert [segment.value for segment in copy.segments] == [1, 700]


def test_padding_in_a_frame_is_background_and_a_structure_of_value_0_is_refused(
    theirs: Write, labels: np.ndarray
) -> None:
    path = theirs(labels, "LABELMAP", ("Liver", "Spleen"))
    dataset = pydicom.dcmread(path)
    dataset.PixelPaddingValue = 2
    dataset.save_as(path)
    np.testing.assert_array_equal(read_labelmap(path).array, np.where(labels[1:6] == 2, 0, labels[1:6]))
    dataset.SegmentSequence[0].SegmentNumber, dataset.SegmentSequence[0].SegmentLabel = 0, "Air"
    dataset.save_as(path)
    error = refusal(path)
    assert error.code == "unsupported_pixels"
    assert "value 0 is a structure" in error.message


class TestOverlaps:
    @pytest.fixture
    def both(self, theirs: Write) -> Path:
        pixels = np.zeros((7, 9, 10, 3), np.uint8)
        pixels[1:4, 1:6, 1:6, 0] = 1
        pixels[2:5, 3:8, 3:8, 1] = 1
        pixels[6, 0, 0, 2] = 1
        return theirs(pixels, names=("Liver", "Mass", "Spleen"))

    def test_they_are_refused_by_name_and_size(self, both: Path) -> None:
        error = refusal(both)
        assert error.code == "overlapping_segments"
        assert "Liver and Mass (18 voxels)" in error.message
        assert "Spleen" not in error.message

    @pytest.mark.parametrize("names", [("Liver", "Spleen"), (1, 3)])
    def test_segments_that_do_not_overlap_can_be_chosen(self, both: Path, names: Any) -> None:
        copy = read_labelmap(both, choice=SegChoice(names))
        assert [segment.value for segment in copy.segments] == [1, 3]
        assert np.bincount(copy.array.reshape(-1)).tolist()[1:] == [75, 0, 1]

    @pytest.mark.parametrize(
        ("order", "liver", "mass"), [(None, 75, 57), (("Liver", "Mass"), 75, 57), (("Mass", "Liver"), 57, 75)]
    )
    def test_the_first_one_named_can_win(self, both: Path, order: Any, liver: int, mass: int) -> None:
        copy = read_labelmap(both, choice=SegChoice(order, "first"))
        assert np.bincount(copy.array.reshape(-1)).tolist()[1:3] == [liver, mass]

    @pytest.mark.parametrize("name", ["Kidney", 9])
    def test_an_unknown_segment_is_refused_with_those_there_are(self, both: Path, name: Any) -> None:
        error = refusal(both, choice=SegChoice([name]))
        assert error.code == "unknown_segment"
        assert "2 Mass" in error.message


def test_fractions_want_a_threshold(theirs: Write) -> None:
    fractions = np.zeros((7, 9, 10), np.float32)
    fractions[2, 3, :5] = [0.2, 0.4, 0.5, 0.6, 1.0]
    path = theirs(fractions, "FRACTIONAL", max_fractional_value=100)
    error = refusal(path)
    assert error.code == "fractional_segmentation"
    assert "probability" in error.message
    for threshold, voxels in ((0.5, 3), (0.41, 3), (0.2, 5), (1.0, 1)):
        assert read_labelmap(path, choice=SegChoice(threshold=threshold)).array.sum() == voxels


class TestGrids:
    """Where the frames lie decides, not their order or number."""

    def edit(self, path: Path, change: Callable[[pydicom.Dataset], None]) -> Path:
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)
        return path

    def positions(self, path: Path, move: Callable[[int, list[float]], list[float]]) -> Path:
        def change(dataset: pydicom.Dataset) -> None:
            for index, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
                place = group.PlanePositionSequence[0]
                place.ImagePositionPatient = move(index, [float(value) for value in place.ImagePositionPatient])

        return self.edit(path, change)

    @pytest.fixture
    def sparse(self, theirs: Write) -> Path:
        """Slices 1, 3 and 5 of seven."""
        array = np.zeros((7, 9, 10), np.uint8)
        array[1::2, 2, 3] = 1
        return theirs(array)

    def test_slices_left_out_are_empty(self, sparse: Path) -> None:
        copy = read_labelmap(sparse)
        assert copy.array[:, 2, 3].tolist() == [1, 0, 1, 0, 1]
        assert copy.geometry.spacing[2] == pytest.approx(2.5)

    def test_the_scan_says_the_distance_of_slices_if_the_file_does_not(self, sparse: Path, series: Path) -> None:
        def change(dataset: pydicom.Dataset) -> None:
            del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices

        path = self.edit(sparse, change)
        assert read_labelmap(path).geometry.spacing[2] == pytest.approx(5.0)  # as far as one can know
        copy = read_labelmap(path, geometry=read_volume(series).geometry)
        assert copy.array[:, 2, 3].tolist() == [0, 1, 0, 1, 0, 1, 0]

    def test_a_wrong_spacing_between_slices_gives_way_to_the_positions(self, sparse: Path) -> None:
        def change(dataset: pydicom.Dataset) -> None:
            dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = "3.3"

        assert read_labelmap(self.edit(sparse, change)).geometry.spacing[2] == pytest.approx(5.0)

    def test_a_single_slice_takes_its_thickness_where_nothing_else_is_said(self, theirs: Write, series: Path) -> None:
        array = np.zeros((7, 9, 10), np.uint8)
        array[3, 2, 3] = 1

        def change(dataset: pydicom.Dataset) -> None:
            measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
            del measures.SpacingBetweenSlices

        path = self.edit(theirs(array), change)
        assert read_labelmap(path).geometry.spacing[2] == pytest.approx(9.5)
        placed = read_labelmap(path, geometry=read_volume(series).geometry)
        assert np.argwhere(placed.array).tolist() == [[3, 2, 3]]

        def remove(dataset: pydicom.Dataset) -> None:
            del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness

        assert refusal(self.edit(path, remove)).code == "single_slice"

    def test_uneven_sheared_and_turned_frames_are_refused(self, theirs: Write, labels: np.ndarray) -> None:
        def turn(dataset: pydicom.Dataset) -> None:
            groups = dataset.PerFrameFunctionalGroupsSequence
            axial = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
            for group in groups:
                group.PlaneOrientationSequence = [axial]
            turned = pydicom.Dataset()
            turned.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
            groups[1].PlaneOrientationSequence = [turned]
            del dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence

        def unplaced(dataset: pydicom.Dataset) -> None:
            del dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence

        changes = {
            "uneven_slices": lambda path: self.positions(path, lambda i, p: [p[0], p[1], p[2] + (i == 1)]),
            "gantry_tilt": lambda path: self.positions(path, lambda i, p: [p[0], p[1] + i, p[2]]),
            "mixed_orientations": lambda path: self.edit(path, turn),
            "no_position": lambda path: self.edit(path, unplaced),
        }
        for code, change in changes.items():
            assert refusal(change(theirs(labels, names=("Liver", "Spleen")))).code == code

    def test_a_mask_of_another_scan_is_refused(self, theirs: Write, labels: np.ndarray) -> None:
        path = theirs(labels, names=("Liver", "Spleen"))
        assert refusal(path, geometry=Geometry((10, 9, 7), (0.5, 0.75, 2.5))).code == "geometry_mismatch"


class TestDamage:
    @pytest.mark.parametrize(
        "change",
        [
            lambda dataset: setattr(dataset, "PixelData", dataset.PixelData[:20]),
            lambda dataset: setattr(dataset, "PixelData", dataset.PixelData + b"\0\0"),
            lambda dataset: setattr(dataset, "Rows", 8),
            lambda dataset: setattr(dataset, "BitsAllocated", 3),
            lambda dataset: setattr(dataset, "NumberOfFrames", 3),
            lambda dataset: dataset.pop("SegmentSequence"),
            lambda dataset: dataset.pop("PixelData"),
            lambda dataset: dataset.pop("Rows"),
            lambda dataset: dataset.pop("PerFrameFunctionalGroupsSequence"),
            lambda dataset: dataset.SegmentSequence.pop(0),
            lambda dataset: dataset.SegmentSequence.pop(1),
            lambda dataset: delattr(dataset.SegmentSequence[0], "SegmentNumber"),
            lambda dataset: delattr(dataset.PerFrameFunctionalGroupsSequence[0], "SegmentIdentificationSequence"),
            lambda dataset: setattr(dataset.SegmentSequence[1], "SegmentNumber", 1),
        ],
    )
    def test_it_is_named(self, theirs: Write, labels: np.ndarray, change: Any) -> None:
        path = theirs(labels, names=("Liver", "Spleen"))
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)
        assert refusal(path).code == "damaged_file"

    def test_a_frame_that_is_there_twice_is_named(self, theirs: Write, labels: np.ndarray) -> None:
        path = theirs(labels, names=("Liver", "Spleen"))
        dataset = pydicom.dcmread(path)
        first, second, *_ = dataset.PerFrameFunctionalGroupsSequence
        second.PlanePositionSequence = first.PlanePositionSequence
        dataset.save_as(path)
        error = refusal(path)
        assert error.code == "damaged_file"
        assert "same slice of segment 1" in error.message

    def test_a_file_cut_short_anywhere_is_refused(self, theirs: Write, labels: np.ndarray) -> None:
        path = theirs(labels, names=("Liver", "Spleen"))
        whole = path.read_bytes()
        for length in range(200, len(whole) - 2, len(whole) // 40):
            path.write_bytes(whole[:length])
            assert refusal(path).code in ("damaged_file", "not_a_segmentation")

    @pytest.mark.parametrize("seed", range(8))
    def test_broken_bytes_never_end_in_anything_but_a_named_error(
        self, theirs: Write, labels: np.ndarray, seed: int
    ) -> None:
        path = theirs(labels, "LABELMAP" if seed % 2 else "BINARY", names=("Liver", "Spleen"))
        whole = path.read_bytes()
        rng = np.random.default_rng(seed)
        for _ in range(25):
            broken = bytearray(whole)
            for place in rng.integers(132, len(whole) - 40, 3):
                kind = rng.integers(0, 3)
                if kind == 0:
                    broken[place] ^= 1 << int(rng.integers(0, 8))
                elif kind == 1:
                    del broken[place : place + int(rng.integers(1, 30))]
                else:
                    broken[place : place + 4] = rng.integers(0, 256, 4).astype(np.uint8).tobytes()
            path.write_bytes(broken)
            try:
                read_labelmap(path)
            except GANSegmentationError as error:
                assert error.message
                assert "Secret" not in f"{error}{error.details}"

    def test_other_files_are_said_to_be_what_they_are(self, series: Path, tmp_path: Path) -> None:
        error = refusal(next(series.iterdir()))
        assert error.code == "not_a_segmentation"
        assert "CT Image Storage" in error.message
        (tmp_path / "text.dcm").write_text("no DICOM")
        assert refusal(tmp_path / "text.dcm").code == "unknown_format"
        assert refusal(tmp_path / "absent.dcm").code == "file_not_found"


def test_the_content_decides_not_the_name(theirs: Write, labels: np.ndarray, tmp_path: Path) -> None:
    path = theirs(labels, names=("Liver", "Spleen"))
    for name in ("IM0001", "label.seg", "1.2.3.4"):
        copy = path.rename(tmp_path / name)
        np.testing.assert_array_equal(read_labelmap(copy).array, labels[1:6])
        path = copy


def test_a_folder_with_one_stands_for_it(theirs: Write, labels: np.ndarray, series: Path, tmp_path: Path) -> None:
    path = theirs(labels, names=("Liver", "Spleen"))
    path = path.rename(series / "IM9")
    np.testing.assert_array_equal(read_labelmap(series).array, labels[1:6])
    (series / "IM10").write_bytes(path.read_bytes())
    error = refusal(series)
    assert error.code == "several_segmentations"
    assert "IM10, IM9" in error.message


@pytest.mark.parametrize(
    "options", [[], ["--segmentationType", "labelmap"], ["--compress", "deflate"], ["--skip", "0"]]
)
def test_what_dcmqi_writes_is_read(series: Path, labels: np.ndarray, tmp_path: Path, options: list[str]) -> None:
    grid = read_volume(series).geometry
    image = SimpleITK.GetImageFromArray(labels)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    SimpleITK.WriteImage(image, str(tmp_path / "labels.nrrd"))
    attributes = [
        {
            "labelID": value,
            "SegmentLabel": name,
            "SegmentAlgorithmType": "MANUAL",
            "SegmentedPropertyCategoryCodeSequence": _code("123037004", "Anatomical Structure"),
            "SegmentedPropertyTypeCodeSequence": _code(code, name),
            "recommendedDisplayRGBValue": [20 * value, 130, 101],
        }
        for value, name, code in ((1, "Liver", "10200004"), (2, "Spleen", "78961009"))
    ]
    described = {
        "ContentCreatorName": "Doe^Jane",
        "SeriesDescription": "Segmentation",
        "SeriesNumber": "300",
        "InstanceNumber": "1",
        "segmentAttributes": [attributes],
    }
    (tmp_path / "meta.json").write_text(json.dumps(described))
    command = [
        *(find_tool("itkimage2segimage"), "--inputImageList", str(tmp_path / "labels.nrrd")),
        *("--inputDICOMDirectory", str(series), "--inputMetadata", str(tmp_path / "meta.json")),
        *("--outputDICOM", str(tmp_path / "dcmqi.dcm"), *options),
    ]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    copy = read_dicom_seg(tmp_path / "dcmqi.dcm", geometry=grid)
    np.testing.assert_array_equal(copy.array, labels)
    assert [segment.name for segment in copy.segments] == ["Liver", "Spleen"]
    assert [segment.colour for segment in copy.segments] == [(20, 130, 101), (40, 130, 101)]
    assert [segment.type.value for segment in copy.segments if segment.type] == ["10200004", "78961009"]


def _code(value: str, meaning: str) -> dict[str, str]:
    return {"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": meaning}


def test_highdicom_is_not_needed_to_read(series: Path, labels: np.ndarray, tmp_path: Path, monkeypatch: Any) -> None:
    grid = read_volume(series).geometry
    path = write_dicom_seg(Labelmap(labels, grid), tmp_path / "mask.dcm", source=series)
    monkeypatch.setitem(__import__("sys").modules, "highdicom", None)
    np.testing.assert_array_equal(read_labelmap(path).array, labels)
