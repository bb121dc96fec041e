"""Requests to the worker in this process, and their events."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from GANSegmentationLib import protocol, worker


def never() -> bool:
    return False


def run(
    request: protocol.Message | Mapping[str, Any], cancel: Callable[[], bool] = never, **options: Any
) -> list[protocol.Message]:
    """The events of a request; each has to survive its line."""
    events: list[protocol.Message] = []
    fields = protocol.to_dict(request) if isinstance(request, protocol.Message) else request

    def emit(event: dict[str, Any]) -> None:
        events.append(protocol.decode(json.dumps(event, allow_nan=False)))
        assert protocol.to_dict(events[-1]) == event

    worker.handle(fields, emit, cancel, **options)
    return events


def result(events: list[protocol.Message]) -> Mapping[str, Any]:
    assert isinstance(events[-1], protocol.Result), events[-1]
    return events[-1].result


def failure(events: list[protocol.Message]) -> Mapping[str, Any]:
    assert isinstance(events[-1], protocol.Failed), events[-1]
    return events[-1].error
