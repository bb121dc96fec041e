"""A dry run says what training would take, and finds what would stop it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks import build, count_parameters
from GANSegmentationLib.training import Preset, dry_run
from Testing.training.conftest import GENERATOR


def _plan(plain: dict[str, Any], dataset: Dataset, **changes: Any) -> dict[str, Any]:
    return dry_run(Preset.from_dict(plain | changes), dataset)


def test_it_counts_what_the_run_would_use(preset_json: dict[str, Any], dataset: Dataset) -> None:
    plan = _plan(preset_json, dataset)
    assert plan["steps"] == 12 and plan["preset"] == "tiny"
    assert plan["train"] == {"patients": 4, "slices": 22}
    assert plan["validation"] == {"patients": 2, "slices": 10}, "msd_c001 is a slice set of lits_v00's patient"
    assert plan["parameters"]["generator"] == count_parameters(build(**GENERATOR))
    assert set(plan["parameters"]) == {"generator", "discriminator"}
    assert plan["shapes"] == {"image": [1, 64, 64], "scores": [1, 64, 64]}
    assert plan["peak_memory_mb"] > 50 and plan["findings"] == []


def test_hours_follow_from_the_seconds_of_a_step(preset_json: dict[str, Any], dataset: Dataset) -> None:
    plan = _plan(preset_json, dataset, epochs=100)
    assert plan["hours"] == pytest.approx(plan["seconds_per_step"] * 300 / 3600) and plan["hours"] > 0


def test_seconds_are_scaled_to_the_whole_batch(
    preset_json: dict[str, Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([100.0, 103.0])  # three seconds for the two slices that are timed
    monkeypatch.setattr("GANSegmentationLib.training.plan.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    assert _plan(preset_json, dataset, batch_size=8)["seconds_per_step"] == pytest.approx(12.0)


def test_excluded_sources_do_not_count(preset_json: dict[str, Any], dataset: Dataset) -> None:
    preset_json["data"] |= {"excluded_sources": ["msd_slices"], "validation_patients": ["lits_v00"], "groups": [{}]}
    plan = _plan(preset_json, dataset)
    assert plan["train"] == {"patients": 3, "slices": 18} and plan["validation"] == {"patients": 1, "slices": 6}


def test_slices_have_the_shape_that_training_gives_them(preset_json: dict[str, Any], dataset: Dataset) -> None:
    preset_json["slicing"] |= {"size": 60, "neighbours": 3}
    preset_json["objective"]["config"]["generator"] = {
        **GENERATOR, "config": {**GENERATOR["config"], "in_channels": 3}
    }  # fmt: skip
    assert _plan(preset_json, dataset)["shapes"] == {"image": [3, 64, 64], "scores": [1, 64, 64]}


def test_the_plan_reports_warnings(
    preset_json: dict[str, Any], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from GANSegmentationLib.datasets import Finding

    finding = Finding("warning", "lits_v01", "all its masks are empty")
    monkeypatch.setattr("GANSegmentationLib.training.preflight.require_sound", lambda dataset, split: [finding])
    assert _plan(preset_json, dataset)["findings"] == [vars(finding)]


def test_what_training_would_refuse_is_refused(preset_json: dict[str, Any], dataset: Dataset) -> None:
    def code(**changes: Any) -> str:
        with pytest.raises(GANSegmentationError) as caught:
            _plan(preset_json, dataset, **changes)
        return caught.value.code

    assert code(optimisers={"generator": {}}) == "invalid_objective"
    assert code(data=preset_json["data"] | {"groups": [{"source": "chaos_ct"}]}) == "empty_group"
    assert code(data=preset_json["data"] | {"validation_patients": ["nobody"]}) == "unknown_patient"
    assert code(slicing=preset_json["slicing"] | {"multiple": 4}) == "invalid_preset"
    with pytest.raises(GANSegmentationError) as caught:
        broken = tuple(replace(case, fingerprint="0" * 64) for case in dataset.cases)
        dry_run(Preset.from_dict(preset_json), Dataset(dataset.folder, broken, dataset.labels))
    assert caught.value.code == "unsound_dataset"
