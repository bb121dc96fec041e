"""Changed DICOM SEG files, each with the outcome declared beforehand: the same labels in place, or which error.

A mutation gets a good file of two structures, changes it, and says what has to come of it. Nothing may crash, hang,
fill the memory, speak of the patient or give another mask.
"""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Code, Labelmap, Segment, read_labelmap, read_volume, write_labelmap
from Testing.volumes.conftest import write_dicom

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("highdicom") is None, reason="highdicom writes DICOM SEG"),
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.timeout(120),
]

SEEDS = 6
SECRETS = ("Secret", "123456", "19500101")
ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
SEGMENTS = (
    Segment(1, "Liver", (221, 130, 101), ANATOMY, Code("SCT", "10200004", "Liver")),
    Segment(2, "Spleen", (157, 108, 162), ANATOMY, Code("SCT", "78961009", "Spleen")),
)
LABELS = np.zeros((5, 8, 8), np.uint8)
LABELS[1:4, 1:5, 2:6] = 1
LABELS[2:5, 6:8, 1:7] = 2


@dataclass
class Case:
    """A SEG file and what a mutation needs to change it."""

    path: Path
    random: np.random.Generator

    def pick(self, options: Any) -> Any:
        return options[int(self.random.integers(len(options)))]

    def dataset(self) -> Any:
        return pydicom.dcmread(self.path)

    def save(self, dataset: Any, **options: Any) -> None:
        dataset.save_as(self.path, **options)

    def bytes_changed(self, change: Callable[[bytearray], Any]) -> None:
        data = bytearray(self.path.read_bytes())
        found = change(data)
        self.path.write_bytes(data if found is None else found)


Mutation = Callable[[Case], str]
MUTATIONS: dict[str, Mutation] = {}


def mutation(function: Mutation) -> Mutation:
    MUTATIONS[function.__name__] = function
    return function


@mutation
def another_name_of_the_file(case: Case) -> str:
    case.path = case.path.rename(case.path.with_name(case.pick(["SEG0001", "mask.DCM", "ü.dcm", "1.2.3.4"])))
    return "unchanged"


