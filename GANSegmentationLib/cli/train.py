"""``ganseg train``: a preset and a prepared dataset become a model package."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GANSegmentationError
from .terminal import Subparsers, number, paragraph, print_json, print_table, wrong_use

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..training import Preset, RunOptions

StepReport = Callable[[int, int, int, Mapping[str, float]], None]


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "train",
        description="Train the preset's networks on a prepared dataset, validate after every epoch, and write the best "
        "generator as a model package.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "preset", nargs="?", metavar="PRESET", help="a preset's name, or a JSON file; with --resume the run's own"
    )
    parser.add_argument(
        "--list",
        nargs="?",
        const="",
        metavar="WORD",
        help="list the presets, all or those of a system (unet), task or recipe (faithful, modern), and stop",
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the dataset that `ganseg prepare` wrote")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="the run's folder")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="change one setting of the preset")
    parser.add_argument(
        "--from", dest="start", metavar="MODEL", help="start from a model's weights: its id, or a package"
    )
    parser.add_argument(
        "--policy",
        choices=("all", "freeze_encoder", "staged"),
        help="what of a started generator learns: all of it, all but its encoder, or first the rest and then all",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    parser.add_argument("--stop-after", type=int, metavar="N", help="stop, resumable, when N epochs are done")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument(
        "--devices", type=int, default=1, metavar="N", help="compute every batch on N devices of this machine together"
    )
    parser.add_argument("--precision", metavar="WORD", help="32-true or bf16-mixed instead of the preset's")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that load slices (default: cores - 1)")
    parser.add_argument("--synthetic", type=Path, metavar="FOLDER", help="mix in the dataset of `ganseg synthesize`")
    parser.add_argument(
        "--synthetic-ratio", type=float, metavar="X", help="share of the drawn slices that are synthetic (default: 0.5)"
    )
    parser.add_argument(
        "--force-synthetic", action="store_true", help="mix them in although many are near-duplicates of real slices"
    )
    parser.add_argument(
        "--with-discriminator",
        action="store_true",
        help="pack the network that judges the masks, too: it can say later how plausible each slice is",
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, say what would happen, and stop")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Train, or say what there is to train."""
    _require_training_extra()
    if args.list is not None:
        return _list(args.list or None, args.json)
    _check_use(args)
    from ..datasets import Dataset

    preset = _preset(args)
    dataset = Dataset.open(args.data)
    if args.synthetic:
        preset, dataset = _mixed(args, preset, dataset)
    if args.dry_run:
        return _dry_run(args, preset, dataset)
    return _train(args, preset, dataset)


def _check_use(args: argparse.Namespace) -> None:
    """Refuse arguments that cannot be meant together."""
    resumed = args.resume and args.output and not args.synthetic
    if not (args.preset or resumed) or not args.data or (not args.output and not args.dry_run):
        raise wrong_use("A preset, --data and --output are needed.", "See `ganseg train --help` and `--list`.")
    if args.stop_after is not None and args.stop_after < 1:
        raise wrong_use(f"--stop-after {args.stop_after} leaves no epoch to train.", "Give 1 or more.")
    if args.workers is not None and args.workers < 0:
        raise wrong_use(f"--workers {args.workers} is not a number of processes.", "Give 0 or more.")
    if args.devices < 1:
        raise wrong_use(f"--devices {args.devices} is not a number of devices.", "Give 1 or more.")
    if not args.synthetic and (args.synthetic_ratio is not None or args.force_synthetic):
        raise wrong_use("--synthetic-ratio and --force-synthetic belong to --synthetic.")


def _preset(args: argparse.Namespace) -> Preset:
    """The preset with the changes of the command line; a resumed run's own where none is named."""
    from ..training import load_preset

    # Ids and paths are texts, whatever JSON would make of them.
    if not args.preset and not (args.output / "preset.json").exists():
        raise GANSegmentationError(
            "no_run",
            f"There is no run in {args.output} to go on with.",
            cause="The folder is another one, or nothing was trained there yet.",
            action="Give the folder of a run, or a preset to start one.",
        )
    start = [f"transfer.package={json.dumps(args.start)}"] if args.start else []
    preset = load_preset(args.preset or args.output / "preset.json", [*start, *args.set])
    if not args.policy:
        return preset
    if preset.transfer is None:
        raise wrong_use("--policy says how to start from a model, and none is named.", "Name one with --from.")
    return replace(preset, transfer=replace(preset.transfer, policy=args.policy))


