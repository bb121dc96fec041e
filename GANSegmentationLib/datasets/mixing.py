"""A real and a synthetic dataset as one: a view over two folders, in which nothing is copied."""

from __future__ import annotations

from dataclasses import replace

from ..errors import GANSegmentationError
from .dataset import Dataset

SYNTHETIC = "synthetic"
"""The source of painted cases."""


def join(real: Dataset, synthetic: Dataset) -> Dataset:
    """All cases of both, in the real one's folder but for the arrays of the synthetic cases.

    Raises
    ------
    GANSegmentationError
        ``not_synthetic`` if a case of `synthetic` does not say from whose masks it was painted; ``unknown_patient`` if
        it was painted from masks of somebody whom `real` does not know, so that no split could keep the two together;
        ``mixed_labels`` if a mask value means two things; ``duplicate_case`` if both have a case of one name.
    """
    _check_parents(real, synthetic)
    for value, name in synthetic.labels.items():
        if real.labels.get(value) != name:
            raise GANSegmentationError(
                "mixed_labels",
                f"The mask value {value} is {name} in the synthetic dataset and {real.labels.get(value)} in "
                f"{real.folder}.",
                cause="It was painted for another dataset.",
                action="Synthesize again from masks of this dataset.",
            )
    twice = sorted(set(real.by_id) & set(synthetic.by_id))
    if twice:
        raise GANSegmentationError(
            "duplicate_case",
            f"Both datasets have the cases {', '.join(twice[:5])}.",
            cause="They were joined before, or one folder was given twice.",
            action="Give the dataset that `ganseg prepare` wrote and the one that `ganseg synthesize` wrote.",
        )
    elsewhere = {case.id: synthetic.elsewhere.get(case.id, synthetic.folder) for case in synthetic.cases}
    return replace(real, cases=(*real.cases, *synthetic.cases), elsewhere={**real.elsewhere, **elsewhere})


def _check_parents(real: Dataset, synthetic: Dataset) -> None:
    known = {case.patient for case in real.cases}
    for case in synthetic.cases:
        if not case.derived_from:
            raise GANSegmentationError(
                "not_synthetic",
                f"{case.id} of {synthetic.folder} does not say from whose masks it was painted.",
                cause="The folder holds a real dataset.",
                action="Give the folder that `ganseg synthesize` wrote.",
            )
        strange = sorted(set(case.derived_from) - known)
        if strange:
            raise GANSegmentationError(
                "unknown_patient",
                f"{case.id} was painted from masks of {', '.join(strange)}, whom {real.folder} does not know.",
                cause="It was made from another dataset, or patients had other names there; they might validate here.",
                action="Synthesize again from masks of this dataset.",
            )
