"""``ganseg evaluate``: how good a model is on prepared cases, patient by patient."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GANSegmentationError
from .terminal import Subparsers, number, print_json, print_table, step_bar, warn, wrong_use

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..models import Package
    from ..training import Measured, Preset

_SHOWN = ("dice", "iou", "hd95_mm", "assd_mm", "chaos_score")
"""Scores on the terminal; files and JSON have them all."""


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
    parser.add_argument("--all", action="store_true", help="all patients of the dataset; says who of them trained")
    parser.add_argument("--source", metavar="LAYOUT", help="only cases of this source")
    parser.add_argument(
        "--preset", metavar="FILE", help="what the model was trained with, where the project has no preset of that name"
    )
    parser.add_argument("--against", metavar="MODEL", help="a second model, compared on the same cases, paired")
    parser.add_argument(
        "--review",
        action="store_true",
        help="measure which signal sorts slices best for review: the packaged discriminator's plausibility, entropy, "
        "disagreement with slightly changed and with mirrored slices (takes about ten times as long)",
    )
    parser.add_argument(
        "--record", type=Path, metavar="PACKAGE", help="with --review: write the model there with the best on its card"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="write cases.csv, summary.json and report.html there"
    )
    parser.add_argument(
        "--pictures",
        type=int,
        default=4,
        metavar="N",
        help="how many of the worst cases the report shows (default: 4; pictures show patients)",
    )
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
    from ..training import measure
    from ..training.evaluation.references import check_names
    from .workflow import find_model

    dataset = Dataset.open(args.data)
    package = find_model(args.model, None)
    _check_use(args)
    preset = _preset_of(package, args.preset)
    if args.preset is None:
        check_names(package, dataset, preset)
    cases = _cases(args, dataset, package, preset)
    if args.release:
        return _release(args, dataset, package, preset, cases)
    against = find_model(args.against, None) if args.against else None
    with step_bar("case") as show:
        measured = measure(
            package,
            dataset,
            cases,
            preset=preset,
            against=against,
            against_preset=None if against is None else _preset_of(against, args.preset, only_by_name=True),
            review=args.review,
            device=args.device,
            report=show,
        )
    _warn_of_trained(measured)
    page = _write(args, measured, preset) if args.output else None
    if args.record:
        _record(args.record, measured)
    if args.json:
        print_json(measured.to_dict())
    else:
        _print(measured)
        if page is not None:
            print(f"\nThe report is {page}.")
    return 0


def _check_use(args: argparse.Namespace) -> None:
    if args.test_data and not args.release:
        raise wrong_use("--test-data belongs to --release.", "Evaluate the dataset itself with --data and --all.")
    if args.release and not args.against:
        raise wrong_use("--release compares two models.", "Name the second one with --against.")
    if args.record and not args.review:
        raise wrong_use("--record writes down what --review has measured.", "Add --review.")
    if args.release and (args.review or args.output):
        raise wrong_use("--release writes packages, --review and --output a report.", "Do one after the other.")
    if args.pictures < 0:
        raise wrong_use(f"--pictures {args.pictures} is not a number of cases.", "Give 0 or more.")


def _release(
    args: argparse.Namespace, dataset: Dataset, package: Package, preset: Preset | None, cases: list[str]
) -> int:
    """Write the two packages with what was measured; said in words or JSON."""
    from ..datasets import Dataset as Prepared
    from ..training import release_twins
    from .workflow import find_model

    if preset is None:
        raise _unknown_preset(package)
    with step_bar("case") as show:
        release = release_twins(
            (package, find_model(args.against, None)),
            dataset,
            cases,
            args.release,
            source=preset.data.score_source,
            preset=preset,
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


def _cases(args: argparse.Namespace, dataset: Dataset, package: Package, preset: Preset | None) -> list[str]:
    """The names of the cases that were asked for."""
    from ..training import was_held_out

    if args.all and args.patients:
        raise wrong_use("--all and --patients exclude each other.")
    chosen = dataset
    if args.patients:
        chosen = dataset.of_patients(args.patients)
    elif not args.all:
        if preset is None:
            raise _unknown_preset(package)
        chosen = dataset.of_patients(preset.data.validation_patients)
        if not was_held_out(package.card, dataset, [case.id for case in chosen.cases], preset):
            danger = (
                f"{package.card.id} was trained with another split than this dataset and preset give: some of these "
                "patients may have trained, or are not all that validated."
            )
            warn([danger])
    cases = [case.id for case in chosen.cases if args.source in (None, case.source) and case.labelled]
    if not cases:
        raise GANSegmentationError(
            "no_cases",
            f"No case of {dataset.folder} was chosen.",
            cause="The patients or the source are not in this dataset, or none of their cases has masks.",
            action="Name patients of the dataset with --patients, or use --all.",
        )
    return cases


def _preset_of(package: Package, given: str | None, *, only_by_name: bool = False) -> Preset | None:
    """The preset that the model was trained with: the one given, else the project's of the name on the card.

    Parameters
    ----------
    only_by_name:
        Take the one given for a model whose card names it, or whose preset nobody else has.

    Raises
    ------
    GANSegmentationError
        ``unknown_preset`` or ``invalid_preset`` for a file that is none.
    """
    from ..training import load_preset, preset_names

    name = package.card.training.preset
    preset = None if given is None else load_preset(given)
    known = name in preset_names()
    if preset is not None and (preset.name == name or not only_by_name or not known):
        return preset
    return load_preset(name) if known else None


def _unknown_preset(package: Package) -> GANSegmentationError:
    return GANSegmentationError(
        "unknown_preset",
        f"{package.card.id} was trained with the preset '{package.card.training.preset}', which does not come with the "
        "project, so nobody knows here which patients were held out.",
        action="Give its file with --preset, name the patients with --patients, or take all with --all.",
    )


def _warn_of_trained(measured: Measured) -> None:
    """Say whose scores measure memory, as far as anybody can know."""
    models = [(measured.package, measured.roles)]
    if measured.rival is not None:
        models.append((measured.rival.package, measured.rival.roles))
    for package, roles in models:
        trained = [patient for patient, role in roles.items() if role == "trained"]
        unknown = sum(role == "unknown" for role in roles.values())
        if trained:
            warn([f"{package.card.id} was trained on {len(trained)} of these {len(roles)} patients: {_some(trained)}."])
        if unknown:
            warn([f"Nobody can tell which of these {unknown} patients {package.card.id} was trained on."])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _write(args: argparse.Namespace, measured: Measured, preset: Preset | None) -> Path:
    from ..training import worst_pictures, write_evaluation

    pictures: list[tuple[str, bytes]] = []
    if args.pictures:
        with step_bar("picture") as show:
            pictures = worst_pictures(measured, preset, count=args.pictures, device=args.device, report=show)
    return write_evaluation(measured, args.output, pictures)


def _record(target: Path, measured: Measured) -> None:
    from ..training import review_fact, with_review

    sources = ", ".join(sorted({score.source for score in measured.scores}))
    parts = ", ".join(sorted({f"patients that were {role}" for role in measured.roles.values()}))
    fact = review_fact(measured.assessments, f"{sources}: {parts}; where it was chosen")
    if fact is None:
        warn(["No signal sorts these slices better than chance; nothing was written on a card."])
        return
    with_review(measured.package, fact, target)


def _print(measured: Measured) -> None:
    shown = [name for name in _SHOWN if any(getattr(score, name) is not None for score in measured.scores)]
    rows = [
        [
            score.case,
            score.patient,
            measured.roles[score.patient],
            f"{score.slices}",
            *(_number(score, name) for name in shown),
        ]
        for score in measured.scores
    ]
    print_table(["case", "patient", "in training", "slices", *map(_word, shown)], rows, text_columns=3)
    print()
    rows = [
        [
            each.source,
            each.label or "-",
            _word(each.score),
            amount(each.interval.n, each.over),
            number(each.interval.mean, 4),
            _range(each.to_dict()),
        ]
        for each in measured.summary
        if each.score in shown
    ]
    print_table(["source", "structure", "score", "n", "mean", "95 % interval"], rows, text_columns=4)
    _print_difference(measured)
    _print_review(measured)


def _print_difference(measured: Measured) -> None:
    if measured.rival is None:
        return
    print(f"\n{measured.package.card.id} minus {measured.rival.package.card.id}, over the same patients")
    rows = [
        [
            each.source,
            _word(each.score),
            amount(each.interval.n, each.over),
            number(each.interval.mean, 4),
            _range(each.to_dict()),
            f"{each.test.p_value:.3g}",
            f"{each.better}/{each.worse}",
        ]
        for each in measured.rival.differences
        if each.score in _SHOWN
    ]
    headers = ["source", "score", "n", "mean", "95 % interval", "Wilcoxon p", "better/worse"]
    print_table(headers, rows, text_columns=3)


def _print_review(measured: Measured) -> None:
    if not measured.assessments:
        return
    first = measured.assessments[0]
    print(
        f"\nHow well each signal ranks {first.slices} slices by their Dice; intervals over "
        f"{amount(first.correlation.n, first.over)}; chance finds 0.20 of the worst fifth in the first fifth"
    )
    rows = [
        [
            each.signal,
            number(each.correlation.mean, 3),
            _range(each.correlation.to_dict(), 3),
            number(each.found.mean, 3),
            _range(each.found.to_dict(), 3),
        ]
        for each in measured.assessments
    ]
    print_table(["signal", "Spearman", "95 % interval", "found", "95 % interval"], rows)


def _number(score: Any, name: str) -> str:
    value = getattr(score, name)
    return number(value, 2 if name.endswith("_mm") else 4)


def _word(name: str) -> str:
    from ..training import SCORE_WORDS

    return SCORE_WORDS[name]


def amount(n: int, over: str) -> str:
    """Of what there are how many."""
    from ..training import amount as counted

    return counted(n, over)


def _range(interval: dict[str, Any], digits: int = 4) -> str:
    if interval["low"] is None or interval["high"] is None:
        return "-"
    return f"{number(interval['low'], digits)} to {number(interval['high'], digits)}"
