"""The table of a model's segments: 3D Slicer's colour table as CSV, with terminology columns.

One row a label: ``LabelValue, Name, Color_R, Color_G, Color_B, Color_A`` (0 to 255), then CodingScheme, CodeValue and
CodeMeaning of Category, Type, TypeModifier, Region and RegionModifier (Slicer, modules/colors: "Color table file format
(.csv)"). Slicer opens and writes the same file.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import GANSegmentationError
from .atomic import written_beside
from .segments import Code, Segment

_COLOURS = ("Color_R", "Color_G", "Color_B")
_CODES = ("Category", "Type", "TypeModifier", "Region", "RegionModifier")
_CODE_PARTS = ("CodingScheme", "CodeValue", "CodeMeaning")
_COLUMNS = ("LabelValue", "Name", *_COLOURS, "Color_A", *(f"{code}_{part}" for code in _CODES for part in _CODE_PARTS))


def read_segment_table(path: str | os.PathLike[str]) -> tuple[Segment, ...]:
    """The segments of a table, in its order; a row for the background (value 0) is passed over.

    Raises
    ------
    GANSegmentationError
        ``file_not_found``, or ``invalid_segment_table`` with the line and what is wrong with it.
    """
    table = Path(path)
    try:
        text = table.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise GANSegmentationError(
            "file_not_found", f"There is no segment table {table}.", action="Check the path."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(table, "it cannot be read as UTF-8 text", repr(error)) from error
    return parse_segment_table(text, table)


def parse_segment_table(text: str, path: Path) -> tuple[Segment, ...]:
    """As `read_segment_table`, for the text of a table; `path` is named in errors."""
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    missing = {"LabelValue", "Name", *_COLOURS} - set(reader.fieldnames or ())
    if missing:
        raise _invalid(path, f"it lacks the columns {', '.join(sorted(missing))}")
    segments: list[Segment] = []
    try:
        for row in reader:
            segment = _segment(row)
            if segment is not None:
                segments.append(segment)
        _check(segments)
    except (ValueError, csv.Error) as error:
        raise _invalid(path, f"line {reader.line_num}: {error}") from error
    return tuple(segments)


def write_segment_table(segments: Sequence[Segment], path: str | os.PathLike[str]) -> Path:
    """Writes the segments as a table that 3D Slicer opens; the file is there whole or not at all.

    Raises
    ------
    GANSegmentationError
        ``invalid_segment_table`` if a segment is not valid or two share a value or name; ``folder_not_found``,
        ``file_exists``, ``write_failed``.
    """
    table = Path(path)
    try:
        _check(segments)
    except ValueError as error:
        raise _invalid(table, str(error)) from error
    text = format_segment_table(segments)
    with written_beside(table) as folder:
        (folder / table.name).write_text(text, encoding="utf-8", newline="\n")
    return table


def format_segment_table(segments: Sequence[Segment]) -> str:
    """The table as text."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for segment in segments:
        codes = (segment.category, segment.type, segment.type_modifier, segment.region, segment.region_modifier)
        parts = [part for code in codes for part in ((code.scheme, code.value, code.meaning) if code else ("",) * 3)]
        writer.writerow([segment.value, segment.name, *segment.colour, 255, *parts])
    return buffer.getvalue()


def _segment(row: Mapping[str, str | None]) -> Segment | None:
    cells = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str) and key}
    if not any(cells.values()):
        return None
    value = _whole(cells, "LabelValue", 0, 65535)
    if value == 0:
        return None
    red, green, blue = (_whole(cells, column, 0, 255) for column in _COLOURS)
    return Segment(value, cells["Name"], (red, green, blue), *(_code(cells, name) for name in _CODES))


def _whole(cells: Mapping[str, str], column: str, lowest: int, highest: int) -> int:
    text = cells.get(column, "")
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        raise ValueError(f"{column} is {text!r}, which is not a whole number from {lowest} to {highest}")
    return int(text)


def _code(cells: Mapping[str, str], name: str) -> Code | None:
    scheme, value, meaning = (cells.get(f"{name}_{part}", "") for part in _CODE_PARTS)
    if not (scheme or value or meaning):
        return None
    if not (scheme and value and meaning):
        raise ValueError(f"{name} has only a part of scheme, value and meaning ({scheme!r}, {value!r}, {meaning!r})")
    return Code(scheme, value, meaning)


def _check(segments: Sequence[Segment]) -> None:
    if not segments:
        raise ValueError("there is no segment")
    for attribute in ("value", "name"):
        entries = [getattr(segment, attribute) for segment in segments]
        twice = sorted({str(entry) for entry in entries if entries.count(entry) > 1})
        if twice:
            raise ValueError(f"the {attribute} {', '.join(twice)} is used twice")
    for segment in segments:
        if not 1 <= segment.value <= 65535:
            raise ValueError(f"the value {segment.value} of {segment.name!r} is not a label (1 to 65535)")
        if not segment.name.strip():
            raise ValueError(f"the segment with the value {segment.value} has no name")
        if len(segment.colour) != 3 or not all(0 <= channel <= 255 for channel in segment.colour):
            raise ValueError(f"the colour {segment.colour} of {segment.name!r} is not red, green, blue from 0 to 255")
        if (segment.category is None) != (segment.type is None):
            raise ValueError(f"{segment.name!r} has only one of category and type")


def _invalid(path: Path, what: str, details: str = "") -> GANSegmentationError:
    return GANSegmentationError(
        "invalid_segment_table",
        f"The segment table {path} cannot be used: {what}.",
        action="Correct the table; 3D Slicer's Colors module writes the same format.",
        details=details,
    )
