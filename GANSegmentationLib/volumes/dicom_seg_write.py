"""Labelmaps and fractions written as DICOM Segmentation objects, with highdicom.

The object goes back to where the scan came from: patient and study are the scan's, and every frame names the image that
it lies on. Slices without a segment are left out, except the first two and the last of the scan: from these every
reader knows the scan's whole extent and the distance of its slices, those too that do not look at Spacing Between
Slices (dcmqi, 3D Slicer). An empty mask is these three slices.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .atomic import written_beside
from .dicom_seg_frames import clear_anchors, slice_origins, slices_of_frames, with_anchors
from .dicom_seg_read import is_segmentation
from .dicom_seg_segments import MAKER, Algorithm, describe_segments, long_string
from .dicom_seg_source import Source, SourceSeries, images_of, refer_to, source_of, template_of
from .geometry import Geometry
from .grids import place_on_grid
from .labelmap import Labelmap
from .segments import Segment
from .slicer_segmentation import complete_segments

Array: TypeAlias = npt.NDArray[Any]

SUFFIX = ".dcm"

Fraction: TypeAlias = Literal["PROBABILITY", "OCCUPANCY"]

_MOST = 255

# Without those that switch between alphabets (ISO 2022), which are turned into Unicode (PS3.3 C.12.1.1.2).
_CHARACTER_SETS = (
    *(f"ISO_IR {number}" for number in (100, 101, 109, 110, 144, 127, 126, 138, 148, 203, 13, 166, 192)),
    *("GB18030", "GBK"),
)
_SERIES_NUMBER = 1000


def require_dicom_seg(path: Path, source: Source | None) -> None:
    """Refuse, before any work, what could not be written as DICOM SEG in the end.

    Raises
    ------
    GANSegmentationError
        ``highdicom_missing`` where that package is not installed; ``dicom_source_needed`` without a source, or one that
        is no DICOM; ``file_exists`` if something else than a segmentation would be replaced.
    """
    if importlib.util.find_spec("highdicom") is None:
        raise GANSegmentationError(
            "highdicom_missing",
            f"{path.name} cannot be written: DICOM SEG needs the package highdicom, which is not installed.",
            cause="3D Slicer has it from 5.12 on; elsewhere it comes with the extra: gansegmentation[dicom].",
            action="Install highdicom, or write the mask as .seg.nrrd, which 3D Slicer exports as DICOM SEG.",
        )
    if isinstance(source, str | os.PathLike) and Path(source).is_file():
        from .files import READ_SUFFIXES, has_suffix

        if has_suffix(Path(source), READ_SUFFIXES):
            raise _source_needed(path, f"The scan was read from {Path(source).name}, which is not DICOM.")
    if source is None:
        raise _source_needed(path, "The scan's DICOM files are not known.")
    if path.is_file() and not is_segmentation(path):
        raise GANSegmentationError(
            "file_exists",
            f"{path} exists already and is no segmentation; it is not replaced.",
            cause="It may be an image of the scan.",
            action="Choose another name.",
        )


def write_dicom_seg(
    labelmap: Labelmap,
    path: str | os.PathLike[str],
    *,
    source: Source,
    algorithm: Algorithm | None = None,
    description: str | None = None,
    overwrite: bool = True,
) -> Path:
    """Write a labelmap as binary DICOM SEG on the grid of the scan that it belongs to.

    Labels become segments 1, 2, ... in ascending order; where that changes a number, the Segment Description keeps the
    label. A segment without a voxel is described and has no frame. A labelmap that is cropped or flipped against the
    scan is brought to its grid without resampling.

    Parameters
    ----------
    source:
        The scan: its `SeriesInfo`, a folder or file of it, or the list of its files. For a CT that was corrected for
        the tilt of its gantry, the mask lies on the corrected grid, and images are named without saying that voxels lie
        on their pixels.
    algorithm:
        What made the labels; None for a person.
    description:
        The series description; None for one from the algorithm's name.

    Raises
    ------
    GANSegmentationError
        As `require_dicom_seg`; ``geometry_mismatch`` if the labels are not on the scan's grid; what is wrong with the
        scan's series; ``dicom_seg_failed`` if highdicom refuses the scan's headers; what `written_beside` raises.
    """
    target = Path(path)
    require_dicom_seg(target, source)
    series = source_of(source)
    placed = place_on_grid(labelmap, series.geometry)
    segments = _all_segments(placed)
    values = [segment.value for segment in segments]
    pixels = placed.array
    if values != list(range(1, len(values) + 1)):
        table = np.zeros(max(values) + 1, np.uint8 if len(values) <= 255 else np.uint16)
        table[values] = np.arange(1, len(values) + 1)
        pixels = table[pixels]
    return _write(pixels, segments, target, series, "BINARY", None, algorithm, description, overwrite)


def _all_segments(labelmap: Labelmap) -> list[Segment]:
    """The segments by value, with nameless ones for labels without; at least one, for a DICOM SEG needs one."""
    highest = int(labelmap.array.max())
    known = {segment.value for segment in labelmap.segments}
    # Looking through all voxels for their values takes longer than all the rest, and is seldom needed.
    found = labelmap.segments if known.issuperset(range(1, highest + 1)) else complete_segments(labelmap)
    return sorted(found, key=lambda segment: segment.value) or [Segment(1, "Nothing", (128, 128, 128))]


def write_fractional_seg(
    fractions: Array,
    geometry: Geometry,
    segments: Sequence[Segment],
    path: str | os.PathLike[str],
    *,
    source: Source,
    kind: Fraction = "PROBABILITY",
    algorithm: Algorithm | None = None,
    description: str | None = None,
    overwrite: bool = True,
) -> Path:
    """Write fractions as fractional DICOM SEG, in 255 steps.

    Parameters
    ----------
    fractions:
        One volume a segment, ``(segment, z, y, x)``, floating point, 0 to 1, on the scan's grid.
    geometry:
        The grid of the fractions.
    segments:
        What they are of, in that order.
    kind:
        Whether they are probabilities, or the part of a voxel that is occupied (PS3.3 C.8.20.2.3).

    Raises
    ------
    GANSegmentationError
        As `write_dicom_seg`, and ``invalid_fractions`` if the array is not as described.
    """
    target = Path(path)
    require_dicom_seg(target, source)
    given = np.asarray(fractions)
    fits = given.dtype.kind == "f" and given.shape == (len(segments), *geometry.shape) and len(segments) > 0
    if not fits or not np.all((given >= 0) & (given <= 1)):  # false for NaN, too
        raise GANSegmentationError(
            "invalid_fractions",
            f"Fractions of the shape {given.shape} and the type {given.dtype} cannot be written for {len(segments)} "
            f"segments on a grid of {geometry.shape}: expected floating point numbers from 0 to 1, (segment, z, y, x).",
        )
    series = source_of(source)
    stored = np.rint(given * _MOST).astype(np.uint8)
    placed = [place_on_grid(Labelmap(volume, geometry), series.geometry).array for volume in stored]
    pixels = np.stack(placed, axis=-1).astype(np.float32) / _MOST
    return _write(pixels, segments, target, series, "FRACTIONAL", kind, algorithm, description, overwrite)


def _source_needed(path: Path, cause: str) -> GANSegmentationError:
    return GANSegmentationError(
        "dicom_source_needed",
        f"{path.name} cannot be written: a DICOM SEG names the patient, the study and the images that it belongs to.",
        cause=cause,
        action="Segment the DICOM series, or write the mask as .seg.nrrd or .nii.gz.",
    )


def _write(
    pixels: Array,
    segments: Sequence[Segment],
    path: Path,
    series: SourceSeries,
    kind: str,
    fraction: str | None,
    algorithm: Algorithm | None,
    description: str | None,
    overwrite: bool,
) -> Path:
    dataset = _checked(lambda: _dataset(pixels, segments, series, kind, fraction, algorithm, description))
    with written_beside(path, overwrite=overwrite) as folder:
        _checked(lambda: dataset.save_as(folder / path.name))
    return path


def _checked(step: Callable[[], Any]) -> Any:
    """What a step gives; other people's errors quote values of the header, and with them the patient."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return step()
    except (GANSegmentationError, OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - highdicom and pydicom raise almost anything for headers off the standard
        raise GANSegmentationError(
            "dicom_seg_failed",
            "The mask cannot be written as DICOM SEG: the headers of its scan do not allow it.",
            cause="A value of the patient or study is not as the standard wants it.",
            action="Write the mask as .seg.nrrd, or correct the scan's headers.",
            details=type(error).__name__,
        ) from None


def _dataset(
    pixels: Array,
    segments: Sequence[Segment],
    series: SourceSeries,
    kind: str,
    fraction: str | None,
    algorithm: Algorithm | None,
    description: str | None,
) -> Any:
    import highdicom
    from pydicom.uid import ExplicitVRLittleEndian

    from .. import __version__

    geometry = series.geometry
    try:
        template, images = template_of(series), images_of(series)
    except OSError as error:
        raise GANSegmentationError(
            "unreadable_file",
            f"A file of the scan cannot be read any more: {error.filename}.",
            cause="It was moved, or its drive is not connected any more.",
            action="Check the file and try again.",
            details=repr(error),
        ) from error
    marked, marks = with_anchors(pixels)
    axes = geometry.direction_matrix
    texts = [segment.name for segment in segments] + ([algorithm.name] if algorithm else []) + [description or ""]
    template.SpecificCharacterSet = _character_set(template, texts)
    dataset = highdicom.seg.Segmentation(
        source_images=[template],
        pixel_array=marked,
        segmentation_type=kind,
        segment_descriptions=list(describe_segments(segments, algorithm)),
        series_instance_uid=highdicom.UID(),
        series_number=_series_number(template),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        device_serial_number="1",
        fractional_type=fraction or "PROBABILITY",
        max_fractional_value=_MOST,
        content_label="SEGMENTATION",
        content_description=long_string(description or _default_description(algorithm)),
        content_creator_name=None,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        pixel_measures=highdicom.PixelMeasuresSequence(
            pixel_spacing=(geometry.spacing[1], geometry.spacing[0]),
            slice_thickness=geometry.spacing[2],
            spacing_between_slices=geometry.spacing[2],
        ),
        plane_orientation=highdicom.PlaneOrientationSequence(
            coordinate_system="PATIENT", image_orientation=(*axes[:, 0], *axes[:, 1])
        ),
        plane_positions=[
            highdicom.PlanePositionSequence(coordinate_system="PATIENT", image_position=tuple(point))
            for point in slice_origins(geometry)
        ],
        omit_empty_frames=True,
        series_description=long_string(description or _default_description(algorithm)),
    )
    indices = slices_of_frames(dataset, geometry)
    clear_anchors(dataset, indices, marks)
    refer_to(dataset, series, images, indices)
    dataset.SpecificCharacterSet = template.SpecificCharacterSet  # highdicom 0.27 does not copy it
    dataset.ContentCreatorName = None  # required, may be empty: no person made it
    return dataset


def _default_description(algorithm: Algorithm | None) -> str:
    return "Segmentation" if algorithm is None else f"{algorithm.name} {algorithm.version}"


def _series_number(template: Any) -> int:
    """After the scan's own, where viewers list series by number."""
    number = template.get("SeriesNumber")
    return _SERIES_NUMBER + (int(number) if number is not None and 0 <= int(number) < 1_000_000 else 0)


def _character_set(template: Any, texts: Sequence[str]) -> Any:
    """The scan's own, as long as it can say our words; else Unicode, into which pydicom then turns the scan's words."""
    own = template.get("SpecificCharacterSet")
    return (
        own
        if isinstance(own, str) and own in _CHARACTER_SETS and all(text.isascii() for text in texts)
        else "ISO_IR 192"
    )
