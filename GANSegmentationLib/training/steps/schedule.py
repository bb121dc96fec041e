"""How the learning rate goes over a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import GANSegmentationError

KINDS = ("constant", "linear", "cosine", "polynomial", "plateau")


@dataclass(frozen=True)
class Schedule:
    """A factor on every learning rate: a pure function of the step and the scores so far, so that a resumed run
    continues exactly.

    Parameters
    ----------
    kind:
        ``constant``; ``linear`` (flat, then falling to the floor, pix2pix's recipe); ``cosine``; ``polynomial``;
        ``plateau``: the factor is multiplied by `decay` each time the validation score has not risen for more than
        `patience` epochs, down to the floor (as ``ReduceLROnPlateau`` of torch, so its settings carry over).
    warmup:
        Share of the run over which the factor rises from 0 to 1.
    flat:
        Share of the run before the fall begins.
    floor:
        The factor at the end, and never less.
    power:
        Of the polynomial; 0.9 is that of L.-C. Chen et al., *DeepLab*, 2016 (arXiv 1606.00915).
    patience, decay:
        Of the plateau.

    Raises
    ------
    GANSegmentationError
        ``invalid_preset`` for an unknown kind or a setting out of range.
    """

    kind: str = "constant"
    warmup: float = 0.0
    flat: float = 0.0
    floor: float = 0.0
    power: float = 0.9
    patience: int = 10
    decay: float = 0.5

    def __post_init__(self) -> None:
        _require(self.kind in KINDS, "kind", self.kind, f"one of {', '.join(KINDS)}")
        for name in ("warmup", "flat", "floor"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "in [0, 1]")
        _require(0 < self.power < math.inf, "power", self.power, "a positive number")
        _require(self.patience >= 0, "patience", self.patience, "0 or more epochs")
        _require(0 < self.decay < 1, "decay", self.decay, "between 0 and 1")

    def factor(self, step: int, total: int, history: Sequence[float] = ()) -> float:
        """The factor for the update number `step` (from 0) of `total`, after epochs with these validation scores."""
        progress = (step + 1) / max(total, 1)
        if progress < self.warmup:
            return progress / self.warmup
        if self.kind == "plateau":
            return max(self.floor, self.decay ** _plateaus(history, self.patience))
        if self.kind == "constant" or progress <= self.flat:
            return 1.0
        start = max(self.warmup, self.flat)
        fallen = min(max((progress - start) / max(1.0 - start, 1e-9), 0.0), 1.0)
        shape = 1.0 - fallen
        if self.kind == "cosine":
            shape = 0.5 * (1.0 + math.cos(math.pi * fallen))
        elif self.kind == "polynomial":
            shape = math.pow(1.0 - fallen, self.power)
        return self.floor + (1.0 - self.floor) * shape


def _plateaus(history: Sequence[float], patience: int) -> int:
    """How often the score has not risen above its best for more than `patience` epochs in a row.

    A score that is not a number is no rise. After each time the waiting begins anew, but the best stays.
    """
    best, waited, plateaus = -math.inf, 0, 0
    for score in history:
        if score > best:
            best, waited = score, 0
        else:
            waited += 1
        if waited > patience:
            waited, plateaus = 0, plateaus + 1
    return plateaus


def _require(condition: bool, name: str, value: object, what: str) -> None:
    if not condition:
        raise GANSegmentationError(
            "invalid_preset",
            f"The preset cannot be used: schedule.{name} is {value!r} and should be {what}.",
            cause="A setting is misspelt or out of range.",
            action="Compare with a preset that `ganseg train --list` shows.",
        )
