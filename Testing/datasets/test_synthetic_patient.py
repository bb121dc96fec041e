"""The synthetic patient is a believable CT, and a valid DICOM series."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.datasets import synthetic_patient
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Labelmap, Volume

TIME_LIMIT_SECONDS = 90.0  # about ten where it was measured


@pytest.fixture(scope="module")
def patient() -> tuple[Volume, Labelmap, float]:
    start = time.process_time()
    volume, mask = synthetic_patient.make(0)
    return volume, mask, time.process_time() - start


@pytest.fixture(scope="module")
def volume(patient: tuple[Volume, Labelmap, float]) -> Volume:
    return patient[0]


@pytest.fixture(scope="module")
def mask(patient: tuple[Volume, Labelmap, float]) -> Labelmap:
    return patient[1]


@pytest.fixture(scope="module")
def lps(volume: Volume) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """LPS coordinates of columns, rows and slices, broadcast against the array."""
    x0, y0, z0 = volume.geometry.origin
    dx, dy, dz = volume.geometry.spacing
    nz, ny, nx = volume.array.shape
    return (
        (x0 + dx * np.arange(nx))[None, None, :],
        (y0 + dy * np.arange(ny))[None, :, None],
        (z0 + dz * np.arange(nz))[:, None, None],
    )


def eroded(mask: np.ndarray, times: int) -> np.ndarray:
    from scipy import ndimage

    return np.stack([ndimage.binary_erosion(one, iterations=times) for one in mask])


def body_of(volume: Volume) -> np.ndarray:
    """The patient without couch and air: the largest part above -300 HU of each slice, filled."""
    from scipy import ndimage

    body = np.zeros(volume.array.shape, bool)
    for k, one in enumerate(volume.array):
        parts, _ = ndimage.label(ndimage.binary_opening(one > -300, iterations=3))
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        body[k] = ndimage.binary_fill_holes(parts == sizes.argmax())
    return body


def test_the_scan_is_a_ct_on_a_clinical_grid(volume: Volume, mask: Labelmap) -> None:
    assert volume.modality == "CT"
    assert volume.name == "Synthetic patient"
    assert volume.array.dtype == np.int16
    assert volume.array.shape == (62, 512, 512)
    assert volume.geometry.spacing == (0.7421875, 0.7421875, 5.0)
    assert np.array_equal(volume.geometry.direction_matrix, np.eye(3))
    assert mask.geometry == volume.geometry
    assert [segment.name for segment in mask.segments] == ["Liver"]
    assert set(np.unique(mask.array)) == {0, 1}


def test_outside_the_field_of_view_is_padding_and_around_the_body_is_air(volume: Volume) -> None:
    assert volume.array.min() == -1024
    assert (volume.array[:, 0, 0] == -1024).all()
    above_the_belly = volume.array[:, 20:40, 240:270]
    assert -1010 < above_the_belly.mean() < -990
    assert volume.array.max() <= 3071


def test_drawing_takes_seconds(patient: tuple[Volume, Labelmap, float]) -> None:
    assert patient[2] < TIME_LIMIT_SECONDS


def part(seed: int) -> tuple[Volume, Labelmap]:
    """Some slices through the middle of a liver: a whole patient more would double this file's time."""
    return synthetic_patient._scan(seed, 8, 140.0)


def test_the_same_seed_gives_the_same_patient_and_another_seed_another() -> None:
    (volume, mask), (again, mask_again), (other, mask_other) = part(3), part(3), part(4)
    assert np.array_equal(again.array, volume.array)
    assert np.array_equal(mask_again.array, mask.array)
    assert other.geometry == volume.geometry
    mine, theirs = mask.array > 0, mask_other.array > 0
    overlap = 2 * (mine & theirs).sum() / (mine.sum() + theirs.sum())
    assert 0.7 < overlap < 0.98
    # Not only the noise differs: so does the anatomy under it.
    coarse = [v.array[:, ::8, ::8].astype(float) for v in (volume, other)]
    assert (np.abs(coarse[0] - coarse[1]) > 80).mean() > 0.05


