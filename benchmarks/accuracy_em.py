"""Electron micrographs: membranes carried from one preparation to another, and what painted slices are worth.

``python benchmarks/accuracy_em.py --vnc PREPARED --isbi PREPARED --runs FOLDER`` goes seed 004's way with the sets that
are here, and measures what the seed never did. Both sets are cut into blocks of neighbouring sections, and both halves
of the blocks judge once what the other half has taught (two folds). The figures are means over blocks of the Dice over
all sections of a block, at the stored resolution, by the average of the weights after the last update; an interval
over blocks is one over places in a single animal.

Mitochondria (VNC): from real sections alone; with elastic deformation, the classical rival; with a share of painted
sections among those that are drawn, painted from deformed masks of the training blocks. Every run sees as many crops.
Membranes (ISBI 2012): from its own sections; as the U-Net paper trains; and by a model of VNC that has never seen the
set, trained with strong noise and without. Resumable like `accuracy.py`; ``--only NAME`` trains chosen rows.
"""

from __future__ import annotations

import argparse
import json
import shutil
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
from GANSegmentationLib.datasets.memorisation import memorisation
from GANSegmentationLib.inference.synthesise import Synthesiser
from GANSegmentationLib.metrics import bootstrap_mean
from GANSegmentationLib.models import open_package
from GANSegmentationLib.reports import write_json
from GANSegmentationLib.training import Preset, RunOptions, Trainer, export_package, load_preset
from GANSegmentationLib.training.packing.export_synthesis import export_synthesis
from GANSegmentationLib.training.starting.mixing import with_synthetic
from GANSegmentationLib.training.synthesis.fidelity import EncoderFeatures, fidelity
from GANSegmentationLib.training.synthesis.synthetic import PaintPlan, synthesize, training_part
from GANSegmentationLib.training.synthesis.synthetic_report import write_report

RESULTS = Path(__file__).parent / "results" / "accuracy_em.json"

FOLDS = {
    "vnc": {"first": ("vnc_00_03", "vnc_04_07"), "last": ("vnc_08_11", "vnc_12_15")},
    "isbi": {"first": ("isbi2012_00_03", "isbi2012_04_07"), "last": ("isbi2012_08_11", "isbi2012_12_15")},
}
"""The blocks that judge, by the fold; the others train."""

BATCH, STEPS, EPOCHS, CROP = 8, 320, 2, 128
PAINTER_STEPS = 960
PAINTED = 60

_ISBI = ('data.excluded_sources=["em_vnc"]', 'data.groups=[{"source": "em_isbi2012"}]')
_WIDTH = "objective.config.generator.config.width=12"


@dataclass(frozen=True)
class Row:
    """A way to train, on every fold.

    Parameters
    ----------
    data:
        The set that it learns on.
    judged:
        The set whose blocks judge; where it is another, the model learns from all of `data` once.
    painted:
        The share of painted slices among those that are drawn.
    """

    name: str
    task: str
    preset: str
    data: str
    judged: str
    rival: str
    changes: tuple[str, ...] = ()
    painted: float = 0.0

    @property
    def folds(self) -> tuple[str, ...]:
        """The runs of this row."""
        return ("all",) if self.data != self.judged else tuple(FOLDS[self.data])


# Mitochondria are large: at half the resolution a crop shows twice as much of the cell around them.
_MITOCHONDRIA = (_WIDTH, "slicing.size=512", f"data.crop={CROP}")
_MEMBRANES = (_WIDTH, f"data.crop={CROP}")
_QUIET = ("augmentation.noise=0", "augmentation.blur=0", "augmentation.gamma=0")

