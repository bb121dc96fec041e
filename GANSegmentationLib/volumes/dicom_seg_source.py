"""The scan that a DICOM SEG belongs to: its grid, its images, its patient and study."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import GANSegmentationError
from .dicom import find_series
from .dicom_header import HeaderReader
from .dicom_image import DamagedImage, SliceHeader
from .dicom_seg_segments import coded
from .dicom_series import SeriesInfo, describe, with_tilt_corrected
from .geometry import Geometry
from .segments import Code

PathLike: TypeAlias = str | os.PathLike[str]
Source: TypeAlias = SeriesInfo | PathLike | Sequence[PathLike]
"""A scan: a series as `find_series` gives it, a folder or file of it, or the list of its files."""

_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"

_SEGMENTATION = Code("DCM", "113076", "Segmentation")
_SOURCE_IMAGE = Code("DCM", "121322", "Source image for image processing operation")

# Required, but may be empty (PS3.3 C.7.1.1, C.7.2.1); anonymising takes some away.
_MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)


_IDENTITY = ("PatientName", "PatientID", "AccessionNumber", "StudyID")


@dataclass(frozen=True)
class SourceSeries:
    """A scan that is one volume.

    Parameters
    ----------
    headers:
        Its images in the order of the slices.
    is_resampled:
        Whether the grid is not that of the images, because the tilt of the gantry was corrected.
    """

    uid: str
    geometry: Geometry
    headers: tuple[SliceHeader, ...]
    is_resampled: bool


@dataclass(frozen=True)
class SourceImage:
    """The image of a slice: a file, or one frame of a file (counted from 0)."""

    sop_class: str
    instance_uid: str
    frame: int | None


def source_of(source: Source) -> SourceSeries:
    """The scan, with a tilted gantry corrected as `read_volume` does it on request.

    Raises
    ------
    GANSegmentationError
        What `find_series` raises; the series' own problem if it is not a volume; ``several_series`` for files of more
        than one, ``no_dicom`` for a file that is none.
    """
    if isinstance(source, SeriesInfo):
        series = with_tilt_corrected(source)
    elif isinstance(source, str | os.PathLike):
        series = find_series(source, correct_tilt=True)
    else:
        series = with_tilt_corrected(_series_of_files([Path(path) for path in source]))
    if series.geometry is None:
        assert series.problem is not None
        raise series.problem
    return SourceSeries(series.uid, series.geometry, series.headers, series.tilt is not None)


def _series_of_files(paths: Sequence[Path]) -> SeriesInfo:
    reader = HeaderReader()
    headers: list[SliceHeader] = []
    for path in paths:
        header = reader.read(path)
        if isinstance(header, DamagedImage):
            raise header.error
        if header is None:
            raise GANSegmentationError(
                "no_dicom", f"The file {path} is not a DICOM image.", action="Give the files of the scan alone."
            )
        headers += header.frames or (header,)
    uids = sorted({header.format.series_uid for header in headers})
    if len(uids) != 1:
        raise GANSegmentationError(
            "several_series" if uids else "no_dicom",
            f"The {len(paths)} files belong to {len(uids)} series.",
            action="Give the files of one series.",
        )
    return describe(uids[0], headers, None)


def refer_to(dataset: Any, series: SourceSeries, images: Sequence[SourceImage], indices: Sequence[int]) -> None:
    """Names the scan's images: all of them for the whole (PS3.3 C.12.2), and for each frame that of its slice."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items

    whole: dict[str, Any] = {}
    for image in images:
        if image.instance_uid not in whole:
            item = Dataset()
            item.ReferencedSOPClassUID = image.sop_class
            item.ReferencedSOPInstanceUID = image.instance_uid
            whole[image.instance_uid] = item
    dataset.SourceImageSequence = Items(whole.values())
    referenced = Dataset()
    referenced.SeriesInstanceUID = series.uid
    referenced.ReferencedInstanceSequence = Items(whole.values())
    dataset.ReferencedSeriesSequence = Items([referenced])
    purpose, kind = coded(_SOURCE_IMAGE), coded(_SEGMENTATION)
    for group, index in zip(dataset.PerFrameFunctionalGroupsSequence, indices, strict=True):
        image = images[index]
        item = Dataset()
        item.ReferencedSOPClassUID = image.sop_class
        item.ReferencedSOPInstanceUID = image.instance_uid
        if image.frame is not None:
            item.ReferencedFrameNumber = image.frame + 1
        item.PurposeOfReferenceCodeSequence = Items([purpose])
        # On a grid corrected for tilt, the frame is where the image is, but its voxels are not on the image's pixels.
        item.SpatialLocationsPreserved = "NO" if series.is_resampled else "YES"
        derivation = Dataset()
        derivation.DerivationCodeSequence = Items([kind])
        derivation.SourceImageSequence = Items([item])
        group.DerivationImageSequence = Items([derivation])


