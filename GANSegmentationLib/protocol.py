"""The words of the border between the panel and the process that computes: one JSON object a line.

The panel sends commands (`RunSegment`, `RunCheck`, `RunCompare`, `Cancel`, `Quit`), the worker answers with events
(`Ready`, `Started`, `Stage`, `Progress`, `Log`, `Warn`, `Result`, `Cancelled`, `Failed`). Voxels never travel in a
message: they lie as ``.npy`` files in a private folder that the command names (`GANSegmentationLib.volumes.exchange`),
and a message says only which file and which grid.

Example
-------
>>> encode(Progress(id="7", stage="segment", done=3, total=12))
'{"event": "progress", "id": "7", "stage": "segment", "done": 3, "total": 12, "seconds_left": null}'
>>> decode('{"command": "cancel", "id": "7"}')
Cancel(id='7')
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from .errors import GANSegmentationError

PROTOCOL_VERSION = 1
"""Raised whenever a word or a field changes its meaning; `Ready` says it, and a panel refuses another version."""

JsonObject = Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """What all messages share: the words by which a line is recognised, such as ``{"event": "progress"}``."""

    WORDS: ClassVar[Mapping[str, str]] = types.MappingProxyType({})

    def __init_subclass__(cls, **words: str) -> None:
        super().__init_subclass__()
        cls.WORDS = types.MappingProxyType(words)


# Commands: from the panel to the worker


@dataclass(frozen=True)
class Cancel(Message, command="cancel"):
    """Stop the run `id` after the slice batch in hand."""

    id: str = ""


@dataclass(frozen=True)
class Quit(Message, command="quit"):
    """End the worker."""


@dataclass(frozen=True)
class Run(Message):
    """A job for the worker; `id` comes back in each of its events, `folder` is the run's private folder."""

    id: str
    folder: str


@dataclass(frozen=True)
class RunSegment(Run, command="run", job="segment"):
    """Segment volumes with a model; the labels come back as a file in `folder`.

    Parameters
    ----------
    volumes:
        Volumes on one grid in `folder`, as `volumes.exchange.save_volume` describes them, in the order of the model's
        channels.
    inputs:
        Instead of `volumes`: paths of image files or DICOM folders, one for each channel.
    model:
        The id of a model in the library; empty to choose by the modality of the first volume.
    package:
        Instead of `model`: the path of a model package.
    device:
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    domain:
        For models with domains; None to take it from the modality.
    force:
        Go on in spite of a modality that the model does not know.
    """

    volumes: tuple[JsonObject, ...] = ()
    inputs: tuple[str, ...] = ()
    model: str = ""
    package: str = ""
    device: str = "auto"
    domain: str | None = None
    force: bool = False


@dataclass(frozen=True)
class RunCheck(Run, command="run", job="check"):
    """Say what is suspicious about volumes for a model, without segmenting; the fields are those of `RunSegment`."""

    volumes: tuple[JsonObject, ...] = ()
    inputs: tuple[str, ...] = ()
    model: str = ""
    package: str = ""
    domain: str | None = None
    force: bool = False


@dataclass(frozen=True)
class RunCompare(Run, command="run", job="compare"):
    """Score a labelmap against a reference on the same grid.

    `mask` and `reference` are labelmaps in `folder`, as `volumes.exchange.save_labelmap` describes them.
    `surface_tolerance_mm` is the tolerance of the surface Dice; None leaves it out.
    """

    mask: JsonObject = field(default_factory=dict)
    reference: JsonObject = field(default_factory=dict)
    surface_tolerance_mm: float | None = None
    per_slice: bool = False


# Events: from the worker to the panel


@dataclass(frozen=True)
class Ready(Message, event="ready"):
    """The worker listens."""

    protocol: int
    pid: int
    device: str = ""


@dataclass(frozen=True)
class Started(Message, event="started"):
    """A run has begun."""

    id: str
    job: str