ROWS = (
    Row("real sections", "mitochondria", "unet_mitochondria_vnc", "vnc", "vnc", "", _MITOCHONDRIA),
    Row(
        "real sections, deformed elastically",
        "mitochondria",
        "unet_mitochondria_vnc",
        "vnc",
        "vnc",
        "real sections",
        (*_MITOCHONDRIA, "augmentation.elastic=0.5"),
    ),
    *(
        Row(
            f"{share:.0%} painted sections",
            "mitochondria",
            "unet_mitochondria_vnc",
            "vnc",
            "vnc",
            "real sections",
            _MITOCHONDRIA,
            share,
        )
        for share in (0.25, 0.5, 1.0)
    ),
    Row("ISBI 2012 itself", "membranes", "unet_membranes_vnc", "isbi", "isbi", "", (*_MEMBRANES, *_ISBI)),
    Row(
        "VNC with strong noise, carried over",
        "membranes",
        "unet_membranes_vnc",
        "vnc",
        "isbi",
        "ISBI 2012 itself",
        _MEMBRANES,
    ),
    Row(
        "VNC without noise, carried over",
        "membranes",
        "unet_membranes_vnc",
        "vnc",
        "isbi",
        "ISBI 2012 itself",
        (*_MEMBRANES, *_QUIET),
    ),
    Row(
        "ISBI 2012 itself, as the U-Net paper trains",
        "membranes",
        "unet_em_faithful",
        "isbi",
        "isbi",
        "ISBI 2012 itself",
        # The same pixels, in crops that valid convolutions do not waste as much of.
        (_WIDTH, f"data.crop={2 * CROP}", "batch_size=2"),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, paint, measure, print."""
    args = _arguments(arguments)
    for row in ROWS:
        folders = {"vnc": args.vnc, "isbi": args.isbi}
        if args.table or (args.only and row.name not in args.only) or not (folders[row.data] and folders[row.judged]):
            continue
        for fold in row.folds:
            _run(row, fold, {name: Dataset.open(folder) for name, folder in folders.items() if folder}, args)
    report = _report(args.runs)
    if report["rows"]:
        write_json(report, RESULTS)
    print(_table(report))
    return 0


def _run(row: Row, fold: str, data: Mapping[str, Dataset], args: argparse.Namespace) -> None:
    """Train and measure a row on one fold, unless that is done."""
    preset, dataset = _preset(row, fold), data[row.data]
    if row.painted:
        synthetic = _painted(fold, data["vnc"], args)
        # What is measured says how near painted sections are to real ones; here that decides nothing.
        mixed = with_synthetic(preset, dataset, synthetic, row.painted, force=True)
        preset, dataset = mixed.preset, mixed.dataset
    cell = Cell(f"{row.task}: {row.name}, {fold}", _place(args.runs, row, fold), preset, "OT")
    cell.run(dataset, args.device, args.workers, None if row.data == row.judged else data[row.judged])


def _preset(row: Row, fold: str) -> Preset:
    # A model that is judged by another set keeps its last block to watch it by, and learns from the rest.
    held_out = FOLDS[row.data].get(fold) or FOLDS[row.data]["last"][-1:]
    budget = (f"batch_size={BATCH}", f"steps_per_epoch={STEPS}", f"epochs={EPOCHS}", "ema_decay=0.99")
    shared = (*budget, f"precision={PRECISION}", f"data.validation_patients={json.dumps(held_out)}")
    return load_preset(row.preset, (*shared, *row.changes))


def _painted(fold: str, vnc: Dataset, args: argparse.Namespace) -> Dataset:
    """Sections painted from deformed masks of a fold's training blocks, by a painter that knows no others."""
    place = args.runs / "painter" / fold
    folder = place / "painted"
    if (place / "fidelity.json").is_file():
        return Dataset.open(folder)
    preset = load_preset(
        "synthesis_em",
        (
            f"data.validation_patients={json.dumps(FOLDS['vnc'][fold])}",
            "slicing.size=512",
            f"data.crop={CROP}",
            "objective.config.generator.config.channels=[24,48,96,96,96]",
            "objective.config.generator.config.full_resolution=12",
            "objective.config.discriminator.config.width=16",
            f"batch_size={BATCH}",
            f"steps_per_epoch={PAINTER_STEPS}",
            # One epoch: the last weights are taken, none are chosen by the blocks that judge.
            "epochs=1",
            "ema_decay=0.99",
            f"precision={PRECISION}",
        ),
    )
    print(f"painter, {fold}", flush=True)
    options = RunOptions(args.device, workers=args.workers, resume=True, say=lambda text: print(" ", text, flush=True))
    Trainer(preset, vnc, place / "run", options).run()
    package = open_package(export_synthesis(place / "run", preset, vnc, place / "painter.ganseg", device=args.device))
    training = training_part(package, preset, vnc)
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run has left
    plan = PaintPlan(count=PAINTED, mirror=True)
    painted = synthesize(Synthesiser(package, args.device), training, preset.data.view, folder, plan)
    _measure_painted(fold, place, training, painted, vnc, args)
    return painted


def _measure_painted(
    fold: str, place: Path, training: Dataset, painted: Dataset, vnc: Dataset, args: argparse.Namespace
) -> None:
    """Fidelity by the features of the same fold's model of real sections, and copies of real sections."""
    real = next(row for row in ROWS if row.task == "mitochondria" and not row.rival)
    run = _place(args.runs, real, fold)
    features = run / "features.ganseg"
    if not features.is_file():
        export_package(run, _preset(real, fold), vnc, features, device=args.device)
    measured = fidelity(EncoderFeatures(open_package(features), args.device), training, painted)
    copies = memorisation(training, painted)
    write_report(training, painted, copies, measured, place)
    facts = {**measured.to_dict(), "near_duplicates": copies.share}
    write_json(facts, place / "fidelity.json")


def _report(runs: Path) -> dict[str, Any]:
    """What every finished row came to, each against its rival; rows without runs are those of the last results."""
    kept = kept_rows(RESULTS)
    rows = []
    for row in ROWS:
        own = _finished(runs, row)
        earlier = kept.get((row.task, row.name))
        if len(own) == len(row.folds):
            rows.append(_figures(row, own))
        elif earlier and all(earlier[key] == value for key, value in _facts(row).items()):
            rows.append(earlier)
    for figures in rows:
        named = (figures["task"], figures["rival"])
        rival = next((other for other in rows if (other["task"], other["name"]) == named), None)
        figures["difference_from_rival"] = difference(figures, rival) if rival else None
    painters = json.loads(RESULTS.read_text(encoding="utf-8"))["painters"] if RESULTS.is_file() else {}
    for fold in FOLDS["vnc"]:
        path = runs / "painter" / fold / "fidelity.json"
        if path.is_file():
            painters[fold] = json.loads(path.read_text(encoding="utf-8"))
    return {"crop": CROP, "rows": rows, "painters": painters}


def _facts(row: Row) -> dict[str, Any]:
    """What a row is a measurement of."""
    return {
        "task": row.task,
        "name": row.name,
        "rival": row.rival,
        "preset": row.preset,
        "changes": list(row.changes),
        "painted": row.painted,
        "crops": BATCH * STEPS * EPOCHS,
    }


def _figures(row: Row, own: Mapping[str, Any]) -> dict[str, Any]:
    blocks = over_runs(own, sorted(own), "patients")
    first = next(iter(own.values()))
    return {
        **_facts(row),
        "folds": sorted(own),
        "parameters": first["parameters"],
        "minutes": [round(own[fold]["minutes"], 1) for fold in sorted(own)],
        "processor_minutes": processor_minutes(own),
        "device": first["device"],
        "precision": first["precision"],
        "dice": bootstrap_mean(list(blocks.values())).to_dict(),
        "runs": dice_of_runs(own),
    }


def _finished(runs: Path, row: Row) -> dict[str, Any]:
    found = {}
    for fold in row.folds:
        path = _place(runs, row, fold) / "result.json"
        if path.is_file():
            found[fold] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _place(runs: Path, row: Row, fold: str) -> Path:
    name = "".join(letter if letter.isalnum() else "_" for letter in row.name.lower())
    return runs / row.task / f"{name}_{fold}"


def _table(report: Mapping[str, Any]) -> str:
    parts = []
    for task in dict.fromkeys(row["task"] for row in report["rows"]):
        crops, side = report["rows"][0]["crops"], report["crop"]
        parts.append(f"\n{task.capitalize()}: {crops:,} crops of {side} x {side} a run\n")
        parts.append("| learns from | processor minutes | Dice, blocks | minus its rival |")
        parts.append("|---|---|---|---|")
        for row in (row for row in report["rows"] if row["task"] == task):
            rival = "-"
            if row["rival"]:
                rival = f"{interval(row.get('difference_from_rival'), signed=True)} ({row['rival']})"
            parts.append(f"| {row['name']} | {minutes(row)} | {interval(row['dice'])} | {rival} |")
    for fold, facts in report["painters"].items():
        among_real = "too few to halve"
        if facts["fid_among_real"] is not None:
            among_real = f"{facts['fid_among_real']:.2f} and {facts['kid_among_real']:.4f}"
        parts.append(
            f"\nPainter, judged by the {fold} blocks: FID {facts['fid']:.2f}, KID {facts['kid']:.4f}; between halves "
            f"of the real blocks {among_real}; near-duplicates {facts['near_duplicates']:.1%}. "
            f"Features: {facts['feature_network']}."
        )
    return "\n".join(parts)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vnc", type=Path, metavar="FOLDER", help="prepared dataset of the ventral nerve cord")
    parser.add_argument("--isbi", type=Path, metavar="FOLDER", help="prepared dataset of ISBI 2012")
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy_em"), help="where runs are kept")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="train these rows only")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
