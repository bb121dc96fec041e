"""A prepared dataset as side-by-side pairs, the form of pix2pix and of seed 000, with ``pairs.json`` beside them.

A pair is one 8-bit grey PNG: the image in the left half, the mask in the right. Without a window, images of 8 bit are
written as they are; others go through one, which the listing says, so that values within it come back to half a grey
level. Masks come back exactly: label k of n has the grey value k times 255 // n (white for one label; for the four
organs of CHAOS the challenge's own 63, 126, 189, 252).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from ..settings import write_settings
from .dataset import Case, Dataset
from .importers.picture_pairs import LISTING, SCHEMA, PairCase, PairLabel, PairListing

_PERCENTILES = (0.5, 99.5)
"""What 0 and 255 are where values have no unit and do not fit 8 bit."""

Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class _Scale:
    """``grey * slope + intercept`` is the value in the case's unit."""

    slope: float
    intercept: float
    value_range: tuple[float, float]


def write_pairs(
    dataset: Dataset,
    output: Path,
    *,
    window: tuple[float, float] | None = None,
    validation: Collection[str] | None = None,
    report: Report | None = None,
) -> Path:
    """Write every slice of a dataset as a pair into a folder that is new or empty; it is there whole or not at all.

    Parameters
    ----------
    window:
        HU of grey 0 and of grey 255; needed where HU are stored in more than 8 bit.
    validation:
        Patients whose pairs go to ``val``, those of all others to ``train``. None: all in one folder.
    report:
        Called as ``report(done, total, case name)`` before each case.

    Returns
    -------
    The folder.

    Raises
    ------
    GANSegmentationError
        ``no_pairs`` if a case has no masks, or no window is given where one is needed; ``folder_not_empty``;
        ``unknown_patient``; ``write_failed``.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise GANSegmentationError(
            "folder_not_empty", f"{output} is there already.", action="Choose a new folder for the pairs."
        )
    for case in dataset.cases:
        _check(case, dataset, window)
    if validation is not None:
        dataset.of_patients(sorted(validation))
    values = sorted(dataset.labels)
    labels = tuple(
        PairLabel(value, 255 // len(values) * number, dataset.labels[value]) for number, value in enumerate(values, 1)
    )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".ganseg-", dir=output.parent) as name:
            whole = Path(name) / "pairs"
            whole.mkdir()
            cases = []
            for done, case in enumerate(dataset.cases):
                if report is not None:
                    report(done, len(dataset.cases), case.id)
                part = "" if validation is None else "val" if case.patient in validation else "train"
                cases.append(_write_case(dataset, case, whole, part, window, labels))
            listing = PairListing(SCHEMA, _words(window), labels, tuple(cases))
            (whole / LISTING).write_text(json.dumps(write_settings(listing), indent=1), encoding="utf-8")
            if output.is_dir():
                output.rmdir()
            shutil.move(whole, output)
    except OSError as error:
        raise GANSegmentationError(
            "write_failed",
            f"The pairs cannot be written to {output}: {error.strerror or error}.",
            cause="The disk may be full or the folder read-only.",
            action="Choose another place.",
            details=repr(error),
        ) from error
    return output


def _check(case: Case, dataset: Dataset, window: tuple[float, float] | None) -> None:
    if not case.labelled:
        raise _no_pairs(f"{case.id} has no masks.", "Prepare the labelled cases as a dataset of their own.")
    if window is not None and not window[0] < window[1]:
        raise _no_pairs(f"The window {window[0]:g} to {window[1]:g} is empty.", "Give the lower value first.")
    if window is None and case.unit == "HU" and dataset.images(case).dtype != np.uint8:
        raise _no_pairs(
            f"{case.id} holds HU from {case.value_range[0]:.0f} to {case.value_range[1]:.0f}, and a pair has 8 bit.",
            "Give a window, for example --window -100 300.",
        )


def _no_pairs(message: str, action: str) -> GANSegmentationError:
    return GANSegmentationError("no_pairs", message, action=action)


def _words(window: tuple[float, float] | None) -> str:
    hu = f"HU: grey 0 to 255 is {window[0]:g} to {window[1]:g} HU" if window else "HU: grey values as they were stored"
    return f"{hu}; other units of more than 8 bit: each case's own range, by its slope and intercept"


def _write_case(
    dataset: Dataset,
    case: Case,
    folder: Path,
    part: str,
    window: tuple[float, float] | None,
    labels: tuple[PairLabel, ...],
) -> PairCase:
    from PIL import Image

    images, masks = dataset.images(case), dataset.masks(case)
    scale = _scale(case, images, window)
    greys = np.zeros(256, np.uint8)
    for label in labels:
        greys[label.value] = label.grey
    files = []
    (folder / part).mkdir(exist_ok=True)
    known = [0, *(label.value for label in labels)]
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        if not np.isin(mask, known).all():
            raise _no_pairs(f"The masks of {case.id} hold values that no label explains.", "Prepare the dataset again.")
        pair = np.concatenate([_grey(image, case, scale), greys[mask]], axis=1)
        name = (Path(part) / f"{case.id}_{number:04d}.png").as_posix()
        Image.fromarray(pair).save(folder / name)
        files.append(name)
    return PairCase(
        id=case.id,
        patient=case.patient,
        modality=case.modality,
        unit=case.unit,
        slope=scale.slope,
        intercept=scale.intercept,
        value_range=scale.value_range,
        files=tuple(files),
        slice_index=case.slice_index,
        spacing_zyx=case.spacing_zyx,
        licence=case.licence,
        is_volume=case.is_volume,
    )


def _scale(case: Case, images: npt.NDArray[Any], window: tuple[float, float] | None) -> _Scale:
    if case.unit == "HU" and window is not None:
        low, high = window
    elif images.dtype == np.uint8:
        return _Scale(case.slope, case.intercept, case.value_range)
    else:
        lowest, highest = float(images.min()), float(images.max())
        if images.dtype.kind in "iu" and highest - lowest <= 255:
            # Whole numbers that fit: a shift loses nothing.
            return _Scale(case.slope, lowest * case.slope + case.intercept, case.value_range)
        ends = np.percentile(images, _PERCENTILES) * case.slope + case.intercept
        low, high = float(ends[0]), float(max(ends[1], ends[0] + 1e-6))
    return _Scale((high - low) / 255.0, low, (low, high))


def _grey(image: npt.NDArray[Any], case: Case, scale: _Scale) -> npt.NDArray[np.uint8]:
    """A slice in the grey values of a scale; what lies beyond it is clipped."""
    values = image.astype(np.float64) * case.slope + case.intercept
    return np.clip(np.rint((values - scale.intercept) / scale.slope), 0, 255).astype(np.uint8)