@dataclass(frozen=True)
class Stage(Message, event="stage"):
    """A run has come to another part of its work: ``read``, ``load``, ``segment``, ``compare``, ..."""

    id: str
    name: str


@dataclass(frozen=True)
class Progress(Message, event="progress"):
    """Slice `done` of `total`; `seconds_left` is None while nothing is known."""

    id: str
    stage: str
    done: int
    total: int
    seconds_left: float | None = None


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
    """A run has failed; `error` is what `GANSegmentationError.to_dict` gives."""

    id: str
    error: JsonObject


_MESSAGES: tuple[type[Message], ...] = (
    *(Cancel, Quit, RunSegment, RunCheck, RunCompare),
    *(Ready, Started, Stage, Progress, Log, Warn, Result, Cancelled, Failed),
)


def to_dict(message: Message) -> dict[str, Any]:
    """A message as plain types: its words first, then its fields."""
    values = {spec.name: getattr(message, spec.name) for spec in fields(message)}
    return {**message.WORDS, **{name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}}


def from_dict(message: Mapping[str, Any]) -> Message:
    """The message that `to_dict` described.

    Raises
    ------
    GANSegmentationError
        ``invalid_message`` if it is of no known kind, or a field is missing, unknown or of the wrong type.
    """
    kind = _kind(message)
    types_of = typing.get_type_hints(kind)
    known = {spec.name for spec in fields(kind)}
    unknown = message.keys() - known - kind.WORDS.keys()
    if unknown:
        raise _invalid(f"{_words(kind)} has the unknown fields {sorted(unknown)}")
    values = {}
    for name in known & message.keys():
        value = tuple(message[name]) if isinstance(message[name], list) else message[name]
        if not _is(value, types_of[name]):
            raise _invalid(f"the field {name!r} of {_words(kind)} is {message[name]!r}")
        values[name] = value
    try:
        return kind(**values)
    except TypeError as error:  # the dataclass names the fields that are missing
        raise _invalid(f"{_words(kind)} is incomplete", details=str(error)) from error


def encode(message: Message) -> str:
    """A message as one line of ASCII, without its end of line.

    Raises
    ------
    GANSegmentationError
        ``invalid_message`` if it holds what JSON does not have: NaN, infinity, an object.
    """
    try:
        return json.dumps(to_dict(message), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _invalid(f"{_words(type(message))} cannot be written as JSON", details=str(error)) from error


def decode(line: str) -> Message:
    """The message of one line.

    Raises
    ------
    GANSegmentationError
        ``invalid_message`` if the line is not JSON or not a message, as `from_dict` says.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"the line {_shortened(line)!r} is not JSON", details=str(error)) from error
    if not isinstance(message, dict):
        raise _invalid(f"the line {_shortened(line)!r} is not a JSON object")
    return from_dict(message)


def _kind(message: Mapping[str, Any]) -> type[Message]:
    for kind in _MESSAGES:
        if all(message.get(key) == word for key, word in kind.WORDS.items()):
            return kind
    raise _invalid(
        f"{ {key: message.get(key) for key in ('command', 'job', 'event') if key in message} } is no message"
    )


def _is(value: object, expected: Any) -> bool:
    """Whether a decoded JSON value is of a type as the fields above use them."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        return any(_is(value, option) for option in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_is(item, arguments[0]) for item in value)
    if origin is not None:
        return isinstance(value, origin)
    if expected is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, expected)


def _words(kind: type[Message]) -> str:
    return "/".join(kind.WORDS.values()) or kind.__name__


def _shortened(line: str, length: int = 80) -> str:
    return line if len(line) <= length else line[:length] + "..."


def _invalid(what: str, details: str = "") -> GANSegmentationError:
    return GANSegmentationError(
        "invalid_message",
        f"A message between the panel and its worker cannot be understood: {what}.",
        cause="The two are of different versions, or something else wrote to the worker's output.",
        action="Restart the application; install GANSegmentation again if it comes back.",
        details=details,
    )
