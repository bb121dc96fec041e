"""The one training loop: it runs the phases that an objective declares, and does everything else for all objectives."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..datasets.dataset import Dataset, write_atomically
from ..datasets.splits import Split
from ..errors import GANSegmentationError
from ..inference import choose_device
from ..models import Package
from ..models.find import find_package
from ..networks import count_parameters, entry
from ..objectives import Objective
from .checkpoint import load_checkpoint, random_state, save_checkpoint, seed_everything, set_random_state, writes
from .data import training_slices, validation_slices
from .folder import alone_in, refuse_another_run
from .options import RunOptions, RunResult
from .preset import Preset
from .starting.known_patients import check_start
from .starting.preflight import check_run, require_same_data, run_facts
from .starting.transfer import START, TransferReport, frozen_prefixes, load_start, lr_factor, started_from
from .steps.learners import Learners
from .steps.loading import Feed, StepBatches, check_parts, make_loader
from .steps.means import Means
from .steps.processes import Processes, choose_precision, has_batch_norm, kept_precision
from .watching.health import examine
from .watching.judging import Verdict, judge
from .watching.report import RunFacts, write_report
from .watching.run_log import RunLog, loss_terms, sample_keys
from .watching.score import Score, score_of

_STATE = (
    "preset", "epoch", "step", "best_epoch", "best_score", "networks", "optimisers", "average", "average_updates",
    "random", "objective", "other_processes", "skipped", "skipped_in_all",
    "history",
)  # fmt: skip


class Trainer:
    """One run of a preset on a prepared dataset, in a folder of its own.

    The folder receives ``preset.json``, ``split.json``, ``start.json`` (where the run starts from a package),
    ``log.csv``, ``losses.svg``, ``scores.svg``, ``samples/epoch_NNN.png``, ``report.html``, ``last.ckpt`` (everything
    to go on exactly), ``best.ckpt`` (the averaged generator of the best epoch, and its reviewer) and ``run.lock``
    (locked while a run writes there).

    Raises
    ------
    GANSegmentationError
        As `check_run` and `Processes`; ``run_exists`` if the folder holds another run and `RunOptions.resume` is off;
        ``precision_changed``, ``preset_changed`` and ``dataset_changed`` (the last two from `run`) if it is on and
        these are not the run's; ``uneven_parts`` (`check_parts`); ``invalid_objective`` if a network belongs to no or
        two phases or has no optimiser settings.
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
        self._notes: list[str] = []
        self.started: TransferReport | None = None
        self._package = self._opened_start(dataset)
        self.total_steps = preset.epochs * preset.steps_per_epoch
        self._prepare_folder()
        self._set_up_processes()
        self._set_up_networks()
        self._set_up_data()
        self.score: Score = score_of(self.objective)
        self.log = RunLog(self.folder, score=self.score)
        self.epoch = 0
        self.step = 0
        self.best_epoch, self.best_score = 0, float("-inf")

    def _prepare_folder(self) -> None:
        if not self.options.resume:
            refuse_another_run(self.folder)
        with writes(self.folder):
            (self.folder / "samples").mkdir(parents=True, exist_ok=True)

    @property
    def _goes_on(self) -> bool:
        """Whether there is a checkpoint to go on from, and it is wanted."""
        return self.options.resume and (self.folder / "last.ckpt").exists()

    def _opened_start(self, dataset: Dataset) -> Package | None:
        """The package whose weights a new run starts from; a resumed one has its own and needs none."""
        if self.preset.transfer is None or self._goes_on:
            return None
        package = find_package(self.preset.transfer.package)
        self.findings = [*self.findings, *check_start(package, self.preset, dataset, self.split)]
        return package

    def _start(self, generator: nn.Module) -> None:
        if self._package is not None and self.preset.transfer is not None:
            spec = self.objective.generator_spec()
            self.started = load_start(generator, *spec, self.preset.transfer, self._package)

    def _set_up_processes(self) -> None:
        options = self.options
        choice = choose_device(options.accelerator)
        self.device_name = choice.name
        self.processes = Processes(choice.device, options.devices)
        self.device = self.processes.device
        if self.device.type == "cuda":
            # What float32 is left beside bfloat16 may use the tensor cores; ten bits of mantissa are plenty here.
            torch.set_float32_matmul_precision("high")
        # "auto" measures, and what one process measures must hold for all of them.
        asked = options.precision or self.preset.precision
        began = load_checkpoint(self.folder / "last.ckpt").get("precision") if self._goes_on else None
        kept = kept_precision(began, options.precision, self.preset.precision, self.device)
        self.precision = self.processes.agree(kept or choose_precision(asked, self.device))
        self._asked_precision = began[2] if began and len(began) > 2 else asked
        self.processes.use_precision(self.precision)

    def _set_up_networks(self) -> None:
        seed_everything(self.preset.seed)
        self.learners = Learners(self.preset, self.objective, self.processes, self._say, start=self._start)
        self.network_name, self.network_config = self.objective.generator_spec()
        self._note_shared_batch()
        # All processes have drawn the same first weights; dropout and noise are each one's own.
        if self.processes.rank:
            seed_everything(self.preset.seed + self.processes.rank)

    def _note_shared_batch(self) -> None:
        """Say what sees less than a whole batch, where one is computed by several processes or in parts."""
        count, parts = self.processes.count, self.preset.accumulate
        if count * parts == 1:
            return
        seen = self.preset.batch_size // (count * parts)
        self._note(
            f"A batch of {self.preset.batch_size} slices is computed by {count} process{'es' * (count > 1)} in {parts} "
            f"part{'s' * (parts > 1)}: losses over a whole batch see {seen} slices at a time."
        )
        normalised = [role for role, network in self.learners.networks.items() if has_batch_norm(network)]
        if normalised and (parts > 1 or not self.processes.synchronises):
            seen *= count if self.processes.synchronises else 1
            self._note(f"Batch normalisation of {', '.join(normalised)} sees {seen} slices at a time.")

    def _set_up_data(self) -> None:
        preset, processes = self.preset, self.processes
        if self.objective.uses_masks:
            check_parts(preset, self.dataset.subset(self.split.train), processes.count)
        slices, self.sampler = training_slices(preset, self.dataset, self.split)
        batches = StepBatches(
            self.sampler,
            preset.batch_size,
            rank=processes.rank,
            count=processes.count,
            accumulate=preset.accumulate,
        )
        self.loader = make_loader(slices, batches, workers=self.options.workers, device=self.device)
        self.validation = validation_slices(preset, self.dataset, self.split)
        self.samples = sample_keys(self.validation)

    def run(self) -> RunResult:
        """Train until the preset's last epoch, its early stop, or `RunOptions.stop_after`; returns what came of it.

        Raises
        ------
        GANSegmentationError
            ``training_diverged`` if the losses stay NaN or infinite; ``folder_in_use`` if another run is writing into
            the folder; ``write_failed`` if the disk refuses something.
        """
        begins = not self.options.resume and self.step == 0
        with alone_in(self.folder, self.processes, self.options.say, begins=begins):
            return self._run()

    def _run(self) -> RunResult:
        if self.options.resume and not self._goes_on:
            self._say(f"There is no run in {self.folder} to go on with: a new one starts.")
        if self._goes_on:
            self._load()
            origin = started_from(self.folder)
            self._notes += [f"Started from {origin.id} {origin.version}."] if origin is not None else []
        elif self.started is not None:
            self._note("\n".join(self.started.lines()))
        if self.processes.is_first:
            self._write_facts()
        last = min(self.preset.epochs, self.options.stop_after or self.preset.epochs)
        while self.epoch < last and not self._stops_early:
            self._run_epoch()
        finished = self.epoch >= self.preset.epochs or self._stops_early
        return RunResult(
            self.folder, self.epoch, self.best_epoch, self.best_score, self.score.name, finished, self.findings
        )

    @property
    def _stops_early(self) -> bool:
        """Whether the validation score has not risen for as many epochs as the preset waits."""
        patience = self.preset.early_stop
        return bool(patience) and self.epoch - self.best_epoch >= patience

    def _run_epoch(self) -> None:
        terms, timings = self.train_epoch()
        self._finish_epoch(terms, timings)

    def train_epoch(self) -> tuple[dict[str, float], dict[str, float]]:
        """The steps of the next epoch, without what comes after them; `run` does both.

        Returns
        -------
        tuple[dict[str, float], dict[str, float]]
            The means of all terms; and ``seconds``, ``loader_share`` (of the time that steps waited for slices),
            ``skipped_steps`` and ``lr_factor`` of the last step.
        """
        started = time.monotonic()
        self.sampler.epoch = self.epoch
        self.learners.train(frozen_prefixes(self.preset.transfer, entry(self.network_name), self.epoch))
        skipped = self.learners.skipped_in_all
        means = Means()
        feed = Feed(self.loader, self.device)
        for step, batch in enumerate(feed):
            self.objective.set_progress(self.step, self.total_steps)
            terms = self.learners.step(batch, self.step, self._lr_factor(self.step))
            self.step += 1
            means.add(terms)
            if self.options.progress is not None and self.processes.is_first:
                shown = {name: float(value) for name, value in terms.items()} if step % 10 == 0 else {}
                self.options.progress(self.epoch, step + 1, self.preset.steps_per_epoch, shown)
        figures = means.over(self.processes)
        seconds = time.monotonic() - started
        self.epoch += 1
        return figures, {
            "lr_factor": self._lr_factor(self.step - 1),
            "skipped_steps": float(self.learners.skipped_in_all - skipped),
            "seconds": round(seconds, 2),
            "loader_share": round(feed.waited / max(seconds, 1e-9), 4),
        }

    def _lr_factor(self, step: int) -> float:
        """The factor on every learning rate for the update after `step` others."""
        stage = lr_factor(self.preset.transfer, step // self.preset.steps_per_epoch)
        return stage * self.preset.schedule.factor(step, self.total_steps, self._scores)

    @property
    def _scores(self) -> list[float]:
        """The validation score of every epoch so far."""
        return [row[self.score.column] for row in self.log.rows]

    def _finish_epoch(self, terms: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Validate, log, keep the best, save everything."""
        started = time.monotonic()
        verdict = self.processes.agree(self._judged() if self.processes.is_first else None)
        assert verdict is not None
        score = verdict.score
        better = score > self.best_score
        if better:
            self.best_epoch, self.best_score = self.epoch, score
        self.log.add(
            {
                "epoch": self.epoch,
                self.score.column: score,
                **verdict.columns,
                **terms,
                **timings,
                "validation_seconds": round(time.monotonic() - started, 2),
            },
            write=self.processes.is_first,
        )
        state = self._state()
        if self.processes.is_first:
            with writes(self.folder):
                write_atomically(self.folder / "samples" / f"epoch_{self.epoch:03d}.png", verdict.picture)
                if better:
                    save_checkpoint(self.folder / "best.ckpt", self._best())
                save_checkpoint(self.folder / "last.ckpt", state)
                write_report(self.folder, self._facts(), self.log.rows)
        shown = {**verdict.columns, **{name: terms[name] for name in loss_terms(terms)}}
        self._say(
            f"epoch {self.epoch}/{self.preset.epochs}: validation {self.score.name} {score:.4f} "
            f"(best {self.best_score:.4f} in {self.best_epoch}), "
            + ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
            + f", {timings['seconds']:.0f} s"
        )

        self._warn()

    def _warn(self) -> None:
        """Say what is wrong since this epoch."""
        known = {symptom.code for symptom in examine(self.log.rows[:-1], self.score)}
        for symptom in examine(self.log.rows, self.score):
            if symptom.code not in known:
                self._say(f"warning: {symptom.text} {symptom.advice}")

    def _facts(self) -> RunFacts:
        return RunFacts(
            self.preset,
            self.dataset,
            self.split,
            {role: count_parameters(network) for role, network in self.learners.networks.items()},
            self.device_name,
            self.precision,
            self.processes.count,
            self.findings,
            self._notes,
            self.score,
        )

    def _judged(self) -> Verdict:
        with self.processes.autocast():
            return judge(
                self.objective,
                self.learners.average.network,
                self.validation,
                self.samples,
                self.device,
                source=self.preset.data.score_source,
            )

    def _best(self) -> dict[str, Any]:
        """The averaged generator, and the discriminator that may review its masks."""
        reviewer = self.objective.reviewer()
        best: dict[str, Any] = {"average": self.learners.average.network.state_dict(), "epoch": self.epoch}
        if reviewer is not None:
            best["reviewer"] = self.learners.networks[reviewer.role].state_dict()
        return best

    def _state(self) -> dict[str, Any]:
        """Everything to go on from; each process asks, for each has random numbers of its own."""
        first, *others = self.processes.gather({"random": random_state(), "objective": self.objective.state_dict()})
        return {
            "preset": self.preset.to_dict(),
            "precision": [self.device.type, self.precision, self._asked_precision],
            "epoch": self.epoch,
            "step": self.step,
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
            **self.learners.state_dict(),
            **first,
            "other_processes": others,
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
        self.learners.load_state_dict(state)
        self.epoch, self.step = state["epoch"], state["step"]
        self.best_epoch, self.best_score = state["best_epoch"], state["best_score"]
        self.log = RunLog(self.folder, state["history"], score=self.score)
        self._load_own(state)

    def _load_own(self, state: Mapping[str, Any]) -> None:
        """What each process has for itself: random numbers, and what its objective remembers."""
        known = [{"random": state["random"], "objective": state["objective"]}, *state["other_processes"]]
        if len(known) != self.processes.count:
            self._say(
                f"the run was saved by {len(known)} processes and goes on with {self.processes.count}: from the same "
                "weights, with other random numbers"
            )
        own = known[min(self.processes.rank, len(known) - 1)]
        self.objective.load_state_dict(own["objective"])
        if self.processes.rank < len(known):
            set_random_state(own["random"])
        else:
            seed_everything(self.preset.seed + self.processes.rank + self.step * self.processes.count)

    def _write_facts(self) -> None:
        from ..reports import write_json

        write_json(self.preset.to_dict(), self.folder / "preset.json")
        write_json(run_facts(self.dataset, self.split), self.folder / "split.json")
        if self.started is not None:
            write_json(self.started.to_dict(), self.folder / START)
        elif not self._goes_on:
            (self.folder / START).unlink(missing_ok=True)  # of a run that was given up in its first epoch

    def _note(self, text: str) -> None:
        """Say something that belongs into the report too."""
        self._notes.append(text)
        self._say(text)

    def _say(self, text: str) -> None:
        if self.processes.is_first:
            self.options.say(text)
