"""The synthetic patient as a DICOM series: CT Image Storage, PS3.3 A.3, one file a slice."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import GANSegmentationError
from ...volumes import Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
INTERCEPT = -1024
STORED_MAXIMUM = 4095

_NAMESPACE = uuid.UUID("7c1f4a6e-50f0-5a0b-9d3c-6b0b8b1f2d11")
_FILE_NAME = "CT{:04d}.dcm"
_OWN_FILE = re.compile(r"CT\d{4}\.dcm")


def write_dicom_series(volume: Volume, folder: str | os.PathLike[str]) -> Path:
    """Write a CT volume as one series; reading it gives the same voxels and the same grid.

    The files appear all at once: they are written beside `folder`, which is then put in place. A series that this
    function wrote there before is replaced. All identifiers follow from the voxels: the same volume gives the same
    files.

    Parameters
    ----------
    volume:
        Whole HU from -1024 to 3071 on a right-handed grid.
    folder:
        Where the series goes; must not hold anything else.

    Returns
    -------
    The folder.

    Raises
    ------
    GANSegmentationError
        ``unwritable_volume`` if the volume is not such a CT; ``folder_not_empty`` if the folder holds other files;
        ``cannot_write`` if the disk refuses.
    """
    folder = Path(folder)
    stored = _stored_values(volume)
    if folder.is_dir() and not all(_OWN_FILE.fullmatch(item.name) for item in folder.iterdir()):
        raise GANSegmentationError(
            "folder_not_empty",
            f"The folder {folder} holds files that are not a synthetic series.",
            action="Choose a new or empty folder.",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            fresh = beside / "fresh"
            fresh.mkdir()
            common = _series_attributes(volume)
            for k, pixels in enumerate(stored):
                path = fresh / _FILE_NAME.format(k + 1)
                _slice_file(volume, common, k, pixels, path).save_as(path)
            if folder.exists():
                folder.replace(beside / "old")
            fresh.replace(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise GANSegmentationError(
            "cannot_write",
            f"The series could not be written to {folder}: {error.strerror or error}.",
            cause="The disk is full, or the place is not yours to write to.",
            action="Choose another folder.",
        ) from error
    return folder


def _stored_values(volume: Volume) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """The voxels as stored values, unsigned 12 bit."""
    array = volume.array
    axes = volume.geometry.direction_matrix
    values = array.astype(np.float64) - INTERCEPT
    reason = ""
    if volume.modality not in ("CT", None):
        reason = f"its modality is {volume.modality}"
    elif not np.array_equal(values, np.rint(values)) or values.min() < 0 or values.max() > STORED_MAXIMUM:
        reason = f"its values are not whole HU from {INTERCEPT} to {STORED_MAXIMUM + INTERCEPT}"
    elif not np.allclose(np.cross(axes[:, 0], axes[:, 1]), axes[:, 2], atol=1e-4):
        reason = "its slices run against the normal of their planes"
    if reason:
        raise GANSegmentationError(
            "unwritable_volume", f"The volume {volume.name!r} cannot become a CT series: {reason}."
        )
    return values.astype(np.uint16)


def _uid(*names: str) -> str:
    """A UID that follows from names: PS3.5 B.2 with a name-based UUID."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(names)).int}"


def _series_attributes(volume: Volume) -> Dataset:
    """The attributes that all slices share: patient, study, series, frame of reference, equipment, acquisition."""
    from pydicom.dataset import Dataset

    identity = hashlib.sha256(np.ascontiguousarray(volume.array).tobytes() + repr(volume.geometry).encode()).hexdigest()
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = "Synthetic^Patient"
    ds.PatientID = f"SYNTHETIC-{identity[:8].upper()}"
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.StudyInstanceUID = _uid("study", identity)
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20200101"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.ReferringPhysicianName = ""
    ds.StudyID = "1"
    ds.AccessionNumber = ""
    ds.StudyDescription = "Synthetic abdomen"
    ds.Modality = "CT"
    ds.SeriesInstanceUID = _uid("series", identity)
    ds.SeriesNumber = 1
    ds.SeriesDescription = volume.name
    ds.BodyPartExamined = "ABDOMEN"
    ds.PatientPosition = "HFS"
    ds.FrameOfReferenceUID = _uid("frame of reference", identity)
    ds.PositionReferenceIndicator = ""
    ds.Manufacturer = "GANSegmentation"
    ds.ManufacturerModelName = "Synthetic patient"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.AcquisitionNumber = 1
    ds.KVP = 120
    ds.ConvolutionKernel = "SOFT"
    ds.ContrastBolusAgent = "SYNTHETIC, PORTAL VENOUS PHASE"
    # Synthetic Data (0008,001C) is younger than some dictionaries, so it goes in by tag.
    ds.add_new(0x0008001C, "CS", "YES")
    return ds


def _slice_file(volume: Volume, common: Dataset, k: int, pixels: np.ndarray[Any, Any], path: Path) -> FileDataset:
    """The data set of slice k with its file meta information (PS3.10 chapter 7)."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID
    from pydicom.valuerep import DSfloat

    def decimal(values: Any) -> list[DSfloat]:
        # Adding zero turns -0 into 0.
        return [DSfloat(float(value) + 0.0, auto_format=True) for value in values]

    sop_uid = UID(_uid("image", str(common.SeriesInstanceUID), str(k)))
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(CT_IMAGE_STORAGE)
    meta.MediaStorageSOPInstanceUID = sop_uid
    meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE_ENDIAN)
    meta.ImplementationClassUID = UID(_uid("implementation"))
    ds = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=False, is_little_endian=True)
    ds.update(common)
    ds.SOPClassUID = UID(CT_IMAGE_STORAGE)
    ds.SOPInstanceUID = sop_uid
    ds.InstanceNumber = k + 1
    geometry = volume.geometry
    ds.PixelSpacing = decimal((geometry.spacing[1], geometry.spacing[0]))
    ds.SliceThickness = decimal([geometry.spacing[2]])[0]
    ds.SpacingBetweenSlices = decimal([geometry.spacing[2]])[0]
    ds.ImageOrientationPatient = decimal(geometry.direction_matrix[:, :2].T.ravel())
    ds.ImagePositionPatient = decimal((geometry.index_to_lps @ (0, 0, k, 1))[:3])
    ds.SliceLocation = ds.ImagePositionPatient[2]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelRepresentation = 0
    ds.RescaleIntercept = INTERCEPT
    ds.RescaleSlope = 1
    ds.RescaleType = "HU"
    ds.WindowCenter, ds.WindowWidth = 50, 350
    ds.PixelData = pixels.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds
