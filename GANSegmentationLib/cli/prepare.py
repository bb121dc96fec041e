"""``ganseg prepare``: public data sets into the form that training reads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .terminal import Subparsers, paragraph, print_json, print_table, step_bar, warn, wrong_use

if TYPE_CHECKING:
    from ..datasets import Dataset

SAME_PATIENTS = "liver_ct_same_patients.json"


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "prepare",
        description="Import data sets into one dataset folder: grey values unchanged, one pair of arrays a case, a "
        "manifest with fingerprints. A run that was interrupted goes on where it stopped.",
        epilog="example: ganseg prepare --source lits_slices=LITS --source msd_slices=MSD --same-patients SAME.json "
        "--output prepared/liver_ct; ganseg prepare --derive bone --from-dataset prepared/liver_ct "
        "--for-preset unet_ircad_liver_faithful --output prepared/bone",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="LAYOUT=FOLDER",
        help="a data set and its layout (chaos_ct, chaos_mr, lits_slices, lung_slices, msd_slices, ...); may be given "
        "several times",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="the dataset folder to write")
    parser.add_argument(
        "--same-patients",
        type=Path,
        metavar="FILE",
        help=f"JSON that says which MSD cases are LiTS patients (default: {SAME_PATIENTS} beside a source's folder)",
    )
    parser.add_argument(
        "--label", metavar="NAME", help="what the masks' label 1 is called (default: the layout's own word)"
    )
    parser.add_argument(
        "--derive",
        choices=("bone",),
        help="instead of importing, make a dataset of pseudo-labels: bones of CT by their brightness (HU > 200)",
    )
    parser.add_argument(
        "--from-dataset", type=Path, metavar="FOLDER", help="with --derive: the dataset to make it from"
    )
    parser.add_argument(
        "--for-preset",
        metavar="PRESET",
        help="with --derive: the preset that will learn from it later; only patients who train in it are used",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Import or derive, check, and say what is there."""
    _check_use(args)
    return _report(args, _derived(args) if args.derive else _imported(args))


def _check_use(args: argparse.Namespace) -> None:
    """Refuse arguments that cannot be meant together."""
    if args.derive:
        if args.source or args.same_patients or args.label:
            raise wrong_use("--derive takes a prepared dataset, not sources.", "Give --from-dataset and --for-preset.")
        if not args.from_dataset or not args.for_preset:
            raise wrong_use(
                "--derive needs --from-dataset and --for-preset.",
                "Name the preset whose validation patients nothing may be learnt from.",
            )
    elif not args.source:
        raise wrong_use("--source is needed.", "Write for example --source lits_slices=path/to/folder.")
    elif args.from_dataset or args.for_preset:
        raise wrong_use("--from-dataset and --for-preset belong to --derive.")


def _derived(args: argparse.Namespace) -> Dataset:
    """A dataset of pseudo-labels of the patients who train in a preset."""
    from ..datasets import Dataset, patient_split
    from ..datasets.pseudo_labels import derive_bone
    from ..training import load_preset
    from ..training.starting.preflight import dataset_of

    preset = load_preset(args.for_preset)
    used = dataset_of(preset, Dataset.open(args.from_dataset))
    split = patient_split(used, validation=preset.data.validation_patients)
    with step_bar("case") as show:
        derived = derive_bone(used.subset(split.train), args.output, report=show)
    for reason in dict.fromkeys(derived.left_out.values()):
        cases = [name for name, why in derived.left_out.items() if why == reason]
        paragraph(f"Left out: {len(cases)} cases ({cases[0]} and so on): {reason}.")
    return derived.dataset


def _imported(args: argparse.Namespace) -> Dataset:
    from ..datasets import labels_of, prepare, same_patients

    sources = [_source(text) for text in args.source]
    known = args.same_patients or _beside(sources)
    aliases = same_patients(known) if known else None
    if aliases is None and {"lits_slices", "msd_slices"} <= {layout for layout, _ in sources}:
        danger = (
            "Many MSD cases are LiTS patients, and no list says which: without --same-patients one patient may train "
            "and validate, and every score is too good."
        )
        warn([danger])
    labels = labels_of([layout for layout, _ in sources])
    if args.label:
        labels[1] = args.label
    with step_bar("case") as show:
        return prepare(sources, args.output, labels=labels, msd_to_lits=aliases, report=show)


def _report(args: argparse.Namespace, dataset: Dataset) -> int:
    """Check what was prepared and say what is there."""
    from ..datasets import check_dataset
    from ..datasets.integrity import condensed

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
        for finding in condensed(findings):
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
