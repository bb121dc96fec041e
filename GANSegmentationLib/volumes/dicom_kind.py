"""Whether the images of a DICOM series are of a kind that makes a volume, and belong to one scan at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..errors import GANSegmentationError
from .dicom_image import ENHANCED_CLASSES, SliceHeader


def check_kind(images: Sequence[SliceHeader]) -> None:
    """Refuses what is not a stack of single grey images with a place in the patient.

    Raises
    ------
    GANSegmentationError
        ``colour_image``, ``multi_frame``, ``mosaic``, ``no_position``, ``no_pixel_spacing``.
    """
    for image in images:
        form = image.format
        if form.samples != 1 or not form.photometric.startswith("MONOCHROME"):
            raise GANSegmentationError(
                "colour_image",
                f"{image.path.name} is a colour image ({form.photometric or 'unknown colours'}).",
                cause="It is a screenshot, a report page or a map computed by a workstation, not a scan.",
                action="Choose the series of the scan itself.",
            )
        if image.frame is None and (form.frames > 1 or form.sop_class in ENHANCED_CLASSES):
            kind = ENHANCED_CLASSES.get(form.sop_class, "a multi-frame")
            raise GANSegmentationError(
                "multi_frame",
                f"{image.path.name} is {kind} image with {form.frames} frame(s) and does not say where each one lies.",
                cause="It is a film or a projection image, or its functional groups were removed.",
                action="Choose the series of the scan itself, or export this one as single-frame DICOM.",
            )
        if form.is_mosaic:
            raise GANSegmentationError(
                "mosaic",
                f"{image.path.name} is a mosaic: one image with many slices side by side.",
                cause="Siemens scanners store functional and diffusion MR so; private tags say where each slice lies.",
                action="Convert the series with a program that takes mosaics apart (dcm2niix, 3D Slicer) and use that.",
            )
    without = [image for image in images if image.position is None or image.format.orientation is None]
    if without:
        raise GANSegmentationError(
            "no_position",
            f"{names_of(without)}: no position or orientation in the patient.",
            cause="It is a screenshot, a projection image, or anonymising removed the geometry.",
            action="Choose the series of the scan itself, or export it again with its geometry.",
        )
    without = [image for image in images if image.format.pixel_spacing is None]
    if without:
        raise GANSegmentationError(
            "no_pixel_spacing",
            f"{names_of(without)}: no Pixel Spacing, so the size of a pixel is not known.",
            cause="It is not a tomographic image, or anonymising removed the tag.",
            action="Export the series again with its geometry.",
        )


def check_belong_together(images: Sequence[SliceHeader]) -> None:
    """Refuses images whose positions or values cannot be compared.

    Raises
    ------
    GANSegmentationError
        ``mixed_frames_of_reference``, ``mixed_studies``, ``mixed_patients``, ``mixed_values``.
    """
    _check_one_frame_of_reference(images)
    _check_one_study(images)
    _check_one_patient(images)
    _check_one_modality(images)
    _check_all_rescaled(images)


def _check_one_frame_of_reference(images: Sequence[SliceHeader]) -> None:
    """Positions can be compared within one frame of reference only (PS3.3 C.7.4.1).

    Where every file has one of its own, an anonymiser gave them out one by one: they say nothing then.
    """
    counts = Counter(image.format.frame_of_reference for image in images if image.format.frame_of_reference)
    if len(counts) <= 1 or len(counts) == len({image.path for image in images}):
        return
    raise GANSegmentationError(
        "mixed_frames_of_reference",
        f"The images of the series belong to {len(counts)} frames of reference ({_numbers_of(counts)} images), so "
        "their positions cannot be compared.",
        cause="The patient was moved or the table re-zeroed between parts of the series, or two scans share one.",
        action="Put the images of each part into a folder of their own and choose one.",
    )


def _check_one_study(images: Sequence[SliceHeader]) -> None:
    """A series is of one study (PS3.3 A.1.2). Where every file has one of its own, an anonymiser gave them out."""
    counts = Counter(image.format.study_uid for image in images if image.format.study_uid)
    if len(counts) <= 1 or len(counts) == len({image.path for image in images}):
        return
    raise GANSegmentationError(
        "mixed_studies",
        f"The images of the series belong to {len(counts)} studies ({_numbers_of(counts)} images).",
        cause="Images of several examinations, or of several patients, carry one Series Instance UID.",
        action="Put the images of each study into a folder of their own and choose one.",
    )


def _check_one_patient(images: Sequence[SliceHeader]) -> None:
    """A series is of one patient (PS3.3 A.1.2). Where every file has an ID of its own, an anonymiser gave them out."""
    counts = Counter(image.format.patient for image in images if image.format.patient)
    if len(counts) <= 1 or len(counts) == len({image.path for image in images}):
        return
    raise GANSegmentationError(
        "mixed_patients",
        f"The images of the series belong to {len(counts)} patients ({_numbers_of(counts)} images).",
        cause="Images of several patients carry one Series Instance UID, or the ID was corrected in some of them.",
        action="Put the images of each patient into a folder of their own and choose one.",
    )


def _check_one_modality(images: Sequence[SliceHeader]) -> None:
    """A series is of one modality (PS3.3 C.7.3.1.1.1)."""
    counts = Counter(image.format.modality for image in images)
    if len(counts) > 1:
        raise GANSegmentationError(
            "mixed_values",
            f"The images of the series are of {len(counts)} modalities ({', '.join(sorted(map(str, counts)))}).",
            cause="Two scans share one series, PET and CT for example.",
            action="Put the images of each into a folder of their own and choose one.",
        )


def _check_all_rescaled(images: Sequence[SliceHeader]) -> None:
    """Without slope or intercept where others have one, a slice would be off by as much: by 1024 HU in a usual CT."""
    without = [
        image
        for image in images
        if image.format.lut is None and not (image.format.says_slope and image.format.says_intercept)
    ]
    if not without or len(without) == len(images):
        return
    said = (image.format for image in images)
    if all(form.lut is None and (form.slope, form.intercept) == (1, 0) for form in said):
        return  # nothing is lost
    raise GANSegmentationError(
        "mixed_values",
        f"{names_of(without)}: no Rescale Slope or Intercept, which the other images have.",
        cause="The headers are damaged, or two scans share one series.",
        action="Export the series again; its values would not be comparable from slice to slice.",
    )


def _numbers_of(counts: Counter[str]) -> str:
    return ", ".join(str(count) for _, count in counts.most_common())


def name_of(image: SliceHeader) -> str:
    """The name of its file, with the number of the frame where it is one of several."""
    return image.path.name if image.frame is None else f"{image.path.name} (frame {image.frame + 1})"


def names_of(images: Sequence[SliceHeader]) -> str:
    """The names of a few of their files, and how many more there are."""
    names = ", ".join(map(name_of, images[:3]))
    return names + (f" and {len(images) - 3} more" if len(images) > 3 else "")
