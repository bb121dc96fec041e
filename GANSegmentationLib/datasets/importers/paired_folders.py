"""Images and masks of one's own in two folders: pictures or volumes that belong together by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...errors import GANSegmentationError
from ...volumes import read_volume
from ...volumes.files import READ_SUFFIXES, has_suffix, stem
from .case import CaseSource, ImportedCase
from .mask_values import MaskValues
from .pictures import (
    MASK_PICTURE_SUFFIXES,
    PICTURE_SUFFIXES,
    case_name,
    grey_picture,
    in_sub_folders,
    refuse_sub_folders,
    require_alike,
    unreadable,
)
from .registry import importer_with
from .scans import labels_on_grid, scan_case


@dataclass(frozen=True)
class PairedOptions:
    """How the folders are named and what they hold.

    Parameters
    ----------
    images, masks:
        The folders within the source's; they may be one if the masks have a suffix.
    suffix:
        What a mask's name has more than its image's: ``_mask`` for ``a.png`` and ``a_mask.png``.
    values:
        ``value=name`` of each label, ``nonzero``, or nothing for masks of 0 and one other value.
    label:
        What the one label is called where `values` name none.
    patient:
        Regular expression that finds the patient in an image's name, by its first group or whole; each image is a
        patient's own without it.
    name:
        What the cases' names begin with; the folder's own name without it.
    modality, unit, licence:
        DICOM's word for the modality, what the grey values are (``HU`` or ``arbitrary``), the licence of the data.
    """

    images: str = "images"
    masks: str = "masks"
    suffix: str = ""
    values: tuple[str, ...] = ()
    label: str = "Foreground"
    patient: str = ""
    name: str = ""
    modality: str = "OT"
    unit: str = "arbitrary"
    licence: str = ""


def patient_pattern(text: str) -> re.Pattern[str]:
    """The regular expression of a `patient` option.

    Raises
    ------
    GANSegmentationError
        ``wrong_option`` if it is none.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise GANSegmentationError(
            "wrong_option",
            f"patient is {text!r}, which is no regular expression: {error}.",
            action=r"Write for example ^(p\d+)_.",
        ) from error


def patient_of(name: str, pattern: re.Pattern[str], path: Path) -> str:
    """The patient in the name of an image; the name itself where the pattern is empty.

    Raises
    ------
    GANSegmentationError
        ``invalid_source`` if the pattern is not in the name: a patient of its own might be on both sides of a split.
    """
    if not pattern.pattern:
        return name
    match = pattern.search(name)
    found = match and (match.group(1) if pattern.groups else match.group())
    if not found:
        raise unreadable(path, f"no patient is found in its name by {pattern.pattern!r}")
    return str(found)


def _labels(folder: Path, options: PairedOptions) -> dict[int, str]:
    return dict(MaskValues.parse(options.values, name=options.label).labels)


@importer_with("paired", PairedOptions, _labels)
def paired(folder: Path, options: PairedOptions) -> Iterator[CaseSource]:
    """Two folders with images and masks of the same names: PNG, TIFF, JPEG (images alone), NIfTI, NRRD, MetaImage.

    An image without mask, or a mask without image, is a case that cannot be imported, and named as such.
    """
    values = MaskValues.parse(options.values, name=options.label)
    pattern = patient_pattern(options.patient)
    images, masks = folder / options.images, folder / options.masks
    if not images.is_dir() or not masks.is_dir():
        return
    if images == masks and not options.suffix:
        raise GANSegmentationError(
            "wrong_option", "The images and masks are in one folder.", action="Say what masks are called: suffix=_mask."
        )
    prefix = options.name or folder.name
    of_images, of_masks = _by_stem(images), _by_stem(masks)
    if options.suffix:
        of_masks = {
            name.removesuffix(options.suffix): paths
            for name, paths in of_masks.items()
            if name.endswith(options.suffix)
        }
        if images == masks:
            of_images = {name: paths for name, paths in of_images.items() if not name.endswith(options.suffix)}
    for name in sorted(of_images.keys() | of_masks.keys()):
        found = (of_images.get(name, []), of_masks.get(name, []))
        case = case_name(prefix, name)
        read = partial(_case, case, name, prefix, found, (images, masks), options, values, pattern)
        yield CaseSource(case, (*found[0], *found[1], *_data_files(found)), read)
    deeper = in_sub_folders([images, masks], (*READ_SUFFIXES, *PICTURE_SUFFIXES))
    if deeper:
        yield CaseSource(case_name(prefix, "sub-folders"), tuple(deeper), partial(refuse_sub_folders, folder, deeper))


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and has_suffix(path, (*READ_SUFFIXES, *PICTURE_SUFFIXES)):
            found.setdefault(stem(path), []).append(path)
    return found


def _data_files(found: tuple[list[Path], list[Path]]) -> list[Path]:
    """The voxels of headers that keep them in a file of their own."""
    return [
        data
        for paths in found
        for path in paths
        if has_suffix(path, (".mhd", ".nhdr"))
        for data in (path.with_suffix(".raw"), path.with_suffix(".zraw"), path.with_suffix(".raw.gz"))
        if data.is_file()
    ]


def _case(
    case: str,
    name: str,
    prefix: str,
    found: tuple[list[Path], list[Path]],
    folders: tuple[Path, Path],
    options: PairedOptions,
    values: MaskValues,
    pattern: re.Pattern[str],
) -> ImportedCase:
    for what, paths, folder in zip(("image", "mask"), found, folders, strict=True):
        if len(paths) != 1:
            listed = ", ".join(path.name for path in paths) or "none"
            raise unreadable(folder, f"of {name} there should be one {what} ({listed})")
    image, mask = found[0][0], found[1][0]
    patient = case_name(prefix, patient_of(name, pattern, image))
    if has_suffix(image, READ_SUFFIXES):
        if not has_suffix(mask, READ_SUFFIXES):
            raise unreadable(mask, f"a picture cannot be the mask of the volume {image.name}")
        volume = read_volume(image)
        return scan_case(
            case,
            volume,
            labels_on_grid(volume, mask, values.read),
            path=image,
            patient=patient,
            modality=options.modality,
            unit=options.unit,
            licence=options.licence,
        )
    if not has_suffix(mask, MASK_PICTURE_SUFFIXES):
        raise unreadable(mask, f"a mask is read from {', '.join(MASK_PICTURE_SUFFIXES)}: JPEG blurs its values")
    grey, stored = (
        grey_picture(image, of_equal_channels=True, by_palette=True),
        grey_picture(mask, of_equal_channels=True),
    )
    require_alike(grey, stored, mask)
    return ImportedCase(
        id=case,
        patient=patient,
        modality=options.modality,
        unit=options.unit,
        images=grey[None],
        masks=values.read(stored, mask)[None],
        slice_index=(0,),
        value_range=(float(grey.min()), float(grey.max())),
        licence=options.licence,
        is_volume=False,
    )
