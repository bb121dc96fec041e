"""DICOM SEG written: labels and places come back, and two programs of others read and approve of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from GANSegmentationLib.volumes import (
    Algorithm,
    Code,
    Geometry,
    Labelmap,
    SegChoice,
    Segment,
    find_series,
    place_on_grid,
    read_labelmap,
    read_volume,
    write_dicom_seg,
    write_fractional_seg,
    write_labelmap,
)
from GANSegmentationLib.volumes.dicom_seg_segments import lab_of, rgb_of
from Testing.volumes.seg_tools import assert_dcmqi_agrees, read_by_dcmqi, violations

highdicom = pytest.importorskip("highdicom")

ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
KIDNEY = Segment(
    1, "Right kidney", (185, 102, 83), ANATOMY, Code("SCT", "64033007", "Kidney"), Code("SCT", "24028007", "Right")
)
NOTHING = Segment(2, "Spleen", (157, 108, 162), ANATOMY, Code("SCT", "78961009", "Spleen"))
MASS = Segment(
    3,
    "Mass",
    (144, 238, 144),
    Code("SCT", "49755003", "Morphologically Abnormal Structure"),
    Code("SCT", "4147007", "Mass"),
    None,
    Code("SCT", "10200004", "Liver"),
    Code("SCT", "7771000", "Left"),
)
SEGMENTS = (KIDNEY, NOTHING, MASS)
MODEL = Algorithm("Kidneys by pix2pix", "1.2.0")

OBLIQUE = np.array([[0.8, 0.0, -0.6], [0.36, 0.8, 0.48], [0.48, -0.6, 0.64]])
GANTRY = np.array([0.0, np.sin(np.deg2rad(12)), np.cos(np.deg2rad(12))]) * 2.5

SERIES: dict[str, dict[str, Any]] = {
    "axial": {},
    "downwards": {"step": (0, 0, -2.5)},
    "oblique": {"ImageOrientationPatient": [*OBLIQUE[:, 0], *OBLIQUE[:, 1]], "step": 3.1 * OBLIQUE[:, 2]},
    "sagittal": {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "step": (1.7, 0, 0)},
    "decubitus": {"ImageOrientationPatient": [0, 1, 0, -1, 0, 0]},
    "prone": {"ImageOrientationPatient": [-1, 0, 0, 0, -1, 0], "Modality": "MR"},
    "names out of order": {"names": ["c.dcm", "e.dcm", "a.dcm", "d.dcm", "b.dcm"]},
    "a frame of reference": {"FrameOfReferenceUID": "1.2.3.9", "StudyDate": "20200102", "StudyID": "7"},
}


def labels_on(geometry: Geometry) -> Labelmap:
    """A kidney of some slices, a voxel of mass in a corner; the spleen has no voxel, first and last slice are empty."""
    array = np.zeros(geometry.shape, np.uint8)
    array[1:3, 2:5, 1:6] = 1
    array[3, 0, 0] = 3
    return Labelmap(array, geometry, SEGMENTS)


@pytest.fixture
def make(write_series: Callable[..., list[Path]], stored: np.ndarray, tmp_path: Path) -> Callable[..., Path]:
    """Write one of `SERIES`; gives its folder."""

    def write(kind: str = "axial", **options: Any) -> Path:
        write_series(stored, **{**SERIES[kind], **options})
        return tmp_path / "series"

    return write


@pytest.mark.parametrize("kind", SERIES)
def test_labels_come_back_and_others_read_the_same(make: Any, tmp_path: Path, kind: str) -> None:
    folder = make(kind)
    written = labels_on(read_volume(folder).geometry)
    path = write_dicom_seg(written, tmp_path / "mask.dcm", source=folder, algorithm=MODEL)

    copy = read_labelmap(path)
    np.testing.assert_array_equal(copy.array, written.array)
    assert copy.geometry.corner_distance(written.geometry) < 1e-4
    assert read_labelmap(path, geometry=written.geometry).geometry == written.geometry
    assert copy.segments == SEGMENTS

    assert violations(path) == []
    assert_dcmqi_agrees(path, tmp_path / "dcmqi", written, SEGMENTS)
    theirs = highdicom.seg.segread(path).get_volume(combine_segments=True)
    # highdicom counts slices, rows, columns, and slices against the normal; both are LPS.
    grid = Geometry.from_index_to_lps(theirs.affine[:, [2, 1, 0, 3]], theirs.array.shape[::-1])
    np.testing.assert_array_equal(place_on_grid(Labelmap(theirs.array, grid), written.geometry).array, written.array)


@pytest.mark.parametrize("kind", ["axial", "names out of order", "downwards"])
def test_every_frame_names_the_image_that_it_lies_on(make: Any, tmp_path: Path, kind: str) -> None:
    folder = make(kind)
    series = find_series(folder)
    path = write_dicom_seg(labels_on(series.geometry), tmp_path / "mask.dcm", source=series)
    images = {str(image.SOPInstanceUID): image for image in map(pydicom.dcmread, folder.iterdir())}
    dataset = pydicom.dcmread(path)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        image = images[source.ReferencedSOPInstanceUID]
        place = group.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(np.array(place, float), np.array(image.ImagePositionPatient, float), atol=1e-6)
        assert source.SpatialLocationsPreserved == "YES"
    (referenced,) = dataset.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == series.uid
    named = {item.ReferencedSOPInstanceUID for item in referenced.ReferencedInstanceSequence}
    assert named == set(images) == {item.ReferencedSOPInstanceUID for item in dataset.SourceImageSequence}


def test_it_belongs_to_the_patient_the_study_and_the_frame_of_reference_of_the_scan(make: Any, tmp_path: Path) -> None:
    folder = make("a frame of reference")
    path = write_dicom_seg(labels_on(read_volume(folder).geometry), tmp_path / "mask.dcm", source=folder)
    image, mask = pydicom.dcmread(next(folder.iterdir())), pydicom.dcmread(path)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert mask[keyword].value == image[keyword].value
    assert (mask.StudyDate, mask.StudyID) == ("20200102", "7")
    assert mask.Modality == "SEG"
    assert mask.SeriesInstanceUID != image.SeriesInstanceUID
    assert mask.SeriesNumber == 1004
    again = pydicom.dcmread(write_dicom_seg(labels_on(read_volume(folder).geometry), path, source=folder))
    assert len({mask.SOPInstanceUID, again.SOPInstanceUID, mask.SeriesInstanceUID, again.SeriesInstanceUID}) == 4


def test_it_says_which_algorithm_made_it(make: Any, tmp_path: Path) -> None:
    folder = make()
    labelmap = labels_on(read_volume(folder).geometry)
    path = tmp_path / "mask.dcm"
    write_labelmap(labelmap, path, source=folder, algorithm_name="Kidneys", algorithm_version="3.1")
    item = pydicom.dcmread(path).SegmentSequence[0]
    assert (item.SegmentAlgorithmType, item.SegmentAlgorithmName) == ("AUTOMATIC", "Kidneys")
    made_by = item.SegmentationAlgorithmIdentificationSequence[0]
    assert (made_by.AlgorithmName, made_by.AlgorithmVersion) == ("Kidneys", "3.1")
    family = made_by.AlgorithmFamilyCodeSequence[0]
    assert (family.CodeValue, family.CodingSchemeDesignator) == ("123110", "DCM")
    write_labelmap(labelmap, path, source=folder, algorithm_name=None)
    assert pydicom.dcmread(path).SegmentSequence[0].SegmentAlgorithmType == "MANUAL"
    assert violations(path) == []


def test_names_outside_of_the_scans_alphabet_keep_the_patient_readable(make: Any, tmp_path: Path) -> None:
    folder = make(PatientName="Müller^Jörg", StudyDescription="Übersicht")
    labelmap = labels_on(read_volume(folder).geometry)
    for name, alphabet in (("Kidney", "ISO_IR 100"), ("腎臓 – 右", "ISO_IR 192")):
        named = Labelmap(labelmap.array, labelmap.geometry, (Segment(1, name, (1, 2, 3)),))
        path = write_dicom_seg(named, tmp_path / "mask.dcm", source=folder, algorithm=MODEL)
        mask = pydicom.dcmread(path)
        assert mask.SpecificCharacterSet == alphabet
        assert (str(mask.PatientName), mask.StudyDescription) == ("Müller^Jörg", "Übersicht")
        assert read_labelmap(path).segments[0].name == name
        assert violations(path) == []


@pytest.mark.parametrize("segments", [SEGMENTS, ()])
def test_an_empty_mask_keeps_its_grid_and_its_segments(make: Any, tmp_path: Path, segments: Any) -> None:
    folder = make()
    grid = read_volume(folder).geometry
    path = write_dicom_seg(Labelmap(np.zeros(grid.shape, np.uint8), grid, segments), tmp_path / "m.dcm", source=folder)
    copy = read_labelmap(path)
    assert not copy.array.any()
    assert copy.geometry.corner_distance(grid) < 1e-4
    assert violations(path) == []
    for each in read_by_dcmqi(path, tmp_path / "dcmqi").values():
        assert not each.mask.array.any()
        assert each.mask.geometry.corner_distance(grid) < 1e-4
    if segments:
        assert copy.segments == segments
    assert pydicom.dcmread(path).NumberOfFrames == 3


@pytest.mark.parametrize("index", [0, 1, 2, 4])
def test_a_single_slice_lies_at_its_place_for_everybody(make: Any, tmp_path: Path, index: int) -> None:
    folder = make("oblique")
    grid = read_volume(folder).geometry
    array = np.zeros(grid.shape, np.uint8)
    array[index, 1:3, 2] = 1
    path = write_dicom_seg(Labelmap(array, grid, (KIDNEY,)), tmp_path / "mask.dcm", source=folder)
    np.testing.assert_array_equal(read_labelmap(path, geometry=grid).array, array)
    assert_dcmqi_agrees(path, tmp_path / "dcmqi", Labelmap(array, grid), (KIDNEY,))


def test_a_corner_voxel_that_is_set_stays_set(make: Any, tmp_path: Path) -> None:
    folder = make()
    grid = read_volume(folder).geometry
    array = np.zeros(grid.shape, np.uint8)
    array[0, 0, 0] = array[4, 0, 0] = 3
    path = write_dicom_seg(Labelmap(array, grid, SEGMENTS), tmp_path / "mask.dcm", source=folder)
    np.testing.assert_array_equal(read_labelmap(path).array, array)


@pytest.mark.parametrize("values", [(5,), (1, 2, 7), (300, 65535), tuple(range(1, 301))])
def test_labels_with_gaps_and_large_ones_come_back(write_series: Any, tmp_path: Path, values: tuple[int, ...]) -> None:
    (first, *_) = write_series(np.zeros((3, 12, 13), np.uint16))
    grid = read_volume(first).geometry
    array = np.zeros(grid.shape, np.uint16 if max(values) > 255 else np.uint8)
    array.reshape(-1)[5 : 5 + len(values)] = values
    path = write_dicom_seg(Labelmap(array, grid), tmp_path / "mask.dcm", source=first)
    copy = read_labelmap(path, geometry=grid)
    np.testing.assert_array_equal(copy.array, array)
    assert copy.array.dtype == array.dtype
    assert [(segment.value, segment.name) for segment in copy.segments] == [(one, f"Label {one}") for one in values]
    numbers = [int(item.SegmentNumber) for item in pydicom.dcmread(path).SegmentSequence]
    assert numbers == list(range(1, len(values) + 1))
    assert violations(path) == []


def test_a_cropped_and_flipped_labelmap_goes_to_the_scans_grid(make: Any, tmp_path: Path) -> None:
    folder = make()
    whole = labels_on(read_volume(folder).geometry)
    to_lps = whole.geometry.index_to_lps
    flip = np.diag([1.0, 1.0, -1.0, 1.0])
    flip[2, 3] = 3
    part = Geometry.from_index_to_lps(to_lps @ flip, (7, 6, 4))
    path = write_dicom_seg(Labelmap(whole.array[3::-1], part, SEGMENTS), tmp_path / "mask.dcm", source=folder)
    copy = read_labelmap(path)
    np.testing.assert_array_equal(copy.array, whole.array)
    assert copy.geometry.corner_distance(whole.geometry) < 1e-4


@pytest.mark.parametrize("as_what", ["series", "folder", "file", "files", "files as text"])
def test_the_source_can_be_said_in_several_ways(make: Any, tmp_path: Path, as_what: str) -> None:
    folder = make()
    files = sorted(folder.iterdir(), reverse=True)
    sources = {"series": find_series(folder), "folder": str(folder), "file": files[2], "files": files}
    labelmap = labels_on(read_volume(folder).geometry)
    path = write_labelmap(labelmap, tmp_path / "m.dcm", source=sources.get(as_what, [str(file) for file in files]))
    np.testing.assert_array_equal(read_labelmap(path).array, labelmap.array)


def test_frames_of_an_enhanced_file_are_named_by_number(dicom_tools: Any, stored: np.ndarray, tmp_path: Path) -> None:
    order = [3, 0, 4, 1, 2]  # the frames do not come in the order of the slices
    positions = [(-10, -20, 30 + 2.5 * place) for place in order]
    (tmp_path / "series").mkdir()
    source = tmp_path / "series" / "enhanced.dcm"
    dicom_tools.save(dicom_tools.make_enhanced(stored, positions), source)
    written = labels_on(read_volume(source).geometry)
    path = write_dicom_seg(written, tmp_path / "mask.dcm", source=source, algorithm=MODEL)
    np.testing.assert_array_equal(read_labelmap(path).array, written.array)
    assert violations(path) == []
    assert_dcmqi_agrees(path, tmp_path / "dcmqi", written, SEGMENTS)
    for group in pydicom.dcmread(path).PerFrameFunctionalGroupsSequence:
        item = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert item.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2.1"
        height = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        assert positions[item.ReferencedFrameNumber - 1][2] == pytest.approx(height)


def test_one_volume_of_a_four_dimensional_series_names_its_own_images(write_series: Any, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    write_series(
        np.arange(4 * 6 * 7, dtype=np.uint16).reshape(4, 6, 7),
        positions=[(-10, -20, 30 + 2.5 * (index // 2)) for index in range(4)],
        each=lambda index: {"TemporalPositionIdentifier": index % 2 + 1},
    )
    series = find_series(folder, series_uid="#2")
    array = np.zeros(series.geometry.shape, np.uint8)
    array[1, 2, 3] = 1
    path = write_dicom_seg(Labelmap(array, series.geometry), tmp_path / "mask.dcm", source=series)
    named = {item.ReferencedSOPInstanceUID for item in pydicom.dcmread(path).SourceImageSequence}
    second = {
        image.SOPInstanceUID
        for image in map(pydicom.dcmread, folder.iterdir())
        if image.TemporalPositionIdentifier == 2
    }
    assert named == second


def test_a_mask_on_the_grid_of_a_corrected_tilt_does_not_claim_the_pixels_of_the_images(
    make: Any, tmp_path: Path
) -> None:
    folder = make(step=GANTRY)
    volume = read_volume(folder, correct_tilt=True)
    written = labels_on(volume.geometry)
    assert volume.geometry.size[1] > 6
    path = write_dicom_seg(written, tmp_path / "mask.dcm", source=folder, algorithm=MODEL)
    copy = read_labelmap(path)
    np.testing.assert_array_equal(copy.array, written.array)
    assert copy.geometry.corner_distance(volume.geometry) < 1e-4
    assert violations(path) == []
    assert_dcmqi_agrees(path, tmp_path / "dcmqi", written, SEGMENTS)
    group = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence[0]
    assert group.DerivationImageSequence[0].SourceImageSequence[0].SpatialLocationsPreserved == "NO"


@pytest.mark.parametrize("kind", ["PROBABILITY", "OCCUPANCY"])
def test_fractions_are_kept_to_a_255th(make: Any, tmp_path: Path, kind: Any) -> None:
    folder = make()
    grid = read_volume(folder).geometry
    fractions = np.random.default_rng(3).random((2, *grid.shape)).astype(np.float32)
    fractions[:, 0] = 0
    fractions[1] = (1 - fractions[0]) / 2
    fractions[1, 0] = 0
    path = write_fractional_seg(
        fractions, grid, SEGMENTS[:2], tmp_path / "p.dcm", source=folder, kind=kind, algorithm=MODEL
    )
    assert violations(path) == []
    dataset = pydicom.dcmread(path)
    assert (dataset.SegmentationType, dataset.SegmentationFractionalType) == ("FRACTIONAL", kind)
    volume = highdicom.seg.segread(path).get_volume(rescale_fractional=True)
    np.testing.assert_allclose(np.moveaxis(volume.array[::-1], -1, 0), fractions, atol=0.5 / 255 + 1e-6)
    first = read_labelmap(path, choice=SegChoice([1], threshold=0.25))
    np.testing.assert_array_equal(first.array == 1, np.rint(fractions[0] * 255) >= 0.25 * 255)
    assert first.segments == (KIDNEY,)


def test_colours_come_back_to_the_last_bit() -> None:
    for colour in np.random.default_rng(0).integers(0, 256, (3000, 3)).tolist():
        assert rgb_of(lab_of(tuple(colour))) == tuple(colour)
    # As dcmqi writes the colour of 3D Slicer's liver; a 16 bit step is a thousandth of what anybody sees.
    np.testing.assert_allclose(lab_of((221, 130, 101)), (41661, 41167, 40792), atol=2)


def test_frames_without_a_segment_are_left_out_and_pixels_packed(make: Any, tmp_path: Path) -> None:
    folder = make()
    labelmap = labels_on(read_volume(folder).geometry)
    dataset = pydicom.dcmread(write_dicom_seg(labelmap, tmp_path / "mask.dcm", source=folder))
    # The kidney in slices 1 and 2, the mass in 3; slices 0 and 4 say where the scan begins and ends.
    assert dataset.NumberOfFrames == 5
    assert len(dataset.PixelData) == -(-5 * 6 * 7 // 8) + 1
