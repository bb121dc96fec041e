"""The ledger of a batch: one line of JSON for every event, on the disk before anything else happens.

What a batch has done is what its ledger says, whatever became of the process. Events:

``begin``
    A run begins: its ``settings``, the program's ``version``, how many ``cases`` there are.
``claim``
    A case is about to be done: ``fingerprint`` (see `fingerprint`), and ``why``: ``new``, ``interrupted``, ``changed``
    (input or reference), ``retry``, ``output_missing``.
``done``, ``failed``
    A case is settled: its ``outcome`` (`summary.CaseOutcome`), the checksum of its ``content``.
``end``, ``stopped``
    A run is over, or was stopped (``why``).

All carry the time (UTC) and the run's id. A line that was cut short by a crash can only be the last one: it is removed
when the ledger is opened, and what it would have said has not happened.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import GANSegmentationError

LEDGER_NAME = "batch.jsonl"

Event = Mapping[str, Any]


@dataclass(frozen=True)
class CaseRecord:
    """What the ledger knows of a case.

    Parameters
    ----------
    state:
        ``claimed`` (begun, its end is not known), ``done`` or ``failed``.
    fingerprint:
        Of the files that it was claimed with.
    content:
        Checksum of the contents of these files; empty where nobody came so far.
    outcome:
        Of the last time it was settled; None if it never was.
    claims:
        How often it was begun.
    """

    state: str
    fingerprint: str
    content: str
    outcome: Event | None
    claims: int


@dataclass(frozen=True)
class History:
    """A ledger read back: the settings of its last run (None: there was none), and every case by name."""

    settings: Event | None
    cases: Mapping[str, CaseRecord]


class Ledger:
    """The ledger of one run, open for writing.

    Raises
    ------
    GANSegmentationError
        ``damaged_ledger`` as `read_history`; ``write_failed``.
    """

    def __init__(self, path: Path, run: str) -> None:
        self.path = path
        self.run = run
        is_new = not path.exists()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            self._size = _whole_lines(self._file)
            os.ftruncate(self._file, self._size)
            if is_new:
                sync_folder(path.parent)
        except OSError as error:
            raise _write_failed(path, error) from error

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def write(self, event: str, **fields: Any) -> None:
        """Append an event; it is on the disk when this returns.

        Raises
        ------
        GANSegmentationError
            ``write_failed``; the ledger then ends with the last whole line.
        """
        time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line = json.dumps({"event": event, "time": time, "run": self.run, **fields}, allow_nan=False) + "\n"
        data = memoryview(line.encode())
        try:
            os.lseek(self._file, self._size, os.SEEK_SET)
            written = 0
            while written < len(data):  # a full disk takes a part of it, and refuses the next one
                written += os.write(self._file, data[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise _write_failed(self.path, error) from error
        self._size += len(data)


def read_history(path: Path) -> History:
    """What happened so far; nothing where there is no ledger.

    Raises
    ------
    GANSegmentationError
        ``damaged_ledger`` if a line other than the last is no event.
    """
    settings: Event | None = None
    cases: dict[str, CaseRecord] = {}
    for event in read_events(path):
        kind = event["event"]
        if kind == "begin":
            settings = event["settings"]
        elif kind in ("claim", "done", "failed"):
            name = event["case"]
            cases[name] = _next_record(cases.get(name), event)
    return History(settings, cases)


def read_events(path: Path) -> Iterator[Event]:
    """Every event of a ledger, in their order; raises as `read_history`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            event = json.loads(line)
            if not isinstance(event["event"], str):
                raise TypeError
        except (ValueError, KeyError, TypeError) as error:
            raise GANSegmentationError(
                "damaged_ledger",
                f"Line {number} of the ledger {path} is no event.",
                cause="The file was changed, or the disk is damaged.",
                action="Remove that line: its case is then done again. Or choose another output folder.",
                details=repr(error),
            ) from error
        yield event


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can (Windows cannot open folders)."""
    if os.name != "posix":  # pragma: no cover - another system
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _next_record(before: CaseRecord | None, event: Event) -> CaseRecord:
    claims = before.claims if before is not None else 0
    outcome = before.outcome if before is not None else None
    content = before.content if before is not None else ""
    if event["event"] == "claim":
        return CaseRecord("claimed", event["fingerprint"], content, outcome, claims + 1)
    return CaseRecord(event["event"], event["fingerprint"], event["content"], event["outcome"], claims)


def _whole_lines(file: int) -> int:
    """The bytes up to the end of the last whole line."""
    size = os.lseek(file, 0, os.SEEK_END)
    end = size
    while end:
        start = max(0, end - 65536)
        os.lseek(file, start, os.SEEK_SET)
        found = os.read(file, end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _write_failed(path: Path, error: OSError) -> GANSegmentationError:
    return GANSegmentationError(
        "write_failed",
        f"The ledger {path} cannot be written: {error.strerror or error}.",
        cause="The disk may be full or the folder read-only.",
        action="Make room and give the same command again: what is done is done.",
        details=repr(error),
    )
