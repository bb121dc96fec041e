"""Which score a run is judged by: its column in the log, and what people are told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from ...objectives import Objective
from ...objectives.domain import Domain


class ScoredCase(Protocol):
    """A case that was judged, of a patient of a source."""

    @property
    def patient(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def score(self) -> float: ...


def patient_scores(cases: Sequence[ScoredCase], source: str | None = None) -> dict[str, float]:
    """The mean score of each patient over the patient's cases, of one source or of all."""
    values: dict[str, list[float]] = {}
    for each in cases:
        if source in (None, each.source):
            values.setdefault(each.patient, []).append(each.score)
    return {patient: float(np.mean(scores)) for patient, scores in values.items()}


@dataclass(frozen=True)
class Score:
    """The validation score of a run; higher is better, and 1 is the most that it can be.

    Parameters
    ----------
    column:
        What log and checkpoints call it.
    name:
        What people are told: ``"Dice"``, within a sentence too.
    meaning:
        What it is, a sentence.
    """

    column: str
    name: str
    meaning: str


DICE: Final = Score(
    "dice",
    "Dice",
    "Dice of the masks before any post-processing, over all stored slices of a case; the mean over patients.",
)
SIMILARITY: Final = Score(
    "score",
    "similarity",
    "Similarity of painted to real slices: the mean of structure and texture, of slices painted from the patients' own "
    "masks; the mean over patients.",
)
TRANSLATION: Final = Score(
    "score",
    "translation score",
    "Translation score: the mean of structure (what is kept on the way into another domain and back) and likeness (to "
    "slices of that domain); the mean over patients. A copy of the slice itself reaches about a half.",
)


def score_of(objective: Objective) -> Score:
    """The score that validation judges this objective's generator by."""
    if objective.task == "segmentation":
        return DICE
    return TRANSLATION if isinstance(objective, Domain) else SIMILARITY
