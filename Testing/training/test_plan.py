"""A dry run says what training would take, and finds what would stop it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from GANSegmentationLib import objectives
from GANSegmentationLib.datasets import Dataset, patient_split
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import write_package
from GANSegmentationLib.networks import build, count_parameters
from GANSegmentationLib.training import Preset, RunOptions, dry_run, load_preset, preset_names
from GANSegmentationLib.training.packing.card import labels_of, model_card
from GANSegmentationLib.training.steps import step_cost
from Testing.training.conftest import GENERATOR
from Testing.training.miniatures import miniature, small


def _plan(
    plain: dict[str, Any], dataset: Dataset, options: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    return dry_run(Preset.from_dict(plain | changes), dataset, RunOptions(accelerator="cpu", **(options or {})))


def test_it_counts_what_the_run_would_use(preset_json: dict[str, Any], dataset: Dataset) -> None:
    plan = _plan(preset_json, dataset)
    assert (
        plan["steps"] == 12 and plan["preset"] == "tiny" and (plan["device"], plan["precision"]) == ("cpu", "32-true")
    )
    assert plan["train"] == {"patients": 4, "slices": 22}
    assert plan["validation"] == {"patients": 2, "slices": 10}, "msd_c001 is a slice set of lits_v00's patient"
    assert plan["networks"]["generator"]["parameters"] == count_parameters(build(**GENERATOR))
    assert plan["networks"]["generator"]["inputs"] == ((1, 64, 64),) == plan["networks"]["generator"]["outputs"]
    assert plan["networks"]["discriminator"]["inputs"] == ((2, 64, 64),)
    assert set(plan["networks"]) == {"generator", "discriminator"}
    assert [(phase["name"], phase["trains"], phase["every"], phase["clip"]) for phase in plan["phases"]] == [
        ("discriminator", ["discriminator"], 1, None),
        ("generator", ["generator"], 1, None),
    ]
    assert plan["memory"]["process_mb"] > 50 and plan["findings"] == [] and plan["start"] == []
    assert plan["batch"] == {"size": 4, "processes": 1, "parts": 1, "at_once": 4}


UNET = {"name": "unet", "config": {"width": 4, "depth": 2, "padding": "valid"}}


@pytest.mark.parametrize(
    ("crop", "border", "drawn", "given", "scored", "tiles", "tile", "tile_scores"),
    [
        # 40 pixels are lost along a side of this network.
        (0, "mirrored", 64, 104, 64, 1, 104, 64),
        (60, "lost", 60, 60, 20, 1, 104, 64),
    ],
)
def test_the_shapes_of_unpadded_convolutions_are_those_that_are_computed(
    supervised_json: dict[str, Any], dataset: Dataset, crop: int, border: str, drawn: int, given: int, scored: int,
    tiles: int, tile: int, tile_scores: int,
) -> None:  # fmt: skip
    supervised_json["objective"]["config"] = {"generator": UNET, "border": border}
    supervised_json["data"]["crop"] = crop
    plan = _plan(supervised_json, dataset)
    generator = plan["networks"]["generator"]
    assert (generator["inputs"], generator["outputs"]) == (((1, given, given),), ((1, scored, scored),))
    assert plan["shapes"] == {
        "slice": (1, drawn, drawn), "whole": (64, 64), "tiles": tiles, "tile": (1, tile, tile),
        "scores": (1, tile_scores, tile_scores),
    }  # fmt: skip


def test_large_slices_are_validated_in_tiles_and_whole(
    supervised_json: dict[str, Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("GANSegmentationLib.inference.tiles.whole_scores.__kwdefaults__", {"largest": 40})
    supervised_json["objective"]["config"] = {"generator": UNET}
    supervised_json["data"]["crop"] = 60
    shapes = _plan(supervised_json, dataset)["shapes"]
    assert shapes["whole"] == (64, 64) and shapes["tiles"] == 4 and shapes["tile"][1] - shapes["scores"][1] == 40


def test_hours_follow_from_steps_loading_and_validation(preset_json: dict[str, Any], dataset: Dataset) -> None:
    plan = _plan(preset_json, dataset, epochs=100)
    step = plan["seconds_per_step"] + plan["loading_seconds_per_step"]
    assert plan["hours"] == pytest.approx(100 * (3 * step + plan["validation_seconds"]) / 3600) and plan["hours"] > 0
    shared = _plan(preset_json, dataset, {"workers": 2}, epochs=100)
    step = max(shared["seconds_per_step"], shared["loading_seconds_per_step"] / 2)
    assert shared["hours"] == pytest.approx(100 * (3 * step + shared["validation_seconds"]) / 3600)


def test_excluded_sources_do_not_count(preset_json: dict[str, Any], dataset: Dataset) -> None:
    preset_json["data"] |= {"excluded_sources": ["msd_slices"], "validation_patients": ["lits_v00"], "groups": [{}]}
    plan = _plan(preset_json, dataset)
    assert plan["train"] == {"patients": 3, "slices": 18} and plan["validation"] == {"patients": 1, "slices": 6}


def test_slices_have_the_shape_that_training_gives_them(preset_json: dict[str, Any], dataset: Dataset) -> None:
    preset_json["slicing"] |= {"size": 60, "neighbours": 3}
    preset_json["objective"]["config"]["generator"] = {
        **GENERATOR, "config": {**GENERATOR["config"], "in_channels": 3}
    }  # fmt: skip
    plan = _plan(preset_json, dataset)
    assert plan["networks"]["generator"]["inputs"] == ((3, 64, 64),)
    assert plan["networks"]["generator"]["outputs"] == ((1, 64, 64),)
    preset_json["data"]["crop"] = 32
    assert _plan(preset_json, dataset)["networks"]["generator"]["inputs"] == ((3, 32, 32),)


def test_a_batch_can_be_shared_by_processes_and_computed_in_parts(
    preset_json: dict[str, Any], dataset: Dataset
) -> None:
    plan = _plan(preset_json, dataset, {"devices": 2}, batch_size=16, accumulate=2)
    assert plan["batch"] == {"size": 16, "processes": 2, "parts": 2, "at_once": 4}
    with pytest.raises(GANSegmentationError, match="batch_size is 16") as caught:
        _plan(preset_json, dataset, {"devices": 3}, batch_size=16)
    assert caught.value.code == "invalid_preset"


def test_what_the_weights_need_is_counted_exactly(supervised_json: dict[str, Any], dataset: Dataset) -> None:
    megabytes = 4 * count_parameters(build(**GENERATOR)) / 1e6
    memory = _plan(supervised_json, dataset)["memory"]
    assert memory["gradients"] == pytest.approx(megabytes)
    assert memory["optimiser"] == pytest.approx(2 * megabytes, rel=0.01), "Adam keeps two moments"
    assert memory["parameters"] == pytest.approx(memory["average"]) and megabytes < memory["average"] < 1.2 * megabytes
    parts = ("parameters", "gradients", "optimiser", "average", "activations")
    assert memory["total"] == pytest.approx(sum(memory[part] for part in parts)) and not memory["measured"]
    supervised_json["optimisers"]["generator"] = {"name": "sgd", "lr": 0.1}
    assert _plan(supervised_json, dataset)["memory"]["optimiser"] == 0


def test_activations_grow_with_the_slices_computed_at_once(supervised_json: dict[str, Any], dataset: Dataset) -> None:
    def activations(**changes: Any) -> float:
        return float(_plan(supervised_json, dataset, **changes)["memory"]["activations"])

    eight = activations(batch_size=8)
    assert activations(batch_size=64) == pytest.approx(8 * eight, rel=0.1)
    assert activations(batch_size=64, accumulate=8) == pytest.approx(eight, rel=0.1)
    pixels = 8 * 64 * 64
    # The stem and the last stage keep their convolutions' inputs and outputs of 8 or 16 channels at full resolution.
    assert 4 * 8 * pixels * 4 / 1e6 < eight < 4 * 8 * pixels * 40 / 1e6


def test_the_estimate_of_activations_is_what_the_graph_keeps() -> None:
    """Against a network whose kept tensors can be counted by hand."""
    first, second = (torch.randn(16, 16, requires_grad=True) for _ in range(2))
    ledger = step_cost._Ledger({first.untyped_storage().data_ptr(), second.untyped_storage().data_ptr()})
    inputs = torch.randn(32, 16)
    with torch.autograd.graph.saved_tensors_hooks(ledger.keep, step_cost._Kept.tensor_of):
        hidden = (inputs @ first).sigmoid()  # keeps the inputs and the sigmoid's result
        loss = (hidden @ second).square().sum()  # keeps the same result, and what is squared
    assert ledger.now == ledger.most == 3 * 32 * 16 * 4
    loss.backward()
    del hidden, loss
    assert ledger.now == 0 and ledger.most == 3 * 32 * 16 * 4


@pytest.mark.parametrize(("devices", "accumulate"), [(1, 1), (1, 4), (2, 1), (2, 2)])
def test_seconds_are_those_of_this_process_share_of_the_batch(
    supervised_json: dict[str, Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch, devices: int, accumulate: int
) -> None:
    """A slice takes one second here, whatever it is measured with."""
    original = step_cost._timed
    monkeypatch.setattr(
        step_cost,
        "_timed",
        lambda *args: original(*args) * 0 + len(args[1]["image"]),  # runs the step all the same
    )
    plan = _plan(supervised_json, dataset, {"devices": devices}, batch_size=16, accumulate=accumulate)
    assert plan["seconds_per_step"] == pytest.approx(16 / devices)


@pytest.mark.parametrize(("every", "seconds"), [((1, 1), 4.0), ((1, 5), 2.0 + 10.0 / 5), ((1, 1, 3), 4.0 + 10.0 / 3)])
def test_a_rare_phase_costs_its_share_of_a_step(
    every: tuple[int, ...], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phase of every step takes 2 s here, a rarer one 10 s."""

    def timed(learners: Any, batch: Any, number: int) -> float:
        due = [phase for phase in learners.objective.phases if (number + 1) % phase.every == 0]
        return sum(2.0 if phase.every == 1 else 10.0 for phase in due)

    monkeypatch.setattr(step_cost, "_timed", timed)
    phases = [SimpleNamespace(every=each) for each in every]
    learners: Any = SimpleNamespace(objective=SimpleNamespace(phases=phases))
    assert step_cost._time_step(learners, {}) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("few", "low", "many", "high", "wanted", "expected"),
    [
        (2, 3.0, 4, 5.0, 32, 33.0),  # one second to begin, one for each slice
        (2, 3.0, 4, 5.0, 4, 5.0),
        (2, 3.0, 2, 3.0, 2, 3.0),
        (2, 3.0, 4, 2.0, 8, 4.0),  # noise: then in proportion to the larger one
    ],
)
def test_costs_are_a_straight_line_through_two_measurements(
    few: int, low: float, many: int, high: float, wanted: int, expected: float
) -> None:
    assert step_cost._line(few, low, many, high, wanted) == pytest.approx(expected)


