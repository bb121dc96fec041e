"""``ganseg prepare``: public data sets into the form that training reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from .terminal import Subparsers, paragraph, print_json, print_table, step_bar, warn, wrong_use

SAME_PATIENTS = "liver_ct_same_patients.json"


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "prepare",
        description="Import data sets into one dataset folder: grey values unchanged, one pair of arrays a case, a "
        "manifest with fingerprints. A run that was interrupted goes on where it stopped.",
        epilog="example: ganseg prepare --source lits_slices=LITS --source msd_slices=MSD --same-patients SAME.json "
        "--output prepared/liver_ct",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--source",
        action="append",
        required=True,
        metavar="LAYOUT=FOLDER",
        help="a data set and its layout: lits_slices, msd_slices or chaos_ct; may be given several times",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="the dataset folder to write")
    parser.add_argument(
        "--same-patients",
        type=Path,
        metavar="FILE",
        help=f"JSON that says which MSD cases are LiTS patients (default: {SAME_PATIENTS} beside a source's folder)",
    )
    parser.add_argument(
        "--label", default="Liver", metavar="NAME", help="what the masks' label 1 is called (default: Liver)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Import, check, and say what is there."""
    from ..datasets import check_dataset, prepare, same_patients

    sources = [_source(text) for text in args.source]
    known = args.same_patients or _beside(sources)
    aliases = same_patients(known) if known else None
    if aliases is None and {"lits_slices", "msd_slices"} <= {layout for layout, _ in sources}:
        danger = (
            "Many MSD cases are LiTS patients, and no list says which: without --same-patients one patient may train "
            "and validate, and every score is too good."
        )
        warn([danger])
    with step_bar("case") as show:
        dataset = prepare(sources, args.output, labels={1: args.label}, msd_to_lits=aliases, report=show)
    findings = check_dataset(dataset)
    by_source = {
        source: [case for case in dataset.cases if case.source == source]
        for source in sorted({case.source for case in dataset.cases})
    }
    rows = [
        {
            "source": source,
            "cases": len(cases),
            "patients": len({case.patient for case in cases}),
            "slices": sum(case.slices for case in cases),
            "with_foreground": sum(count > 0 for case in cases for count in case.foreground),
        }
        for source, cases in by_source.items()
    ]
    if args.json:
        print_json(
            {
                "folder": str(args.output),
                "fingerprint": dataset.fingerprint,
                "patients": len({case.patient for case in dataset.cases}),
                "sources": rows,
                "findings": [vars(finding) for finding in findings],
            }
        )
    else:
        print_table(
            ["source", "cases", "patients", "slices", "with foreground"],
            [[str(value) for value in row.values()] for row in rows],
        )
        print(
            f"{len({case.patient for case in dataset.cases})} patients in all, fingerprint {dataset.fingerprint[:16]}"
        )
        for finding in findings:
            paragraph(f"{finding.level.capitalize()}: {finding.case}: {finding.text}.")
    return 1 if any(finding.level == "error" for finding in findings) else 0


def _beside(sources: list[tuple[str, Path]]) -> Path | None:
    """The list of same patients that came with the data, if it lies beside a source's folder."""
    candidates = [folder.resolve().parent / SAME_PATIENTS for _, folder in sources]
    return next((path for path in candidates if path.is_file()), None)


def _source(text: str) -> tuple[str, Path]:
    layout, equals, folder = text.partition("=")
    if not equals:
        raise wrong_use(f"'{text}' is not of the form LAYOUT=FOLDER.", "Write for example lits_slices=path/to/folder.")
    return layout, Path(folder)
