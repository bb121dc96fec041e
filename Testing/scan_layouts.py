"""Miniature copies of public layouts of whole scans: a patient in whom no two voxels are alike, in many formats."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from Testing.volumes.conftest import write_dicom

SPACING_ZYX = (4.0, 1.5, 1.25)
CHAOS_GREYS = (0, 63, 126, 189, 252)
ORIENTATIONS = tuple(
    "".join(letters)
    for axes in itertools.permutations(("LR", "AP", "SI"))
    for letters in itertools.product(*axes)
)  # fmt: skip
"""All 48 ways in which the axes of a file can run."""


def patient(seed: int = 0, shape: tuple[int, int, int] = (5, 12, 10)) -> tuple[np.ndarray, np.ndarray]:
    """Voxels, all different, and labels 0 to 4 without symmetry, ``(z, y, x)``: slices in radiological display."""
    rng = np.random.default_rng(seed)
    image = (rng.permutation(int(np.prod(shape))).reshape(shape) - 200).astype(np.int16)
    labels = np.zeros(shape, np.uint8)
    labels[1:4, 2:6, 1:5] = 1
    labels[1:3, 7:10, 1:3] = 2
    labels[2:4, 7:11, 7:9] = 3
    labels[1, 3:5, 7:9] = 4
    return image, labels


def sitk_image(array: np.ndarray, orientation: str = "LPS") -> Any:
    """The patient as an image of ITK whose axes run as `orientation` says; ITK itself does the turning."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(SPACING_ZYX[::-1])
    image.SetOrigin((-31.0, 17.5, 40.0))
    return SimpleITK.DICOMOrient(image, orientation)


def write_image(array: np.ndarray, path: Path, orientation: str = "LPS") -> None:
    """A file of the format that its name says."""
    import SimpleITK

    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(sitk_image(array, orientation), str(path))


def write_series(array: np.ndarray, folder: Path, names: Sequence[str], orientation: str = "LPS", **tags: Any) -> None:
    """A DICOM series, its files named in the order of ITK's slices."""
    image = sitk_image(array, orientation)
    import SimpleITK

    voxels = SimpleITK.GetArrayFromImage(image)
    axes = np.array(image.GetDirection()).reshape(3, 3)
    x, y, _ = image.GetSpacing()
    write_dicom(
        folder,
        voxels,
        positions=[image.TransformIndexToPhysicalPoint((0, 0, k)) for k in range(len(voxels))],
        names=names,
        ImageOrientationPatient=[*axes[:, 0], *axes[:, 1]],
        PixelSpacing=[y, x],
        **{"RescaleIntercept": 0, "RescaleSlope": 1, **tags},
    )


def write_pictures(labels: np.ndarray, folder: Path, names: Sequence[str], greys: Sequence[int] = (0, 255)) -> None:
    """Masks as PNG, the label k in the grey value of that number."""
    folder.mkdir(parents=True, exist_ok=True)
    for plane, name in zip(labels, names, strict=True):
        Image.fromarray(np.array(greys, np.uint8)[plane]).save(folder / name)


def write_chaos_ct(case: Path, seed: int = 0, *, descending: bool = True, orientation: str = "LPS") -> None:
    """``DICOM_anon`` and ``Ground``; as in the real set, names go down in z unless told otherwise."""
    image, labels = patient(seed)
    liver = (labels == 1).astype(np.uint8)
    order = slice(None, None, -1 if descending else 1)
    count = sitk_image(image, orientation).GetSize()[2]
    names = [f"i{number:04d},0000b.dcm" for number in range(count)][order]
    write_series(image, case / "DICOM_anon", names, orientation)
    import SimpleITK

    stored = SimpleITK.GetArrayFromImage(sitk_image(liver, orientation))
    write_pictures(stored, case / "Ground", [f"liver_GT_{number:03d}.png" for number in range(count)][order])


def write_chaos_mr(case: Path, seed: int = 0) -> None:
    """``T1DUAL`` (both phases, masks named after the images in phase) and ``T2SPIR``; values as MR has them."""
    image, labels = patient(seed)
    image = image - image.min()
    count = len(labels)
    for sequence, phase, first, shift in (
        ("T1DUAL", "InPhase", 2, 1000),
        ("T1DUAL", "OutPhase", 1, 2000),
        ("T2SPIR", "", 1, 0),
    ):
        step = 2 if sequence == "T1DUAL" else 1
        names = [f"IMG-0004-{first + step * number:05d}" for number in range(count)]
        folder = case / sequence / "DICOM_anon" / phase
        write_series(
            (image + shift).astype(np.uint16),
            folder,
            [f"{name}.dcm" for name in names],
            Modality="MR",
            SeriesInstanceUID=f"1.2.{first}.{shift}.{seed}",
        )
        if phase != "OutPhase":
            write_pictures(labels, case / sequence / "Ground", [f"{name}.png" for name in names], CHAOS_GREYS)


def write_ircadb(case: Path, structures: dict[str, np.ndarray], seed: int = 0, *, positions: bool = True) -> None:
    """``PATIENT_DICOM`` and ``MASKS_DICOM/<structure>``, files ``image_N`` without extension, N up in z."""
    image, _ = patient(seed)
    names = [f"image_{number}" for number in range(len(image))]
    write_series(image, case / "PATIENT_DICOM", names)
    for structure, mask in structures.items():
        folder = case / "MASKS_DICOM" / structure
        # The headers of masks are copies of the scan's: rescaling and padding in them mean nothing.
        copied = {"RescaleIntercept": -1024, "PixelPaddingValue": 0}
        write_series((mask * 255).astype(np.uint8), folder, names, SeriesInstanceUID="1.2.3.5", **copied)
        if not positions:
            import pydicom

            for path in folder.iterdir():
                header = pydicom.dcmread(path)
                del header.ImagePositionPatient, header.ImageOrientationPatient
                header.save_as(path)


def write_decathlon(folder: Path, task: str = "hippo", modalities: Sequence[str] = ("MRI",), cases: int = 2) -> None:
    """``dataset.json``, ``imagesTr`` and ``labelsTr``; of several modalities the images are four-dimensional."""
    import SimpleITK

    training = []
    for number in range(cases):
        image, labels = patient(number)
        pair = {"image": f"./imagesTr/{task}_{number}.nii.gz", "label": f"./labelsTr/{task}_{number}.nii.gz"}
        write_image(np.minimum(labels, 2), folder / pair["label"], "LAS")
        channels = [sitk_image((image + 1000 * channel).astype(np.int16), "LAS") for channel in range(len(modalities))]
        (folder / "imagesTr").mkdir(exist_ok=True)
        whole = channels[0] if len(channels) == 1 else SimpleITK.JoinSeries(channels)
        SimpleITK.WriteImage(whole, str(folder / pair["image"]))
        training.append(pair)
    listing = {
        "name": task,
        "licence": "CC-BY-SA 4.0",
        "modality": {str(number): name for number, name in enumerate(modalities)},
        "labels": {"0": "background", "1": "liver", "2": "cancer"},
        "training": training,
        "test": ["./imagesTs/x_9.nii.gz"],
    }
    (folder / "dataset.json").write_text(json.dumps(listing))