def test_a_dry_run_changes_no_data_and_leaves_no_file(
    preset_json: dict[str, Any], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in dataset.folder.rglob("*") if path.is_file()}
    _plan(preset_json, dataset)
    assert {path: path.read_bytes() for path in dataset.folder.rglob("*") if path.is_file()} == before
    assert list(tmp_path.iterdir()) == []


def test_the_plan_reports_warnings(
    preset_json: dict[str, Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from GANSegmentationLib.datasets import Finding

    finding = Finding("warning", "lits_v01", "all its masks are empty")
    monkeypatch.setattr("GANSegmentationLib.training.starting.preflight.require_sound", lambda *args, **more: [finding])
    assert _plan(preset_json, dataset)["findings"] == [vars(finding)]


def test_a_loss_that_is_not_finite_is_mentioned(
    supervised_json: dict[str, Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "GANSegmentationLib.objectives.supervised.Supervised._generator_loss"
    monkeypatch.setattr(place, lambda self, networks, batch, shared: {"total": shared["scores"].sum() * float("nan")})
    (finding,) = _plan(supervised_json, dataset)["findings"]
    assert "not finite" in finding["text"]


def test_what_a_run_starts_from_and_what_is_frozen_when(
    supervised_json: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    preset = Preset.from_dict(supervised_json)
    split = patient_split(dataset, validation=preset.data.validation_patients)
    weights = {name: np.asarray(tensor) for name, tensor in build(**GENERATOR).state_dict().items()}
    card = model_card(preset, dataset, split, 1, "2026-01-01")
    path = write_package(tmp_path / "start.ganseg", card, weights, labels_of(preset))
    transfer = {"package": str(path), "policy": "staged", "staged_epochs": 3, "staged_lr_factor": 0.1}
    plan = _plan(supervised_json, dataset, transfer=transfer, epochs=5)
    everything = count_parameters(build(**GENERATOR))
    first, second = plan["stages"]
    assert first["epochs"] == [1, 3] and first["frozen"] == ["stem.", "encoder."] and first["lr_factor"] == 1.0
    assert second == {"epochs": [4, 5], "frozen": [], "learn": everything, "lr_factor": 0.1}
    assert 0 < first["learn"] < everything
    assert "starts from tiny-model 0.0.1" in plan["start"][0] and plan["findings"] == []
    # Only what learns in the first epochs has a gradient then.
    assert plan["memory"]["gradients"] == pytest.approx(4 * first["learn"] / 1e6)
    with pytest.raises(GANSegmentationError) as caught:
        _plan(supervised_json, dataset, transfer={**transfer, "package": "nowhere/x.ganseg"})
    assert caught.value.code == "package_not_found"


def test_what_training_would_refuse_is_refused(preset_json: dict[str, Any], dataset: Dataset) -> None:
    def code(**changes: Any) -> str:
        with pytest.raises(GANSegmentationError) as caught:
            _plan(preset_json, dataset, **changes)
        return caught.value.code

    assert code(optimisers={"generator": {}}) == "invalid_objective"
    assert code(data=preset_json["data"] | {"groups": [{"source": "chaos_ct"}]}) == "empty_group"
    assert code(data=preset_json["data"] | {"validation_patients": ["nobody"]}) == "unknown_patient"
    assert code(slicing=preset_json["slicing"] | {"multiple": 4}) == "invalid_preset"
    assert code(data=preset_json["data"] | {"labels": [2]}) == "unsound_dataset"
    with pytest.raises(GANSegmentationError) as caught:
        broken = tuple(replace(case, fingerprint="0" * 64) for case in dataset.cases)
        dry_run(Preset.from_dict(preset_json), replace(dataset, cases=broken))
    assert caught.value.code == "unsound_dataset"


@pytest.mark.parametrize("objective", objectives.names())
def test_every_objective_can_be_planned(objective: str, tmp_path: Path) -> None:
    """Domains, streams, unlabelled slices and synthesis come through the same door as training."""
    presets = map(load_preset, preset_names())
    preset = next((each for each in presets if each.objective.name == objective and each.transfer is None), None)
    assert preset is not None, "no committed preset has this objective"
    preset = small(preset)
    plan = dry_run(preset, miniature(preset, tmp_path), RunOptions(accelerator="cpu"))
    assert all(facts["parameters"] > 0 and facts["inputs"] and facts["outputs"] for facts in plan["networks"].values())
    assert plan["hours"] > 0 and plan["memory"]["total"] > 0 and plan["validation_seconds"] > 0
    assert {role for phase in plan["phases"] for role in phase["trains"]} == set(plan["networks"])
