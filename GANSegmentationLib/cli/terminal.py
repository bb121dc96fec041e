"""What the commands say: tables and JSON on stdout; errors, warnings and progress on stderr."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import GANSegmentationError

if TYPE_CHECKING:
    from ..inference import Progress

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Subparsers = Any


def wrong_use(message: str, action: str = "") -> GANSegmentationError:
    """The error for a command line that cannot be meant so: exit code 2."""
    return GANSegmentationError("wrong_use", message, action=action)


def known_error(error: Exception) -> GANSegmentationError:
    """The error in the project's own words: itself, a file or package that is not there, or a fault."""
    if isinstance(error, GANSegmentationError):
        return error
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return GANSegmentationError("file_error", f"{error.strerror}{where}.", details=repr(error))
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("GANSegmentationLib"):
        package = error.name.partition(".")[0]
        return GANSegmentationError(
            f"{package}_missing",
            f"The Python package {package} is not installed.",
            action="Install GANSegmentation again with what it needs; ganseg doctor lists it.",
            details=repr(error),
        )
    first_line = (str(error).strip().splitlines() or [""])[0]
    return GANSegmentationError(
        "internal_error",
        f"{type(error).__name__}: {first_line}",
        cause="This was not foreseen and is probably a fault of the program.",
        action="Run the same command again with --debug (or GANSEG_DEBUG=1) to see where it comes from.",
    )


def paragraph(text: str, stream: TextIO | None = None, *, indent: int = 0) -> None:
    """Print a paragraph, on stderr by default: wrapped for a person at a terminal, in one line for a log.

    `indent` is the column where the wrapped lines begin.
    """
    target = sys.stderr if stream is None else stream
    if target.isatty():
        width = min(shutil.get_terminal_size().columns, 100)
        lines = text.splitlines()  # a list within stays a list
        wrap = textwrap.TextWrapper(
            width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
        )
        text = "\n".join(wrap.fill(line) for line in lines)
    sys.stdout.flush()  # what was said before stays before, where both go to one file
    print(text, file=target, flush=True)


def warn(messages: Iterable[str]) -> None:
    """Print warnings on stderr, a paragraph each."""
    for message in messages:
        paragraph(f"Warning: {message}")


def print_json(value: object) -> None:
    """Print one JSON document on stdout; `reports.json_ready` says what becomes of values."""
    from ..reports import json_ready

    print(json.dumps(json_ready(value), indent=2, ensure_ascii=False, allow_nan=False))


def printable(text: str) -> str:
    """A name with escapes for line ends and control characters, which would move or recolour what a terminal shows."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def number(value: float | None, digits: int) -> str:
    """A number for a table; ``-`` where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1) -> None:
    """Print a table on stdout; the first `text_columns` columns are flush left, the others, numbers, flush right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in (headers, *rows)) for column in range(len(headers))]
    for row in (headers, ["-" * width for width in widths], *rows):
        cells = [
            cell.ljust(width) if column < text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


@contextmanager
def progress_bar() -> Iterator[Callable[[Progress], None] | None]:
    """A progress bar on stderr for `Predictor.segment`, or None where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit="slice", leave=False, dynamic_ncols=True, mininterval=0) as bar:  # few reports, each worth showing

        def show(progress: Progress) -> None:
            if bar.desc != f"{progress.stage}: " or bar.total != progress.total:
                bar.reset(total=progress.total)
                bar.set_description(progress.stage, refresh=False)
            bar.update(progress.done - bar.n)

        yield show


@contextmanager
def step_bar(unit: str) -> Iterator[Callable[[int, int, str], None] | None]:
    """A progress bar on stderr for ``report(done, total, what)``, or None where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit=unit, leave=False, dynamic_ncols=True) as bar:

        def show(done: int, total: int, what: str) -> None:
            bar.total = total
            bar.set_description(what, refresh=False)
            bar.update(done - bar.n)

        yield show
