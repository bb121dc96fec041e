"""``ganseg translate``: a scan, or the cases of a prepared dataset, as they would look in another domain."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .terminal import Subparsers, print_json, progress_bar, step_bar, warn, wrong_use

if TYPE_CHECKING:
    from ..inference import Translation, Translator
    from ..models import Package
    from ..volumes import Volume


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "translate",
        description="Show a scan as it would look in another domain (a CT as an MR), on its own grid, with a model "
        "whose generator translates; or translate the cases of a prepared dataset and keep their masks: labelled "
        "slices of a domain in which nobody has drawn them. What it paints is invented and only good to learn from.",
        epilog="examples: ganseg translate uagan.ganseg --input scan.nrrd --to MR --output as_mr.nrrd · "
        "ganseg translate uagan.ganseg --data prepared/ct --to MR --output prepared/ct_as_mr",
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL", help="a model that translates: its id, or a package")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--input", type=Path, metavar="SCAN", help="a DICOM folder, .nrrd, .nhdr, .nii, .nii.gz, .mha or .mhd"
    )
    what.add_argument("--data", type=Path, metavar="FOLDER", help="a prepared dataset")
    parser.add_argument("--to", required=True, metavar="DOMAIN", help="the domain to translate into, such as MR")
    parser.add_argument(
        "--output", "-o", required=True, type=Path, metavar="PATH", help="the scan, or the new folder, to write"
    )
    parser.add_argument(
        "--range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="values of the darkest and the brightest pixel (default: the window of the domain, or 0 to 1000 where its "
        "values have no unit)",
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    scan = parser.add_argument_group("a scan")
    scan.add_argument("--domain", metavar="NAME", help="the scan's own domain, where the file does not say it")
    scan.add_argument("--mask", type=Path, metavar="MASK", help="also write the model's mask of the scan")
    scan.add_argument("--series", metavar="UID", help="the series to take from a folder with several")
    scan.add_argument(
        "--force", action="store_true", help="translate even if the model was not made for the scan's modality"
    )
    data = parser.add_argument_group("a dataset")
    data.add_argument("--patients", nargs="+", default=[], metavar="NAME", help="only cases of these patients")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(args: argparse.Namespace) -> int:
    """Translate, write, and say what was written."""
    _check(args)
    from ..inference import Translator
    from .workflow import find_model

    package = find_model(args.model, None)
    translator = Translator(package, args.device)
    return _scan(args, package, translator) if args.input else _dataset(args, translator)


def _check(args: argparse.Namespace) -> None:
    """What the command line alone tells to be wrong."""
    if args.range and not args.range[0] < args.range[1]:
        raise wrong_use(f"--range {args.range[0]:g} {args.range[1]:g} is empty.", "Give the lower value first.")
    if args.input:
        if args.patients:
            raise wrong_use("--patients belongs to --data.")
        from ..volumes.files import WRITE_SUFFIXES, has_suffix
        from .workflow import check_output, check_place

        if not has_suffix(args.output, WRITE_SUFFIXES) or args.output.name.lower() in WRITE_SUFFIXES:
            raise wrong_use(
                f"The name of the scan to write, {args.output.name}, says no format that can be written.",
                f"End it with one of {', '.join(WRITE_SUFFIXES)}.",
            )
        check_place(args.output, (args.input,))
        if args.mask:
            check_output(args.mask, args.input)
            check_place(args.mask, (args.input,))
            if args.mask.resolve() == args.output.resolve():
                raise wrong_use(f"{args.mask} would be scan and mask.", "Give two names.")
        return
    for name in ("domain", "mask", "series", "force"):
        if getattr(args, name):
            raise wrong_use(f"--{name} belongs to --input.")


def _scan(args: argparse.Namespace, package: Package, translator: Translator) -> int:
    from ..volumes import write_volume
    from .workflow import make_folder, read_scan

    if args.mask and package.card.task != "segmentation":
        raise wrong_use(f"{package.card.id} makes no masks.", "Leave --mask out.")
    volume = read_scan(args.input, args.series)
    with progress_bar() as progress:
        done = translator.translate(
            volume, args.to, domain=args.domain, force=args.force, values=args.range, progress=progress
        )
    make_folder(args.output.parent)
    write_volume(done.volume, args.output)
    if args.mask:
        _write_mask(args, package, volume)
    warn(done.warnings)
    _say(args, done, package)
    return 0


def _write_mask(args: argparse.Namespace, package: Package, volume: Volume) -> None:
    """The mask that `ganseg segment` finds in the scan: with the translation a labelled pair of the other domain."""
    from ..inference import Predictor
    from ..volumes import find_series, write_labelmap
    from .workflow import make_folder

    with progress_bar() as progress:
        found = Predictor(package, args.device).segment(
            [volume], domain=args.domain, force=args.force, progress=progress
        )
    make_folder(args.mask.parent)
    is_dicom_seg = args.mask.name.lower().endswith(".dcm")
    source = find_series(args.input, series_uid=args.series) if is_dicom_seg else None
    algorithm = f"{package.card.title} {package.card.version}"
    write_labelmap(found.labelmap, args.mask, algorithm_name=algorithm, source=source)


def _say(args: argparse.Namespace, done: Translation, package: Package) -> None:
    card, values = package.card, done.values
    if args.json:
        fields: dict[str, Any] = {
            "output": str(args.output),
            "mask": None if args.mask is None else str(args.mask),
            "model": {"id": card.id, "title": card.title, "version": card.version},
            **done.to_dict(),
        }
        print_json(fields)
        return
    unit = values.unit if values.unit == "HU" else "without a unit"
    print(f"{done.source} as {done.target}, values {values.low:g} to {values.high:g} {unit}: {args.output}")
    if args.mask is not None:
        print(f"mask     {args.mask}")
    print(f"{card.title} ({card.id} {card.version}), {done.seconds:.1f} s on {done.device}. What it shows is invented.")


def _dataset(args: argparse.Namespace, translator: Translator) -> int:
    from ..datasets import Dataset
    from ..training.synthesis.translated import translate_dataset

    dataset = Dataset.open(args.data)
    with step_bar("case") as show:
        written = translate_dataset(
            translator, dataset, args.to, args.output, patients=args.patients, values=args.range, report=show
        )
    slices, labelled = (
        sum(case.slices for case in written.cases if chosen(case))
        for chosen in (lambda case: True, lambda case: case.labelled)
    )
    result = {
        "folder": str(args.output),
        "model": translator.card.id,
        "target": translator.domain(args.to),
        "fingerprint": written.fingerprint,
        "cases": len(written.cases),
        "slices": slices,
        "labelled_slices": labelled,
        "patients": sorted({case.patient for case in written.cases}),
    }
    if args.json:
        print_json(result)
    else:
        print(
            f"{result['cases']} cases as {result['target']}, {slices} slices, {labelled} of them with the masks of "
            f"their scans, in {args.output}."
        )
    return 0
