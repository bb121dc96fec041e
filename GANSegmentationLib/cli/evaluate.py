"""``ganseg evaluate``: how good a model is on prepared cases, patient by patient."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GANSegmentationError
from .terminal import Subparsers, number, print_json, print_table, step_bar, warn, wrong_use

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..models import Package
    from ..training import CaseScore, Preset


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "evaluate",
        description="Segment prepared cases with a model, the way a scan is segmented, and score them: every case, and "
        "means over patients with 95 % bootstrap intervals. Without a choice of patients, the validation patients of "
        "the preset that the model's card names.",
        allow_abbrev=False,
    )
    parser.add_argument("model", metavar="MODEL", help="a model's id, or a package")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="a dataset of `ganseg prepare`")
    parser.add_argument("--patients", nargs="+", metavar="NAME", help="these patients")
    parser.add_argument("--all", action="store_true", help="all patients of the dataset")
    parser.add_argument("--source", metavar="LAYOUT", help="only cases of this source")
    parser.add_argument("--against", metavar="MODEL", help="a second model, compared on the same cases, paired")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write cases.csv and summary.json there")
    parser.add_argument(
        "--release",
        type=Path,
        metavar="FOLDER",
        help="with --against: write both packages there with the figures on their cards, the better one as default",
    )
    parser.add_argument(
        "--test-data", type=Path, metavar="FOLDER", help="with --release: a dataset of unseen cases for the cards"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print."""
    from ..datasets import Dataset
    from ..training import paired_difference, summarise
    from .workflow import find_model

    dataset = Dataset.open(args.data)
    package = find_model(args.model, None)
    if args.test_data and not args.release:
        raise wrong_use("--test-data belongs to --release.", "Evaluate the dataset itself with --data and --all.")
    cases = _cases(args, dataset, package)
    if args.release:
        return _release(args, dataset, package, cases)
    scores = _evaluate(package, dataset, cases, args.device)
    result: dict[str, Any] = {
        "model": package.card.id,
        "version": package.card.version,
        "dataset": dataset.fingerprint,
        "cases": [score.to_dict() for score in scores],
        "summary": [
            {"source": each.source, "score": each.score, **each.interval.to_dict()} for each in summarise(scores)
        ],
    }
    if args.against:
        other = find_model(args.against, None)
        theirs = _evaluate(other, dataset, cases, args.device)
        result["against"] = {
            "model": other.card.id,
            "version": other.card.version,
            "cases": [score.to_dict() for score in theirs],
            "dice_difference": {
                source: paired_difference(scores, theirs, None if source == "all" else source).to_dict()
                for source in [*sorted({score.source for score in scores}), "all"]
            },
        }
    if args.output:
        _write(result, args.output)
    if args.json:
        print_json(result)
    else:
        _print(result)
    return 0


def _release(args: argparse.Namespace, dataset: Dataset, package: Package, cases: list[str]) -> int:
    """Write the two packages with what was measured; said in words or JSON."""
    from ..datasets import Dataset as Prepared
    from ..training import release_twins
    from .workflow import find_model

    if not args.against:
        raise wrong_use("--release compares two models.", "Name the second one with --against.")
    with step_bar("case") as show:
        release = release_twins(
            (package, find_model(args.against, None)),
            dataset,
            cases,
            args.release,
            source=_preset_of(package).data.score_source,
            test=Prepared.open(args.test_data) if args.test_data else None,
            device=args.device,
            report=show,
        )
    difference = release.difference.to_dict()
    if args.json:
        print_json({"default": str(release.default), "other": str(release.other), "dice_difference": difference})
    else:
        print(f"The default is {release.default}, the other {release.other}.")
        print(
            f"Dice difference on validation: {number(release.difference.mean, 4)} ({_range(difference)}), "
            f"{release.difference.n} patients."
        )
    return 0


def _evaluate(package: Package, dataset: Dataset, cases: list[str], device: str) -> list[CaseScore]:
    from ..inference import Predictor
    from ..training import evaluate

    with step_bar("case") as show:
        return evaluate(Predictor(package, device), dataset, cases, report=show)


def _cases(args: argparse.Namespace, dataset: Dataset, package: Package) -> list[str]:
    """The names of the cases that were asked for."""
    from ..training import was_held_out

    if args.all and args.patients:
        raise wrong_use("--all and --patients exclude each other.")
    chosen = dataset
    if args.patients:
        chosen = dataset.of_patients(args.patients)
    elif not args.all:
        chosen = dataset.of_patients(_preset_of(package).data.validation_patients)
        if not was_held_out(package.card, dataset, [case.id for case in chosen.cases]):
            danger = (
                f"{package.card.id} was trained with another split than this dataset and preset give: some of these "
                "patients may have trained, or are not all that validated."
            )
            warn([danger])
    cases = [case.id for case in chosen.cases if args.source in (None, case.source)]
    if not cases:
        raise GANSegmentationError(
            "no_cases",
            f"No case of {dataset.folder} was chosen.",
            cause="The patients or the source are not in this dataset.",
            action="Name patients of the dataset with --patients, or use --all.",
        )
    return cases


def _preset_of(package: Package) -> Preset:
    """The preset that the model's card names, if it is one of the project's."""
    from ..training import load_preset, preset_names

    name = package.card.training.preset
    if name not in preset_names():
        raise GANSegmentationError(
            "unknown_preset",
            f"{package.card.id} was trained with the preset '{name}', which does not come with the project, so nobody "
            "knows here which patients were held out.",
            action="Name the patients with --patients, or take all with --all.",
        )
    return load_preset(name)


def _write(result: dict[str, Any], folder: Path) -> None:
    from ..reports import write_csv, write_json

    folder.mkdir(parents=True, exist_ok=True)
    write_csv(result["cases"], folder / "cases.csv")
    write_json(result, folder / "summary.json")


def _print(result: dict[str, Any]) -> None:
    rows = [
        [case["case"], case["patient"], f"{case['slices']}", number(case["dice"], 4), number(case["iou"], 4)]
        for case in result["cases"]
    ]
    print_table(["case", "patient", "slices", "Dice", "IoU"], rows, text_columns=2)
    print()
    rows = [
        [each["source"], each["score"], str(each["n"]), number(each["mean"], 4), _range(each)]
        for each in result["summary"]
    ]
    print_table(["source", "score", "patients", "mean", "95 % interval"], rows, text_columns=2)
    if "against" in result:
        print(f"\nDice minus that of {result['against']['model']}, over the same cases")
        rows = [
            [source, str(each["n"]), number(each["mean"], 4), _range(each)]
            for source, each in result["against"]["dice_difference"].items()
        ]
        print_table(["source", "patients", "mean", "95 % interval"], rows)


def _range(interval: dict[str, Any]) -> str:
    return f"{number(interval['low'], 4)} to {number(interval['high'], 4)}"
