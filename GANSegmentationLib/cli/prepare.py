"""``ganseg prepare``: public data sets into the form that training reads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .terminal import Subparsers, paragraph, print_json, print_table, step_bar, warn, wrong_use

if TYPE_CHECKING:
    from ..datasets import Dataset, Source
    from ..errors import GANSegmentationError

    LeftOut = list[tuple[str, GANSegmentationError]]

SAME_PATIENTS = "liver_ct_same_patients.json"


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "prepare",
        description="Import data sets into one dataset folder: grey values unchanged, one pair of arrays a case, a "
        "manifest with fingerprints. A run that was interrupted goes on where it stopped.",
        epilog="example: ganseg prepare --source lits_slices=LITS --source msd_slices=MSD --same-patients SAME.json "
        "--output prepared/liver_ct; ganseg prepare --derive bone --from-dataset prepared/liver_ct "
        "--for-preset unet_ircad_liver_faithful --output prepared/bone; ganseg prepare --write-pairs --from-dataset "
        "prepared/liver_ct --window -100 300 --output pairs/liver_ct",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="LAYOUT=FOLDER",
        help="a data set and its layout (chaos_ct, lits, msd, ircadb, paired, ...; --list shows all); may be given "
        "several times",
    )
    parser.add_argument("--list", action="store_true", help="list the layouts and their options, and do nothing")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="LAYOUT.OPTION=VALUE",
        help="an option of a layout, for example ircadb.structures=liver,leftkidney+rightkidney or msd.channel=T2",
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="the dataset folder to write")
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that read cases, each holding one in memory (default: 1); the dataset is the same",
    )
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out cases that cannot be imported, and name them (exit code 3), instead of making no dataset",
    )
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
        "--write-pairs",
        action="store_true",
        help="instead of importing, write a dataset as side-by-side PNG pairs, image left and mask right",
    )
    parser.add_argument(
        "--window",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="with --write-pairs: the HU that become grey 0 and 255",
    )
    parser.add_argument(
        "--from-dataset",
        type=Path,
        metavar="FOLDER",
        help="with --derive and --write-pairs: the dataset to make it from",
    )
    parser.add_argument(
        "--for-preset",
        metavar="PRESET",
        help="with --derive: the preset that will learn from it later; only patients who train in it are used. With "
        "--write-pairs: its validation patients go to val, the others to train",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Import or derive, check, and say what is there."""
    if args.list:
        return _list()
    _check_use(args)
    if args.write_pairs:
        return _pairs(args)
    left_out: LeftOut = []
    return _report(args, _derived(args) if args.derive else _imported(args, left_out), left_out)


def _check_use(args: argparse.Namespace) -> None:
    """Refuse arguments that cannot be meant together."""
    if args.output is None:
        raise wrong_use("--output is needed.", "Name the folder to write.")
    if args.derive and args.write_pairs:
        raise wrong_use("--derive and --write-pairs are two commands.", "Derive first, then write pairs of that.")
    if args.workers < 1:
        raise wrong_use(f"--workers is {args.workers}.", "Give 1 or more.")
    if args.window and not args.write_pairs:
        raise wrong_use("--window belongs to --write-pairs.", "A dataset keeps its values as they are.")
    if args.derive or args.write_pairs:
        what = "--derive" if args.derive else "--write-pairs"
        if args.source or args.same_patients or args.label or args.settings or args.skip_bad:
            raise wrong_use(f"{what} takes a prepared dataset, not sources.", "Give --from-dataset.")
        if args.derive and not (args.from_dataset and args.for_preset):
            raise wrong_use(
                "--derive needs --from-dataset and --for-preset.",
                "Name the preset whose validation patients nothing may be learnt from.",
            )
        if not args.from_dataset:
            raise wrong_use(f"{what} needs --from-dataset.", "Name the folder of the prepared dataset.")
    elif not args.source:
        raise wrong_use("--source is needed.", "Write for example --source lits_slices=path/to/folder.")
    elif args.from_dataset or args.for_preset:
        raise wrong_use("--from-dataset and --for-preset belong to --derive and --write-pairs.")


def _list() -> int:
    from ..datasets import layouts, options_of

    print_table(["layout", "options"], [[name, ", ".join(options_of(name))] for name in layouts()], text_columns=2)
    return 0


