"""The one exception type of the project: what happened, why probably, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class GANSegmentationError(Exception):
    """A failure that a user can understand, the same text in the panel, on the command line and from the worker.

    Parameters
    ----------
    code:
        A stable snake_case word for programs and for translation, such as ``"modality_mismatch"``.
    message:
        What happened, in one sentence with the facts (file name, numbers).
    cause:
        The likely cause, in one sentence; empty where the message says it.
    action:
        What to do now, in one sentence.
    details:
        What only an expert or a log wants: a library's own message, a list of files.
    """

    def __init__(self, code: str, message: str, *, cause: str = "", action: str = "", details: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.cause = cause
        self.action = action
        self.details = details

    def __str__(self) -> str:
        return " ".join(part for part in (self.message, self.cause, self.action) if part)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.to_dict(),)

    def to_dict(self) -> dict[str, str]:
        """The error as plain types, for JSON and the worker protocol."""
        return {
            "code": self.code,
            "message": self.message,
            "cause": self.cause,
            "action": self.action,
            "details": self.details,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, str]) -> GANSegmentationError:
        """The error that `to_dict` described; missing parts are empty."""
        return cls(
            fields.get("code", "unknown"),
            fields.get("message", "An unknown error happened."),
            cause=fields.get("cause", ""),
            action=fields.get("action", ""),
            details=fields.get("details", ""),
        )


def _rebuild(fields: dict[str, str]) -> GANSegmentationError:
    return GANSegmentationError.from_dict(fields)
