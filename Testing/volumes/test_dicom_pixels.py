"""Stored bits become values."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, RLELossless, UID_dictionary

try:
    from pydicom.pixels import apply_modality_lut
except ImportError:  # before pydicom 3
    from pydicom.pixel_data_handlers import apply_modality_lut

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import read_volume


def refusal(folder: Path) -> GANSegmentationError:
    with pytest.raises(GANSegmentationError) as caught:
        read_volume(folder)
    return caught.value


def test_signed_values_stay_signed(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    stored = np.array([[[-2000, -1], [0, 3071]]] * 2, np.int16)
    write_series(stored, RescaleIntercept=0)
    volume = read_volume(tmp_path / "series")
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, stored)


def test_unsigned_values_beyond_int16_are_not_wrapped(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    stored = np.array([[[0, 40000], [65535, 1]]] * 2, np.uint16)
    write_series(stored)
    volume = read_volume(tmp_path / "series")
    assert volume.array.dtype == np.int32
    np.testing.assert_array_equal(volume.array, stored.astype(int) - 1024)


def test_unsigned_values_beyond_int16_stay_int16_where_the_intercept_brings_them_in(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    stored = np.array([[[32768, 33000], [32000, 33791]]] * 2, np.uint16)
    write_series(stored)
    volume = read_volume(tmp_path / "series")
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, stored.astype(int) - 1024)


def test_signed_values_below_int16_after_the_intercept_are_not_wrapped(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    stored = np.array([[[-32768, 5], [-32000, 32767]]] * 2, np.int16)
    write_series(stored)
    volume = read_volume(tmp_path / "series")
    assert volume.array.dtype == np.int32
    np.testing.assert_array_equal(volume.array, stored.astype(int) - 1024)


def test_whole_intercepts_that_differ_between_slices_are_exact(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, each=lambda k: {"RescaleIntercept": -1000 - k})
    volume = read_volume(tmp_path / "series")
    assert volume.array.dtype == np.int16
    expected = stored.astype(int) - 1000 - np.arange(5)[:, None, None]
    np.testing.assert_array_equal(volume.array, expected)


def test_each_slice_is_rescaled_by_its_own_slope(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, each=lambda k: {"RescaleSlope": 0.25 * (k + 1), "RescaleIntercept": k - 0.5})
    volume = read_volume(tmp_path / "series")
    assert volume.array.dtype == np.float32
    index = np.arange(5)[:, None, None]
    np.testing.assert_allclose(volume.array, stored * 0.25 * (index + 1) + index - 0.5, rtol=1e-7)


def test_a_series_without_rescale_keeps_its_stored_values(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, Modality="MR")
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, stored)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_beyond_bits_stored_are_cut(write_series, tmp_path, signed) -> None:  # type: ignore[no-untyped-def]
    values = np.arange(-2048, 2048) if signed else np.arange(4096)
    rubbish = np.random.default_rng(1).integers(0, 16, values.size) << 12  # an old overlay lives in these bits
    words = ((values & 0xFFF) | rubbish).astype(np.uint16).reshape(2, 32, 64)
    write_series(words, BitsStored=12, PixelRepresentation=int(signed), RescaleIntercept=0)
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array.ravel(), values)


def test_a_high_bit_above_the_stored_bits_is_shifted_down(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    values = np.arange(4096).reshape(2, 32, 64)
    write_series((values << 4).astype(np.uint16), BitsStored=12, HighBit=15, RescaleIntercept=0)
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, values)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint32, np.int32])
def test_other_word_sizes_are_exact(write_series, tmp_path, dtype) -> None:  # type: ignore[no-untyped-def]
    limits = np.iinfo(dtype)
    ends = [max(limits.min, -(2**30)), min(limits.max, 2**30), 0, 1]
    stored = np.array([ends, ends[::-1]], dtype).reshape(2, 2, 2)
    write_series(stored)
    volume = read_volume(tmp_path / "series")
    assert volume.array.dtype.kind == "i"
    np.testing.assert_array_equal(volume.array, stored.astype(np.int64) - 1024)


def test_an_odd_number_of_bytes_is_read(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    stored = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)

    def padded(k: int) -> dict[str, bytes]:
        return {"PixelData": stored[k].tobytes() + b"\0"}

    write_series(stored, each=padded)
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, stored.astype(int) - 1024)


@pytest.mark.parametrize(
    ("dtype", "tag"), [(np.int16, -2000), (np.uint16, 63536), (np.int16, 3000)], ids=["signed", "unsigned", "bright"]
)
@pytest.mark.filterwarnings("ignore")
def test_padding_becomes_the_lowest_measured_value(write_series, tmp_path, dtype, tag) -> None:  # type: ignore[no-untyped-def]
    stored = np.full((2, 3, 4), 500, dtype)
    stored[0, 0] = [24, 100, 1200, 2000]
    stored[:, 2] = tag
    write_series(stored, PixelPaddingValue=tag)
    volume = read_volume(tmp_path / "series").array
    assert (volume[:, 2] == 24 - 1024).all()
    np.testing.assert_array_equal(volume[:, :2], stored[:, :2].astype(int) - 1024)
    assert volume.dtype == np.int16


def test_padding_outside_of_the_stored_bits_is_found(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    stored = np.full((2, 3, 4), 1064, np.uint16)
    stored[0, 0, 0] = 0
    stored[:, 2] = 0xF830  # -2000 in a file of 12 unsigned bits: cut to 12 bits it would be +1072 HU
    write_series(stored, BitsStored=12, PixelPaddingValue=0xF830)
    volume = read_volume(tmp_path / "series").array
    assert (volume[:, 2] == -1024).all()


def test_a_padding_range_is_padding_throughout(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    stored = np.array([[[-2000, -1990, -1980, -1979]]] * 2, np.int16)
    write_series(stored, RescaleIntercept=0, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1980)
    assert (read_volume(tmp_path / "series").array == -1979).all()


def test_inverted_mr_is_turned_so_that_bright_is_high_as_in_itk(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    sitk = pytest.importorskip("SimpleITK")
    write_series(stored, Modality="MR", PhotometricInterpretation="MONOCHROME1", BitsStored=12)
    volume = read_volume(tmp_path / "series").array
    np.testing.assert_array_equal(volume, 4095 - stored.astype(int))
    itk = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "series" / "001.dcm")))
    np.testing.assert_array_equal(volume[1], itk[0])


def test_inverted_signed_mr_is_turned_too(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    values = np.arange(-2048, 2048).reshape(2, 32, 64).astype(np.int16)
    write_series(values, Modality="MR", PhotometricInterpretation="MONOCHROME1", BitsStored=12)
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, -1 - values)


def test_inverted_ct_keeps_its_hounsfield_units(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, PhotometricInterpretation="MONOCHROME1", BitsStored=12)
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, stored.astype(int) - 1024)


@pytest.mark.parametrize(
    "tags",
    [{"RescaleSlope": 0}, {"BitsStored": 17}, {"BitsStored": 12, "HighBit": 16}, {"BitsStored": 12, "HighBit": 5}],
)
def test_headers_that_make_no_sense_are_refused(write_series, stored, tmp_path, tags) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, **tags)
    assert refusal(tmp_path / "series").code == "unsupported_pixels"


def lookup_table(values: list[int], first: int, bits: int = 16, signed: bool = False) -> pydicom.Dataset:
    table = pydicom.Dataset()
    table.add_new(0x00283002, "SS" if signed else "US", [len(values) % 65536, first, bits])
    table.ModalityLUTType = "HU"
    table.add_new(0x00283006, "US", values)
    return table


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_lookup_table_takes_the_place_of_slope_and_intercept(write_series, tmp_path, dtype) -> None:  # type: ignore[no-untyped-def]
    planes = np.array([[[0, 10, 11], [12, 13, 200]]] * 2, dtype)
    table = lookup_table([500, 7, 60000], 11)
    write_series(planes, ModalityLUTSequence=[table], RescaleSlope=None, RescaleIntercept=None)
    volume = read_volume(tmp_path / "series")
    np.testing.assert_array_equal(volume.array[1], [[500, 500, 500], [7, 60000, 60000]])
    assert volume.array.dtype == np.int32


def test_a_lookup_table_of_signed_values_equals_the_one_that_pydicom_applies(write_series, tmp_path) -> None:  # type: ignore[no-untyped-def]
    planes = np.random.default_rng(0).integers(-40, 40, (2, 6, 7)).astype(np.int16)
    values = np.random.default_rng(1).integers(0, 65536, 60).tolist()
    table = lookup_table(values, -30, signed=True)
    paths = write_series(planes, ModalityLUTSequence=[table], RescaleSlope=None, RescaleIntercept=None)
    expected = np.array(values)[np.clip(planes.astype(int) + 30, 0, 59)]
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, expected)
    image = pydicom.dcmread(paths[0])
    np.testing.assert_array_equal(apply_modality_lut(image.pixel_array, image), expected[0])


def test_a_lookup_table_beside_a_slope_or_with_too_few_entries_is_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, into="both", ModalityLUTSequence=[lookup_table([1, 2, 3, 4], 0)])
    assert refusal(tmp_path / "both").code == "unsupported_pixels"
    short = lookup_table([1, 2, 3, 4], 0)
    short[0x00283002].value = [5, 0, 16]
    write_series(stored, into="short", ModalityLUTSequence=[short], RescaleSlope=None, RescaleIntercept=None)
    assert refusal(tmp_path / "short").code == "damaged_file"


def test_a_size_that_the_pixels_do_not_have_is_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, Rows=5)
    read_volume(tmp_path / "series")  # trailing padding is common
    write_series(stored, into="twice", Rows=3)
    assert refusal(tmp_path / "twice").code == "damaged_file"
    write_series(stored, into="less", Rows=7)
    error = refusal(tmp_path / "less")
    assert error.code == "damaged_file"
    assert "84 bytes" in error.message


@pytest.fixture
def large() -> np.ndarray:
    """As `stored`, 64 x 80: GDCM crashes when it compresses a few pixels to JPEG 2000."""
    return np.random.default_rng(2).integers(0, 4096, (3, 64, 80)).astype(np.uint16)


def compressed(path: Path, stored: np.ndarray, kind: str) -> bytes:
    """One frame of `stored` ``(y, x)`` compressed losslessly by the GDCM in SimpleITK, as it stands in a DICOM file."""
    sitk = pytest.importorskip("SimpleITK")
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(path))
    writer.SetImageIO("GDCMImageIO")
    writer.SetCompressor(kind)
    writer.UseCompressionOn()
    writer.Execute(sitk.GetImageFromArray(stored[None]))
    encapsulated: bytes = pydicom.dcmread(path).PixelData
    return encapsulated


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("kind", "syntax"), [("JPEG2000", JPEG2000Lossless), ("JPEG", JPEGLosslessSV1)])
@pytest.mark.filterwarnings("ignore")
def test_compressed_series_read_the_same_with_and_without_a_plugin(  # type: ignore[no-untyped-def]
    write_series, large, tmp_path, kind, syntax, signed
) -> None:
    # pydicom has no plugin for lossless JPEG here: GDCM decodes it. It does for JPEG 2000 (pylibjpeg or Pillow).
    large = large.astype(np.int16) - 500 if signed else large

    def encode(k: int) -> dict[str, bytes]:
        return {"PixelData": compressed(tmp_path / "frame.dcm", large[k], kind)}

    write_series(large, transfer_syntax=syntax, each=encode, RescaleIntercept=-1000)
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, large.astype(int) - 1000)


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.filterwarnings("ignore")
def test_gdcm_neither_inverts_nor_rescales_on_its_own(write_series, large, tmp_path, modality) -> None:  # type: ignore[no-untyped-def]
    def encode(k: int) -> dict[str, bytes]:
        return {"PixelData": compressed(tmp_path / "frame.dcm", large[k], "JPEG")}

    write_series(
        large,
        transfer_syntax=JPEGLosslessSV1,
        each=encode,
        Modality=modality,
        PhotometricInterpretation="MONOCHROME1",
        RescaleSlope=0.5,
        RescaleIntercept=-7,
    )
    expected = large if modality == "CT" else 65535 - large.astype(int)
    np.testing.assert_allclose(read_volume(tmp_path / "series").array, expected * 0.5 - 7, rtol=1e-6)


def test_rle_is_decoded_by_pydicom_itself(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    for path in write_series(stored):
        image = pydicom.dcmread(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.compress(RLELossless)
        image.save_as(path)
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, stored.astype(int) - 1024)


@pytest.mark.parametrize(
    ("syntax", "advice"),
    [("1.2.840.10008.1.2.4.201", "pylibjpeg-openjpeg"), ("1.2.840.10008.1.2.4.100", "uncompressed")],
    ids=["HTJ2K", "MPEG2"],
)
@pytest.mark.filterwarnings("ignore")
def test_a_compression_without_decoder_names_what_is_missing(  # type: ignore[no-untyped-def]
    write_series, stored, tmp_path, monkeypatch, syntax, advice
) -> None:
    if syntax not in UID_dictionary:
        pytest.skip(f"pydicom {pydicom.__version__} cannot write {syntax}")
    frame = encapsulate([b"\xff\x4f\xff\x51" + bytes(60)])
    for path in write_series(stored[:2], transfer_syntax=JPEG2000Lossless, PixelData=frame):
        image = pydicom.dcmread(path)
        image.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        image["PixelData"].is_undefined_length = True
        image.save_as(path)
    # As if pylibjpeg-openjpeg were not installed.
    monkeypatch.setattr("GANSegmentationLib.volumes.dicom_decode._pydicom_decodes", lambda _: False)
    error = refusal(tmp_path / "series")
    assert error.code == "missing_decoder"
    assert syntax in error.message
    assert advice in error.action


@pytest.mark.filterwarnings("ignore")
def test_damaged_compressed_pixels_are_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    frame = encapsulate([b"\xff\x4f\xff\x51" + bytes(60)])
    write_series(stored, transfer_syntax=JPEG2000Lossless, PixelData=frame)
    assert refusal(tmp_path / "series").code == "damaged_file"


def test_a_damaged_size_asks_for_no_memory(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, Rows=65535, Columns=65535)
    assert refusal(tmp_path / "series").code == "damaged_file"


def test_values_that_no_number_type_holds_are_refused(write_series, stored, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_series(stored, RescaleSlope="1e300")
    assert refusal(tmp_path / "series").code == "unsupported_pixels"