def _pairs(args: argparse.Namespace) -> int:
    """Write a dataset as pairs, and say where."""
    from ..datasets import Dataset
    from ..datasets.pair_export import write_pairs

    dataset = Dataset.open(args.from_dataset)
    validation = None
    if args.for_preset:
        from ..training import load_preset
        from ..training.starting.preflight import dataset_of

        preset = load_preset(args.for_preset)
        dataset, validation = dataset_of(preset, dataset), preset.data.validation_patients
    window = (args.window[0], args.window[1]) if args.window else None
    with step_bar("case") as show:
        folder = write_pairs(dataset, args.output, window=window, validation=validation, report=show)
    count = sum(case.slices for case in dataset.cases)
    if args.json:
        print_json({"folder": str(folder), "pairs": count, "cases": len(dataset.cases)})
    else:
        print(f"{count} pairs of {len(dataset.cases)} cases in {folder}; pairs.json says what their grey values mean.")
    return 0


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


def _imported(args: argparse.Namespace, left_out: LeftOut) -> Dataset:
    from ..datasets import labels_of, prepare, same_patients

    sources = _with_options([_source(text) for text in args.source], args.settings)
    known = args.same_patients or _beside(sources)
    aliases = same_patients(known) if known else None
    used = {source.layout for source in sources}
    if aliases is None and "msd_slices" in used and used & {"lits_slices", "lits", "msd", "ircadb"}:
        danger = (
            "Many MSD cases are LiTS patients, and no list says which: without --same-patients one patient may train "
            "and validate, and every score is too good."
        )
        warn([danger])
    labels = labels_of(sources)
    if args.label:
        labels[1] = args.label
    with step_bar("case") as show:
        return prepare(
            sources,
            args.output,
            labels=labels,
            msd_to_lits=aliases,
            report=show,
            workers=args.workers,
            left_out=(lambda name, error: left_out.append((name, error))) if args.skip_bad else None,
        )


def _report(args: argparse.Namespace, dataset: Dataset, left_out: LeftOut) -> int:
    """Check what was prepared, write the report beside it, and say what is there."""
    from ..datasets import Finding
    from ..datasets.integrity import condensed
    from ..datasets.inventory import dataset_report, write_report

    report = dataset_report(dataset, left_out)
    path = write_report(args.output, report)
    findings = [Finding(each["level"], each["case"], each["text"]) for each in report["findings"]]
    columns = ("source", "cases", "patients", "slices", "with_foreground")
    rows = [{name: source[name] for name in columns} for source in report["sources"]]
    if args.json:
        print_json({"folder": str(args.output), "report": str(path), **report, "sources": rows})
    else:
        print_table(
            [name.replace("_", " ") for name in columns], [[str(row[name]) for name in columns] for row in rows]
        )
        print()
        print_table(
            ["label", "cases", "pixels"],
            [[f"{each['value']} {each['name']}", str(each["cases"]), str(each["pixels"])] for each in report["labels"]],
        )
        print(f"\n{report['patients']} patients in all, fingerprint {dataset.fingerprint[:16]}, report in {path}")
        for finding in condensed(findings):
            case = dataset.by_id.get(finding.case)
            where = f" ({case.origin})" if case is not None and case.origin else ""
            paragraph(f"{finding.level.capitalize()}: {finding.case}{where}: {finding.text}.")
        for name, error in left_out:
            paragraph(f"Left out: {name}: {error.message}")
    if any(finding.level == "error" for finding in findings):
        return 1
    return 3 if left_out else 0


def _beside(sources: list[Source]) -> Path | None:
    """The list of same patients that came with the data, if it lies beside a source's folder."""
    candidates = [source.folder.resolve().parent / SAME_PATIENTS for source in sources]
    return next((path for path in candidates if path.is_file()), None)


def _source(text: str) -> Source:
    from ..datasets import Source

    layout, equals, folder = text.partition("=")
    if not equals:
        raise wrong_use(f"'{text}' is not of the form LAYOUT=FOLDER.", "Write for example lits_slices=path/to/folder.")
    return Source(layout, Path(folder))


def _with_options(sources: list[Source], settings: list[str]) -> list[Source]:
    """The sources with the options that ``--set`` gives their layouts."""
    options: dict[str, dict[str, str]] = {source.layout: {} for source in sources}
    for text in settings:
        name, equals, value = text.partition("=")
        layout, dot, option = name.partition(".")
        if not (equals and dot and option):
            raise wrong_use(f"'{text}' is not of the form LAYOUT.OPTION=VALUE.", "Write for example msd.channel=T2.")
        if layout not in options:
            raise wrong_use(
                f"--set {text}: no source has the layout '{layout}'.", f"The layouts are {', '.join(options)}."
            )
        options[layout][option] = value
    return [source._replace(options=options[source.layout]) for source in sources]