def images_of(series: SourceSeries) -> list[SourceImage]:
    """The image of each slice, in the order of the slices."""
    import pydicom

    known: dict[Path, str] = {}
    images = []
    for header in series.headers:
        if header.path not in known:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = pydicom.dcmread(header.path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
            known[header.path] = str(dataset.get("SOPInstanceUID", "") or "")
            if not known[header.path]:
                raise no_identity("SOP Instance UID")
            if len(set(known.values())) < len(known):
                raise no_identity("SOP Instance UID of their own", "Two files of the scan carry the same one.")
        images.append(SourceImage(header.format.sop_class, known[header.path], header.frame))
    return images


def template_of(series: SourceSeries) -> Any:
    """The header of the first image as highdicom wants a source: one image on the first slice of the grid.

    It is called a CT image whatever it is: highdicom looks up by the class which attributes of patient and study there
    are, and these are the same for all. What was required and is not there, is empty.
    """
    import pydicom
    from pydicom.uid import generate_uid

    geometry = series.geometry
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        template = pydicom.dcmread(series.headers[0].path, stop_before_pixels=True, force=True)
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "NumberOfFrames"):
        if keyword in template:
            delattr(template, keyword)
    for tag in _invalid_elements(template):
        del template[tag]
    for keyword in _MAY_BE_EMPTY:
        if keyword not in template:
            setattr(template, keyword, None)
    if not template.get("StudyInstanceUID"):
        raise no_identity("Study Instance UID")
    if not template.get("FrameOfReferenceUID"):
        template.FrameOfReferenceUID = generate_uid()
    if "PositionReferenceIndicator" not in template:
        template.PositionReferenceIndicator = None
    template.SOPClassUID = _CT_IMAGE
    template.Rows, template.Columns = geometry.size[1], geometry.size[0]
    axes = geometry.direction_matrix
    template.ImageOrientationPatient = [_decimal(value) for value in (*axes[:, 0], *axes[:, 1])]
    template.ImagePositionPatient = [_decimal(value) for value in geometry.origin]
    template.PixelSpacing = [_decimal(geometry.spacing[1]), _decimal(geometry.spacing[0])]
    template.SliceThickness = template.SpacingBetweenSlices = _decimal(geometry.spacing[2])
    return template


def _invalid_elements(template: Any) -> list[Any]:
    """The elements whose values may not be written again, because they break the rules of their kind (PS3.5 6.2).

    Not what says who and which study it is: the archive knows them by these values, right or wrong.
    """
    from pydicom.config import RAISE
    from pydicom.valuerep import DA, TM, validate_value

    invalid = []
    for tag in list(template.keys()):
        try:
            element = template[tag]
            if element.keyword in _IDENTITY or element.VR == "UI":
                continue
            parts = element.value if element.VM > 1 else [element.value]
            for part in parts:
                if element.VR not in ("SQ", "PN", "DS", "IS") and isinstance(part, str):
                    validate_value(element.VR, part, RAISE)
                if element.VR in ("DA", "TM") and part:
                    (DA if element.VR == "DA" else TM)(str(part))
            if element.keyword == "PatientSex" and element.value not in ("M", "F", "O", "", None):
                invalid.append(tag)
        except Exception:  # noqa: BLE001 - whatever cannot be decoded or checked is not written again
            invalid.append(tag)
    return invalid


def no_identity(what: str, cause: str = "Anonymising removed it.") -> GANSegmentationError:
    """The error for a scan that nothing can refer to."""
    return GANSegmentationError(
        "dicom_seg_failed",
        f"The mask cannot be written as DICOM SEG: the scan's files have no {what}, so nothing can refer to them.",
        cause=cause,
        action="Write the mask as .seg.nrrd, or take the scan as it came from the archive.",
    )


def _decimal(value: float) -> Any:
    """A number as a decimal string of at most 16 characters (PS3.5 6.2)."""
    from pydicom.valuerep import DSfloat

    return DSfloat(float(value), auto_format=True)