def test_the_liver_has_a_normal_size_and_is_one_piece(volume: Volume, mask: Labelmap) -> None:
    from scipy import ndimage

    liver = mask.array > 0
    assert 1200 < liver.sum() * volume.geometry.voxel_volume_ml < 1900
    assert ndimage.label(liver)[1] == 1
    heights = np.flatnonzero(liver.any(axis=(1, 2)))
    assert 130 <= (heights[-1] - heights[0] + 1) * volume.geometry.spacing[2] <= 190
    assert heights[0] > 5
    assert heights[-1] < len(liver) - 6


def test_the_liver_lies_on_the_right_and_crosses_the_midline_in_front(
    volume: Volume, mask: Labelmap, lps: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    liver = mask.array > 0
    x, y, _ = lps
    right = (liver & (x < 0)).sum() / liver.sum()
    assert 0.8 < right < 0.97
    left_part = liver & (x > 25)
    assert left_part.any()
    # What crosses the midline lies in front of the main mass.
    assert (y * left_part).sum() / left_part.sum() < (y * liver).sum() / liver.sum() - 20
    # The lower end belongs to the right lobe alone.
    lowest = np.flatnonzero(liver.any(axis=(1, 2)))[:4]
    assert (liver[lowest] & (x > -40)).sum() == 0


def test_a_bright_organ_of_the_spleens_size_lies_behind_on_the_left(
    volume: Volume, mask: Labelmap, lps: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    from scipy import ndimage

    x, y, _ = lps
    smooth = ndimage.gaussian_filter(volume.array.astype(np.float32), (0.4, 2, 2))
    there = (x > 60) & (y > -25) & (smooth > 105) & (smooth < 145)
    parts, count = ndimage.label(ndimage.binary_opening(there, iterations=2))
    sizes = ndimage.sum_labels(there, parts, np.arange(1, count + 1))
    spleen = parts == 1 + int(np.argmax(sizes))
    assert 90 < spleen.sum() * volume.geometry.voxel_volume_ml < 350
    levels = np.flatnonzero(spleen.any(axis=(1, 2)))
    liver_levels = np.flatnonzero(mask.array.any(axis=(1, 2)))
    assert liver_levels[0] < levels.mean() < liver_levels[-1]
    assert 100 < np.median(volume.array[eroded(spleen, 3)]) < 140


def test_lungs_lie_above_the_liver_and_not_below_it(volume: Volume, mask: Labelmap) -> None:
    body = eroded(body_of(volume), 12)
    lung = body & (volume.array < -700) & (volume.array > -950)
    share = lung.sum(axis=(1, 2)) / np.maximum(body.sum(axis=(1, 2)), 1)
    assert share[-4:].min() > 0.35
    assert share[:20].max() < 0.02
    levels = np.flatnonzero(mask.array.any(axis=(1, 2)))
    # The dome: towards its top the liver gives way to lung, slice by slice.
    assert (np.diff(share[levels[-6] : levels[-1] + 3]) > 0).all()


def test_parenchyma_has_portal_venous_attenuation_and_scanner_noise(volume: Volume, mask: Labelmap) -> None:
    inner = eroded(mask.array > 0, 8)
    values = volume.array[inner].astype(float)
    assert 95 < np.median(values) < 125
    spread = np.subtract(*np.percentile(values, [84, 16])) / 2
    assert 7 < spread < 15
    # Vessels: a tail of brighter voxels that noise alone would not give.
    assert 0.005 < (values > np.median(values) + 3.5 * spread).mean() < 0.08


def test_noise_is_correlated_as_reconstruction_leaves_it(volume: Volume) -> None:
    air = volume.array[:, 40:70, 200:310].astype(float)
    air -= air.mean()
    beside = (air[:, :, 1:] * air[:, :, :-1]).mean() / air.var()
    far = (air[:, :, 12:] * air[:, :, :-12]).mean() / air.var()
    across = (air[1:] * air[:-1]).mean() / air.var()
    assert 0.3 < beside < 0.9
    assert abs(far) < 0.1
    assert abs(across) < 0.1


def test_fat_muscle_bone_and_blood_measure_what_they_should(
    volume: Volume, mask: Labelmap, lps: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    from scipy import ndimage

    body = body_of(volume)
    smooth = ndimage.gaussian_filter(volume.array.astype(np.float32), (0, 2.0, 2.0))[body]
    histogram, edges = np.histogram(smooth, bins=np.arange(-160, 240, 4))
    middle = (edges[:-1] + edges[1:]) / 2

    def mode(low: float, high: float) -> float:
        inside = (middle > low) & (middle < high)
        return float(middle[inside][np.argmax(histogram[inside])])

    assert -115 < mode(-150, -60) < -90
    assert 50 < mode(20, 80) < 70
    assert (volume.array[body] > 400).mean() > 0.003
    x, y, _ = lps
    # The aorta is the brightest round thing just in front of the spine at the level of the liver.
    level = int(np.median(np.flatnonzero(mask.array.any(axis=(1, 2)))))
    near = ndimage.gaussian_filter(volume.array[level].astype(np.float32), 3)
    front = (np.abs(x[0]) < 25) & (y[0] > -10) & (y[0] < 32) & (near < 230)
    assert 130 < near[front].max() < 200


def test_the_mask_leaves_out_gallbladder_and_vena_cava(volume: Volume, mask: Labelmap) -> None:
    """No large blob of bile and none of caval blood inside."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(volume.array.astype(np.float32), (0, 3, 3))
    inner = eroded(mask.array > 0, 4)
    assert (smooth[inner] < 40).sum() * volume.geometry.voxel_volume_ml < 0.5
    bright = (inner & (smooth > 138)).astype(np.uint8)
    assert not ndimage.minimum_filter(bright, size=(1, 19, 19)).any()


def test_there_is_a_couch_under_the_patient(volume: Volume) -> None:
    body = body_of(volume)
    column = volume.array[:, :, 256]
    for k in range(0, len(column), 10):
        back = np.flatnonzero(body[k, :, 256])[-1]
        below = column[k, back + 2 :]
        assert below.max() > -400


# --- DICOM -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def series(volume: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_patient.write_dicom_series(volume, tmp_path_factory.mktemp("dicom") / "series")


def test_pydicom_reads_back_every_voxel_and_position(volume: Volume, series: Path) -> None:
    import pydicom

    files = sorted(series.iterdir())
    assert len(files) == volume.array.shape[0]
    for k, path in enumerate(files):
        ds = pydicom.dcmread(path)
        hu = ds.pixel_array.astype(int) * int(ds.RescaleSlope) + int(ds.RescaleIntercept)
        assert np.array_equal(hu, volume.array[k])
        expected = (volume.geometry.index_to_lps @ (0, 0, k, 1))[:3]
        assert np.array_equal([float(v) for v in ds.ImagePositionPatient], expected)


def test_simpleitk_reads_back_the_same_volume(volume: Volume, series: Path) -> None:
    import SimpleITK as sitk  # noqa: N813

    reader = sitk.ImageSeriesReader()
    uids = reader.GetGDCMSeriesIDs(str(series))
    assert len(uids) == 1
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series), uids[0]))
    image = reader.Execute()
    assert np.array_equal(sitk.GetArrayFromImage(image), volume.array)
    assert np.allclose(image.GetSpacing(), volume.geometry.spacing, atol=1e-9)
    assert np.allclose(image.GetOrigin(), volume.geometry.origin, atol=1e-9)
    assert np.allclose(image.GetDirection(), volume.geometry.direction, atol=1e-9)


def test_the_files_carry_what_a_ct_image_must(series: Path) -> None:
    """Type 1 attributes have a value, type 2 attributes are there (PS3.3 A.3.3 and the modules it names)."""
    import pydicom

    type_1 = [
        "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "FrameOfReferenceUID",
        "ImageType", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "SamplesPerPixel",
        "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
        "PixelData", "RescaleIntercept", "RescaleSlope", "RescaleType", "PatientPosition",
    ]  # fmt: skip
    type_2 = [
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
        "ReferringPhysicianName", "StudyID", "AccessionNumber", "SeriesNumber", "PositionReferenceIndicator",
        "Manufacturer", "InstanceNumber", "SliceThickness", "KVP", "AcquisitionNumber",
    ]  # fmt: skip
    seen = set()
    for path in sorted(series.iterdir())[:3]:
        ds = pydicom.dcmread(path)
        assert [name for name in type_1 if name not in ds or ds[name].is_empty] == []
        assert [name for name in type_2 if name not in ds] == []
        assert ds.SOPClassUID == pydicom.uid.CTImageStorage == ds.file_meta.MediaStorageSOPClassUID
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert str(ds.PatientName) == "Synthetic^Patient"
        assert ds.RescaleIntercept == -1024
        assert all(ds[name].value.is_valid for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
        assert path.read_bytes()[128:132] == b"DICM"
        seen.add((ds.SOPInstanceUID, ds.InstanceNumber))
    assert len(seen) == 3


def small_volume(value: int = 0, **changes: object) -> Volume:
    geometry = Geometry(size=(8, 6, 3), spacing=(0.7, 0.9, 2.5), origin=(-3.3, 7.25, -100.125))
    arguments: dict[str, object] = {
        "array": np.full(geometry.shape, value, np.int16), "geometry": geometry, "modality": "CT", "name": "small",
    }  # fmt: skip
    return Volume(**{**arguments, **changes})  # type: ignore[arg-type]


def test_the_same_volume_gives_the_same_files_and_another_volume_other_identifiers(tmp_path: Path) -> None:
    import pydicom

    first = synthetic_patient.write_dicom_series(small_volume(), tmp_path / "a")
    second = synthetic_patient.write_dicom_series(small_volume(), tmp_path / "b")
    other = synthetic_patient.write_dicom_series(small_volume(1), tmp_path / "c")
    assert [f.read_bytes() for f in sorted(first.iterdir())] == [f.read_bytes() for f in sorted(second.iterdir())]
    uids = [pydicom.dcmread(folder / "CT0001.dcm").SeriesInstanceUID for folder in (first, other)]
    assert uids[0] != uids[1]


def test_writing_again_replaces_the_series_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    import pydicom

    folder = tmp_path / "deep" / "series"
    synthetic_patient.write_dicom_series(small_volume(5), folder)
    synthetic_patient.write_dicom_series(small_volume(7), folder)
    assert pydicom.dcmread(folder / "CT0002.dcm").pixel_array[0, 0] == 7 + 1024
    assert [item.name for item in folder.parent.iterdir()] == ["series"]


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("precious")
    with pytest.raises(GANSegmentationError) as caught:
        synthetic_patient.write_dicom_series(small_volume(), tmp_path)
    assert caught.value.code == "folder_not_empty"
    assert [item.name for item in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    "volume",
    [
        small_volume(modality="MR"),
        small_volume(-2000),
        small_volume(array=np.full((3, 6, 8), 0.5)),
        small_volume(array=np.full((3, 6, 8), np.nan)),
        small_volume(geometry=Geometry((8, 6, 3), (1, 1, 1), direction=(1, 0, 0, 0, 1, 0, 0, 0, -1))),
    ],
    ids=["mr", "below_range", "fractions", "nan", "left_handed"],
)
def test_what_is_no_writable_ct_is_refused_and_nothing_is_written(volume: Volume, tmp_path: Path) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        synthetic_patient.write_dicom_series(volume, tmp_path / "series")
    assert caught.value.code == "unwritable_volume"
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GANSegmentationError) as caught:
        synthetic_patient.write_dicom_series(small_volume(), tmp_path / "file" / "series")
    assert caught.value.code == "cannot_write"
