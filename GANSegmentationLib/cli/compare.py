"""``ganseg compare``: how well does a mask agree with a reference?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GANSegmentationError
from .terminal import Subparsers, number, print_json, print_table, wrong_use

if TYPE_CHECKING:
    from ..volumes import Labelmap, SegChoice


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "compare",
        description="Compare a mask with a reference on the same grid: overlap, surface distances in mm, volumes, and "
        "the scores of the CHAOS challenge.",
        allow_abbrev=False,
    )
    parser.add_argument("mask", type=Path, metavar="MASK", help="a labelmap (DICOM SEG too), or a folder of PNG slices")
    parser.add_argument("reference", type=Path, metavar="REFERENCE", help="the same for the reference")
    parser.add_argument(
        "--scan",
        type=Path,
        metavar="INPUT",
        help="the scan of both: says where PNG slices lie, and what a mask was cropped or flipped from",
    )
    parser.add_argument(
        "--surface-tolerance",
        type=float,
        metavar="MM",
        help="also give the surface Dice: the share of the surfaces that lie within this distance",
    )
    parser.add_argument(
        "--segments",
        metavar="NAME,...",
        help="of a DICOM SEG, the segments to take, by name or number (default: all)",
    )
    parser.add_argument(
        "--overlaps",
        choices=("refuse", "first"),
        default="refuse",
        help="what to do with a voxel that several segments of a DICOM SEG share: refuse the file (default), or give "
        "it to the first of them",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="FRACTION",
        help="from which fraction on a voxel belongs to a segment of a fractional DICOM SEG, 0.5 for example",
    )
    parser.add_argument("--per-slice", action="store_true", help="also give the scores of every slice")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")


def run(args: argparse.Namespace) -> int:
    """Compare and print."""
    tolerance = args.surface_tolerance
    if tolerance is not None and not 0 <= tolerance < float("inf"):
        raise wrong_use(f"A surface tolerance of {tolerance} mm is not a distance.")
    if args.threshold is not None and not 0 < args.threshold <= 1:
        raise wrong_use(f"A threshold of {args.threshold} is not a fraction.", "Give a number above 0, up to 1.")
    from ..volumes import SegChoice
    from .workflow import print_scores, score

    names = None if args.segments is None else [_name(part.strip()) for part in args.segments.split(",")]
    choice = SegChoice(names, args.overlaps, args.threshold)
    mask, reference = _read(args.mask, args.reference, args.scan, choice)
    try:
        labels = score(mask, reference, surface_tolerance_mm=tolerance, per_slice=args.per_slice)
    except GANSegmentationError as error:
        if error.code == "geometry_mismatch":
            error.action += " If one was only cropped or flipped, name the scan of both with --scan."
        raise
    if args.json:
        print_json(
            {
                "mask": str(args.mask),
                "reference": str(args.reference),
                "surface_tolerance_mm": tolerance,
                "labels": labels,
            }
        )
        return 0
    print_scores(labels)
    if args.per_slice:
        for row in labels:
            print(f"\n{row['name']}, slice by slice")
            print_table(
                ["slice", "Dice"],
                [[str(each["index"]), number(each["dice"], 3)] for each in row["slices"]],
            )
    return 0


def _name(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def _read(mask: Path, reference: Path, scan: Path | None, choice: SegChoice) -> tuple[Labelmap, Labelmap]:
    """Both labelmaps; on the scan's grid if there is one, without resampling."""
    from ..volumes import read_labelmap
    from .workflow import read_scan

    geometry = None if scan is None else read_scan(scan, None).geometry
    try:
        first, second = (
            read_labelmap(path, geometry=geometry, series=scan, choice=choice) for path in (mask, reference)
        )
    except GANSegmentationError as error:
        if error.code == "series_needed":
            error.action = "Give the DICOM folder of the scan with --scan."
        raise
    return first, second
