"""What a user may choose for a run besides the volume and the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SegmentOptions:
    """Options of a run; the defaults are right for most.

    Parameters
    ----------
    device:
        ``auto`` takes the fastest one that works; else ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    domain:
        For models with domains; None takes it from the modality.
    force:
        Segment in spite of a modality that the model does not know.
    """

    device: str = "auto"
    domain: str | None = None
    force: bool = False
