"""The one training loop: it runs the phases that an objective declares, and does everything else for all objectives."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader

from ..datasets.augmentation import Augmenter
from ..datasets.dataset import Dataset
from ..datasets.integrity import Finding
from ..datasets.slices import GroupSampler, SliceDataset
from ..datasets.splits import Split
from ..errors import GANSegmentationError
from ..inference import choose_device
from ..objectives import Objective, Phase
from .checkpoint import load_checkpoint, random_state, save_checkpoint, seed_everything, set_random_state
from .ema import MovingAverage
from .preflight import check_phases, check_run, require_same_data, run_facts
from .preset import PRECISIONS, OptimiserSettings, Preset
from .run_log import RunLog, sample_keys, sample_picture
from .validation import mean_dice, validate

_STATE = (
    "preset", "epoch", "step", "best_epoch", "best_dice", "networks", "optimisers", "average", "average_updates",
    "random", "history",
)  # fmt: skip

_PATIENCE_WITH_NANS = 20
"""Steps in a row without a finite loss before a run is given up: one is bad luck, twenty are a diverged network."""


@dataclass(frozen=True)
class RunOptions:
    """Where and how a preset runs; nothing here changes what is learnt (but for rounding).

    Parameters
    ----------
    accelerator:
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``, as `choose_device` takes it.
    devices:
        How many of them.
    precision:
        Overrides the preset's.
    workers:
        Processes that load slices; 0 loads in this one.
    resume:
        Go on from the run folder's last checkpoint where there is one.
    stop_after:
        Stop, resumable, when this many epochs are done.
    progress:
        Called as ``progress(epoch, step, steps, terms)`` after every step.
    say:
        Called with a line of text for people.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: str | None = None
    workers: int = 0
    resume: bool = False
    stop_after: int | None = None
    progress: Callable[[int, int, int, Mapping[str, float]], None] | None = None
    say: Callable[[str], None] = lambda text: None


@dataclass
class RunResult:
    """What a run came to: the folder with its files, the best epoch and its validation Dice."""

    folder: Path
    epochs: int
    best_epoch: int
    best_dice: float
    finished: bool
    findings: list[Finding] = field(default_factory=list)


