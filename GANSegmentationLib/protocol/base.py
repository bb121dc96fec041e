"""What all messages share."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

PROTOCOL_VERSION = 2
"""Raised whenever a word or a field changes its meaning; `Ready` says it, and a panel refuses another version."""

JsonObject = Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """A message; `WORDS` are those by which its line is recognised, such as ``{"event": "progress"}``."""

    WORDS: ClassVar[Mapping[str, str]] = types.MappingProxyType({})

    def __init_subclass__(cls, **words: str) -> None:
        super().__init_subclass__()
        cls.WORDS = types.MappingProxyType(words)