def _options(args: argparse.Namespace, **more: Any) -> RunOptions:
    from ..training import RunOptions

    return RunOptions(
        accelerator=args.device,
        devices=args.devices,
        precision=args.precision,
        workers=max((os.cpu_count() or 1) - 1, 0) if args.workers is None else args.workers,
        resume=args.resume,
        stop_after=args.stop_after,
        **more,
    )


def _train(args: argparse.Namespace, preset: Preset, dataset: Dataset) -> int:
    from ..datasets.integrity import condensed
    from ..training import Trainer, discriminator_spec, export_package

    if args.with_discriminator:
        discriminator_spec(preset)  # says now, and not after the training, that there is none
    with _epoch_bar() as (progress, say):
        trainer = Trainer(preset, dataset, args.output, _options(args, progress=progress, say=say))
        if trainer.processes.is_first:
            for finding in condensed(trainer.findings):
                say(f"{finding.level}: {finding.case}: {finding.text}")
        result = trainer.run()
    if not trainer.processes.is_first:
        return 0  # one of several processes exports and speaks for all
    package = None
    if result.finished:
        package = export_package(
            args.output,
            preset,
            dataset,
            args.output / f"{preset.model.id}.ganseg",
            with_discriminator=args.with_discriminator or None,
            say=paragraph,
        )
    if args.json:
        print_json(
            {
                "folder": str(result.folder),
                "epochs": result.epochs,
                "best_epoch": result.best_epoch,
                "score": result.score,
                "best_score": result.best_score,
                "finished": result.finished,
                "package": None if package is None else str(package),
            }
        )
    else:
        best = f"{result.best_score:.4f} in epoch {result.best_epoch} of {result.epochs}"
        print(f"Best validation {result.score} {best}.")
        print(f"The model package is {package}." if package else "Not finished: go on with --resume.")
    return 0


def _mixed(args: argparse.Namespace, preset: Preset, dataset: Dataset) -> tuple[Preset, Dataset]:
    """The preset and the dataset with synthetic slices, checked for copies of real ones."""
    from ..datasets import Dataset as Prepared
    from ..training.starting.mixing import with_synthetic

    ratio = 0.5 if args.synthetic_ratio is None else args.synthetic_ratio
    mixed = with_synthetic(preset, dataset, Prepared.open(args.synthetic), ratio, force=args.force_synthetic)
    paragraph(
        f"{ratio:.0%} of the drawn slices are synthetic; {mixed.memorisation.share:.1%} of those are near-duplicates "
        "of real ones."
    )
    return mixed.preset, mixed.dataset


def _list(wanted: str | None, as_json: bool) -> int:
    from ..training.catalogue import catalogue

    presets = catalogue(wanted)
    if as_json:
        print_json([vars(facts) for facts in presets])
        return 0
    rows: list[list[str]] = []
    for facts in presets:
        # A system is named once, at the head of its presets.
        system = "" if rows and facts.system == presets[len(rows) - 1].system else facts.system
        recipe = f"{facts.recipe}, twin" if facts.twin else facts.recipe
        rows.append([system, facts.name, facts.task, recipe, facts.title, facts.source])
    # At a terminal lines should not wrap; whoever wants the sources asks a file, a pipe or --json.
    shown = 5 if sys.stdout.isatty() else 6
    headers = ["system", "preset", "task", "recipe", "what", "source"][:shown]
    print_table(headers, [row[:shown] for row in rows], text_columns=shown)
    return 0


def _dry_run(args: argparse.Namespace, preset: Preset, dataset: Dataset) -> int:
    from ..training import dry_run

    plan = dry_run(preset, dataset, _options(args))
    if args.json:
        print_json(plan)
        return 0
    print(f"{preset.name}: {preset.title}\n")
    rows = [
        [role, f"{facts['parameters']:,}", _shapes(facts["inputs"]), _shapes(facts["outputs"])]
        for role, facts in plan["networks"].items()
    ]
    print_table(["network", "parameters", "input", "output"], rows)
    print()
    for line in (*_plan_of_shapes(plan), *_plan_of_learning(plan), *_plan_of_costs(plan)):
        paragraph(line, sys.stdout)
    for finding in plan["findings"]:
        paragraph(f"{finding['level'].capitalize()}: {finding['case']}: {finding['text']}.")
    return 0


