"""``ganseg demo``: the main job from end to end, on the embedded synthetic patient or on a scan of the user's."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .terminal import Subparsers, paragraph, print_json, warn, wrong_use

if TYPE_CHECKING:
    from .workflow import Scores, Segmented

LEAST_DICE = 0.90
"""What the shipped model must reach on the synthetic patient; below it the demo fails."""


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "demo",
        description="Write a synthetic patient as a DICOM series, segment it with the shipped model, compare the mask "
        "with the patient's reference and draw it; or do the same with a scan of yours.",
        epilog=f"Exit code 1 if the Dice on the synthetic patient is below {LEAST_DICE:.2f}.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--output", "-o", type=Path, default=Path("demo_output"), metavar="DIR", help="where to write (demo_output)"
    )
    parser.add_argument("--scan", type=Path, metavar="FOLDER", help="a scan of yours instead of the synthetic patient")
    parser.add_argument("--reference", type=Path, metavar="PATH", help="what to compare the mask of your scan with")
    parser.add_argument("--model", metavar="ID|PATH", help="a model's id or package (default: by the scan's modality)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(args: argparse.Namespace) -> int:
    """Make the scan if need be, segment it, and write mask, picture and scores."""
    if args.reference is not None and args.scan is None:
        raise wrong_use("A reference belongs to a scan.", "Give the scan with --scan.")
    from .workflow import make_folder, segment_scan

    folder: Path = args.output
    make_folder(folder)
    synthetic = args.scan is None
    scan, reference = write_synthetic_patient(folder) if synthetic else (args.scan, args.reference)
    outcome = segment_scan(
        [scan],
        folder / "segmentation.seg.nrrd",
        model=args.model,
        device=args.device,
        reference=reference,
        overlay=folder / "overlay.png",
    )
    write_scores(outcome, folder)
    warn(outcome.result.warnings)
    if args.json:
        print_json(outcome.to_dict())
    else:
        _tell(outcome, scan, reference)
    return 0 if not synthetic or good_enough(outcome.labels) else 1


def write_synthetic_patient(folder: Path) -> tuple[Path, Path]:
    """Write the synthetic patient as a DICOM series, and its reference; returns the paths of both."""
    from ..datasets import synthetic_patient
    from ..volumes import write_labelmap

    volume, labelmap = synthetic_patient.make(seed=0)
    scan = synthetic_patient.write_dicom_series(volume, folder / "synthetic_patient")
    return scan, write_labelmap(labelmap, folder / "reference.seg.nrrd", algorithm_name=None)


def write_scores(outcome: Segmented, folder: Path) -> None:
    """Write the table of the structures as ``scores.csv`` and the whole outcome as ``outcome.json``."""
    from ..reports import write_csv, write_json

    rows = [_flat(row) for row in outcome.labels] if outcome.labels else outcome.segments
    write_csv(rows, folder / "scores.csv")
    write_json(outcome.to_dict(), folder / "outcome.json")


def good_enough(labels: Sequence[Scores]) -> bool:
    """Whether the model has found the synthetic patient's organs as well as it must; says so on stderr if not."""
    poor = [row for row in labels if not _dice(row) >= LEAST_DICE]
    for row in poor:
        paragraph(f"The Dice of {row['name']} is {_dice(row):.3f}; the demo wants at least {LEAST_DICE:.2f}.")
    return bool(labels) and not poor


def _dice(row: Scores) -> float:
    return math.nan if row["dice"] is None else float(row["dice"])


def _flat(row: Scores) -> Scores:
    """A row of scores without the nested parts that a CSV cannot hold."""
    flat = {key: value for key, value in row.items() if key not in ("chaos", "slices")}
    return flat | {f"chaos_{key}": value for key, value in row["chaos"].items()}


def _tell(outcome: Segmented, scan: Path, reference: Path | None) -> None:
    card = outcome.package.card
    print(f"{card.title} ({card.id} {card.version}), {outcome.result.seconds:.1f} s on {outcome.result.device}\n")
    outcome.print_table()
    print(f"\nscan       {scan}")
    if reference is not None:
        print(f"reference  {reference}")
    print(f"mask       {outcome.output}  (opens in 3D Slicer, together with the scan)")
    print(f"picture    {outcome.overlay}")
    folder = outcome.output.parent
    print(f"scores     {folder / 'scores.csv'}, {folder / 'outcome.json'}")
