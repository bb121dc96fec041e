"""``ganseg synthesize``: masks of training patients become a synthetic dataset; or a dataset's masks are completed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .terminal import Subparsers, number, paragraph, print_json, step_bar, warn, wrong_use

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..models import Package
    from ..training import Preset


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "synthesize",
        description="Paint slices from masks of the patients that a synthesis model was trained on, and write them "
        "with their masks as a dataset that `ganseg train --synthetic` mixes with the real one. With --membranes and "
        "no model: write a copy of the dataset in which a segmentation model has drawn the labels that are missing.",
        epilog="example: ganseg synthesize em.ganseg --data prepared/em --output prepared/em_painted --report",
        allow_abbrev=False,
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a synthesis model: its id, or a package")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the dataset it was trained on")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="a new folder for the dataset")
    parser.add_argument("--count", type=int, metavar="N", help="slices to paint (default: as many as have a mask)")
    parser.add_argument(
        "--masks",
        choices=("elastic", "as-is"),
        default="elastic",
        help="deform the masks elastically, or take them as they are (default: elastic)",
    )
    parser.add_argument("--mirror", action="store_true", help="mirror every second mask; not for one-sided organs")
    parser.add_argument("--patients", nargs="+", default=[], metavar="NAME", help="only masks of these patients")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: 0)")
    parser.add_argument("--stochastic", action="store_true", help="leave dropout on, as pix2pix does to draw noise")
    parser.add_argument(
        "--preset", metavar="PRESET", help="the model's preset, where it is not one of the project's: a JSON file"
    )
    parser.add_argument(
        "--report", action="store_true", help="write report.json and report.png: copies, fidelity, nearest real slices"
    )
    parser.add_argument(
        "--features", metavar="MODEL", help="with --report: a segmentation model whose features measure FID and KID"
    )
    parser.add_argument(
        "--membranes", metavar="MODEL", help="instead of painting: complete the masks with this model's labels"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Paint or complete, and say what was written."""
    if bool(args.model) == bool(args.membranes):
        raise wrong_use(
            "Give either a synthesis model to paint with, or --membranes and a model that completes the masks.",
            "Complete the masks first, train the synthesis on the completed dataset, then paint from that.",
        )
    if args.count is not None and args.count < 1:
        raise wrong_use(f"--count {args.count} paints nothing.", "Give 1 or more.")
    if args.features and not args.report:
        raise wrong_use("--features belongs to --report.")
    if args.seed < 0:
        raise wrong_use(f"--seed {args.seed} is negative.", "Give 0 or more.")
    from ..datasets import Dataset
    from .workflow import find_model

    dataset = Dataset.open(args.data)
    if args.membranes:
        return _complete(args, dataset, find_model(args.membranes, None))
    return _paint(args, dataset, find_model(args.model, None))


def _complete(args: argparse.Namespace, dataset: Dataset, package: Package) -> int:
    from ..training.synthesis.completion import complete_masks

    with step_bar("case") as show:
        completed = complete_masks(package, dataset, args.output, device=args.device, report=show)
    labels = {value: name for value, name in completed.labels.items() if value not in dataset.labels}
    if args.json:
        print_json({"folder": str(args.output), "fingerprint": completed.fingerprint, "labels": completed.labels})
    else:
        new = ", ".join(f"{value} {name}" for value, name in labels.items()) or "none that the dataset did not name"
        print(f"{len(completed.cases)} cases in {args.output}; new labels: {new}.")
    return 0


def _paint(args: argparse.Namespace, dataset: Dataset, package: Package) -> int:
    from ..inference.synthesise import Synthesiser
    from ..training.synthesis.synthetic import PaintPlan, synthesize, training_part

    synthesiser = Synthesiser(package, args.device, stochastic=args.stochastic)
    preset = _preset(args, package)
    training = training_part(package, preset, dataset, args.patients)
    plan = PaintPlan(count=args.count, masks=args.masks, mirror=args.mirror, seed=args.seed)
    with step_bar("case") as show:
        painted = synthesize(synthesiser, training, preset.data.view, args.output, plan, report=show)
    result: dict[str, Any] = {
        "folder": str(args.output),
        "model": package.card.id,
        "fingerprint": painted.fingerprint,
        "cases": len(painted.cases),
        "slices": sum(case.slices for case in painted.cases),
        "patients": sorted({name for case in painted.cases for name in case.derived_from}),
        "report": _report(args, training, painted) if args.report else None,
    }
    if args.json:
        print_json(result)
    else:
        print(f"{result['slices']} slices of {len(result['patients'])} training patients' masks in {args.output}.")
        if result["report"]:
            _print_report(result["report"], args.output)
    return 0


def _preset(args: argparse.Namespace, package: Package) -> Preset:
    """The preset that the model was trained with, which says who was held out."""
    from ..errors import GANSegmentationError
    from ..training import load_preset, preset_names

    name = package.card.training.preset
    if args.preset is None and name not in preset_names():
        raise GANSegmentationError(
            "unknown_preset",
            f"{package.card.id} was trained with the preset '{name}', which does not come with the project, so nobody "
            "knows here which patients were held out.",
            action="Give the preset with --preset; the run's folder has it as preset.json.",
        )
    return load_preset(args.preset or name)


def _report(args: argparse.Namespace, training: Dataset, painted: Dataset) -> dict[str, Any]:
    from ..datasets.memorisation import BOUND, memorisation
    from ..training.synthesis.synthetic_report import write_report
    from .workflow import find_model

    measured = memorisation(training, painted)
    compared = None
    if args.features:
        from ..training.synthesis.fidelity import EncoderFeatures, fidelity

        features = EncoderFeatures(find_model(args.features, None), args.device)
        compared = fidelity(features, training, painted, seed=args.seed)
    if measured.share > BOUND:
        danger = (
            f"{measured.share:.0%} of the slices are near-duplicates of real ones (at most {BOUND:.0%} may be): "
            "ganseg train will refuse them unless it is forced."
        )
        warn([danger])
    written = write_report(training, painted, measured, compared, args.output)
    return {name: written[name] for name in ("memorisation", "fidelity")}


def _print_report(report: dict[str, Any], folder: Path) -> None:
    copies, compared = report["memorisation"], report["fidelity"]
    print(
        f"Near-duplicates of real slices: {copies['near_duplicates']:.1%} (distance below "
        f"{number(copies['threshold'], 3)}); median distance {number(copies['painted_to_real'][1], 3)}, among real "
        f"slices {number(copies['real_to_real'][1], 3)}."
    )
    if compared is None:
        paragraph("FID and KID were not measured: name a segmentation model with --features.")
    else:
        print(
            f"KID {number(compared['kid'], 4)} (among real patients {number(compared['kid_among_real'], 4)}), FID "
            f"{number(compared['fid'], 2)} ({number(compared['fid_among_real'], 2)}); features: "
            f"{compared['feature_network']}."
        )
    print(f"The report is {folder / 'report.json'} with {folder / 'report.png'}.")