class Trainer:
    """One run of a preset on a prepared dataset, in a folder of its own.

    The folder receives ``preset.json``, ``split.json``, ``log.csv``, ``losses.svg``, ``scores.svg``,
    ``samples/epoch_NNN.png``, ``last.ckpt`` (everything to go on exactly) and ``best.ckpt`` (the averaged generator of
    the best epoch).

    Raises
    ------
    GANSegmentationError
        As `check_run`; ``run_exists`` if the folder holds another run and `RunOptions.resume` is off;
        ``preset_changed`` and ``dataset_changed`` (from `run`) if it is on and these are not the run's;
        ``invalid_objective`` if a network belongs to no or two phases or has no optimiser settings.
    """

    def __init__(self, preset: Preset, dataset: Dataset, folder: Path, options: RunOptions | None = None) -> None:
        self.preset = preset
        self.options = options or RunOptions()
        self.folder = folder
        checked = check_run(preset, dataset)
        self.dataset = checked.dataset
        self.split: Split = checked.split
        self.findings = checked.findings
        self.objective: Objective = checked.objective
        self.total_steps = preset.epochs * preset.steps_per_epoch
        self._prepare_folder()
        self._set_up()

    def _prepare_folder(self) -> None:
        path = self.folder / "last.ckpt"
        if path.exists() and not self.options.resume:
            raise GANSegmentationError(
                "run_exists",
                f"{self.folder} already holds a run.",
                cause="A run was started there before.",
                action="Add --resume to go on with it, or choose another folder.",
            )
        (self.folder / "samples").mkdir(parents=True, exist_ok=True)

    def _set_up(self) -> None:
        preset, options = self.preset, self.options
        seed_everything(preset.seed)
        device = choose_device(options.accelerator).device
        self.precision = self._resumed_precision(device) or _precision(options.precision or preset.precision, device)
        if device.type == "cuda":
            # What float32 is left beside bfloat16 may use the tensor cores; ten bits of mantissa are plenty here.
            torch.set_float32_matmul_precision("high")
        with _quiet_fabric():
            self.fabric = Fabric(
                # The device that has computed something, which need not be the first that Fabric would find.
                accelerator=device.type,
                devices=options.devices if device.index is None else [device.index],
                precision=self.precision,  # type: ignore[arg-type]
            )
            self.fabric.launch()
        self.device = self.fabric.device
        networks = self.objective.build_networks()
        check_phases(self.objective.phases, networks, preset.optimisers)
        self.average = MovingAverage(networks["generator"], preset.ema_decay)
        self.average.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.networks: dict[str, Any] = {}
        self.optimisers: dict[str, Any] = {}
        for role, network in networks.items():
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            optimiser = _optimiser(network, preset.optimisers[role], self.device)
            self.networks[role], self.optimisers[role] = self.fabric.setup(network, optimiser)
        self.network_name, self.network_config = self.objective.generator_spec()
        self._set_up_data()
        self.log = RunLog(self.folder)
        self.epoch = 0
        self.step = 0
        self.best_epoch, self.best_dice = 0, float("-inf")
        self._nans: dict[str, int] = {}

    def _resumed_precision(self, device: torch.device) -> str | None:
        """What "auto" came to when the run began: measured anew, it might come out otherwise on a busy machine."""
        path = self.folder / "last.ckpt"
        if not (self.options.resume and path.exists()) or (self.options.precision or self.preset.precision) != "auto":
            return None
        began = load_checkpoint(path).get("precision")
        return began[1] if began and began[0] == device.type else None

    def _set_up_data(self) -> None:
        preset = self.preset
        training = self.dataset.subset(self.split.train)
        side = preset.slicing.size
        augmenter = Augmenter(preset.augmentation, (side, side))
        self.sampler = GroupSampler(
            training, preset.data.groups, samples=preset.batch_size * preset.steps_per_epoch, seed=preset.seed
        )
        loader: DataLoader[Any] = DataLoader(
            SliceDataset(training, preset.slicing, augmenter),
            batch_size=preset.batch_size,
            sampler=self.sampler,
            num_workers=self.options.workers,
            persistent_workers=self.options.workers > 0,
            prefetch_factor=8 if self.options.workers else None,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_one_thread,
            # Of its own: the seeds that it draws for workers must not move the generator of dropout and noise, or a
            # resumed run, which starts its workers anew, would go another way.
            generator=torch.Generator(),
        )
        self.loader = self.fabric.setup_dataloaders(loader)
        self.validation = SliceDataset(self.dataset.subset(self.split.validation), preset.slicing)
        self.samples = sample_keys(self.validation)

    def run(self) -> RunResult:
        """Train until the preset's last epoch, or until `RunOptions.stop_after`; returns what came of it.

        Raises
        ------
        GANSegmentationError
            ``training_diverged`` if the losses stay NaN or infinite.
        """
        if self.options.resume and (self.folder / "last.ckpt").exists():
            self._load()
        self._write_facts()
        last = min(self.preset.epochs, self.options.stop_after or self.preset.epochs)
        while self.epoch < last:
            self._run_epoch()
        finished = self.epoch >= self.preset.epochs
        return RunResult(self.folder, self.epoch, self.best_epoch, self.best_dice, finished, self.findings)

    def _run_epoch(self) -> None:
        started = time.monotonic()
        self.sampler.epoch = self.epoch
        for network in self.networks.values():
            network.train()
        sums: dict[str, torch.Tensor] = {}
        for step, batch in enumerate(self.loader):
            terms = self._step(batch)
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value
            if self.options.progress is not None:
                shown = {name: float(value) for name, value in terms.items()} if step % 10 == 0 else {}
                self.options.progress(self.epoch, step + 1, self.preset.steps_per_epoch, shown)
        trained = time.monotonic() - started
        self.epoch += 1
        self._finish_epoch({name: float(value) / self.preset.steps_per_epoch for name, value in sums.items()}, trained)

    def _step(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """One update of every phase; returns the detached loss terms as ``phase/term``."""
        factor = self.preset.schedule.factor(self.step, self.total_steps)
        self.objective.set_progress(self.step, self.total_steps)
        batch = {**batch, "image": batch["image"].contiguous(memory_format=torch.channels_last)}
        shared = self.objective.forward(self.networks, batch)
        logged: dict[str, torch.Tensor] = {}
        for phase in self.objective.phases:
            self._freeze_all_but(phase.trains)
            terms = phase.loss(self.networks, batch, shared)
            logged.update({f"{phase.name}/{name}": value.detach() for name, value in terms.items()})
            self._update(phase, terms["total"], factor)
        self._freeze_all_but(tuple(self.networks))
        generator = self.networks["generator"].module
        if any(self._nans.values()):
            # The forward pass of a step without a finite loss may have left its NaN in batch norm's statistics.
            self.average.mend_buffers(generator)
        else:
            self.average.update(generator)
        self.step += 1
        return logged

    def _update(self, phase: Phase, loss: torch.Tensor, factor: float) -> None:
        """One update of a phase's networks; skipped where the loss or a gradient is not finite."""
        for role in phase.trains:
            self.optimisers[role].zero_grad(set_to_none=True)
        if not torch.isfinite(loss.detach()):
            self._skip(phase, "loss")
            return
        self.fabric.backward(loss)
        limit = self.preset.clip_norm or math.inf  # without a limit the norm is only measured
        norms = [
            self.fabric.clip_gradients(
                self.networks[role], self.optimisers[role], max_norm=limit, error_if_nonfinite=False
            )
            for role in phase.trains
        ]
        if not all(norm is None or bool(torch.isfinite(norm)) for norm in norms):
            self._skip(phase, "gradient")
            return
        self._nans[phase.name] = 0
        for role in phase.trains:
            for group in self.optimisers[role].param_groups:
                group["lr"] = self.preset.optimisers[role].lr * factor
            self.optimisers[role].step()

    def _skip(self, phase: Phase, what: str) -> None:
        """Count a step that cannot be made; too many in a row end the run."""
        self._nans[phase.name] = self._nans.get(phase.name, 0) + 1
        self.options.say(f"step {self.step}: the {phase.name}'s {what} is not finite; the step is skipped")
        if self._nans[phase.name] >= _PATIENCE_WITH_NANS:
            raise GANSegmentationError(
                "training_diverged",
                f"The {phase.name}'s loss or gradient was not finite in {self._nans[phase.name]} steps in a row.",
                cause="The learning rate is too high for this network, or the data hold values without meaning.",
                action="Lower the learning rate or set clip_norm; the last checkpoint is from before.",
            )

    def _freeze_all_but(self, trained: tuple[str, ...]) -> None:
        for role, network in self.networks.items():
            for parameter in network.parameters():
                parameter.requires_grad_(role in trained)

    def _finish_epoch(self, terms: Mapping[str, float], trained_seconds: float) -> None:
        """Validate, log, keep the best, save everything."""
        started = time.monotonic()
        with self.fabric.autocast():
            results = validate(self.average.network, self.network_name, self.validation, self.device)
            picture = sample_picture(
                self.average.network, self.network_name, self.validation, self.samples, self.device
            )
        score = mean_dice(results, self.preset.data.score_source)
        sources = sorted({result.source for result in results})
        by_source = {f"dice/{source}": mean_dice(results, source) for source in sources} if len(sources) > 1 else {}
        if self.fabric.is_global_zero:
            (self.folder / "samples" / f"epoch_{self.epoch:03d}.png").write_bytes(picture)
            self.log.add(
                {
                    "epoch": self.epoch,
                    "dice": score,
                    **{name.replace("/", "_"): value for name, value in by_source.items()},
                    **terms,
                    "lr_factor": self.preset.schedule.factor(self.step - 1, self.total_steps),
                    "seconds": round(trained_seconds, 2),
                    "validation_seconds": round(time.monotonic() - started, 2),
                }
            )
            if score > self.best_dice:
                self.best_epoch, self.best_dice = self.epoch, score
                self._save("best.ckpt", {"average": self.average.network.state_dict(), "epoch": self.epoch})
            self._save("last.ckpt", self._state())
        shown = ", ".join(f"{name} {value:.4f}" for name, value in {**by_source, **terms}.items())
        self.options.say(
            f"epoch {self.epoch}/{self.preset.epochs}: validation Dice {score:.4f} "
            f"(best {self.best_dice:.4f} in {self.best_epoch}), {shown}, {trained_seconds:.0f} s"
        )

    def _state(self) -> dict[str, Any]:
        return {
            "preset": self.preset.to_dict(),
            "precision": [self.device.type, self.precision],
            "epoch": self.epoch,
            "step": self.step,
            "best_epoch": self.best_epoch,
            "best_dice": self.best_dice,
            "networks": {role: network.module.state_dict() for role, network in self.networks.items()},
            "optimisers": {role: optimiser.state_dict() for role, optimiser in self.optimisers.items()},
            "average": self.average.network.state_dict(),
            "average_updates": self.average.updates,
            "random": random_state(),
            "history": self.log.rows,
        }

    def _load(self) -> None:
        path = self.folder / "last.ckpt"
        state = load_checkpoint(path, needs=_STATE)
        if Preset.from_dict(state["preset"]) != self.preset:
            raise GANSegmentationError(
                "preset_changed",
                f"The run in {self.folder} was started with other settings.",
                cause="The preset was edited, or other changes were given with --set.",
                action="Resume with the same preset and changes, or start a new folder.",
            )
        require_same_data(self.folder, self.dataset, self.split)
        for role, network in self.networks.items():
            network.module.load_state_dict(state["networks"][role])
            self.optimisers[role].load_state_dict(state["optimisers"][role])
        self.average.network.load_state_dict(state["average"])
        self.average.updates = state["average_updates"]
        self.epoch, self.step = state["epoch"], state["step"]
        self.best_epoch, self.best_dice = state["best_epoch"], state["best_dice"]
        self.log = RunLog(self.folder, state["history"])
        set_random_state(state["random"])

    def _save(self, name: str, state: dict[str, Any]) -> None:
        save_checkpoint(self.folder / name, state)

    def _write_facts(self) -> None:
        from ..reports import write_json

        write_json(self.preset.to_dict(), self.folder / "preset.json")
        write_json(run_facts(self.dataset, self.split), self.folder / "split.json")


def _precision(word: str, device: torch.device) -> str:
    """Lightning's precision word; "auto" is bfloat16 where the device is faster with it.

    Float16 is not offered: its loss scaler is a state that bfloat16 does not need.
    """
    if word not in PRECISIONS:
        raise GANSegmentationError(
            "invalid_preset",
            f"There is no precision '{word}'.",
            action=f"Choose one of {', '.join(PRECISIONS)}.",
        )
    if word != "auto":
        return word
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    return "bf16-mixed" if choose_device(device.type).half is torch.bfloat16 else "32-true"


def _optimiser(network: nn.Module, settings: OptimiserSettings, device: torch.device) -> torch.optim.Optimizer:
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimiser: torch.optim.Optimizer = kinds[settings.name](
        network.parameters(),
        lr=settings.lr,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=device.type in ("cuda", "cpu"),
    )
    return optimiser


def _one_thread(worker: int) -> None:
    # Each loading process does one slice at a time; more threads would only fight for the same cores.
    torch.set_num_threads(1)


@contextmanager
def _quiet_fabric() -> Iterator[None]:
    """Keep Lightning's remarks on precision and tensor cores, which the run says itself, off a person's terminal."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
