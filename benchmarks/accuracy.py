"""Every system on one split, each beside its supervised twin, with the same number of samples seen.

``python benchmarks/accuracy.py --liver PREPARED --lung PREPARED --runs FOLDER`` trains what is not yet
there (a run that was interrupted goes on where it stopped; finished ones are kept), measures every run in the same way
and writes ``results/accuracy.json``. ``--only NAME`` trains chosen rows, ``--table`` only prints what is there.

The figures are patient-level: the mean over held-out patients of the Dice over all stored slices, at the stored
resolution, by the average of the weights after the last update; once over all patients (of some there are only single
slices), once over the patients' whole volumes. Nothing was chosen on these patients: no epoch, no
post-processing. Each row's difference from its twin is paired, with a 95 % bootstrap interval over patients.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accuracy_cells import (
    PRECISION,
    Cell,
    dice_of_runs,
    difference,
    interval,
    kept_rows,
    minutes,
    over_runs,
    processor_minutes,
)

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.metrics import bootstrap_mean
from GANSegmentationLib.reports import write_json
from GANSegmentationLib.training import Preset, load_preset

RESULTS = Path(__file__).parent / "results" / "accuracy.json"


@dataclass(frozen=True)
class Row:
    """One run: a committed preset made small, and the run of the same generator without its adversary.

    Parameters
    ----------
    twin:
        The row it is compared with; itself for a supervised run.
    """

    name: str
    task: str
    preset: str
    twin: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """What the rows of a task share: the changes that make presets small and the budget equal."""

    title: str
    batch_size: int
    steps: int
    epochs: int
    changes: tuple[str, ...]
    seeds: tuple[int, ...] = (2026,)

    @property
    def samples(self) -> int:
        """Slices that each run's generator learns from."""
        return self.batch_size * self.steps * self.epochs


_MILD = (
    "augmentation.distort=0",
    "augmentation.blur=0",
    "augmentation.sharpen=0",
    "augmentation.gamma=0",
    "augmentation.noise=0",
    "augmentation.rotate_degrees=10",
    "augmentation.scale=0.1",
    "augmentation.shear=0",
)
"""A short run learns little from the long runs' strong augmentation, and waits for it."""

TASKS = {
    "liver": Task(
        "Liver in CT, 128 x 128",
        batch_size=8,
        steps=625,
        epochs=2,
        changes=("slicing.size=128", "slicing.multiple=128", *_MILD),
    ),
    "lung": Task(
        "Lung in CT, 128 x 128",
        batch_size=8,
        steps=160,
        epochs=2,
        changes=("slicing.size=128", "slicing.multiple=128", *_MILD),
        seeds=(2026, 2027, 2028),
    ),
}

_GENERATOR = "objective.config.generator.config."
_UNET = f"{_GENERATOR}width=12"
_UAGAN = f"{_GENERATOR}width=8"
_PIX2PIX = (f"{_GENERATOR}channels=[24,48,96,128,128,128,128]", f"{_GENERATOR}full_resolution=8")
_RAMP = "objective.config.warm_up=[125,625]"
_CRITIC = "objective.config.critic.config.width=16"
_PATCH = "objective.config.discriminator.config.width=16"
_CYCLE = (
    "objective.config.painter.config.width=8",
    "objective.config.painter.config.blocks=3",
    "objective.config.mask_discriminator.config.width=16",
    "objective.config.image_discriminator.config.width=16",
)
_LUNG_RAMP = "objective.config.warm_up=[32,160]"
_CRITICS = {
    "basic": "LGAN, basic critic",
    "product": "LGAN, product critic",
    "early_fusion": "LGAN, early fusion critic",
    "late_fusion": "LGAN, late fusion critic",
    "regression": "LGAN, regression critic",
}

