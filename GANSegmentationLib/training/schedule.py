"""How the learning rate goes over a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import GANSegmentationError

KINDS = ("constant", "linear", "cosine", "polynomial")


@dataclass(frozen=True)
class Schedule:
    """A factor on every learning rate, a pure function of the step, so that a resumed run continues exactly.

    Parameters
    ----------
    kind:
        ``constant``; ``linear`` (flat, then falling to 0, pix2pix's recipe); ``cosine``; ``polynomial`` with power 0.9.
    warmup:
        Share of the run over which the factor rises from 0 to 1.
    flat:
        Share of the run before the fall begins.
    floor:
        The factor at the end.
    """

    kind: str = "constant"
    warmup: float = 0.0
    flat: float = 0.0
    floor: float = 0.0

    def factor(self, step: int, total: int) -> float:
        """The factor for the update number `step` (from 0) of `total`.

        Raises
        ------
        GANSegmentationError
            ``invalid_preset`` for an unknown kind.
        """
        if self.kind not in KINDS:
            raise GANSegmentationError(
                "invalid_preset",
                f"There is no learning rate schedule '{self.kind}'.",
                action=f"Choose one of {', '.join(KINDS)}.",
            )
        progress = (step + 1) / max(total, 1)
        if progress < self.warmup:
            return progress / self.warmup
        if self.kind == "constant" or progress <= self.flat:
            return 1.0
        start = max(self.warmup, self.flat)
        fallen = min(max((progress - start) / max(1.0 - start, 1e-9), 0.0), 1.0)
        shape = 1.0 - fallen
        if self.kind == "cosine":
            shape = 0.5 * (1.0 + math.cos(math.pi * fallen))
        elif self.kind == "polynomial":
            shape = math.pow(1.0 - fallen, 0.9)
        return self.floor + (1.0 - self.floor) * shape
