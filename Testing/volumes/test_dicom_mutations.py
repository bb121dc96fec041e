"""Five hundred changed series, each with the outcome declared beforehand: the same volume, or which error.

A mutation gets a folder with a good series, changes it, and says what has to come of it. "Unchanged" means the same
voxels, bit by bit, and the same corners. Nothing may crash, hang, speak of the patient or give a wrong grid.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import read_volume

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(120)]

SEEDS = 10
STEP = 2.5
STORED = np.random.default_rng(5).permutation(4096)[: 5 * 6 * 7].reshape(5, 6, 7).astype(np.uint16)
POSITIONS = [(-10.0, -20.0, 30.0 + STEP * k) for k in range(5)]
SECRETS = ("Secret", "123456", "19500101")


@dataclass
class Case:
    """A folder with the series, and what a mutation needs to change it."""

    folder: Path
    random: np.random.Generator
    tools: Any

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.dcm"))

    def any_file(self) -> Path:
        return self.files[int(self.random.integers(len(self.files)))]

    def inner_file(self) -> Path:
        return self.files[int(self.random.integers(1, 4))]

    def change(self, path: Path, **tags: Any) -> None:
        """Writes a file again with other tags, None to remove one."""
        image = pydicom.dcmread(path)
        for keyword, value in tags.items():
            if value is None:
                delattr(image, keyword)
            else:
                setattr(image, keyword, value)
        image.save_as(path)

    def change_all(self, **tags: Any) -> None:
        for path in self.files:
            self.change(path, **tags)

    def again(self, **options: Any) -> None:
        """Writes the whole series anew."""
        for path in self.files:
            path.unlink()
        self.tools.write_dicom(self.folder, options.pop("stored", STORED), **options)

    def bytes_of(self, path: Path) -> bytearray:
        return bytearray(path.read_bytes())


Mutation = Callable[[Case], str]
MUTATIONS: dict[str, Mutation] = {}


def mutation(function: Mutation) -> Mutation:
    MUTATIONS[function.__name__] = function
    return function


# What changes nothing.


@mutation
def other_names(case: Case) -> str:
    for path, number in zip(case.files, case.random.permutation(5), strict=True):
        path.rename(case.folder / f"{['IM', 'ü ', 'slice.', 'x'][number % 4]}{number}")
    return "unchanged"


@mutation
def other_patient(case: Case) -> str:
    letters = "".join(chr(case.random.integers(65, 0x17F)) for _ in range(12))
    case.change_all(SpecificCharacterSet="ISO_IR 192", PatientName=letters, PatientComments=letters * 9, PatientID="")
    return "unchanged"


@mutation
def without_preamble(case: Case) -> str:
    case.again(transfer_syntax=ImplicitVRLittleEndian)
    for path in case.files:
        whole = path.read_bytes()
        path.write_bytes(whole[132 + 12 + int.from_bytes(whole[140:144], "little") :])
    return "unchanged"


@mutation
def other_transfer_syntax(case: Case) -> str:
    syntaxes = (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
    case.again(transfer_syntax=syntaxes[int(case.random.integers(3))])
    return "unchanged"


@mutation
def compressed_losslessly(case: Case) -> str:
    for path in case.files:
        image = pydicom.dcmread(path)
        image.compress(RLELossless)
        image.save_as(path)
    return "unchanged"


@mutation
def private_elements(case: Case) -> str:
    for path in case.files:
        image = pydicom.dcmread(path)
        block = image.private_block(0x0029, "SOMEBODY", create=True)
        block.add_new(0x10, "OB", case.random.bytes(int(case.random.integers(1, 4000)) * 2))
        block.add_new(0x11, "SQ", [case.tools.item(PatientName="Secret^Nested", Rows=3)])
        image.save_as(path)
    return "unchanged"


@mutation
def sequences_with_images_of_their_own(case: Case) -> str:
    icon = case.tools.item(Rows=2, Columns=2, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2")
    icon.BitsAllocated = icon.BitsStored = 8
    icon.HighBit, icon.PixelRepresentation, icon.PixelData = 7, int(case.random.integers(2)), b"\0\1\2\3"
    case.change_all(IconImageSequence=[icon], PixelRepresentation=0)
    return "unchanged"


@mutation
def objects_that_are_no_images(case: Case) -> str:
    kinds = ["66.4", "88.11", "88.33", "481.3", "481.5", "104.1", "11.1", "66.1"]
    for number, kind in enumerate(case.random.choice(kinds, 3, replace=False)):
        uid = f"1.2.840.10008.5.1.4.1.1.{kind}"
        other = case.tools.make_image(STORED[0], None, 1, SOPClassUID=uid, SeriesInstanceUID="7.7")
        other.file_meta.MediaStorageSOPClassUID = uid
        if kind not in ("66.4", "481.3"):
            del other.Rows, other.Columns, other.PixelData
        case.tools.save(other, case.folder / f"other{number}")
    return "unchanged"


@mutation
def files_that_are_not_dicom(case: Case) -> str:
    (case.folder / "notes.txt").write_text("Nothing here." * 40)
    (case.folder / "noise").write_bytes(b"\x08\x00" + case.random.bytes(3000))
    (case.folder / "zeros").write_bytes(bytes(int(case.random.integers(400))))
    (case.folder / "._000.dcm").write_bytes(b"\0\5\x16\7" + case.random.bytes(300))
    if hasattr(os, "mkfifo"):
        os.mkfifo(case.folder / "pipe.dcm")
    return "unchanged"


@mutation
def rounded_positions(case: Case) -> str:
    for path in case.files[1:-1]:
        place = list(pydicom.dcmread(path).ImagePositionPatient)
        case.change(
            path, ImagePositionPatient=[*place[:2], round(float(place[2] + case.random.uniform(-0.04, 0.04)), 4)]
        )
    return "unchanged"


@mutation
def tags_that_lie_about_the_step(case: Case) -> str:
    for path in case.files:
        wrong = [round(float(value), 3) for value in case.random.uniform(0.1, 9, 3)]
        case.change(path, SliceThickness=wrong[0], SpacingBetweenSlices=wrong[1], SliceLocation=wrong[2])
    return "unchanged"


@mutation
def other_instance_numbers(case: Case) -> str:
    for path, number in zip(case.files, case.random.integers(0, 4, 5), strict=True):
        case.change(path, InstanceNumber=int(number))
    return "unchanged"


@mutation
def bytes_after_the_pixels(case: Case) -> str:
    for path in case.files:
        path.write_bytes(path.read_bytes() + b"\xfc\xff\xfc\xffOB\0\0" + (64).to_bytes(4, "little") + bytes(64))
    return "unchanged"


@mutation
def the_intercept_in_the_pixels(case: Case) -> str:
    moved = int(case.random.integers(-800, 800))
    case.again(stored=(STORED.astype(int) - moved).astype(np.int16), RescaleIntercept=moved - 1024)
    return "unchanged"


@mutation
def an_intercept_of_its_own_for_each_slice(case: Case) -> str:
    moved = case.random.integers(-800, 800, 5)
    stored = (STORED.astype(int) - moved[:, None, None]).astype(np.int16)
    case.again(stored=stored, each=lambda k: {"RescaleIntercept": int(moved[k]) - 1024})
    return "unchanged"


@mutation
def wider_words(case: Case) -> str:
    case.again(stored=STORED.astype(np.uint32) if case.random.integers(2) else STORED.astype(np.int32))
    return "unchanged"


@mutation
def shown_inverted(case: Case) -> str:
    case.change_all(PhotometricInterpretation="MONOCHROME1")  # HU stay HU
    return "unchanged"


@mutation
def noise_above_the_stored_bits(case: Case) -> str:
    noisy = STORED | (case.random.integers(0, 16, STORED.shape) << 12).astype(np.uint16)
    case.again(stored=noisy, BitsStored=12)
    return "unchanged"


@mutation
def localizers_among_the_slices(case: Case) -> str:
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}
    for number in range(int(case.random.integers(1, 3))):
        case.tools.save(case.tools.make_image(STORED[0, :3], (0, number, 0), 9, **scout), case.folder / f"s{number}")
    return "unchanged"


@mutation
def one_enhanced_file(case: Case) -> str:
    order = case.random.permutation(5)
    for path in case.files:
        path.unlink()
    image = case.tools.make_enhanced(STORED[order], [POSITIONS[k] for k in order])
    case.tools.save(image, case.folder / "enhanced.dcm")
    return "unchanged"


@mutation
def files_in_sub_folders(case: Case) -> str:
    for path in case.files:
        folder = case.folder / f"part {case.random.integers(3)}"
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    return "unchanged"


@mutation
def frames_of_reference_given_out_by_an_anonymiser(case: Case) -> str:
    for path in case.files:
        case.change(path, FrameOfReferenceUID=generate_uid())
    return "unchanged"


# What loses or breaks slices.


@mutation
def a_file_of_another_syntax_cut_short(case: Case) -> str:
    kind = int(case.random.integers(4))
    if kind == 3:
        compressed_losslessly(case)
    else:
        case.again(transfer_syntax=(ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)[kind])
    path = case.any_file()
    whole = path.read_bytes()
    path.write_bytes(whole[: case.random.integers(len(whole) - 8)])
    return "damaged_file"


@mutation
def an_enhanced_file_cut_short(case: Case) -> str:
    one_enhanced_file(case)
    (path,) = case.files
    whole = path.read_bytes()
    path.write_bytes(whole[: case.random.integers(len(whole))])
    return "damaged_file"


@mutation
def a_file_cut_short(case: Case) -> str:
    path = case.any_file()
    whole = path.read_bytes()
    path.write_bytes(whole[: case.random.integers(len(whole))])
    return "damaged_file"


@mutation
def every_file_cut_short(case: Case) -> str:
    part = case.random.uniform(0.1, 0.95)
    for path in case.files:
        whole = path.read_bytes()
        path.write_bytes(whole[: int(part * len(whole))])
    return "damaged_file"


@mutation
def a_file_of_zeros(case: Case) -> str:
    path = case.any_file()
    path.write_bytes(bytes(path.stat().st_size))
    return "damaged_file"


@mutation
def the_mark_overwritten(case: Case) -> str:
    path = case.any_file()
    whole = case.bytes_of(path)
    whole[128 + case.random.integers(4)] ^= 1 << case.random.integers(8)
    path.rename(path.with_suffix(""))
    path.with_suffix("").write_bytes(whole)
    path.unlink(missing_ok=True)
    return "damaged_file"


@mutation
def the_class_garbled_and_the_size_lost(case: Case) -> str:
    path = case.any_file()
    case.change(path, Rows=None, Columns=None)
    whole = case.bytes_of(path)
    place = whole.index(b"1.2.840.10008.5.1.4.1.1.2", 300) + case.random.integers(24)
    whole[place] = int(case.random.choice(list(b"#x:\xff\0")))
    path.write_bytes(whole)
    return "damaged_file"


@mutation
def no_pixels(case: Case) -> str:
    case.change(case.any_file(), PixelData=None)
    return "damaged_file"


@mutation
def too_few_or_too_many_pixels(case: Case) -> str:
    path = case.any_file()
    size = int(case.random.choice([0, 2, 42, 80, 170, 300]))
    case.change(path, PixelData=bytes(size))
    return "damaged_file"


@mutation
def compressed_noise(case: Case) -> str:
    frame = encapsulate([b"\xff\x4f\xff\x51" + case.random.bytes(int(case.random.integers(20, 200)) * 2)])
    case.again(transfer_syntax=JPEG2000Lossless, PixelData=frame)
    return "damaged_file"


@mutation
def a_slice_lost(case: Case) -> str:
    case.inner_file().unlink()
    return "missing_slices"


@mutation
def a_slice_displaced(case: Case) -> str:
    path = case.inner_file()
    place = [float(value) for value in pydicom.dcmread(path).ImagePositionPatient]
    shift = float(case.random.uniform(0.08, 1.0) * case.random.choice([-1, 1]))
    case.change(path, ImagePositionPatient=[place[0], place[1], round(place[2] + shift, 4)])
    return "uneven_slices"


@mutation
def a_slice_displaced_sideways(case: Case) -> str:
    path = case.inner_file()
    place = [float(value) for value in pydicom.dcmread(path).ImagePositionPatient]
    case.change(path, ImagePositionPatient=[round(place[0] + float(case.random.uniform(0.2, 5)), 4), *place[1:]])
    return "uneven_slices"


@mutation
def a_slice_there_twice(case: Case) -> str:
    shutil.copy(case.any_file(), case.folder / "copy.dcm")
    return "duplicate_slices"


@mutation
def the_series_there_twice(case: Case) -> str:
    for path in case.files:
        shutil.copy(path, case.folder / f"copy of {path.name}")
    return "duplicate_slices"


@mutation
def another_slice_at_the_same_place(case: Case) -> str:
    path = case.folder / "again.dcm"
    shutil.copy(case.any_file(), path)
    case.change(path, SOPInstanceUID=generate_uid(), AcquisitionNumber=2)
    return "duplicate_slices"


@mutation
def a_time_series(case: Case) -> str:
    for path in case.files:
        later = case.folder / f"later {path.name}"
        shutil.copy(path, later)
        case.change(later, SOPInstanceUID=generate_uid(), TemporalPositionIdentifier=2)
        case.change(path, TemporalPositionIdentifier=1)
    return "four_dimensional"


# What breaks the grid.


@mutation
def a_slice_turned(case: Case) -> str:
    angle = np.radians(case.random.uniform(0.5, 90))
    turned = [round(float(value), 6) for value in (np.cos(angle), np.sin(angle), 0, -np.sin(angle), np.cos(angle), 0)]
    case.change(case.any_file(), ImageOrientationPatient=turned)
    return "mixed_orientations"


@mutation
def axes_that_are_not_orthogonal(case: Case) -> str:
    case.change_all(ImageOrientationPatient=[1, 0, 0, round(float(case.random.uniform(0.01, 0.9)), 4), 1, 0])
    return "no_position"


@mutation
def a_tilted_gantry(case: Case) -> str:
    angle = np.radians(case.random.uniform(3, 30))
    tilted = [1, 0, 0, 0, round(float(np.cos(angle)), 6), round(float(-np.sin(angle)), 6)]
    case.change_all(ImageOrientationPatient=tilted)
    return "gantry_tilt"


@mutation
def no_position(case: Case) -> str:
    keyword = ["ImagePositionPatient", "ImageOrientationPatient"][int(case.random.integers(2))]
    case.change(case.any_file(), **{keyword: None})
    return "no_position"


@mutation
def no_pixel_spacing(case: Case) -> str:
    case.change(case.any_file(), PixelSpacing=None)
    return "no_pixel_spacing"


@mutation
def a_spacing_of_nothing(case: Case) -> str:
    case.change_all(PixelSpacing=[[0, 0.5], [0.75, 0], [-0.75, 0.5]][int(case.random.integers(3))])
    return "no_pixel_spacing"


@mutation
def another_pixel_spacing(case: Case) -> str:
    case.change(case.any_file(), PixelSpacing=[0.75, round(float(case.random.uniform(0.51, 2)), 4)])
    return "mixed_sizes"


@mutation
def another_size(case: Case) -> str:
    case.change(case.any_file(), Rows=int(case.random.choice([1, 3, 5, 7, 12, 65535])))
    return "mixed_sizes"


@mutation
def a_size_that_no_image_has(case: Case) -> str:
    case.change_all(Rows=65535, Columns=int(case.random.integers(100, 65535)))
    return "damaged_file"


@mutation
def a_position_that_is_no_number(case: Case) -> str:
    path = case.any_file()
    words = [b"-1x", b"nan", b"inf", b"--1", b"\xff\xfe1", b"1e+"]
    whole = path.read_bytes()
    place = whole.index(b"-10\\-20")
    path.write_bytes(whole[:place] + words[int(case.random.integers(6))] + whole[place + 3 :])
    return "damaged_file"


@mutation
def two_frames_of_reference(case: Case) -> str:
    cut = int(case.random.integers(1, 5))
    for index, path in enumerate(case.files):
        case.change(path, FrameOfReferenceUID="1.5" if index < cut else "1.6")
    return "mixed_frames_of_reference"


@mutation
def a_slice_of_another_series(case: Case) -> str:
    case.change(case.any_file(), SeriesInstanceUID=generate_uid())
    return "several_series"


# What breaks the meaning of the values.


@mutation
def colours(case: Case) -> str:
    kind = ["RGB", "YBR_FULL", "PALETTE COLOR", ""][int(case.random.integers(4))]
    case.change(case.any_file(), PhotometricInterpretation=kind)
    return "colour_image"


@mutation
def bits_that_make_no_sense(case: Case) -> str:
    tags = [{"BitsStored": 17}, {"BitsStored": 0}, {"HighBit": 3}, {"BitsAllocated": 12}, {"BitsAllocated": 1}]
    case.change(case.any_file(), **tags[int(case.random.integers(5))])
    return "unsupported_pixels"


@mutation
def a_slope_that_makes_no_sense(case: Case) -> str:
    case.change(case.any_file(), RescaleSlope=["0", "1e300", "-1e300", "nan", "inf"][int(case.random.integers(5))])
    return "unsupported_pixels"


@mutation
def frames_without_places(case: Case) -> str:
    case.change(case.any_file(), NumberOfFrames=int(case.random.integers(2, 99999)))
    return "multi_frame"


@mutation
def enhanced_frames_that_do_not_add_up(case: Case) -> str:
    for path in case.files:
        path.unlink()
    image: Dataset = case.tools.make_enhanced(STORED, POSITIONS)
    kind = int(case.random.integers(4))
    if kind == 0:
        image.NumberOfFrames = int(case.random.choice([1, 4, 6, 500]))
    elif kind == 1:
        image.PixelData = image.PixelData[: int(case.random.integers(1, 200)) * 2]
    elif kind == 2:
        del image.PerFrameFunctionalGroupsSequence[-1]
    else:
        group = image.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]
        del group.RescaleSlope
        group.add_new(0x00281053, "UT", "one")
    case.tools.save(image, case.folder / "enhanced.dcm")
    return "damaged_file"


@mutation
def an_enhanced_frame_displaced(case: Case) -> str:
    for path in case.files:
        path.unlink()
    places = [list(place) for place in POSITIONS]
    places[int(case.random.integers(1, 4))][2] += float(case.random.uniform(0.1, 1))
    case.tools.save(case.tools.make_enhanced(STORED, places), case.folder / "enhanced.dcm")
    return "uneven_slices"


def test_there_are_five_hundred_mutations() -> None:
    assert len(MUTATIONS) * SEEDS >= 500


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_has_the_outcome_it_declares(name: str, tmp_path: Path, dicom_tools: Any) -> None:
    good = tmp_path / "good"
    dicom_tools.write_dicom(good, STORED, positions=POSITIONS)
    expected = read_volume(good)
    for seed in range(SEEDS):
        folder = tmp_path / f"{seed}"
        shutil.copytree(good, folder)
        case = Case(folder, np.random.default_rng([seed, len(name)]), dicom_tools)
        outcome = MUTATIONS[name](case)
        try:
            volume = read_volume(folder)
        except GANSegmentationError as error:
            assert error.code == outcome, f"seed {seed}: {error.code} {error} {error.details}"
            said = f"{error} {error.details}"
            assert not any(secret in said for secret in SECRETS), said
            continue
        assert outcome == "unchanged", f"seed {seed}: read as {volume.geometry}"
        np.testing.assert_array_equal(volume.array, expected.array)
        assert volume.geometry.corner_distance(expected.geometry) < 1e-6, f"seed {seed}"
        assert not any(secret in f"{volume.name}{dict(volume.facts)}" for secret in SECRETS)
