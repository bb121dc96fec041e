"""What a user may choose for a run besides the volume and the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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
    mode:
        ``NEW``, ``ADD``, ``REPLACE`` or ``MERGE``: where the result goes (`scene.OutputMode`, or its name). None:
        ``ADD`` to an output that is given, else ``NEW``.
    excludedSegments:
        Names of the model's structures that are not wanted.
    roi:
        A markups ROI node that limits the result; None for none.
    sliceRange:
        First and last slice across the model's plane, both included, from 0; None for all.
    allFrames:
        Segment every frame of the sequence that the volume shows, not only this one.
    batchSize:
        Slices at once; None for what suits network and device.
    postprocessing:
        Fields that replace the model's own cleaning (`GANSegmentationLib.models.PostProcessing`).
    """

    device: str = "auto"
    domain: str | None = None
    force: bool = False
    mode: Any = None
    excludedSegments: tuple[str, ...] = ()
    roi: Any = None
    sliceRange: tuple[int, int] | None = None
    allFrames: bool = False
    batchSize: int | None = None
    postprocessing: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CompareOptions:
    """Options of a comparison.

    Parameters
    ----------
    pairs:
        Which segments belong together (`scene.comparison.SegmentPair`); None for what terminology and names say.
    metrics:
        Names of the scores; None for all.
    surfaceToleranceMm:
        The tolerance of the surface Dice, mm; None leaves it out.
    resample:
        Bring a reference on another grid to the mask's.
    sliceScores:
        Also give the Dice of every slice, for the list of the worst.
    """

    pairs: Any = None
    metrics: tuple[str, ...] | None = None
    surfaceToleranceMm: float | None = None
    resample: bool = False
    sliceScores: bool = True
