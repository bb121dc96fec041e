"""What is checked before the first training step, so that a bad dataset costs seconds and not a night."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import GANSegmentationError
from .dataset import Case, Dataset
from .splits import Split

_AIR_AND_BONE_RANGE_HU = 150.0
"""A CT slice set whose stored range is narrower than this has lost its HU to some window nobody wrote down."""

_WRAPPED_JUMPS = 0.007


@dataclass(frozen=True)
class Finding:
    """Something a person should know of a case: ``level`` is ``"error"`` or ``"warning"``."""

    level: str
    case: str
    text: str


def check_case(dataset: Dataset, case: Case) -> list[Finding]:
    """All findings of one case: shapes, changed files, label values, grey range, empty masks, wrapped 8-bit HU."""
    images, masks = dataset.images(case), dataset.masks(case)
    findings: list[Finding] = []
    if dataset.stored_fingerprint(case) != case.fingerprint:
        findings.append(Finding("error", case.id, "its files are not those that were prepared"))
    values = set(np.unique(masks).tolist())
    unknown = sorted(values - {0, *dataset.labels})
    if unknown:
        findings.append(Finding("error", case.id, f"its masks hold the values {unknown}, which no label explains"))
    if values <= {0}:
        findings.append(Finding("warning", case.id, "all its masks are empty"))
    if not np.isfinite(images).all():
        findings.append(Finding("error", case.id, "its images hold values that are not finite"))
    low = float(images.min()) * case.slope + case.intercept
    high = float(images.max()) * case.slope + case.intercept
    if case.unit == "HU" and high - low < _AIR_AND_BONE_RANGE_HU:
        findings.append(Finding("error", case.id, f"its values span only {low:.0f} to {high:.0f} HU"))
    if case.unit == "HU" and images.dtype == np.uint8 and case.slope == 1 and _looks_wrapped(dataset, case):
        findings.append(
            Finding("error", case.id, "negative HU were wrapped into 8 bit: air and fat lie among bright tissue")
        )
    return findings


def _looks_wrapped(dataset: Dataset, case: Case) -> bool:
    """Whether 8-bit grey values are HU modulo 256.

    Wrapping turns every crossing of 0, -256, -512 HU into a jump over the whole range, and tissue near 0 HU into salt
    and pepper. Measured shares of jumps above 200: at most 0.26 % in windowed abdominal CT, 1.5 to 3.5 % in wrapped.
    """
    steps = np.abs(np.diff(np.asarray(dataset.images(case), dtype=np.int16), axis=2))
    return bool(np.mean(steps > 200) > _WRAPPED_JUMPS)


def check_dataset(dataset: Dataset, split: Split | None = None) -> list[Finding]:
    """All findings of a dataset, errors first; with a split also that no patient is in two parts.

    Raises
    ------
    GANSegmentationError
        ``invalid_dataset`` if an array cannot be read at all, ``patient_leakage``.
    """
    if split is not None:
        split.check(dataset)
    findings = [finding for case in dataset.cases for finding in check_case(dataset, case)]
    return sorted(findings, key=lambda finding: (finding.level != "error", finding.case))


def require_sound(dataset: Dataset, split: Split | None = None) -> list[Finding]:
    """The warnings of a dataset that has no error.

    Raises
    ------
    GANSegmentationError
        ``unsound_dataset`` naming the first errors.
    """
    findings = check_dataset(dataset, split)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise GANSegmentationError(
            "unsound_dataset",
            f"{len(errors)} cases of the dataset cannot be trained on; {errors[0].case}: {errors[0].text}.",
            cause="The source files are damaged, or were exported with the wrong range or labels.",
            action="Mend or remove these cases and prepare the dataset again.",
            details="\n".join(f"{finding.case}: {finding.text}" for finding in errors),
        )
    return findings
