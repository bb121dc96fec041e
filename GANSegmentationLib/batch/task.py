"""What a worker is told: once how to work, and then case by case what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..settings import read_settings, write_settings
from .cases import Case
from .outcome import CaseOutcome


@dataclass(frozen=True)
class WorkSettings:
    """How cases are segmented, the same for all of a run; the fields are those of `options.BatchOptions`.

    `package` is the path of a model package; empty to choose for each case by its modality. `models` is the path of the
    folder of imported models to choose from; empty for the user's own.
    """

    package: str = ""
    models: str = ""
    domain: str | None = None
    device: str = "auto"
    force: bool = False
    correct_tilt: bool = False
    surface_tolerance_mm: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return write_settings(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> WorkSettings:
        """The settings that `to_dict` described."""
        return read_settings(cls, fields, code="invalid_message")


@dataclass(frozen=True)
class Scan:
    """What to give `volumes.read_volume`."""

    path: str
    series_uid: str | None


@dataclass(frozen=True)
class Task:
    """One case for a worker: its files, and where to write the mask for the time being.

    `others` are the further channels of the case. `staged` lies in a folder of this task alone; whoever gave the task
    moves what is in there to its place.
    """

    case: str
    path: str
    series_uid: str | None
    files: tuple[str, ...]
    reference: str | None
    staged: str
    others: tuple[Scan, ...] = ()

    @classmethod
    def of(cls, case: Case, staged: Path) -> Task:
        """The task of doing a case."""
        reference = None if case.reference is None else str(case.reference)
        return cls(
            case=case.name,
            path=str(case.path),
            series_uid=case.series_uid,
            files=tuple(map(str, case.files)),
            reference=reference,
            staged=str(staged),
            others=tuple(Scan(str(other.path), other.series_uid) for other in case.others),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return write_settings(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Task:
        """The task that `to_dict` described."""
        return read_settings(cls, fields, code="invalid_message")


@dataclass(frozen=True)
class SliceProgress:
    """How far the case in hand is: slice `done` of `total`; `seconds_left` is None while nothing is known."""

    case: str
    done: int
    total: int
    seconds_left: float | None = None


@dataclass(frozen=True)
class Answer:
    """What came of a task: the outcome, and the checksum of the contents of its files as far as they were read."""

    outcome: CaseOutcome
    content: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return write_settings(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Answer:
        """The answer that `to_dict` described."""
        return read_settings(cls, fields, code="invalid_message")


class Engine(Protocol):
    """Does tasks, each in a process whose end harms nobody else.

    Every task that was submitted is answered once, with a failure if need be, unless the engine itself fails: then
    `answer` raises, and what was not answered has not been done.
    """

    @property
    def room(self) -> int:
        """How many more tasks it wants now; no more are kept waiting in it than memory is there for."""

    def submit(self, task: Task) -> None:
        """Take on a task."""

    def answer(self) -> Answer:
        """Wait for the next answer, in any order.

        Raises
        ------
        GANSegmentationError
            If no case could be done: the model or the device is not there, no process starts.
        """

    def close(self) -> None:
        """End all processes at once, whatever they are doing."""
