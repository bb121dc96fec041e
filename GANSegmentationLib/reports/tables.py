"""Tables and JSON documents on disk and on a terminal; files are written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ..volumes.atomic import written_beside

Row = Mapping[str, Any]

# What Excel, LibreOffice and Google Sheets compute; a number with a sign is none.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?!(?:[0-9.]+(?:e[+-]?[0-9]+)?|inf|nan)?$)", re.IGNORECASE)


def write_csv(rows: Sequence[Row], path: Path, *, columns: Sequence[str] | None = None) -> Path:
    """Write rows as CSV (RFC 4180 with ``\\n``, UTF-8), atomically.

    Columns are those named, else all keys in the order they first appear. Numbers keep their full precision; None and
    NaN are empty cells, infinities ``inf`` and ``-inf``. A text that a spreadsheet would take for a formula, such as
    the name of a folder that begins with ``=``, gets an apostrophe before it (OWASP, CSV injection).

    Raises
    ------
    GANSegmentationError
        ``folder_not_found``, ``write_failed``.
    """
    columns = _columns(rows) if columns is None else columns
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[_harmless(_cell(row.get(column))) for column in columns] for row in rows])
    return _write_text(text.getvalue(), Path(path))


def write_json(value: object, path: Path) -> Path:
    """Write a JSON document (UTF-8, indented), atomically; see `json_ready` for what becomes of values.

    Raises
    ------
    GANSegmentationError
        ``folder_not_found``, ``write_failed``.
    """
    text = json.dumps(json_ready(value), indent=2, ensure_ascii=False, allow_nan=False)
    return _write_text(text + "\n", Path(path))


def json_ready(value: object) -> Any:
    """The value in JSON's own types.

    NaN and infinities, which JSON has not, become null; dataclasses (by their `to_dict` if they have one) and mappings
    become objects; sequences, sets and numpy arrays lists; numpy scalars numbers; paths text.

    Raises
    ------
    TypeError
        For a type that has no place in JSON.
    """
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return json_ready(value.tolist())
    if isinstance(value, np.generic):
        return json_ready(value.item())
    if isinstance(value, (set, frozenset)):
        return [json_ready(item) for item in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        if hasattr(value, "to_dict"):
            return json_ready(value.to_dict())
        return {field.name: json_ready(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def text_table(rows: Sequence[Row], *, columns: Sequence[str] | None = None, digits: int = 3) -> str:
    """Rows as a table of plain text: numbers flush right with `digits` decimals, text flush left, ``-`` for nothing."""
    columns = _columns(rows) if columns is None else columns
    cells = [[_shown(row.get(column), digits) for column in columns] for row in rows]
    numeric = [_is_numeric([row.get(column) for row in rows]) for column in columns]
    widths = [max(len(line[i]) for line in [columns, *cells]) for i in range(len(columns))]
    lines = [columns, ["-" * width for width in widths], *cells]
    return "".join(
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _cell(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def _shown(value: object, digits: int) -> str:
    value = _cell(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return "-" if value == "" else str(value)


def _is_numeric(values: Sequence[object]) -> bool:
    there = [value for value in map(_cell, values) if value != ""]
    return bool(there) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in there)


def _write_text(text: str, path: Path) -> Path:
    with written_beside(path) as folder:
        (folder / path.name).write_bytes(text.encode("utf-8"))
    return path