ROWS: tuple[Row, ...] = (
    Row("U-Net", "liver", "unet_liver_ct", "U-Net", (_UNET,)),
    Row("SegNet", "liver", "segnet_liver_ct", "SegNet", (_UNET,)),
    Row("pix2pix, supervised", "liver", "pix2pix_liver_ct_supervised", "pix2pix, supervised", _PIX2PIX),
    Row("pix2pix", "liver", "pix2pix_liver_ct", "pix2pix, supervised", (*_PIX2PIX, _RAMP, _PATCH)),
    *(
        Row(title, "liver", f"lgan_{critic}_liver_ct", "U-Net", (_UNET, _RAMP, _CRITIC))
        for critic, title in _CRITICS.items()
    ),
    Row("CycleGAN", "liver", "cyclegan_liver_ct", "U-Net", (_UNET, _RAMP, *_CYCLE)),
    Row("SegAN, supervised", "liver", "segan_liver_ct_supervised", "SegAN, supervised", (f"{_GENERATOR}width=32",)),
    Row(
        "SegAN",
        "liver",
        "segan_liver_ct",
        "SegAN, supervised",
        (f"{_GENERATOR}width=32", "objective.config.warm_up=[0,625]"),
    ),
    Row(
        "UAGAN on CT + MR, supervised",
        "liver",
        "uagan_liver_ct_mr_supervised",
        "UAGAN on CT + MR, supervised",
        (_UAGAN,),
    ),
    Row("UAGAN on CT + MR", "liver", "uagan_liver_ct_mr", "UAGAN on CT + MR, supervised", (_UAGAN, _PATCH)),
    Row("U-Net", "lung", "unet_lung", "U-Net", (_UNET,)),
    Row("LGAN, early fusion critic", "lung", "lgan_lung", "U-Net", (_UNET, _LUNG_RAMP, _CRITIC)),
    Row("CycleGAN", "lung", "cyclegan_lung", "U-Net", (_UNET, _LUNG_RAMP, *_CYCLE)),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, measure, print."""
    args = _arguments(arguments)
    data = {"liver": args.liver, "lung": args.lung}
    for row in ROWS:
        wanted = not args.table and data.get(row.task) and (not args.only or row.name in args.only)
        for seed in TASKS[row.task].seeds if wanted else ():
            _run(row, seed, data[row.task], args)
    report = _report(args.runs)
    if report["rows"]:
        write_json(report, RESULTS)
    print(_table(report))
    return 0


def _run(row: Row, seed: int, folder: Path, args: argparse.Namespace) -> None:
    """Train and measure one cell of the table, unless that is done."""
    # A model of CT and MR is compared with the others on CT.
    cell = Cell(f"{row.task}: {row.name}, seed {seed}", _place(args.runs, row, seed), _preset(row, seed), "CT")
    cell.run(Dataset.open(folder), args.device, args.workers)


def _preset(row: Row, seed: int) -> Preset:
    """The row's committed preset, narrow and short."""
    task = TASKS[row.task]
    budget = (
        f"batch_size={task.batch_size}",
        f"steps_per_epoch={task.steps}",
        f"epochs={task.epochs}",
        f"seed={seed}",
        "ema_decay=0.99",
        f"precision={PRECISION}",
    )
    return load_preset(row.preset, (*task.changes, *budget, *row.changes))


def _report(runs: Path) -> dict[str, Any]:
    """What every finished cell came to, each row against its twin; rows without runs are those of the last results."""
    kept = kept_rows(RESULTS)
    rows = []
    for row in ROWS:
        own = _finished(runs, row)
        earlier = kept.get((row.task, row.name))
        if own:
            rows.append(_figures(row, own))
        elif earlier and all(earlier[key] == value for key, value in _facts(row).items()):
            rows.append(earlier)
    for figures in rows:
        twin = next((other for other in rows if _is_twin(figures, other)), None)
        figures["difference_from_twin"] = difference(figures, twin) if twin else None
    tasks = {name: {"title": task.title, "samples": task.samples} for name, task in TASKS.items()}
    return {"tasks": tasks, "rows": rows}


def _facts(row: Row) -> dict[str, Any]:
    """What a row is a measurement of."""
    return {
        "task": row.task,
        "name": row.name,
        "twin": row.twin,
        "preset": row.preset,
        "changes": list(row.changes),
        "samples": TASKS[row.task].samples,
    }


def _is_twin(figures: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return other is not figures and (other["task"], other["name"]) == (figures["task"], figures["twin"])


def _figures(row: Row, own: Mapping[int, Any]) -> dict[str, Any]:
    """Means over patients of the mean over seeds."""
    first = next(iter(own.values()))
    patients = over_runs(own, sorted(own), "patients")
    volumes = over_runs(own, sorted(own), "volumes")
    return {
        **_facts(row),
        "seeds": sorted(own),
        "parameters": first["parameters"],
        "training_patients": first["training_patients"],
        "minutes": [round(own[seed]["minutes"], 1) for seed in sorted(own)],
        "processor_minutes": processor_minutes(own),
        "device": first["device"],
        "precision": first["precision"],
        "dice": bootstrap_mean(list(patients.values())).to_dict(),
        "volume_dice": bootstrap_mean(list(volumes.values())).to_dict() if volumes else None,
        "runs": dice_of_runs(own),
    }


def _finished(runs: Path, row: Row) -> dict[int, Any]:
    """The results of a row by seed."""
    found = {}
    for seed in TASKS[row.task].seeds:
        path = _place(runs, row, seed) / "result.json"
        if path.is_file():
            found[seed] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _place(runs: Path, row: Row, seed: int) -> Path:
    name = "".join(letter if letter.isalnum() else "_" for letter in row.name.lower())
    return runs / row.task / f"{name}_{seed}"


def _table(report: Mapping[str, Any]) -> str:
    """The report as a Markdown table a task."""
    parts = []
    for name, task in report["tasks"].items():
        rows = [row for row in report["rows"] if row["task"] == name]
        if not rows:
            continue
        patients = rows[0]["training_patients"]
        parts.append(f"\n{task['title']}: {task['samples']:,} samples a run, {patients} patients train\n")
        parts.append(
            "| system | parameters | processor minutes | seeds | Dice, all patients | Dice, volumes | minus its twin |"
        )
        parts.append("|---|---|---|---|---|---|---|")
        parts += [_line(row) for row in rows]
    return "\n".join(parts)


def _line(row: Mapping[str, Any]) -> str:
    twin = "supervised"
    if row["name"] != row["twin"]:
        twin = interval(row.get("difference_from_twin"), signed=True) + f" ({row['twin']})"
    return (
        f"| {row['name']} | {row['parameters']:,} | {minutes(row)} | {len(row['seeds'])} | {interval(row['dice'])} | "
        f"{interval(row['volume_dice'])} | {twin} |"
    )


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, what in {"liver": "liver CT and MR", "lung": "lung CT"}.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER", help=f"prepared dataset of {what}")
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"), help="where runs are kept")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="train these rows only")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
