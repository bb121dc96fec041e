"""One cell of an accuracy table: a run that is trained once, resumed where it stopped, and measured in one way."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from GANSegmentationLib import networks
from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.datasets.slices import SliceDataset
from GANSegmentationLib.metrics import bootstrap_paired_difference
from GANSegmentationLib.networks import count_parameters
from GANSegmentationLib.reports import write_json
from GANSegmentationLib.training import Preset, RunOptions, Trainer
from GANSegmentationLib.training.data import validation_slices
from GANSegmentationLib.training.watching.validation import CaseDice, mean_dice, validate

PRECISION = "bf16-mixed"

Run = TypeVar("Run", bound=Hashable)


@dataclass(frozen=True)
class Cell:
    """A run and where it lies.

    Parameters
    ----------
    modality:
        Only validation cases of this modality count.
    """

    title: str
    folder: Path
    preset: Preset
    modality: str

    @property
    def result(self) -> Path:
        """Where the figures are kept."""
        return self.folder / "result.json"

    @property
    def done(self) -> bool:
        """Whether this very preset has been trained and measured here."""
        return (
            self.result.is_file()
            and json.loads(self.result.read_text(encoding="utf-8"))["preset"] == self.preset.to_dict()
        )

    def run(self, dataset: Dataset, device: str, workers: int, judged: Dataset | None = None) -> None:
        """Train, and measure on all cases of `judged` or the preset's validation patients, unless that is done."""
        if self.done:
            return
        print(self.title, flush=True)
        options = RunOptions(device, workers=workers, resume=True, say=lambda text: print(" ", text, flush=True))
        resumed, started = (self.folder / "last.ckpt").is_file(), time.process_time()
        trainer = Trainer(self.preset, dataset, self.folder, options)
        trainer.run()
        # What other programs do on the machine lengthens the minutes, but hardly these.
        minutes = None if resumed else (time.process_time() - started) / 60
        write_json({**self._measure(trainer, judged), "processor_minutes": minutes}, self.result)

    def _measure(self, trainer: Trainer, judged: Dataset | None) -> dict[str, Any]:
        state = torch.load(trainer.folder / "last.ckpt", weights_only=True)
        generator = last_generator(trainer)
        slices = validation_slices(trainer.preset, trainer.dataset, trainer.split)
        if judged is not None:
            slices = SliceDataset(judged, trainer.preset.slicing, view=trainer.preset.data.view)
        results = validate(generator, trainer.network_name, slices, trainer.device)
        return {
            "preset": trainer.preset.to_dict(),
            "dataset": trainer.dataset.fingerprint,
            "split_sha256": trainer.split.sha256,
            **patient_dice(results, slices.dataset, self.modality),
            "training_patients": len({trainer.dataset.by_id[case].patient for case in trainer.split.train}),
            "parameters": count_parameters(generator),
            "minutes": sum(epoch["seconds"] for epoch in state["history"]) / 60,
            "device": str(trainer.device),
            "precision": trainer.precision,
            "threads": torch.get_num_threads(),
        }


def last_generator(trainer: Trainer) -> nn.Module:
    """The average of a finished run's weights after its last update: no epoch is chosen."""
    state = torch.load(trainer.folder / "last.ckpt", weights_only=True)
    generator = networks.build(trainer.network_name, trainer.network_config)
    generator.load_state_dict(state["average"])
    return generator.to(trainer.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def patient_dice(results: Sequence[CaseDice], dataset: Dataset, modality: str) -> dict[str, dict[str, float | None]]:
    """Each patient's mean Dice over all cases, and over whole volumes alone."""
    patients: dict[str, list[CaseDice]] = {}
    volumes: dict[str, list[CaseDice]] = {}
    for result in results:
        case = dataset.by_id[result.case]
        if case.modality == modality:
            patients.setdefault(result.patient, []).append(result)
            if case.is_volume:
                volumes.setdefault(result.patient, []).append(result)
    return {
        "patients": {name: mean_dice(own) for name, own in sorted(patients.items())},
        "volumes": {name: mean_dice(own) for name, own in sorted(volumes.items())},
    }


def over_runs(cells: Mapping[Run, Any], runs: Sequence[Run], kind: str) -> dict[str, float]:
    """Each patient's Dice, the mean over the runs that judged it; patients without any foreground are left out."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for name, dice in cells[run][kind].items():
            if dice is not None and not math.isnan(dice):
                found.setdefault(name, []).append(dice)
    return {name: sum(values) / len(values) for name, values in sorted(found.items())}


def processor_minutes(cells: Mapping[Run, Any]) -> list[float | None]:
    """The minutes of one core that each run took; None for one that was interrupted, whose first part nobody timed."""
    return [
        None if each["processor_minutes"] is None else round(each["processor_minutes"], 1) for each in cells.values()
    ]


def minutes(row: Mapping[str, Any]) -> str:
    """A row's processor minutes as a table shows them."""
    return ", ".join("-" if each is None else f"{each:.1f}" for each in row["processor_minutes"])


def difference(row: Mapping[str, Any], rival: Mapping[str, Any]) -> dict[str, Any]:
    """A row minus another, paired over the patients that judged both, with its 95 % bootstrap interval.

    By the runs (seeds, folds) that both have; by the mean of all where they have none in common.
    """
    shared = sorted(set(row["runs"]) & set(rival["runs"]))
    ours, theirs = (over_runs(each["runs"], shared or sorted(each["runs"]), "patients") for each in (row, rival))
    both = [name for name in ours if name in theirs]
    return bootstrap_paired_difference([ours[name] for name in both], [theirs[name] for name in both]).to_dict()


def dice_of_runs(cells: Mapping[Run, Any]) -> dict[str, Any]:
    """What `difference` needs of a row's runs."""
    return {str(run): {"patients": cell["patients"], "volumes": cell["volumes"]} for run, cell in cells.items()}


def kept_rows(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of the last results by task and name."""
    if not path.is_file():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return {(row["task"], row["name"]): row for row in rows}


def interval(each: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    """A mean with its 95 % interval as a table shows it."""
    if not each:
        return "-"
    sign = "+" if signed else ""
    return f"{each['mean']:{sign}.4f} ({each['low']:{sign}.4f} to {each['high']:{sign}.4f}), n {each['n']}"
