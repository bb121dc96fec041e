"""The command ``ganseg``: each sub-command is one file of this room, imported only when it is the one asked for.

A command's file offers ``add_parser(subparsers)``, which declares its arguments, and ``run(args) -> int``, which does
the work and returns the exit code. What goes wrong is a `GANSegmentationError` and becomes one paragraph on stderr.

Exit codes: 0 fine, 1 failed, 2 wrong use, 3 some cases failed.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from .. import __version__

OK = 0
FAILED = 1
WRONG_USE = 2
SOME_FAILED = 3

COMMANDS: tuple[tuple[str, str], ...] = (
    ("segment", "segment a scan: a DICOM folder, NRRD, NIfTI or MetaImage file goes in, a mask comes out"),
    ("compare", "compare a mask with a reference: Dice, IoU, surface distances, volumes, CHAOS score"),
    ("series", "list the series of a DICOM study, and write one of them as a file"),
    ("batch", "segment every scan in a folder, and go on where it was stopped"),
    ("models", "list, show, import, remove and verify models"),
    ("prepare", "bring public data sets into the form that training reads"),
    ("train", "train a model from a preset"),
    ("synthesize", "paint new training slices from masks, with a model that has learnt to"),
    ("translate", "show a scan, or prepared cases with their masks, as they would look in another domain"),
    ("evaluate", "measure a model on prepared cases"),
    ("demo", "segment a synthetic patient, or a scan of yours, and show what came out"),
    ("doctor", "say what is installed, which device computes, and whether it works"),
)
"""Name and summary of every command; the file is ``cli/<name>.py``. Help needs no more than this table."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ganseg`` with these arguments, those of the process by default, and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = argparse.Namespace()
    _print_whatever_names_hold()
    try:
        code = _run_or_explain(arguments, args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of a pipe (``head``) has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        print("\nStopped. No half-written file is left behind.", file=sys.stderr)
        return FAILED


def _print_whatever_names_hold() -> None:
    """Names of files may hold what no character set can write; they are shown with escapes, and nothing fails."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run_or_explain(arguments: Sequence[str], args: argparse.Namespace) -> int:
    """Run the command, or say what went wrong; only a pipe without a reader is left to the caller."""
    try:
        return _run(arguments, args)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence: nobody should have to read a traceback
        return _explain(error, args)


def _run(arguments: Sequence[str], args: argparse.Namespace) -> int:
    """Parse into `args`, which an error's report looks at, and run the command."""
    parser, command = command_parser(arguments)
    try:
        parser.parse_args(arguments, namespace=args)
    except SystemExit as stop:  # argparse ends --help and wrong use this way
        return stop.code if isinstance(stop.code, int) else WRONG_USE
    if command is None:
        parser.print_help(sys.stderr)
        return WRONG_USE
    code: int = command.run(args)
    return code


def command_parser(arguments: Sequence[str]) -> tuple[argparse.ArgumentParser, ModuleType | None]:
    """The parser of a command line and the file of its command; of the other commands only the summaries."""
    parser = argparse.ArgumentParser(
        prog="ganseg",
        description="Organ segmentation of CT and MR volumes with GAN-trained generators. For research only.",
        epilog="ganseg COMMAND --help says more. Exit codes: 0 fine, 1 failed, 2 wrong use, 3 some cases failed.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"ganseg {__version__}")
    _add_debug(parser)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    wanted = next((argument for argument in arguments if not argument.startswith("-")), None)
    module = None
    for name, summary in COMMANDS:
        if name == wanted:
            module = importlib.import_module(f"{__name__}.{name}")
            module.add_parser(subparsers)
            _add_debug(subparsers.choices[name])
        else:
            subparsers.add_parser(name, help=summary)
    return parser, module


def _add_debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show where an error came from (as the environment variable GANSEG_DEBUG=1 does)",
    )


def _explain(error: Exception, args: argparse.Namespace) -> int:
    """Say what went wrong: a paragraph on stderr and, for ``--json``, an object on stdout. Returns the exit code."""
    from .terminal import known_error, paragraph, print_json

    debug = getattr(args, "debug", False) or os.environ.get("GANSEG_DEBUG", "") not in ("", "0")
    if debug:
        import traceback

        traceback.print_exception(error)
    known = known_error(error)
    paragraph(f"Error: {known} [{known.code}]")
    if debug and known.details:
        print(known.details, file=sys.stderr)
    if getattr(args, "json", False):
        print_json({"error": known.to_dict()})
    return WRONG_USE if known.code == "wrong_use" else FAILED
