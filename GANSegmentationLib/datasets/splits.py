"""Who trains, who validates, who tests: by patient."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import GANSegmentationError
from .dataset import Case, Dataset


@dataclass(frozen=True)
class Split:
    """The cases of each part. Made by `patient_split`; `check` proves that no patient is in two parts."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """A word for exactly this split, for model cards."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        text = "\n".join(f"{name}: {' '.join(sorted(cases))}" for name, cases in parts.items())
        return hashlib.sha256(text.encode()).hexdigest()

    def without_synthetic(self, dataset: Dataset) -> Split:
        """The split of the real cases alone: what was painted follows its patients, so the split is the same."""
        parts = (self.train, self.validation, self.test)
        return Split(*(tuple(case for case in part if not dataset.by_id[case].derived_from) for part in parts))

    def check(self, dataset: Dataset) -> None:
        """Prove that the parts share no patient and name only cases of the dataset.

        A synthetic case belongs to the patients whose masks it was painted from.

        Raises
        ------
        GANSegmentationError
            ``patient_leakage`` or ``unknown_case``.
        """
        parts: Mapping[str, Sequence[str]] = {"train": self.train, "validation": self.validation, "test": self.test}
        owner: dict[str, str] = {}
        for name, cases in parts.items():
            for case in cases:
                if case not in dataset.by_id:
                    raise GANSegmentationError("unknown_case", f"The split names the case {case}, which is not there.")
                patient = dataset.by_id[case].patient
                if owner.setdefault(patient, name) != name:
                    raise GANSegmentationError(
                        "patient_leakage",
                        f"The patient {patient} is in {owner[patient]} and in {name}.",
                        cause="Slices of one patient in two parts make every score too good.",
                        action="Split by patient.",
                    )
        for name, cases in parts.items():
            for case in cases:
                _check_parents(dataset.by_id[case], name, owner)


def _check_parents(case: Case, part: str, owner: Mapping[str, str]) -> None:
    """Nothing that was painted from a patient's masks is in another part than the patient."""
    for patient in case.derived_from:
        if owner.get(patient, part) != part:
            raise GANSegmentationError(
                "patient_leakage",
                f"The synthetic case {case.id} in {part} was painted from masks of {patient}, who is in "
                f"{owner[patient]}.",
                cause="It was made for another split, and what is learnt from it is learnt from that patient.",
                action="Synthesize again with a model of this split.",
            )


def patient_split(dataset: Dataset, *, validation: Sequence[str], test: Sequence[str] = ()) -> Split:
    """The split with these patients for validation and test and all others for training.

    All cases of a patient go to the patient's part, whatever source they come from.

    Raises
    ------
    GANSegmentationError
        ``unknown_patient``; ``patient_leakage`` if a patient is named twice; ``empty_split`` if nobody trains.
    """
    known = {case.patient for case in dataset.cases}
    missing = sorted((set(validation) | set(test)) - known)
    if missing:
        raise GANSegmentationError(
            "unknown_patient",
            f"The dataset has no patient {', '.join(missing)}.",
            cause="A source is missing from the prepared dataset, or the split belongs to another one.",
            action="Prepare the dataset with all sources that the preset names.",
        )
    both = sorted(set(validation) & set(test))
    if both:
        raise GANSegmentationError("patient_leakage", f"Named for validation and for test: {', '.join(both)}.")
    held_out = set(validation) | set(test)
    split = Split(
        train=tuple(case.id for case in dataset.cases if case.patient not in held_out),
        validation=tuple(case.id for case in dataset.cases if case.patient in set(validation)),
        test=tuple(case.id for case in dataset.cases if case.patient in set(test)),
    )
    if not split.train or not split.validation:
        raise GANSegmentationError("empty_split", "The split leaves no patient to train or none to validate.")
    split.check(dataset)
    return split


def random_patient_split(dataset: Dataset, *, fraction: float, seed: int) -> Split:
    """A split with a fraction of all patients, at least one, drawn for validation with a seeded generator."""
    patients = sorted({case.patient for case in dataset.cases})
    count = min(max(1, round(fraction * len(patients))), len(patients) - 1)
    drawn = np.random.default_rng(seed).choice(len(patients), size=max(count, 0), replace=False)
    return patient_split(dataset, validation=[patients[int(index)] for index in drawn])


def slice_split(
    dataset: Dataset, *, fraction: float, seed: int, allow_patient_leakage: bool = False
) -> tuple[frozenset[tuple[str, int]], frozenset[tuple[str, int]]]:
    """A split of slices, as the seeds' reports used: (training, validation), each ``(case, slice position)``.

    Only for reproducing published numbers beside honest ones: neighbouring slices of one patient land on both sides.

    Raises
    ------
    GANSegmentationError
        ``slice_split_refused`` unless `allow_patient_leakage` is given.
    """
    if not allow_patient_leakage:
        raise GANSegmentationError(
            "slice_split_refused",
            "A split by slice puts slices of one patient into training and validation.",
            cause="Scores from such a split say nothing about new patients.",
            action="Split by patient, or allow patient leakage explicitly to reproduce a published number.",
        )
    slices = [(case.id, position) for case in dataset.cases for position in range(case.slices)]
    order = np.random.default_rng(seed).permutation(len(slices))
    count = round(fraction * len(slices))
    validation = frozenset(slices[int(index)] for index in order[:count])
    return frozenset(slices) - validation, validation
