"""The loop: it learns, freezes rightly, resumes exactly, and guards against what goes wrong."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.datasets.slices import GroupSampler, SliceKey
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.training import Preset, RunOptions, Trainer
from GANSegmentationLib.training.checkpoint import load_checkpoint, save_checkpoint

CPU = RunOptions(accelerator="cpu")


def _train(plain: dict[str, Any], dataset: Dataset, folder: Path, **options: Any) -> Trainer:
    trainer = Trainer(Preset.from_dict(plain), dataset, folder, replace(CPU, **options))
    trainer.run()
    return trainer


def test_a_run_leaves_all_its_files(preset_json: dict[str, Any], dataset: Dataset, tmp_path: Path) -> None:
    lines: list[str] = []
    trainer = _train(preset_json, dataset, tmp_path, say=lines.append)
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(float(row["epoch"])) for row in rows] == [1, 2, 3, 4]
    assert [line[:11] for line in lines if line.startswith("epoch")] == [f"epoch {epoch}/4: " for epoch in (1, 2, 3, 4)]
    assert {"dice", "dice_lits_slices", "discriminator/total", "generator/adversarial", "seconds"} <= set(rows[0])
    for name in ("preset.json", "split.json", "losses.svg", "scores.svg", "report.html", "best.ckpt", "last.ckpt"):
        assert (tmp_path / name).stat().st_size > 0
    assert (tmp_path / "samples" / "epoch_004.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob(".*.tmp"))
    best = max(rows, key=lambda row: float(row["dice"]))
    assert trainer.best_score == pytest.approx(float(best["dice"]))
    assert load_checkpoint(tmp_path / "best.ckpt")["epoch"] == int(float(best["epoch"]))


def test_it_learns(supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path) -> None:
    supervised_json |= {"steps_per_epoch": 30, "epochs": 2, "augmentation": {}}
    assert _train(supervised_json, dataset, tmp_path).best_score > 0.8


def test_the_average_follows_slowly_and_is_what_is_validated(
    supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    supervised_json |= {"ema_decay": 0.5, "epochs": 1}
    trainer = _train(supervised_json, dataset, tmp_path)
    now = trainer.learners.networks["generator"].state_dict()
    average = load_checkpoint(tmp_path / "best.ckpt")["average"]
    weight = next(name for name in now if name.endswith("conv.weight"))
    statistic = next(name for name in now if name.endswith("running_mean"))
    assert not torch.equal(now[weight], average[weight])
    torch.testing.assert_close(now[statistic], average[statistic])


def test_a_second_run_does_not_overwrite_a_first(
    supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    _train(supervised_json, dataset, tmp_path, stop_after=1)
    with pytest.raises(GANSegmentationError, match="--resume") as caught:
        Trainer(Preset.from_dict(supervised_json), dataset, tmp_path, CPU)
    assert caught.value.code == "run_exists"
    changed = Preset.from_dict({**supervised_json, "batch_size": 2})
    facts = (tmp_path / "preset.json").read_bytes()
    with pytest.raises(GANSegmentationError) as caught:
        Trainer(changed, dataset, tmp_path, replace(CPU, resume=True)).run()
    assert caught.value.code == "preset_changed"
    assert (tmp_path / "preset.json").read_bytes() == facts, "a refused run leaves the first one's facts"


def test_a_damaged_checkpoint_is_refused_in_words(
    supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    _train(supervised_json, dataset, tmp_path, stop_after=1)
    path = tmp_path / "last.ckpt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(GANSegmentationError, match=r"last\.ckpt") as caught:
        _train(supervised_json, dataset, tmp_path, resume=True)
    assert caught.value.code == "invalid_checkpoint"


def test_optimisers_must_match_the_networks(preset_json: dict[str, Any], dataset: Dataset, tmp_path: Path) -> None:
    del preset_json["optimisers"]["discriminator"]
    with pytest.raises(GANSegmentationError, match="discriminator") as caught:
        Trainer(Preset.from_dict(preset_json), dataset, tmp_path, CPU)
    assert caught.value.code == "invalid_objective"


def test_an_unknown_validation_patient_is_refused_before_anything_is_written(
    preset_json: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    preset_json["data"]["validation_patients"] = ["lits_v99"]
    with pytest.raises(GANSegmentationError, match="lits_v99"):
        Trainer(Preset.from_dict(preset_json), dataset, tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_go_on_with_other_data(
    supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    _train(supervised_json, dataset, tmp_path, stop_after=1)
    facts = (tmp_path / "split.json").read_bytes()
    fewer = dataset.subset(case.id for case in dataset.cases if case.id != "lits_v03")
    # Without its alias the LiTS patient's other case would train on.
    unaliased = Dataset(
        dataset.folder,
        tuple(replace(case, patient="msd_c001") if case.id == "msd_c001" else case for case in dataset.cases),
        dataset.labels,
    )
    edited = Dataset(
        dataset.folder,
        tuple(replace(case, fingerprint="0" * 64) if case.id == "lits_v01" else case for case in dataset.cases),
        dataset.labels,
    )
    for other, code in ((fewer, "dataset_changed"), (unaliased, "dataset_changed"), (edited, "unsound_dataset")):
        with pytest.raises(GANSegmentationError) as caught:
            _train(supervised_json, other, tmp_path, resume=True)
        assert caught.value.code == code
    assert (tmp_path / "split.json").read_bytes() == facts
    (tmp_path / "split.json").unlink()
    with pytest.raises(GANSegmentationError) as caught:
        _train(supervised_json, dataset, tmp_path, resume=True)
    assert caught.value.code == "invalid_run"


def test_the_best_epoch_is_kept_when_later_ones_are_worse(
    supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.3, 0.8, 0.5, 0.8])
    monkeypatch.setattr("GANSegmentationLib.training.watching.judging.mean_dice", lambda results, source=None: (
        next(scores) if source == "lits_slices_decides" else 0.0
    ))  # fmt: skip
    trainer = Trainer(Preset.from_dict(supervised_json | {"steps_per_epoch": 1}), dataset, tmp_path, CPU)
    data = replace(trainer.preset.data, score_source="lits_slices_decides")
    trainer.preset = replace(trainer.preset, data=data)
    result = trainer.run()
    assert (result.best_epoch, result.best_score, result.score, result.epochs) == (2, 0.8, "Dice", 4)
    assert result.finished
    assert load_checkpoint(tmp_path / "best.ckpt")["epoch"] == 2
    last = load_checkpoint(tmp_path / "last.ckpt")
    assert (last["best_epoch"], last["best_score"]) == (2, 0.8)


def test_a_checkpoint_of_another_kind_is_refused_in_words(
    supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    _train(supervised_json, dataset, tmp_path, stop_after=1)
    save_checkpoint(tmp_path / "last.ckpt", load_checkpoint(tmp_path / "best.ckpt"))
    with pytest.raises(GANSegmentationError, match="optimisers") as caught:
        _train(supervised_json, dataset, tmp_path, resume=True)
    assert caught.value.code == "invalid_checkpoint"


def test_a_resumed_run_keeps_the_precision_it_began_with(
    supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervised_json["precision"] = "auto"
    module = "GANSegmentationLib.training.loop.choose_precision"
    monkeypatch.setattr(module, lambda word, device: "bf16-mixed")
    _train(supervised_json, dataset, tmp_path, stop_after=1)
    monkeypatch.setattr(module, lambda word, device: "32-true")
    assert _train(supervised_json, dataset, tmp_path, resume=True, stop_after=2).precision == "bf16-mixed"
    assert Trainer(Preset.from_dict(supervised_json), dataset, tmp_path / "new", CPU).precision == "32-true"


def test_the_learning_rate_follows_the_schedule(preset_json: dict[str, Any], dataset: Dataset, tmp_path: Path) -> None:
    trainer = _train(preset_json, dataset, tmp_path, stop_after=1)
    factor = trainer.preset.schedule.factor(2, 12)
    assert 0 < factor < 1
    for role, lr in (("generator", 0.005), ("discriminator", 0.0002)):
        assert trainer.learners.optimisers[role].inner.param_groups[0]["lr"] == pytest.approx(lr * factor)
    assert trainer.objective._step == 2, "the objective knows how far training is"


def test_each_network_has_the_optimiser_that_the_preset_gives_it(
    preset_json: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    preset_json["optimisers"]["generator"] = {"name": "adamw", "lr": 0.1, "betas": [0.8, 0.9], "weight_decay": 0.3}
    trainer = Trainer(Preset.from_dict(preset_json), dataset, tmp_path, CPU)
    kinds = {role: optimiser.inner for role, optimiser in trainer.learners.optimisers.items()}
    assert type(kinds["generator"]) is torch.optim.AdamW and type(kinds["discriminator"]) is torch.optim.Adam
    settings = kinds["generator"].param_groups[0]
    assert settings["betas"] == (0.8, 0.9) and settings["weight_decay"] == 0.3
    assert kinds["discriminator"].param_groups[0]["betas"] == (0.5, 0.999)
    for role, network in trainer.learners.networks.items():
        owned = {view.data_ptr() for group in kinds[role].param_groups for view in group["params"]}
        assert owned == {parameter.data_ptr() for parameter in network.parameters()}, role


def test_training_patients_are_changed_at_random_and_validation_patients_never(
    preset_json: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    trainer = Trainer(Preset.from_dict(preset_json), dataset, tmp_path, CPU)
    training, validation = trainer.loader.dataset, trainer.validation
    assert training.augmenter is not None and validation.augmenter is None
    assert {case.patient for case in validation.dataset.cases} == {"lits_v00", "msd_c004"}
    assert not {case.patient for case in training.dataset.cases} & {"lits_v00", "msd_c004"}


def test_an_excluded_source_is_nowhere(preset_json: dict[str, Any], dataset: Dataset, tmp_path: Path) -> None:
    preset_json["data"] |= {"excluded_sources": ["msd_slices"], "validation_patients": ["lits_v00"], "groups": [{}]}
    trainer = Trainer(Preset.from_dict(preset_json), dataset, tmp_path, CPU)
    assert {case.source for case in trainer.dataset.cases} == {"lits_slices"}
    assert {key.case.split("_")[0] for key in trainer.sampler} == {"lits"}


def test_lightning_says_nothing_on_the_terminal(
    supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    level = logging.getLogger("lightning_fabric").level
    Trainer(Preset.from_dict(supervised_json), dataset, tmp_path, replace(CPU, precision="bf16-mixed"))
    said = capfd.readouterr()
    assert said.out + said.err == "" and not [r for r in caplog.records if r.name.startswith("lightning")]
    assert logging.getLogger("lightning_fabric").level == level


def test_every_epoch_draws_its_own_slices(
    supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, ...]] = []
    original = GroupSampler.__iter__

    def watched(sampler: GroupSampler) -> Iterator[SliceKey]:
        keys = list(original(sampler))
        drawn.append(tuple(f"{key.case} {key.position} {key.seed}" for key in keys))
        yield from keys

    monkeypatch.setattr(GroupSampler, "__iter__", watched)
    _train(supervised_json, dataset, tmp_path, stop_after=3)
    assert len(drawn) == len(set(drawn)) == 3 and len(drawn[0]) == 12


def test_the_average_is_judged_and_not_the_network_of_the_last_step(
    supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    supervised_json |= {"steps_per_epoch": 30, "epochs": 2, "augmentation": {}}
    trainer = _train(supervised_json, dataset, tmp_path, stop_after=1)
    judged = trainer.log.rows[-1]["dice"]
    for parameter in trainer.learners.networks["generator"].parameters():
        torch.nn.init.zeros_(parameter)
    trainer._finish_epoch({}, {"seconds": 0.0})
    assert judged > 0.5 and trainer.log.rows[-1]["dice"] == judged
