"""What is checked before the first training step, so that a bad dataset costs seconds and not a night."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .dataset import Case, Dataset
from .likeness import Fingerprints, Likeness, alike, fingerprints
from .splits import Split

_AIR_AND_BONE_RANGE_HU = 150.0
"""A CT slice set whose stored range is narrower than this has lost its HU to some window nobody wrote down."""

_WRAPPED_JUMPS = 0.007
_LARGEST_HU = 30000.0
"""Metal reaches some 30,000 HU on extended scales; -1000 HU as an unsigned 16-bit number is 64,536."""
_PADDING_HU = -1100.0
"""Air is -1000 HU, and noise takes it to -1024; below are values that scanners write where they have not looked."""
_ROUNDING = 0.03
"""What a slope of few digits may add to the range of a source, as a share of it."""


@dataclass(frozen=True)
class Finding:
    """Something a person should know of a case: ``level`` is ``"error"``, ``"warning"`` or, of a report, ``"note"``."""

    level: str
    case: str
    text: str


@dataclass(frozen=True)
class _Examined:
    """What one look at a case's arrays told: findings, its mask values (None: no label map), fingerprints of slices."""

    findings: tuple[Finding, ...]
    values: frozenset[int] | None
    slices: Fingerprints


def check_case(dataset: Dataset, case: Case, *, withheld: bool = False) -> list[Finding]:
    """All findings of one case: changed files, types, label values, grey range, empty masks, wrapped HU.

    Parameters
    ----------
    withheld:
        Its masks are not used; nothing is said of their being empty.

    Raises
    ------
    GANSegmentationError
        ``invalid_dataset`` if an array cannot be read, or has another shape than the manifest says.
    """
    return list(_examine(dataset, case, withheld=withheld).findings)


def check_dataset(
    dataset: Dataset,
    split: Split | None = None,
    *,
    labels: Sequence[int] = (),
    unlabelled_patients: Collection[str] = (),
) -> list[Finding]:
    """All findings of a dataset, errors first.

    With a split also that no patient is in two parts, under one name or under two: slices of different patients that
    are the same picture are a warning, across the split or, without one, anywhere.

    Parameters
    ----------
    labels:
        The labels that are to be learnt. One that no training case has is an error, one that a validation patient lacks
        a warning.
    unlabelled_patients:
        Patients whose masks are withheld.

    Raises
    ------
    GANSegmentationError
        ``invalid_dataset`` if an array cannot be read at all, ``patient_leakage``.
    """
    if split is not None:
        split.check(dataset)
    examined = {
        case.id: _examine(dataset, case, withheld=case.patient in unlabelled_patients) for case in dataset.cases
    }
    values = {
        case.id: examined[case.id].values
        for case in dataset.cases
        if case.labelled and case.patient not in unlabelled_patients
    }
    findings = [
        *(finding for each in examined.values() for finding in each.findings),
        *_check_labels(dataset, split, labels, values),
        *_check_likeness(dataset, split, {name: each.slices for name, each in examined.items()}),
    ]
    return sorted(findings, key=lambda finding: (finding.level != "error", finding.case))


def require_sound(
    dataset: Dataset,
    split: Split | None = None,
    *,
    labels: Sequence[int] = (),
    unlabelled_patients: Collection[str] = (),
) -> list[Finding]:
    """The warnings of a dataset that has no error; the parameters are those of `check_dataset`.

    Raises
    ------
    GANSegmentationError
        ``unsound_dataset`` naming the first errors.
    """
    findings = check_dataset(dataset, split, labels=labels, unlabelled_patients=unlabelled_patients)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise GANSegmentationError(
            "unsound_dataset",
            f"The dataset cannot be trained on, for {len(errors)} reason{'s' if len(errors) > 1 else ''}; "
            f"{errors[0].case}: {errors[0].text}.",
            cause="The source files are damaged, or were exported with the wrong range or labels.",
            action="Mend or remove these cases and prepare the dataset again.",
            details="\n".join(f"{finding.case}: {finding.text}" for finding in errors),
        )
    return findings


def condensed(findings: Sequence[Finding], *, most: int = 3) -> list[Finding]:
    """The findings as people read them: what is true of more than `most` cases alike is said once for all of them."""
    alike: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        alike.setdefault((finding.level, finding.text), []).append(finding.case)
    shorter = []
    for (level, text), cases in alike.items():
        names = [f"{len(cases)} cases ({cases[0]} to {cases[-1]})"] if len(cases) > most else cases
        shorter += [Finding(level, name, text) for name in names]
    return shorter


def _examine(dataset: Dataset, case: Case, *, withheld: bool) -> _Examined:
    images, masks = np.asarray(dataset.images(case)), np.asarray(dataset.masks(case))
    texts: list[tuple[str, str]] = []
    if dataset.stored_fingerprint(case) != case.fingerprint:
        texts.append(("error", "its files are not those that were prepared"))
    values = (
        frozenset(int(value) for value in np.flatnonzero(np.bincount(masks.ravel())))
        if masks.dtype == np.uint8
        else None
    )
    texts += _check_masks(dataset, case, masks, values, withheld=withheld)
    texts += _check_images(case, images)
    findings = tuple(Finding(level, case.id, text) for level, text in texts)
    return _Examined(findings, values, fingerprints(case, images))