@mutation
def another_transfer_syntax(case: Case) -> str:
    dataset = case.dataset()
    dataset.file_meta.TransferSyntaxUID = syntax = case.pick(
        [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian]
    )
    case.save(dataset, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    return "unchanged"


@mutation
def frames_in_another_order(case: Case) -> str:
    dataset = case.dataset()
    frames = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    count, size = dataset.NumberOfFrames, 64
    order = case.random.permutation(count)
    pixels = np.packbits(frames[: count * size].reshape(count, size)[order].ravel(), bitorder="little").tobytes()
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    dataset.PerFrameFunctionalGroupsSequence = [groups[index] for index in order]
    case.save(dataset)
    return "unchanged"


@mutation
def another_patient_and_private_elements(case: Case) -> str:
    dataset = case.dataset()
    dataset.PatientName = "".join(chr(case.random.integers(65, 91)) for _ in range(12))
    dataset.private_block(0x0029, "SOMEBODY", create=True).add_new(0x10, "OB", case.random.bytes(400))
    case.save(dataset)
    return "unchanged"


@mutation
def without_what_is_not_needed(case: Case) -> str:
    dataset = case.dataset()
    for keyword in (
        "DimensionOrganizationSequence",
        "DimensionIndexSequence",
        "ReferencedSeriesSequence",
        "ContentLabel",
    ):
        if keyword in dataset and case.random.integers(2):
            delattr(dataset, keyword)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        if "DerivationImageSequence" in group:
            del group.DerivationImageSequence
    case.save(dataset)
    return "unchanged"


@mutation
def cut_short(case: Case) -> str:
    case.bytes_changed(lambda data: data[: int(case.random.integers(200, len(data) - 1))])
    return "damaged_file not_a_segmentation"


@mutation
def without_its_mark(case: Case) -> str:
    def spoil(data: bytearray) -> None:
        data[128 + int(case.random.integers(4))] ^= 0x20

    case.bytes_changed(spoil)
    case.path = case.path.rename(case.path.with_suffix(".dcm"))
    return "unknown_format"


@mutation
def missing_pixels(case: Case) -> str:
    dataset = case.dataset()
    dataset.PixelData = dataset.PixelData[: 2 * int(case.random.integers(0, len(dataset.PixelData) // 2 - 4))]
    case.save(dataset)
    return "damaged_file"


@mutation
def another_number_of_frames(case: Case) -> str:
    dataset = case.dataset()
    dataset.NumberOfFrames = int(case.pick([0, 1, dataset.NumberOfFrames - 1, dataset.NumberOfFrames + 1, 10**6]))
    case.save(dataset)
    return "damaged_file"


@mutation
def frames_without_a_place(case: Case) -> str:
    dataset = case.dataset()
    group = case.pick(list(dataset.PerFrameFunctionalGroupsSequence))
    if case.random.integers(2):
        del group.PlanePositionSequence
    else:
        del group.PlanePositionSequence[0].ImagePositionPatient
    case.save(dataset)
    return "no_position"


@mutation
def frames_of_nowhere(case: Case) -> str:
    dataset = case.dataset()
    plane = case.pick(list(dataset.PerFrameFunctionalGroupsSequence)).PlanePositionSequence[0]
    along = case.pick([0, 1])
    position = [float(value) for value in plane.ImagePositionPatient]
    position[along] += float(case.pick([0.3, -7.0, 1000.0]))
    plane.ImagePositionPatient = position
    case.save(dataset)
    return "gantry_tilt"


@mutation
def frames_between_slices(case: Case) -> str:
    dataset = case.dataset()
    plane = case.pick(list(dataset.PerFrameFunctionalGroupsSequence)).PlanePositionSequence[0]
    position = [float(value) for value in plane.ImagePositionPatient]
    position[2] += float(case.pick([0.9, -1.1, 100.3]))
    plane.ImagePositionPatient = position
    case.save(dataset)
    return "uneven_slices geometry_mismatch"


@mutation
def frames_of_an_unknown_segment(case: Case) -> str:
    dataset = case.dataset()
    group = case.pick(list(dataset.PerFrameFunctionalGroupsSequence))
    group.SegmentIdentificationSequence[0].ReferencedSegmentNumber = int(case.pick([0, 3, 77, 65535]))
    case.save(dataset)
    return "damaged_file"


@mutation
def frames_that_name_no_segment(case: Case) -> str:
    dataset = case.dataset()
    del case.pick(list(dataset.PerFrameFunctionalGroupsSequence)).SegmentIdentificationSequence
    case.save(dataset)
    return "damaged_file"


@mutation
def a_frame_twice(case: Case) -> str:
    dataset = case.dataset()
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    first, second = groups[0], groups[1]
    second.PlanePositionSequence = first.PlanePositionSequence
    second.SegmentIdentificationSequence = first.SegmentIdentificationSequence
    dataset.PerFrameFunctionalGroupsSequence = groups
    case.save(dataset)
    return "damaged_file"


@mutation
def another_size(case: Case) -> str:
    dataset = case.dataset()
    keyword = case.pick(["Rows", "Columns"])
    setattr(dataset, keyword, int(case.pick([0, 7, 9, 65535])))
    case.save(dataset)
    return "damaged_file invalid_geometry geometry_mismatch"


@mutation
def another_spacing(case: Case) -> str:
    dataset = case.dataset()
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = case.pick([[1.6, 1.5], [3.0, 3.0], [1.5, 1.4]])
    case.save(dataset)
    return "geometry_mismatch"


@mutation
def a_turned_grid(case: Case) -> str:
    dataset = case.dataset()
    shared = dataset.SharedFunctionalGroupsSequence[0]
    turned = [[1, 0, 0, 0, 0.9848, 0.1736], [0.9962, 0.0872, 0, -0.0872, 0.9962, 0]]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = case.pick(turned)
    case.save(dataset)
    return "geometry_mismatch gantry_tilt"


@mutation
def no_orientation_at_all(case: Case) -> str:
    dataset = case.dataset()
    shared = dataset.SharedFunctionalGroupsSequence[0]
    value = case.pick([[0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0], None])
    if value is None:
        del shared.PlaneOrientationSequence
    else:
        shared.PlaneOrientationSequence[0].ImageOrientationPatient = value
    case.save(dataset)
    return "no_position invalid_geometry"


@mutation
def structures_that_overlap(case: Case) -> str:
    dataset = case.dataset()
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    of_first = [index for index, group in enumerate(groups) if number_of(group) == 1]
    of_second = [index for index, group in enumerate(groups) if number_of(group) == 2]
    pair = next((a, b) for a in of_first for b in of_second if place_of(groups[a]) == place_of(groups[b]))
    bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    a, b = (bits[64 * index : 64 * index + 64] for index in pair)
    b[int(case.pick(np.flatnonzero(a)))] = 1
    dataset.PixelData = np.packbits(bits, bitorder="little").tobytes()
    case.save(dataset)
    return "overlapping_segments"


def number_of(group: Any) -> int:
    return int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)


def place_of(group: Any) -> list[float]:
    return [float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient]


@mutation
def no_structures(case: Case) -> str:
    dataset = case.dataset()
    if case.random.integers(2):
        del dataset.SegmentSequence
    else:
        dataset.SegmentSequence = []
    case.save(dataset)
    return "damaged_file"


@mutation
def another_object(case: Case) -> str:
    dataset = case.dataset()
    kinds = ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.1.3.10", "1.2.3.4"]
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = case.pick(kinds)
    case.save(dataset)
    return "not_a_segmentation"


@mutation
def a_compression_nobody_has(case: Case) -> str:
    syntax = case.pick([b"1.2.840.10008.1.2.5", b"1.2.840.10008.1.2.9", b"1.2.3.4.5.6.7.8.9.0"])
    case.bytes_changed(lambda data: data.replace(b"1.2.840.10008.1.2.1", syntax, 1))
    return "unsupported_pixels damaged_file"


@mutation
def fractions(case: Case) -> str:
    dataset = case.dataset()
    count = int(dataset.NumberOfFrames)
    dataset.SegmentationType, dataset.SegmentationFractionalType = "FRACTIONAL", "PROBABILITY"
    dataset.MaximumFractionalValue = 255
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelData = case.random.integers(1, 255, (count, 64)).astype(np.uint8).tobytes()
    dataset["PixelData"].VR = "OB"
    case.save(dataset)
    return "fractional_segmentation"


@mutation
def any_flipped_bit_of_the_header(case: Case) -> str:
    def flip(data: bytearray) -> None:
        end = data.index(b"\xe0\x7f\x10\x00")
        data[int(case.random.integers(144, end))] ^= 1 << int(case.random.integers(8))

    case.bytes_changed(flip)
    return "unchanged or refused"  # most of a header does not matter for the mask


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Any]:
    """The good file, and the grid of its scan."""
    folder = tmp_path_factory.mktemp("good")
    write_dicom(folder / "ct", np.zeros(LABELS.shape, np.uint16), PixelSpacing=[1.5, 1.5])
    geometry = read_volume(folder / "ct").geometry
    made = write_labelmap(Labelmap(LABELS, geometry, SEGMENTS), folder / "seg.dcm", source=folder / "ct")
    return made.read_bytes(), geometry


def outcome(path: Path, geometry: Any) -> str:
    """``unchanged``, ``changed``, the code of the error, or what should not have been raised."""
    try:
        labelmap = read_labelmap(path, geometry=geometry)
    except GANSegmentationError as error:
        said = f"{error} {error.details}"
        return "it names the patient" if any(secret in said for secret in SECRETS) else error.code
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    same = np.array_equal(labelmap.array, LABELS) and labelmap.geometry == geometry
    return "unchanged" if same else "changed"


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_changed_segmentation_behaves_as_declared(tmp_path: Path, name: str, good: tuple[bytes, Any]) -> None:
    data, geometry = good
    problems = []
    for seed in range(MORE.get(name, SEEDS)):
        path = tmp_path / str(seed) / "seg.dcm"
        path.parent.mkdir()
        path.write_bytes(data)
        case = Case(path, np.random.default_rng([seed, zlib.crc32(name.encode())]))
        declared = MUTATIONS[name](case)
        found = outcome(case.path, geometry)
        if declared == "unchanged or refused":
            if not (found == "unchanged" or found.replace("_", "").isalpha()) or found == "changed":
                problems.append(f"seed {seed}: {found}, declared {declared}")
        elif found not in declared.split(" "):
            problems.append(f"seed {seed}: {found}, declared {declared}")
    assert not problems, "\n".join(problems)


MORE = {"any_flipped_bit_of_the_header": 40, "cut_short": 12}
"""Kinds with more ways than seeds."""


def test_there_are_enough() -> None:
    assert len(MUTATIONS) >= 24
