"""Every case of the collection of awkward DICOM: read right, compared with another reader, or refused as what it is.

What is read is compared voxel by voxel and corner by corner in `test_real_scans`, `test_dicom_frames`,
`test_dicom_parts` and `test_dicom_tilt`; here nothing may be left without a named outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import find_series, list_series, read_series, read_volume
from GANSegmentationLib.volumes.dicom_decode import Decoder
from GANSegmentationLib.volumes.dicom_header import HeaderReader, SliceHeader

pytestmark = pytest.mark.real_data

FOLDERS: Mapping[str, str] = {
    "dcm_qa_ct_GE": "gantry_tilt",
    "dcmqi/data/segmentations/23x38x3/image": "volume",
    "dcmqi/data/segmentations/23x38x3/multiframe": "volume",
    "dcmqi/data/segmentations/23x38x3/nrrd": "no_dicom",
    "dcmqi/data/segmentations/23x38x3/seg": "no_dicom",
    "dcmqi/data/segmentations/24x38x3/image": "volume",
    "dcmqi/data/segmentations/24x38x3/multiframe": "volume",
    "dcmqi/data/segmentations/24x38x3/nrrd": "no_dicom",
    "dcmqi/data/segmentations/24x38x3/seg": "no_dicom",
    "dcmqi/data/segmentations/ct-3slice": "volume",
    "dicom2nifti/failing/gantrytilting/001": "gantry_tilt",
    "dicom2nifti/failing/notavolume/001": "duplicate_slices",
    "dicom2nifti/failing/slicecount/001": "volume",  # two slices are enough for a grid
    "dicom2nifti/failing/sliceincrement/001": "missing_slices",
    "dicom2nifti/failing/sliceincrement/002": "gantry_tilt",
    "dicom2nifti/failing/sliceorientation/001": "mixed_orientations",
    "dicom2nifti/ge/dti/001": "four_dimensional",
    "dicom2nifti/ge/fmri/001": "four_dimensional",
    "dicom2nifti/generic/anatomical/001": "volume",
    "dicom2nifti/generic/anatomical/001_implicit": "volume",
    "dicom2nifti/generic/anatomical/002_non_isotropic": "volume",
    "dicom2nifti/generic/compressed_j2k/001": "volume",
    "dicom2nifti/generic/compressed_jpeg/001": "volume",
    "dicom2nifti/generic/compressed_jpegls/001": "volume",
    "dicom2nifti/generic/compressed_rle/001": "volume",
    "dicom2nifti/generic/rgb/001": "colour_image",
    "dicom2nifti/hitachi/anatomical/001": "volume",
    "dicom2nifti/hyperfine/anatomical/001": "volume",
    "dicom2nifti/philips/anatomical/002": "volume",
    "dicom2nifti/philips_enhanced/anatomical/001": "volume",
    "dicom2nifti/siemens/fmri_classic/001": "four_dimensional",
    "dicom2nifti/siemens_multiframe/anatomical/001": "volume",
    "totalsegmentator/example_ct_dicom": "volume",
}

FILES: Mapping[str, tuple[str, ...]] = {
    "volume": ("693_J2KI.dcm", "CT_small.dcm"),  # single slices that say how deep they are
    "single_slice": (
        *("J2K_pixelrep_mismatch.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm"),
        *("MR_small_expb.dcm", "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"),
        *("MR_small_padded.dcm", "MR_truncated.dcm", "examples_overlay.dcm"),
    ),
    "no_position": (
        *("JPEG-lossy.dcm", "JPEG2000-embedded-sequence-delimiter.dcm", "JPEG2000.dcm", "JPEGLSNearLossless_08.dcm"),
        *("JPEGLSNearLossless_16.dcm", "JPGExtended.dcm", "image_dfl.dcm"),
    ),
    "damaged_file": (
        *("UN_sequence.dcm", "empty_charset_LEI.dcm", "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm"),
        *("no_meta.dcm", "no_meta_group_length.dcm", "priv_SQ.dcm"),
    ),
    "unknown_format": (
        *("ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "LICENSE", "README.txt", "badVR.dcm", "crayons.icc"),
        *("liver_1frame.dcm", "liver_expb_1frame.dcm", "reportsi.dcm"),
        *("reportsi_with_empty_number_tags.dcm", "rtdose.dcm", "rtdose_1frame.dcm", "rtdose_expb.dcm"),
        *("rtdose_expb_1frame.dcm", "rtdose_rle.dcm", "rtdose_rle_1frame.dcm", "rtplan.dcm", "rtplan.dump"),
        *("rtplan_truncated.dcm", "rtstruct.dcm", "rtstruct.dump", "test-SR.dcm", "test1.json", "test_PN.json"),
        *("waveform_ecg.dcm", "zipMR.gz"),
    ),
    "colour_image": ("ExplVR_BigEnd.dcm", "GDCMJ2K_TextGBR.dcm", "SC_*.dcm", "examples_[jpry]*.dcm"),
}


@pytest.fixture
def awkward(shared_data: Path) -> Path:
    return shared_data / "dicom_robustness"


def outcome(path: Path) -> str:
    try:
        read_volume(path)
    except GANSegmentationError as error:
        assert error.message
        assert error.cause or error.action
        return error.code
    return "volume"


@pytest.mark.parametrize(("folder", "expected"), FOLDERS.items())
def test_a_folder_has_its_outcome(awkward: Path, folder: str, expected: str) -> None:
    assert outcome(awkward / folder) == expected


@pytest.mark.parametrize("expected", FILES)
def test_single_files_have_their_outcome(awkward: Path, tmp_path: Path, expected: str) -> None:
    files = [path for name in FILES[expected] for path in (awkward / "pydicom_test_files").glob(name)]
    assert len(files) >= len(FILES[expected])
    found = {}
    for path in files:
        alone = tmp_path / path.stem.replace("+", "_") / path.name  # its neighbours may share its series
        alone.parent.mkdir(exist_ok=True)
        alone.write_bytes(path.read_bytes())
        found[path.name] = outcome(alone)
    assert found == dict.fromkeys(found, expected)


def test_no_case_is_without_a_named_outcome(awkward: Path) -> None:
    named = {awkward / folder for folder in FOLDERS}
    files = awkward / "pydicom_test_files"
    single = {path for names in FILES.values() for name in names for path in files.glob(name)}
    kinds = {".nrrd", ".gz", ".md", ".txt"}  # label maps and notes beside the cases
    for path in awkward.rglob("*"):
        if not path.is_file() or path.name in ("LICENSE", "LICENSE.txt", "PROVENANCE.md"):
            continue
        if path.parent == files:
            assert path in single, path.name
        elif path.suffix not in kinds and "segmentations" not in path.parent.name:
            assert path.parent in named or path.parent.name == "totalsegmentator", path


def test_label_objects_beside_scans_are_no_series(awkward: Path) -> None:
    found = list_series(awkward / "dcmqi")
    assert {series.modality for series in found} == {"CT"}
    assert len(found) == 5  # three series of files and two enhanced ones; the DICOM SEG are none


FRAMES = {
    "dcmqi/data/segmentations/23x38x3/multiframe",
    "dcmqi/data/segmentations/24x38x3/multiframe",
    "dicom2nifti/hyperfine/anatomical/001",
    "dicom2nifti/philips_enhanced/anatomical/001",
    "dicom2nifti/siemens_multiframe/anatomical/001",
}
"""Volumes whose slices are frames of one file: their places are checked in test_dicom_frames."""


@pytest.mark.parametrize(
    "folder", [name for name, found in FOLDERS.items() if found == "volume" and name not in FRAMES]
)
def test_what_is_read_lies_where_the_headers_of_its_first_and_last_slice_say(awkward: Path, folder: str) -> None:
    series = find_series(awkward / folder)
    assert series.slices == len(series.files)
    volume = read_series(series)
    for index, path in ((0, series.files[0]), (volume.geometry.size[2] - 1, series.files[-1])):
        image = pydicom.dcmread(path)
        place = (volume.geometry.index_to_lps @ [0, 0, index, 1])[:3]
        np.testing.assert_allclose(place, np.array(image.ImagePositionPatient, float), atol=0.02)
        rows, columns = map(float, image.PixelSpacing)
        row, column = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
        far = place + (image.Columns - 1) * columns * row + (image.Rows - 1) * rows * column
        end = (volume.geometry.index_to_lps @ [image.Columns - 1, image.Rows - 1, index, 1])[:3]
        np.testing.assert_allclose(end, far, atol=0.02)
        decoded = (
            image.pixel_array
            if "jpeg" not in folder
            else SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]
        )
        scaled = decoded * float(image.get("RescaleSlope", 1)) + float(image.get("RescaleIntercept", 0))
        if image.get("PixelPaddingValue") is not None:
            scaled = np.where(decoded == np.int16(image.PixelPaddingValue), volume.array[index], scaled)
        np.testing.assert_allclose(volume.array[index], scaled, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm", "J2K_pixelrep_mismatch.dcm", "693_J2KI.dcm"])
def test_single_compressed_images_equal_what_gdcm_reads(awkward: Path, name: str) -> None:
    path = awkward / "pydicom_test_files" / name
    header = HeaderReader().read(path)
    assert isinstance(header, SliceHeader)
    image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    form = header.format
    values = Decoder().read(header).astype(int) * form.slope + form.intercept
    np.testing.assert_allclose(values, image.reshape(values.shape), atol=1)  # JPEG may round
