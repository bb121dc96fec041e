"""``ganseg series``: what a DICOM study holds, and one series of it as a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .terminal import Subparsers, paragraph, print_json, print_table, warn

if TYPE_CHECKING:
    from ..volumes import SeriesInfo, Volume


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "series",
        description="List the series of a DICOM study: modality, description, slices, size, spacing, and whether each "
        "is a volume. With --output, write one of them as NRRD, NIfTI or MetaImage.",
        allow_abbrev=False,
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help="a DICOM folder with its sub-folders, or a DICOMDIR")
    parser.add_argument(
        "--series",
        metavar="UID|RULE",
        help="only this series: its UID, UID#2 for the second volume of a four-dimensional one, or a rule such as "
        "modality=MR,description=t2*,most-slices",
    )
    parser.add_argument(
        "--correct-tilt",
        action="store_true",
        help="resample a CT with a tilted gantry to a regular grid; without it, such a series is refused",
    )
    parser.add_argument(
        "--output", "-o", type=Path, metavar="FILE", help="write the series (.nrrd, .nii.gz, .nii, .mha or .mhd)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """List what there is, or write one series."""
    from ..volumes import find_series, list_series

    if args.output is not None:
        return _write(args)
    if args.series is not None:
        found = [find_series(args.study, series_uid=args.series, correct_tilt=args.correct_tilt)]
    else:
        found = list_series(args.study)
    if args.json:
        print_json({"series": [summary(one) for one in found]})
        return 0
    rows = [row for one in found for row in _rows(one)]
    print_table(["no.", "modality", "description", "state", "slices", "size", "spacing mm"], rows, text_columns=4)
    print()
    for one in found:
        print(f"{one.number or '-':>3}  {one.selector}")
        if one.problem is not None:
            paragraph(f"     {one.problem.message} {one.problem.action}", sys.stdout, indent=5)
    return 0


def summary(series: SeriesInfo) -> dict[str, Any]:
    """A series for ``--json``."""
    geometry = series.geometry
    return {
        "selector": series.selector,
        "uid": series.uid,
        "number": series.number,
        "modality": series.modality,
        "description": series.description,
        "part": series.part_label or None,
        "slices": series.slices,
        "files": len(series.files),
        "example": str(series.files[0]),
        "size_xyz": None if geometry is None else list(geometry.size),
        "spacing_xyz_mm": None if geometry is None else list(geometry.spacing),
        "tilt_corrected": None if series.tilt is None else series.tilt.degrees,
        "problem": None if series.problem is None else series.problem.to_dict(),
        "parts": [summary(part) for part in series.parts],
    }


def _write(args: argparse.Namespace) -> int:
    from ..volumes import TILT_FACT, read_volume, write_volume
    from .workflow import check_place, make_folder

    check_place(args.output, [args.study])
    volume = read_volume(args.study, series_uid=args.series, correct_tilt=args.correct_tilt)
    make_folder(args.output.parent)
    write_volume(volume, args.output)
    if TILT_FACT in volume.facts:
        warn([f"{volume.facts[TILT_FACT]}; a mask made from {args.output.name} lies on that grid."])
    elif args.correct_tilt:
        warn(["The gantry was not tilted: there was nothing to correct."])
    if args.json:
        print_json({"output": str(args.output), **_written(volume)})
    else:
        print(f"{volume.name}: {' x '.join(str(n) for n in volume.geometry.size)} voxels\n{args.output}")
    return 0


def _written(volume: Volume) -> dict[str, Any]:
    from ..volumes import TILT_FACT

    return {
        "modality": volume.modality,
        "name": volume.name,
        "size_xyz": list(volume.geometry.size),
        "spacing_xyz_mm": list(volume.geometry.spacing),
        "tilt_correction": volume.facts.get(TILT_FACT),
    }


def _rows(series: SeriesInfo) -> Sequence[Sequence[str]]:
    """The table's rows of a series: one for itself, one for each volume of a four-dimensional one."""
    state = "volume" if series.problem is None else series.problem.code
    spacing = "-" if series.geometry is None else " x ".join(f"{length:.3g}" for length in series.geometry.spacing)
    is_part = series.part is not None
    row = [
        f"#{series.part}" if is_part else series.number or "-",
        series.modality or "-",
        series.part_label if is_part else series.description or "-",
        state,
        str(series.slices),
        f"{series.columns} x {series.rows}",
        spacing,
    ]
    return [row, *(row for part in series.parts for row in _rows(part))]
