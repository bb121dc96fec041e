"""``ganseg segment``: a scan goes in, a mask comes out."""

from __future__ import annotations

import argparse
from pathlib import Path

from .terminal import Subparsers, print_json, warn, wrong_use


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "segment",
        description="Segment a scan. The mask lies on the scan's own grid; its name decides the format "
        "(.seg.nrrd, .nrrd, .nii, .nii.gz, .mha, .mhd; .dcm for DICOM SEG, if the scan is DICOM).",
        allow_abbrev=False,
    )
    parser.add_argument(
        "input",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="a DICOM folder (or one file of the series), .nrrd, .nhdr, .nii, .nii.gz, .mha or .mhd; "
        "one for each channel of the model, on one grid",
    )
    parser.add_argument("--output", "-o", required=True, type=Path, metavar="MASK", help="the mask to write")
    parser.add_argument(
        "--model", metavar="ID|PATH", help="a model's id or package (default: the one for the scan's modality)"
    )
    parser.add_argument("--domain", metavar="NAME", help="the domain, for models that have several")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FILE|FOLDER",
        help="a mask (DICOM SEG too), or a folder of PNG slices, to compare with",
    )
    parser.add_argument(
        "--force", action="store_true", help="segment even if the model was not made for the scan's modality"
    )
    parser.add_argument(
        "--series",
        action="append",
        default=[],
        metavar="UID|RULE",
        help="the series to take from a folder with several, by its UID or by a rule such as "
        "modality=CT,description=*venous*,most-slices (see ganseg series); once for each INPUT",
    )
    parser.add_argument(
        "--correct-tilt",
        action="store_true",
        help="resample a CT with a tilted gantry to a regular grid, on which the mask will lie",
    )
    parser.add_argument(
        "--plausibility",
        type=Path,
        metavar="CSV",
        help="write how far each slice can be trusted, those to review first at the top: what the model's own "
        "discriminator thinks of it, if the package carries one, and the entropy of the mask's edge",
    )
    parser.add_argument("--overlay", type=Path, metavar="PNG", help="write a picture of slices with the mask")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(args: argparse.Namespace) -> int:
    """Segment, write, and say what was found."""
    if args.series and len(args.series) != len(args.input):
        raise wrong_use(
            f"{len(args.input)} inputs and {len(args.series)} series do not fit together.",
            "Give --series once for each INPUT, in the same order, or not at all.",
        )
    if args.overlay is not None and args.overlay.suffix.lower() != ".png":
        raise wrong_use(f"The picture {args.overlay.name} is not a .png.", "End its name with .png.")
    if args.plausibility is not None and args.plausibility.suffix.lower() != ".csv":
        raise wrong_use(f"The table {args.plausibility.name} is not a .csv.", "End its name with .csv.")
    from ..volumes import TILT_FACT
    from .workflow import segment_scan

    outcome = segment_scan(
        args.input,
        args.output,
        series=args.series,
        correct_tilt=args.correct_tilt,
        model=args.model,
        domain=args.domain,
        device=args.device,
        force=args.force,
        reference=args.reference,
        overlay=args.overlay,
        review=args.plausibility,
    )
    warn(outcome.result.warnings)
    for volume in outcome.volumes:
        if TILT_FACT in volume.facts:
            warn([f"{volume.facts[TILT_FACT]}; the mask lies on that grid."])
    if args.plausibility is not None and outcome.package.card.discriminator is None:
        warn([f"The model carries no discriminator: the slices are sorted by {outcome.result.review_signal}."])
    if args.json:
        print_json(outcome.to_dict())
        return 0
    outcome.print_table()
    card = outcome.package.card
    print(f"\n{card.title} ({card.id} {card.version}), {outcome.result.seconds:.1f} s on {outcome.result.device}")
    print(f"mask     {outcome.output}")
    if outcome.overlay is not None:
        print(f"picture  {outcome.overlay}")
    if args.plausibility is not None:
        print(f"slices   {args.plausibility}, sorted by {outcome.result.review_signal}")
    return 0