def _check_masks(
    dataset: Dataset, case: Case, masks: npt.NDArray[Any], values: frozenset[int] | None, *, withheld: bool
) -> Iterator[tuple[str, str]]:
    if values is None:
        yield "error", f"its masks are {masks.dtype}, and label maps are uint8"
        return
    unknown = sorted(values - {0, *dataset.labels})
    if unknown:
        yield "error", f"its masks hold the values {unknown}, which no label explains"
    for label in case.unmarked:
        name = dataset.labels.get(label, "which the dataset does not name")
        yield "warning", f"its masks say nothing of label {label} ({name}), which counts as background"
    if not case.labelled and values - {0}:
        yield "error", "it is said to have no masks, and its masks are not empty"
    if case.labelled and not withheld and values <= {0}:
        yield "warning", "all its masks are empty"


def _check_images(case: Case, images: npt.NDArray[Any]) -> Iterator[tuple[str, str]]:
    if images.dtype.kind not in "iuf":
        yield "error", f"its images are {images.dtype}, not numbers"
        return
    if not np.isfinite(images).all():
        yield "error", "its images hold values that are not finite"
        return
    low, high = (float(value) * case.slope + case.intercept for value in (images.min(), images.max()))
    if low == high:
        yield "error", "all its pixels have one value"
        return
    slack = 1 + _ROUNDING * (case.value_range[1] - case.value_range[0])
    if low < case.value_range[0] - slack or high > case.value_range[1] + slack:
        yield (
            "warning",
            "it holds values beyond the range that its source is said to have: slope or intercept are wrong",
        )
    if case.unit == "HU" and not case.derived_from:  # what a generator has painted was never exported by anything
        yield from _check_hounsfield(case, images, low, high)


def _check_hounsfield(case: Case, images: npt.NDArray[Any], low: float, high: float) -> Iterator[tuple[str, str]]:
    if high - low < _AIR_AND_BONE_RANGE_HU:
        yield "error", f"its values span only {low:.0f} to {high:.0f} HU"
    if high > _LARGEST_HU:
        yield "error", "negative HU were wrapped into unsigned 16 bit: air is brighter than metal"
    elif float(images.min()) >= 0 and float(images.max()) <= 255 and _looks_wrapped(images):
        yield "error", "negative HU were wrapped into 8 bit: air and fat lie among bright tissue"
    elif low >= 0 and case.value_range[0] < -500:
        yield "warning", "it has no value below 0 HU, though its source has air: the rescale intercept may be lost"
    if low < _PADDING_HU:
        yield "warning", "it holds values below air, which scanners write outside of their field of view: clip them"


def _looks_wrapped(images: npt.NDArray[Any]) -> bool:
    """Whether values of 0 to 255 are HU modulo 256.

    Wrapping turns every crossing of 0, -256, -512 HU into a jump over the whole range, and tissue near 0 HU into salt
    and pepper. Measured shares of jumps above 200: at most 0.26 % in windowed abdominal CT, 1.5 to 3.5 % in wrapped.
    """
    steps = np.abs(np.diff(images.astype(np.int16), axis=2))
    return bool(np.mean(steps > 200) > _WRAPPED_JUMPS)


def _check_labels(
    dataset: Dataset, split: Split | None, labels: Sequence[int], examined: Mapping[str, frozenset[int] | None]
) -> Iterator[Finding]:
    """The labels to learn are there; `examined` are the mask values of each case whose masks count."""
    train = set(dataset.by_id if split is None else split.train)
    values = {name: found for name, found in examined.items() if found is not None}
    learnt: set[int] = set().union(*(found for name, found in values.items() if name in train))
    unread = any(name in train and name not in values for name in examined)
    for label in dict.fromkeys(labels):
        name = f"label {label} ({dataset.labels.get(label, 'which the dataset does not name')})"
        if label not in learnt and unread:
            continue  # that its masks have the wrong type is said, and who knows what is in them
        if label not in learnt:
            yield Finding("error", "all training cases", f"none has {name}, so nothing could learn it")
        elif split is not None:
            patients: dict[str, bool] = {}
            for case in (dataset.by_id[each] for each in split.validation if each in values):
                patients[case.patient] = patients.get(case.patient, False) or label in values[case.id]
            lacking = [patient for patient, found in patients.items() if not found]
            yield from (Finding("warning", patient, f"it validates and has no {name}") for patient in lacking)


def _check_likeness(dataset: Dataset, split: Split | None, slices: Mapping[str, Fingerprints]) -> Iterator[Finding]:
    """Patients that seem to be one under two names, where that would matter."""
    patients = {case.id: case.patient for case in dataset.cases}
    if split is None:
        pairs = alike(slices, slices, patients)
    else:
        parts = [{name: slices[name] for name in part} for part in (split.train, split.validation, split.test)]
        pairs = [
            likeness for judged in parts[1:] for likeness in alike(judged, parts[0], patients)
        ]  # fmt: skip
    for likeness in pairs:
        yield Finding("warning", likeness.case, _words(likeness, split))


def _words(likeness: Likeness, split: Split | None) -> str:
    how = "the same picture as" if likeness.similarity == 1 else f"almost ({likeness.similarity:.3f}) the picture of"
    where = "" if split is None else ", which trains"
    return (
        f"patient_leakage: its slice {likeness.position} is {how} slice {likeness.other_position} of {likeness.other}"
        f"{where}, of another patient: they may be one under two names"
    )
