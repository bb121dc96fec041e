"""``ganseg train``: a preset and a prepared dataset become a model package."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GANSegmentationError
from .terminal import Subparsers, number, paragraph, print_json, print_table, wrong_use

if TYPE_CHECKING:
    from ..datasets import Dataset
    from ..training import Preset

StepReport = Callable[[int, int, int, Mapping[str, float]], None]


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "train",
        description="Train the preset's networks on a prepared dataset, validate after every epoch, and write the best "
        "generator as a model package.",
        allow_abbrev=False,
    )
    parser.add_argument("preset", nargs="?", metavar="PRESET", help="a preset's name, or a JSON file")
    parser.add_argument("--list", action="store_true", help="list the presets and stop")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the dataset that `ganseg prepare` wrote")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="the run's folder")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="change one setting of the preset")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    parser.add_argument("--stop-after", type=int, metavar="N", help="stop, resumable, when N epochs are done")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--precision", metavar="WORD", help="32-true or bf16-mixed instead of the preset's")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that load slices (default: cores - 1)")
    parser.add_argument("--dry-run", action="store_true", help="check everything, say what would happen, and stop")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Train, or say what there is to train."""
    _require_training_extra()
    from ..training import load_preset

    if args.list:
        return _list(args.json)
    if not args.preset or not args.data or (not args.output and not args.dry_run):
        raise wrong_use("A preset, --data and --output are needed.", "See `ganseg train --help` and `--list`.")
    if args.stop_after is not None and args.stop_after < 1:
        raise wrong_use(f"--stop-after {args.stop_after} leaves no epoch to train.", "Give 1 or more.")
    if args.workers is not None and args.workers < 0:
        raise wrong_use(f"--workers {args.workers} is not a number of processes.", "Give 0 or more.")
    from ..datasets import Dataset

    preset = load_preset(args.preset, args.set)
    dataset = Dataset.open(args.data)
    if args.dry_run:
        return _dry_run(preset, dataset, args.json)
    return _train(args, preset, dataset)


def _train(args: argparse.Namespace, preset: Preset, dataset: Dataset) -> int:
    from ..training import RunOptions, Trainer, export_package

    workers = max((os.cpu_count() or 1) - 1, 0) if args.workers is None else args.workers
    with _epoch_bar() as (progress, say):
        options = RunOptions(
            accelerator=args.device,
            precision=args.precision,
            workers=workers,
            resume=args.resume,
            stop_after=args.stop_after,
            progress=progress,
            say=say,
        )
        trainer = Trainer(preset, dataset, args.output, options)
        for finding in trainer.findings:
            say(f"{finding.level}: {finding.case}: {finding.text}")
        result = trainer.run()
    package = None
    if result.finished:
        package = export_package(args.output, preset, dataset, args.output / f"{preset.model.id}.ganseg", say=paragraph)
    if args.json:
        print_json(
            {
                "folder": str(result.folder),
                "epochs": result.epochs,
                "best_epoch": result.best_epoch,
                "best_dice": result.best_dice,
                "finished": result.finished,
                "package": None if package is None else str(package),
            }
        )
    else:
        print(f"Best validation Dice {result.best_dice:.4f} in epoch {result.best_epoch} of {result.epochs}.")
        print(f"The model package is {package}." if package else "Not finished: go on with --resume.")
    return 0


def _list(as_json: bool) -> int:
    from ..training import load_preset, preset_names

    presets = [load_preset(name) for name in preset_names()]
    if as_json:
        print_json([{"name": preset.name, "title": preset.title, "source": preset.source} for preset in presets])
    else:
        print_table(
            ["preset", "what", "source"],
            [[preset.name, preset.title, preset.source] for preset in presets],
            text_columns=3,
        )
    return 0


def _dry_run(preset: Preset, dataset: Dataset, as_json: bool) -> int:
    from ..training import dry_run

    plan = dry_run(preset, dataset)
    if as_json:
        print_json(plan)
        return 0
    print(f"{preset.name}: {preset.title}")
    print_table(["network", "parameters"], [[role, f"{count:,}"] for role, count in plan["parameters"].items()])
    shapes = plan["shapes"]
    print(f"A slice {shapes['image']} becomes scores {shapes['scores']}; {plan['steps']:,} steps in all.")
    print(
        f"Training: {plan['train']['patients']} patients, {plan['train']['slices']} slices; "
        f"validation: {plan['validation']['patients']} patients, {plan['validation']['slices']} slices."
    )
    print(
        f"On this machine a step takes about {number(plan['seconds_per_step'], 2)} s "
        f"({number(plan['hours'], 1)} h in all) and the process {number(plan['peak_memory_mb'], 0)} MB."
    )
    for finding in plan["findings"]:
        paragraph(f"{finding['level'].capitalize()}: {finding['case']}: {finding['text']}.")
    return 0


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
