"""What became of a case: plain facts that go through processes, ledger and tables alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import GANSegmentationError
from ..settings import read_settings, write_settings

Status = Literal["done", "failed", "pending"]


@dataclass(frozen=True)
class SegmentOutcome:
    """One structure of a mask: its label, its volume in ml, and what is odd about it (`flags`)."""

    name: str
    value: int
    volume_ml: float
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaseOutcome:
    """What became of a case.

    Parameters
    ----------
    case:
        Its name (`cases.Case`).
    status:
        ``done``, ``failed``, or ``pending`` where nobody came so far.
    seconds:
        Wall time of reading, segmenting, writing and comparing, as far as it came. Reading runs beside the work on
        another case, so that the seconds of all cases are more than those of the batch.
    model:
        The model's id and version, ``id version``.
    output, output_bytes:
        The mask, as path below the output folder with ``/``, and its size.
    flags:
        What is odd about the case: those of its structures, and ``out_of_range`` where the scan is not of the kind the
        model was made for (`flags`).
    warnings:
        ``code`` and ``message`` of each warning.
    scores:
        How each structure compares with the reference (`metrics.LabelScores.to_dict`); None without a reference.
    error:
        Why it failed, as `GANSegmentationError.to_dict`.
    """

    case: str
    status: Status
    seconds: float = 0.0
    model: str = ""
    device: str = ""
    modality: str | None = None
    output: str = ""
    output_bytes: int = 0
    segments: tuple[SegmentOutcome, ...] = ()
    flags: tuple[str, ...] = ()
    warnings: tuple[Mapping[str, str], ...] = ()
    scores: tuple[Mapping[str, Any], ...] | None = None
    error: Mapping[str, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return write_settings(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> CaseOutcome:
        """The outcome that `to_dict` described.

        Raises
        ------
        GANSegmentationError
            ``damaged_ledger`` if a field is unknown, missing or of the wrong type.
        """
        return read_settings(cls, fields, code="damaged_ledger", where="outcome")


def failed(case: str, error: GANSegmentationError, seconds: float = 0.0) -> CaseOutcome:
    """The outcome of a case that came to nothing."""
    return CaseOutcome(case, "failed", seconds, error=error.to_dict())
