"""Small real DICOM series, written with pydicom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

SeriesWriter = Callable[..., list[Path]]


def save(dataset: Dataset, path: Path) -> None:
    """Writes a dataset with its meta header, with pydicom 2 and 3 alike."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if int(pydicom.__version__.split(".")[0]) >= 3:
        dataset.save_as(path, enforce_file_format=True)
        return
    dataset.is_little_endian = syntax.is_little_endian
    dataset.is_implicit_VR = syntax.is_implicit_VR
    dataset.save_as(path, write_like_original=False)


def make_image(stored: np.ndarray, position: Sequence[float] | None, number: int, **tags: Any) -> Dataset:
    """One CT image with stored values ``(y, x)``; tags override or, if None, remove what is usual."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = tags.pop("transfer_syntax", ExplicitVRLittleEndian)
    modality = tags.get("Modality", "CT")
    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    image.SOPInstanceUID = generate_uid()
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.PatientName = "Secret^Patient"
    image.PatientID = "123456"
    image.PatientBirthDate = "19500101"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.Modality = modality
    image.StudyInstanceUID = "1.2.3"
    image.SeriesInstanceUID = "1.2.3.4"
    image.SeriesDescription = "Abdomen venös"
    image.SpecificCharacterSet = "ISO_IR 100"
    image.SeriesNumber = 4
    image.InstanceNumber = number
    image.SliceThickness = 9.5
    image.ImageOrientationPatient = list(AXIAL)
    if position is not None:
        image.ImagePositionPatient = [f"{float(value):.10g}" for value in position]
    image.PixelSpacing = [0.75, 0.5]
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = stored.shape[:2]
    image.BitsAllocated = stored.dtype.itemsize * 8
    image.BitsStored = image.BitsAllocated
    image.PixelRepresentation = 1 if stored.dtype.kind == "i" else 0
    order = "<" if meta.TransferSyntaxUID.is_little_endian else ">"
    image.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    image["PixelData"].VR = "OW" if stored.dtype.itemsize > 1 else "OB"
    if modality == "CT":
        image.RescaleSlope, image.RescaleIntercept = 1, -1024
    for keyword, value in tags.items():
        if value is None:
            if keyword in image:
                delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    if "HighBit" not in image:
        image.HighBit = image.BitsStored - 1
    return image


def write_dicom(
    folder: Path,
    stored: np.ndarray,
    *,
    step: Sequence[float] = (0.0, 0.0, 2.5),
    origin: Sequence[float] = (-10.0, -20.0, 30.0),
    positions: Sequence[Sequence[float]] | None = None,
    names: Sequence[str] | None = None,
    each: Callable[[int], Mapping[str, Any]] | None = None,
    **tags: Any,
) -> list[Path]:
    """Writes one file for each slice of `stored` ``(z, y, x)``; `each` gives further tags for slice k."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, plane in enumerate(stored):
        place = positions[index] if positions is not None else np.add(origin, np.multiply(step, index))
        path = folder / (names[index] if names is not None else f"{index:03d}.dcm")
        further = each(index) if each is not None else {}
        save(make_image(plane, place, index + 1, **{**tags, **further}), path)
        paths.append(path)
    return paths


def item(**values: Any) -> Dataset:
    """One item of a sequence."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def make_enhanced(
    stored: np.ndarray,
    positions: Sequence[Sequence[float]],
    *,
    orientation: Sequence[float] = AXIAL,
    spacing: Sequence[float] = (0.75, 0.5),
    each: Callable[[int], Mapping[str, Sequence[Any]]] | None = None,
    **tags: Any,
) -> Dataset:
    """An enhanced CT with the frames `stored` ``(frame, y, x)``; `each` gives further functional groups of frame k."""
    image = make_image(stored[0], None, 1, **{"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1", **tags})
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    for keyword in ("ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(image, keyword)
    image.NumberOfFrames = len(stored)
    if "PixelData" not in tags:
        order = "<" if image.file_meta.TransferSyntaxUID.is_little_endian else ">"
        image.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    image.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[item(PixelSpacing=list(spacing), SliceThickness=9.5)],
            PlaneOrientationSequence=[item(ImageOrientationPatient=list(orientation))],
            PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")],
        )
    ]
    frames = []
    for index, position in enumerate(positions):
        place = item(ImagePositionPatient=[f"{float(value):.10g}" for value in position])
        further = each(index) if each is not None else {}
        frames.append(item(PlanePositionSequence=[place], **further))
    image.PerFrameFunctionalGroupsSequence = frames
    return image


@pytest.fixture
def write_series(tmp_path: Path) -> SeriesWriter:
    """`write_dicom` into the folder ``series`` of the test's own folder, or the sub-folder `into` of that."""

    def write(stored: np.ndarray, into: str = "series", **options: Any) -> list[Path]:
        return write_dicom(tmp_path / into, stored, **options)

    return write


@pytest.fixture
def dicom_tools() -> Any:
    """The functions of this file, for tests that compose a file of their own."""
    import types

    return types.SimpleNamespace(
        save=save, make_image=make_image, write_dicom=write_dicom, make_enhanced=make_enhanced, item=item
    )


@pytest.fixture
def stored() -> np.ndarray:
    """Stored CT values ``(z, y, x)``, all different, 12 bits unsigned."""
    return np.random.default_rng(0).permutation(4096)[: 5 * 6 * 7].reshape(5, 6, 7).astype(np.uint16)
