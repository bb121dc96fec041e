"""Segment every scan in a folder from a script, without a window, a dialog or a scene.

In 3D Slicer::

    Slicer --no-splash --no-main-window --python-script segment_batch.py -- --input scans --output masks

and the same with PythonSlicer or any Python that has torch::

    PythonSlicer segment_batch.py --input scans --output masks --model liver-ct-supervised --reference truth

It is `ganseg batch` under names that a Slicer user expects: every other option of that command is understood, too, and
the same command goes on where it was stopped. One line is printed for each case. Exit codes: 0 all cases are done, 1 it
could not go on, 2 wrong use, 3 some cases failed.
"""

import argparse
import contextlib
import io
import os
import sys
from pathlib import Path


def main(arguments):
    """Run the batch with the arguments of a command line, and return the exit code."""
    parser = _parser()
    try:
        options, others = parser.parse_known_args(arguments)
    except SystemExit as stop:  # --help, and wrong use
        return stop.code if isinstance(stop.code, int) else 2
    _makeLibraryImportable()
    from GANSegmentationLib import cli, errors, interpreter

    # Whatever is started from here finds the same library.
    os.environ.update(interpreter.child_environment())
    command = ["batch", options.input, "--output", options.output, *others]
    if options.reference:
        command += ["--references", options.reference]
    try:
        interpreter.python_executable()
    except errors.GANSegmentationError as error:  # at once, and not case by case
        sys.stderr.write(f"Error: {error} [{error.code}]\n")
        return 1
    with contextlib.redirect_stderr(_Lines(sys.stderr)):
        if not options.json:
            return cli.main(command)
        return _runForJson(cli, command, Path(options.json))


def _parser():
    parser = argparse.ArgumentParser(
        prog="segment_batch.py",
        description="Segment every scan in a folder: DICOM series, NRRD, NIfTI and MetaImage files.",
        epilog="Exit codes: 0 all cases are done, 1 it could not go on, 2 wrong use, 3 some cases failed. All other "
        "options are those of: ganseg batch --help (--model, --format, --device, --force, --retry-failed, ...).",
        allow_abbrev=False,
    )
    parser.add_argument("--input", required=True, metavar="FOLDER", help="the folder with the scans")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where the masks go")
    parser.add_argument("--reference", metavar="FOLDER", help="references in the same places, to compare with")
    parser.add_argument("--json", metavar="FILE", help="where to write the outcome as JSON")
    return parser


def _runForJson(cli, command, target):
    """Run with the outcome as JSON, and put that into a file, which is there whole or not at all."""
    from GANSegmentationLib.errors import GANSegmentationError
    from GANSegmentationLib.volumes.atomic import written_beside

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = cli.main([*command, "--json"])
    if not said.getvalue():
        return code
    try:
        with written_beside(target) as folder:
            (folder / target.name).write_text(said.getvalue(), encoding="utf-8")
    except GANSegmentationError as error:
        sys.stderr.write(f"Error: {error} [{error.code}]\n")
        return 1
    return code


class _Lines:
    """A stream that is no terminal, so that the batch writes a line for each case and not a bar that moves.

    Slicer's own streams lack most of what a file has; what is missing is made up for here.
    """

    encoding = "utf-8"

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        self._stream.write(text)
        return len(text)

    def flush(self):
        if hasattr(self._stream, "flush"):
            self._stream.flush()

    def isatty(self):
        return False


def _makeLibraryImportable():
    """The library lies beside this folder in an installed extension, and one folder higher in a source checkout."""
    moduleFolder = Path(__file__).resolve().parents[1]
    for folder in (moduleFolder, moduleFolder.parent):
        if (folder / "GANSegmentationLib" / "__init__.py").is_file():
            if str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
            return


def ownArguments(argv):
    """The arguments for this script of a process's: those after ``--``, if Slicer has left that in, else all."""
    arguments = list(argv[1:])
    return arguments[arguments.index("--") + 1 :] if "--" in arguments else arguments


def end(code):
    """End the process with an exit code: Slicer has an event loop to leave, any other Python has not."""
    application = getattr(sys.modules.get("slicer"), "app", None)
    if application is None:
        sys.exit(code)
    import slicer.util

    slicer.util.exit(code)


if __name__ == "__main__":
    end(main(ownArguments(sys.argv)))
