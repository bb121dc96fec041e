"""Events: from the worker to the panel."""

from __future__ import annotations

from dataclasses import dataclass, field

from .base import JsonObject, Message


@dataclass(frozen=True)
class Ready(Message, event="ready"):
    """The worker listens. It says so at once, before torch is imported, so it knows no device yet."""

    protocol: int
    pid: int


@dataclass(frozen=True)
class Released(Message, event="released"):
    """Model and memory are let go of.

    `ends` says that the worker ends itself: the memory that a GPU driver keeps for a process goes only with it.
    """

    ends: bool = False


@dataclass(frozen=True)
class Started(Message, event="started"):
    """A run has begun."""

    id: str
    job: str


@dataclass(frozen=True)
class Stage(Message, event="stage"):
    """A run has come to another part of its work.

    Segmenting: ``read``, ``load``, ``prepare``, ``segment``, ``postprocess``, ``save``; else ``compare``, ``batch``,
    ``export``, ``probe``.
    """

    id: str
    name: str


@dataclass(frozen=True)
class Device(Message, event="device"):
    """What computes a run: torch's word for it, and what a person calls it."""

    id: str
    device: str
    name: str


@dataclass(frozen=True)
class Progress(Message, event="progress"):
    """Slice `done` of `total`, in the stage ``batch`` case `done`; `seconds_left` is None while nothing is known.

    A batch tells cases in the stage ``batch``, and between them slices of the case in hand in the stage ``segment``.
    """

    id: str
    stage: str
    done: int
    total: int
    seconds_left: float | None = None


@dataclass(frozen=True)
class CaseDone(Message, event="case"):
    """A case of a batch is settled; `outcome` is what `batch.CaseOutcome.to_dict` gives."""

    id: str
    outcome: JsonObject


@dataclass(frozen=True)
class Log(Message, event="log"):
    """A line for the log; `level` is one of Python's, such as ``INFO``."""

    text: str
    level: str = "INFO"
    id: str = ""


@dataclass(frozen=True)
class Warn(Message, event="warning"):
    """Something that a user should know about a run that goes on; `code` is a stable snake_case word."""

    id: str
    code: str
    message: str


@dataclass(frozen=True)
class Result(Message, event="result"):
    """A run is done; what `result` holds depends on the job (`GANSegmentationLib.worker`)."""

    id: str
    job: str
    result: JsonObject


@dataclass(frozen=True)
class Cancelled(Message, event="cancelled"):
    """A run has stopped because it was asked to; it left nothing behind."""

    id: str


@dataclass(frozen=True)
class Failed(Message, event="error"):
    """A run has failed.

    `error` is what `GANSegmentationError.to_dict` gives. `retry` has the fields of the request that would be worth
    another try, such as ``{"device": "cpu"}`` after the memory of a GPU ran out; empty where there is none.
    """

    id: str
    error: JsonObject
    retry: JsonObject = field(default_factory=dict)
