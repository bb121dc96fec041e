"""How far a run is, and whether it shall stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import GANSegmentationError


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Parameters
    ----------
    stage:
        ``"prepare"``, ``"segment"`` or ``"postprocess"``; ``"translate"`` of a translation.
    done, total:
        Slices finished, and slices in all.
    seconds_left:
        Estimated seconds until the stage ends; None while there is nothing to estimate from.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None


class Countdown:
    """Reports progress of slices and estimates what is left.

    Parameters
    ----------
    total:
        Slices in all.
    report:
        Who hears of it; None for nobody.
    cancel:
        Asked whether to stop; None for never.
    """

    def __init__(
        self, total: int, report: Callable[[Progress], None] | None, cancel: Callable[[], bool] | None
    ) -> None:
        self._total = total
        self._report = report
        self._cancel = cancel
        self._stage = "segment"
        self._first: tuple[int, float] | None = None

    def enter(self, stage: str, done: int = 0) -> None:
        """A stage begins."""
        self._stage = stage
        self.check()
        self._say(stage, done, None)

    def advance(self, done: int) -> None:
        """So many slices of the present stage are done."""
        now = time.perf_counter()
        left = None
        if self._first is None:
            # The first batch pays for memory, kernels and caches: it says nothing about the speed of the rest.
            self._first = (done, now)
        else:
            first, since = self._first
            left = (now - since) / (done - first) * (self._total - done)
        self._say(self._stage, done, 0.0 if done == self._total else left)

    def check(self) -> None:
        """Raise the error ``cancelled`` if the user wants to stop."""
        if self._cancel is not None and self._cancel():
            what = "translation" if self._stage == "translate" else "segmentation"
            raise GANSegmentationError("cancelled", f"The {what} was cancelled.", action="Nothing was changed.")

    def _say(self, stage: str, done: int, left: float | None) -> None:
        if self._report is not None:
            self._report(Progress(stage, done, self._total, left))
