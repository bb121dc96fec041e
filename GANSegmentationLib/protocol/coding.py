"""A message as a line of JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import GANSegmentationError
from ..settings import read_settings, write_settings
from . import commands, events
from .base import Message

MESSAGES: tuple[type[Message], ...] = (
    *(commands.Cancel, commands.Release, commands.Quit),
    *(commands.RunSegment, commands.RunCheck, commands.RunCompare, commands.RunExport, commands.RunBatch),
    commands.RunProbe,
    *(events.Ready, events.Released, events.Started, events.Stage, events.Device, events.Progress, events.CaseDone),
    *(events.Log, events.Warn, events.Result, events.Cancelled, events.Failed),
)
"""Every kind of message."""

_SHOWN = 80


def to_dict(message: Message) -> dict[str, Any]:
    """A message as plain types: its words first, then its fields."""
    return {**message.WORDS, **write_settings(message)}


def from_dict(message: Mapping[str, Any]) -> Message:
    """The message that `to_dict` described.

    Raises
    ------
    GANSegmentationError
        ``invalid_message`` if it is of no known kind, or a field is missing, unknown or of the wrong type.
    """
    kind = _kind(message)
    fields = {key: value for key, value in message.items() if key not in kind.WORDS}
    try:
        return read_settings(kind, fields, code="invalid_message", where=_words(kind))
    except GANSegmentationError as error:
        raise _invalid(error.message) from error


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
        raise _invalid(f"the line {shortened(line)!r} is not JSON", details=str(error)) from error
    if not isinstance(message, dict):
        raise _invalid(f"the line {shortened(line)!r} is not a JSON object")
    return from_dict(message)


def shortened(line: str) -> str:
    """The beginning of a line, for a message about it."""
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."


def _kind(message: Mapping[str, Any]) -> type[Message]:
    for kind in MESSAGES:
        if all(message.get(key) == word for key, word in kind.WORDS.items()):
            return kind
    words = {key: message[key] for key in ("command", "job", "event") if key in message}
    raise _invalid(f"{shortened(str(words))} is no message")


def _words(kind: type[Message]) -> str:
    return "/".join(kind.WORDS.values()) or kind.__name__


def _invalid(what: str, details: str = "") -> GANSegmentationError:
    return GANSegmentationError(
        "invalid_message",
        f"A message between the panel and its worker cannot be understood: {what.rstrip('.')}.",
        cause="The two are of different versions, or something else wrote to the worker's output.",
        action="Restart the application; install GANSegmentation again if it comes back.",
        details=details,
    )