def _plan_of_shapes(plan: dict[str, Any]) -> Iterator[str]:
    """How large the slices are, and what a generator of unpadded convolutions makes of them."""
    shapes = plan["shapes"]
    drawn, whole, tile = shapes["slice"], shapes["whole"], shapes["tile"]
    sizes = _size(drawn) if tuple(drawn[1:]) == tuple(whole) else f"{_size(drawn)} in training, {_size(whole)} whole"
    yield f"Slices: {sizes}."
    if tuple(tile[-2:]) == tuple(whole):
        return  # it scores every pixel of what it is given
    given = plan["networks"]["generator"]["inputs"][0]
    if tuple(given[-2:]) != tuple(drawn[-2:]):
        yield f"In training every slice is extended by mirroring, to {_size(given)}."
    pieces = "one tile" if shapes["tiles"] == 1 else f"{shapes['tiles']} tiles"
    yield (
        f"Validation scores a slice in {pieces} of {_size(tile)}, mirrored beyond its border; the unpadded "
        f"convolutions leave scores for {_size(shapes['scores'][-2:])} pixels of each."
    )


def _plan_of_learning(plan: dict[str, Any]) -> Iterator[str]:
    """What learns, in which phases, on what."""
    for phase in plan["phases"]:
        often = "every step" if phase["every"] == 1 else f"every {phase['every']} steps"
        clip = "" if phase["clip"] is None else f", its weights held within {phase['clip']['bound']:g}"
        yield f"Phase {phase['name']}: trains {', '.join(phase['trains'])} in {often}{clip}."
    for line in plan["start"]:
        yield f"Start: {line}."
    for stage in plan["stages"]:
        if len(plan["stages"]) == 1 and not stage["frozen"]:
            break
        first, last = stage["epochs"]
        frozen = f"{', '.join(stage['frozen'])} frozen" if stage["frozen"] else "nothing frozen"
        yield (
            f"Epochs {first} to {last}: {frozen}, {stage['learn']:,} parameters of the generator learn, learning rates "
            f"times {stage['lr_factor']:g}."
        )
    for part in ("train", "validation"):
        yield f"{part.capitalize()}: {plan[part]['patients']} patients, {plan[part]['slices']:,} slices."


def _plan_of_costs(plan: dict[str, Any]) -> Iterator[str]:
    """What it takes, of time and memory, and where."""
    batch, memory = plan["batch"], plan["memory"]
    shared = f" on {batch['processes']} devices" if batch["processes"] > 1 else ""
    parts = f" in {batch['parts']} parts" if batch["parts"] > 1 else ""
    yield f"{plan['steps']:,} steps of {batch['size']} slices{shared}{parts}, {batch['at_once']} at once."
    yield (
        f"On this machine ({plan['device']}, {plan['precision']}) a step takes about "
        f"{number(plan['seconds_per_step'], 2)} s, one process loads its slices in "
        f"{number(plan['loading_seconds_per_step'], 2)} s, validation takes {number(plan['validation_seconds'], 0)} s "
        f"an epoch: {number(plan['hours'], 1)} h in all."
    )
    held = ", ".join(
        f"{name} {number(memory[name], 0)}"
        for name in ("parameters", "gradients", "optimiser", "average", "activations")
    )
    how = "measured" if memory["measured"] else "estimated from a few slices, without what the libraries need"
    yield f"Memory of a device, MB, {how}: {number(memory['total'], 0)} ({held})."


def _shapes(shapes: Any) -> str:
    return ", ".join(_size(shape) or "1" for shape in shapes) or "-"


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


@contextmanager
def _epoch_bar() -> Iterator[tuple[StepReport | None, Callable[[str], None]]]:
    """A bar over the steps of an epoch where stderr is a terminal, and a way to say a line without breaking it."""
    if not sys.stderr.isatty():
        yield None, paragraph
        return
    from tqdm import tqdm

    with tqdm(unit="step", dynamic_ncols=True, leave=False) as bar:

        def show(epoch: int, step: int, steps: int, terms: Mapping[str, float]) -> None:
            if step == 1:
                bar.reset(total=steps)
                bar.set_description(f"epoch {epoch + 1}", refresh=False)
            if terms:
                bar.set_postfix({name: f"{value:.3f}" for name, value in terms.items() if name.endswith("total")})
            bar.update(step - bar.n)

        yield show, lambda text: bar.write(text, file=sys.stderr)


def _require_training_extra() -> None:
    """The training extra's packages are there; said in words where they are not."""
    import importlib.util

    missing: list[Any] = [name for name in ("lightning_fabric", "monai") if importlib.util.find_spec(name) is None]
    if missing:
        raise GANSegmentationError(
            "training_extra_missing",
            f"Training needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed.",
            cause="The package was installed without its extra for training.",
            action='Install it with `pip install "gansegmentation[train]"`.',
        )
