"""What is left to do, told from the cases that are there and the ledger of what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import GANSegmentationError
from .cases import Case
from .fingerprint import content_checksum, fingerprint
from .ledger import CaseRecord, History
from .outcome import CaseOutcome


@dataclass(frozen=True)
class Planned:
    """A case, and why it is to be done.

    Parameters
    ----------
    fingerprint:
        Of its files now.
    why:
        ``new``, ``interrupted``, ``changed``, ``retry`` or ``output_missing``; empty where it is settled.
    outcome:
        Of the last time; None if it was never settled.
    owns_mask:
        Whether a mask in its place is its own: it was done, or begun and not ended.
    """

    case: Case
    fingerprint: str
    why: str
    outcome: CaseOutcome | None
    owns_mask: bool


def plan(cases: Sequence[Case], history: History, output: Path, *, retry_failed: bool) -> list[Planned]:
    """What to do with every case, in their order.

    Raises
    ------
    GANSegmentationError
        ``damaged_ledger`` if an outcome in the ledger cannot be read.
    """
    return [_plan(case, history.cases.get(case.name), output, retry_failed) for case in cases]


def check_settings(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> None:
    """Refuse to go on in a folder that was begun with other settings: its masks would not be of one kind.

    Raises
    ------
    GANSegmentationError
        ``batch_settings_differ``.
    """
    differing = [] if before is None else [name for name in now if before.get(name) != now[name]]
    if before is None or not differing:
        return
    what = "; ".join(f"{name} was {_shown(before.get(name))}, now {_shown(now[name])}" for name in differing)
    raise GANSegmentationError(
        "batch_settings_differ",
        f"The output folder was begun with other settings: {what}.",
        action="Give the same settings to go on with it, or choose another output folder.",
    )


def _plan(case: Case, record: CaseRecord | None, output: Path, retry_failed: bool) -> Planned:
    now = fingerprint(case.files)
    if record is None:
        return Planned(case, now, "new", None, False)
    outcome = None if record.outcome is None else CaseOutcome.from_dict(record.outcome)
    owns = record.state == "claimed" or (outcome is not None and outcome.status == "done")
    return Planned(case, now, _why(case, record, now, outcome, output, retry_failed), outcome, owns)


def _why(
    case: Case, record: CaseRecord, now: str, outcome: CaseOutcome | None, output: Path, retry_failed: bool
) -> str:
    if record.state == "claimed" or outcome is None:
        return "interrupted"
    if record.fingerprint != now and not _same_contents(case, record.content):
        return "changed"
    if record.state == "failed":
        return "retry" if retry_failed else ""
    mask = output / outcome.output
    return "" if mask.is_file() and mask.stat().st_size == outcome.output_bytes else "output_missing"


def _same_contents(case: Case, content: str) -> bool:
    try:
        return bool(content) and content_checksum(case.files) == content
    except OSError:
        return False


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(part)[:12] if key.endswith("sha256") else str(part) for key, part in value.items())
    return "not given" if value is None else str(value)
